"""Canonical JSON of spec values, for rows that freeze them, and a fingerprint of what makes a machine what it is."""

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

import attrs

from reconciler.spec.forms import Aside, Content, bare, keys_of, mark
from reconciler.spec.options import KINDS, Kinds
from reconciler.spec.values import Choice, Pool, Size

_Value = TypeVar("_Value")


class UnreadableSpec(ValueError):  # noqa: N818
    """A frozen spec that this version cannot read: written by another, or damaged."""


def to_json(value: object) -> str:
    """Canonical JSON of a frozen value: equal values give equal text, on every computer."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def from_json(text: str, cls: type[_Value], kinds: Kinds = KINDS) -> _Value:
    """The value that `to_json` wrote. Raises UnreadableSpec."""
    try:
        value: _Value = _converter(kinds).structure(json.loads(text), cls)
    except RecursionError as error:
        raise UnreadableSpec("nested too deep") from error
    except Exception as error:  # cattrs and json raise many kinds; all of them mean the same
        raise UnreadableSpec(f"{cls.__name__} cannot be read: {error}") from error
    return value


def pool_to_json(pool: Pool) -> str:
    """A whole pool."""
    return to_json(pool)


def pool_from_json(text: str, kinds: Kinds = KINDS) -> Pool:
    """The pool that `pool_to_json` wrote. Raises UnreadableSpec."""
    return from_json(text, Pool, kinds)


def settings_to_json(choice: Choice) -> str:
    """A cloud's or workload's settings without its kind, as launches and attempts freeze them."""
    return to_json(choice.settings)


def settings_from_json(text: str, cls: type[_Value]) -> _Value:
    """The options that `settings_to_json` wrote, as their class. Raises UnreadableSpec."""
    return from_json(text, cls)


def spec_hash(pool: Pool, *, hash_content: Callable[[Path], str] | None = None) -> str:
    """Twelve hex digits over what makes a machine what it is: cloud settings, setup, and the content of its files.

    Sizes, idle times, deadlines, workload and environment are left out: changing them replaces no machine.
    Raises OSError when a file cannot be read.
    """
    hash_content = hash_content or content_hash
    options: Any = type(pool.cloud.settings)
    settings = _plain(pool.cloud.settings)
    keys = [key for key in keys_of(options).values() if mark(key.annotation, Aside) is None]
    lasting = {key.field: settings[key.field] for key in keys}
    for key in keys:
        if settings[key.field] is not None and mark(key.annotation, Content) is not None:
            lasting[key.field] = hash_content(Path(settings[key.field]))
    files = sorted([target, hash_content(here)] for here, target in pool.files.items())
    parts = {"cloud": pool.cloud.kind, "settings": lasting, "setup": pool.setup, "files": files}
    return hashlib.sha256(to_json(parts).encode()).hexdigest()[:12]


def content_hash(path: Path) -> str:
    """SHA-256 over a file, or over a folder's names, contents, links and execute bits. Raises OSError."""
    digest = hashlib.sha256()
    for name, file in _walk(path):
        status = file.lstat()
        kind = stat.S_IFMT(status.st_mode)
        digest.update(f"{name}\0{kind:o}\0{status.st_mode & stat.S_IXUSR:o}\0".encode(errors="surrogateescape"))
        if stat.S_ISLNK(kind):
            digest.update(os.fsencode(file.readlink()))
        elif stat.S_ISREG(kind):
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def check_readable(path: Path) -> None:
    """Raise the OSError that `content_hash` would, without reading all that is there."""
    for _, file in _walk(path):
        kind = stat.S_IFMT(file.lstat().st_mode)
        if stat.S_ISREG(kind):
            with file.open("rb", buffering=0) as stream:
                stream.read(1)


def _walk(path: Path) -> Iterator[tuple[str, Path]]:
    """A path and all below it, by relative name, sorted; links are not followed, save the path itself."""
    path = path.resolve(strict=True)
    yield "", path
    if not path.is_dir():
        return
    found: list[Path] = []
    for folder, folders, files in os.walk(path, onerror=_raise):
        found += [Path(folder, name) for name in (*folders, *files)]
    yield from sorted((str(file.relative_to(path)), file) for file in found)


def _raise(error: OSError) -> None:
    raise error


def _plain(value: Any) -> Any:
    """What JSON can say of a value. A pool's sizes become pairs: their order is the order of preference."""
    if isinstance(value, Pool):
        return _fields(value) | {"size": [[name, size.low, size.high] for name, size in value.size.items()]}
    if attrs.has(type(value)):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def _fields(value: Any) -> dict[str, Any]:
    return {field.name: _field(field.type, getattr(value, field.name)) for field in attrs.fields(type(value))}


def _field(annotation: Any, part: Any) -> Any:
    """Seconds are floats, however the value was made: 5 and 5.0 are equal and must look equal."""
    plain = _plain(part)
    return float(plain) if type(plain) is int and float in (bare(annotation), *get_args(bare(annotation))) else plain


@cache
def _converter(kinds: Kinds) -> Any:
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, override

    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    inner = make_dict_structure_fn(
        Pool,
        converter,
        _cattrs_forbid_extra_keys=True,
        cloud=override(struct_hook=lambda value, _: _choice(value, kinds.clouds, converter)),
        workload=override(struct_hook=lambda value, _: _choice(value, kinds.workloads, converter)),
        size=override(struct_hook=lambda value, _: {name: Size(low=low, high=high) for name, low, high in value}),
    )
    converter.register_structure_hook(Pool, inner)
    return converter


def _choice(value: Mapping[str, Any], registry: Mapping[str, type], converter: Any) -> Choice:
    return Choice(kind=value["kind"], settings=converter.structure(value["settings"], registry[value["kind"]]))
