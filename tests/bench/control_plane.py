"""The admin API: how soon open sessions feel a change, and what a tree of a hundred thousand tenants costs.

Each on a stand of its own (tests/harness), not on the stage of the other scenarios. A row of the table is a kind of request;
kinds take turns, a few requests at a time, so that a slow minute of the machine hits them all.
"""

import os
import statistics
import sys

from harness.api import Api
from harness.big_tree import LEVELS, PARTS, SUBTREE, TENANTS, WIDE, plant
from harness.live_changes import CHANGES, Caller, LiveChanges
from harness.stand import Stand
from peers import Peer, Server
from probes import cpu
from scenario import Scenario

QUIET = {"log": {"level": "info"}}  # not all that tests read


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


class Samples:
    """Seconds, and the machine's load average when they were measured."""

    def __init__(self):
        self.times, self.loads, self.cpu = [], [], []

    def add(self, times):
        self.times += times
        self.loads.append(os.getloadavg()[0])

    def figures(self):
        return ({"server_ms": 1000 * percentile(self.cpu, 0.5)} if self.cpu else {}) | {"count": len(self.times), "p50_ms": 1000 * percentile(self.times, 0.5),
                "p99_ms": 1000 * percentile(self.times, 0.99), "max_ms": 1000 * max(self.times),
                "load": statistics.median(self.loads)}


class ByKind(Scenario):
    """All kinds are measured when the first is asked for."""

    def __init__(self, name, title, kinds):
        super().__init__(name, title, [], rounds=1)
        self.peers = [Peer(key, label, Server) for key, label in kinds.items()]
        self.found = None

    def run(self, stage, programs, options, round_number, peer):
        if self.found is None:
            samples = {one.key: Samples() for one in self.peers}
            self.measure(samples, options)
            self.found = {key: one.figures() for key, one in samples.items()}
        return self.found[peer.key]

    def measure(self, samples, options):
        raise NotImplementedError


