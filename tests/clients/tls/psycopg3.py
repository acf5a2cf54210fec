"""psycopg 3, that is, libpq: every sslmode and channel_binding."""

import psycopg
from turns import COUNT, take_turns

NAMES = {"ca": "sslrootcert", "crl": "sslcrl", "cert": "sslcert", "key": "sslkey", "binding": "channel_binding",
         "mode": "sslmode", "database": "dbname"}


def connect(options):
    words = {NAMES.get(name, name): value for name, value in options.items()}
    words.setdefault("sslcert", "/nowhere")  # in place of what is in the home directory
    connection = psycopg.connect(**words, gssencmode="disable")
    return connection.execute(COUNT).fetchone()[0], connection.close


take_turns(f"{psycopg.__version__}, libpq {psycopg.pq.version() // 10000}", connect)
