# Bulkhead: everything starts here.
#
#   make            build build/bulkhead (installs what the build needs when it is missing)
#   make run        a private PostgreSQL with three tenants behind Bulkhead; prints what to type
#   make test       unit, integration and attack tests
#   make attack     every attack with both halves, without the gate, and without hardening; the table of what held
#   make test-clients  what drivers and ORMs see, and docs/clients.md; over TLS, and docs/tls.md
#   make openapi-lint  what others' tools find in docs/openapi.json
#   make bench      CPU, throughput and latency beside PgBouncer and HAProxy
#   make soak       two minutes of load while clients, backends and the server are killed
#   make soak-crowd  a thousand tenants with schemas and a hundred with databases, through 60 backends
#   make soak-sqlsmith   an hour of random statements as one tenant, while others' words must not be seen
#   make test-longer    integration tests that take too long for make test
#   make test-races     several clients of the admin API at the same thing, hundreds of times
#   make test-workers   the integration tests with four workers
#   make test-differential   the same bytes to PostgreSQL 15 and 18 and through Bulkhead, all of them
#   make image-check   the Dockerfile's steps in a chroot, and what comes of them in front of a PostgreSQL
#   make deb        a Debian package in build/deb; make deb-check boots a Debian with it
#   make SAN=address,undefined …   the same with sanitizers, in a build folder of its own
#
# Every room is a folder of .c files; all of them but cli/main.c make one library, which the
# program, the unit tests and the fuzz targets link.

SHELL   := /bin/bash
ifeq ($(origin CC),default)
CC := gcc
endif
SAN     ?=
BUILD   ?= build$(if $(SAN),/san-$(subst $(comma),-,$(SAN)))
comma   := ,
PREFIX  ?= /usr/local
DESTDIR ?=
UNIT_DIR     ?= $(PREFIX)/lib/systemd/system
SYSUSERS_DIR ?= $(PREFIX)/lib/sysusers.d
MAN_DIR      ?= $(PREFIX)/share/man/man1
BASH_DIR     ?= $(PREFIX)/share/bash-completion/completions
ZSH_DIR      ?= $(PREFIX)/share/zsh/site-functions
PG_BIN  ?= /usr/lib/postgresql/15/bin
PYTHON  ?= /usr/bin/python3

