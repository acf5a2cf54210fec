"""Commands over the admin API: every noun against a real one."""

import json
import re
import subprocess
import threading
import time
import uuid

import pytest
from harness.api import Api
from harness.program import DONE, FAILED, NOUNS, PROGRAM, USAGE, bulkhead, write_secret
from harness.wait import wait_for


class Cli:
    """Runs commands with a key of the API."""

    def __init__(self, api, key):
        self.environment = {"BULKHEAD_API": f"http://127.0.0.1:{api.port}", "BULKHEAD_API_KEY": key}

    def __call__(self, *words, stdin=None, **environment):
        return bulkhead(*words, stdin=stdin, **{**self.environment, **environment})

    def say(self, *words, **more):
        """What people read."""
        done = self(*words, **more)
        assert (done.returncode, done.stderr) == (DONE, ""), done
        return done.stdout

    def json(self, *words, **more):
        return json.loads(self.say(*words, "--json", **more))

    def fields(self, *words, **more):
        """The lines that people read, by their names."""
        return dict(re.findall(r"^ *([a-z_]+): (.*)$", self.say(*words, **more), re.M))

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
    return Cli(api, api.key(reveal=True))


@pytest.fixture
def slug(cli):
    """A new tenant."""
    slug = f"cli-{uuid.uuid4().hex[:12]}"
    cli.say("tenant", "create", slug)
    return slug


# ---- tenants ----

def test_a_tenant_is_made_shown_changed_and_listed(cli):
    made = cli.json("tenant", "create", "cli-first", "--key", "a/b", "--name", "A & B", "--strategy", "shared")
    assert made["slug"] == "cli-first" and made["external_key"] == "a/b" and made["strategy"] == "SHARED_RLS"
    assert cli.json("tenant", "show", "a/b") == made == cli.json("tenant", "show", made["id"])
    assert cli.fields("tenant", "show", "cli-first")["name"] == "A & B"
    changed = cli.json("tenant", "set", "cli-first", "--no-key", "--slug", "cli-renamed")
    assert changed["external_key"] is None and changed["slug"] == "cli-renamed" and changed["name"] == "A & B"
    assert "cli-renamed" in cli.say("tenant", "list", "--prefix", "cli-re")
    assert "(BH-API-TENANT) path.tenant" in cli.refusal("tenant", "show", "cli-first")


def test_a_list_is_followed_to_its_limit(cli, slug):
    cli.say("tenant", "batch", "--tenants", json.dumps(
        [{"slug": f"{slug}-{n}", "parent": slug} for n in range(230)]))
    children = cli.json("tenant", "children", slug)
    assert len(children["items"]) == 230 and children["next"] is None
    done = cli("tenant", "children", slug, "--limit", "210", "--json")
    first = json.loads(done.stdout)
    assert len(first["items"]) == 210
    rest = cli.json("tenant", "children", slug, "--cursor", first["next"])
    assert [item["id"] for item in first["items"] + rest["items"]] == [item["id"] for item in children["items"]]
    done = cli("tenant", "children", slug, "--limit", "3")
    assert len(done.stdout.splitlines()) == 4 and "there are more" in done.stderr


def test_an_empty_list_has_its_columns(cli, slug):
    assert cli.say("tenant", "children", slug).split() == [
        "slug", "key", "name", "strategy", "cluster", "status", "depth", "id"]
    assert cli.json("tenant", "children", slug) == {"items": [], "next": None}


def test_a_subtree_is_suspended_and_resumed(cli, slug):
    cli.say("tenant", "create", f"{slug}-b", "--parent", slug)
    assert "body.subtree" in cli.refusal("tenant", "suspend", slug)
    tried = cli.say("tenant", "suspend", slug, "--subtree", "--dry-run")
    assert tried.endswith("nothing was changed: this was a dry run\n") and tried.count("suspended") == 2
    assert cli.json("tenant", "show", slug)["status"] == "active"
    assert cli.say("tenant", "suspend", slug, "--subtree").count("suspended") == 2
    assert cli.say("tenant", "suspend", slug, "--subtree") == "nothing was changed: it is so already\n"
    assert cli.json("tenant", "resume", slug, "--subtree")["changed"]["count"] == 2
    for verb, status in (("archive", "archived"), ("restore", "active")):
        cli.say("tenant", verb, slug, "--subtree")
        assert cli.json("tenant", "show", f"{slug}-b")["status"] == status


