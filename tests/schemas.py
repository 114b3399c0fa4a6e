"""Fifty schemas: nested, enums, bounds, patterns, optional, unions, recursive references."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def text(longest: int = 12, **more: Any) -> Schema:  # noqa: ANN401 - any JSON
    return {"type": "string", "maxLength": longest} | more


def whole(low: int, high: int) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def number(low: float, high: float) -> Schema:
    return {"type": "number", "minimum": low, "maximum": high}


def some(items: Schema, low: int, high: int) -> Schema:
    return {"type": "array", "items": items, "minItems": low, "maxItems": high}


def table(required: str | None = None, **properties: Schema) -> Schema:
    names = list(properties) if required is None else required.split()
    return {"type": "object", "properties": properties, "required": names}


YES = {"type": "boolean"}
NULL = {"type": "null"}
COLOUR = {"enum": ["red", "green", "blue"]}


def chain(depth: int) -> Schema:
    return whole(0, 9) if depth == 0 else table(deeper=chain(depth - 1))


def recursive(node: Schema) -> Schema:
    return {"$ref": "#/$defs/node", "$defs": {"node": node}}


NODE = {"$ref": "#/$defs/node"}

SCHEMAS: tuple[Schema, ...] = (
    table(),
    table(name=text()),
    table(name=text(), age=whole(0, 120)),
    table("name", name=text(), age=whole(0, 120), email=text(20)),
    table("", a=YES, b=NULL),
    COLOUR,
    {"const": "exactly this"},
    {"const": {"a": [1, None, True]}},
    {"enum": [1, "two", None, 3.5, [4]]},
    YES,
    NULL,
    whole(1, 10),
    whole(-5, -2),
    whole(1000, 2000),
    {"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 5},
    {"type": "integer", "minimum": 10, "maximum": 30, "multipleOf": 7},
    number(0, 1),
    number(-1.5, 1.5),
    {"type": "number", "exclusiveMinimum": 0, "maximum": 0.5},
    text(5),
    text(8, minLength=8),
    text(minLength=1),
    {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
    {"type": "string", "pattern": "^(ab|cd){2}$"},
    {"type": "string", "format": "date"},
    {"type": "string", "format": "uuid"},
    {"type": "string", "format": "ipv4"},
    some(whole(0, 9), 3, 3),
    some(text(6), 1, 4),
    some(COLOUR, 0, 3),
    some(some(whole(0, 1), 2, 2), 2, 2),
    some(table(x=number(0, 1), y=number(0, 1)), 1, 3),
    {"type": "array", "prefixItems": [whole(0, 9), YES], "items": False, "minItems": 2},
    {"type": ["integer", "null"], "minimum": 0, "maximum": 99},
    {"anyOf": [whole(0, 9), text(4)]},
    {"anyOf": [table(kind={"const": "a"}, n=whole(0, 9)), table(kind={"const": "b"}, s=text(4))]},
    {"oneOf": [{"type": "integer", "maximum": 5, "minimum": 0}, {"type": "boolean"}]},
    {"allOf": [whole(0, 50), {"minimum": 40}]},
    table(city=table(name=text(), geo=table(lat=number(-90, 90), lon=number(-180, 180)))),
    table(tags=some(text(6), 0, 3), colour=COLOUR, on=YES, note={"anyOf": [text(6), NULL]}),
    chain(6),
    table(**{"key with spaces": YES, 'quote"d': YES, "ünï": YES, "new\nline": YES}),
    table(**{f"field_{index}": whole(0, index) for index in range(12)}),
    {"type": "object", "additionalProperties": whole(0, 9), "maxProperties": 2},
    recursive(table("value", value=whole(0, 9), next={"anyOf": [NULL, NODE]})),
    recursive(table("value", value=COLOUR, children=some(NODE, 0, 1))),
    recursive({"anyOf": [whole(0, 9), table(left=whole(0, 9), right=NODE)]}),
    table("name", name=text(6), parent={"$ref": "#"}),
    {"$defs": {"p": number(0, 10)}, **table(a={"$ref": "#/$defs/p"}, b={"$ref": "#/$defs/p"})},
    table(
        title=text(20, minLength=1), year=whole(1900, 2030), rating=number(0, 5),
        genres=some({"enum": ["drama", "comedy", "noir"]}, 1, 2), seen=YES,
    ),
)  # fmt: skip
