"""The man pages: groff reads them without a complaint, and they leave nothing out."""

import re
import subprocess

import pytest
from harness.program import DONE, FAILED, USAGE, bulkhead, succeed


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("man")
    assert succeed("man", "--all", folder) == ""
    return folder


def read(page):
    """As on a terminal of 80 columns."""
    done = subprocess.run(["man", "--warnings=w", "-l", "-Tutf8", page], capture_output=True, text=True, check=False,
                          env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LANG": "C.UTF-8",
                               "MANROFFOPT": "-P-c -P-b -P-o -P-u"})
    assert (done.returncode, done.stderr) == (DONE, ""), page
    return done.stdout


def test_each_command_has_a_page(pages):
    commands = set(re.findall(r"^  ([a-z-]+) ", succeed("--help"), re.M))
    assert {path.name for path in pages.iterdir()} == {"bulkhead.1"} | {f"bulkhead-{name}.1" for name in commands}


def test_pages_are_read_without_a_warning(pages):
    for page in pages.iterdir():
        text = read(page)
        name = page.stem
        assert text.splitlines()[0].startswith(f"{name.upper()}(1)"), page
        assert re.search(rf"^NAME\n +{name} +- +\w", text, re.M), page
        assert not re.search(r"\\f|\\-|\\\(|\\&", text), page


def test_every_character_is_ascii_or_groffs(pages):
    """What is not is drawn differently from terminal to terminal."""
    for page in pages.iterdir():
        assert page.read_text().isascii(), page


def test_the_page_of_all_names_each(pages):
    text = read(pages / "bulkhead.1")
    for page in pages.iterdir():
        assert page.name == "bulkhead.1" or f"{page.stem}(1)" in text
    for option in ("--api ", "--api-key-file ", "--ca-file ", "--json"):
        assert option in text


@pytest.mark.parametrize("noun", ["tenant", "setting", "permission", "api-key", "audit", "session"])
def test_verbs_and_options_are_there(pages, noun):
    text = read(pages / f"bulkhead-{noun}.1")
    flat = " ".join(text.split())
    for verb in re.findall(rf"^  bulkhead {noun} ([a-z-]+)", succeed(noun, "--help"), re.M):
        assert re.search(rf"^   {noun} {verb}\b", text, re.M), verb
        for option in re.findall(r"^  (--[a-z-]+)", succeed(noun, verb, "--help").split("\n  --api ")[0], re.M):
            assert option in flat, (verb, option)


def test_what_a_page_is_of():
    assert succeed("man", "tenant").startswith(".TH BULKHEAD-TENANT 1 ")
    assert succeed("man").startswith(".TH BULKHEAD 1 ")
    for words in (["nosuch"], ["tenant", "list"], ["conf"]):
        assert bulkhead("man", *words).returncode == USAGE
    done = bulkhead("man", "--all", "/nosuch")
    assert done.returncode == FAILED and "No such file" in done.stderr
