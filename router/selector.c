#include "router/selector.h"

#include <stdlib.h>
#include <string.h>

#include "router/directory.h"

/* Adds a token of `len` bytes. False when it is empty, too long or memory is out. */
static bool add_token(struct selector_choice *choice, const char *text, size_t len)
{
	char *token;

	if (len == 0 || len > TENANT_TOKEN_MAX || choice->count == CONF_SELECTORS_MAX)
		return false;
	token = strndup(text, len);
	if (!token)
		return false;
	choice->tokens[choice->count++] = token;
	return true;
}

/*
 * `principal<separator>tenant`, split at the last separator: a slug holds none, a principal's
 * name may. A name without one, or with nothing on one side of it, names no tenant and is the
 * principal's whole.
 */
static bool choose_by_user(const struct conf_listen *listen, const struct selector_input *input,
						   struct selector_choice *choice)
{
	const char *at = strrchr(input->user, listen->user_separator[0]);
	char *principal;

	if (!listen->user_separator[0] || !at || at == input->user || !at[1])
		return true;
	principal = strndup(input->user, (size_t)(at - input->user));
	if (!principal)
		return false;
	free(choice->principal);
	choice->principal = principal;
	return add_token(choice, at + 1, strlen(at + 1));
}

static bool choose_by_database(const struct selector_input *input,
							   struct selector_choice *choice)
{
	if (!input->database)
		return true;
	choice->database_taken = true;
	return add_token(choice, input->database, strlen(input->database));
}

static bool choose_by(enum conf_selector selector, const struct conf_listen *listen,
					  const struct selector_input *input, struct selector_choice *choice)
{
	switch (selector) {
	case SELECT_FIXED:
		return !listen->tenant || !*listen->tenant ||
			   add_token(choice, listen->tenant, strlen(listen->tenant));
	case SELECT_USER:
		return choose_by_user(listen, input, choice);
	case SELECT_DATABASE:
		return choose_by_database(input, choice);
	case SELECT_STARTUP:
		return !input->startup || add_token(choice, input->startup, strlen(input->startup));
	case SELECT_TLS:
		return !input->tls || add_token(choice, input->tls, strlen(input->tls));
	}
	return false;
}

bool selector_choose(const struct conf_listen *listen, const struct selector_input *input,
					 struct selector_choice *choice)
{
	*choice = (struct selector_choice){.principal = strdup(input->user)};
	if (!choice->principal)
		return false;
	for (size_t i = 0; i < listen->selector_count; i++) {
		if (!choose_by(listen->selectors[i], listen, input, choice)) {
			selector_choice_fini(choice);
			return false;
		}
	}
	return true;
}

void selector_choice_fini(struct selector_choice *choice)
{
	for (size_t i = 0; i < choice->count; i++)
		free(choice->tokens[i]);
	free(choice->principal);
	*choice = (struct selector_choice){.principal = NULL};
}
