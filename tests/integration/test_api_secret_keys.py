"""What sensitive settings are sealed with: master keys that are lost or replaced, data keys that change in use."""

import base64
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.program import bulkhead, refusal, rows, succeed
from harness.settings import (Tenant, Vault, done, flipped, new_token, numbers, overwrite, refused, revealed, seal,
                              secret, stored)
from harness.wait import wait_for


def new_key(kid):
    return f"{kid} {base64.b64encode(secrets.token_bytes(32)).decode()}\n"


@pytest.fixture(scope="module")
def api(stand):
    with Vault(stand) as api:
        yield api


@pytest.fixture(scope="module")
def root(api):
    """An operator that may see secrets."""
    return api.client(keep=True, reveal=True)


@pytest.fixture(scope="module")
def token(root):
    return new_token(root)


@pytest.fixture
def acme(api):
    return Tenant(api)


@pytest.fixture
def victim(api):
    tenant = Tenant(api)
    yield tenant
    tenant.remove(api)


# ---- the master key ----

@pytest.fixture
def master(api):
    """Replaces the content of the file, and puts it back."""
    before = api.master.read_text()

    def replace(content):
        api.master.write_text(content)
        api.proxy.reload()
        return before

    yield replace
    replace(before)


@pytest.mark.parametrize("lost", ["lost", "another of the same name", "no file"])
def test_without_the_master_key_nothing_is_read_and_nothing_is_garbage(api, root, acme, token, master, lost):
    value = secret()
    done(root.put(acme.of(token), {"value": value}))
    done(root.put(acme.of("app.plain"), {"value": 1}))
    before = master(new_key("m9" if lost == "lost" else "m1"))
    reason = "BH-API-KEY-MISSING" if lost == "lost" else "BH-API-SECRET-BROKEN"
    if lost == "no file":
        master(before)
        api.proxy.reload(admin={"master_key_file": None})
        reason = "BH-API-KEY-MISSING"
    try:
        wait_for(lambda: root.get(acme.of(token, True)).status == 503, "the other key to be read")
        refused(root.get(acme.of(token, True)), 503, reason)
        refused(root.put(acme.of(token), {"value": value}, match="*"), 503, reason)
        refused(root.post(acme.url + ":batch", {"set": [{"key": token, "value": value}]}), 503, reason)
        assert done(root.get(acme.of(token)))["value"] is None and done(root.get(acme.of("app.plain")))["value"] == 1
        done(root.put(acme.of("app.plain"), {"value": 2}, match="*"))
        if lost == "no file":
            refused(root.put(Tenant(api).of(token), {"value": value}), 503, reason)
            refused(root.post("/v1/master-keys:rewrap"), 503, reason)
    finally:
        api.proxy.reload(admin={"master_key_file": api.master})
        master(before)
    wait_for(lambda: root.get(acme.of(token, True)).status == 200, "the key to be back")
    assert revealed(root, acme, token) == value


def test_a_newer_file_is_read_without_being_told(api, root, acme, token, master):
    """Another Bulkhead has it already, and has wrapped by its new key."""
    value = secret()
    done(root.put(acme.of(token), {"value": value}))
    before = api.master.read_text()
    file = api.stand.folder / "newer.key"
    file.touch(0o600)
    file.write_text(before)
    succeed("key", "rotate", "master", "--file", file)
    control = api.stand.postgres.conninfo(api.database)
    succeed("key", "rewrap", "master", "--file", file, "--dsn", control)
    refused(root.get(acme.of(token, True)), 503, "BH-API-KEY-MISSING")
    api.master.write_text(file.read_text())
    wait_for(lambda: root.get(acme.of(token, True)).status == 200, "the newer file")
    assert revealed(root, acme, token) == value
    # Back to the first, for the tests that follow: the newer is kept in the file, behind it.
    both = before + file.read_text().splitlines()[0] + "\n"
    file.write_text(both)
    succeed("key", "rewrap", "master", "--file", file, "--dsn", control)


# ---- rotation ----

def job_state(api, job):
    with api.admin() as admin:
        return admin.execute("SELECT state, error FROM bulkhead_control.job WHERE id = %s", (job,)).fetchone()


def kids(api, tenant):
    with api.admin() as admin:
        return {kid for kid, in admin.execute("SELECT kid FROM bulkhead_control.tenant_data_key WHERE tenant_id = %s",
                                              (tenant.id,))}


