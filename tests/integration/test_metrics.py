"""/metrics: what it counts is what happened, and Prometheus can read it."""

import os
import re
import shutil
import subprocess
import threading
import time

import psycopg
import pytest

from harness.probe import ask, ask_for, metrics, probed, text
from harness.program import ROOT, succeed
from harness.threads import held, workers
from harness.wait import wait_for
from harness.wire import bind, execute, parse, query, sync

PROMTOOL = os.environ.get("PROMTOOL") or shutil.which("promtool")


@pytest.fixture
def proxy(stand):
    with stand.proxy(**probed()) as proxy:
        yield proxy


def difference(proxy, before, *key):
    return metrics(proxy)[key if len(key) > 1 else key[0]] - before[key if len(key) > 1 else key[0]]


# ---- form ----

@pytest.mark.skipif(not PROMTOOL, reason="promtool, of the package prometheus, is not there")
def test_promtool_finds_nothing_wrong(proxy):
    proxy.wire("acme").query("SELECT 1")
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text(proxy), text=True, capture_output=True,
                          check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_family_has_help_and_type_once_and_samples_behind_it(proxy):
    proxy.wire("acme").query("SELECT 1")
    family, seen, types = None, set(), {}
    for line in text(proxy).splitlines():
        if line.startswith("# HELP "):
            family = line.split()[2]
            assert family not in seen and len(line.split(" ", 3)[3]) > 10
            seen.add(family)
        elif line.startswith("# TYPE "):
            assert line.split()[2] == family
            types[family] = line.split()[3]
        else:
            name = re.match(r"[a-z_]+", line)[0]
            suffixes = ("_bucket", "_sum", "_count") if types[family] == "histogram" else ("",)
            assert name in {family + suffix for suffix in suffixes}
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in types.items())
    assert all(name.startswith(("bulkhead_", "process_")) for name in types)


PLAIN, OPEN = "text/plain; version=0.0.4; charset=utf-8", "application/openmetrics-text; version=1.0.0; charset=utf-8"


@pytest.mark.parametrize("accept, expected", [
    (None, PLAIN), ("*/*", PLAIN), ("application/openmetrics-text;version=0.0.1;q=0.9,*/*;q=0.1", PLAIN),
    ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPEN)])
def test_the_form_is_the_one_that_was_asked_for(proxy, accept, expected):
    status, found, body = ask_for(proxy, "/metrics", {"Accept": accept} if accept else {})
    assert (status, found, body.endswith("\n# EOF\n")) == (200, expected, expected == OPEN)
    assert ask_for(proxy, "/livez", {"Accept": accept} if accept else {})[1].startswith("text/plain")


def test_openmetrics_has_the_same_samples(proxy):
    proxy.wire("acme").query("SELECT 1")
    _, _, opened = ask_for(proxy, "/metrics", {"Accept": "application/openmetrics-text"})
    plain = text(proxy)

    def heads(body):
        return [line.rsplit(" ", 1)[0] for line in body.splitlines() if not line.startswith("#")]
    assert heads(opened) == heads(plain)
    types = dict(line.split()[2:] for line in opened.splitlines() if line.startswith("# TYPE "))
    assert len(types) == plain.count("# TYPE ") and not [name for name in types if name.endswith("_total")]


def test_those_who_wait_together_get_the_forms_they_asked_for(stand):
    with stand.proxy(**probed()) as proxy:
        forms, askers = [], []
        with held(workers(proxy)[-1]):
            for accept in (PLAIN, OPEN, PLAIN, OPEN):
                askers.append(threading.Thread(
                    target=lambda wanted=accept: forms.append((wanted, ask_for(proxy, "/metrics",
                                                                               {"Accept": wanted})[1]))))
                askers[-1].start()
            time.sleep(0.5)
        for thread in askers:
            thread.join()
        assert sorted(forms) == sorted([(PLAIN, PLAIN), (OPEN, OPEN)] * 2)


