"""How commands reach the admin API: addresses, keys, certificates, what is tried again, and what is printed. The API is
a small server that answers as it is told; test_cli_api.py has the real one."""

import json
import os
import socketserver
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

import pytest
from harness.certificates import Authority
from harness.postgres import free_port
from harness.program import DONE, FAILED, USAGE, bulkhead, write_secret

KEY = "bhk_abcdefghijklmnop_never-to-be-seen"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, dict(self.headers), body.decode()))
        answers = self.server.answers
        status, headers, answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        answer = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(answer)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def log_message(self, *words):
        pass

    def address_string(self):
        return ""


class Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True


class Unix(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(*answers, place=("127.0.0.1", 0), tls=None):
    """Answers are (status, headers, body), one for each request and the last for all that follow; a status of None
    closes the connection."""
    server = (Unix if isinstance(place, str) else Tcp)(place, Handler)
    server.answers, server.requests = list(answers) or [(200, {}, {"is": "so"})], []
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    server.url = f"unix:{place}" if isinstance(place, str) else f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(server, *words, **environment):
    words = words or ("GET", "/v1/things")
    return bulkhead("api", *words, **{"BULKHEAD_API": server.url, "BULKHEAD_API_KEY": KEY, **environment})


def problem(status, reason="BH-API-SO", detail="it is so", **more):
    return (status, {"Content-Type": "application/problem+json"},
            {"type": "x", "title": "So", "status": status, "reason": reason, "detail": detail, **more})


# ---- requests and answers ----

def test_the_answer_is_one_document():
    with serving() as server:
        done = ask(server)
        assert (done.returncode, json.loads(done.stdout), done.stderr) == (DONE, {"is": "so"}, "")
        ((method, path, headers, body),) = server.requests
        assert (method, path, body) == ("GET", "/v1/things", "")
        assert headers["Authorization"] == f"Bearer {KEY}" and headers["Accept"] == "application/json"
        assert "Idempotency-Key" not in headers


def test_what_is_not_json_is_written_as_it_comes():
    with serving((200, {"Content-Type": "text/csv"}, b"a,b\r\n")) as server:
        done = ask(server, "GET", "audit:export?x=%20", "--accept", "text/csv", BULKHEAD_API_KEY="")
        assert done.returncode == DONE
        assert server.requests[0][1] == "/v1/audit:export?x=%20" and server.requests[0][2]["Accept"] == "text/csv"


@pytest.mark.parametrize("data", ['{"a": [1, "ä"]}', "@file", "@-"])
def test_data_is_sent_as_json(tmp_path, data):
    file = tmp_path / "data.json"
    file.write_text('{"a": [1, "ä"]}')
    with serving() as server:
        done = bulkhead("api", "POST", "/v1/x", "--data", f"@{file}" if data == "@file" else data, "--api", server.url,
                        stdin=file.read_text())
        assert done.returncode == DONE
        (_, _, headers, body), = server.requests
        assert json.loads(body) == {"a": [1, "ä"]} and headers["Content-Type"] == "application/json"
        assert "Authorization" not in headers


def test_a_problem_is_a_line_for_each_field():
    fields = [{"field": "body.a", "detail": "it is wanted"}, {"field": "query.b", "detail": "it is \x1b[31mred"}]
    for errors, lines in ((None, ["bulkhead: it is so (BH-API-SO)"]), (fields, [
            "bulkhead: it is so (BH-API-SO) body.a: it is wanted",
            "bulkhead: it is so (BH-API-SO) query.b: it is \\u001b[31mred"])):
        with serving(problem(422, errors=errors)) as server:
            done = ask(server)
            assert (done.returncode, done.stdout, done.stderr.splitlines()) == (FAILED, "", lines)


@pytest.mark.parametrize("answer", [(500, {}, b"<html>"), (404, {}, []), (418, {}, {"reason": 5, "errors": {}})])
def test_a_refusal_of_another_form_is_one_too(answer):
    with serving(answer) as server:
        done = ask(server)
        assert done.returncode == FAILED and done.stdout == "" and f"the API answered {answer[0]}" in done.stderr


@pytest.mark.parametrize("words", [["list"], ["show", "x"], ["suspend", "x"], ["set", "x", "--name", "y"]])
def test_a_web_page_is_no_answer(words):
    with serving((200, {"Content-Type": "text/html"}, b"<html>")) as server:
        for more in ([], ["--json"]):
            done = bulkhead("tenant", *words, *more, BULKHEAD_API=server.url)
            assert (done.returncode, done.stdout) == (FAILED, "") and "the answer is no JSON" in done.stderr


def test_redirects_are_not_followed():
    """The key would go there."""
    with serving() as other, serving((302, {"Location": other.url}, {})) as server:
        assert ask(server).returncode == FAILED
        assert other.requests == []


# ---- trying again ----

@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("trouble", [problem(503), (429, {"Retry-After": "0"}, {}), (None, {}, b"")])
def test_what_can_be_repeated_is_tried_again(method, trouble):
    with serving(trouble, trouble, (200, {}, {})) as server:
        assert ask(server, method, "/v1/x").returncode == DONE
        assert len(server.requests) == 3
        assert len({headers.get("Idempotency-Key") for _, _, headers, _ in server.requests}) == 1
        assert (method == "POST") == ("Idempotency-Key" in server.requests[0][2])


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("trouble", [problem(503), (None, {}, b"")])
def test_what_may_have_been_done_is_not(method, trouble):
    with serving(trouble) as server:
        assert ask(server, method, "/v1/x").returncode == FAILED
        assert len(server.requests) == 1


def test_it_ends_some_time():
    with serving(problem(503)) as server:
        assert "(BH-API-SO)" in ask(server).stderr
        assert len(server.requests) == 4


def test_each_command_has_an_idempotency_key_of_its_own_or_the_given_one():
    with serving() as server:
        for more in ([], [], ["--idempotency-key", "mine"]):
            assert ask(server, "POST", "/v1/x", *more).returncode == DONE
        first, second, third = [headers["Idempotency-Key"] for _, _, headers, _ in server.requests]
        assert len({first, second, "mine"}) == 3 and third == "mine"


def test_a_server_that_is_not_there():
    begun = time.monotonic()
    done = bulkhead("api", "PUT", "/v1/x", "--api", f"http://127.0.0.1:{free_port()}")
    assert (done.returncode, done.stdout) == (FAILED, "") and "Failed to connect" in done.stderr
    assert time.monotonic() - begun < 5


def test_a_server_that_does_not_answer():
    with Tcp(("127.0.0.1", 0), Handler) as deaf:  # listens, and never looks
        done = bulkhead("api", "PUT", "/v1/x", "--timeout", "1", "--api", f"http://127.0.0.1:{deaf.server_address[1]}")
        assert done.returncode == FAILED and "timed out" in done.stderr


# ---- addresses ----

def test_a_unix_socket(tmp_path):
    with serving(place=str(tmp_path / "api")) as server:
        assert ask(server).returncode == DONE
        assert bulkhead("api", "GET", "x", "--api", server.url).returncode == DONE
    assert f"{tmp_path}/api: " in ask(server, "PUT", "x").stderr


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "ftp://127.0.0.1", "file:///etc/passwd", "unix:relative",
                                 "http://me:hunter2@127.0.0.1", "http://127.0.0.1/?hunter2", "http://127.0.0.1/#x"])
