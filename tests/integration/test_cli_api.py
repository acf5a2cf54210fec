"""Commands over the admin API: every noun against a real one."""

import json

import pytest
from harness.api import Api
from harness.program import DONE, FAILED, USAGE, bulkhead


class Cli:
    """Runs commands with a key of the API; `done.stdout` … as of subprocess."""

    def __init__(self, api, key):
        self.environment = {"BULKHEAD_API": f"http://127.0.0.1:{api.port}", "BULKHEAD_API_KEY": key}

    def __call__(self, *words, stdin=None, **environment):
        return bulkhead(*words, stdin=stdin, **{**self.environment, **environment})

    def say(self, *words, **more):
        """What people read."""
        done = self(*words, **more)
        assert done.returncode == DONE, done.stderr
        return done.stdout

    def json(self, *words, **more):
        return json.loads(self.say(*words, "--json", **more))

    def refusal(self, *words, **more):
        done = self(*words, **more)
        assert (done.returncode, done.stdout) == (FAILED, ""), done
        return done.stderr

    def misuse(self, *words, **more):
        done = self(*words, **more)
        assert (done.returncode, done.stdout) == (USAGE, ""), done
        return done.stderr


@pytest.fixture(scope="module")
def api(stand):
    with Api(stand) as api:
        yield api


@pytest.fixture(scope="module")
def cli(api):
    return Cli(api, api.key())


def test_try(cli):
    print(cli("api-key", "whoami"))
    print(cli.say("api-key", "create", "ci", "--role", "viewer", "--tenant", "acme"))
    print(cli.json("api-key", "list"))
    print(cli.say("api-key", "list"))
    print(cli.say("api-key", "whoami"))
    print(cli("api-key", "create", "ci", "--role", "viewer", "--tenant", "nosuch"))
    print(cli("principal", "create", "x1", "--home", "acme", "--reach", "self", "--generate-password"))
    print(cli("principal", "list"))
    print(cli("principal", "set", "x1", "--max-connections", "3"))
    print(cli("principal", "set", "x1", "--max-connections", "0"))
    print(cli("principal", "delete", "x1"))
    print(cli("principal", "delete", "x1"))
    print(cli("api", "GET", "version"))
    print(cli("api", "GET", "nosuch"))
    print(cli("tenant", "list"))
