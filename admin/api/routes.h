/* routes.h: the topics of the admin API, each in a file routes_TOPIC.c. */
#ifndef ADMIN_API_ROUTES_H
#define ADMIN_API_ROUTES_H

#include "admin/api/route.h"

/* The lists are data: what a field or a route does not say it does not have. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

extern const struct api_topic api_routes_audit;
extern const struct api_topic api_routes_live;
extern const struct api_topic api_routes_meta;
extern const struct api_topic api_routes_settings;
extern const struct api_topic api_routes_setting_keys;
extern const struct api_topic api_routes_clusters;
extern const struct api_topic api_routes_jobs;
extern const struct api_topic api_routes_permissions;
extern const struct api_topic api_routes_tenants;
extern const struct api_topic api_routes_api_keys;
extern const struct api_topic api_routes_principals;

/* A job; answers of several topics are one. */
extern const struct api_schema api_job_schema;

#endif
