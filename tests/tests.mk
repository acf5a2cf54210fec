# How the tests are built and run; included by the Makefile at the top.

UNIT_SOURCES := $(wildcard tests/unit/*.c)
UNIT_TESTS   := $(UNIT_SOURCES:tests/unit/%.c=$(BUILD)/tests/%)

$(BUILD)/tests/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests $(PKG_CFLAGS) $(CFLAGS) -o $@ $< $(LIBRARY) $(PKG_LIBS) -lcriterion -lpthread -pie

.PHONY: test-unit test-integration test-deps
test: build test-deps
	@$(MAKE) --no-print-directory test-unit test-integration

test-deps:
	@deploy/install-packages test

test-unit: $(UNIT_TESTS)
	@set -e; for t in $(UNIT_TESTS); do $$t; done

test-integration: $(PROGRAM)
	PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) -m pytest -q tests/integration tests/attacks -p no:cacheprovider $(PYTEST_ARGS)
