"""Values made of the schemas of the OpenAPI document: ones that are taken, and ones that must not be.

    sample(schema)                    # the least that is taken
    sample(schema, whole=True)        # with every member
    tenant_places(schema)             # where a value names tenants: ("parent",), ("tenants", 0, "parent")
    put(value, ("parent",), "acme")   # there, with what is needed on the way
    for fault in faults(schema): ...  # fault.value is wrong at fault.place ("", ".slug", ".words[0]"), and why

Texts with a pattern are taken from WORDS: add one where none matches.
"""

import copy
import re
from collections import namedtuple

WORDS = ["sample", "a", "app.sample", "sample.x", "app.a.b", "10.0.0.0/8", "abcdefghijklmnop", "1", "SELECT 1",
         "2.1.0.0",
         "bhk_abcdefghijklmnop"]
TENANT = "ground-own"  # see api_ground.py
TIME = "2030-01-31T23:59:59Z"
UUID = "01234567-89ab-4cde-8f01-23456789abcd"

Fault = namedtuple("Fault", "why place value")


def kind_of(schema):
    kinds = schema.get("type", "any")
    return next(kind for kind in kinds if kind != "null") if isinstance(kinds, list) else kinds


def is_nullable(schema):
    return "type" not in schema or "null" in schema["type"]


