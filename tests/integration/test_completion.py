"""Completion of command lines, asked of the shells themselves, and that nothing is left out of it."""

import os
import pty
import re
import select
import subprocess
import time

import pytest
from harness.program import DONE, NOUNS, PROGRAM, USAGE, bulkhead, succeed


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A folder with what make install would put into the shells' own."""
    folder = tmp_path_factory.mktemp("completion")
    for shell, name in (("bash", "bulkhead"), ("zsh", "_bulkhead")):
        (folder / name).write_text(succeed("completion", shell))
    return folder


class Bash:
    """Asks the function that bash would call."""

    def __init__(self, scripts):
        self.script = scripts / "bulkhead"

    def offers(self, line, folder="/"):
        *words, last = [""] if not line else line.split(" ")
        words = [*words, last]
        asked = subprocess.run(
            ["bash", "--norc", "-c", 'source "$0"; compopt() { :; }; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bulkhead;'
             ' printf "%s\\n" "${COMPREPLY[@]}"', self.script, *words],
            capture_output=True, text=True, check=True, cwd=folder)
        assert asked.stderr == ""
        return set(asked.stdout.split())


@pytest.fixture(scope="module")
def bash(scripts):
    return Bash(scripts)


# ---- what is offered ----

def test_commands_are_offered(bash):
    listed = set(re.findall(r"^  ([a-z-]+) ", succeed("--help"), re.M))
    assert bash.offers("bulkhead ") == listed | {"--help", "--version"}
    assert bash.offers("bulkhead perm") == {"permission", "permission-key"}


@pytest.mark.parametrize("noun", NOUNS)
def test_verbs_and_their_options_are_offered(bash, noun):
    """All that usage texts have, of the API and of the control database, and nothing else."""
    over_api, _, directly = succeed(noun, "--help").partition("\nOn the control database")
    verbs = set(re.findall(rf"^  bulkhead {noun} ([a-z-]+)", over_api, re.M))
    direct = {}
    for entry in re.split(rf"bulkhead {noun} ", directly.split("\n\n")[1])[1:] if directly else []:
        for verb in entry.split()[0].split("|"):
            direct[verb] = set(re.findall(r"--[a-z-]+", entry))
    assert bash.offers(f"bulkhead {noun} ") == verbs | set(direct)
    for verb in verbs | set(direct):
        offered = bash.offers(f"bulkhead {noun} {verb} --")
        if verb in verbs:
            options = set(re.findall(r"^  (--[a-z-]+)", succeed(noun, verb, "--help"), re.M))
            assert options <= offered
            known = options | direct.get(verb, set()) | set(re.findall(r"--[a-z-]+", directly))
            assert offered <= known, verb
        assert direct.get(verb, set()) <= offered


@pytest.mark.parametrize("command", ["serve", "init", "lint", "check", "healthcheck", "sandbox", "key", "migrate",
                                     "explain-statement", "api", "events"])
def test_options_of_other_commands_are_offered(bash, command):
    listed = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", succeed(command, "--help"), re.M))
    verbs = {"key": sorted(bash.offers("bulkhead key ")), "migrate": ["", "status "]}.get(command, [""])
    offered = set().union(*[bash.offers(f"bulkhead {command} {verb} --".replace("  ", " ")) for verb in verbs])
    assert offered and listed <= offered


def test_words_behind_a_verb_are_offered(bash):
    assert bash.offers("bulkhead key ") >= {"list", "rotate", "retire", "derive"}
    assert bash.offers("bulkhead key rotate ") >= {"guard", "logins"}
    assert bash.offers("bulkhead key list ") >= {"guard"}
    offered = bash.offers("bulkhead key list guard --")
    assert "--dsn" in offered and "--out" not in offered


@pytest.mark.parametrize("line, offered", [
    ("bulkhead permission set acme sql.ddl true --mode ", {"LOCKED", "INHERITED", "DELEGATED"}),
    ("bulkhead permission set acme sql.ddl true --mode =", {"LOCKED", "INHERITED", "DELEGATED"}),  # as bash splits it
    ("bulkhead permission set acme sql.ddl true --mode = LO", {"LOCKED"}),
    ("bulkhead principal create x --reach s", {"self", "subtree"}),
    ("bulkhead init --by ", {"id", "key"}),
    ("bulkhead tenant create x --name ", set()),
    ("bulkhead tenant ancestors x --nosuch", set()),
])
def test_values_are_offered(bash, line, offered):
    assert bash.offers(line) == offered


