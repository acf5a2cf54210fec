"""The OpenAPI document of the admin API, and requests and answers held against it.

    document = Document.current()             # what the program under test says
    for operation in document.operations: ...
    document.check("GET", "/v1/tenants?limit=3", None, answer)

Every request of harness/api.py's clients is checked: an answer must be one that the document has for the operation,
in its form; and what was done must have been asked as the document says.
"""

import json
import re
import subprocess
from datetime import datetime
from functools import cache
from urllib.parse import parse_qsl, unquote

import jsonschema

from harness.program import PROGRAM

METHODS = ("get", "put", "post", "delete", "patch")
RANKS = {"anyone": 0, "viewer": 1, "editor": 2, "admin": 3, "operator": 4}
UNKNOWN = {400, 404, 405}  # what is answered where no operation is

formats = jsonschema.FormatChecker(())


@formats.checks("uuid")
def is_uuid(value):
    return not isinstance(value, str) or bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value.lower()))


@formats.checks("date-time", raises=ValueError)
def is_time(value):
    if not isinstance(value, str):
        return True
    return datetime.fromisoformat(re.sub(r"\.\d+", "", value.upper()).replace("Z", "+00:00")).tzinfo is not None


class Operation:
    """`method`, `path` (with {names}), `rank`, `everywhere`, `parameters`, `responses`, `body` (a schema or None)."""

    def __init__(self, document, path, method, tree):
        self.document = document
        self.path = path
        self.method = method.upper()
        self.id = tree["operationId"]
        self.rank = RANKS[tree["x-role"]]
        self.everywhere = tree["x-everywhere"]
        self.parameters = [document.resolve(one) for one in tree["parameters"]]
        self.responses = {int(status): document.resolve(one) for status, one in tree["responses"].items()}
        content = tree.get("requestBody", {}).get("content", {})
        self.is_endless = any("text/event-stream" in one.get("content", {}) for one in self.responses.values())
        self.body = content["application/json"]["schema"] if content else None
        parts = re.split(r"\{(\w+)\}", path)
        self.pattern = re.compile("([^/:]+)".join(map(re.escape, parts[::2])))

    def named(self, place):
        """Its parameters in `path`, `query` or `header`: {name: parameter}."""
        return {one["name"]: one for one in self.parameters if one["in"] == place}

    def __repr__(self):
        return self.id


def typed(text, schema):
    """What a text of a path or query stands for; the text itself where it is nothing of its type."""
    kind = schema.get("type")
    if kind in ("integer", "number") and re.fullmatch(r"-?\d+", text):
        return int(text)
    if kind == "boolean" and text in ("true", "false"):
        return text == "true"
    if kind == "array":
        return [typed(item, schema["items"]) for item in text.split(",")]
    return text


class Document:
    def __init__(self, tree):
        self.tree = tree
        self.resolver = jsonschema.RefResolver.from_schema(tree)
        self.operations = [Operation(self, path, method, one) for path, methods in tree["paths"].items()
                           for method, one in methods.items() if method in METHODS]

    @classmethod
    @cache
    def current(cls):
        return cls(json.loads(subprocess.run([PROGRAM, "conf", "--openapi"], capture_output=True, check=True).stdout))

    def resolve(self, node):
        return self.resolver.resolve(node["$ref"])[1] if "$ref" in node else node

    def operation(self, name):
        return next(one for one in self.operations if one.id == name)

    def find(self, method, path):
        return next((one for one in self.operations
                     if one.method == method and one.pattern.fullmatch(path)), None)

    def faults(self, value, schema):
        """What is wrong with a value, one line each."""
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver, format_checker=formats)
        return [f"{fault.json_path}: {fault.message}"[:500] for fault in validator.iter_errors(value)]

    # ---- requests and answers ----

    def check(self, method, target, raw, answer):
        """`raw` are the bytes of the body; `answer` has status, headers and text."""
        path, _, query = target.partition("?")
        operation = self.find(method, path)
        if operation:
            assert answer.status in operation.responses, f"the document does not have this answer: {answer!r}"
            self.check_answer(operation, answer)
            if answer.status < 300:
                self.check_request(operation, path, query, raw)
        else:
            assert answer.status in UNKNOWN, f"the document does not have this operation: {answer!r}"
            self.check_problem(answer)
        assert answer.headers["X-Request-Id"], answer

    def check_answer(self, operation, answer):
        if answer.status >= 300:
            self.check_problem(answer)
            return
        content = operation.responses[answer.status].get("content")
        if content is None:
            assert not answer.text, f"the document has no body here: {answer!r}"
            return
        kind = answer.headers["Content-Type"].partition(";")[0]
        assert kind in content, f"the document does not have this type: {kind}"
        if kind == "application/json":
            faults = self.faults(json.loads(answer.text), content[kind]["schema"])
            assert not faults, f"the answer is not as the document says: {faults}: {answer!r}"
        if answer.status == 201:
            assert answer.headers["Location"] or answer.headers["Dry-Run"] or "items" in json.loads(answer.text), answer

    def check_problem(self, answer):
        assert answer.headers["Content-Type"] == "application/problem+json", answer
        problem = json.loads(answer.text)
        faults = self.faults(problem, {"$ref": "#/components/schemas/Problem"})
        assert not faults, f"this is no problem as the document has it: {faults}: {answer!r}"
        assert problem["status"] == answer.status, answer
        assert problem["request_id"] == answer.headers["X-Request-Id"], answer
        wanted = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}.get(answer.status)
        assert not wanted or answer.headers[wanted], answer

    def check_request(self, operation, path, query, raw):
        """What was done must have been asked as the document says."""
        values = dict(zip(operation.named("path"), map(unquote, operation.pattern.fullmatch(path).groups())))
        self.check_parameters(operation, "path", values)
        self.check_parameters(operation, "query", dict(parse_qsl(query, keep_blank_values=True)))
        if operation.body is None:
            assert not raw, f"{operation} takes no body"
        elif raw or operation.body.get("required"):
            faults = self.faults(json.loads(raw or b"{}"), operation.body)
            assert not faults, f"{operation} did what the document does not have: {faults}"

    def check_parameters(self, operation, place, values):
        known = operation.named(place)
        for name, text in values.items():
            assert name in known, f"{operation} has no parameter {name}"
            faults = self.faults(typed(text, known[name]["schema"]), known[name]["schema"])
            assert not faults, f"{operation} took {name}={text}: {faults}"
