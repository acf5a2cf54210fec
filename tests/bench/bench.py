#!/usr/bin/python3
"""make bench: Bulkhead beside PostgreSQL alone, PgBouncer and HAProxy, on loopback. See docs/benchmarks.md."""

import argparse
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import report  # noqa: E402
from peers import HAPROXY, PGBOUNCER, POOL, Programs, version  # noqa: E402
from probes import fill_pool  # noqa: E402
from harness.program import PROGRAM, ROOT  # noqa: E402
from scenario import Options  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402
from stage import Stage  # noqa: E402


def arguments():
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer scenarios, shorter, in under two minutes")
    parser.add_argument("--only", action="append", metavar="NAME", help="this scenario; may be repeated")
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default: 5, quick 2)")
    parser.add_argument("--seconds", type=float, help="length of one measurement (default: 0.8, quick 0.3)")
    parser.add_argument("--list", action="store_true", help="name the scenarios and stop")
    parser.add_argument("--results", type=Path, default=HERE / "results", help="folder for the results")
    return parser.parse_args()


def chosen(args):
    if not args.only:
        return [one for one in SCENARIOS if one.quick or not args.quick]
    known = {one.name: one for one in SCENARIOS}
    if unknown := [name for name in args.only if name not in known]:
        sys.exit(f"bench: no scenario {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in args.only]


def machine(stage):
    """Where and with what this was measured."""
    def first(path, key):
        lines = Path(path).read_text().splitlines()
        return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "unknown")

    postgres, settings = stage.settings()
    git = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT, capture_output=True,
                         text=True, check=False)
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cores": os.cpu_count(),
        "cpu": first("/proc/cpuinfo", "model name"),
        "kernel": platform.release(),
        "load_average": os.getloadavg(),
        "revision": git.stdout.strip() or "unknown",
        "bulkhead": version([PROGRAM, "--version"]),
        "postgresql": postgres,
        "postgresql_settings": settings,
        "pgbouncer": version([PGBOUNCER, "--version"]),
        "haproxy": version([HAPROXY, "-v"]),
    }


def run_scenario(scenario, stage, programs, options):
    """All rounds. A peer that answers wrongly or not at all fails the scenario, not the others."""
    rounds = []
    baseline = scenario.baseline
    result = {"title": scenario.title, "baseline": baseline, "bulk": getattr(scenario, "bulk", False)}
    for round_number in range(scenario.rounds_of(options)):
        figures = {}
        for peer in scenario.peers_of(round_number, options.quick):
            try:
                figures[peer.key] = scenario.run(stage, programs, options, round_number, peer)
            except Exception as error:  # noqa: BLE001: whatever it is, the other scenarios go on
                print(f"bench: {scenario.name}, {peer.key}: {error}", file=sys.stderr)
                return result | {"failed": f"{peer.label}: {error}"}
        rounds.append(figures)
    if wrong := scenario.wrong(rounds):
        print(f"bench: {scenario.name}: {wrong}", file=sys.stderr)
        result["wrong"] = wrong
    return result | {"summary": report.summary(rounds, baseline), "rounds": rounds}


def main():
    args = arguments()
    scenarios = chosen(args)
    if args.list:
        print("\n".join(f"{one.name:24}{one.title}" for one in scenarios))
        return
    options = Options(rounds=args.rounds or (2 if args.quick else 5), warmup=0.15 if args.quick else 0.25,
                      seconds=args.seconds or (0.3 if args.quick else 0.8), quick=args.quick)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))  # nothing may be left running

    begun = time.monotonic()
    stage = Stage()
    programs = Programs(stage, lambda peer, program: fill_pool(stage, peer, program))
    results = {}
    try:
        stage.start()
        facts = machine(stage) | {"rounds": options.rounds, "seconds_each": options.seconds}
        for scenario in scenarios:
            print(f"bench: {time.monotonic() - begun:4.0f} s  {scenario.name}", file=sys.stderr)
            results[scenario.name] = run_scenario(scenario, stage, programs, options)
        facts["seconds"] = round(time.monotonic() - begun)
        labels = {peer.key: peer.label for scenario in scenarios for peer in scenario.peers}
        print(report.write(args.results, facts, results, labels, POOL))
    finally:
        programs.stop()
        stage.remove()
    if any("failed" in result or "wrong" in result for result in results.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
