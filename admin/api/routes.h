/* routes.h: the topics of the admin API, each in a file routes_TOPIC.c. */
#ifndef ADMIN_API_ROUTES_H
#define ADMIN_API_ROUTES_H

#include "admin/api/route.h"

/* The lists are data: what a field or a route does not say it does not have. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

extern const struct api_topic api_routes_meta;
extern const struct api_topic api_routes_api_keys;
extern const struct api_topic api_routes_principals;

#endif
