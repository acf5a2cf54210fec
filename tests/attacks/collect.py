"""The attacks in Python, as functions of a scene: what they are made with."""

from arena import require
from cases import HARDENINGS, Case

ATTACKS = []
OWN_ATTACKS = []  # of tenants with logins of their own


def attack(hope, pool=1, area="protocol", under=HARDENINGS, **residues):
    """`residues` are fields of cases.RESIDUES, with underscores."""
    def add(function):
        name = function.__name__.replace("_", "-")
        reasons = {field.replace("_", "-"): reason for field, reason in residues.items()}
        ATTACKS.append(Case(name, hope, function.__module__, area, under=under, pool=pool, residues=reasons,
                            run=function))
        return function
    return add


def own_attack(hope, speakers, area="protocol", under=HARDENINGS, **residues):
    """One that each of these kinds of tenants makes: see own_arena.py."""
    def add(function):
        reasons = {field.replace("_", "-"): reason for field, reason in residues.items()}
        OWN_ATTACKS.append(Case(function.__name__.replace("_", "-"), hope, function.__module__, area, under=under,
                                speakers=tuple(speakers), residues=reasons, run=function))
        return function
    return add


def refused_with(ear, expected, *parts):
    """Sends the parts; the first error that comes back, or the end of the connection, is as expected."""
    ear.send(*parts)
    found = [m.fields.get("C") for m in ear.until_end() if m.type == "E"]
    require(found[:1] == [expected], f"should be refused with {expected}, is {found}")
