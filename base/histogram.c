#include "base/histogram.h"

static unsigned bucket_of(uint64_t us)
{
	unsigned bits = us ? 64 - (unsigned)__builtin_clzll(us) : 0;

	return bits < HISTOGRAM_BUCKETS ? bits : HISTOGRAM_BUCKETS - 1;
}

void histogram_record(struct histogram *histogram, int64_t us)
{
	uint64_t value = us > 0 ? (uint64_t)us : 0;

	histogram->count++;
	histogram->sum_us += value;
	histogram->buckets[bucket_of(value)]++;
	if (value > histogram->max_us)
		histogram->max_us = value;
}

void histogram_add(struct histogram *histogram, const struct histogram *other)
{
	histogram->count += other->count;
	histogram->sum_us += other->sum_us;
	if (other->max_us > histogram->max_us)
		histogram->max_us = other->max_us;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		histogram->buckets[i] += other->buckets[i];
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
	double wanted = share * (double)histogram->count;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS - 1; i++) {
		seen += histogram->buckets[i];
		if (seen && (double)seen >= wanted) {
			uint64_t bound = (uint64_t)1 << i;

			return bound < histogram->max_us ? bound : histogram->max_us;
		}
	}
	return histogram->max_us;
}