def test_histograms_add_up(proxy):
    wire = proxy.wire("acme")
    for _ in range(7):
        wire.query("SELECT 1")
    found = [line for line in text(proxy).splitlines() if line.startswith("bulkhead_pool_query_seconds")]
    counts = [int(line.split()[-1]) for line in found if "_bucket" in line]
    assert counts == sorted(counts)
    assert found[-1].startswith("bulkhead_pool_query_seconds_count") and found[-1].endswith(f" {counts[-1]}")
    assert 'le="+Inf"' in found[len(counts) - 1]


def test_the_page_is_up_to_date():
    assert (ROOT / "docs" / "metrics.md").read_text() == succeed("conf", "--metrics")


def test_the_page_lists_what_there_is(proxy):
    page = (ROOT / "docs" / "metrics.md").read_text()
    names = re.findall(r"^# TYPE (\S+)", text(proxy), re.MULTILINE)
    assert re.findall(r"^\| `(\S+)` \|", page, re.MULTILINE) == names


def test_off(stand):
    with stand.proxy(**probed(metrics="no")) as proxy:
        assert ask(proxy, "/metrics") == (404, "metrics are off\n")
        assert ask(proxy, "/livez")[0] == 200
        proxy.wire("acme").query("SELECT 1")


# ---- what is counted ----

def test_sessions_statements_and_times(proxy):
    wires = [proxy.wire("acme") for _ in range(3)]
    before = metrics(proxy)
    for wire in wires:
        wire.query("SELECT 1")
        wire.send(parse("SELECT 2"), bind(), execute(), sync())
        wire.until_ready()
    wires[0].query("BEGIN")
    wires[0].query("SELECT pg_sleep(0.2)")
    found = metrics(proxy)
    wires[0].query("COMMIT")

    assert found["bulkhead_logins_total"] == found["bulkhead_client_connections_total"] == 3
    assert found["bulkhead_pool_sessions", "default", "idle"] == 2
    assert found["bulkhead_pool_sessions", "default", "idle in transaction"] == 1
    assert found["bulkhead_pool_backends", "default", "active"] == 1
    key = ("bulkhead_pool_queries_total", "default")
    assert found[key] - before[key] == 7, "six and pg_sleep: Bulkhead itself has answered the BEGIN"
    count = found["bulkhead_pool_query_seconds_count", "default"]
    assert count == found["bulkhead_pool_queries_total", "default"]
    assert 0.2 <= found["bulkhead_pool_query_seconds_sum", "default"] < 2
    assert difference(proxy, before, "bulkhead_pool_transactions_total", "default") == 7
    assert found["bulkhead_client_received_bytes_total"] > 200
    assert found["bulkhead_server_received_bytes_total"] > 200
    for wire in wires:
        wire.close()


def test_bytes_are_kept_when_connections_close(proxy):
    wire = proxy.wire("acme")
    wire.query("SELECT repeat('x', 100000)")
    wire.close()
    wait_for(lambda: metrics(proxy)["bulkhead_pool_sessions", "default", "idle"] == 0, "the client to be gone")
    assert metrics(proxy)["bulkhead_client_sent_bytes_total"] > 100000
    assert metrics(proxy)["bulkhead_server_received_bytes_total"] > 100000


def test_waiting(stand):
    with stand.proxy(**probed(), pool={"default_pool_size": 1}) as proxy:
        holder, waiter = proxy.wire("acme"), proxy.wire(stand.rival)
        holder.query("BEGIN")
        holder.query("SELECT 1")
        waiter.send(query("SELECT 1"))
        wait_for(lambda: metrics(proxy)["bulkhead_pool_sessions", "default", "waiting"] == 1, "a waiting client")
        time.sleep(0.3)
        found = metrics(proxy)
        assert found["bulkhead_pool_longest_wait_seconds", "default"] >= 0.3
        assert found["bulkhead_tenant_waiting", stand.rival] == 1
        assert found["bulkhead_tenant_backends", "acme"] == 1
        holder.query("COMMIT")
        waiter.until_ready()
        found = metrics(proxy)
        assert found["bulkhead_pool_wait_seconds_sum", "default"] >= 0.3
        if stand.installation.is_shared:
            assert found["bulkhead_pool_handovers_total", "default"] >= 2
            assert found["bulkhead_pool_handover_seconds_count", "default"] >= 2
        assert found["bulkhead_pool_longest_wait_seconds", "default"] == 0
        assert found["bulkhead_pool_query_seconds_count", "default"] == found["bulkhead_pool_queries_total", "default"]


