#include "policy/functions.h"

#include <stdlib.h>
#include <string.h>

static const char *const builtins[] = {
#include "policy/builtin_functions.inc"
};

/* In the order of their bytes. set_config is looked at with its arguments (parse_settings.c).
 */
static const struct function_trait traits[] = {
	{"currval", 0, EFFECT_SEES_SEQUENCE},
	{"cursor_to_xml", 0, EFFECT_UNKNOWN},
	{"cursor_to_xmlschema", 0, EFFECT_UNKNOWN},
	{"database_to_xml", 0, EFFECT_UNKNOWN},
	{"database_to_xml_and_xmlschema", 0, EFFECT_UNKNOWN},
	{"lastval", 0, EFFECT_SEES_SEQUENCE},
	{"lo_creat", SQL_CLASS_WRITE, 0},
	{"lo_create", SQL_CLASS_WRITE, 0},
	{"lo_from_bytea", SQL_CLASS_WRITE, 0},
	{"lo_import", SQL_CLASS_WRITE, 0},
	{"lo_put", SQL_CLASS_WRITE, 0},
	{"lo_truncate", SQL_CLASS_WRITE, 0},
	{"lo_truncate64", SQL_CLASS_WRITE, 0},
	{"lo_unlink", SQL_CLASS_WRITE, 0},
	{"lowrite", SQL_CLASS_WRITE, 0},
	{"nextval", SQL_CLASS_WRITE, 0},
	{"pg_advisory_lock", 0, EFFECT_LOCK},
	{"pg_advisory_lock_shared", 0, EFFECT_LOCK},
	{"pg_advisory_unlock", 0, EFFECT_LOCK},
	{"pg_advisory_unlock_all", 0, EFFECT_LOCK},
	{"pg_advisory_unlock_shared", 0, EFFECT_LOCK},
	{"pg_backup_start", 0, EFFECT_UNKNOWN},
	{"pg_backup_stop", 0, EFFECT_UNKNOWN},
	{"pg_copy_logical_replication_slot", 0, EFFECT_UNKNOWN},
	{"pg_copy_physical_replication_slot", 0, EFFECT_UNKNOWN},
	{"pg_create_logical_replication_slot", 0, EFFECT_UNKNOWN},
	{"pg_create_physical_replication_slot", 0, EFFECT_UNKNOWN},
	{"pg_drop_replication_slot", 0, EFFECT_UNKNOWN},
	{"pg_notify", SQL_CLASS_LISTEN, 0},
	{"pg_prepared_statement", 0, EFFECT_SEES_PREPARED},
	{"pg_replication_origin_session_reset", 0, EFFECT_UNKNOWN},
	{"pg_replication_origin_session_setup", 0, EFFECT_UNKNOWN},
	{"pg_try_advisory_lock", 0, EFFECT_LOCK},
	{"pg_try_advisory_lock_shared", 0, EFFECT_LOCK},
	{"query_to_xml", 0, EFFECT_UNKNOWN},
	{"query_to_xml_and_xmlschema", 0, EFFECT_UNKNOWN},
	{"query_to_xmlschema", 0, EFFECT_UNKNOWN},
	{"schema_to_xml", 0, EFFECT_UNKNOWN},
	{"schema_to_xml_and_xmlschema", 0, EFFECT_UNKNOWN},
	{"setseed", 0, EFFECT_SEED},
	{"setval", SQL_CLASS_WRITE, 0},
	{"table_to_xml", 0, EFFECT_UNKNOWN},
	{"table_to_xml_and_xmlschema", 0, EFFECT_UNKNOWN},
	{"table_to_xmlschema", 0, EFFECT_UNKNOWN},
	{"ts_rewrite", 0, EFFECT_UNKNOWN},
	{"ts_stat", 0, EFFECT_UNKNOWN},
};

static int compare_builtin(const void *name, const void *entry)
{
	return strcmp(name, *(const char *const *)entry);
}

bool function_is_builtin(const char *name)
{
	return bsearch(name, builtins, sizeof builtins / sizeof *builtins, sizeof *builtins,
				   compare_builtin) != NULL;
}

static int compare_trait(const void *name, const void *entry)
{
	return strcmp(name, ((const struct function_trait *)entry)->name);
}

const struct function_trait *function_trait(const char *name)
{
	return bsearch(name, traits, sizeof traits / sizeof *traits, sizeof *traits, compare_trait);
}
