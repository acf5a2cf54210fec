"""A database whose hardening is undone, where the gate has to keep tenants apart alone.

The context there is a setting like any other, CONTEXT, and privileges are ordinary: see unhardened.sql. With the gate
off nothing keeps tenants apart, which test_unhardened.py shows; without that, holding there would prove nothing.
"""

from pathlib import Path

CONTEXT = "app.bulkhead_context"


def weaken(admin):
    """As a superuser, in a database with a guard."""
    text = (Path(__file__).resolve().parent / "unhardened.sql").read_text()
    admin.execute(text.replace("<context>", CONTEXT))