def test_files_are_offered(bash, tmp_path):
    (tmp_path / "a.key").touch()
    (tmp_path / "b.ini").touch()
    for line in ("bulkhead tenant list --api-key-file ", "bulkhead serve -c ", "bulkhead serve --config "):
        assert bash.offers(line, folder=tmp_path) == {"a.key", "b.ini"}, line
    assert bash.offers("bulkhead migrate ", folder=tmp_path) == {"status", "a.key", "b.ini"}
    assert bash.offers("bulkhead tenant show ", folder=tmp_path) & {"a.key", "b.ini"} == set()


# ---- shells with a terminal ----

ZSH = "setopt nobeep; PS1=; autoload -Uz compinit; compinit -u -D"


class Shell:
    """An interactive one, which reads keys."""

    def __init__(self, command, setup, folder):
        self.leader, follower = pty.openpty()
        environment = {"PATH": f"{PROGRAM.parent}:/usr/bin:/bin", "TERM": "dumb", "HOME": str(folder), "PS1": "",
                       "INPUTRC": "/dev/null", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(command, stdin=follower, stdout=follower, stderr=follower, env=environment,
                                        cwd=folder, start_new_session=True)
        os.close(follower)
        self.type(f"{setup}\necho rea''dy\n", "ready\r\n")

    def type(self, keys, expected, seconds=20):
        """What came up to and with `expected`."""
        os.write(self.leader, keys.encode())
        written, until = "", time.monotonic() + seconds
        while expected not in written and time.monotonic() < until:
            if select.select([self.leader], [], [], 0.1)[0]:
                written += os.read(self.leader, 65536).decode(errors="replace")
        assert expected in written, written
        return written

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.leader)


@pytest.fixture(params=["bash", "zsh"])
def shell(request, scripts, tmp_path):
    if request.param == "bash":
        shell = Shell(["bash", "--norc", "--noprofile", "-i"], f"source {scripts}/bulkhead", tmp_path)
    else:
        shell = Shell(["zsh", "-f", "-i"], f"fpath=({scripts} $fpath); {ZSH}", tmp_path)
    yield shell
    shell.close()


def test_a_tab_completes(shell, tmp_path):
    """As a person sees it."""
    (tmp_path / "some.key").touch()
    for keys, line in (("bulkhead permission-\tli\t", "bulkhead permission-key list "),
                       ("bulkhead tenant anc\t", "bulkhead tenant ancestors "),
                       ("bulkhead tenant suspend acme --sub\t", "--subtree "),
                       ("bulkhead permission set a b true --mode LO\t", "LOCKED "),
                       ("bulkhead tenant list --api-key-file so\t", "some.key "),
                       ("bulkhead key rotate log\t", "logins "),
                       ("bulkhead migrate sta\t", "status ")):
        shell.type(keys, line.split(" ")[-2])
        os.write(shell.leader, b"\x15\n")  # and away with it


def test_zsh_says_what_options_do(scripts, tmp_path):
    shell = Shell(["zsh", "-f", "-i"], f"fpath=({scripts} $fpath); {ZSH}", tmp_path)
    try:
        shell.type("bulkhead tenant s\t\t", "Let nobody of a tenant in")
        os.write(shell.leader, b"\x15\n")
        shell.type("bulkhead tenant suspend acme --\t\t", "all below it too")
    finally:
        shell.close()


def test_zsh_takes_the_script_sourced_too(scripts, tmp_path):
    shell = Shell(["zsh", "-f", "-i"], f"{ZSH}; source {scripts}/_bulkhead", tmp_path)
    try:
        shell.type("bulkhead tenant anc\t", "ancestors")
    finally:
        shell.close()


# ---- the command ----

def test_scripts_are_sound(scripts):
    for shell, name in (("bash", "bulkhead"), ("zsh", "_bulkhead")):
        checked = subprocess.run([shell, "-n", scripts / name], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (DONE, "")


def test_wrong_usage():
    for words in ([], ["fish"], ["bash", "zsh"]):
        done = bulkhead("completion", *words)
        assert (done.returncode, done.stdout) == (USAGE, "") and "bash|zsh" in done.stderr
