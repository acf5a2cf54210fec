"""What is wrong with a request is said with a 4xx that names the field, whatever it is; and the server lives.

Every body and parameter of the OpenAPI document is given everything that its schema does not take (openapi_samples),
and what no JSON reader agrees on. Nothing of it begins a handler.
"""

import json
import re
from urllib.parse import quote

import pytest
from harness.api_ground import Ground
from harness.openapi import Document, typed
from harness.openapi_samples import UUID, extremes, faults, kind_of, sample
from harness.raw_http import RawHttp, head, problem_of
from harness.stand import Stand

DOCUMENT = Document.current()
TARGET_MAX, BODY_MAX = 8000, 256 << 10  # longer ones are refused for that
with_body = pytest.mark.parametrize("operation", [one for one in DOCUMENT.operations if one.body], ids=str)
every_operation = pytest.mark.parametrize("operation", DOCUMENT.operations, ids=str)


@pytest.fixture(scope="module")
def ground(template):
    stand = Stand(template).start()
    with Ground(stand) as ground:
        yield ground
        faults_of_ours = [line for log in stand.folder.glob("bulkhead-*.log") for line in log.read_text().splitlines()
                          if '"api.fault"' in line or '"level":"fatal"' in line]
        assert not faults_of_ours, faults_of_ours
    stand.remove()


@pytest.fixture(autouse=True)
def the_server_lives(ground, request):
    begun = ground.begun()
    yield
    assert "extremes" in request.node.name or ground.begun() == begun
    assert ground.operator.client.get("/v1/version").status == 200
    assert ground.api.proxy.process.poll() is None


class Talk:
    """Requests of one operation as bytes, over one connection for as long as that is kept."""

    def __init__(self, ground, operation):
        self.ground = ground
        self.ask = ground.request(operation)
        self.http = RawHttp(ground.api.port)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.http.socket.close()

    def refused(self, raw=b"", target=None, **headers):
        """The problem that this comes to: a 4xx. Headers of None are not sent."""
        more = {"Content_Type": "application/json", "Content_Length": str(len(raw)),
                **({"If_Match": "*"} if self.ask.headers else {}), **headers}
        more = {name: value for name, value in more.items() if value is not None}
        self.http.send(head(self.ask.method, target or self.ask.path, self.ground.operator.client.key, **more) + raw)
        answer = self.http.answer()
        if answer and answer.headers.get("connection") == "close":
            self.http.socket.close()
            self.http = RawHttp(self.ground.api.port)
        problem = problem_of(answer)
        assert 400 <= problem["status"] < 500, (raw[:200], problem)
        return problem


def fields(problem):
    return [error["field"] for error in problem.get("errors", [])]


def is_within(problem, place):
    """Whether a fault is named at the place or, of more at once, below it."""
    return any(field == place or field.startswith((place + ".", place + "[")) for field in fields(problem))


# ---- values that the document does not have ----

@with_body
def test_members_that_are_not_as_they_must_be(ground, operation):
    with Talk(ground, operation) as talk:
        for fault in faults(operation.body):
            assert DOCUMENT.faults(fault.value, operation.body), f"this is no fault: {fault}"
            raw = json.dumps(fault.value, ensure_ascii=False).encode()
            if len(raw) > BODY_MAX:
                continue
            problem = talk.refused(raw)
            assert is_within(problem, "body" + fault.place), (fault, problem)


def query_faults(schema):
    """(why, text): texts that are no value of this schema."""
    for fault in faults(schema):
        if isinstance(fault.value, (str, int)) and DOCUMENT.faults(typed(str(fault.value), schema), schema):
            yield fault.why, quote(str(fault.value), safe="")
    if kind_of(schema) in ("integer", "number"):
        yield from (("no number", word) for word in ("", "x", "1x", "0x1", "1e1", "+1", "%201", "1.5", "NaN", "9" * 30,
                                                     "--1", "-"))
    if kind_of(schema) == "boolean":
        yield from (("no boolean", word) for word in ("", "1", "yes", "TRUE", "True", "null", "true%20"))


