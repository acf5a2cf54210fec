"""One attack on its arena: who is connected, what they send, and what has come of it.

Sessions are opened when they are first spoken to. Attacks in SQL are played step by step; attacks in Python
use `acme`, `login` and `arena` themselves.
"""

import contextlib
import re
import time

from arena import ATTACKER, VICTIM, require
from harness import wire as w

CLOSED = "closed"  # in the place of an SQLSTATE: the connection ended without a word
REFUSED = "42501"  # what a privilege or a policy refuses
# With these and a reason of Bulkhead's the gate refuses; the last is for what the server has not read either.
GATE_REFUSALS = ("42501", "0A000", "42601", "54000", "22021")


class Outcome:
    """What a statement came to: the first SQLSTATE, or the first column of the first row.

    `by_gate` is whether Bulkhead's gate refused it, which says so in the detail.
    """

    def __init__(self, code=None, value=None, told=""):
        self.code, self.value, self.told = code, value, told
        self.by_gate = code in GATE_REFUSALS and "reason=BH-" in told

    @classmethod
    def of(cls, messages):
        error = next((m.fields for m in messages if m.type == "E"), None)
        if error:
            return cls(error.get("C"), told=error.get("M", "") + " " + error.get("D", ""))
        if not messages or messages[-1].type != "Z":
            return cls(CLOSED)
        values = w.rows(messages)
        return cls(value=values[0][0] if values else None)

    def fits(self, expected):
        if expected is None:
            return True
        if expected.startswith("="):
            return self.code is None and self.value == expected[2:]
        return (self.code or "ok") == expected

    def follows(self, expected):
        """Whether it may be so because statements before it were refused."""
        return bool(self.code) or expected != REFUSED

    def __str__(self):
        return f"{self.code} {self.told}" if self.code else f"ok, {self.value!r:.200}"


class Scene:
    def __init__(self, arena, case, attacker=ATTACKER):
        self.arena, self.case, self.attacker = arena, case, attacker
        self.sessions = {}
        self.gone = []  # (session, tenant) of those that have left
        self.refusals = 0  # statements that the gate refused

    def play(self):
        """The scene, and whether the gate stops what it has a reason not to stop, or does not without one.

        Alone it may leave rows to be read or changed; that is then no failure.
        """
        run, residues = self.arena.run, self.case.residues
        remains = run.residue in residues
        try:
            self._play()
        except AssertionError:
            with contextlib.suppress(AssertionError):
                self.arena.check(self.case.pool)  # which puts rows back and takes the backends from acme
            if not (remains and run.hardening == "unhardened"):
                raise
            return
        if self.gated and (remains or "residue" in residues):
            require(remains or self.refusals, f"nothing of it was refused, and no {run.residue} says why")
            require(not remains or not self.refusals, f"the gate refuses it: {run.residue} is no residue any more")

    def _play(self):
        """The whole scene, and then what must hold."""
        try:
            self._as_admin(self.case.before)
            try:
                self.case.run(self) if self.case.run else self._play_steps()
            finally:
                for name in list(self.sessions):
                    self.leave(name)
                self._as_admin(self.case.after)
        finally:
            for ear, tenant in self.gone:
                self.arena.check_heard(ear, tenant)
        self.arena.check(self.case.pool)

    @property
    def expects_as(self):
        """Which of a step's expectations counts."""
        return self.arena.run.hardening

    # ---- sessions ----

    @property
    def acme(self):
        return self.session(self.attacker)

    @property
    def globex(self):
        return self.session(VICTIM)

    def session(self, name):
        if name not in self.sessions:
            self.sessions[name] = self.arena.stand.admin() if name == "admin" else self.arena.open(name, self.case.pool)
        return self.sessions[name]

    def login(self, name="another", **keys):
        """Another session of acme's, with keys of the startup packet; heard like the others."""
        self.sessions[name] = self.arena.open(self.attacker, self.case.pool, **keys)
        return self.sessions[name]

    def leave(self, name, politely=True):
        session = self.sessions.pop(name, None)
        if session is None:
            return  # it was ended
        if isinstance(session, w.Wire):
            self.gone.append((session, name if name in self.arena.markers else self.attacker))
            try:
                if politely:
                    session.send(w.terminate())
            except OSError:
                pass
        session.close()

    def _as_admin(self, statements):
        for statement in statements:
            self.arena.admin.execute(self.arena.fill_in(statement))

    def ask_admin(self, question, *values):
        """One value that a superuser reads."""
        return self.arena.admin.execute(question, values).fetchone()[0]

    # ---- statements ----

    @property
    def gated(self):
        return self.arena.run.gate == "enforce"

    def probe(self, bound):
        """What globex asks while acme is at work is answered in so many milliseconds."""
        began = time.monotonic()
        found = w.rows(self.globex.query("SELECT count(*) FROM orders"))
        took = 1000 * (time.monotonic() - began)
        require(found == [["20"]], "globex is not served:", found)
        require(took <= bound, f"globex waited {took:.0f} ms, not {bound}")

    def _play_steps(self):
        speaker = self.attacker
        for step in self.case.steps:
            if step.command == ["leave"]:
                self.leave(speaker)
            elif step.command:
                speaker = self.arena.fill_in(step.command[1])
            else:
                outcome = self._speak(speaker, self.arena.fill_in(step.text))
                expected = self.arena.fill_in(step.expected[self.expects_as] or "") or None
                require(self._accepts(step, expected, outcome),
                        f"{self.case.source}:{step.line}: {step.text:.300}\n"
                        f"should be {expected}{'!' * step.must}, is {outcome}")

    def _accepts(self, step, expected, outcome):
        gated = self.arena.run.gate == "enforce"
        if gated and outcome.by_gate and not step.must:
            self.refusals += 1
            return True
        if outcome.fits(expected):
            return True
        if not self.refusals:
            return False
        # A transaction in which something was refused has failed, for this statement as well.
        return outcome.code == "25P02" or (not step.must and (step.depends or outcome.follows(expected)))

    def _speak(self, speaker, text):
        try:
            session = self.session(speaker)
            if self.case.bound and speaker == self.attacker:
                self.session(VICTIM)
        except w.WireError as error:
            return Outcome(error.sqlstate, told=str(error))
        if speaker == "admin":
            cursor = session.execute(text)
            return Outcome(value=str(cursor.fetchone()[0]) if cursor.description else None)
        answers = self.ask(session, text)
        if not answers or answers[-1].type != "Z":
            self.leave(speaker, politely=False)
        return Outcome.of(answers)

    def ask(self, session, text):
        """All answers to a statement; the last is no ReadyForQuery when the connection ended."""
        if self.arena.run.protocol == "extended" and not re.match(r"\s*COPY", text, re.IGNORECASE):
            answers = self._exchange(session, w.parse(text), w.bind(), w.execute(), w.sync())
            if not any("multiple commands" in m.fields.get("M", "") for m in answers if m.type == "E"):
                return answers
        return self._exchange(session, w.query(text))

    def _exchange(self, session, *parts):
        answers = []
        try:
            session.send(*parts)
            if self.case.bound and session is self.sessions.get(self.attacker):
                self.probe(self.case.bound)
                session.cancel()
            while not answers or answers[-1].type != "Z":
                answers.append(session.read())
                if answers[-1].type == "G":
                    session.send(w.copy_fail("nothing to copy"))
        except (EOFError, ConnectionError):
            pass
        return answers
