"""
The units of the Debian package under a systemd that has booted: start, reload, watchdog, stop, socket, drop-in.

usage: booting.py ROOT

ROOT is a Debian with the package and systemd. It boots in namespaces and a control group of its own; the network is
this machine's. Needs root.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.postgres import HOST, Postgres, free_port  # noqa: E402
from image.shop import DATABASE, ask, ask_as_tenants, expect, make_database, make_rows, say  # noqa: E402

PASSWORD = "of the principal shop"
GROUP = f"bulkhead-booting-{os.getpid()}"
READY_S = 30
WATCHDOGS_S = 20  # more than half of WatchdogSec, which is how often Bulkhead is to be heard

# $1: a folder to see control groups in, $2: the name of ours, $3: the root. A pivot and no chroot, in which
# PrivateUsers= could not be had; shared mounts, by which systemd brings credentials.
BOOT = r"""
set -eu
mount -t cgroup2 none "$1"
mkdir "$1/$2"
echo $$ >"$1/$2/cgroup.procs"
exec unshare --mount --pid --fork --cgroup --uts --ipc --propagation private sh -euc '
    mount --bind "$1" "$1"
    mount -t proc proc "$1/proc"
    mount -t sysfs -o ro sysfs "$1/sys"
    mount -t cgroup2 none "$1/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$1/run"
    mount -t tmpfs -o mode=755 tmpfs "$1/dev"
    mknod -m 666 "$1/dev/null" c 1 3
    mknod -m 666 "$1/dev/zero" c 1 5
    mknod -m 666 "$1/dev/full" c 1 7
    mknod -m 666 "$1/dev/random" c 1 8
    mknod -m 666 "$1/dev/urandom" c 1 9
    mknod -m 666 "$1/dev/tty" c 5 0
    mkdir "$1/dev/pts" "$1/dev/shm" "$1/run/old"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
    mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
    ln -s pts/ptmx "$1/dev/ptmx"
    ln -s /proc/self/fd "$1/dev/fd"
    cd "$1"
    pivot_root . run/old
    umount -l /run/old
    mount --make-rshared /
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --unit=basic.target \
        --log-target=null --show-status=no
