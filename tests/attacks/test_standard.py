"""Every attack on a database of standard hardening, with the gate off and with both. See arena.py for what must hold."""

from play import attacks, play


@attacks("standard")
def test_attack(arenas, request, run, case):
    play(arenas, request, run, case)
