"""Waiting for a condition, since what the proxy does after a client has left can only be awaited."""

import time


def wait_for(condition, what, seconds=10):
    """Returns the condition's first true value; fails when there is none for so long."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.01)
    return value
