#!/usr/bin/python3
"""
Runs the scripts of the folder tls: client libraries against a listener in each mode of TLS.

    make test-tls-clients
    /usr/bin/python3 tests/clients/run_tls.py jdbc node-pg
    /usr/bin/python3 tests/clients/run_tls.py --docs docs/tls.md
"""

import argparse
import sys
from pathlib import Path

# In place of this folder, whose scripts have the names of libraries.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from harness.postgres import Template  # noqa: E402
from harness.tls_clients import CLIENTS, TlsGround, write_docs  # noqa: E402


def main():
    options = argparse.ArgumentParser(description="Client libraries over TLS.")
    options.add_argument("clients", nargs="*", metavar="CLIENT", help="all when none is named")
    options.add_argument("--docs", type=Path, help="write the tables to this file, of all clients")
    options = options.parse_args()
    unknown = set(options.clients) - {client.name for client in CLIENTS}
    if unknown:
        sys.exit(f"no such client: {', '.join(sorted(unknown))}")
    template = Template()
    failed = False
    try:
        with TlsGround(template) as ground:
            for client in CLIENTS:
                if options.clients and client.name not in options.clients:
                    continue
                wrong = ground.play(client)
                failed |= bool(wrong)
                print("FAIL" if wrong else "ok  ", client.name, ground.versions.get(client.name, ""), flush=True)
                for line in wrong:
                    print(f"     {line}", flush=True)
            if options.docs and not failed and not options.clients:
                write_docs(options.docs, ground)
    finally:
        template.remove()
    sys.exit(failed)


if __name__ == "__main__":
    main()
