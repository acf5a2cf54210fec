/* Latencies in buckets whose width grows with their value. */
#include "load.h"

#define SUB (1u << HIST_SUB_BITS)

/* Values below SUB have a bucket each; above, every power of two is cut into SUB buckets. */
static unsigned bucket_of(uint64_t ns)
{
	if (ns < SUB)
		return (unsigned)ns;

	unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - HIST_SUB_BITS;
	return ((shift + 1) << HIST_SUB_BITS) + (unsigned)((ns >> shift) - SUB);
}

static uint64_t middle_of(unsigned bucket)
{
	if (bucket < SUB)
		return bucket;

	unsigned shift = (bucket >> HIST_SUB_BITS) - 1;
	uint64_t low = (uint64_t)(SUB + (bucket & (SUB - 1))) << shift;
	return low + (((uint64_t)1 << shift) >> 1);
}

void hist_add(struct hist *hist, uint64_t ns)
{
	hist->count++;
	hist->sum += ns;
	if (ns > hist->max)
		hist->max = ns;
	hist->buckets[bucket_of(ns)]++;
}

uint64_t hist_quantile(const struct hist *hist, double part)
{
	uint64_t wanted = (uint64_t)((double)hist->count * part), seen = 0;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += hist->buckets[i];
		if (seen > wanted)
			return middle_of(i) < hist->max ? middle_of(i) : hist->max;
	}
	return hist->max;
}
