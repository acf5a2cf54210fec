#include "admin/api/route.h"

#include "admin/api/routes.h"

const struct api_topic *const api_topics[] = {
	&api_routes_meta,
	&api_routes_api_keys,
	&api_routes_principals,
};
const size_t api_topic_count = sizeof api_topics / sizeof *api_topics;
