"""The command line: what each subcommand answers, its exit codes, and that no secret is ever repeated."""

import json
import os
import re
import subprocess

import pytest
from harness.program import DONE, FAILED, NOUNS, PROGRAM, ROOT, USAGE, bulkhead, write_secret

PLANTED = "hunter2-never-to-be-seen"
KEY = "k1 " + "QUFB" * 10 + "QUE="  # 32 bytes
COMMANDS = ["serve", "init", "lint", "check", "healthcheck", "sandbox", "tenant", "cluster", "principal", "permission",
            "permission-key", "setting", "setting-key", "api-key", "audit", "events", "job", "session", "pool",
            "statement", "api", "key", "migrate", "explain-statement", "completion"]

SOUND = """[cluster:default]
database = app
password_file = {folder}/pool.password
[guard]
key_file = {folder}/guard.key
[control]
dsn = host=127.0.0.1 dbname=app user=bulkhead_sidecar
password_file = {folder}/sidecar.password
"""


@pytest.fixture
def sound(tmp_path):
    """A configuration with nothing wrong in it."""
    write_secret(tmp_path / "guard.key", KEY + "\n")
    for name in ("pool", "sidecar"):
        write_secret(tmp_path / f"{name}.password", f"{PLANTED}-{name}\n")
    config = tmp_path / "bulkhead.ini"
    config.write_text(SOUND.format(folder=tmp_path))
    return config


# ---- the program ----

def test_help_lists_the_subcommands():
    for option in ("--help", "-h"):
        done = bulkhead(option)
        assert (done.returncode, done.stderr) == (DONE, "")
        assert re.findall(r"^  ([a-z-]+) ", done.stdout, re.M) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_subcommand_helps(command):
    for option in ("--help", "-h"):
        done = bulkhead(command, option)
        assert (done.returncode, done.stderr) == (DONE, "")
        assert done.stdout.lower().startswith(f"usage: bulkhead {command}")


def test_versions_of_the_program_and_its_libraries():
    for option in ("--version", "-V"):
        done = bulkhead(option)
        assert (done.returncode, done.stderr) == (DONE, "")
        versions = dict(line.split(" ", 1) for line in done.stdout.splitlines())
        assert list(versions) == ["bulkhead", "libevent", "OpenSSL", "libpq", "jansson", "libcurl", "libidn"]
        assert all(re.match(r"\d+\.\d+", version) for name, version in versions.items() if name != "bulkhead")
        assert versions["bulkhead"]


@pytest.mark.parametrize("arguments", [
    [], ["nosuch"], ["--nosuch"], [""],
    ["serve", "word"], ["serve", "--nosuch"], ["serve", "-c"], ["serve", "--set", "nothing"], ["serve", "--set", "=x"],
    ["check", "word"], ["check", "--nosuch"], ["check", "--set", "a=b"],
    ["init"], ["init", "--dsn"], ["init", "--dsn", "x", "word"], ["init", "--dsn", "x", "--hardening", "none"],
    ["sandbox", "word"], ["sandbox", "--port"],
    ["tenant"], ["tenant", "create"], ["tenant", "create", "a", "b"], ["tenant", "list", "a"], ["tenant", "nosuch"],
    ["tenant", "create", "a", "--nosuch"], ["tenant", "create", "a", "--id"],
    ["principal"], ["principal", "create"], ["principal", "create", "a"], ["principal", "create", "a", "--home", "b"],
    ["principal", "create", "a", "--home", "b", "--reach", "everything"], ["principal", "password"],
    ["principal", "create", "a", "b", "--home", "b", "--reach", "all"], ["conf"], ["conf", "--nosuch"],
    ["permission"], ["permission", "set", "a", "b"], ["permission", "set", "a", "b", "c", "d"], ["permission", "revoke", "a"],
    ["permission", "show"], ["permission", "set", "a", "b", "c", "--mode", "any"], ["permission", "show", "a", "--lock"],
    ["permission", "set", "a", "b", "c", "--revocation", "any"], ["permission", "revoke", "a", "b", "--mode", "locked"],
    ["setting"], ["setting", "set", "a", "b"], ["setting", "unset", "a"], ["setting", "show"], ["setting", "unset", "a", "b", "c"],
    ["setting", "set", "a", "b", "c", "--mode", "locked"],
])
def test_wrong_usage(arguments):
    done = bulkhead(*arguments, CONTROL_DSN="host=127.0.0.1 port=1")
    assert (done.returncode, done.stdout) == (USAGE, "")
    assert done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["check", "--help"], ["conf", "--sample"],
                                       ["serve", "--dump-config"]])
def test_what_cannot_be_written_is_not_done(sound, arguments):
    if "--dump-config" in arguments:
        arguments = [*arguments, "-c", sound]
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == FAILED
    assert "No space left" in done.stderr


