/* bulkhead check: is this configuration fit to serve? */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/key_file.h"
#include "cli/options.h"
#include "policy/gate.h"
#include "policy/guard/guard.h"
#include "proxy/tls.h"

static void usage(FILE *out)
{
	fprintf(
		out,
		"Usage: bulkhead check [-c FILE] [--set SECTION.KEY=VALUE]...\n"
		"\n"
		"Reads the settings, keys, passwords and certificates, and prints what is wrong with\n"
		"them as file:line: message. Connects to nothing.\n"
		"\n"
		"%s"
		"  -h, --help                   this text\n",
		options_help);
}

static bool key_file_is_sound(const struct conf *conf)
{
	const char *why = NULL;
	struct guard_keyring *keyring;

	if (!conf->guard_key_file) /* that it must be set was said */
		return false;
	keyring = key_file_load(conf, &why);
	if (!keyring) {
		conf_complain(stderr, conf, "guard", "key_file", "%s: %s", conf->guard_key_file, why);
		return false;
	}
	guard_keyring_destroy(keyring);
	return true;
}

static bool certificates_are_sound(const struct conf *conf)
{
	struct tls *tls = tls_create(conf, stderr);
	bool sound = tls != NULL;

	tls_destroy(tls);
	return sound;
}

static bool gate_is_sound(const struct conf *conf)
{
	struct gate_settings settings;
	char *unknown;
	bool sound =
		gate_settings_init(&settings, (enum gate_mode)conf->gate_mode, conf->gate_exceptions,
						   conf->gate_schemas, conf->gate_protected_settings, &unknown);

	if (sound)
		gate_settings_fini(&settings);
	else if (unknown)
		conf_complain(stderr, conf, "gate", "exceptions", "there is no rule \"%s\"", unknown);
	else
		fputs("bulkhead check: out of memory\n", stderr);
	free(unknown);
	return sound;
}

int check_settings(const struct options *options)
{
	bool sound;
	/* The password files are read by this too. The other files are looked at whatever is wrong
	 * elsewhere: one run is to show all. */
	struct conf *conf = options_load_faulty(options, stderr, &sound);

	if (conf) {
		sound = key_file_is_sound(conf) && sound;
		sound = key_file_check_secrets(conf, stderr) && sound;
		sound = certificates_are_sound(conf) && sound;
		sound = gate_is_sound(conf) && sound;
	}

	conf_destroy(conf);
	if (!sound) {
		if (!options->config)
			fputs("bulkhead check: no file was given with -c; these are the defaults and the "
				  "environment\n",
				  stderr);
		return CLI_FAILED;
	}
	printf("%s: ok\n", options->config ? options->config : "environment");
	return CLI_DONE;
}

int cmd_check(int argc, char **argv)
{
	static const struct option longs[] = {
		OPTIONS_LONG, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct options options;
	int option, result;

	options_init(&options);
	while ((option = getopt_long(argc, argv, OPTIONS_SHORT "h", longs, NULL)) != -1) {
		if (option == 'h') {
			usage(stdout);
			options_fini(&options);
			return CLI_DONE;
		}
		if (!options_take(&options, option, optarg)) {
			usage(stderr);
			options_fini(&options);
			return CLI_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "check: \"%s\" is one word too many\n", argv[optind]);
		result = CLI_USAGE;
	} else {
		result = check_settings(&options);
	}
	options_fini(&options);
	return result;
}