def test_another_data_key(api, root, acme, token):
    values = [secret() for _ in range(3)]
    for value in values:
        done(root.put(acme.of(token), {"value": value}, match="*" if value != values[0] else None))
    seal(root, acme, "app.gone", secret())
    done(root.delete(acme.of("app.gone")), 204)
    before, old = root.get(acme.of(token)), kids(api, acme)
    answer = done(root.post(acme.tenant + "/data-keys:rotate"), 202)
    assert answer.headers["Location"] == f"/v1/jobs/{answer['job']}"
    wait_for(lambda: job_state(api, answer["job"])[0] == "done", "the rotation")
    assert done(root.get(answer.headers["Location"]))["kind"] == "rekey"
    assert len(kids(api, acme)) == 1 and not kids(api, acme) & old
    after = root.get(acme.of(token))
    assert (after.json, after.etag) == (before.json, before.etag), "nothing has changed"
    history = done(root.get(acme.of(token) + "/history?reveal=true")).items
    assert [item["after"]["value"] for item in history] == values[::-1]
    listed = done(root.get(acme.tenant + "/data-keys"))
    assert [(key["values"], key["revisions"], key["superseded_at"]) for key in listed.items] == [(1, 4, None)]
    with api.admin() as admin:
        recorded = admin.execute("SELECT count(*) FROM bulkhead_control.audit WHERE tenant_id = %s "
                                 "AND subject = %s", (acme.id, f"setting:{token}")).fetchone()
    assert recorded == (3,), "what is sealed anew is no change to be recorded"


def test_what_cannot_be_opened_is_left_and_told(api, root, victim):
    value = secret()
    seal(root, victim, "app.good", value)
    seal(root, victim, "app.bad", secret())
    broken = flipped(stored(api, victim, "app.bad"), 0)
    overwrite(api, victim, "app.bad", broken)
    said = refusal("key", "rotate", "data", "--tenant", victim.id, "--file", api.master, "--dsn",
                   api.stand.postgres.conninfo(api.database))
    assert "app.bad" in said and "1 left as they were" in said
    assert revealed(root, victim, "app.good") == value and stored(api, victim, "app.bad") == broken
    seal(root, victim, "app.bad", value, match="*")
    job = done(root.post(victim.tenant + "/data-keys:rotate"), 202)["job"]
    wait_for(lambda: job_state(api, job)[0] in ("done", "failed"), "the rotation")


def rotate_data(api, tenant, **environment):
    return bulkhead("key", "rotate", "data", "--tenant", tenant.id, "--file", api.master, "--dsn",
                    api.stand.postgres.conninfo(api.database), **environment)


@pytest.mark.parametrize("where", ["key+", "reseal"])
def test_a_rotation_goes_on_where_it_was_killed(api, root, acme, where):
    values = {f"app.k{n}": secret() for n in range(150)}
    done(root.post(acme.url + ":batch", {"set": [
        {"key": key, "value": value, "sensitive": True} for key, value in values.items()]}))
    assert rotate_data(api, acme, JOB_TEST_KILL=where).returncode == -9
    for key in ("app.k0", "app.k149"):
        assert revealed(root, acme, key) == values[key]
    assert len(kids(api, acme)) == 2
    with api.admin() as admin:
        admin.execute("UPDATE bulkhead_control.job SET lease_until = now() - interval '1 s' "
                      "WHERE tenant_id = %s AND state = 'running'", (acme.id,))
    wait_for(lambda: len(kids(api, acme)) == 1, "a Bulkhead that serves to go on")
    for item in root.pages(acme.url + "?reveal=true", limit=200):
        assert item["value"] == values[item["key"]]


def test_a_master_key_is_replaced(api, root, acme, token, master):
    value = secret()
    done(root.put(acme.of(token), {"value": value}))
    control = api.stand.postgres.conninfo(api.database)
    before = newer = api.master.read_text()
    place = ("--file", api.master, "--dsn", control)
    old = before.split()[0]
    try:
        assert "rewrap" in succeed("key", "rotate", "master", "--file", api.master, "--kid", "m7")
        newer = api.master.read_text()
        assert done(root.get(acme.of(token, True)))["value"] == value
        refused_ = refusal("key", "retire", "master", old, *place)
        assert "bulkhead key rewrap master" in refused_
        api.proxy.reload()
        wait_for(lambda: root.get("/v1/master-keys")["current"] == "m7", "the new master key")
        job = done(root.post("/v1/master-keys:rewrap"), 202)["job"]
        wait_for(lambda: job_state(api, job)[0] == "done", "all data keys to be wrapped anew")
        assert done(root.get(f"/v1/jobs/{job}"))["kind"] == "rewrap"
        listed = {key["kid"]: key for key in rows("key", "list", "master", *place)}
        assert listed["m7"]["file"] == "wraps" and listed["m7"]["data_keys"] > 0
        assert listed[old] == {"kid": old, "file": "kept", "data_keys": 0}
        assert "m7" in refusal("key", "retire", "master", "m7", *place)
        succeed("key", "retire", "master", old, *place)
        api.proxy.reload()
        assert old not in api.master.read_text() and revealed(root, acme, token) == value
        # A Bulkhead that has the old file alone makes nothing that nobody will be able to read.
        api.master.write_text(before)
        api.proxy.reload()
        wait_for(lambda: root.get("/v1/master-keys")["current"] == old, "the old file")
        refused(root.put(Tenant(api).of(token), {"value": value}), 503, "BH-API-KEY-MISSING")
    finally:
        with api.admin() as admin:
            admin.execute("DELETE FROM bulkhead_control.retired_master_key")
        api.master.write_text(before + "".join(line + "\n" for line in newer.splitlines() if not line.startswith(old)))
        succeed("key", "rewrap", "master", *place)


