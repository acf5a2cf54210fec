"""asyncpg: every sslmode, by way of the URL."""

import asyncio
from urllib.parse import quote, urlencode

import asyncpg
from turns import COUNT, take_turns

NAMES = {"ca": "sslrootcert", "crl": "sslcrl", "cert": "sslcert", "key": "sslkey", "mode": "sslmode"}
loop = asyncio.new_event_loop()


def connect(options):
    words = urlencode({NAMES[name]: value for name, value in options.items() if name in NAMES})
    where = {name: quote(options[name], safe="") for name in ("user", "password", "host", "port", "database")}
    url = "postgresql://{user}:{password}@{host}:{port}/{database}?".format(**where) + words
    connection = loop.run_until_complete(asyncpg.connect(url, timeout=10))
    return (loop.run_until_complete(connection.fetchval(COUNT)),
            lambda: loop.run_until_complete(connection.close()))


take_turns(asyncpg.__version__, connect)
