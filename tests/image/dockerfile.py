"""Reads a Dockerfile and its .dockerignore: the instructions that ours has, and no others.

    image = Dockerfile.read(path)   # image.stages, and of the last one image.user, image.volumes, ...
    image.context()                 # the files that an engine would be sent

As a program it prints the build as calls of shell functions, for tests/image-check to define and carry out:
stage IMAGE NAME, workdir DIR, argument NAME DEFAULT, copy STAGE DESTINATION SOURCE..., run COMMAND. What it does not
know is an error, never passed over.
"""

import fnmatch
import json
import os
import re
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path


class Unknown(Exception):
    """Something that this reader does not understand."""


def instructions(text):
    """(line number, NAME, rest) of each; lines that end with a backslash are joined, comments dropped."""
    whole, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r"\s*#\s*(syntax|escape|check)\s*=", line):
            raise Unknown(f"line {number}: parser directive")
        if line.lstrip().startswith("#") or (not whole and not line.strip()):
            continue
        first = first if whole else number
        if re.search(r"\\\s*$", line):
            whole += re.sub(r"\\\s*$", "", line)
            continue
        name, _, rest = (whole + line).strip().partition(" ")
        yield first, name, rest.strip()
        whole = ""
    if whole:
        raise Unknown(f"line {first}: the file ends within an instruction")


def words_of_json(rest):
    """An exec form. The shell form is refused: it would put a shell between an engine and the program."""
    words = json.loads(rest)
    if not (isinstance(words, list) and words and all(isinstance(word, str) for word in words)):
        raise Unknown(f"not a list of words: {rest}")
    return words


def options_of(rest, known):
    """(options, what is behind them) of `--name=value ... rest`."""
    options = {}
    while match := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        if match[1] not in known:
            raise Unknown(f"option --{match[1]}")
        options[match[1]], rest = match[2], rest[match.end():]
    if rest.startswith("--"):
        raise Unknown(f"option {rest.split()[0]}")
    return options, rest


@dataclass
class Stage:
    image: str
    name: str = ""
    steps: list = field(default_factory=list)  # (function, argument...)


@dataclass
class Dockerfile:
    folder: Path
    stages: list = field(default_factory=list)
    user: str = "root"
    volumes: list = field(default_factory=list)
    ports: list = field(default_factory=list)
    stop_signal: str = "SIGTERM"
    health: list = field(default_factory=list)
    entrypoint: list = field(default_factory=list)
    command: list = field(default_factory=list)

    @classmethod
    def read(cls, path):
        image = cls(Path(path).parent)
        for number, name, rest in instructions(Path(path).read_text()):
            take = getattr(image, f"_take_{name.lower()}", None) if name.isupper() else None
            try:
                if not take:
                    raise Unknown(name)
                if not image.stages and name != "FROM":
                    raise Unknown(f"{name} before FROM")
                take(rest)
            except (Unknown, ValueError) as error:
                raise Unknown(f"{path}:{number}: not understood: {error}") from error
        return image

    def _step(self, *step):
        if self.user != "root" and step[0] == "run":
            raise Unknown("RUN behind USER")
        self.stages[-1].steps.append(step)

    def _take_from(self, rest):
        match = re.fullmatch(r"(\S+)(?: AS (\S+))?", rest)
        if not match or "$" in rest or self.user != "root":
            raise Unknown(f"FROM {rest}")
        self.stages.append(Stage(match[1], match[2] or ""))

    def _take_workdir(self, rest):
        self._step("workdir", rest)

    def _take_arg(self, rest):
        name, equals, value = rest.partition("=")
        if not equals or not re.fullmatch(r"\w+", name):
            raise Unknown(f"ARG {rest}")
        self._step("argument", name, value)

    def _take_copy(self, rest):
        options, rest = options_of(rest, {"from"})
        *sources, destination = rest.split()
        if not sources or re.search(r"[\"'$*?\[]", rest):
            raise Unknown(f"COPY {rest}")
        if len(sources) > 1 and not destination.endswith("/"):
            raise Unknown("COPY of several to what is no folder")
        if "from" in options and options["from"] not in {stage.name for stage in self.stages[:-1]}:
            raise Unknown(f"stage {options['from']}")
        self._step("copy", options.get("from", ""), destination, *sources)

    def _take_run(self, rest):
        if rest.startswith(("[", "--", "<<")):
            raise Unknown("RUN in another form than the shell's")
        self._step("run", rest)

    def _take_volume(self, rest):
        self.volumes = words_of_json(rest)

    def _take_user(self, rest):
        if not re.fullmatch(r"\d+:\d+", rest):
            raise Unknown("USER by name: an orchestrator can only see that a number is not root")
        self.user = rest

    def _take_expose(self, rest):
        self.ports = [int(port) for port in rest.split()]

    def _take_stopsignal(self, rest):
        self.stop_signal = rest

    def _take_healthcheck(self, rest):
        _, rest = options_of(rest, {"interval", "timeout", "start-period", "retries"})
        if not rest.startswith("CMD "):
            raise Unknown("HEALTHCHECK without CMD")
        self.health = words_of_json(rest[4:])

    def _take_entrypoint(self, rest):
        self.entrypoint = words_of_json(rest)

    def _take_cmd(self, rest):
        self.command = words_of_json(rest)

    def context(self):
        """Paths of the files that .dockerignore lets through, relative to the folder."""
        rules = ignore_rules((self.folder / ".dockerignore").read_text())
        for folder, folders, files in os.walk(self.folder):
            relative = Path(folder).relative_to(self.folder)
            folders[:] = [name for name in folders if may_hold(relative / name, rules)]
            yield from (relative / name for name in files if not is_ignored(relative / name, rules))


def ignore_rules(text):
    """(pattern, whether it lets in), in order."""
    rules = []
    for line in text.splitlines():
        line = line.strip()
        if line and not line.startswith("#"):
            lets_in = line.startswith("!")
            pattern = line.lstrip("!").strip("/")
            if "**" in pattern:
                raise Unknown(f".dockerignore: {line}")
            rules.append((pattern.split("/"), lets_in))
    return rules


def matches(parts, pattern):
    """The path itself or a folder above it."""
    return len(parts) >= len(pattern) and all(map(fnmatch.fnmatchcase, parts, pattern))


def is_ignored(path, rules):
    verdict = False
    for pattern, lets_in in rules:
        if matches(path.parts, pattern):
            verdict = not lets_in
    return verdict


def may_hold(path, rules):
    """Can anything below the folder be let in?"""
    return not is_ignored(path, rules) or any(
        lets_in and pattern[:len(path.parts)] == list(path.parts) for pattern, lets_in in rules)


def main():
    mode, path = sys.argv[1:]
    image = Dockerfile.read(path)
    if mode == "context":
        sys.stdout.write("".join(f"{name}\0" for name in sorted(image.context())))
    else:
        for stage in image.stages:
            for step in [("stage", stage.image, stage.name), *stage.steps]:
                print(shlex.join(step))


if __name__ == "__main__":
    try:
        main()
    except Unknown as error:
        sys.exit(str(error))
