/* Whose transaction is next, and on which row. The same seed gives every peer the same
 * sequence. */
#include <stdlib.h>

#include "load.h"

static struct {
	enum load_choice choice;
	int tenants, rows, turn;
	uint64_t state;
	double *below; /* Zipf: the weight of all tenants up to and with this one, of 1 */
} choice;

/* xorshift64* */
static uint64_t next_random(void)
{
	choice.state ^= choice.state >> 12;
	choice.state ^= choice.state << 25;
	choice.state ^= choice.state >> 27;
	return choice.state * 0x2545F4914F6CDD1D;
}

static double next_unit(void)
{
	return (double)(next_random() >> 11) / (double)(UINT64_C(1) << 53);
}

void choice_init(const struct options *options)
{
	choice.choice = options->choice;
	choice.tenants = options->tenants;
	choice.rows = options->rows_per_tenant;
	choice.state = (options->seed + 1) * UINT64_C(0x9E3779B97F4A7C15);

	choice.below = calloc((size_t)choice.tenants, sizeof *choice.below);
	if (!choice.below)
		fail("out of memory");
	double sum = 0;
	for (int i = 0; i < choice.tenants; i++) {
		sum += 1.0 / (i + 1);
		choice.below[i] = sum;
	}
	for (int i = 0; i < choice.tenants; i++)
		choice.below[i] /= sum;
}

static int draw_zipf(void)
{
	double at = next_unit();
	int low = 0, high = choice.tenants - 1;

	while (low < high) {
		int middle = (low + high) / 2;

		if (choice.below[middle] < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int choice_tenant(int client)
{
	switch (choice.choice) {
	case CHOICE_STAY:
		return client % choice.tenants;
	case CHOICE_ROTATE:
		return choice.turn++ % choice.tenants;
	case CHOICE_UNIFORM:
		return (int)(next_random() % (uint64_t)choice.tenants);
	case CHOICE_ZIPF:
		return draw_zipf();
	}
	return 0;
}

double choice_share(int tenant)
{
	if (choice.choice != CHOICE_ZIPF)
		return 1.0 / choice.tenants;
	return choice.below[tenant] - (tenant > 0 ? choice.below[tenant - 1] : 0);
}

long choice_row(int tenant)
{
	return (long)tenant * choice.rows + 1 + (long)(next_random() % (uint64_t)choice.rows);
}