def test_a_tenant_is_moved(cli, slug):
    cli.say("tenant", "create", f"{slug}-b", "--parent", slug)
    assert "--under is wanted" in cli.misuse("tenant", "move", f"{slug}-b")
    assert "one too many" in cli.misuse("tenant", "move", f"{slug}-b", "--under", "acme", "--to-root")
    assert "dry run" in cli.say("tenant", "move", f"{slug}-b", "--to-root", "--dry-run")
    assert cli.json("tenant", "show", f"{slug}-b")["depth"] == 2
    assert cli.json("tenant", "move", f"{slug}-b", "--to-root")["tenant"]["parent_id"] is None
    cli.say("tenant", "move", f"{slug}-b", "--under", "acme")
    assert [item["slug"] for item in cli.json("tenant", "ancestors", f"{slug}-b")["items"]] == ["acme"]
    cli.say("tenant", "create", f"{slug}-c", "--parent", "acme")
    cli.say("tenant", "reorder", f"{slug}-c", "--to", "first")
    assert cli.json("tenant", "children", "acme")["items"][0]["slug"] == f"{slug}-c"


def test_an_etag_can_be_said(cli, slug):
    assert "(BH-API-CHANGED)" in cli.refusal("tenant", "set", slug, "--name", "x", "--if-match", "99")
    for etag in ("1", '"2"', "*"):
        cli.say("tenant", "set", slug, "--name", f"x{etag}", "--if-match", etag)


def test_changes_at_once_are_all_made(cli, slug):
    """Each is made upon what it read; who was overtaken reads again."""
    options = {"--name": "a", "--region": "b", "--key": f"k-{slug}", "--weight": "7"}
    with_all = [threading.Thread(target=cli.say, args=("tenant", "set", slug, *pair)) for pair in options.items()]
    for thread in with_all:
        thread.start()
    for thread in with_all:
        thread.join()
    tenant = cli.json("tenant", "show", slug)
    assert (tenant["name"], tenant["region"], tenant["external_key"]) == ("a", "b", f"k-{slug}")
    assert tenant["pool_weight"] == 7


def test_a_purge_wants_the_slug_and_is_a_job(cli, slug):
    assert "--confirm is wanted" in cli.misuse("tenant", "purge", slug)
    assert "body.confirm" in cli.refusal("tenant", "purge", slug, "--confirm", "acme")
    job = cli.json("tenant", "purge", slug, "--confirm", slug)
    assert (job["kind"], job["tenant"]) == ("purge", slug)
    assert cli.fields("job", "show", job["id"])["kind"] == "purge"
    assert cli.json("job", "list", "--tenant", slug)["items"][0]["id"] == job["id"]
    assert "BH-API" in cli.refusal("job", "retry", job["id"])


# ---- settings ----

def test_a_setting_is_set_locked_shown_and_unset(cli, slug):
    assert cli.json("setting", "set", slug, "app.x", '{"a": [1]}')["value"] == {"a": [1]}
    assert cli.json("setting", "set", slug, "app.x", "a word")["value"] == "a word"
    assert cli.json("setting", "set", slug, "app.n", "-5", "--lock")["locked"] is True
    assert cli.fields("setting", "get", slug, "app.n") == {
        "key": "app.n", "value": "-5", "sensitive": "no", "inherited": "no", "locked": "yes", "masked": "no",
        "source": cli.json("tenant", "show", slug)["id"], "own": "-5", "revision": "1"}
    cli.say("setting", "unlock", slug, "app.n")
    assert cli.json("setting", "get", slug, "app.n")["locked"] is False
    cli.say("setting", "lock", slug, "app.n")
    shown = cli.say("settings", "show", slug)
    assert re.search(r"^app.x +a word ", shown, re.M) and "proxy.read_only" in shown
    assert [item["key"] for item in cli.json("setting", "list", slug)["items"]] == ["app.n", "app.x"]
    assert "dry run" in cli("setting", "unset", slug, "app.x", "--dry-run").stdout
    assert cli.say("setting", "unset", slug, "app.x") == ""
    assert cli.json("setting", "unset", slug, "app.n") is None
    assert cli.json("setting", "list", slug)["items"] == []


