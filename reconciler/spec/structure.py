"""From plain values to the frozen classes, with cattrs: strict where cattrs is lax, and every error with its path."""

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args, get_origin

import attrs
from attrs import frozen

from reconciler.spec import fields, scalars
from reconciler.spec.errors import Wrong, did_you_mean, shown
from reconciler.spec.forms import Form, Range, bare, keys_of, mark
from reconciler.spec.options import Kinds
from reconciler.spec.values import Choice, Event, Hook, Idle, Size

Parse = Callable[[Any], Any]

FORMS: Mapping[Form, Parse] = MappingProxyType(
    {
        Form.DURATION: scalars.duration,
        Form.DELAY: scalars.delay,
        Form.BYTES: scalars.size_in_bytes,
        Form.TRIES: scalars.tries,
        Form.MARKET: scalars.market,
        Form.NAME: scalars.name,
        Form.TYPE: scalars.instance_type,
        Form.DATABASE: fields.database,
        Form.COMMAND: scalars.text,
        Form.VARIABLE: fields.variable,
        Form.VALUE: fields.variable_value,
        Form.TEMPLATE: fields.template,
        Form.GLOB: fields.glob,
        Form.FOLDER: fields.folder,
        Form.MACHINE_PATH: fields.machine_path,
        Form.WORDS: fields.words,
        Form.SECRET: fields.secret,
        Form.PRICE: scalars.price,
        Form.URL: fields.url,
        Form.LOGIN: fields.login,
        Form.ADDRESS: scalars.address,
        Form.TAG: fields.tag,
        Form.TAG_VALUE: fields.tag_value,
    }
)

# Checks of a whole, once its parts are right.
WHOLES: Mapping[Form, Callable[[Any], None]] = MappingProxyType(
    {Form.SIZES: fields.some_type, Form.FILES: fields.targets_apart}
)

SCALARS: Mapping[type, Parse] = MappingProxyType(
    {str: scalars.text, bool: scalars.truth, Path: fields.local_path, Size: scalars.size, Idle: scalars.idle}
)


@frozen
class Finding:
    """One error, and the path to what is wrong."""

    path: tuple[Any, ...]
    what: str
    hint: str
    at_key: bool


class Findings(Exception):  # noqa: N818
    """All that was wrong below one value."""

    def __init__(self, findings: tuple[Finding, ...]) -> None:
        super().__init__("; ".join(finding.what for finding in findings))
        self.findings = findings


def structure(value: Any, cls: type, kinds: Kinds) -> Any:
    """A frozen value of the class. Raises Findings."""
    from cattrs import BaseValidationError

    try:
        return _converter(kinds).structure(value, cls)
    except (Wrong, BaseValidationError) as error:
        raise Findings(tuple(_findings(error, ()))) from error


@cache
def _converter(kinds: Kinds) -> Any:
    from cattrs import Converter

    converter = Converter()
    for scalar, parse in SCALARS.items():
        converter.register_structure_hook(scalar, partial(_ignoring_type, parse))
    converter.register_structure_hook(Event, lambda value, _: Event(scalars.one_of(value, tuple(Event))))
    converter.register_structure_hook_factory(
        lambda cls: attrs.has(cls) and cls not in SCALARS, lambda cls: _class_hook(cls, converter, kinds)
    )
    converter.register_structure_hook_factory(
        lambda cls: _is_generic(cls, tuple), lambda cls: _list_hook(_parser(get_args(cls)[0], converter, kinds))
    )
    converter.register_structure_hook_factory(
        lambda cls: _is_generic(cls, Mapping),
        lambda cls: _mapping_hook(*(_parser(each, converter, kinds) for each in get_args(cls))),
    )
    converter.register_structure_hook_func(
        lambda cls: cls == tuple[Hook, ...], lambda value, _: _hooks(value, converter)
    )
    return converter


def _is_generic(annotation: Any, origin: Any) -> bool:
    return get_origin(annotation) is origin


def _ignoring_type(parse: Parse, value: Any, _cls: Any) -> Any:
    return parse(value)


def _parser(annotation: Any, converter: Any, kinds: Kinds) -> Parse:
    """How values of one annotated type are read: by its form, its range, or its type."""
    form, limits = mark(annotation, Form), mark(annotation, Range)
    if form is not None and form in FORMS:
        return FORMS[form]
    if limits is not None:
        return partial(scalars.whole, low=limits.low, high=limits.high)
    if form is Form.CLOUD:
        return partial(_choice, "cloud", kinds.clouds, converter)
    if form is Form.WORKLOAD:
        return partial(_choice, "workload", kinds.workloads, converter)
    inner = partial(converter.structure, cl=bare(annotation))
    return partial(_checked, inner, WHOLES[form]) if form is not None and form in WHOLES else inner


def _checked(parse: Parse, check: Callable[[Any], None], value: Any) -> Any:
    result = parse(value)
    check(result)
    return result