@every_operation
def test_parameters_that_are_not_as_they_must_be(ground, operation):
    with Talk(ground, operation) as talk:
        mark = "&" if "?" in talk.ask.path else "?"
        raw = json.dumps(talk.ask.body).encode() if operation.body else b""
        for name, one in operation.named("query").items():
            for why, text in query_faults(one["schema"]):
                target = re.sub(rf"([?&]){name}=[^&]*", rf"\1{name}={text}", talk.ask.path)
                target = target if target != talk.ask.path else f"{talk.ask.path}{mark}{name}={text}"
                if len(target) > TARGET_MAX:
                    continue
                problem = talk.refused(raw, target)
                assert (problem["status"], *fields(problem)[:1]) == (400, f"query.{name}"), (why, target[:300], problem)
        for query, field in [("no_such=1", "query.no_such"), ("%00=1", "query"), ("%ff=1", "query"), ("a%", "query"),
                             ("&".join(f"x{n}=1" for n in range(65)), "query"), ("no_such=%00", "query.no_such"),
                             ("no_such=%ed%a0%80", "query.no_such"), (quote("\u00e4" * 80) + "=1", "query."),
                             ("=1", "query."), ("limit=1;dry_run=true", "query.limit")]:
            problem = talk.refused(raw, f"{talk.ask.path}{mark}{query}")
            assert problem["status"] == 400 and fields(problem)[0].startswith(field), (query, problem)


@pytest.mark.parametrize("operation", [one for one in DOCUMENT.operations if "{" in one.path], ids=str)
def test_names_in_a_path_that_are_none(ground, operation):
    words = ["%00", "a%00b", "%ff", "%c0%af", "%ed%a0%80", "%", "%4", "%zz", "a%0d%0ab", "%7f", "%1b"]
    with Talk(ground, operation) as talk:
        raw = json.dumps(talk.ask.body).encode() if operation.body else b""
        path, _, query = talk.ask.path.partition("?")
        own = operation.pattern.fullmatch(path).groups()
        for place, name in enumerate(operation.named("path")):
            start, end = operation.pattern.fullmatch(path).span(place + 1)
            for word in [*words, "x" * 256, "%f0%9f%98%80" * 256, "x" * 4000]:
                problem = talk.refused(raw, path[:start] + word + path[end:] + (f"?{query}" if query else ""))
                expected = (400, ["path"] if word in words else [f"path.{name}"])
                assert (problem["status"], fields(problem)) == expected, (word[:40], problem)
            problem = talk.refused(raw, path[:start] + path[end:])
            assert problem["reason"] in ("BH-API-PATH", "BH-API-METHOD"), problem
            assert own[place]


# ---- bodies that are no JSON, or none that all would read alike ----

