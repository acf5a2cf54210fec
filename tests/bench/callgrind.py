"""User instructions of a proxy per query, counted by valgrind's callgrind."""


def instructions(stage, peer, load, few, many):
    raise NotImplementedError
