#include "policy/reason.h"

static const struct {
	const char *code, *sqlstate, *message;
} reasons[] = {
#define REASON_ROW(name, code, sqlstate, message) [name] = {code, sqlstate, message},
	REASONS(REASON_ROW)
#undef REASON_ROW
};

const char *reason_code(enum reason reason)
{
	return reasons[reason].code;
}

const char *reason_sqlstate(enum reason reason)
{
	return reasons[reason].sqlstate;
}

const char *reason_message(enum reason reason)
{
	return reasons[reason].message;
}
