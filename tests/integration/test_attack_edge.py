import contextlib, fcntl, os, signal, socket, subprocess, threading, time
import psycopg, pytest
from harness.probe import ask, probed, port_of, raw
from harness.stand import DATABASE, HOST
from harness.wait import wait_for
from harness.wire import Wire, errors, query, rows
from test_workers import begin, four, one_on_each, worker_of

TICK = os.sysconf("SC_CLK_TCK")


def cpu(proxy):
    fields = open(f"/proc/{proxy.process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def cpu_over(proxy, seconds=2):
    before = cpu(proxy)
    time.sleep(seconds)
    return (cpu(proxy) - before) / seconds


def test_waiting_for_the_server_costs_nothing(stand):
    with stand.proxy(**four(cluster__default={"max_server_connections": 1}, pool={"default_pool_size": 20})) as proxy:
        with one_on_each(proxy) as wires:
            begin(wires[0])
            for wire in wires[1:]:
                wire.send(query("SELECT 1"))
            time.sleep(0.5)
            used = cpu_over(proxy)
            print("CPU", used)
            wires[0].query("COMMIT")
            assert used < 0.1


def test_waiting_for_a_tenants_place_costs_nothing(stand):
    stand.tenant("third")
    pool = {"default_pool_size": 2, "max_tenant_connections": 1}
    with stand.proxy(**four(pool=pool)) as proxy:
        with one_on_each(proxy) as acme, one_on_each(proxy, "globex") as globex, one_on_each(proxy, "third") as third:
            begin(acme[0])
            begin(globex[0])
            third[0].send(query("BEGIN"))
            third[0].until_ready()
            third[0].send(query("SELECT 1"))          # waits for a backend
            for wire in acme[1:]:
                wire.send(query("SELECT 1"))          # wait for acme's one place
            time.sleep(0.5)
            idle = cpu_over(proxy, 1)
            acme[0].query("COMMIT")                   # the backend: third's; the place: goes round
            time.sleep(0.5)
            used = cpu_over(proxy)
            print("CPU", idle, used, [w.is_silent(0.05) for w in acme[1:]], third[0].is_silent(0.05))
            assert idle < 0.1 and used < 0.1


def test_it_lives_while_it_drains(stand):
    with stand.proxy(**four({"drain_timeout": "20s"}), **probed(liveness_timeout="1s")) as proxy, proxy.wire("acme") as wire:
        begin(wire)
        proxy.process.terminate()
        time.sleep(4)
        found = []
        for path in ("/livez", "/metrics"):
            started = time.monotonic()
            try:
                found.append((path, ask(proxy, path)[0], round(time.monotonic() - started, 1)))
            except Exception as e:
                found.append((path, repr(e)))
        wire.query("COMMIT")
        print(found)
        assert [f[1] for f in found] == [200, 200], found


def test_a_lock_of_the_sockets_directory_does_not_stop_the_loop(stand):
    with stand.proxy(**four({"drain_timeout": "20s"})) as proxy, one_on_each(proxy) as wires:
        pids = begin(wires[0])
        fd = os.open(stand.folder, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            proxy.process.terminate()
            time.sleep(0.5)
            wires[0].send(query("SELECT 1"))
            silent = wires[0].is_silent(3)
            print("silent", silent)
            proxy.process.send_signal(signal.SIGTERM)
            try:
                code = proxy.process.wait(4)
            except subprocess.TimeoutExpired:
                code = "hangs"
            print("code", code)
        finally:
            os.close(fd)
        assert not silent and code == 0


@pytest.mark.parametrize("path", ["/livez", "/metrics"])
def test_a_peer_that_half_closes_has_its_answer(stand, path):
    with stand.proxy(**four(), **probed()) as proxy:
        got = 0
        for _ in range(10):
            with socket.create_connection((HOST, port_of(proxy))) as s:
                s.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
                s.shutdown(socket.SHUT_WR)
                s.settimeout(3)
                got += s.recv(100).startswith(b"HTTP/1.1 200")
        assert got == 10, got


def test_without_descriptors_the_probes_do_not_spin(stand):
    with stand.proxy(**four(), **probed()) as proxy:
        pid = proxy.process.pid
        import resource
        n = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (n, n))
        size = proxy.log.stat().st_size
        s = [socket.create_connection((HOST, port_of(proxy))) for _ in range(3)]
        time.sleep(0.3)
        used = cpu_over(proxy)
        print("CPU", used, "log", proxy.log.stat().st_size - size)
        print(proxy.log.read_text()[-300:])
        for one in s:
            one.close()
        assert used < 0.1


def test_a_tenants_place_does_not_go_round_and_round(stand):
    stand.tenant("third")
    pool = {"default_pool_size": 2, "max_tenant_connections": 1}
    with stand.proxy(**four(pool=pool)) as proxy:
        with one_on_each(proxy) as acme, one_on_each(proxy, "globex") as globex, one_on_each(proxy, "third") as third:
            begin(acme[0])
            begin(globex[0])
            third[2].query("BEGIN")
            third[2].send(query("SELECT 1"))
            time.sleep(0.5)
            for n in (1, 3):
                acme[n].send(query("SELECT 1"))          # wait for acme's one place
            time.sleep(0.5)
            idle = cpu_over(proxy, 1)
            acme[0].query("COMMIT")                   # the backend: third's; the place: goes round
            time.sleep(0.5)
            used = cpu_over(proxy)
            print("CPU", idle, used, [acme[n].is_silent(0.05) for n in (1, 3)], third[2].is_silent(0.05)); print(subprocess.run(["gdb","-p",str(proxy.process.pid),"-batch","-ex","thread apply all -q -s p worker->number","-ex","thread 2","-ex","info threads"],capture_output=True,text=True).stdout[-1500:]) if os.environ.get("GDB") else None; third[2].query("COMMIT"); print([acme[n].is_silent(1) for n in (1,3)])
            assert idle < 0.1 and used < 0.1


def test_places_of_a_route_and_a_server_under_storm(stand):
    """Everybody comes and goes; afterwards all numbers are what they were: each worker can have the whole pool."""
    import random
    from harness.wire import WireError
    stand.cluster("annex"); stand.tenant("annex", cluster="annex")
    sections = four({"max_client_conn": 40, "reserved_client_conn": 0, "max_tenant_client_connections": 25},
                    cluster__default={"max_server_connections": 3}, cluster__annex={"max_server_connections": 3},
                    pool={"default_pool_size": 2, "max_tenant_connections": 1, "query_wait_timeout": "3s"})
    with stand.proxy(**sections) as proxy:
        stop = time.monotonic() + 8
        bad = []
        def work(number):
            rnd = random.Random(number)
            while time.monotonic() < stop:
                with contextlib.suppress(OSError, EOFError, WireError):
                    t = ("acme", "globex", "annex")[number % 3]
                    wire = proxy.wire(t, **({"dbname": "annex"} if t == "annex" else {}))
                    try:
                        for _ in range(rnd.randrange(1, 6)):
                            k = rnd.randrange(5)
                            if k == 0: wire.query("SELECT 1")
                            elif k == 1: wire.query("BEGIN"); wire.query("SELECT 1"); wire.query("COMMIT")
                            elif k == 2: wire.send(query("SELECT pg_sleep(0.3)")); time.sleep(rnd.random() / 20); wire.cancel(); wire.until_ready()
                            elif k == 3: wire.send(query("SELECT pg_sleep(0.01)")); break
                            else: wire.query("SET work_mem = '7MB'")
                    finally:
                        wire.close()
        threads = [threading.Thread(target=work, args=(n,)) for n in range(36)]
        [t.start() for t in threads]
        n = 0
        while time.monotonic() < stop:
            time.sleep(1); n += 1
            proxy.reload(pool={"default_pool_size": 1 + n % 3, "max_tenant_connections": n % 3})
        [t.join() for t in threads]
        proxy.reload(pool={"default_pool_size": 3, "max_tenant_connections": 2})
        time.sleep(1.5)
        print("cpu idle", cpu_over(proxy, 1))
        with one_on_each(proxy) as a, one_on_each(proxy, "globex") as g:
            for x, y in zip(a, g):
                begin(x); begin(y)
                y.query("COMMIT"); x.query("COMMIT")
            for _ in range(5):
                for x in a + g:
                    x.send(query("SELECT pg_sleep(0.01)"))
                for x in a + g:
                    assert not errors(x.until_ready())
            begin(a[0]); begin(a[3]); begin(g[2])
            a[1].send(query("SELECT 1"))
            assert a[1].is_silent(0.3)
            with stand.admin() as admin:
                assert admin.execute("SELECT count(*) FROM pg_stat_activity WHERE usename='bulkhead_pool'").fetchone()[0] <= 3
            a[3].query("COMMIT")
            assert not errors(a[1].until_ready())


@pytest.mark.parametrize("gap", [0, 0.05, 0.4])
def test_two_signals_in_a_storm(stand, gap):
    from harness.wire import WireError
    for turn in range(2):
        with stand.proxy(**four({"drain_timeout": "5s"}, pool={"default_pool_size": 2, "query_wait_timeout": "2s"}), **probed()) as proxy:
            stop = threading.Event()
            def work(number):
                while not stop.is_set():
                    with contextlib.suppress(OSError, EOFError, WireError):
                        wire = proxy.wire(("acme", "globex")[number % 2])
                        try:
                            wire.query("BEGIN"); wire.query("SELECT 1"); wire.query("COMMIT")
                            wire.send(query("SELECT pg_sleep(0.2)"))
                            if number % 3: wire.cancel()
                            wire.until_ready()
                        finally:
                            wire.close()
            def scrape():
                while not stop.is_set():
                    with contextlib.suppress(Exception):
                        ask(proxy, "/metrics")
            threads = [threading.Thread(target=work, args=(n,)) for n in range(16)] + [threading.Thread(target=scrape)]
            [t.start() for t in threads]
            time.sleep(1.5)
            proxy.process.terminate(); time.sleep(gap)
            if gap: proxy.process.send_signal(signal.SIGHUP)
            proxy.process.terminate()
            started = time.monotonic()
            try:
                code = proxy.process.wait(15)
                print("took", round(time.monotonic() - started, 2), "code", code)
            finally:
                stop.set()
                [t.join() for t in threads]
            assert code == 0


def test_probes_under_a_flood(stand):
    with stand.proxy(**four(), **probed()) as proxy:
        stop = threading.Event()
        def flood():
            held = []
            while not stop.is_set():
                with contextlib.suppress(OSError):
                    held.append(socket.create_connection((HOST, port_of(proxy)), timeout=2))
                if len(held) > 64:
                    held.pop(0).close()
        threads = [threading.Thread(target=flood) for _ in range(2)]
        [t.start() for t in threads]
        good, bad = 0, []
        for _ in range(40):
            started = time.monotonic()
            try:
                good += ask(proxy, "/livez")[0] == 200
            except Exception as e:
                bad.append(repr(e)[:60])
            if time.monotonic() - started > 1:
                bad.append("slow %.1f" % (time.monotonic() - started))
            time.sleep(0.02)
        stop.set(); [t.join() for t in threads]
        print(good, bad[:5], len(bad))
        assert good == 40


COUNTERS = ("bulkhead_server_received_bytes_total", "bulkhead_server_sent_bytes_total")


def test_counters_never_go_down_while_backends_move(stand):
    from harness.probe import metrics
    with stand.proxy(**four(pool={"default_pool_size": 1}), **probed()) as proxy, one_on_each(proxy) as wires:
        stop = threading.Event()
        def work(wire):
            while not stop.is_set():
                wire.query("SELECT repeat('x', 3000)")
        threads = [threading.Thread(target=work, args=(wire,)) for wire in wires]
        [t.start() for t in threads]
        worst, last, n = {}, {}, 0
        end = time.monotonic() + 5
        try:
            while time.monotonic() < end:
                n += 1
                found = {k: v for k, v in metrics(proxy).items() if str(k if isinstance(k, str) else k[0]).endswith(("_total", "_count", "_sum"))}
                for k, v in found.items():
                    if v < last.get(k, 0):
                        worst.setdefault(k, (last[k], v))
                last = found
        finally:
            stop.set(); [t.join() for t in threads]
        print(n, worst)
        assert not worst


def test_counters_of_a_route_stay_when_a_workers_pool_goes(stand):
    from harness.probe import metrics
    with stand.proxy(**four(pool={"default_pool_size": 1}), **probed()) as proxy, one_on_each(proxy) as wires:
        for wire in wires:
            for _ in range(10):
                wire.query("SELECT 1")
        def counters():
            return {k: v for k, v in metrics(proxy).items()
                    if str(k if isinstance(k, str) else k[0]).endswith(("_total", "_count", "_sum"))}
        before = counters()
        wires[1].close()
        time.sleep(1.5)
        after = counters()
        less = {k: (v, after.get(k)) for k, v in before.items() if after.get(k, 0) < v}
        print(less)
        assert not less


@pytest.mark.parametrize("size", [1, 2, 20])
@pytest.mark.parametrize("places", [0, 1, 3])
@pytest.mark.parametrize("share", [0, 1])
def test_waiting_costs_nothing_whatever_is_short(stand, size, places, share):
    stand.cluster("annex"); stand.tenant("annex", cluster="annex"); stand.tenant("third")
    if size == 20 and not places and not share:
        pytest.skip("nothing is short")
    m = {"max_server_connections": places}
    with stand.proxy(**four(cluster__default=m, cluster__annex=m,
                            pool={"default_pool_size": size, "max_tenant_connections": share})) as proxy:
        with contextlib.ExitStack() as stack:
            proxy.wire("annex", dbname="annex").close(); holders = []
            for t in ("acme", "globex", "third"):
                w = proxy.wire(t); stack.enter_context(w); w.query("BEGIN"); w.send(query("SELECT 1")); holders.append(w)
            time.sleep(0.2)
            waiting = []
            for n in range(16):
                t = ("acme", "globex", "annex", "third")[n % 4 if n < 8 else (n + n // 4) % 4]
                w = stack.enter_context(proxy.wire(t, **({"dbname": "annex"} if t == "annex" else {})))
                w.query("BEGIN"); w.send(query("SELECT 1")); waiting.append(w)
            time.sleep(0.3)
            first = cpu_over(proxy, 0.6)
            for w in holders:
                if not w.is_silent(0.01):
                    w.until_ready(); w.query("COMMIT"); break
            time.sleep(0.3)
            second = cpu_over(proxy, 0.6)
            print(size, places, share, first, second)
            assert first < 0.15 and second < 0.15
