# make soak: load, and a storm in which clients, backends and the server are killed. Included by the Makefile.
# `make soak SOAK_SECONDS=600` goes on for longer, SOAK_SEED=… begins as an earlier one did, SAN=address,undefined
# builds it with sanitizers. Ten seconds of it are part of `make test`.
#
# make soak-outage: the control database is away for a minute (OUTAGE_SECONDS=60) under load, and three seconds of
# that are in `make test`.
#
# make soak-sqlsmith: SQLsmith's random statements as one tenant for an hour (SMITH_SECONDS=3600), beside another one
# whose words must not be seen; SMITH_SEED=…, HARDENING=strict. A minute of it is in `make test`.

# make soak-crowd: a thousand tenants with schemas and a hundred with databases, 60 backends, for a minute
# (CROWD='--schemas 100 --workers 4 …': tests/soak/crowd.py --help).

SOAK_SECONDS   ?= 120
SOAK_SEED      ?=
OUTAGE_SECONDS ?= 60
SMITH_SECONDS  ?= 3600
SMITH_SEED     ?=
HARDENING      ?= standard

CROWD          ?=

.PHONY: soak soak-outage soak-sqlsmith soak-crowd
soak: build test-deps
	@PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) tests/soak/soak.py --seconds $(SOAK_SECONDS) \
		$(if $(SOAK_SEED),--seed $(SOAK_SEED))

soak-outage: build test-deps
	@PROGRAM=$(abspath $(PROGRAM)) BULKHEAD_OUTAGE=$(OUTAGE_SECONDS) $(PYTHON) -m pytest -q -s -p no:cacheprovider \
		tests/integration/test_feed.py -k outage

soak-sqlsmith: build test-deps
	@PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) tests/soak/smith.py --seconds $(SMITH_SECONDS) --hardening $(HARDENING) \
		$(if $(SMITH_SEED),--seed $(SMITH_SEED))

soak-crowd: build test-deps
	@PROGRAM=$(abspath $(PROGRAM)) $(PYTHON) tests/soak/crowd.py $(CROWD)