def broken(body):
    """(what is wrong, bytes, the field that is named)."""
    text = json.dumps(body).encode()
    member = text[:-1] + (b", " if len(text) > 2 else b"")
    known = next(iter(body), "x").encode()
    deep = 33
    yield from [
        ("blank", b" \n\t", "body"), ("cut", text[:-1], "body"), ("something behind", text + b" {}", "body"),
        ("not quoted", b"{x: 1}", "body"), ("single quotes", b"{'x': 1}", "body"),
        ("a comma too many", text[:-1] + b",}", "body"),
        ("a comment", b"/* */" + text, "body"), ("a byte order mark", b"\xef\xbb\xbf" + text, "body"),
        ("UTF-16", text.decode().encode("utf-16"), "body"), ("not UTF-8", member + b'"x": "\xff"}', "body.x"),
        ("overlong", member + b'"x": "\xc0\x80"}', "body.x"),
        ("a raw surrogate", member + b'"x": "\xed\xa0\x80"}', "body.x"),
        ("half a surrogate", member + b'"x": "\\ud800"}', "body.x"),
        ("the other half", member + b'"x": "\\udc00"}', "body.x"),
        ("halves the wrong way", member + b'"x": "\\udc00\\ud800"}', "body.x"),
        ("an escaped NUL", member + b'"x": "\\u0000"}', "body.x"),
        ("a NUL in a name", member + b'"x\\u0000": 1}', "body"), ("a raw NUL", member + b'"x": "\0"}', "body.x"),
        ("a NUL behind a number", member + b'"x": 1\0}', "body.x"), ("a NUL at the end", text + b"\0", "body"),
        ("a raw line break", member + b'"x": "\n"}', "body.x"), ("a bad escape", member + b'"x": "\\x41"}', "body.x"),
        ("NaN", member + b'"x": NaN}', "body.x"), ("Infinity", member + b'"x": -Infinity}', "body.x"),
        ("1e400", member + b'"x": 1e400}', "body.x"), ("-1e400", member + b'"x": -1e400}', "body.x"),
        ("10^100", member + b'"x": 1' + b"0" * 100 + b"}", "body.x"), ("+1", member + b'"x": +1}', "body.x"),
        ("01", member + b'"x": 01}', "body.x"), ("1.", member + b'"x": 1.}', "body.x"),
        (".5", member + b'"x": .5}', "body.x"),
        ("0x10", member + b'"x": 0x10}', "body.x"), ("-", member + b'"x": -}', "body.x"),
        ("True", member + b'"x": True}', "body.x"),
        ("a name twice", member + b'"x": 1, "x": 2}', "body.x"),
        ("a name twice, escaped", member + b'"x": 1, "\\u0078": 2}', "body"),
        ("a name twice below", member + b'"x": [{"y": 1, "y": 2}]}', "body.x[0].y"),
        ("a member twice", b'{"%s": 1, "%s": 1}' % (known, known), f"body.{known.decode()}"),
        ("too deep", member + b'"x": ' + b"[" * deep + b"]" * deep + b"}", "body.x"),
        ("much too deep", b"[" * 100000, "body"), ("much too deep, objects", b'{"x":' * 40000, "body.x"),
        ("an array", b"[" + text + b"]", "body"), ("a text", b'"x"', "body"), ("null", b"null", "body"),
        ("true", b"true", "body"),
        ("a number", b"1", "body"), ("minus nothing", b"-0", "body"), ("XML", b"<x/>", "body"),
        ("a form", b"x=1&y=2", "body"),
        ("an unknown member", member + b'"x": 1}', "body.x"),
        ("a name of 300 bytes", member + b'"' + b"x" * 300 + b'": 1}', "body."),
        ("a name cut within a character", member + b'"' + "\u00e4".encode() * 90 + b'": 1}', "body."),
        ("__proto__", member + b'"__proto__": {}}', "body.__proto__")]


@with_body
def test_bodies_that_are_not_json(ground, operation):
    with Talk(ground, operation) as talk:
        for why, raw, field in broken(talk.ask.body):
            problem = talk.refused(raw)
            assert problem["status"] in (400, 422), (why, problem)
            assert fields(problem) and fields(problem)[0].startswith(field), (why, problem)


@with_body
def test_an_empty_body_lacks_what_must_be_there(ground, operation):
    required = operation.body.get("required")
    if required:
        with Talk(ground, operation) as talk:
            for more in ({}, {"Content_Length": None}, {"Content_Type": None}):
                assert set(fields(talk.refused(b"", **more))) == {f"body.{name}" for name in required}


@with_body
def test_a_body_says_that_it_is_json(ground, operation):
    with Talk(ground, operation) as talk:
        raw = json.dumps(talk.ask.body).encode()
        for kind in (None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonx",
                     "application/json+x",
                     "application", "multipart/form-data; boundary=x", "text/json", "application/xml",
                     ["application/json"] * 2,
                     "application/ json", "x, application/json"):
            problem = talk.refused(raw, Content_Type=kind)
            assert (problem["status"], fields(problem)) == (415, ["header.Content-Type"]), (kind, problem)


