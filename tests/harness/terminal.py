"""A program on a terminal."""

import os
import pty
import select
import subprocess
import time


def run_on_terminal(command, environment, seconds=60):
    """Its exit code, and all that it wrote."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(command, env=environment, stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    written, until = b"", time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            if not select.select([leader], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            written += piece
        return process.wait(10), written.decode()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(leader)
