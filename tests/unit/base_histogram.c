/* Times in buckets that double: what is recorded is found again to within its bucket. */
#include <criterion/criterion.h>

#include "base/histogram.h"

Test(base_histogram, an_empty_one_knows_no_time)
{
	struct histogram histogram = {0};

	cr_expect(histogram_quantile(&histogram, 0.5) == 0);
	cr_expect(histogram_quantile(&histogram, 1.0) == 0);
}

Test(base_histogram, a_quantile_is_the_upper_bound_of_its_bucket)
{
	struct histogram histogram = {0};

	for (int i = 0; i < 90; i++)
		histogram_record(&histogram, 100); /* 64 up to 128 */
	for (int i = 0; i < 10; i++)
		histogram_record(&histogram, 5000); /* 4096 up to 8192 */
	cr_expect(histogram.count == 100);
	cr_expect(histogram_quantile(&histogram, 0.5) == 128);
	cr_expect(histogram_quantile(&histogram, 0.9) == 128);
	cr_expect(histogram_quantile(&histogram, 0.91) == 5000,
			  "no bound is above the longest time");
}

Test(base_histogram, extremes_have_a_place)
{
	struct histogram histogram = {0};

	histogram_record(&histogram, -5);
	histogram_record(&histogram, 0);
	cr_expect(histogram_quantile(&histogram, 1.0) == 0);
	histogram_record(&histogram, INT64_MAX);
	cr_expect(histogram_quantile(&histogram, 1.0) == (uint64_t)INT64_MAX);
	cr_expect(histogram_quantile(&histogram, 0.5) == 1);
}

Test(base_histogram, two_are_added_up)
{
	struct histogram one = {0}, other = {0};

	histogram_record(&one, 100);
	histogram_record(&other, 5000);
	histogram_record_none(&other);
	histogram_add(&one, &other);
	cr_expect(one.count == 3 && one.sum_us == 5100 && one.max_us == 5000);
	cr_expect(one.buckets[0] == 1 && one.buckets[7] == 1 && one.buckets[13] == 1);
}
