"""What deploy/ promises others: compose, Kubernetes, systemd, pg_hba.conf. `make image-check` runs the image."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.program import PROGRAM, ROOT, bulkhead, succeed, write_secret
from harness.postgres import Postgres
from image.dockerfile import Dockerfile, Unknown

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
UNITS = DEPLOY / "systemd"
INI_FILES = sorted(DEPLOY.rglob("*.ini"))
DRAIN_S = 25  # the default of drain_timeout
PORTS = {"data": 6432, "probes": 6490}  # DESIGN, as the defaults are

yaml = pytest.importorskip("yaml")


def needs(program):
    return pytest.mark.skipif(not shutil.which(program), reason=f"no {program} here")


def run(*command, **more):
    return subprocess.run(list(map(str, command)), text=True, capture_output=True, check=False, timeout=60, **more)


# ---- the image ----

@pytest.fixture(scope="module")
def image():
    return Dockerfile.read(ROOT / "Dockerfile")


def test_the_image_runs_as_a_number_that_is_not_root(image):
    user, group = map(int, image.user.split(":"))
    assert user > 0 and group > 0


def test_the_image_is_told_what_an_engine_needs(image):
    assert (image.entrypoint, image.command[0]) == (["bulkhead"], "serve")
    assert image.ports == list(PORTS.values())
    assert image.stop_signal == "SIGTERM"
    assert image.health[:2] == ["bulkhead", "healthcheck"]
    assert image.health[2:] == image.command[1:], "the health of another configuration"


def test_the_context_holds_the_sources_and_no_secret_or_history():
    files = {str(path) for path in Dockerfile.read(ROOT / "Dockerfile").context()}
    tops = {name.partition("/")[0] for name in files}
    assert {"Makefile", "cli/main.c", "policy/guard/enter.sql", "deploy/packages"} <= files
    assert not tops & {".git", "build", "var", "docs"}
    for line in (ROOT / "Makefile").read_text().splitlines():
        if line.startswith("include "):
            assert line.split()[1] in files, "the Makefile includes it"


def test_the_runtime_packages_are_those_that_the_program_loads():
    wanted = re.findall(r"^runtime (\S+)$", (DEPLOY / "packages").read_text(), re.M)
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", PROGRAM).stdout)
    owners = set()
    for library in needed:
        if re.match(r"(ld-linux|lib(asan|ubsan|tsan|gcc|stdc|m\.))", library):
            continue
        path = re.search(rf"{re.escape(library)} => (\S+)", run("ldd", PROGRAM).stdout)[1]
        owner = run("dpkg", "-S", Path(path).resolve()).stdout or run("dpkg", "-S", path).stdout
        owners.add(owner.partition(":")[0])
    assert set(wanted) - {"ca-certificates"} == owners - {"libc6"}


@pytest.mark.parametrize("text", [
    "FROM a\nADD x /x\n", "RUN ls\n", "FROM a\nRUN [\"ls\"]\n", "FROM a\nUSER bulkhead\n",
    "FROM a\nCOPY --chown=1 a b\n",
    "FROM a\nHEALTHCHECK NONE\n", "FROM a\nRUN ls \\\n", "FROM a\nrun ls\n", "FROM a\nCOPY --from=b a b\n",
    "FROM a\nUSER 1:1\nRUN ls\n", "# syntax=x\nFROM a\n", "FROM a\nENTRYPOINT bulkhead\n"])
def test_the_reader_refuses_what_it_does_not_know(tmp_path, text):
    (tmp_path / "Dockerfile").write_text(text)
    with pytest.raises(Unknown):
        Dockerfile.read(tmp_path / "Dockerfile")


# ---- settings ----

@pytest.mark.parametrize("path", INI_FILES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_settings_are_good_where_their_files_are(path, tmp_path):
    """Every path of a secret leads to one in a folder here; nothing else is changed."""
    for name in ("guard.key", "master.key", "api.pepper"):
        write_secret(tmp_path / name, "k1 " + "A" * 43 + "=\n")
    for name in ("pool.password", "sidecar.password", "api.password"):
        write_secret(tmp_path / name, "secret\n")
    text = re.sub(r"= \S+/((?:guard|master)\.key|api\.pepper|(?:pool|sidecar|api)\.password)$", rf"= {tmp_path}/\1", path.read_text(), flags=re.M)
    copy = tmp_path / "bulkhead.ini"
    copy.write_text(text.replace("host = postgres\n", "host = 127.0.0.1\n").replace("= postgresql\n", "= 127.0.0.1\n"))
    done = bulkhead("check", "-c", copy)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- compose ----

@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@needs("docker-compose")
def test_compose_takes_the_file():
    done = run("docker-compose", "config", "-q", cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_compose_mounts_files_that_are_there(compose):
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            assert (ROOT / source).exists() if source.startswith("./") else source in compose["volumes"], (name, volume)
            assert target.startswith("/")


def test_compose_keeps_the_client_from_postgresql_and_from_the_keys(compose):
    services = compose["services"]
    client = services["client"]
    assert not set(client["networks"]) & set(services["postgres"]["networks"])
    assert not [volume for volume in client["volumes"] if volume.startswith("keys:")]
    assert compose["networks"]["database"]["internal"] and "ports" not in services["postgres"]


def test_compose_runs_bulkhead_with_nothing_to_write_but_its_volumes(compose, image):
    service = compose["services"]["bulkhead"]
    written = {volume.split(":")[1] for volume in service["volumes"]} | {t.split(":")[0] for t in service["tmpfs"]}
    assert service["read_only"] and service["cap_drop"] == ["ALL"]
    assert set(image.volumes) <= written
    assert int(service["stop_grace_period"].rstrip("s")) > DRAIN_S


# ---- Kubernetes ----

def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


MANIFESTS = sorted(path for path in KUBERNETES.rglob("*.yaml"))


@needs("kubectl")
@pytest.mark.parametrize("name", ["example", "standalone"])
def test_kustomize_builds(name):
    done = run("kubectl", "kustomize", KUBERNETES / name)
    assert done.returncode == 0, done.stderr
    check_references([document for document in yaml.safe_load_all(done.stdout)])


def check_references(built):
    """Every object named by another is there, or one of the Secrets that the reader is told to make."""
    there = {(document["kind"], document["metadata"]["name"]) for document in built}
    pods = [document["spec"]["template"] for document in built if document["kind"] == "Deployment"]
    for pod in pods:
        spec = pod["spec"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        assert [c["name"] for c in spec.get("initContainers", []) + spec["containers"]].count("bulkhead") == 1
        for volume in volumes.values():
            if "configMap" in volume:
                assert ("ConfigMap", volume["configMap"]["name"]) in there
        for container in spec.get("initContainers", []) + spec["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= set(volumes)
    for document in built:
        if document["kind"] in ("Service", "PodDisruptionBudget"):
            selector = document["spec"]["selector"]
            wanted = selector.get("matchLabels", selector)
            assert any(wanted.items() <= pod["metadata"]["labels"].items() for pod in pods), document["metadata"]
        if document["kind"] == "Deployment":
            selector = document["spec"]["selector"]["matchLabels"]
            assert selector.items() <= document["spec"]["template"]["metadata"]["labels"].items()
    # The policies that are Bulkhead's choose its pods; the other one is PostgreSQL's.
    policies = [document for document in built if document["kind"] == "NetworkPolicy"]
    for policy in policies:
        wanted = policy["spec"]["podSelector"]["matchLabels"]
        assert wanted == {"app.kubernetes.io/name": "postgresql"} or any(
            wanted.items() <= pod["metadata"]["labels"].items() for pod in pods), policy["metadata"]
    assert policies


def bulkhead_pods():
    """(file, the pod's spec, Bulkhead's container) of each."""
    for path in MANIFESTS:
        for document in documents(path):
            spec = document.get("spec", {}).get("template", {}).get("spec", {})
            for container in spec.get("initContainers", []) + spec.get("containers", []):
                if container["name"] == "bulkhead":
                    yield pytest.param(spec, container, id=str(path.relative_to(KUBERNETES)))


PODS = list(bulkhead_pods())


def test_there_is_a_sidecar_and_a_standalone_one():
    assert len(PODS) == 2


@pytest.mark.parametrize("spec, container", PODS)
def test_the_container_can_do_nothing_that_it_need_not(spec, container, image):
    security = container["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == image.user
    assert security["runAsNonRoot"] and security["readOnlyRootFilesystem"]
    assert security["allowPrivilegeEscalation"] is False and security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False and not spec.get("shareProcessNamespace")
    assert container["resources"]["limits"]["memory"] and container["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("spec, container", PODS)
def test_the_probes_ask_what_the_program_answers(spec, container):
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {name: get["path"] for name, get in asked.items()} == {
        "startupProbe": "/readyz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    assert {ports[get["port"]] for get in asked.values()} == {PORTS["probes"]}
    assert ports.get("postgresql", PORTS["data"]) == PORTS["data"]
    assert "preStop" not in container.get("lifecycle", {})


@pytest.mark.parametrize("spec, container", PODS)
def test_the_pod_waits_longer_than_bulkhead_drains(spec, container):
    assert spec["terminationGracePeriodSeconds"] > DRAIN_S


@pytest.mark.parametrize("spec, container", PODS)
def test_files_that_change_are_seen_and_secrets_can_be_read(spec, container):
    """A subPath is never changed again, and a Secret that only root may read is read by nobody here."""
    assert not [mount for mount in container["volumeMounts"] if "subPath" in mount]
    secret = next(volume["secret"] for volume in spec["volumes"] if "secret" in volume)
    assert secret["defaultMode"] == 0o440
    assert spec["securityContext"]["fsGroup"] == container["securityContext"]["runAsGroup"]


def test_the_sidecar_is_native_and_its_application_comes_without_its_secrets():
    sidecar = documents(KUBERNETES / "sidecar/sidecar.yaml")[0]["spec"]["template"]["spec"]
    assert [container["restartPolicy"] for container in sidecar["initContainers"]] == ["Always"]
    (application,) = documents(KUBERNETES / "example/shop.yaml")[0]["spec"]["template"]["spec"]["containers"]
    assert "volumeMounts" not in application
    assert application["securityContext"]["runAsUser"] != sidecar["initContainers"][0]["securityContext"]["runAsUser"]


@pytest.mark.parametrize("path", sorted(KUBERNETES.rglob("*.ini")), ids=lambda path: path.parent.name)
def test_secrets_of_the_settings_are_where_they_are_mounted(path):
    (mount,) = {mount["mountPath"] for parameter in PODS for mount in parameter.values[1]["volumeMounts"]
                if mount["name"] == "bulkhead-secrets"}
    named = re.findall(r"^(?:key_file|password_file) = (.*)/[^/]+$", path.read_text(), re.M)
    assert named == [mount] * 3


# ---- pg_hba.conf ----

def test_postgresql_reads_the_example_of_pg_hba(template):
    cluster = Postgres(template)
    try:
        cluster.start()
        shutil.copy(KUBERNETES / "pg_hba.conf", cluster.data / "pg_hba.conf")
        (cluster.data / "pg_hba.conf").chmod(0o644)
        with cluster.connect(user="postgres") as connection:
            rules = connection.execute("SELECT type, user_name, auth_method, error FROM pg_hba_file_rules").fetchall()
    finally:
        cluster.remove()
    # Without certificates this server has no TLS; that is all it may find.
    assert {rule[3] for rule in rules} <= {None, "hostssl record cannot match because SSL is disabled"}
    assert rules[-2:] == [("host", ["all"], "reject", None), ("local", ["all"], "reject", None)]
    assert {rule[1][0] for rule in rules if rule[2] == "scram-sha-256"} == {
        "bulkhead_pool", "bulkhead_sidecar", "app_owner"}


# ---- systemd ----

def unit(name):
    return (UNITS / name).read_text()


@needs("systemd-analyze")
def test_systemd_takes_the_units(tmp_path):
    (tmp_path / "bulkhead.service").write_text(unit("bulkhead.service").replace("/usr/bin/bulkhead", str(PROGRAM)))
    shutil.copy(UNITS / "bulkhead.socket", tmp_path)
    done = run("systemd-analyze", "verify", "--man=no", tmp_path / "bulkhead.service", tmp_path / "bulkhead.socket")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze")
def test_systemd_finds_little_to_take_from_the_service():
    done = run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager",
               UNITS / "bulkhead.service")
    assert done.returncode == 0, done.stdout[-2000:]


def test_the_service_waits_longer_than_bulkhead_drains():
    assert int(re.search(r"^TimeoutStopSec=(\d+)s$", unit("bulkhead.service"), re.M)[1]) > DRAIN_S


def test_the_service_brings_the_secrets_that_its_settings_name():
    loaded = re.findall(r"^LoadCredential=([\w.]+):/etc/bulkhead/\1$", unit("bulkhead.service"), re.M)
    named = re.findall(r"= \$\{CREDENTIALS_DIRECTORY\}/(\S+)$", unit("bulkhead.ini"), re.M)
    assert sorted(loaded) == sorted(named) == ["guard.key", "pool.password", "sidecar.password"]


def test_the_socket_is_the_default_listeners_and_outlives_the_service():
    streams = re.findall(r"^ListenStream=(.*)$", unit("bulkhead.socket"), re.M)
    (folder,) = re.findall(r"^RuntimeDirectory=(.*)$", unit("bulkhead.service"), re.M)
    assert streams[0] == f"127.0.0.1:{PORTS['data']}"
    assert re.fullmatch(rf"/run/[\w-]+/\.s\.PGSQL\.{PORTS['data']}", streams[1])
    assert not streams[1].startswith(f"/run/{folder}/"), "the service takes its folder away when it stops"
    assert "FileDescriptorName=default" in unit("bulkhead.socket") and "[listen:default]" in unit("bulkhead.ini")


# ---- installing ----

PLACES = ("PREFIX=/opt/bulkhead", "UNIT_DIR=/opt/units")


def make(target, folder):
    """As whoever has a narrow umask."""
    done = run("sh", "-c", 'umask 077; exec make "$@"', "make", "-o", "build", target, f"PROGRAM={PROGRAM}",
               f"DESTDIR={folder}", *PLACES, cwd=ROOT, env={"PATH": "/usr/bin:/bin"})
    assert done.returncode == 0, done.stderr


def files_below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_make_install_puts_all_below_destdir(tmp_path):
    make("install-systemd", tmp_path)
    pages = {path for path in files_below(tmp_path) if path.startswith("opt/bulkhead/share/man/man1/bulkhead")}
    assert len(pages) > 20 and "opt/bulkhead/share/man/man1/bulkhead.1" in pages
    assert files_below(tmp_path) - pages == {
        "opt/bulkhead/share/bash-completion/completions/bulkhead", "opt/bulkhead/share/zsh/site-functions/_bulkhead",
        "opt/bulkhead/bin/bulkhead", "opt/bulkhead/share/bulkhead/bulkhead.ini", "opt/units/bulkhead.service",
        "opt/units/bulkhead.socket", "opt/bulkhead/lib/sysusers.d/bulkhead.conf", "etc/bulkhead/bulkhead.ini"}
    assert "ExecStart=/opt/bulkhead/bin/bulkhead serve" in (tmp_path / "opt/units/bulkhead.service").read_text()
    assert succeed("--version")


def test_what_is_installed_has_the_modes_of_a_package(tmp_path):
    make("install-systemd", tmp_path)
    for path in tmp_path.rglob("*"):
        is_open = path.is_dir() or (path.name == "bulkhead" and path.parent.name == "bin")
        assert path.stat().st_mode & 0o7777 == (0o755 if is_open else 0o644), path


@pytest.mark.parametrize("target", ["install", "install-systemd"])
def test_make_uninstall_leaves_nothing(tmp_path, target):
    make(target, tmp_path)
    make("uninstall", tmp_path)
    assert files_below(tmp_path) == set()
    assert not list(tmp_path.rglob("*/bulkhead/share/bulkhead")) and not (tmp_path / "etc/bulkhead").exists()
    make("uninstall", tmp_path)


def test_make_uninstall_leaves_what_somebody_wrote(tmp_path):
    make("install-systemd", tmp_path)
    settings, key = tmp_path / "etc/bulkhead/bulkhead.ini", tmp_path / "etc/bulkhead/guard.key"
    settings.write_text("[log]\n")
    key.write_text("")
    make("install-systemd", tmp_path)
    make("uninstall", tmp_path)
    assert files_below(tmp_path) == {"etc/bulkhead/bulkhead.ini", "etc/bulkhead/guard.key"}
    assert settings.read_text() == "[log]\n"
