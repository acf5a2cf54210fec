"""What one client was told became of what it wrote, to be held against what is in the database."""


class Account:
    """
    The steps of a client's counter, each under a token of its own.

    The counter is at `low` at least, since the client has seen that, and at `high` at most: as many steps as
    were ever asked for and not told to have failed. A step whose answer was lost may still come to pass.
    """

    def __init__(self):
        self.low = self.high = 0
        self.kept, self.failed, self.open = set(), set(), set()

    def ask(self, token):
        self.high += 1
        self.open.add(token)

    def keep(self, token, value):
        """The step is committed, and took the counter to this value; what is wrong with that, or None."""
        self.open.remove(token)
        self.kept.add(token)
        wrong = None if self.low < value <= self.high else f"a step to {value} from {self.low} to {self.high}"
        self.low = max(self.low, value)
        return wrong

    def fail(self, token):
        """The step did not come to pass, and never will."""
        self.high -= 1
        self.open.remove(token)
        self.failed.add(token)

    def never(self, token):
        """Written and taken back inside a transaction: the counter was never to move for it."""
        self.failed.add(token)

    def see(self, value):
        """The counter was read; what is wrong with that, or None."""
        wrong = None if self.low <= value <= self.high else f"a value of {value}, not {self.low} to {self.high}"
        self.low = max(self.low, value)
        return wrong

    def faults(self, value, tokens):
        if not self.low <= value <= self.high:
            yield f"the counter is at {value}, not {self.low} to {self.high}"
        if self.kept - tokens:
            yield f"committed and gone: {sorted(self.kept - tokens)[:5]}"
        if self.failed & tokens:
            yield f"failed or rolled back, and there: {sorted(self.failed & tokens)[:5]}"
        if tokens - self.kept - self.open:
            yield f"never asked for: {sorted(tokens - self.kept - self.open)[:5]}"


class Inbox:
    """Batches of lines that were sent by COPY, each under a token: all of a batch is there or nothing."""

    def __init__(self):
        self.sent, self.kept, self.failed = {}, set(), set()

    def ask(self, token, lines):
        self.sent[token] = lines

    def keep(self, token):
        self.kept.add(token)

    def fail(self, token):
        self.failed.add(token)

    def faults(self, counts):
        for token, lines in self.sent.items():
            there = counts.get(token, 0)
            if there not in (0, lines) or (token in self.kept and not there) or (token in self.failed and there):
                yield f"{there} lines of {lines} of {token}"
        if set(counts) - set(self.sent):
            yield f"never sent: {sorted(set(counts) - set(self.sent))[:5]}"
