"""Which `bulkhead` the tests run: PROGRAM of the environment (make sets it), or the one that `make` leaves."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("PROGRAM") or ROOT / "build" / "bulkhead")

# Sanitizers and valgrind (BULKHEAD_WRAPPER) change what memory is used.
INSTRUMENTED = "/san-" in str(PROGRAM) or bool(os.environ.get("BULKHEAD_WRAPPER"))
