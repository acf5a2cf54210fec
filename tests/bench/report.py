"""From rounds of figures to medians and ratios, written as Markdown and JSON."""

import json
import statistics
import time

from targets import judge

# Columns of a scenario's table: figure, heading, digits.
COLUMNS = [
    ("queries_per_second", "queries/s", 0),
    ("proxy_us", "proxy CPU µs/query", 2),
    ("backends_us", "backends' CPU µs/query", 2),
    ("p50_us", "p50 µs", 1),
    ("p99_us", "p99 µs", 1),
    ("p999_us", "p99.9 µs", 1),
    ("announcements_per_second", "announcements/s", 0),
    ("system_calls", "system calls/query", 2),
    ("instructions", "user instructions/query", 0),
    ("idle_kb", "kB per idle client", 2),
    ("active_kb", "kB per client at work", 2),
    ("before_us", "proxy CPU µs/query before", 2),
    ("after_us", "after", 2),
    ("after_to_before", "after to before", 3),
    ("known_percent", "texts known %", 2),
    ("read_us", "µs to read one that is not", 2),
    ("read_percent", "reading, % of the proxy's CPU", 2),
    ("count", "times", 0),
    ("p50_ms", "p50 ms", 1),
    ("p99_ms", "p99 ms", 1),
    ("max_ms", "longest ms", 1),
    ("server_ms", "p50 of the server's CPU ms", 1),
    ("load", "load average", 1),
]
BULK_COLUMNS = [
    ("megabytes_per_second", "MB/s", 0),
    ("megabytes_per_cpu_second", "MB per proxy CPU s", 0),
    ("backends_us", "backends' CPU µs per 10 MB", 0),
]

LEGEND = """\
How to read this. Each cell is the median over the rounds (least–greatest). **×** is the peer's figure divided by
that of the first PgBouncer of the table (in a storm: of the Bulkhead that does not hear it) *in the same round*, then the
median over rounds: trust these ratios, not absolute figures, which belong to this machine. All peers get the same bytes from one load generator, over TCP on
loopback, and one table that only differs in its tenancy; all pools have {pool} backends; every proxy has one thread
for data. A query is one row read by its key, unless the heading says otherwise; BEGIN, set_config and COMMIT of (b)
are part of its query's cost and not counted as queries.

- *direct*: no proxy. Clients have backends of their own here and with HAProxy, which pools nothing. With 256
  clients these two are measured in the first round alone, since they must start 256 backends for it.
- *(a)*: PgBouncer in transaction mode in front of a table without tenancy. Nobody is kept apart.
- *(b)*: the application sends `BEGIN`, `set_config('app.tenant', …, true)`, the query and `COMMIT`, one after the
  other, on a table with an ordinary policy. *(b')* sends all four in one write, which few drivers do.
- *Bulkhead*: the tenant is chosen at login; the table is protected and sealed. *The table without tenancy* is (a)'s,
  for comparing the proxies alone: a proxy whose backends answer more slowly has fewer answers to fetch at a time.
- PgBouncer 1.18 has no prepared statements in transaction mode, so *prepared* compares with its session mode. Bulkhead
  keeps a backend for a client with a named statement.
- CPU of the proxy is the scheduler's account of its process, all threads; on loopback most of it is the kernel's, in
  sending. CPU of the backends is that of all of PostgreSQL's processes.
- With 10 or 1,000 tenants drawn for every transaction, Bulkhead and (a) hold connections for each of them, at least
  one and up to three times what they need at a time, and a tenant that has none free is drawn again; (b) holds 16.
- In the storm half of the announcements are of the tenants that are at work, whom the Bulkhead that hears them asks for
  again. The other one's control database is another one, and the announcements of the storm go to a listener that
  drops them, so that the server does the same in both cases.
- Memory is the growth of the process between two numbers of clients. *At work* is the peak while all have a query
  under way.

Not measured: networks, disks (fsync is off), more than one data thread, hours of running, and what the load
generator and PostgreSQL take from the same cores; their share is in the JSON.
"""


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(rounds, baseline):
    """Per peer and figure: median, least and greatest; and of the ratios to the baseline of the same round."""
    found = {}
    for peer, first in rounds[0].items():
        figures = {}
        mine = [one for one in rounds if peer in one]
        for name, value in first.items():
            if not isinstance(value, (int, float)):
                continue
            figures[name] = spread([one[peer][name] for one in mine])
            bases = [one.get(baseline, {}).get(name) for one in mine]
            if peer != baseline and all(bases):
                figures[name]["ratio"] = spread([one[peer][name] / base for one, base in zip(mine, bases)])
        found[peer] = figures
    return found


