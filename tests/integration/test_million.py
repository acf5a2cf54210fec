"""A million tenants in the control schema cost a proxy only those that it serves. BULKHEAD_LARGE=1 runs it: it takes minutes."""

import os
import time

import pytest
from harness.program import INSTRUMENTED
from harness.stand import Stand
from harness.wait import wait_for

pytestmark = [pytest.mark.alone, pytest.mark.skipif(os.environ.get("BULKHEAD_LARGE") != "1" or INSTRUMENTED,
                                                    reason="takes minutes: BULKHEAD_LARGE=1")]

MANY = int(os.environ.get("BULKHEAD_TENANTS", "1000000"))
SERVED = 100
PER_TENANT = 4096  # bytes that one more tenant may cost, sessions not counted


@pytest.fixture(scope="module")
def crowd(template):
    """A stand of its own: the tenants would be in every other test's way. Seconds that making them took, too."""
    stand = Stand(template).start()
    began = time.monotonic()
    with stand.admin() as admin:
        for first in range(0, MANY, 100000):
            admin.execute("INSERT INTO bulkhead_control.tenant (id, slug, external_key, name) "
                          "SELECT gen_random_uuid(), 'm' || n, 'key-' || n, 'x' FROM generate_series(%s, %s) n",
                          (first, min(first + 100000, MANY) - 1))
        admin.execute("ANALYZE bulkhead_control.tenant, bulkhead_control.tenant_token")
    print(f"{MANY} tenants were made in {time.monotonic() - began:.0f} s")
    yield stand
    stand.remove()


def percentiles(times):
    times = sorted(times)
    return f"p50 {1000 * times[len(times) // 2]:.2f} ms, p99 {1000 * times[len(times) * 99 // 100]:.2f} ms"


def test_a_look_up_is_quick_by_every_word(crowd):
    with crowd.admin() as admin:
        ids = {n: str(tenant) for n, tenant in admin.execute(
            "SELECT substr(slug, 2)::int, id FROM bulkhead_control.tenant WHERE slug = ANY(%s)",
            ([f"m{n}" for n in range(7, MANY, MANY // 300)],)).fetchall()}
    with crowd.postgres.connect("shop", user="bulkhead_sidecar") as sidecar:
        for kind, words in (("id", list(ids.values())), ("slug", [f"m{n}" for n in ids]), ("key", [f"key-{n}" for n in ids]),
                            ("unknown", [f"none-{n}" for n in ids])):
            times = []
            for word in words:
                began = time.perf_counter()
                found = sidecar.execute("SELECT id FROM bulkhead_control.lookup_tenant(%s)", (word,)).fetchall()
                times.append(time.perf_counter() - began)
                assert len(found) == (kind != "unknown")
            print(f"by {kind}: {percentiles(times)}")
            assert sorted(times)[len(times) // 2] < 0.005


def test_a_proxy_pays_for_what_it_serves(crowd):
    with crowd.proxy(control={"directory_ttl": "1h"}, listen__trusted={}) as proxy:
        for n in range(5):
            proxy.wire(f"m{n}", trusted=True).close()
        before, times = proxy.resident(), []
        for n in range(1000, 1000 + SERVED):
            began = time.perf_counter()
            proxy.wire(f"m{n}", trusted=True).close()
            times.append(time.perf_counter() - began)
        grown = proxy.resident() - before
        print(f"first logins of {SERVED} tenants: {percentiles(times)}; memory {proxy.resident() / 1e6:.1f} MB, of it "
              f"{grown / SERVED:.0f} bytes for each")
        assert grown < SERVED * PER_TENANT + 1_000_000

        with proxy.wire("m1000", trusted=True) as wire, crowd.admin() as admin:
            before, began = proxy.resident(), time.monotonic()
            admin.execute("UPDATE bulkhead_control.tenant SET name = 'y' WHERE slug ~ '^m[5-9][0-9]{4,5}$' AND id IN "
                          "(SELECT id FROM bulkhead_control.tenant WHERE slug ~ '^m[5-9][0-9]{4,5}$' LIMIT 100000)")
            stormed = time.monotonic()
            admin.execute("UPDATE bulkhead_control.tenant SET status = 'suspended' WHERE slug = 'm1000'")
            wait_for(lambda: not wire.is_silent(0.001), "the end", 5)
            took = time.monotonic() - stormed
            print(f"100,000 other tenants changed in {stormed - began:.1f} s; a change behind them held after "
                  f"{1000 * took:.1f} ms; memory grew by {(proxy.resident() - before) / 1e6:.2f} MB")
            assert wire.until_end()[-1].fields["C"] == "57P01"
            assert took < 1 and proxy.resident() - before < 4_000_000
