"""Statements of about so many seconds, in each way that they can be sent."""

from harness.wire import bind, close, describe, execute, parse, sync


def simple(wire, seconds):
    return wire.query(f"SELECT pg_sleep({seconds})")


def extended(wire, seconds):
    wire.send(parse("SELECT pg_sleep($1::float8)"), bind([seconds]), describe("", "P"), execute(), sync())
    return wire.until_ready()


def prepared(wire, seconds):
    wire.send(parse("SELECT pg_sleep($1::float8)", "slow"), bind([seconds], "slow"), execute(), sync())
    answers = wire.until_ready()
    wire.send(close("slow"), sync())
    return answers + wire.until_ready()


def pipelined(wire, seconds):
    """Three statements in one batch, the second a slow one."""
    wire.send(*(part for value in (0, seconds, 0)
                for part in (parse("SELECT pg_sleep($1::float8)"), bind([value]), execute())), sync())
    return wire.until_ready()
