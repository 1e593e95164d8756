"""JSON Schema (draft 2020-12) of what people write, generated from the classes: editors complete and check by it.

`python -m reconciler.spec.schema specs/` writes the files anew. The loader alone decides what is right; the schema says
as much of it as JSON Schema can.
"""

import json
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Any, get_args, get_origin

import attrs

from reconciler.spec import fields, scalars, written
from reconciler.spec.fields import RESERVED
from reconciler.spec.forms import Form, Key, Range, bare, keys_of, mark
from reconciler.spec.options import KINDS, Kinds
from reconciler.spec.values import Config, Hook, Idle, Pool, Size, SubmissionOptions

Schema = dict[str, Any]

FILES: Mapping[str, tuple[type, str]] = MappingProxyType(
    {
        "config": (Config, "config.yml: one deployment"),
        "pool": (Pool, "a pool spec file: which machines should exist, and what runs on them"),
        "submission": (SubmissionOptions, "submission.yml: what a submission says about itself"),
    }
)

# A value from the environment can stand for any scalar.
_FILLED: Schema = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}
_TEXT: Schema = {"type": "string", "pattern": r"\S"}


def _pattern(pattern: str, **more: Any) -> Schema:
    return {"anyOf": [{"type": "string", "pattern": f"^({pattern})$", **more}, _FILLED]}


_AFTER = rf"terminate after {scalars.DURATION_PATTERN}"
_STOP = rf"stop after {scalars.DURATION_PATTERN}"

_FORMS: Mapping[Form, Schema] = MappingProxyType(
    {
        Form.DURATION: _pattern(scalars.DURATION_PATTERN, examples=["90s", "10m", "12h", "2d"]),
        Form.DELAY: _pattern(scalars.DURATION_PATTERN, examples=["0s", "90s", "10m", "12h", "2d"]),
        Form.BYTES: _pattern(scalars.BYTES_PATTERN, examples=["500MiB", "10GiB"]),
        Form.TRIES: {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "unlimited"}, _FILLED]},
        Form.MARKET: {
            "anyOf": [{"enum": ["on-demand", "spot", "spot, then on-demand", "on-demand, then spot"]}, _FILLED]
        },
        Form.NAME: _pattern(scalars.NAME_PATTERN),
        Form.TYPE: _pattern(scalars.TYPE_PATTERN),
        Form.DATABASE: _pattern(r"sqlite:///.+|postgresql(\+psycopg)?://.*/.+", examples=["sqlite:///reconciler.db"]),
        Form.COMMAND: _TEXT,
        Form.VARIABLE: _pattern(f"(?!{RESERVED}){scalars.VARIABLE_PATTERN}"),
        Form.VALUE: {"type": "string"},
        Form.TEMPLATE: {"type": "string"},
        Form.FOLDER: {
            "type": "string",
            "pattern": r"^(?![/~])(?!(.*/)?\.\.(/|$))[^*?\[]+$",
            "examples": ["checkpoint"],
        },
        Form.GLOB: {"type": "string", "pattern": r"^(?![/~])(?!(.*/)?\.\.(/|$))", "examples": ["out/**"]},
        Form.WORDS: {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1, "uniqueItems": True}]},
        Form.SECRET: {"type": "string", "pattern": f"^{fields.SECRET_PATTERN}$", "examples": ["${AWS_SECRET}"]},
        Form.PRICE: {
            "anyOf": [{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": scalars.HIGHEST_PRICE}, _FILLED]
        },
        Form.URL: _pattern(fields.URL_PATTERN),
        Form.LOGIN: _pattern(fields.LOGIN_PATTERN, examples=["ubuntu@bastion.example:22"]),
        Form.ADDRESS: {"anyOf": [{"enum": ["public", "private"]}, _FILLED]},
        Form.TAG: _pattern(fields.TAG_PATTERN),
        Form.TAG_VALUE: {"type": "string", "maxLength": 256},
        Form.MACHINE_PATH: _pattern(r"(~/|/)(?!(.*/)?\.\.(/|$)).*", examples=["~/kit"]),
    }
)

