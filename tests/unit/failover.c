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
	cr_expect(server.given_up && server.doubted);
	failover_trust(&server);
	cr_expect(!server.given_up && !server.doubted);
}

Test(failover, who_has_to_go_for_another_reason_goes)
{
	static const char down[] = "its cluster was taken out of service";
	struct server server = {.pool = &pool};

	failover_doubt(&server);
	server_give_up(&server, down);
	failover_trust(&server);
	cr_expect_eq(server.given_up, down);
	cr_expect_not(server.doubted);
}