def test_a_setting_has_its_history(cli, slug):
    for value in "1", "2":
        cli.say("setting", "set", slug, "app.x", value)
    history = cli.say("setting", "history", slug, "app.x").splitlines()
    assert len(history) == 3 and re.match(r"2 +set .* 1 +2$", history[1])
    assert cli.json("setting", "rollback", slug, "app.x", "1")["value"] == 1
    assert cli.json("setting", "inheritance", slug, "app.x")["items"][-1]["value"] == 1
    assert re.search(r"^app.x +no +1", cli.say("setting", "diff", slug, "acme"), re.M)
    assert cli.json("setting", "drift", slug)["items"] == []
    done = cli.json("setting", "batch", slug, "--set", '[{"key": "app.y", "value": 1}]',
                    "--delete", '[{"key": "app.x"}]')
    assert [item["done"] for item in done["items"]] == ["set", "removed"]


def test_a_sensitive_value_comes_from_a_file(cli, slug, tmp_path):
    file = write_secret(tmp_path / "value", "hunter2\n")
    cli.say("setting", "set", slug, "app.secret", "--sensitive", "--value-file", file)
    assert "hunter2" not in cli.say("setting", "get", slug, "app.secret")
    assert cli.json("setting", "get", slug, "app.secret", "--reveal")["value"] == "hunter2"
    cli.say("setting", "set", slug, "app.secret", "--sensitive", "--value-file", "-", stdin='{"a": 1}')
    assert cli.json("setting", "get", slug, "app.secret", "--reveal")["value"] == {"a": 1}
    file.chmod(0o644)
    assert "0600" in cli.refusal("setting", "set", slug, "app.secret", "--sensitive", "--value-file", file)
    assert len(cli.json("setting", "data-keys", slug)["items"]) == 1
    assert cli.json("setting", "rotate-data-key", slug)["kind"] == "rekey"
    wait_for(lambda: cli.json("setting", "data-keys", slug)["job"] is None, "the end of the job")
    job = cli.json("setting", "rotate-data-key", slug, "--wait")
    assert (job["kind"], job["state"]) == ("rekey", "done")
    assert cli.json("setting", "get", slug, "app.secret", "--reveal")["value"] == {"a": 1}


def test_settings_are_registered(cli):
    key = f"cli.k{uuid.uuid4().hex[:8]}"
    cli.say("setting-key", "create", key, "--type", "integer", "--minimum", "1", "--description", "of this test")
    assert cli.fields("setting-key", "show", key)["minimum"] == "1"
    cli.say("setting-key", "set", key, "--description", "another")
    assert cli.json("setting-key", "list", "--prefix", key)["items"][0]["description"] == "another"
    assert "BH-API" in cli.refusal("setting", "set", "acme", key, "0")
    assert cli.say("setting-key", "delete", key) == ""
    assert True in [item["in_file"] for item in cli.json("setting-key", "master-keys")["items"]]


# ---- permissions ----

def test_a_permission_is_granted_and_revoked(cli, slug):
    assert "LOCKED, INHERITED, DELEGATED" in cli.misuse("permission", "set", slug, "sql.ddl", "true", "--mode", "x")
    granted = cli.json("permission", "set", slug, "sql.relations", "shop.*,orders", "--mode", "delegated")
    assert (granted["grant"]["value"], granted["grant"]["mode"]) == (["orders", "shop.*"], "DELEGATED")
    assert cli.fields("permission", "set", slug, "sql.relations", '["orders"]')["holds"] == "orders"
    assert "affected" in cli.json("permission", "set", slug, "sql.relations", "[]", "--dry-run")
    assert re.search(r"^sql.relations +orders +own", cli.say("permission", "show", slug), re.M)
    assert cli.json("permission", "show", slug, "--key", "sql.relations")["items"][0]["value"] == ["orders"]
    assert [item["key"] for item in cli.json("permission", "list", slug)["items"]] == ["sql.relations"]
    assert cli.json("permission", "get", slug, "sql.relations")["grant"]["value"] == ["orders"]
    assert len(cli.json("permission", "history", slug, "sql.relations")["items"]) == 2
    assert cli.json("permission", "revoke", slug, "sql.relations")["revoked"]["count"] == 1
    assert "BH-API-NOT-FOUND" in cli.refusal("permission", "revoke", slug, "sql.relations")


