/*
 * fuzz.h: what all fuzz targets share: a condition that must hold, and an input taken for a
 * stream of choices.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Stops the target when it is false. */
#define require(condition)                                                                     \
	((condition) ? (void)0 : require_failed(__FILE__, __LINE__, #condition))

static inline void require_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: not true: %s\n", file, line, what);
	abort();
}

/* With FUZZ_TRACE in the environment the larger targets say what happens. */
extern bool fuzz_traces;
#define trace(...) (fuzz_traces ? (void)fprintf(stderr, __VA_ARGS__) : (void)0)

/*
 * What is left of the input. What is done is read from its start; how things turn out that are
 * not ours to do, from its end, so that a change of the one leaves the other as it was.
 */
struct dice {
	const uint8_t *at, *end;
};

static inline bool dice_are_left(const struct dice *dice)
{
	return dice->at < dice->end;
}

/* The next byte; 0 when none is left. */
static inline uint8_t dice_byte(struct dice *dice)
{
	return dice->at < dice->end ? *dice->at++ : 0;
}

/* The last byte, which then is no more; 0 when none is left. */
static inline uint8_t dice_fate(struct dice *dice)
{
	return dice->at < dice->end ? *--dice->end : 0;
}

/* The next `len` bytes, or as many as are left; *got says how many. */
static inline const uint8_t *dice_take(struct dice *dice, size_t len, size_t *got)
{
	const uint8_t *at = dice->at;

	*got = len < (size_t)(dice->end - at) ? len : (size_t)(dice->end - at);
	dice->at += *got;
	return at;
}

#endif