@with_body
def test_a_body_may_be_only_so_large(ground, operation):
    with Talk(ground, operation) as talk:
        for size in (4 << 20) + 1, 5 << 20:
            problem = talk.refused(json.dumps({"x": "a" * (size - 9)}).encode())
            assert (problem["status"], problem["reason"], fields(problem)) == (413, "BH-API-SIZE", ["body"]), problem


@pytest.mark.parametrize("operation", [one for one in DOCUMENT.operations if not one.body], ids=str)
def test_no_body_where_there_is_none(ground, operation):
    with Talk(ground, operation) as talk:
        for raw in (b"{}", b"x", b" ", b"x" * 300000):
            problem = talk.refused(raw)
            assert problem["status"] in (400, 413) and fields(problem) == ["body"], problem


# ---- headers ----

def test_conditions_that_are_none(ground):
    with Talk(ground, DOCUMENT.operation("tenant.update")) as talk:
        for value in ("1", '"1', "W/1", "**", '"a" "b"', "", ", ", ['"1"', '"2"'], '"' + "x" * 200 + '"', '"\u00e4"',
                      'w/"1"', "*, *"):
            problem = talk.refused(b"{}", If_Match=value)
            assert (problem["status"], fields(problem)) == (400, ["header.If-Match"]), (value, problem)
        assert fields(talk.refused(b"{}", If_Match=None)) == ["header.If-Match"]


@pytest.mark.parametrize("operation", [one for one in DOCUMENT.operations
                                       if one.named("header").get("If-Match", {}).get("required")], ids=str)
def test_a_change_says_what_it_is_based_on(ground, operation):
    with Talk(ground, operation) as talk:
        problem = talk.refused(json.dumps(talk.ask.body).encode() if operation.body else b"", If_Match=None)
        assert (problem["status"], problem["reason"]) == (428, "BH-API-CONDITION"), problem


@pytest.mark.parametrize("operation", [one for one in DOCUMENT.operations if one.method == "POST"], ids=str)
def test_keys_of_repeated_requests(ground, operation):
    with Talk(ground, operation) as talk:
        raw = json.dumps(talk.ask.body).encode() if operation.body else b""
        for value in ("", "x" * 256, "a b", "\u00e4", ["a", "b"], "\x7f"):
            problem = talk.refused(raw, Idempotency_Key=value)
            assert (problem["status"], fields(problem)) == (400, ["header.Idempotency-Key"]), (value, problem)


# ---- HTTP itself ----

VERSION = "/v1/version"


def answers(ground, data):
    """All that is answered to these bytes, until the connection ends or nothing more comes."""
    with RawHttp(ground.api.port, timeout=3) as http:
        http.send(data)
        found = []
        try:
            while (answer := http.answer()) is not None:
                found.append(answer)
        except TimeoutError:
            pass
        return found


def test_pipelined_requests_are_answered_in_order(ground):
    key = ground.operator.client.key
    bad = head("POST", "/v1/tenants", key, Content_Length="3", Content_Type="application/json") + b"{x}"
    good, none = head("GET", VERSION, key), head("GET", "/v1/nothing", key)
    found = answers(ground, good + bad + none + bad + good)
    assert [one.status for one in found] == [200, 400, 404, 400, 200]


def test_chunks_are_a_body_as_any_other(ground):
    start = head("POST", "/v1/tenants", ground.operator.client.key, Transfer_Encoding="chunked",
                 Content_Type="application/json")
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in b'{"slug": 1}') + b"0\r\n\r\n"
    answer, = answers(ground, start + chunks)
    assert fields(problem_of(answer)) == ["body.slug"]
    answer, = answers(ground, start + b"5\r\n{x}  \r\n0\r\n\r\n")
    assert problem_of(answer)["status"] == 400


SMUGGLED = head("POST", "/v1/tenants/ground-foreign:suspend", "x")
BODY = b'{"slug": 1}'


