"""Every attack on a database of strict hardening, with the gate off and with both. See arena.py for what must hold."""

from play import attacks, play


@attacks("strict")
def test_attack(arenas, request, run, case):
    play(arenas, request, run, case)
