/* What becomes of a backend that was taken for one of a read-only server. */
#include <criterion/criterion.h>

#include "proxy/failover.h"
#include "proxy/pool.h"
#include "proxy/server.h"

static struct conf_cluster cluster = {.target = TARGET_READ_WRITE};
static struct pool pool = {.cluster = &cluster};

Test(failover, one_that_takes_writes_after_all_stays)
{
	struct server server = {.pool = &pool};

	failover_doubt(&server);
	cr_expect(server.too_old && server.doubted);
	failover_trust(&server);
	cr_expect(!server.too_old && !server.doubted && !server.why_old);
}

Test(failover, who_has_to_go_for_another_reason_goes)
{
	static const char down[] = "its cluster was taken out of service";
	struct server server = {.pool = &pool};

	failover_doubt(&server);
	server.doubted =
		false; /* as whoever gives a backend up has it: service.c, pool_expire, RECONNECT */
	server.why_old = down;
	failover_trust(&server);
	cr_expect(server.too_old);
	cr_expect_eq(server.why_old, down);
}