@pytest.mark.parametrize("headers", [
    {"Content_Length": "11", "Transfer_Encoding": "chunked"}, {"Content_Length": ["11", "0"]},
    {"Content_Length": ["11", "11"]},
    {"Transfer_Encoding": "xchunked"}, {"Transfer_Encoding": "chunked, identity"},
    {"Transfer_Encoding": "gzip, chunked"},
    {"Transfer_Encoding": ["chunked", "identity"]}, {"Transfer_Encoding": "identity"}, {"Content_Length": "+11"},
    {"Content_Length": "-1"}, {"Content_Length": "0x0b"}, {"Content_Length": "11, 11"}, {"Content_Length": ""},
    {"Content_Length": "9" * 30}, {"Content_Length": "11 11"}, {"Transfer_Encoding": "chunked", "Content_Length": "0"},
    {"Transfer_Encoding": ""}, {"Content_Length": "1e1"}], ids=str)
def test_a_body_ends_in_one_place(ground, headers):
    """What could be read in two ways is refused, and nothing behind it is taken for a request."""
    start = head("POST", "/v1/tenants", ground.operator.client.key, Content_Type="application/json", **headers)
    for body in (BODY, b"b\r\n" + BODY + b"\r\n0\r\n\r\n"):
        found = answers(ground, start + body + SMUGGLED)
        assert [one.status for one in found] in ([400], [413]), found


@pytest.mark.parametrize("data", [
    b"\0\1\2\3\r\n\r\n", b"GET\r\n\r\n", b"GET /v1/version\r\n\r\n", b"GET /v1/version HTTP/9.9\r\n\r\n",
    b"\r\n\r\n\r\n",
    b"GET /v1/version FTP/1.1\r\n\r\n", b"GET /v1/version HTTP/1.1\r\nno colon\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 512, b"GET /v1/version HTTP/1.1\r\n: x\r\n\r\n",
    b"a" * 70000,
    b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n", b"GET /v1/version HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    b"POST /v1/tenants HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
    b"POST /v1/tenants HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nx"], ids=lambda data: repr(data[:40]))
def test_what_is_no_http_is_not_served(ground, data):
    assert not [one for one in answers(ground, data) if one.status < 400 or one.status >= 500]


def test_half_a_request_is_waited_for_and_given_up(ground):
    """Whoever goes away in the midst of one leaves nothing behind."""
    whole = head("POST", "/v1/tenants", ground.operator.client.key, Content_Length="11",
                 Content_Type="application/json") + BODY
    for length in range(0, len(whole), 7):
        with RawHttp(ground.api.port) as http:
            http.send(whole[:length])


# ---- what is strange, but as the document has it ----

def extreme_requests(ground, operation):
    """Each member and parameter with each of its extremes, by itself and together with all others."""
    ask = ground.request(operation)
    for name, one in operation.named("query").items():
        for value in extremes(one["schema"]):
            text = ",".join(value) if isinstance(value, list) else str(value)
            text = text.lower() if isinstance(value, bool) else text
            target = f"{ask.path}{'&' if '?' in ask.path else '?'}{name}={quote(text, safe='')}"
            if name not in ask.path and len(target) < TARGET_MAX:
                yield ask._replace(path=target)
    for value in extremes(operation.body or {"enum": [], "type": "string"}):
        if len(json.dumps(value)) < 4 << 20 and not DOCUMENT.faults(value, operation.body):
            yield ask._replace(body=value)


@pytest.mark.longer
@pytest.mark.parametrize("operation", [one for one in DOCUMENT.operations if not one.is_endless], ids=str)
def test_extremes_are_no_fault_of_ours(ground, operation):
    """Whatever comes of it is an answer that the document has: never a 500, and what is refused names a field."""
    for ask in extreme_requests(ground, operation):
        answer = ground.operator.client.request(*ask)
        assert answer.status < 500, answer
        if answer.status in (400, 422):
            assert answer.fields, (ask, answer)


def test_samples_are_taken(ground):
    """The counterpart: what all this is made of is what the document has."""
    for operation in DOCUMENT.operations:
        for whole in (False, True):
            assert not operation.body or not DOCUMENT.faults(sample(operation.body, whole), operation.body)
    assert UUID