def test_pins_by_cause(proxy):
    wire = proxy.wire("acme")
    wire.query("CREATE TEMP TABLE kept (n int)")
    key = ("bulkhead_pinned_sessions", "temporary objects")
    wait_for(lambda: metrics(proxy).get(key) == 1, "the server to be asked")
    wire.query("DISCARD ALL")
    wait_for(lambda: not metrics(proxy).get(key), "the same")


def test_refusals_and_ends_by_reason(proxy):
    with pytest.raises(psycopg.OperationalError):
        proxy.connect("acme", password="wrong")
    with pytest.raises(psycopg.OperationalError):
        proxy.connect("nobody-there")
    wire = proxy.wire("acme")
    wire.send(b"?\0\0\0\4")
    wire.until_end()
    found = metrics(proxy)
    assert found["bulkhead_logins_refused_total", "BH-ID-PASSWORD"] == 1
    assert found["bulkhead_logins_refused_total", "BH-ID-UNKNOWN-TENANT"] == 1
    assert found["bulkhead_sessions_ended_total", "BH-NET-PROTOCOL"] == 1
    assert found["bulkhead_sessions_ended_total", "BH-ID-PASSWORD"] == 0


def test_directory(proxy):
    wait_for(lambda: metrics(proxy)["bulkhead_directory_up"] == 1, "the control database")
    for _ in range(3):
        proxy.wire("acme").close()
    found = metrics(proxy)
    assert (found["bulkhead_directory_tenants"], found["bulkhead_directory_principals"]) == (1, 1)
    assert found["bulkhead_directory_lookups_total", "found"] == 2
    assert found["bulkhead_directory_lookups_total", "remembered"] == 4
    assert found["bulkhead_directory_lookup_seconds_count"] == 2


def test_verdicts_and_statements(proxy):
    wire = proxy.wire("acme")
    before = metrics(proxy)
    for _ in range(3):
        wire.query("SELECT 'verdict'")
    wire.send(parse("SELECT 3", name="three"), sync())
    wire.until_ready()
    assert difference(proxy, before, "bulkhead_verdict_cache_hits_total") == 2
    assert difference(proxy, before, "bulkhead_verdict_cache_misses_total") == 2
    assert metrics(proxy)["bulkhead_prepared_statements"] == 1


def test_tenants_are_bounded(stand):
    """Those with most sessions have series, the rest is one."""
    slugs = stand.tenants(*(f"metered-{n}" for n in range(8)))
    with stand.proxy(**probed(metrics_tenants=3), listen__trusted={}) as proxy:
        wires = [proxy.wire(slug, trusted=True) for n, slug in enumerate(slugs) for _ in range(8 - n)]
        found = {key[1]: value for key, value in metrics(proxy).items() if key[0] == "bulkhead_tenant_sessions"}
        assert found == {"metered-0": 8, "metered-1": 7, "metered-2": 6, "_other": 5 + 4 + 3 + 2 + 1}
        probes = dict(proxy.settings["probes"])
        proxy.reload(probes={**probes, "metrics_tenants": 0})
        assert not [key for key in metrics(proxy) if key[0] == "bulkhead_tenant_sessions"]
        for wire in wires:
            wire.close()


def test_many_ask_at_once(proxy):
    results = []

    def many():
        for _ in range(20):
            results.append(ask(proxy, "/metrics")[0])

    threads = [threading.Thread(target=many) for _ in range(8)]
    wire = proxy.wire("acme")
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        wire.query("SELECT 1")
    assert results == [200] * 160
