"""What all scenarios have in common."""

from dataclasses import dataclass

from peers import PEERS as PROGRAMS
from storm import STORM_PEERS

PEERS = PROGRAMS | STORM_PEERS


@dataclass(frozen=True)
class Options:
    """How long and how often."""

    rounds: int
    warmup: float
    seconds: float
    quick: bool


# Peers that no target needs.
NOT_QUICK = ["pgbouncer-unix", "pgbouncer-app-burst", "bulkhead-plain"]


class Scenario:
    """A name for --only, a line that says what is done, and the peers."""

    def __init__(self, name, title, peers, quick=False, rounds=None, once=()):
        """`quick`: also part of --quick. `rounds`: at most so many. `once`: peers for the first round alone."""
        self.name, self.title, self.peers = name, title, [PEERS[key] for key in peers]
        self.quick, self.rounds, self.once = quick, rounds, once

    @property
    def baseline(self):
        """The peer that the others are compared with."""
        return next((peer.key for peer in self.peers if peer.key.startswith("pgbouncer")), None)

    def rounds_of(self, options):
        return min(options.rounds, self.rounds or options.rounds)

    def peers_of(self, round_number, quick):
        left_out = set(self.once if round_number else ()) | set(NOT_QUICK if quick else ())
        return [peer for peer in self.peers if peer.key not in left_out]

    def run(self, stage, programs, options, round_number, peer):
        """The figures of one peer in one round, by name."""
        raise NotImplementedError

    def wrong(self, rounds):
        """What makes the run fail, though all was measured; None otherwise."""
        return None
