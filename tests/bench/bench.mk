# make bench: how fast is it, beside PgBouncer and HAProxy? Included by the Makefile; see docs/benchmarks.md.
# `make bench BENCH_ARGS=--quick` takes less than two minutes; BENCH_ARGS=--help lists the rest.

BENCH_LOAD    := $(BUILD)/bench/load
BENCH_SOURCES := $(wildcard tests/bench/*.c)
BENCH_READING := $(BUILD)/bench/reading

.PHONY: bench
bench: build
	@deploy/install-packages run bench
	@$(MAKE) --no-print-directory $(BENCH_LOAD) bench-reading
	@PROGRAM=$(abspath $(PROGRAM)) BENCH_LOAD=$(abspath $(BENCH_LOAD)) $(PYTHON) tests/bench/bench.py $(BENCH_ARGS)

$(BENCH_LOAD): $(BENCH_SOURCES) tests/bench/load.h
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) -D_GNU_SOURCE $(CFLAGS) $(LDFLAGS) -o $@ $(BENCH_SOURCES) -lssl -lcrypto

# What reading SQL costs, without any server.
.PHONY: bench-reading
bench-reading: $(BENCH_READING)
	@$(BENCH_READING)

$(BENCH_READING): tests/bench/reading/reading.c $(LIBRARY)
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIBRARY) $(PKG_LIBS) -lpthread
