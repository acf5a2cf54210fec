"""Ten seconds of what `make soak` does for minutes; see run() in tests/soak/soak.py for what is asserted."""

import random

import pytest
from soak.soak import run


@pytest.mark.alone
def test_ten_seconds_in_a_storm(template):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    soak = run(template, 10, seed)
    assert {"terminate", "stop", "cut", "kill_a_backend", "kill_the_server"} <= set(soak.done)
