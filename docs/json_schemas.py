"""JSON schemas of what the commands print with --json, from the Structs that they encode.

A Struct's docstrings become the descriptions: the class's own, and the one below each field.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET
from msgspec.json import schema_components

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from msgspec import Struct

WIDTH = 110
DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLACES = {
    "recommend": "pages.recommend_json:RecommendDocument",
    "guide": "commands.cmd_guide:GuideDocument",
    "probe": "commands.cmd_probe:ProbeDocument",
    "pull": "commands.cmd_pull:PullDocument",
    "chat": "chat.answers:ChatDocument",
    "sessions": "commands.cmd_sessions:SessionsDocument",
    "sessions --remove": "commands.cmd_sessions:RemovedSessions",
    "bench": "commands.cmd_bench:BenchDocument",
    "list": "commands.cmd_list:ListDocument",
    "rm": "commands.cmd_rm:RemoveDocument",
    "verify": "commands.cmd_verify:VerifyDocument",
    "engine": "commands.cmd_engine:EngineDocument",
    "doctor": "commands.cmd_doctor:DoctorDocument",
}
"""A command's words to the module of cli/ and the name there."""


def documents() -> dict[str, type[Struct]]:
    """Give the document of each command, by the command's words."""
    found = {}
    for command, place in PLACES.items():
        module, _, name = place.partition(":")
        found[command] = getattr(import_module(f"qwenpick.cli.{module}"), name)
    return found


def schemas(documents: Mapping[str, type]) -> tuple[dict[str, str], dict[str, Any]]:
    """Make the schemas of all documents.

    Args:
        documents: The command's words to the Struct that it prints.

    Returns:
        The command's words to the name of its definition; and the definitions.
    """
    references, parts = schema_components(documents.values(), schema_hook=_path)
    places = {
        command: reference["$ref"].rpartition("/")[2]
        for command, reference in zip(documents, references, strict=True)
    }
    for name, part in parts.items():
        if kind := _struct(name):
            _complete(part, kind)
    return places, parts


def schema_of(command: str, documents: Mapping[str, type]) -> dict[str, Any]:
    """Give the whole schema of what one command prints."""
    places, parts = schemas(documents)
    return {"$schema": DIALECT, "$ref": f"#/$defs/{places[command]}", "$defs": parts}


def page(documents: Mapping[str, type]) -> str:
    """Write all schemas as sections: a command's own first, then the parts that they share."""
    places, parts = schemas(documents)
    sections = [
        _section(f"`qwenpick {command} --json`", parts[place]) for command, place in places.items()
    ]
    rest = sorted(parts.keys() - set(places.values()))
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


def _complete(part: dict[str, Any], kind: type[Struct]) -> None:
    """Describe each key, and require all that are always printed, with a default or not."""
    described = dict(_field_docstrings(kind))
    properties = part.get("properties", {})
    if "schema" in properties:  # first, wherever a base class has put it
        part["properties"] = properties = {"schema": properties.pop("schema")} | properties
    for key, schema in properties.items():
        schema.pop("default", None)
        _simplify(schema)
        if key in described:
            schema["description"] = described[key]
    left_out = dict(_left_out(kind))
    part.pop("title")
    part["required"] = [key for key in properties if key not in left_out]


def _left_out(kind: type[Struct]) -> Iterator[tuple[str, object]]:
    """Give the keys that are not printed where they have their default."""
    defaults = kind.__struct_defaults__
    names = kind.__struct_encode_fields__
    for key, default in zip(names[len(names) - len(defaults) :], defaults, strict=True):
        if default is UNSET or kind.__struct_config__.omit_defaults:
            yield key, default


def _simplify(schema: dict[str, Any]) -> None:
    """Write a type that may be null as one list of types, in place of `anyOf`."""
    match schema.get("anyOf"):
        case [{"type": str(name), **rest}, {"type": "null"}]:
            del schema["anyOf"]
            schema |= {"type": [name, "null"], **rest}


def _path(kind: type) -> dict[str, Any]:
    """Give the schema of a path, which is printed as text."""
    if issubclass(kind, Path):
        return {"type": "string"}
    raise NotImplementedError


def _struct(name: str) -> type[Struct] | None:
    """Find a Struct of the package by its name, among the modules that are imported."""
    for key, module in sys.modules.items():
        kind = getattr(module, name, None) if key.startswith("qwenpick.") else None
        if kind is not None and kind.__module__ == key:
            return kind
    return None


def _field_docstrings(kind: type[Struct]) -> Iterator[tuple[str, str]]:
    """Give the docstring below each field of a Struct and its bases, by the field's JSON name."""
    encoded = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    for base in reversed(kind.__mro__):
        if not base.__module__.startswith("qwenpick."):
            continue
        source = inspect.getsource(sys.modules[base.__module__])
        [body] = [
            node.body
            for node in ast.parse(source).body
            if isinstance(node, ast.ClassDef) and node.name == base.__name__
        ]
        for field, text in pairwise(body):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=key)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    yield encoded[key], re.sub(r"\bNone\b", "null", " ".join(words.split()))
