"""From rounds of figures to medians, ratios, a table in Markdown and a file of JSON."""

import json
import statistics

# Columns of a scenario's table: figure, heading, digits.
COLUMNS = [
    ("queries_per_second", "queries/s", 0),
    ("proxy_us", "proxy CPU µs/query", 2),
    ("backends_us", "backends' CPU µs/query", 2),
    ("p50_us", "p50 µs", 1),
    ("p99_us", "p99 µs", 1),
    ("p999_us", "p99.9 µs", 1),
    ("megabytes_per_cpu_second", "MB per proxy CPU s", 0),
    ("system_calls", "system calls/query", 2),
    ("instructions", "user instructions/query", 0),
    ("idle_kb", "kB per idle client", 2),
    ("active_kb", "kB per client that has worked", 2),
]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(rounds, baseline):
    """Per peer and figure: median, min and max; and of the ratios to the baseline of the same round."""
    found = {}
    for peer in rounds[0]:
        figures = {}
        for name, value in rounds[0][peer].items():
            if not isinstance(value, (int, float)):
                continue
            figures[name] = spread([one[peer][name] for one in rounds])
            base = [one.get(baseline, {}).get(name) for one in rounds]
            if all(base):
                figures[name]["ratio"] = spread([one[peer][name] / b for one, b in zip(rounds, base)])
        found[peer] = figures
    return found


def number(value, digits):
    return f"{value:,.{digits}f}"


def table(result, labels):
    """One scenario: a line a peer, the median with its least and greatest, and the ratio to PgBouncer."""
    peers = result["summary"]
    columns = [column for column in COLUMNS if any(column[0] in figures for figures in peers.values())]
    if "megabytes_per_cpu_second" in [c[0] for c in columns] and not result["bulk"]:
        columns = [c for c in columns if c[0] != "megabytes_per_cpu_second"]
    lines = ["| | " + " | ".join(heading for _, heading, _ in columns) + " |",
             "|---|" + "---:|" * len(columns)]
    for peer, figures in peers.items():
        cells = []
        for name, _, digits in columns:
            if name not in figures:
                cells.append("–")
                continue
            found = figures[name]
            cell = f"{number(found['median'], digits)}"
            if found["min"] != found["max"]:
                cell += f" ({number(found['min'], digits)}–{number(found['max'], digits)})"
            if "ratio" in found and peer != result["baseline"]:
                cell += f" **×{found['ratio']['median']:.2f}**"
            cells.append(cell)
        lines.append(f"| {labels[peer]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def markdown(results, labels):
    parts = [f"### {name}: {result['title']}\n\n{table(result, labels)}\n" for name, result in results.items()]
    return "\n".join(parts)


def write(folder, machine, results, labels):
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(results, labels)
    (folder / "latest.md").write_text(text)
    (folder / "latest.json").write_text(json.dumps({"machine": machine, "scenarios": results}, indent=1) + "\n")
    return text