def _mapping(value: Any, hint: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Wrong(f"{shown(value)} is not a mapping", hint)
    return value


def _class_hook(cls: type, converter: Any, kinds: Kinds) -> Callable[[Any, Any], Any]:
    from cattrs.gen import make_dict_structure_fn, override

    keys = keys_of(cls)
    overrides: dict[str, Any] = {
        key.field: override(
            rename=key.name, struct_hook=partial(_ignoring_type, _parser(key.annotation, converter, kinds))
        )
        for key in keys.values()
    }
    if "source" in attrs.fields_dict(cls):
        overrides["source"] = override(omit=True)
    inner: Callable[[Any, Any], Any] = make_dict_structure_fn(cls, converter, **overrides)

    def hook(value: Any, _: Any) -> Any:
        given = _mapping(value, f"write its keys: {', '.join(keys)}")
        errors = _key_errors(given, cls)
        return _together(cls, errors, inner, given)

    return hook


def _together(cls: type, errors: list[Exception], inner: Callable[[Any, Any], Any], given: dict[str, Any]) -> Any:
    """What `inner` makes of the mapping; with its errors added to those that are known."""
    from cattrs import ClassValidationError

    try:
        result = inner(given, cls)
    except ClassValidationError as error:
        errors += [each for each in error.exceptions if not isinstance(each, KeyError)]
    if errors:
        raise ClassValidationError("", errors, cls)
    return result


def _key_errors(given: dict[str, Any], cls: type) -> list[Exception]:
    """Keys that do not exist, and keys that are missing and were not merely misspelt."""
    keys = keys_of(cls)
    errors: list[Exception] = []
    misspelt = set()
    for name in given.keys() - keys.keys():
        hint = did_you_mean(name, [key for key in keys if key not in given] or keys)
        misspelt.add(hint.removeprefix("did you mean ").removesuffix("?"))
        errors.append(_at(name, Wrong(f"there is no key {shown(name)} here", hint, at_key=True)))
    missing = (key for key in keys.values() if key.required and key.name not in given.keys() | misspelt)
    return errors + [Wrong(f"the key {key.name} is missing", f"add it: {key.about}") for key in missing]


def _list_hook(parse: Parse) -> Callable[[Any, Any], Any]:
    def hook(value: Any, cls: Any) -> Any:
        if not isinstance(value, list):
            raise Wrong(f"{shown(value)} is not a list", "write it in brackets, or each with a dash in front")
        gathered = _Gathered(cls)
        items = tuple(gathered.part(index, parse, each) for index, each in enumerate(value))
        gathered.check()
        return items

    return hook


def _mapping_hook(parse_key: Parse, parse_value: Parse) -> Callable[[Any, Any], Any]:
    def hook(value: Any, cls: Any) -> Any:
        gathered = _Gathered(cls)
        items = [
            (gathered.part(key, parse_key, key, at_key=True), gathered.part(key, parse_value, each))
            for key, each in _mapping(value, "write key: value").items()
        ]
        gathered.check()
        return dict(items)

    return hook


def _hooks(value: Any, converter: Any) -> tuple[Hook, ...]:
    """A command, a mapping of one command, or a list of these."""

    def one(each: Any) -> Hook:
        if isinstance(each, dict):
            return converter.structure(each, Hook)  # type: ignore[no-any-return]
        return Hook(command=scalars.text(each))

    if not isinstance(value, list):
        return (one(value),)
    return _list_hook(one)(value, Hook)  # type: ignore[no-any-return]


def _choice(what: str, registry: Mapping[str, type], converter: Any, value: Any) -> Choice:
    """`{kind: {its settings}}`."""
    example = f"write {{{next(iter(registry))}: {{}}}} with its settings in the inner braces"
    given = _mapping(value, example)
    if len(given) != 1:
        raise Wrong(f"{len(given)} kinds of {what} where one is wanted", example)
    kind, settings = next(iter(given.items()))
    gathered = _Gathered(Choice)
    if kind not in registry:
        wrong = Wrong(f"there is no {what} {shown(kind)}", did_you_mean(kind, registry), at_key=True)
        gathered.errors.append(_at(kind, wrong))
    else:
        settings = gathered.part(kind, partial(converter.structure, cl=registry[kind]), settings)
    gathered.check()
    return Choice(kind=str(kind), settings=settings)


class _Gathered:
    """Errors of the parts of one list or mapping, so that each is told and not the first alone."""

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self.errors: list[Exception] = []

    def part(self, step: Any, parse: Parse, value: Any, *, at_key: bool = False) -> Any:
        """What `parse` makes of a part; an error is kept with the step that leads to it."""
        from cattrs import BaseValidationError

        try:
            return parse(value)
        except (Wrong, BaseValidationError) as error:
            if isinstance(error, Wrong):
                error.at_key = error.at_key or at_key
            self.errors.append(_at(step, error))
            return None

    def check(self) -> None:
        """Raise what was kept."""
        from cattrs import IterableValidationError

        if self.errors:
            raise IterableValidationError("", self.errors, self.cls)


def _at(step: Any, error: Exception) -> Exception:
    from cattrs import IterableValidationNote

    error.add_note(IterableValidationNote("", step, None))
    return error


def _findings(error: Exception, path: tuple[Any, ...]) -> Iterator[Finding]:
    """Every error in a tree of them, with the steps that its notes name put together."""
    from cattrs import BaseValidationError

    if isinstance(error, Wrong):
        yield Finding(path, error.what, error.hint, error.at_key)
    elif isinstance(error, BaseValidationError):
        for each in error.exceptions:
            yield from _findings(each, path + _steps(each, error.cl))
    else:
        raise error


def _steps(error: Exception, cls: Any) -> tuple[Any, ...]:
    """The step that leads to an error within its parent: an index, a key, or a field by its key's name."""
    from cattrs import AttributeValidationNote, IterableValidationNote

    for note in getattr(error, "__notes__", ()):
        if isinstance(note, IterableValidationNote):
            return (note.index,)
        if isinstance(note, AttributeValidationNote):
            return (next(key.name for key in keys_of(cls).values() if key.field == note.name),)
    return ()