def test_permissions_are_registered(cli):
    key = f"cli.p{uuid.uuid4().hex[:8]}"
    cli.say("permission-key", "create", key, "--kind", "set", "--default", '["a"]', "--description", "of this test")
    assert cli.fields("permission-key", "show", key)["default"] == "a"
    cli.say("permission-key", "set", key, "--description", "another")
    assert cli.json("permission-key", "list", "--prefix", key)["items"][0]["description"] == "another"
    assert cli.say("permission-key", "delete", key) == ""


# ---- principals and keys ----

def test_a_principal(cli, tmp_path):
    name = f"cli {uuid.uuid4().hex[:8]}"
    file = write_secret(tmp_path / "password", "a password\n")
    made = cli.json("principal", "create", name, "--home", "acme", "--reach", "self", "--password-file", file)
    assert made["has_password"] and "password" not in made
    assert "one too many" in cli.misuse("principal", "set", name, "--disabled", "--no-disabled")
    assert cli.json("principal", "set", name, "--max-connections", "3", "--reach", "sub")["reach"] == "subtree"
    assert cli.json("principal", "set", name, "--no-max-connections")["max_connections"] is None
    assert re.search(rf"^{name} +acme +subtree +active", cli.say("principal", "list", "--home", "acme"), re.M)
    assert cli.json("principal", "disable", name)["disabled"] is True
    assert cli.json("principal", "enable", name)["disabled"] is False
    assert len(cli.fields("principal", "password", name, "--generate-password")["password"]) >= 20
    assert "body.max_connections" in cli.refusal("principal", "set", name, "--max-connections", "0")
    assert cli.say("principal", "delete", name) == ""
    assert "BH-API-NOT-FOUND" in cli.refusal("principal", "show", name)


