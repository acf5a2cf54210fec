#include "admin/api/route.h"
const struct api_topic api_topics[] = {{NULL, 0}};
const size_t api_topic_count = 0;
