/*
 * gate.h: may this tenant run this statement?
 *
 * A verdict (statement.h) says what a text is; a gate is one tenant's side of the question:
 * the isolation rules that are in force where it lives, and its permissions. Nearly always the
 * answer is yes, and two words compared with two others give it (gate_passes). Otherwise
 * gate_judge says what is in the way.
 *
 * A gate knows neither sessions nor the protocol; proxy/gatekeeper.h carries it out.
 */
#ifndef POLICY_GATE_H
#define POLICY_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/permission.h"
#include "policy/reason.h"
#include "policy/rule.h"
#include "policy/statement.h"

/* Beside PERMISSION_BIT in a verdict's needs: there is more to ask than the bits say. The first
 * is in the needs of each, so that one whose tenant has a rate limit passes nothing unseen. */
#define GATE_NEEDS_COUNTING ((uint32_t)1 << 26)
#define GATE_NEEDS_TEMP_FUNCTION                                                               \
	((uint32_t)1 << 27) /* sql.ddl, or an exception for temporary functions */
#define GATE_NEEDS_READ_WRITE  ((uint32_t)1 << 28) /* transactions that write are asked for */
#define GATE_NEEDS_TEMP_OR_DDL ((uint32_t)1 << 29) /* sql.ddl, or something temporary */
#define GATE_NEEDS_SETTINGS    ((uint32_t)1 << 30) /* settings are named */
#define GATE_NEEDS_NAMES       ((uint32_t)1 << 31) /* relations or functions are */

/* What the classes of a verdict need of a tenant. */
uint32_t gate_needs(uint32_t classes);

/* A set of words of the configuration; immutable. */
struct gate_words {
	char **words;
	size_t count;
};

/* What [gate] says, for all tenants. */
struct gate_settings {
	enum gate_mode mode;
	uint64_t exceptions;       /* RULE_BIT of rules that are not in force */
	struct gate_words schemas; /* none: any that is not foreign */
	struct gate_words protected_settings;
};

/*
 * Reads the lists, words between commas or blanks. False when memory is out, or, with
 * *unknown set to it (from malloc), when `exceptions` has a word that is no rule's name.
 */
bool gate_settings_init(struct gate_settings *settings, enum gate_mode mode,
						const char *exceptions, const char *schemas,
						const char *protected_settings, char **unknown);
void gate_settings_fini(struct gate_settings *settings);

struct gate {
	uint64_t rules; /* in force */
	uint32_t held;  /* as a verdict's needs: what need not be asked further */
	enum gate_mode mode;
	bool protects_settings; /* [gate] protected_settings are, here */
	bool denies_schemas;    /* a list denies "schema.*": search_path may not lead there */
	const struct gate_settings *settings;  /* borrowed, and so are these */
	const struct permissions *permissions; /* never NULL but under GATE_OFF */
	const struct uuid *own;                /* whose schema it has, or NULL */
};

/* The gate of a tenant that lives in such a place; of `tenant` its schema bears the name. */
void gate_init(struct gate *gate, enum rule_place place, const struct uuid *tenant,
			   const struct gate_settings *settings, const struct permissions *permissions);

/* The rules that it hits, in force or not: RULE_SCHEMA not by the tenant's own schema alone. */
uint64_t gate_hits(const struct gate *gate, const struct verdict *verdict);

/* Its statements are counted (proxy/rate.h): none passes without another look. */
static inline void gate_count(struct gate *gate)
{
	gate->held &= ~GATE_NEEDS_COUNTING;
}

static inline bool gate_counts(const struct gate *gate)
{
	return !(gate->held & GATE_NEEDS_COUNTING);
}

/* May it run without another look? */
static inline bool gate_passes(const struct gate *gate, uint32_t needs, uint64_t rules)
{
	return !(needs & ~gate->held) && !(rules & gate->rules);
}

struct gate_refusal {
	enum reason reason;
	const char *message, *hint; /* of static memory; the hint may be NULL */
	/* What was in the way, for logs, metrics and the error's DETAIL: a rule's name or a
	 * permission's key. */
	const char *what;
	/* Of the statement; valid as long as its verdict. NULL, or a relation or function. */
	const char *schema, *name;
};

/*
 * False: it may run. `has_temporary`: the session has, or may have, something temporary.
 * Under GATE_OBSERVE as under GATE_ENFORCE.
 */
bool gate_judge(const struct gate *gate, const struct verdict *verdict, bool has_temporary,
				struct gate_refusal *out);

/* The same for a setting with which a session begins; its name in lower case. */
bool gate_judge_setting(const struct gate *gate, const char *name, const char *value,
						struct gate_refusal *out);

#endif
