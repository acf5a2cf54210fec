"""Files that change without a signal: settings, passwords and keys, plain and as Kubernetes mounts them."""

import os
import secrets
import time

import pytest
from harness.wait import wait_for
from harness.wire import WireError, rows

SOON = {"file_check_period": "100ms"}


class Mount:
    """
    A ConfigMap or Secret as kubelet mounts it: NAME leads to ..data/NAME, and ..data to a folder of a version's
    own, which is swapped by a rename.
    """

    def __init__(self, folder):
        self.folder = folder
        self.version = 0
        self.old = None
        folder.mkdir()

    def write(self, **files):
        self.version += 1
        new = self.folder / f"..version_{self.version}"
        new.mkdir()
        for name, text in files.items():
            path = new / name
            path.touch(0o600)
            path.write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        swap = self.folder / "..data_tmp"
        swap.symlink_to(new.name)
        swap.rename(self.folder / "..data")
        if self.old:
            for path in self.old.iterdir():
                path.unlink()
            self.old.rmdir()
        self.old = new

    def path(self, name):
        return self.folder / name


@pytest.fixture
def mount(tmp_path):
    return Mount(tmp_path / "mount")


def is_served(wire):
    return rows(wire.query("SELECT 'here'")) == [["here"]]


def reloaded(proxy, count=1):
    return wait_for(lambda: proxy.events("serve.reloaded")[count - 1:], "a reload")[0]


def test_the_settings_file(stand):
    with stand.proxy(bulkhead=SOON) as proxy:
        proxy.configure(pool={"default_pool_size": 9})
        assert reloaded(proxy)["changed"] == "pool.default_pool_size"


def test_a_mounted_config_map(stand, mount):
    with stand.proxy(bulkhead=SOON) as proxy:
        text = proxy.config.read_text()
        proxy.stop()
        mount.write(settings=text)
        proxy.config = mount.path("settings")
        proxy.log.unlink()
        proxy.start()
        mount.write(settings=text.replace("default_pool_size = 4", "default_pool_size = 3"))
        assert reloaded(proxy)["changed"] == "pool.default_pool_size"
        mount.write(settings=text)
        assert reloaded(proxy, 2)["changed"] == "pool.default_pool_size"


def test_a_bad_file_is_named_once_and_mended(stand):
    with stand.proxy(bulkhead=SOON) as proxy:
        proxy.configure(pool={"pool_mode": "x"})
        wait_for(lambda: proxy.events("serve.reload_failed"), "the complaint")
        time.sleep(1.5)  # tried again meanwhile
        assert len(proxy.events("serve.reload_failed")) == 1
        proxy.configure(pool={"pool_mode": "session"})
        assert reloaded(proxy)["changed"] == "pool.pool_mode"


@pytest.mark.sealed("the password is the pool login's")
def test_a_file_that_is_named_before_it_is_there(stand, tmp_path):
    """Settings and secrets come by different mounts, in any order."""
    secret = tmp_path / "late.password"
    with stand.proxy(bulkhead=SOON) as proxy:
        proxy.configure(cluster__default={"password_file": secret})
        wait_for(lambda: proxy.events("serve.reload_failed"), "the complaint")
        secret.touch(0o600)
        secret.write_text((stand.keys / "pool.password").read_text())
        assert reloaded(proxy)["changed"] == "cluster:default.password_file"


@pytest.mark.sealed("the password is the pool login's")
def test_a_mode_that_is_put_right(stand, tmp_path):
    secret = tmp_path / "open.password"
    secret.write_text((stand.keys / "pool.password").read_text())
    secret.chmod(0o644)
    with stand.proxy(bulkhead=SOON) as proxy:
        proxy.configure(cluster__default={"password_file": secret})
        line = wait_for(lambda: proxy.events("serve.reload_failed"), "the complaint")[0]
        assert "its mode must be 0600" in line["error"]
        secret.chmod(0o600)
        reloaded(proxy)


def test_no_look_when_it_is_switched_off(stand):
    with stand.proxy(bulkhead={"file_check_period": 0}) as proxy:
        proxy.configure(pool={"default_pool_size": 9})
        time.sleep(2.5)
        assert not proxy.events("serve.reloaded")
        assert proxy.reload()["changed"] == "pool.default_pool_size"


def test_a_file_that_is_being_written_is_left_alone(stand):
    with stand.proxy(bulkhead={"file_check_period": "500ms"}) as proxy:
        proxy.configure(pool={"default_pool_size": 9})
        text = proxy.config.read_text()
        with proxy.config.open("w") as file:
            for part in range(8):  # two seconds, each piece sooner than the next look
                file.write(text[len(text) * part // 8:len(text) * (part + 1) // 8])
                file.flush()
                time.sleep(0.25)
        assert reloaded(proxy)["changed"] == "pool.default_pool_size"
        assert not proxy.events("serve.reload_failed") and len(proxy.events("serve.reloaded")) == 1


def test_touching_a_file_is_no_news(stand):
    with stand.proxy(bulkhead=SOON) as proxy:
        os.utime(proxy.config)
        line = reloaded(proxy)
        assert line["changed"] == "" and line["level"] == "debug"


# ---- passwords ----

@pytest.fixture
def old_password(stand):
    """The pool's login has its old password again afterwards."""
    password = (stand.keys / "pool.password").read_text().strip()
    yield password
    alter(stand, password)


def alter(stand, password):
    with stand.admin() as admin:
        admin.execute(f"ALTER ROLE bulkhead_pool PASSWORD '{password}'")


def kick(stand):
    with stand.admin() as admin:
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bulkhead_pool'")


@pytest.mark.sealed("the password is the pool login's")
def test_a_password_is_rotated_without_a_restart(stand, mount, old_password):
    new_password = secrets.token_hex(12)
    mount.write(password=old_password + "\n")
    with stand.proxy(bulkhead=SOON, cluster__default={"password_file": mount.path("password")}) as proxy:
        wire = proxy.wire("acme")
        assert is_served(wire)
        mount.write(password=new_password + "\n")
        assert reloaded(proxy)["changed"] == "cluster:default.password"
        alter(stand, new_password)
        assert is_served(wire)  # the backend that is there goes on
        kick(stand)
        wait_for(lambda: not proxy.backends(), "the old backends to be gone")
        wait_for(lambda: proxy.events("backend.closed"), "Bulkhead to see it")
        other = proxy.wire("globex", application_name="new")
        assert is_served(other)
        assert new_password not in proxy.log_text() and old_password not in proxy.log_text()
        wire.close()
        other.close()


@pytest.mark.sealed("the password is the pool login's")
def test_a_wrong_password_is_put_right(stand, mount, old_password):
    """Keys derived from the wrong one are not remembered."""
    mount.write(password="wrong\n")
    with stand.proxy(bulkhead=SOON, cluster__default={"password_file": mount.path("password")}) as proxy:
        with pytest.raises(WireError):
            proxy.wire("acme")
        mount.write(password=old_password)
        reloaded(proxy)
        wire = proxy.wire("acme")
        assert is_served(wire)
        wire.close()