def test_an_api_key_goes_into_a_file(cli, api, tmp_path):
    file = tmp_path / "key"
    made = cli.json("api-key", "create", "ci", "--role", "viewer", "--tenant", "acme", "--addresses",
                    "127.0.0.0/8,10.0.0.0/8", "--valid-until", "2030-01-01T00:00:00Z", "--out", file)
    assert "key" not in made and made["addresses"] == ["127.0.0.0/8", "10.0.0.0/8"]
    assert file.stat().st_mode & 0o777 == 0o600 and file.read_text().startswith("bhk_")
    mine = bulkhead("api-key", "whoami", "--json", "--api-key-file", file, BULKHEAD_API=f"http://127.0.0.1:{api.port}")
    assert json.loads(mine.stdout)["id"] == made["id"]
    before = file.read_text()
    assert "File exists" in cli.refusal("api-key", "rotate", made["id"], "--overlap", "60", "--out", file)
    assert file.read_text() == before
    cli.say("api-key", "rotate", made["id"], "--overlap", "60", "--out", tmp_path / "new")
    assert (tmp_path / "new").read_text() != before
    assert "BH-API" in cli.refusal("api-key", "rotate", "a" * 16, "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert cli.fields("api-key", "show", made["id"])["tenant"] == "acme"
    cli.say("api-key", "set", made["id"], "--name", "other", "--no-addresses")
    assert re.search(rf"^{made['id']} +other +viewer +acme +active", cli.say("api-key", "list"), re.M)
    assert cli.fields("api-key", "revoke", made["id"])["state"] == "revoked"
    assert cli.say("api-key", "delete", made["id"]) == ""


def test_a_key_of_a_part_of_the_tree_sees_no_more(api):
    viewer = Cli(api, api.key("viewer", "acme"))
    assert {item["slug"] for item in viewer.json("tenant", "list")["items"]} >= {"acme"}
    assert "globex" not in viewer.say("tenant", "list")
    assert "(BH-API-TENANT)" in viewer.refusal("tenant", "show", "globex")
    assert "BH-API" in viewer.refusal("tenant", "suspend", "acme")
    assert "(BH-API-KEY)" in Cli(api, "bhk_" + "a" * 16 + "_" + "b" * 43).refusal("tenant", "list")
    assert "BH-API" in Cli(api, "").refusal("tenant", "list")


# ---- clusters ----

def test_a_cluster(cli):
    cli.say("cluster", "create", "cli-east", "--region", "eu")
    assert cli.json("cluster", "set", "cli-east", "--status", "drain", "--no-region") == {
        "name": "cli-east", "region": None, "status": "draining"}
    assert "cli-east" in cli.say("cluster", "list")
    assert cli.fields("cluster", "show", "cli-east")["status"] == "draining"
    assert cli.say("cluster", "delete", "cli-east") == ""


# ---- what runs ----

def test_a_session_is_seen_and_killed(cli, api):
    with api.proxy.connect("acme") as client:
        client.execute("SELECT 1")
        (session,) = cli.json("session", "list", "--tenant", "acme")["items"]
        assert session["principal"] == "shop"
        assert re.search(rf"^{session['pid']} +acme +shop ", cli.say("session", "list"), re.M)
        assert cli.fields("session", "show", session["pid"])["tenant"] == "acme"
        assert cli.json("session", "pins")["items"] == []
        assert cli.json("pool", "list")["items"][0]["sessions"] == 1
        assert "acme" in cli.say("pool", "backends")
        assert cli.json("tenant", "live", "acme")["pinned"] == 0
        assert cli.json("session", "cancel", session["pid"])["concerned"] == 0
        assert cli.json("session", "kill", session["pid"])["concerned"] == 1
        wait_for(lambda: not cli.json("session", "list")["items"], "the end of the session")
    for verb in ("pause", "unpause", "reconnect", "kill-sessions"):
        assert "instance" in cli.fields("tenant", verb, "acme")


def test_a_statement_is_explained(cli):
    assert cli.fields("statement", "explain", "acme", "DROP TABLE x")["reason"] == "BH-STMT-DDL"
    assert cli.json("statement", "explain", "acme", "--sql-file", "-", stdin="SELECT\n1")["decision"] == "allowed"
    assert "sql or --sql-file is wanted" in cli.misuse("statement", "explain", "acme")


# ---- the audit log and events ----

def test_the_audit_log(cli, slug):
    assert re.search(rf"tenant.create .* {slug} ", cli.say("audit", "list", "--tenant", slug))
    record = cli.json("audit", "list", "--tenant", slug)["items"][-1]
    assert cli.json("audit", "show", record["id"]) == record
    lines = cli.say("audit", "export", "--tenant", slug, "--action", "tenant.").splitlines()
    assert [json.loads(line)["tenant_slug"] for line in lines] == [slug]
    rows = cli.say("audit", "export", "--tenant", slug, "--action", "tenant.", "--format", "csv").splitlines()
    assert rows[0].startswith("id,") and len(rows) == 2
    assert cli.fields("audit", "verify")["fits"] == "yes"
    assert cli.json("audit", "verify")["next"] is None
    assert re.match(r"\d+:[0-9a-f]{64}$", cli.json("audit", "head")["head"])
    hold = cli.json("audit", "hold", "--tenant", slug, "--reason", "a test")
    assert "a test" in cli.say("audit", "holds") and cli.json("audit", "show-hold", hold["id"])["holds"] is True
    assert cli.say("audit", "release", hold["id"]) == ""


def test_a_long_log_is_exported_in_parts(cli, slug):
    for n in range(3):
        cli.say("tenant", "set", slug, "--name", f"n{n}")
    words = ["audit", "export", "--tenant", slug, "--action", "tenant."]  # reading is recorded, too
    whole = cli.say(*words)
    done = cli(*words, "--limit", "2")
    cursor = re.search(r"--cursor (\S+)", done.stderr)[1]
    assert len(done.stdout.splitlines()) == 2
    assert done.stdout + cli.say(*words, "--cursor", cursor) == whole
    assert len(whole.splitlines()) == 4


def test_events_that_have_happened(cli, slug):
    assert re.search(rf"api-key:\S.* tenant.create +{slug}  tenant:{slug}$", cli.say("events", "--tenant", slug), re.M)
    first = json.loads(cli.say("events", "--tenant", slug, "--json").splitlines()[0])
    assert first["action"] == "tenant.create"
    later = cli.say("events", "--tenant", slug, "--after", first["id"], "--action", "tenant.")
    assert later == ""


def test_events_are_followed(cli, slug):
    following = subprocess.Popen([PROGRAM, "events", "--follow", "--tenant", slug, "--action", "tenant.", "--json",
                                  "--limit", "2"], text=True, stdout=subprocess.PIPE, env=cli.environment)
    try:
        time.sleep(0.5)
        cli.say("tenant", "set", slug, "--name", "one")
        assert json.loads(following.stdout.readline())["after"]["name"] == "one"
        cli.say("tenant", "set", slug, "--name", "two")
        assert json.loads(following.stdout.readline())["after"]["name"] == "two"
        assert following.wait(10) == DONE
    finally:
        following.kill()
        following.communicate()


def test_a_revoked_key_follows_no_more(cli, api):
    made = cli.json("api-key", "create", "follower", "--role", "admin", "--tenant", "acme")
    environment = {**cli.environment, "BULKHEAD_API_KEY": made["key"]}
    following = subprocess.Popen([PROGRAM, "events", "--follow"], text=True, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=environment)
    try:
        time.sleep(0.5)
        cli.say("api-key", "revoke", made["id"])
        assert following.wait(10) == FAILED
    finally:
        following.kill()
        _, complaint = following.communicate()
    assert "the API ended it" in complaint


# ---- the way out ----

def test_any_request(cli):
    assert json.loads(cli.say("api", "GET", "version"))["name"] == "bulkhead"
    made = json.loads(cli.say("api", "POST", "/v1/tenants", "--data", '{"slug": "cli-any"}'))
    assert cli.json("tenant", "show", made["id"])["slug"] == "cli-any"
    assert "(BH-API-PATH)" in cli.refusal("api", "GET", "nosuch")
    assert "BH-API" in cli.refusal("api", "PATCH", "tenants/cli-any", "--data", '{"name": "x"}')
    cli.say("api", "PATCH", "tenants/cli-any", "--data", '{"name": "x"}', "--if-match", "*")
    assert "percent-encoded" in cli.misuse("api", "GET", "/v1/a b")
    assert "the method is" in cli.misuse("api", "HEAD", "x")


def test_a_command_with_the_same_key_is_carried_out_once(cli):
    words = ["tenant", "create", "cli-once", "--idempotency-key", "once"]
    assert cli.json(*words) == cli.json(*words)
    assert "(BH-API-IDEMPOTENCY)" in cli.refusal(*words[:2], "cli-twice", *words[3:])
    assert "BH-API" in cli.refusal("tenant", "create", "cli-once")


# ---- usage ----

def test_wrong_usage_is_said_and_nothing_is_asked(cli):
    for words in (["tenant"], ["tenant", "nosuch"], ["tenant", "list", "word"], ["tenant", "create"],
                  ["tenant", "set", "acme"], ["tenant", "list", "--nosuch"], ["tenant", "list", "--limit", "0"],
                  ["tenant", "list", "--limit", "x"], ["tenant", "list", "--timeout", "0"], ["setting", "rollback", "acme", "app.x", "first"],
                  ["tenant", "create", "a", "--config", "x"], ["session", "kill"], ["events", "word"], ["api", "GET"]):
        assert "See bulkhead" in cli.misuse(*words, BULKHEAD_API="http://127.0.0.1:1"), words


def test_each_verb_helps(cli):
    for noun in NOUNS:
        text = cli.say(noun, "--help")
        verbs = re.findall(rf"^  bulkhead {noun} ([a-z-]+)", text, re.M)
        assert len(verbs) >= 1
        for verb in verbs:
            assert cli.say(noun, verb, "--help").startswith(f"Usage: bulkhead {noun} {verb}"), (noun, verb)