def cell(found, digits):
    text = f"{found['median']:,.{digits}f}"
    if found["min"] != found["max"]:
        text += f" ({found['min']:,.{digits}f}–{found['max']:,.{digits}f})"
    if "ratio" in found:
        text += f" **×{found['ratio']['median']:.2f}**"
    return text


def table(result, labels):
    """One scenario: a line a peer."""
    peers = result["summary"]
    columns = [column for column in (BULK_COLUMNS if result["bulk"] else COLUMNS)
               if any(column[0] in figures for figures in peers.values())]
    lines = ["| | " + " | ".join(heading for _, heading, _ in columns) + " |", "|---|" + "---:|" * len(columns)]
    for peer, figures in peers.items():
        cells = [cell(figures[name], digits) if name in figures else "–" for name, _, digits in columns]
        lines.append(f"| {labels[peer]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def details(result, labels):
    """What is behind a count: system calls by name, Bulkhead's functions by their own instructions (those of
    the others have no symbols)."""
    lines = []
    for peer, figures in result["rounds"][0].items():
        for name, heading in (("by_name", "system calls"), ("functions", "functions by their own instructions")):
            if name in figures and (name == "by_name" or peer.startswith("bulkhead")):
                parts = ", ".join(f"`{key}` {number:g}" for key, number in figures[name].items())
                lines.append(f"- {labels[peer]}, {heading}: {parts}")
    return "\n".join(lines)


def targets_table(judged):
    lines = ["| what | must be | measured | |", "|---|---:|---:|---|"]
    for target, found in judged:
        measured = target.text(found["median"])
        if found["min"] != found["max"]:
            measured += f" ({target.text(found['min'])} – {target.text(found['max'])})"
        lines.append(f"| {target.what} | {target.limit_text()} | {measured} | {'met' if found['met'] else '**missed**'} |")
    return "\n".join(lines)


def facts_text(facts):
    settings = ", ".join(f"`{name} = {value}`" for name, value in facts["postgresql_settings"].items())
    return (f"{facts['time']}, revision {facts['revision']}, {facts['seconds']} s, {facts['rounds']} rounds of "
            f"{facts['seconds_each']} s. {facts['cores']} cores, {facts['cpu']}, Linux {facts['kernel']}, load average "
            f"{facts['load_average'][0]:.2f} at the start. PostgreSQL {facts['postgresql']}, PgBouncer "
            f"{facts['pgbouncer']}, HAProxy {facts['haproxy']}.\n\nPostgreSQL runs with {settings}.")


def markdown(facts, results, labels, pool):
    judged = judge(results)
    parts = ["# Bulkhead's benchmark\n", facts_text(facts), ""]
    if judged:
        met = sum(found["met"] for _, found in judged)
        parts += [f"## Targets: {met} of {len(judged)} met\n", targets_table(judged), ""]
    parts += ["## Measurements\n", LEGEND.format(pool=pool)]
    for name, result in results.items():
        parts.append(f"### {name}: {result['title']}\n")
        if "failed" in result:
            parts.append(f"**Failed**: {result['failed']}\n")
            continue
        if "wrong" in result:
            parts.append(f"**Failed**: {result['wrong']}\n")
        parts.append(table(result, labels) + "\n")
        if more := details(result, labels):
            parts.append(more + "\n")
    return "\n".join(parts)


def write(folder, facts, results, labels, pool):
    """Writes run-TIME.md and .json, and the same as latest; returns the Markdown."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(facts, results, labels, pool)
    data = {"machine": facts, "targets": [found for _, found in judge(results)], "scenarios": results}
    for name in ("latest", time.strftime("run-%Y%m%d-%H%M%S")):
        (folder / f"{name}.md").write_text(text)
        (folder / f"{name}.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    return text
