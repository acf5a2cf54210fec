"""Passwords that are not ASCII: whoever PostgreSQL lets in, by libpq's and its own SASLprep, Bulkhead lets in too.

PostgreSQL is asked each time: a role with one spelling of a password, and a login with another.
"""

import psycopg
import pytest
from harness.postgres import HOST
from harness.program import write_secret
from harness.stand import DATABASE

# A password as it was set, and spellings to log in with.
SPELLINGS = {
    "composed and not": ("p\u00e4ss", ["p\u00e4ss", "pa\u0308ss", "pass"]),
    "roman nine": ("\u2168", ["\u2168", "IX", "ix"]),
    "soft hyphen": ("I\u00adX", ["I\u00adX", "IX", "I-X"]),
    "ligature and width": ("\ufb01\uff21", ["\ufb01\uff21", "fiA", "fia"]),
    "spaces": ("a\u00a0b\u3000c", ["a b c", "a\u00a0b\u3000c", "abc"]),
    "zero width": ("a\u200bb\ufeffc", ["abc", "a\u200bb\ufeffc", "a bc"]),
    "order of marks": ("q\u0307\u0323", ["q\u0307\u0323", "q\u0323\u0307"]),
    "hangul": ("\uac01", ["\uac01", "\u1100\u1161\u11a8"]),
    "right to left": ("\u05d0\u05d1", ["\u05d0\u05d1", "\u05d1\u05d0"]),
    "both directions": ("\u05d0a\u2168", ["\u05d0a\u2168", "\u05d0aIX"]),  # prohibited: used as it is
    "control character": ("a\u0080\u2168", ["a\u0080\u2168", "a\u0080IX"]),
    "private use": ("\ue000\u2168", ["\ue000\u2168", "\ue000IX"]),
    "unassigned in Unicode 3.2": ("\u0221\u2168", ["\u0221\u2168", "\u0221IX"]),
    "tone mark": ("\u0340\u2168", ["\u0340\u2168", "\u0300\u2168", "\u0300IX"]),
    "emoji": ("\U0001f511\u2168", ["\U0001f511\u2168", "\U0001f511IX"]),
    "not UTF-8": (b"\xe4\xff", [b"\xe4\xff", b"\xe4"]),
    "nothing but hyphens": ("\u00ad\u00ad", ["\u00ad\u00ad", "\u00ad"]),
}


def as_bytes(password):
    return password if isinstance(password, bytes) else password.encode()


def lets_in(password, **where):
    """Asks libpq itself: psycopg would have the password be text."""
    conninfo = " ".join(f"{key}='{value}'" for key, value in {"host": HOST, **where}.items()).encode()
    connection = psycopg.pq.PGconn.connect(conninfo + b" password='" + as_bytes(password) + b"'")
    done = connection.status == psycopg.pq.ConnStatus.OK
    assert done or b"password authentication failed" in connection.error_message, connection.error_message
    connection.finish()
    return done


@pytest.fixture(scope="module")
def proxy(stand):
    with stand.admin() as admin:
        admin.execute("CREATE ROLE speller LOGIN")
    stand.principal("speller")
    with stand.proxy(control={"directory_ttl": 0}) as proxy:
        yield proxy
    with stand.admin() as admin:
        admin.execute("DROP ROLE speller; DELETE FROM bulkhead_control.principal WHERE name = 'speller'")


def set_role_password(stand, role, password):
    """By psql's \\password, which prepares it on the client; the server is given a verifier."""
    with stand.admin() as admin:
        verifier = admin.pgconn.encrypt_password(as_bytes(password), role.encode(), b"scram-sha-256")
        admin.execute(f"ALTER ROLE {role} PASSWORD '{verifier.decode()}'")


@pytest.mark.parametrize("case", SPELLINGS)
def test_a_principals_password(stand, proxy, tmp_path, case):
    password, spellings = SPELLINGS[case]
    set_role_password(stand, "speller", password)
    secret = tmp_path / "password"
    secret.touch(0o600)
    secret.write_bytes(as_bytes(password))
    stand.command("principal", "password", "speller", "--password-file", secret)
    for spelling in spellings:
        expected = lets_in(spelling, port=stand.postgres.port, user="speller", dbname=DATABASE)
        assert lets_in(spelling, port=proxy.port, user="speller.acme", dbname=DATABASE) == expected, spelling
    assert lets_in(password, port=proxy.port, user="speller.acme", dbname=DATABASE)


@pytest.mark.sealed("it is the pool login's")
@pytest.mark.parametrize("case", [case for case in SPELLINGS if case != "not UTF-8"])
def test_the_pools_own_password(stand, tmp_path, case):
    """Bulkhead as the client: with each spelling of its password (which must be UTF-8) it gets in where libpq does."""
    password, spellings = SPELLINGS[case]
    with stand.admin() as admin:
        before, = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'bulkhead_pool'").fetchone()
    try:
        set_role_password(stand, "bulkhead_pool", password)
        for n, spelling in enumerate(spellings):
            file = write_secret(tmp_path / f"password-{n}", spelling)
            expected = lets_in(spelling, port=stand.postgres.port, user="bulkhead_pool", dbname=DATABASE)
            with stand.proxy(cluster__default={"password_file": file}) as proxy:
                try:
                    proxy.connect("acme").close()
                    found = True
                except psycopg.OperationalError as error:
                    assert "BH-NET-BACKEND-DOWN" in str(error)
                    found = False
            assert found == expected, spelling
    finally:
        with stand.admin() as admin:
            admin.execute(f"ALTER ROLE bulkhead_pool PASSWORD '{before}'")
