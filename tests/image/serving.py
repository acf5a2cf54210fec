"""
What the Dockerfile's steps made, run as an engine would: its user, its root read-only, no capability, its volumes.

usage: serving.py ROOT VERSION

A PostgreSQL of this machine stands on loopback; the scripts of docker-compose.yml fill it, two tenants ask through
Bulkhead, and the image's stop signal ends it. Needs root.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.postgres import HOST, Postgres, free_port  # noqa: E402
from image.dockerfile import Dockerfile  # noqa: E402
from image.shop import (  # noqa: E402
    COMPOSE, DATABASE, TOP, ask, ask_as_tenants, expect, make_database, make_rows, say, superuser)

READY_S = 30
STOP_S = 30

# In namespaces of its own: the root and what is put into it read-only, volumes, /proc, a few devices; then the
# program as process 1, as another user and with nothing that a user could become root by.
ENTER = r"""
set -eu
root=$1 user=$2; shift 2
mount --bind "$root" "$root"
while [ "$1" != -- ]; do
    mount --bind "$2" "$root$3"
    [ "$1" = rw ] || mount -o remount,bind,ro "$root$3"
    shift 3
done
shift
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 444 "$root/dev/urandom" c 1 9
mount -o remount,ro "$root/dev"
mount -o remount,bind,ro "$root"
cd /
exec chroot "$root" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs \
    --inh-caps=-all --bounding-set=-all -- "$@"
"""


class Container:
    """A root to run programs in; its volumes stay from one to the next, as an engine's named ones do."""

    def __init__(self, root, image):
        self.root, self.image = root, image
        self.folder = Path(tempfile.mkdtemp(prefix="bulkhead-image-"))
        self.folder.chmod(0o755)
        self.mounts = []
        for volume in image.volumes:  # with owner and mode that the image gives
            copy = self.volume(volume)
            subprocess.run(["cp", "-a", f"{root}{volume}", copy], check=True)
            self.mounts += ["rw", str(copy), volume]

    def volume(self, path):
        return self.folder / path.strip("/").replace("/", "-")

    def start(self, command, settings, files=(), **more):
        mounts = list(self.mounts)
        for source, target in files:
            place = Path(f"{self.root}{target}")
            place.parent.mkdir(exist_ok=True)
            place.touch()
            mounts += ["ro", str(source), target]
        return subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER,
             "sh", str(self.root), self.image.user, *mounts, "--", *command],
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **settings},
            stdin=subprocess.DEVNULL, **more)

    def run(self, command, settings=None, files=()):
        """(exit status, what it printed)."""
        process = self.start(command, settings or {}, files, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output.strip()

    def must(self, *arguments, **more):
        status, output = self.run(*arguments, **more)
        if status:
            raise SystemExit(f"{arguments[0]} ended with {status}:\n{output}")
        return output

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def first_process(unshare):
    """Process 1 of the namespace, by the name that it has outside."""
    children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
    return int(children[0])


def look_around(container, version):
    """What an attacker who got in would find."""
    expect("version", f"bulkhead {version}", container.must(["bulkhead", "--version"]).splitlines()[0])
    expect("user", container.image.user, container.must(["sh", "-c", "echo $(id -u):$(id -g)"]))
    expect("capabilities that it has or could get", "0 0 0", container.must(
        ["sh", "-c", "awk '/^Cap(Prm|Eff|Bnd)/ { sub(/^0+/, \"\", $2); print $2 + 0 }' /proc/self/status | xargs"]))
    # The root as it was built is writable in these places alone, and mounted read-only all the same.
    expect("what its user may write to", sorted(container.image.volumes), sorted(container.must(
        ["sh", "-c", "find / -path /proc -prune -o -path /dev -prune -o -writable ! -type l -print 2>/dev/null || true"]
    ).split()))
    container.must(["sh", "-ec", "! (: >/tmp/x) 2>/dev/null"])
    expect("compilers and clients left in it", "", container.must(
        ["sh", "-c", "command -v gcc cc make psql git curl wget || true"]))


def fill(container, postgres):
    """The services `postgres`, `init` and `shop` of docker-compose.yml, twice: a second `up` must change nothing."""
    make_database(postgres)
    before = None
    for _ in range(2):
        container.must(["sh", "/deploy/init.sh"], superuser(postgres), files=[(COMPOSE / "init.sh", "/deploy/init.sh")])
        make_rows(postgres)
        keys = {path.name: path.read_bytes() for path in container.volume("/etc/bulkhead/keys").iterdir()}
        expect("keys that init wrote", ["guard.key", "pool.password", "sidecar.password"], sorted(keys))
        if before not in (None, keys):
            raise SystemExit("a second init drew other keys")
        before = keys


@contextmanager
def serving(container, postgres, port, log):
    settings = {
        "BULKHEAD_LISTEN_LISTEN_ADDR": HOST, "BULKHEAD_LISTEN_LISTEN_PORT": str(port),
        "BULKHEAD_CLUSTER_HOST": HOST, "BULKHEAD_CLUSTER_PORT": str(postgres.port),
        "BULKHEAD_CONTROL_DSN": f"host={HOST} port={postgres.port} dbname={DATABASE} user=bulkhead_sidecar",
        "BULKHEAD_PROBES_LISTEN_ADDR": HOST, "BULKHEAD_PROBES_LISTEN_PORT": str(free_port()),
    }
    files = [(COMPOSE / "bulkhead.ini", "/etc/bulkhead/bulkhead.ini")]
    process = container.start([*container.image.entrypoint, *container.image.command], settings, files, stderr=log)
    try:
        yield process, settings, files
    finally:
        if process.poll() is None:
            os.kill(first_process(process), signal.SIGKILL)  # --kill-child is forgotten when the user changes
            process.wait()


def wait_until_healthy(container, process, settings, files, ask):
    """By the image's own command; by asking, as long as the program has no such command."""
    by_command = container.image.health[1] in container.must(["bulkhead", "--help"])
    end = time.monotonic() + READY_S
    while time.monotonic() < end and process.poll() is None:
        if by_command:
            if container.run(container.image.health, settings, files)[0] == 0:
                return say("healthy, says " + " ".join(container.image.health))
        elif ask("acme", "SELECT 1").returncode == 0:
            return say(f"it answers; NOT TRIED: {' '.join(container.image.health)}, which this program does not have")
        time.sleep(0.2)
    raise SystemExit("it did not come up")


def check(root, version, postgres, log):
    image = Dockerfile.read(TOP / "Dockerfile")
    container = Container(root, image)
    port = free_port()

    def ask_here(tenant, query):
        password = (container.volume("/var/lib/bulkhead") / "shop.password").read_text()
        return ask(HOST, port, password, tenant, query)

    try:
        look_around(container, version)
        fill(container, postgres)
        with serving(container, postgres, port, log) as (process, settings, files):
            wait_until_healthy(container, process, settings, files, ask_here)
            ask_as_tenants(ask_here)
            os.kill(first_process(process), signal.Signals[image.stop_signal])
            expect(f"exit status after {image.stop_signal}, as process 1", 0, process.wait(timeout=STOP_S))
        expect("the directory's snapshot is kept in its volume", True,
               (container.volume("/var/lib/bulkhead") / "directory").exists())
    finally:
        container.remove()


def main():
    root, version = sys.argv[1:]
    postgres = Postgres().start()
    with tempfile.TemporaryFile("w+") as log:
        try:
            check(Path(root), version, postgres, log)
        except BaseException:
            log.seek(0)
            print(log.read(), file=sys.stderr)
            raise
        finally:
            postgres.remove()


if __name__ == "__main__":
    main()