def test_addresses_that_will_not_do(url):
    done = bulkhead("api", "GET", "x", "--api", url, BULKHEAD_API_KEY=KEY)
    assert done.returncode == FAILED and "the address of the API" in done.stderr
    assert "hunter2" not in done.stderr and KEY not in done.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "db.example", "127.0.0.1.example", "[2001:db8::1]"])
def test_a_key_does_not_travel_in_plain_text(host):
    done = bulkhead("api", "PUT", "x", "--api", f"http://{host}:1", "--timeout", "1", BULKHEAD_API_KEY=KEY)
    assert done.returncode == FAILED and "--allow-http" in done.stderr
    done = bulkhead("api", "PUT", "x", "--api", f"http://{host}:1", "--timeout", "1", "--allow-http",
                    BULKHEAD_API_KEY=KEY)
    assert done.returncode == FAILED and "--allow-http" not in done.stderr


def test_no_proxy_reads_the_key():
    with serving() as proxy, serving() as server:
        done = ask(server, http_proxy=proxy.url, HTTP_PROXY=proxy.url, ALL_PROXY=proxy.url, no_proxy="")
        assert done.returncode == DONE and proxy.requests == [] and len(server.requests) == 1


def test_an_address_may_have_a_path():
    with serving() as server:
        assert bulkhead("api", "GET", "/v1/x", "--api", server.url + "/behind/").returncode == DONE
        assert server.requests[0][1] == "/behind/v1/x"


