/*
 * metrics.h: what /metrics says, in Prometheus' text format 0.0.4 or as OpenMetrics 1.0.
 *
 * Every family is one row of a table in metrics.c: name, type, help, labels and what
 * PgBouncer's exporter calls it. The output and docs/metrics.md are made from that table. Base
 * units only (seconds, bytes); the numbers of all workers are summed up.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "router/directory.h"
#include "router/measures.h"

enum metrics_form { METRICS_PLAIN, METRICS_OPENMETRICS };
#define METRICS_FORMS 2

extern const char *const metrics_content_types[METRICS_FORMS];

struct metrics_input {
	struct measures *const *workers; /* some of them NULL where memory was out */
	size_t worker_count;
	struct directory_measures directory;
	size_t tenants_max; /* with series of their own */
	bool is_stopping;
	enum metrics_form form;
};

/* Appends all of it. False when memory is out. */
bool metrics_write(const struct metrics_input *input, struct buf *out);

/* Writes docs/metrics.md. */
void metrics_write_docs(FILE *out);

#endif
