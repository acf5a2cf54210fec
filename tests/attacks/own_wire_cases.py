"""Attacks in the protocol by tenants with logins of their own, as functions of a scene."""

from collect import own_attack
from arena import require
from harness import wire as w
