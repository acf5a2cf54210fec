/*
 * refusals.h: what it means to a caller of the API when a constraint of the control schema does
 * not hold.
 */
#ifndef ADMIN_API_REFUSALS_H
#define ADMIN_API_REFUSALS_H

struct api_refusal {
	const char *constraint;
	int status;
	const char *reason;
	const char *field;  /* NULL: none in particular */
	const char *detail; /* NULL: the database's own message */
};

/* NULL where the constraint is none that a caller can run into. */
const struct api_refusal *api_find_refusal(const char *constraint);

#endif
