# make bench: how fast is it, beside PgBouncer and HAProxy? Included by the Makefile; see docs/benchmarks.md.
# `make bench BENCH_ARGS=--quick` takes less than two minutes; BENCH_ARGS=--help lists the rest.

BENCH_LOAD    := $(BUILD)/bench/load
BENCH_SOURCES := $(wildcard tests/bench/*.c)

.PHONY: bench
bench: build
	@deploy/install-packages run bench
	@$(MAKE) --no-print-directory $(BENCH_LOAD)
	@PROGRAM=$(abspath $(PROGRAM)) BENCH_LOAD=$(abspath $(BENCH_LOAD)) $(PYTHON) tests/bench/bench.py $(BENCH_ARGS)

$(BENCH_LOAD): $(BENCH_SOURCES) tests/bench/load.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -D_GNU_SOURCE $(CFLAGS) $(LDFLAGS) -o $@ $(BENCH_SOURCES) -lcrypto
