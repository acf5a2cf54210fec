/*
 * rule_docs.h: the isolation rules as a page of the manual (docs/rules.md).
 */
#ifndef POLICY_RULE_DOCS_H
#define POLICY_RULE_DOCS_H

#include <stdio.h>

/* In Markdown; made from rules.inc. */
void rule_write_docs(FILE *out);

#endif