@pytest.mark.parametrize("noun", NOUNS)
def test_each_verb_has_its_example_in_the_documentation(noun):
    over_api, _, directly = bulkhead(noun, "--help").stdout.partition("\nOn the control database")
    verbs = set(re.findall(rf"^  bulkhead {noun} ([a-z-]+)", over_api, re.M))
    for line in re.findall(rf"bulkhead {noun} ([a-z|-]+)", directly.split("\n\n")[1] if directly else ""):
        verbs.update(line.split("|"))
    examples = re.findall(rf"bulkhead {noun} ([a-z-]+)(?: [^`]*)?` \|", (ROOT / "docs" / "commands.md").read_text())
    assert len(verbs) > 0 and set(examples) == verbs


@pytest.mark.parametrize("option, file", [("--sample", "conf/bulkhead.ini"), ("--docs", "docs/configuration.md"),
                                          ("--openapi", "docs/openapi.json")])
def test_generated_files_are_current(option, file):
    assert bulkhead("conf", option).stdout == (ROOT / file).read_text()


# ---- check ----

def test_check_finds_nothing_wrong(sound):
    for arguments in (["check", "-c", sound], ["check", "--config", sound], ["serve", "--test", "-c", sound],
                      ["serve", "-t", "-c", sound]):
        done = bulkhead(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (DONE, f"{sound}: ok\n", "")


BAD = [  # what of a sound file is replaced, by what ("": at its end); then the line and the message
    ("", "[pool]\npool_size = 3\n", 10, "the section [pool] has no setting pool_size"),
    ("", "[pool]\ndefault_pool_size = 0\n", 10, "default_pool_size: 0 is outside 1 .. 10000"),
    ("", "[pool]\n\n\npool_mode = statement\n", 12, 'pool_mode: "statement" is not one of transaction, session'),
    ("", "[pools]\n", 9, "there is no section [pools]"),
    ("", "level\n", 9, "neither [section] nor key = value"),
    ("", "[log]\nlevel = ${NO_SUCH}\n", 10, "level: the environment variable NO_SUCH is not set"),
    ("", "[cluster:default]\nport = 1\n", 9, "the section [cluster:default] was already opened at line 1"),
    ("", "[listen:default]\nauth = trust\n", 10, "auth: trust is for unix sockets only: listen_addr must be empty"),
    ("", "[listen:default]\nlisten_addr =\n", 10,
     "listen_addr: is empty, and so is unix_socket_dir: nobody could connect"),
    ("database = app\n", "", 1, "[cluster:default] database: must be set"),
    ("guard.key", "nosuch.key", 5, "key_file: {folder}/nosuch.key: No such file or directory"),
    ("pool.password", "nosuch", 3, "password_file: {folder}/nosuch: No such file or directory"),
    ("user=bulkhead_sidecar", f"password={PLANTED}", 7, "dsn: must not hold a password; use password_file or passfile="),
    ("user=bulkhead_sidecar", PLANTED, 7, "dsn: is not a connection string as libpq reads them"),
    ("database = app", f"password = {PLANTED}", 2, "password: must not stand in this file; use password_file"),
]


@pytest.mark.parametrize("old, new, line, message", BAD)
def test_check_says_what_is_wrong_and_where(sound, old, new, line, message):
    text = sound.read_text()
    sound.write_text(text.replace(old, new) if old else text + new)
    for arguments in (["check", "-c", sound], ["serve", "--test", "-c", sound]):
        done = bulkhead(*arguments)
        assert (done.returncode, done.stdout) == (FAILED, "")
        assert f"{sound}:{line}: {message.format(folder=sound.parent)}\n" in done.stderr
        assert PLANTED not in done.stderr


def test_check_says_everything_at_once(sound):
    sound.write_text(sound.read_text() + "[pool]\ndefault_pool_size = x\npool_mode = y\n[log]\nlevel = z\n")
    done = bulkhead("check", "-c", sound, "--set", "log.format=w", BULKHEAD_LISTEN_LISTEN_PORT="v")
    assert done.returncode == FAILED
    assert [line.rsplit(": ", 1)[0] for line in done.stderr.splitlines()] == [
        f"{sound}:10: default_pool_size", f"{sound}:11: pool_mode", f"{sound}:13: level",
        "environment: BULKHEAD_LISTEN_LISTEN_PORT", "flags: log.format"]


def test_check_names_a_file_that_cannot_be_read(tmp_path):
    """And nothing else: what the defaults alone lack is not what is wrong."""
    for arguments in (["check"], ["serve", "--test"], ["serve"], ["healthcheck"]):
        done = bulkhead(*arguments, "-c", tmp_path / "nosuch.ini")
        assert (done.returncode, done.stderr) == (FAILED, f"{tmp_path}/nosuch.ini: No such file or directory\n")


def test_check_looks_at_the_files_of_a_faulty_configuration(sound):
    (sound.parent / "guard.key").chmod(0o644)
    (sound.parent / "pool.password").unlink()
    missing = sound.parent / "nosuch.pem"
    sound.write_text(sound.read_text() + f"[pool]\npool_mode = x\n[listen:default]\nclient_tls_sslmode = require\n"
                                         f"client_tls_cert_file = {missing}\nclient_tls_key_file = {missing}\n")
    done = bulkhead("check", "-c", sound)
    assert done.returncode == FAILED
    assert [line.split(": ", 2)[1] for line in done.stderr.splitlines()] == [
        "pool_mode", "password_file", "key_file", "client_tls_cert_file", "client_tls_key_file"]
    assert "guard.key: group or others have access" in done.stderr


def test_check_without_a_file_says_what_it_looked_at():
    done = bulkhead("check")
    *faults, last = done.stderr.splitlines()
    assert done.returncode == FAILED and "environment: BULKHEAD_CONTROL_DSN: must be set" in faults
    assert last == "bulkhead check: no file was given with -c; these are the defaults and the environment"


def test_check_without_a_key_file_says_so_once(sound):
    sound.write_text(re.sub("(?m)^key_file.*\n", "", sound.read_text()))
    done = bulkhead("check", "-c", sound)
    assert done.returncode == FAILED
    assert len(done.stderr.splitlines()) == 1 and "key_file: must be set" in done.stderr


# ---- secrets ----

@pytest.mark.parametrize("file, line, setting", [("guard.key", 5, "key_file"), ("pool.password", 3, "password_file"),
                                                 ("sidecar.password", 8, "password_file")])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_files_that_others_may_read_are_refused(sound, file, line, setting, mode):
    path = sound.parent / file
    path.chmod(mode)
    done = bulkhead("check", "-c", sound)
    assert (done.returncode, done.stderr) == (
        FAILED, f"{sound}:{line}: {setting}: {path}: group or others have access to it; its mode must be 0600\n")
    done = bulkhead("serve", "-c", sound)
    assert done.returncode == FAILED
    assert "its mode must be 0600" in done.stderr


@pytest.mark.parametrize("file", ["guard.key", "pool.password"])
@pytest.mark.parametrize("content, words", [
    (None, "not a regular file"), (b"\0", "NUL byte"), (b"", ""), (PLANTED.encode() * 5000, ""),
])
def test_files_that_hold_no_secret_are_refused(sound, file, content, words):
    path = sound.parent / file
    if content is None:
        path.unlink()
        os.mkfifo(path, 0o600)
    else:
        path.write_bytes(content)
    done = bulkhead("check", "-c", sound)
    assert done.returncode == FAILED
    assert str(path) in done.stderr and words in done.stderr and PLANTED not in done.stderr


@pytest.mark.parametrize("key", [f"{PLANTED}\n", f"k1 {PLANTED}\n", f"{PLANTED.upper()} {KEY}\n", f"{KEY}\n{KEY}\n",
                                 f"k1 {KEY} {PLANTED}\n"])
def test_a_wrong_key_file_is_refused_without_its_content(sound, key):
    write_secret(sound.parent / "guard.key", key)
    for command in ("check", "serve"):
        done = bulkhead(command, "-c", sound)
        assert done.returncode == FAILED
        assert "guard.key" in done.stderr and "line " in done.stderr
        assert PLANTED not in done.stderr and KEY.split()[1] not in done.stderr


def test_the_dump_says_that_secrets_are_set_and_no_more(sound):
    for environment in ({}, {"BULKHEAD_CLUSTER_PASSWORD": PLANTED, "BULKHEAD_CONTROL_PASSWORD": PLANTED}):
        done = bulkhead("serve", "--dump-config", "-c", sound, **environment)
        assert (done.returncode, done.stderr) == (DONE, "")
        assert done.stdout.count("; password = (set)\n") == 2
        assert PLANTED not in done.stdout and KEY.split()[1] not in done.stdout


@pytest.mark.parametrize("dsn", [
    f"host=127.0.0.1 port=1 password={PLANTED}",
    f"host=127.0.0.1 port=1 password=with blank {PLANTED}",
    f"host=127.0.0.1 port=1 password='{PLANTED}",
    f"host=127.0.0.1 port=1 password=x {PLANTED}=y",
    f"postgresql://postgres:{PLANTED}@127.0.0.1:1/x",
    f"postgresql://postgres:{PLANTED}@[::1/x",
    f"postgresql://postgres:{PLANTED}%zz@127.0.0.1:1/x",
    f"postgresql://127.0.0.1:1/x?{PLANTED}=1",
])
def test_no_message_repeats_a_connection_string(dsn):
    commands = [(["tenant", "list"], {"CONTROL_DSN": dsn}), (["tenant", "list", "--control-dsn", dsn], {}),
                (["principal", "create", "a", "--home", "b", "--reach", "all"], {"CONTROL_DSN": dsn}),
                (["init", "--dsn", dsn], {}), (["check"], {"BULKHEAD_CONTROL_DSN": dsn}),
                (["check", "--set", f"control.dsn={dsn}"], {}), (["check", "--set", f"control.password={PLANTED}"], {})]
    for arguments, environment in commands:
        done = bulkhead(*arguments, **environment)
        assert done.returncode == FAILED, arguments
        assert done.stderr and PLANTED not in done.stdout + done.stderr, arguments


def test_wrong_usage_repeats_no_setting():
    done = bulkhead("check", "--set", f"password={PLANTED}")
    assert done.returncode == USAGE and PLANTED not in done.stderr


# ---- settings ----

def dumped(*arguments, **environment):
    """The effective settings as `section.key: value`, and where each came from."""
    done = bulkhead("serve", "--dump-config", *arguments, **environment)
    assert done.returncode == DONE, done.stderr
    values, origins, section, origin = {}, {}, None, None
    for line in done.stdout.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line.startswith(";"):
            origin = line[2:]
        elif line:
            key, value = line.split(" =", 1)
            values[f"{section}.{key}"], origins[f"{section}.{key}"] = value.strip(), origin
    return values, origins


def test_environment_goes_over_the_file_and_flags_over_both(sound):
    sound.write_text(sound.read_text() + "[pool]\ndefault_pool_size = 5\nquery_wait_timeout = 5s\npool_mode = session\n")
    environment = {"BULKHEAD_POOL_DEFAULT_POOL_SIZE": "6", "BULKHEAD_POOL_QUERY_WAIT_TIMEOUT": "6s",
                   "BULKHEAD_CLUSTER_PORT": "5433", "BULKHEAD_BULKHEAD_MAX_CLIENT_CONN": "77"}
    values, origins = dumped("-c", sound, "--set", "pool.default_pool_size=7", "--set", "listen:default.listen_port=7000",
                             **environment)
    expected = {
        "pool.default_pool_size": ("7", "flag"),
        "pool.query_wait_timeout": ("6s", "environment: BULKHEAD_POOL_QUERY_WAIT_TIMEOUT"),
        "pool.pool_mode": ("session", f"{sound}:12"),
        "cluster:default.port": ("5433", "environment: BULKHEAD_CLUSTER_PORT"),
        "bulkhead.max_client_conn": ("77", "environment: BULKHEAD_BULKHEAD_MAX_CLIENT_CONN"),
        "listen:default.listen_port": ("7000", "flag"),
        "pool.server_idle_timeout": ("10min", "default"),
    }
    assert {name: (values[name], origins[name]) for name in expected} == expected


def test_the_dump_is_a_configuration(sound):
    values, _ = dumped("-c", sound, "--set", "pool.default_pool_size=7")
    again = sound.parent / "dumped.ini"
    again.write_text(bulkhead("serve", "--dump-config", "-c", sound, "--set", "pool.default_pool_size=7").stdout)
    assert dumped("-c", again)[0] == values


def test_variables_of_commands_are_no_settings(sound):
    """Those that say where the admin API is, for commands in the same environment."""
    done = bulkhead("check", "-c", sound, BULKHEAD_API="http://127.0.0.1:6480", BULKHEAD_API_KEY=PLANTED,
                    BULKHEAD_API_KEY_FILE="/nosuch", BULKHEAD_API_CA_FILE="/nosuch")
    assert (done.returncode, done.stdout, done.stderr) == (DONE, f"{sound}: ok\n", "")
    assert "BULKHEAD_APIARY" in bulkhead("check", "-c", sound, BULKHEAD_APIARY="x").stderr


def test_an_unknown_variable_gets_one_line(sound):
    done = bulkhead("check", "-c", sound, BULKHEAD_NOSUCH=PLANTED, BULKHEAD_POOL_SIZE=PLANTED, BULKHEADED=PLANTED,
                    BULKHEAD_LISTEN_PORT="1")
    assert done.returncode == DONE and PLANTED not in done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert sorted(line["name"] for line in lines) == ["BULKHEAD_LISTEN_PORT", "BULKHEAD_NOSUCH", "BULKHEAD_POOL_SIZE"]
    assert {line["event"] for line in lines} == {"conf.unknown_variable"}
    assert {line["level"] for line in lines} == {"warning"}