# ---- keys ----

def test_a_key_is_of_a_file_that_nobody_else_reads(tmp_path):
    file = write_secret(tmp_path / "key", KEY + "\n")
    with serving() as server:
        for words, environment in ((["--api-key-file", file], {}), ([], {"BULKHEAD_API_KEY_FILE": str(file)}),
                                   (["--api-key-file", file], {"BULKHEAD_API_KEY": "another"})):
            assert bulkhead("api", "GET", "x", "--api", server.url, *words, **environment).returncode == DONE
        assert {headers["Authorization"] for _, _, headers, _ in server.requests} == {f"Bearer {KEY}"}
        file.chmod(0o644)
        done = bulkhead("api", "GET", "x", "--api", server.url, "--api-key-file", file)
        assert done.returncode == FAILED and "0600" in done.stderr and len(server.requests) == 3


@pytest.mark.parametrize("key", ["a b", "a\r\nX: y", "ä", "\x7f"])
def test_what_is_no_key_is_not_sent(key):
    with serving() as server:
        done = ask(server, BULKHEAD_API_KEY=key)
        assert done.returncode == FAILED and "the API key" in done.stderr
        assert server.requests == [] and key not in done.stderr


def test_no_message_has_the_key():
    with serving(problem(401, "BH-API-KEY", "there is no such API key")) as server:
        for words in (["GET", "x"], ["GET", "x", "--nosuch"], ["--help"], ["PUT", "x", "--data", "{"]):
            done = ask(server, *words)
            assert KEY not in done.stdout + done.stderr


# ---- TLS ----