class Changes(ByKind):
    """From before the request to the first answer on an open connection that says so; 200 of each kind."""

    TIMES = 200
    TURNS = 10

    def __init__(self):
        super().__init__("changes", f"from a request to the admin API to what an open session feels of it, {self.TIMES} of each",
                         {f"change-{name}": change.title for name, change in CHANGES.items()})

    def measure(self, samples, options):
        stand = Stand(None).start()
        try:
            with LiveChanges(stand, **QUIET) as changes:
                for _ in range(2 if options.quick else self.TURNS):
                    for name in CHANGES:
                        samples[f"change-{name}"].add(changes.measure(name, self.TIMES // self.TURNS))
        finally:
            stand.remove()

    def wrong(self, rounds):
        late = [key for figures in rounds for key, one in figures.items() if one["p99_ms"] >= 1000]
        return f"p99 is a second or more: {', '.join(late)}" if late else None


def tenants(path, query=""):
    """How to read something of a tenant: `path` is a word with {part} and {child} in it."""
    return lambda turn: ("GET", "/v1/tenants" + path.format(part=turn % PARTS, child=1 + turn % WIDE) + query, None)


DEEP, TOP, CHILD = f"/tree-{{part}}-deep-{LEVELS}", "/tree-{part}-top", "/tree-{part}-{child}"
PAGE = "?limit=50"

# (the kind, what it is, its request by the number of the turn). Of each two hundred.
SMALL = [
    ("get", f"one, {LEVELS} levels deep", tenants(DEEP)),
    ("list-first", "list by slug: the first page", tenants("", PAGE)),
    ("list-last", "list by slug: the last page", tenants("", PAGE + "&cursor={last}")),
    ("list-part", "list by slug, for a key of a tenth: the first page", tenants("", PAGE)),
    ("children", "children, 50 of 100", tenants(CHILD + "/children", PAGE)),
    ("descendants-first", "descendants, 50 of 9,999: the first page", tenants(TOP + "/descendants", PAGE)),
    ("descendants-last", "descendants: the last page", tenants("/tree-5-top/descendants", PAGE + "&cursor={below}")),
    ("ancestors", f"ancestors, {LEVELS - 1}", tenants(DEEP + "/ancestors", PAGE)),
    ("settings", "settings that hold, with 19 above that set some", tenants(DEEP + "/settings:resolved", PAGE)),
    ("permissions", "permissions that hold, the same", tenants(DEEP + "/permissions:effective", PAGE)),
    ("create", "create one", lambda turn: ("POST", "/v1/tenants", {"slug": f"made-{turn}", "parent": f"tree-9-{1 + turn % WIDE}"})),
    ("set", "set a setting where nobody is below",
     lambda turn: ("PUT", f"/v1/tenants/tree-{turn % PARTS}-deep-{LEVELS}/settings/app.size", {"value": turn})),
]

# Of each ten. They take a tenth of the tree, tree-0-top, along, and leave it somewhere else.
LARGE = [
    ("move", f"move of {SUBTREE:,}", lambda turn: ("POST", "/v1/tenants/tree-0-top:move", {"parent": f"tree-{1 + turn % 8}"})),
    ("suspend", f"suspend {SUBTREE:,}", lambda turn: ("POST", "/v1/tenants/tree-0-top:suspend", {"subtree": True})),
    ("resume", f"resume {SUBTREE:,}", lambda turn: ("POST", "/v1/tenants/tree-0-top:resume", {"subtree": True})),
    ("set-above", f"set a setting above {SUBTREE - 1:,}",
     lambda turn: ("PUT", "/v1/tenants/tree-0-top/settings/app.size", {"value": turn})),
]


class Tree(ByKind):
    """Requests of the admin API, from sending them to the end of the answer, over one connection."""

    TURNS, SMALL_TIMES = 10, 20

    def __init__(self):
        super().__init__("tree", f"the admin API with {TENANTS:,} tenants, some of them {LEVELS} levels deep",
                         {f"tree-{key}": label for key, label, _ in SMALL + LARGE}
                         | {"tree-walk": "list by slug: every page of 200, from the first to the last"})

    def measure(self, samples, options):
        stand = Stand(None, settings={"shared_buffers": "256MB", "max_wal_size": "1GB"}).start()
        try:
            with stand.admin() as admin:
                took = plant(admin, audited=False)
            print(f"bench: {TENANTS:,} tenants were made in {took:.0f} s, without audit records of them", file=sys.stderr)
            with Api(stand, proxy=QUIET, request_timeout="5min") as api:
                self.measure_with(api, samples, options)
        finally:
            stand.remove()

    def measure_with(self, api, samples, options):
        callers = {"all": Caller(api.port, api.key()), "part": Caller(api.port, api.key("viewer", "tree-3"))}
        cursors = {"last": walk(callers["all"], "/v1/tenants", samples["tree-walk"]),
                   "below": walk(callers["all"], "/v1/tenants/tree-5-top/descendants", Samples())}

        with api.admin() as admin:
            backends = [pid for pid, in admin.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'bulkhead api'")]

        def ask(key, request, turn):
            method, path, body = request(turn)
            caller = callers["part" if key.endswith("-part") else "all"]
            headers = {"If-Match": "*"} if method == "PUT" else {}
            before = sum(map(cpu, backends))
            answer, took = caller.ask(method, path.replace("{last}", cursors["last"]).replace("{below}", cursors["below"]),
                                      body, **headers)
            assert key != "move" or answer["moved"] == SUBTREE, answer
            assert method != "GET" or answer.get("items", True), f"nothing came of {path}"
            samples[f"tree-{key}"].add([took])
            samples[f"tree-{key}"].cpu.append(sum(map(cpu, backends)) - before)

        for turn in range(3 if options.quick else self.TURNS):
            for key, _, request in SMALL:
                for again in range(self.SMALL_TIMES):
                    ask(key, request, turn * self.SMALL_TIMES + again)
            for key, _, request in LARGE:
                ask(key, request, turn)
        for caller in callers.values():
            caller.close()


def walk(caller, path, samples):
    """Reads a list to its end; the cursor of the last page."""
    cursor = None
    while True:
        answer, took = caller.ask("GET", f"{path}?limit=200" + (f"&cursor={cursor}" if cursor else ""))
        samples.add([took])
        if not answer["next"]:
            return cursor
        cursor = answer["next"]
