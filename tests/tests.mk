# How the tests are built and run; included by the Makefile at the top.

UNIT_SOURCES := $(wildcard tests/unit/*.c)
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)

$(BUILD)/tests/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) -Itests $(PKG_CFLAGS) $(CFLAGS) -o $@ $< $(LIBRARY) $(PKG_LIBS) -lcriterion -lpthread -pie

.PHONY: test-unit test-fuzz test-integration test-deps
test: build test-deps
	@$(MAKE) --no-print-directory test-unit test-fuzz test-integration

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
TEST_JOBS ?= 3
PYTEST = PROGRAM=$(abspath $(PROGRAM)) FAILMALLOC_SO=$(abspath $(FAILMALLOC)) $(PYTHON) -m pytest -q \
	-p no:cacheprovider tests/integration tests/attacks $(PYTEST_ARGS)

test-integration: $(PROGRAM) $(FAILMALLOC)
	$(PYTEST) -m 'not alone' -n $(TEST_JOBS) --dist loadfile || [ $$? -eq 5 ]
	$(PYTEST) -m alone || [ $$? -eq 5 ]

# Fuzz targets: tests/fuzz/fuzz_NAME.c with the sources it needs, seeded from tests/fuzz/corpus/NAME.
# `make test-fuzz FUZZ_ARGS=-max_total_time=600` looks for longer; what it finds stays in the build folder.
FUZZ_CC    ?= clang
FUZZ_ARGS  ?= -runs=10000
FUZZ_NAMES := startup scram_server scram_client
FUZZ_BASE  := $(addprefix base/,buf.c encode.c secret.c utf8.c)
FUZZ_SCRAM := $(addprefix proxy/scram_,message.c verifier.c)

FUZZ_startup      := proxy/startup.c proxy/startup_options.c proxy/wire.c policy/reason.c $(FUZZ_BASE)
FUZZ_scram_server := proxy/scram_server.c $(FUZZ_SCRAM) $(FUZZ_BASE)
FUZZ_scram_client := proxy/scram_client.c $(FUZZ_SCRAM) $(FUZZ_BASE)

$(foreach name,$(FUZZ_NAMES),$(eval $(BUILD)/fuzz/$(name): $(FUZZ_$(name))))
$(BUILD)/fuzz/%: tests/fuzz/fuzz_%.c $(wildcard tests/fuzz/*.h base/*.h proxy/*.h policy/*.h)
	@mkdir -p $(@D)
	$(call say,FUZZ,$<)
	$(Q)$(FUZZ_CC) -I. -D_GNU_SOURCE -std=c11 -O1 -g -Wall -Wextra -Werror $(PKG_CFLAGS) \
		-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -o $@ $(filter %.c,$^) -lcrypto -lidn

test-fuzz: $(FUZZ_NAMES:%=$(BUILD)/fuzz/%)
	@set -e; for name in $(FUZZ_NAMES); do \
		echo "fuzz: $$name $(FUZZ_ARGS)"; \
		mkdir -p $(BUILD)/fuzz/found/$$name; \
		$(BUILD)/fuzz/$$name -verbosity=0 -artifact_prefix=$(BUILD)/fuzz/found/ $(FUZZ_ARGS) \
			$(BUILD)/fuzz/found/$$name tests/fuzz/corpus/$$name >$(BUILD)/fuzz/$$name.log 2>&1 || \
			{ cat $(BUILD)/fuzz/$$name.log; exit 1; }; \
	done

# The two commands of README on a Debian 12 that has nothing but git and make; needs root, and some minutes.
.PHONY: fresh-machine
fresh-machine:
	@deploy/install-packages fresh-machine
	@tests/fresh-machine $(ARGS)