' sh "$3"
"""


class Machine:
    def __init__(self, root):
        self.folder = tempfile.mkdtemp(prefix="bulkhead-booting-")
        self.unshare = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", BOOT, "sh", self.folder, GROUP, root],
            stdin=subprocess.DEVNULL)
        self.first = None
        self._wait()

    def _wait(self):
        end = time.monotonic() + READY_S
        while time.monotonic() < end and self.unshare.poll() is None:
            children = Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children").read_text().split()
            self.first = int(children[0]) if children else None
            if self.first and self.run("systemctl is-system-running")[1] in ("running", "degraded"):
                return
            time.sleep(0.2)
        self.remove()
        raise SystemExit("systemd did not boot")

    def run(self, command):
        """(exit status, what it printed)."""
        done = subprocess.run(["nsenter", "-t", str(self.first), "-m", "-p", "-u", "-i", "-C", "sh", "-c", command],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=90)
        return done.returncode, done.stdout.strip()

    def must(self, command):
        status, output = self.run(command)
        if status:
            _, log = self.run("systemctl status bulkhead --no-pager; journalctl -u bulkhead --no-pager | tail -n 30")
            raise SystemExit(f"{command} ended with {status}:\n{output}\n{log}")
        return output

    def shows(self, what):
        return self.must(f"systemctl show -P {what} bulkhead")

    def socket_folder(self, path):
        return f"/proc/{self.first}/root{path}"

    def remove(self):
        """The first process takes all others along, and unshare ends behind it."""
        os.kill(self.first or self.unshare.pid, signal.SIGKILL)
        self.unshare.wait()
        subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c",
                        'mount -t cgroup2 none "$1" && find "$1/$2" -depth -type d -exec rmdir {} +', "sh",
                        self.folder, GROUP], check=False)
        shutil.rmtree(self.folder)


def prepare(root, postgres, port):
    """Database, keys in /etc/bulkhead, and the package's settings with this machine's ports."""
    folder = root / "etc/bulkhead"
    dsn = f"host={HOST} port={postgres.port} dbname={DATABASE} user=postgres"
    program = root / "usr/bin/bulkhead"

    def bulkhead(*arguments, **more):
        subprocess.run([program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, text=True,
                       env={"PGPASSWORD": postgres.password, "CONTROL_DSN": dsn}, **more)

    make_database(postgres)
    bulkhead("init", "--dsn", dsn, "--owner", "shop_owner", "--keys", folder)
    bulkhead("tenant", "create", "acme")
    bulkhead("tenant", "create", "acme-labs", "--parent", "acme")
    bulkhead("tenant", "create", "globex")
    make_rows(postgres)
    bulkhead("principal", "create", "shop", "--home", "acme", "--reach", "all", "--password-file", "-", input=PASSWORD)
    settings = (folder / "bulkhead.ini").read_text()
    settings = settings.replace("database = app", f"database = {DATABASE}\nport = {postgres.port}")
    settings = settings.replace("dbname=app", f"port={postgres.port} dbname={DATABASE}")
    settings = settings.replace("[listen:default]", f"[listen:default]\nlisten_port = {port}")
    (folder / "bulkhead.ini").write_text(f"{settings}\n[probes]\nlisten_port = {free_port()}\n")
    unit = root / "lib/systemd/system/bulkhead.socket"
    unit.write_text(unit.read_text().replace("6432", str(port)))


def ask_at(place, port, title):
    say(title)
    ask_as_tenants(lambda tenant, query: ask(place, port, PASSWORD, tenant, query))


def check(machine, port):
    machine.must("systemctl start bulkhead")
    expect("started", "active", machine.shows("ActiveState"))
    status = machine.must("cat /proc/$(systemctl show -P MainPID bulkhead)/status")
    expect("capabilities, no new privileges, seccomp", ["0", "0", "1", "2"], [
        re.search(rf"^{name}:\s+0*(\d+)$", status, re.M)[1] for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")])
    ask_at(HOST, port, "by TCP:")
    ask_at(machine.socket_folder("/run/bulkhead"), port, "by its unix socket:")
    heard = machine.shows("WatchdogTimestampMonotonic")
    machine.must("systemctl reload bulkhead")
    time.sleep(WATCHDOGS_S)
    expect("restarts", "0", machine.shows("NRestarts"))
    expect("its watchdog has heard of it", True, int(machine.shows("WatchdogTimestampMonotonic")) > int(heard))
    machine.must("grep -q . /var/lib/bulkhead/directory && journalctl -u bulkhead | grep -q serve.reloaded")
    machine.must("systemctl stop bulkhead")
    expect("stopped", "success 0", f"{machine.shows('Result')} {machine.shows('ExecMainStatus')}")

    machine.must("systemctl start bulkhead.socket")
    expect("with its socket started", "inactive", machine.shows("ActiveState"))
    ask_at(machine.socket_folder("/run/bulkhead-socket"), port, "by systemd's unix socket:")
    machine.must("systemctl restart bulkhead")
    ask_at(HOST, port, "by systemd's TCP socket, restarted:")

    machine.must("d=/etc/systemd/system/bulkhead.service.d; mkdir -p $d && "
                 "cp /usr/share/doc/bulkhead/examples/live-files.conf $d && "
                 "chown bulkhead: /etc/bulkhead/guard.key /etc/bulkhead/*.password && "
                 "systemctl daemon-reload && systemctl restart bulkhead")
    ask_at(HOST, port, "with files of its own:")
    machine.must("systemctl stop bulkhead.socket bulkhead")


def main():
    root = Path(sys.argv[1])
    port = free_port()
    postgres = Postgres().start()
    machine = None
    try:
        prepare(root, postgres, port)
        machine = Machine(root)
        check(machine, port)
    finally:
        if machine:
            machine.remove()
        postgres.remove()


if __name__ == "__main__":
    main()