ROOMS   := base conf policy policy/guard router proxy admin admin/api cli
SOURCES := $(foreach room,$(ROOMS),$(wildcard $(room)/*.c))
OBJECTS := $(SOURCES:%.c=$(BUILD)/obj/%.o)
LIBRARY := $(BUILD)/libbulkhead.a
PROGRAM := $(BUILD)/bulkhead

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

OPT      ?= -O2
WARN     := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2
HARDEN   := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=3)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
PKGS     := libevent libevent_openssl libevent_pthreads libssl libcrypto libpq jansson libidn libcurl
CPPFLAGS += -I. -D_GNU_SOURCE -DBULKHEAD_VERSION='"$(VERSION)"'
CFLAGS   += -std=c11 $(OPT) -g $(WARN) $(HARDEN) $(SANFLAGS)
LDFLAGS  += -pie -Wl,-z,relro,-z,now $(SANFLAGS)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null)

# The parser (policy/parse*.c) is one object with PostgreSQL's own in it, out of libpg_query, and nothing
# of either is seen outside but parse_text: the library has names that others use, hash_bytes of ours for one.
# It alone sees the server's headers.
PARSER_SOURCES := $(wildcard policy/parse*.c)
PARSER_OBJECTS := $(PARSER_SOURCES:%.c=$(BUILD)/obj/%.o)
PG_INCLUDE      = $(shell $(PG_BIN)/pg_config --includedir-server)
LIBPG_QUERY     = $(shell $(CC) -print-file-name=libpg_query.a)
PARSER_CFLAGS   = -std=gnu11 -isystem $(PG_INCLUDE)
make_parser     = ld -r --wrap=malloc -o $@ $(1) $(LIBPG_QUERY) && objcopy --keep-global-symbol=parse_text $@

# Say what is done, not how; V=1 shows the commands.
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1)	$(2)")

include tests/tests.mk
include tests/bench/bench.mk
include tests/soak/soak.mk
include deploy/deploy.mk

.DEFAULT_GOAL := build
.PHONY: build build-deps deps run test install install-strip install-systemd uninstall clean fmt lint

build: build-deps
	@$(MAKE) --no-print-directory $(PROGRAM)

# Debian packages, asked of apt only for what dpkg does not know: see deploy/packages. Each target installs
# what it needs itself; `make deps` installs it all.
deps:
	@deploy/install-packages build run test

build-deps:
	@deploy/install-packages build

run: build
	@deploy/install-packages run
	@$(PROGRAM) sandbox $(ARGS)

$(PROGRAM): $(BUILD)/obj/cli/main.o $(LIBRARY)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $< $(LIBRARY) $(PKG_LIBS) -lpthread

$(LIBRARY): $(filter-out $(BUILD)/obj/cli/main.o $(PARSER_OBJECTS),$(OBJECTS)) $(BUILD)/obj/parser.o
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^

$(BUILD)/obj/parser.o: $(PARSER_OBJECTS)
	$(call say,LD,$@)
	$(Q)$(call make_parser,$^)

$(PARSER_OBJECTS): FILE_CFLAGS = $(PARSER_CFLAGS)

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS) $(FILE_CFLAGS) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

# Embedded files (base/embed.h) are in no .d file: what embeds any is built again when one changes.
$(patsubst %.c,$(BUILD)/obj/%.o,$(shell grep -l '^EMBED_TEXT' $(SOURCES))): \
	$(shell find $(ROOMS) -name '*.sql')

install: build
	install $(STRIP) -D -m 0755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/bulkhead
	install -D -m 0644 conf/bulkhead.ini $(DESTDIR)$(PREFIX)/share/bulkhead/bulkhead.ini
	@rm -rf $(BUILD)/told && mkdir -p $(BUILD)/told/man
	$(PROGRAM) man --all $(BUILD)/told/man
	$(PROGRAM) completion bash >$(BUILD)/told/bulkhead
	$(PROGRAM) completion zsh >$(BUILD)/told/_bulkhead
	install -d $(DESTDIR)$(MAN_DIR)
	install -m 0644 $(BUILD)/told/man/*.1 $(DESTDIR)$(MAN_DIR)
	install -D -m 0644 $(BUILD)/told/bulkhead $(DESTDIR)$(BASH_DIR)/bulkhead
	install -D -m 0644 $(BUILD)/told/_bulkhead $(DESTDIR)$(ZSH_DIR)/_bulkhead

install-strip:
	@$(MAKE) --no-print-directory install STRIP=-s

# Units of systemd, and the settings and the user that they take; settings that are there already stay.
install-systemd: install
	install -d $(DESTDIR)$(UNIT_DIR) $(DESTDIR)$(SYSUSERS_DIR)
	install -m 0644 deploy/systemd/bulkhead.service $(DESTDIR)$(UNIT_DIR)
	sed -i 's|/usr/bin/bulkhead|$(PREFIX)/bin/bulkhead|' $(DESTDIR)$(UNIT_DIR)/bulkhead.service
	install -m 0644 deploy/systemd/bulkhead.socket $(DESTDIR)$(UNIT_DIR)
	install -m 0644 deploy/systemd/sysusers.conf $(DESTDIR)$(SYSUSERS_DIR)/bulkhead.conf
	[ -e $(DESTDIR)/etc/bulkhead/bulkhead.ini ] || \
		install -D -m 0644 deploy/systemd/bulkhead.ini $(DESTDIR)/etc/bulkhead/bulkhead.ini

# What both of them put there. Settings that were changed stay, and so do keys beside them and the user.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/bulkhead $(DESTDIR)$(PREFIX)/share/bulkhead/bulkhead.ini \
		$(DESTDIR)$(UNIT_DIR)/bulkhead.service $(DESTDIR)$(UNIT_DIR)/bulkhead.socket \
		$(DESTDIR)$(SYSUSERS_DIR)/bulkhead.conf $(DESTDIR)$(MAN_DIR)/bulkhead.1 \
		$(DESTDIR)$(MAN_DIR)/bulkhead-*.1 $(DESTDIR)$(BASH_DIR)/bulkhead $(DESTDIR)$(ZSH_DIR)/_bulkhead
	! cmp -s deploy/systemd/bulkhead.ini $(DESTDIR)/etc/bulkhead/bulkhead.ini || rm $(DESTDIR)/etc/bulkhead/bulkhead.ini
	for folder in $(PREFIX)/share/bulkhead /etc/bulkhead; do \
		[ ! -d $(DESTDIR)$$folder ] || rmdir --ignore-fail-on-non-empty $(DESTDIR)$$folder; \
	done

clean:
	rm -rf build build-*

HEADERS := $(foreach room,$(ROOMS),$(wildcard $(room)/*.h))
fmt:
	clang-format -i $(SOURCES) $(HEADERS) $(wildcard tests/*/*.c tests/*/*/*.c)

lint:
	clang-format --dry-run -Werror $(SOURCES) $(HEADERS) $(wildcard tests/*/*.c tests/*/*/*.c)
	clang-tidy --quiet $(filter-out $(PARSER_SOURCES),$(SOURCES)) -- -I. -D_GNU_SOURCE \
		-DBULKHEAD_VERSION='"lint"' -std=c11 $(PKG_CFLAGS)
	clang-tidy --quiet $(PARSER_SOURCES) -- -I. -D_GNU_SOURCE $(PARSER_CFLAGS)
