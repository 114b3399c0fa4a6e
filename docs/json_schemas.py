"""JSON schemas of what the commands print with --json, from the Structs that they encode.

A Struct's docstrings become the descriptions: the class's own, and the one below each field.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from msgspec.json import schema_components

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from msgspec import Struct

WIDTH = 110
DIALECT = "https://json-schema.org/draft/2020-12/schema"
VERSION = {"const": 1, "description": "The version of this form."}


def schemas(documents: Mapping[str, type]) -> tuple[dict[str, str], dict[str, Any]]:
    """Make the schemas of all documents.

    Every key is required, since a command always prints all of them. A key that is not in the
    schema may come with a later version.

    Args:
        documents: The command's words to the Struct that it prints.

    Returns:
        The command's words to the name of its definition; and the definitions.
    """
    references, parts = schema_components(documents.values())
    places = {
        command: reference["$ref"].rpartition("/")[2]
        for command, reference in zip(documents, references, strict=True)
    }
    for name, part in parts.items():
        kind = _struct(name)
        fields = dict(_field_docstrings(kind)) if kind else {}
        properties = part.get("properties", {})
        for key, schema in properties.items():
            schema.pop("default", None)
            _simplify(schema)
            if key in fields:
                schema["description"] = fields[key]
        part.pop("title")
        if name in places.values():
            part["properties"] = properties = {"schema": VERSION} | properties
        if properties:
            part["required"] = list(properties)
    return places, parts


def schema_of(command: str, documents: Mapping[str, type]) -> dict[str, Any]:
    """Give the whole schema of what one command prints."""
    places, parts = schemas(documents)
    return {"$schema": DIALECT, "$ref": f"#/$defs/{places[command]}", "$defs": parts}


def page(documents: Mapping[str, type]) -> str:
    """Write all schemas as sections: a command's own first, then the parts that they share."""
    places, parts = schemas(documents)
    names = {f"qwenpick {command} --json": place for command, place in places.items()}
    rest = sorted(parts.keys() - set(places.values()))
    sections = [_section(heading, parts[place]) for heading, place in names.items()]
    return "\n\n".join(sections + [_section(name, parts[name]) for name in rest])


def _section(heading: str, part: dict[str, Any]) -> str:
    return f"### {heading}\n\n```json\n{laid_out(part)}\n```"


def laid_out(value: object, indent: int = 0) -> str:
    """Write JSON, what fits a line on one line."""
    line = json.dumps(value, ensure_ascii=False)
    if len(line) + indent <= WIDTH or not isinstance(value, dict | list):
        return line
    pad = "\n" + " " * (indent + 1)
    if isinstance(value, list):
        return "[" + pad + f",{pad}".join(laid_out(one, indent + 1) for one in value) + "]"
    items = (f"{json.dumps(key)}: {laid_out(one, indent + 1)}" for key, one in value.items())
    return "{" + pad + f",{pad}".join(items) + "}"


def _simplify(schema: dict[str, Any]) -> None:
    """Write a type that may be null as one list of types, in place of `anyOf`."""
    match schema.get("anyOf"):
        case [{"type": str(kind), **rest}, {"type": "null"}]:
            del schema["anyOf"]
            schema |= {"type": [kind, "null"], **rest}


def _struct(name: str) -> type[Struct] | None:
    """Find a Struct of the package by its name, among the modules that are imported."""
    for key, module in sys.modules.items():
        kind = getattr(module, name, None) if key.startswith("qwenpick.") else None
        if kind is not None and kind.__module__ == key:
            return kind
    return None


def _field_docstrings(kind: type[Struct]) -> Iterator[tuple[str, str]]:
    """Give the docstring below each field of a Struct, by the field's name in JSON."""
    encoded = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    [body] = [
        node.body
        for node in ast.parse(inspect.getsource(sys.modules[kind.__module__])).body
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    ]
    for field, text in pairwise(body):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=key)),
                ast.Expr(value=ast.Constant(value=str(words))),
            ):
                yield encoded[key], " ".join(words.split())
