/*
 * histogram.h: how long something took, counted in buckets that double.
 *
 * Bucket 0 counts times under one microsecond, bucket i those from 2^(i-1) up to, not with, 2^i
 * microseconds; the last one takes everything longer. Recording is a few instructions and no
 * memory; a quantile is known to within its bucket, a factor of two.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 40 /* the last one begins at 2^38 us, three days */

/* All zero is an empty one. */
struct histogram {
	uint64_t count, sum_us, max_us;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* The same as recording 0, without a call. */
static inline void histogram_record_none(struct histogram *histogram)
{
	histogram->count++;
	histogram->buckets[0]++;
}

/* Adds what another has recorded. */
void histogram_add(struct histogram *histogram, const struct histogram *other);

void histogram_record(struct histogram *histogram, int64_t us);

/* Adds what another has counted. */
void histogram_add(struct histogram *to, const struct histogram *more);

/*
 * The time, in microseconds, that the given share of all recorded ones did not exceed: the
 * upper bound of its bucket, or the longest time recorded when that is less. 0 when empty.
 */
uint64_t histogram_quantile(const struct histogram *histogram, double share);

#endif