@pytest.mark.parametrize("kill", ["rewrap"])
def test_a_rewrapping_goes_on_where_it_was_killed(api, root, token, kill):
    tenants = [Tenant(api) for _ in range(3)]
    values = [secret() for _ in tenants]
    for tenant, value in zip(tenants, values):
        done(root.put(tenant.of(token), {"value": value}))
    before = api.master.read_text()
    old = before.split()[0]
    control = api.stand.postgres.conninfo(api.database)
    file = api.stand.folder / "killed.key"
    file.touch(0o600)
    file.write_text(before)
    succeed("key", "rotate", "master", "--file", file, "--kid", f"m{10 + next(numbers)}")
    api.master.write_text(file.read_text())
    assert bulkhead("key", "rewrap", "master", "--file", file, "--dsn", control, JOB_TEST_KILL=kill).returncode == -9
    for tenant, value in zip(tenants, values):
        wait_for(lambda t=tenant: root.get(t.of(token, True)).status == 200, "the newer file")
        assert revealed(root, tenant, token) == value
    with api.admin() as admin:
        admin.execute("UPDATE bulkhead_control.job SET lease_until = now() - interval '1 s' WHERE kind = 'rewrap' "
                      "AND state = 'running'")
    succeed("key", "rewrap", "master", "--file", file, "--dsn", control)
    with api.admin() as admin:
        assert admin.execute("SELECT count(*) FROM bulkhead_control.tenant_data_key WHERE master_kid = %s",
                             (old,)).fetchone() == (0,)
    for tenant, value in zip(tenants, values):
        assert revealed(root, tenant, token) == value


@pytest.mark.parametrize("rounds", [8, pytest.param(300, marks=pytest.mark.longer)])
def test_rotation_against_use(api, acme, rounds):
    """Some hundred rotations, of the data key and of the master key, while values are set and read: nothing is lost,
    nothing is refused, and whoever reads sees what was set last."""
    keys = [f"app.k{n}" for n in range(4)]
    over, problems, writes = threading.Event(), [], [0]

    def use(key):
        client = api.client(keep=True, reveal=True)
        value, etag = secret(), None
        while not over.is_set():
            answer = client.put(acme.of(key), {"value": value, "sensitive": True}, match=etag)
            if answer.status != 200:
                problems.append(answer)
                break
            etag = answer.etag
            writes[0] += 1
            seen = client.get(acme.of(key, True))
            if seen.status != 200 or seen["value"] != value:
                problems.append(seen)
                break
            value = secret()
        last = client.get(acme.of(key, True))
        return last.json.get("value"), client.get(acme.of(key) + "/history?reveal=true&limit=200")

    def rotate():
        for n in range(rounds):
            said = rotate_data(api, acme)
            if said.returncode != 0:
                problems.append(said.stderr)
            if n % 10 == 0:
                succeed("key", "rotate", "master", "--file", api.master)
                said = bulkhead("key", "rewrap", "master", "--file", api.master, "--dsn",
                                api.stand.postgres.conninfo(api.database))
                if said.returncode != 0:
                    problems.append(said.stderr)

    with ThreadPoolExecutor(len(keys) + 1) as executor:
        users = [executor.submit(use, key) for key in keys]
        try:
            executor.submit(rotate).result()
        finally:
            over.set()
        results = [user.result() for user in users]
    assert problems == []
    print(f"{rounds} rotations, {writes[0]} writes")
    assert writes[0] > rounds
    for last, history in results:
        done(history)
        assert history.items[0]["after"]["value"] == last
        assert all(item["after"]["value"].startswith("hunter2-") for item in history.items)
    assert rotate_data(api, acme).returncode == 0 and len(kids(api, acme)) == 1