@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@contextmanager
def serving_tls(authority, names, client_ca=None):
    certificate = authority.issue("server-" + names[0].replace(":", "-"), names=names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    with serving(tls=context) as server:
        server.url = f"https://localhost:{server.server_address[1]}"
        yield server


def test_the_server_is_known_by_its_certificate(authority, tmp_path):
    with serving_tls(authority, ["DNS:localhost"]) as server:
        done = ask(server, "PUT", "x")
        assert done.returncode == FAILED and "certificate" in done.stderr and server.requests == []
        assert ask(server, "PUT", "x", "--ca-file", authority.cert).returncode == DONE
        assert ask(server, "PUT", "x", BULKHEAD_API_CA_FILE=str(authority.cert)).returncode == DONE
        done = ask(server, "PUT", "x", "--ca-file", tmp_path / "nosuch")
        assert done.returncode == FAILED
    with serving_tls(authority, ["DNS:another"]) as server:
        done = ask(server, "PUT", "x", "--ca-file", authority.cert)
        assert done.returncode == FAILED and server.requests == []


def test_a_certificate_is_shown_to_the_server(authority):
    mine = authority.issue("client", "someone")
    with serving_tls(authority, ["DNS:localhost"], authority.cert) as server:
        words = ["PUT", "x", "--ca-file", authority.cert]
        assert ask(server, *words).returncode == FAILED
        assert ask(server, *words, "--cert-file", mine.cert, "--cert-key-file", mine.key).returncode == DONE
        assert ask(server, *words, BULKHEAD_API_CERT_FILE=str(mine.cert),
                   BULKHEAD_API_CERT_KEY_FILE=str(mine.key)).returncode == DONE


# ---- events ----

STREAM = {"Content-Type": "text/event-stream"}


def test_events_go_on_where_the_connection_was_lost():
    """What came in part comes again, and is shown once."""
    first = (b': hello\r\nretry: 2000\n\nid: 7\nevent: tenant.create\ndata: {"id": 7,\ndata: "x": "\xc3\xa4"}\n\n'
             b'id: 8\ndata: {"id')
    second = (b'id: 8\nevent: tenant.set\nunknown: x\ndata: {"id": 8}\n\nid: 9\ndata: {"id": 9}\n\n'
              b'id: 10\ndata: {"id": 10}\n\n')
    with serving((200, STREAM, first), problem(503), (200, STREAM, second)) as server:
        done = bulkhead("events", "--follow", "--limit", "3", "--json", "--tenant", "acme", BULKHEAD_API=server.url)
        assert done.returncode == DONE, done
        assert [json.loads(line) for line in done.stdout.splitlines()] == [{"id": 7, "x": "ä"}, {"id": 8}, {"id": 9}]
        asked = [(path, headers.get("Last-Event-ID"), headers["Accept"]) for _, path, headers, _ in server.requests]
        assert asked == [("/v1/events?tenant=acme", last, "text/event-stream") for last in (None, "7", "7")]


def test_events_up_to_now():
    with serving((200, STREAM, b'id: 7\nevent: x\ndata: {"at": "then", "actor": "who\\u001b"}\n\n')) as server:
        done = bulkhead("events", BULKHEAD_API=server.url)
        assert (done.returncode, done.stderr) == (DONE, "") and done.stdout.split() == ["then", "who\\u001b", "x"]
        assert server.requests[0][1] == "/v1/events?after=0"
        assert bulkhead("events", "--after", "5", BULKHEAD_API=server.url).returncode == DONE
        assert server.requests[1][1] == "/v1/events?after=5"


@pytest.mark.parametrize("answer, words", [
    (problem(403, "BH-API-ROLE"), "(BH-API-ROLE)"),
    ((200, STREAM, b'event: end\ndata: {"reason": "BH-API-KEY"}\n\n'), "(BH-API-KEY)"),
])
def test_events_end_for_good(answer, words):
    with serving(answer) as server:
        done = bulkhead("events", "--follow", BULKHEAD_API=server.url)
        assert (done.returncode, done.stdout) == (FAILED, "") and words in done.stderr
        assert len(server.requests) == 1


def test_events_of_a_server_that_does_not_answer():
    with Tcp(("127.0.0.1", 0), Handler) as deaf:
        done = bulkhead("events", "--timeout", "1", BULKHEAD_API=f"http://127.0.0.1:{deaf.server_address[1]}")
        assert done.returncode == FAILED and "nothing was heard for 1 seconds" in done.stderr


# ---- which of the two ----

@pytest.mark.parametrize("words, environment, expected", [
    (["--control-dsn", "host=127.0.0.1 port=1"], {"BULKHEAD_API": "api"}, "database"),
    (["--api", "api"], {"CONTROL_DSN": "host=127.0.0.1 port=1"}, "api"),
    ([], {"BULKHEAD_API": "api", "CONTROL_DSN": "host=127.0.0.1 port=1"}, "api"),
    ([], {"CONTROL_DSN": "host=127.0.0.1 port=1", "BULKHEAD_API_KEY": KEY}, "database"),
    ([], {"CONTROL_DSN": "host=127.0.0.1 port=1"}, "database"),
    (["--control-dsn", "host=127.0.0.1 port=1", "--api", "api"], {}, "usage"),
    ([], {}, "usage"),
])
def test_a_command_works_on_the_database_or_over_the_api(words, environment, expected):
    with serving((200, {}, {"items": [], "next": None})) as server:
        place = {name: server.url if value == "api" else value for name, value in environment.items()}
        done = bulkhead("tenant", "list", *[server.url if word == "api" else word for word in words], **place)
        assert done.returncode == {"api": DONE, "database": FAILED, "usage": USAGE}[expected], done
        assert len(server.requests) == (expected == "api")
        if expected == "database":
            assert "port 1 failed" in done.stderr
        if expected == "usage":
            assert "--api" in done.stderr and "--control-dsn" in done.stderr


def test_a_verb_of_one_side_alone_goes_there():
    both = {"CONTROL_DSN": "host=127.0.0.1 port=1"}
    with serving((200, {}, {"items": [], "next": None})) as server:
        both["BULKHEAD_API"] = server.url
        assert bulkhead("tenant", "children", "acme", **both).returncode == DONE
        done = bulkhead("job", "run", "-c", "/dev/null", **both)
        assert done.returncode == FAILED and len(server.requests) == 1
    done = bulkhead("tenant", "children", "acme", CONTROL_DSN=both["CONTROL_DSN"])
    assert done.returncode == USAGE and "children" in done.stderr
    for words in (["tenant", "children", "acme"], ["session", "list"]):
        done = bulkhead(*words)
        assert done.returncode == USAGE and "BULKHEAD_API_KEY" in done.stderr
    done = bulkhead("job", "run", "--api", "http://127.0.0.1:1")
    assert done.returncode == USAGE and "--control-dsn" in done.stderr
