/*
 * stage.h: the data plane on a stage of its own: one worker, applications and PostgreSQLs that
 * a fuzz target plays over sockets, and a directory that answers at once.
 *
 * The worker is made once and used for all inputs; stage_end ends what an input has left and
 * stops the target when anything stays behind.
 */
#ifndef TESTS_FUZZ_STAGE_H
#define TESTS_FUZZ_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/budget.h"
#include "proxy/client.h"
#include "proxy/pool.h"
#include "proxy/server.h"
#include "proxy/worker.h"
#include "tests/fuzz/postgres.h"

#define STAGE_PLAYERS  4
#define STAGE_SERVERS  8
#define STAGE_TENANTS  3 /* `a`, `b` below it, and `c`, which is suspended */
#define STAGE_PASSWORD "pencil"
#define STAGE_TAIL     40

/* An application. */
struct player {
	int fd;       /* -1 when it is closed */
	uint32_t pid; /* its cancel key */
	uint8_t key[4];
	size_t tenant;
	unsigned serial;
	bool marked;           /* sends nothing but what it means to */
	char tail[STAGE_TAIL]; /* the last bytes that came, in which a mark may begin */
	size_t tail_len, bytes;
};

struct stage {
	struct conf *conf;
	char password[sizeof STAGE_PASSWORD]; /* for conf->clusters[0].password */
	struct conf_listen trust, scram;
	struct guard_keyring keyring;
	struct guard_key key;
	struct mailbox *control;
	struct directory *directory;
	struct live *live;
	const struct tenant *tenants[STAGE_TENANTS];
	const struct principal *principal;
	struct worker_address address;
	atomic_uint hosts_age;
	struct budget budget;
	struct worker *worker;
	int listener;

	struct dice dice;
	struct postgres_world world;
	struct postgres servers[STAGE_SERVERS];
	struct player players[STAGE_PLAYERS];
	unsigned serials;
	bool accepted; /* a connection */
	size_t cut; /* the next bytes sent are cut here, with a turn of the loop between; 0: not */
};

/* Made at the first call, and never freed. */
struct stage *stage_get(void);

void stage_begin(struct stage *stage, const uint8_t *data, size_t size);
void stage_end(struct stage *stage);

/* One turn of the worker's loop; connections that come in are given to servers. */
void stage_turn(struct stage *stage);

/* Turns, honest servers and reading applications, until all that can be done is done. */
void stage_settle(struct stage *stage);

/* What the worker does at a tick, as if it were so much later. */
void stage_tick(struct stage *stage, int64_t later_us);

/* A new connection for this player. */
void player_connect(struct stage *stage, struct player *player,
					const struct conf_listen *listen);
void player_close(struct player *player);
void player_send(struct stage *stage, struct player *player, const void *data, size_t len);

/* Reads what has come; a row of another tenant's stops the target. */
void player_read(struct stage *stage, struct player *player);

/* The lists of the data plane agree with each other; run behind each step. */
void stage_check(const struct stage *stage);

#endif