def text_sample(schema):
    if "enum" in schema:
        return "viewer" if "viewer" in schema["enum"] else schema["enum"][0]
    if schema.get("x-tenant"):
        return TENANT
    if schema.get("format") in ("uuid", "date-time"):
        return UUID if schema["format"] == "uuid" else TIME
    least = schema.get("minLength", 0)
    for word in [*WORDS, "correct-horse-battery-staple" * (1 + least // 28)]:
        if least <= len(word) <= schema.get("maxLength", 1000) and re.search(schema.get("pattern", ""), word):
            return word
    raise AssertionError(f"no word of openapi_samples.WORDS is one of {schema}")


def sample(schema, whole=False):
    kind = kind_of(schema)
    if kind == "object":
        if isinstance(schema.get("additionalProperties"), dict):
            return {"sample": sample(schema["additionalProperties"], whole)}
        wanted = schema.get("properties", {}) if whole else schema.get("required", [])
        return {name: sample(schema["properties"][name], whole) for name in wanted}
    if kind == "array":
        return [sample(schema["items"], whole)] * max(schema.get("minItems", 0), int(whole))
    if kind in ("integer", "number"):
        return schema.get("default", max(schema.get("minimum", 0), min(1, schema.get("maximum", 1))))
    return {"string": lambda: text_sample(schema), "boolean": lambda: True, "any": lambda: 1}[kind]()


def tenant_places(schema, way=()):
    if schema.get("x-tenant"):
        yield way
    for name, member in schema.get("properties", {}).items():
        yield from tenant_places(member, (*way, name))
    if kind_of(schema) == "array":
        yield from tenant_places(schema["items"], (*way, 0))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from tenant_places(schema["additionalProperties"], (*way, "sample"))


def member_of(schema, step):
    if kind_of(schema) == "array":
        return schema["items"]
    return schema.get("properties", {}).get(step) or schema["additionalProperties"]


def put(value, way, what, schema):
    """A copy of a sample of the schema with `what` at the end of the way, and samples of what is missing on it."""
    value = copy.deepcopy(value)
    here = value
    for step, after in zip(way, [*way[1:], None]):
        schema = member_of(schema, step)
        new = what if after is None else sample(schema)
        if isinstance(here, list) and step >= len(here):
            here.append(new)
        elif after is None or (isinstance(here, dict) and (step not in here or here[step] is None)):
            here[step] = new
        here = here[step]
    return value


# ---- what must not be taken ----

NO_TIMES = ["", "now", "infinity", TIME + "x", "2030-01-31", "2030-01-31T23:59:59", "2030-02-30T00:00:00Z",
            "2029-02-29T00:00:00Z", "2030-13-01T00:00:00Z", "2030-00-01T00:00:00Z", "0000-01-01T00:00:00Z",
            "2030-01-31T24:00:01Z", "2030-01-31T23:60:00Z", "2030-01-31T23:59:59+24:00"]
WRONG = {"string": [1, True, [], {}], "integer": ["1", 1.5, True, [], {}, 1e300], "number": ["1", True, [], {}],
         "boolean": ["true", 0, 1, [], {}], "object": [[], "x", 1, True], "array": [{}, "x", 1, True]}


def text_faults(schema):
    longest = schema.get("maxLength")
    if longest and "enum" not in schema:
        yield "too long", "x" * (longest + 1)
        yield "too long in characters of four bytes", "\U0001f600" * (longest + 1)
    if schema.get("minLength", 0) > 0:
        yield "too short", "x" * (schema["minLength"] - 1)
    if "pattern" in schema and not re.search(schema["pattern"], "~ \"'"):
        yield "not of the pattern", "~ \"'"
    if "enum" in schema:
        yield "no choice", "nothing-of-the-kind"
        yield "a choice in the other case", str(schema["enum"][0]).swapcase()
    if schema.get("format") == "uuid":
        yield from (("no uuid", word) for word in ("", "x", UUID[:-1], UUID + "0", UUID.replace("-", "_"), "g" * 32))
    if schema.get("format") == "date-time":
        yield from (("no time", word) for word in NO_TIMES)
    for character in "\0\x1b\x7f":
        if "pattern" in schema and not re.search(schema["pattern"], f"a{character}b"):
            yield "a control character", f"a{character}b"


def value_faults(schema):
    """(why, value) for a value of this schema, not looking into it."""
    kind = kind_of(schema)
    for value in WRONG.get(kind, []):
        yield f"not a {kind}", value
    if not is_nullable(schema):
        yield "null", None
    if kind == "string":
        yield from text_faults(schema)
    if kind in ("integer", "number"):
        for bound, step in (("minimum", -1), ("maximum", 1)):
            if bound in schema:
                yield f"beyond its {bound}", schema[bound] + step
    if kind == "array" and schema.get("maxItems"):
        yield "too many", [sample(schema["items"])] * (schema["maxItems"] + 1)
    if kind == "array" and schema.get("minItems"):
        yield "too few", []
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict) and "maxProperties" in schema:
        yield "too many", {f"m{n}": sample(schema["additionalProperties"]) for n in range(schema["maxProperties"] + 1)}


def inner_faults(schema):
    kind = kind_of(schema)
    if kind == "array":
        for fault in faults(schema["items"]):
            yield Fault(fault.why, "[0]" + fault.place, [fault.value])
    if kind != "object":
        return
    base, more = sample(schema), schema.get("additionalProperties")
    if isinstance(more, dict):
        for fault in faults(more):
            yield Fault(fault.why, ".sample" + fault.place, {"sample": fault.value})
        return
    yield Fault("an unknown member", ".no_such_member", {**base, "no_such_member": 1})
    for name in schema.get("required", []):
        yield Fault("missing", f".{name}", {key: value for key, value in base.items() if key != name})
    for name, member in schema.get("properties", {}).items():
        for fault in faults(member):
            yield Fault(fault.why, f".{name}{fault.place}", {**base, name: fault.value})


def faults(schema):
    """Everything that this schema does not take, one fault at a time."""
    for why, value in value_faults(schema):
        yield Fault(why, "", value)
    yield from inner_faults(schema)


# ---- what is strange, but must be taken ----

TEXTS = ["'", '"', "\\", "%s%n", "${x}", "-- x", "; DROP TABLE tenant", "<b>", "\u00e4", "e\u0301", "\u202e", "\u200b",
         "\ufeff", "\uffff",
         "\U0010ffff", " ", " a ", "null", "true", "0", "-1", "1e400", "NaN", "Infinity", "[]", "{}", "''", "\\u0000",
         "pg_catalog",
         "00000000-0000-0000-0000-000000000000", "infinity", "now", "epoch", "$1", "a,b", "a.b.c", "..", "/", "a/b",
         "a:b", "A"]
DEEP = [[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]
ANYTHING = [None, True, 0, -0.0, 1e308, 5e-324, 2**53 + 1, -2**63, 2**63 - 1, "", *TEXTS, [], {}, {"": ""}, DEEP,
            {"a": {"a": {}}},
            [None] * 500, "x" * 60000, {str(n): n for n in range(500)}, {"\u00e4": 1}, 0.1 + 0.2]


def text_extremes(schema):
    longest = schema.get("maxLength", 1000)
    if schema.get("format") == "date-time":
        return ["0001-01-01T00:00:00Z", "9998-12-31T23:59:59.999999999-15:59", "2030-01-01t00:00:00z",
                "2028-02-29T12:00:00.5-11:30"]
    if schema.get("format") == "uuid":
        return ["00000000-0000-0000-0000-000000000000", UUID.upper(), "f" * 8 + "-ffff" * 3 + "-" + "f" * 12]
    if "enum" in schema:
        return [one for one in schema["enum"] if one is not None]
    texts = [*TEXTS, *(letter * longest for letter in ("a", "1", "\u00e4", "\U0001f600", "a.")),
             "a" * schema.get("minLength", 0)]
    return [text for text in texts if schema.get("minLength", 0) <= len(text) <= longest
            and re.search(schema.get("pattern", ""), text)]


def extremes(schema):
    """Values that the schema takes and that nobody is glad of."""
    kind = kind_of(schema)
    if is_nullable(schema):
        yield None
    if kind == "string":
        yield from text_extremes(schema)
    elif kind in ("integer", "number"):
        yield from (schema.get(bound, beyond) for bound, beyond in (("minimum", -1e308), ("maximum", 1e308)))
    elif kind == "boolean":
        yield from (True, False)
    elif kind == "any":
        yield from ANYTHING
    elif kind == "array":
        yield from ([value] for value in extremes(schema["items"]))
        yield from ([sample(schema["items"])] * schema.get(bound, 0) for bound in ("minItems", "maxItems"))
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from ({name: sample(schema["additionalProperties"])} for name in ("", "\u00e4", "a" * 200, "'",
                                                                                "__proto__"))
        yield from ({"sample": value} for value in extremes(schema["additionalProperties"]))
    else:
        yield from (sample(schema), sample(schema, whole=True))
        for name, member in schema.get("properties", {}).items():
            for value in extremes(member):
                yield {**sample(schema), name: value}
