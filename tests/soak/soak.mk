# make soak: load, and a storm in which clients, backends and the server are killed. Included by the Makefile.
# `make soak SOAK_SECONDS=600` goes on for longer, SOAK_SEED=… begins as an earlier one did; with SAN=address,undefined
# in a build with sanitizers. Ten seconds of it are part of `make test`.

SOAK_SECONDS ?= 120
SOAK_SEED    ?=

.PHONY: soak
soak: build test-deps
	@PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) tests/soak/soak.py --seconds $(SOAK_SECONDS) \
		$(if $(SOAK_SEED),--seed $(SOAK_SEED))