_TYPES: Mapping[type, Schema] = MappingProxyType(
    {
        str: _TEXT,
        Path: _TEXT,
        bool: {"anyOf": [{"type": "boolean"}, _FILLED]},
        Size: {
            "anyOf": [{"type": "integer", "minimum": 0}, *_pattern(scalars.SIZE_PATTERN, examples=["0..8"])["anyOf"]]
        },
        Idle: _pattern(
            rf"{scalars.DURATION_PATTERN}|{_AFTER}|{_STOP}, *{_AFTER}|{_AFTER}, *{_STOP}",
            examples=["10m", "stop after 10m, terminate after 2d"],
        ),
    }
)


def schema_of(cls: type, title: str, kinds: Kinds = KINDS) -> Schema:
    """The schema of one kind of file."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return head | _class(cls, kinds)


def _class(cls: type, kinds: Kinds) -> Schema:
    keys = keys_of(cls)
    found: Schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: _key(key, kinds) for name, key in keys.items()},
    }
    required = [key.name for key in keys.values() if key.required]
    return found | ({"required": required} if required else {})


def _key(key: Key, kinds: Kinds) -> Schema:
    default = written.default(key)
    told = {"description": key.about} | ({} if default is None else {"default": default})
    return told | _schema(key.annotation, kinds)


def _schema(annotation: Any, kinds: Kinds) -> Schema:
    """The schema of a type: by its form, its range, or itself."""
    form, limits = mark(annotation, Form), mark(annotation, Range)
    if form is not None and form in _FORMS:
        return _FORMS[form]
    if limits is not None:
        return {"anyOf": [{"type": "integer", "minimum": limits.low, "maximum": limits.high}, _FILLED]}
    if form in (Form.CLOUD, Form.WORKLOAD):
        return _choice(kinds.clouds if form is Form.CLOUD else kinds.workloads, kinds)
    found = _type(bare(annotation), kinds)
    return found | {"minProperties": 1} if form is Form.SIZES else found


def _type(cls: Any, kinds: Kinds) -> Schema:
    if cls in _TYPES:
        return _TYPES[cls]
    if attrs.has(cls):
        return _class(cls, kinds)
    parts = get_args(cls)
    if NoneType in parts:
        return _schema(next(part for part in parts if part is not NoneType), kinds)
    if cls == tuple[Hook, ...]:
        one = {"anyOf": [_TEXT, _class(Hook, kinds)]}
        return {"anyOf": [*one["anyOf"], {"type": "array", "items": one}]}
    if get_origin(cls) is tuple:
        return {"type": "array", "items": _schema(parts[0], kinds)}
    return _mapping(*parts, kinds=kinds)


def _mapping(names: Any, values: Any, *, kinds: Kinds) -> Schema:
    if isinstance(names, type) and issubclass(names, Enum):
        properties = {str(each.value): _schema(values, kinds) for each in names}
        return {"type": "object", "additionalProperties": False, "properties": properties}
    return {"type": "object", "propertyNames": _schema(names, kinds), "additionalProperties": _schema(values, kinds)}


def _choice(registry: Mapping[str, type], kinds: Kinds) -> Schema:
    properties = {
        kind: {"description": (options.__doc__ or "").partition("\n")[0]} | _class(options, kinds)
        for kind, options in registry.items()
    }
    shape: Schema = {"type": "object", "additionalProperties": False, "minProperties": 1, "maxProperties": 1}
    return shape | {"properties": properties}


def rendered(cls: type, title: str) -> str:
    """The text of a schema file."""
    return json.dumps(schema_of(cls, title), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str], say: Callable[[str], object] = print) -> int:
    """Write every schema into a folder."""
    if len(arguments) != 1:
        say("usage: python -m reconciler.spec.schema FOLDER")
        return 2
    for name, (cls, title) in FILES.items():
        Path(arguments[0], f"{name}.schema.json").write_text(rendered(cls, title), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
