"""Strict configuration: TOML files and `part.option=value` settings into frozen dataclasses.

Each part of the program owns the dataclass that configures it, a subclass of `Options` in the `config` module of its
package; nothing here knows any option. A field says its type, range and meaning once::

    @dataclass(frozen=True, slots=True)
    class CompositorConfig(Options):
        strength: Annotated[float, Field(ge=0, le=1, description="Blend weight of the restored face.")] = 1.0

From that come the check of every value, the messages, `vidrestore config` and the reference pages. The path of an
option is the same in `--set`, in TOML files, in manifests and in messages.
"""

import dataclasses
import difflib
import functools
import tomllib
import types
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import annotated_types
import pydantic
from pydantic.fields import FieldInfo

from vidrestore.errors import ConfigError
from vidrestore.former_options import FORMER_OPTIONS, FormerOptionWarning

C = TypeVar("C")

_NOTHING = "none"
"""Value for None in TOML and in `--set`, which have no null."""
_TYPE_NAMES: dict[object, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    Path: "a path",
    type(None): _NOTHING,
}


class OptionError(ConfigError):
    """A value that an option refuses; a caller that knows where the option's table lies puts that before its path."""

    def __init__(self, option: str, complaint: str = "") -> None:
        super().__init__(f"{option}{complaint}")
        self.option, self.complaint = option, complaint

    def within(self, where: str) -> "OptionError":
        """Return the same error, for an option of a table at `where`."""
        return OptionError(f"{where}.{self.option}", self.complaint) if where else self

    def __reduce__(self) -> tuple[type["OptionError"], tuple[str, str]]:
        return type(self), (self.option, self.complaint)


class Options:
    """Base of configuration dataclasses: every value is checked against its field's annotation at construction.

    Raises:
        ConfigError: a value is of another type or out of its range.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        for name, field in _fields(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, Options):
                continue
            _checked(name, field, value)
        self.check_together()

    def check_together(self) -> None:
        """Check what concerns several options; nothing here. Call `refuse` for an error."""

    def refuse(self, option: str, complaint: str) -> None:
        """Raise the error of one option, named by its path from here, such as `restore.lag`.

        Raises:
            ConfigError: always.
        """
        value: object = self
        for name in option.split("."):
            value = getattr(value, name)
        raise OptionError(option, f" is {_shown(value)}; {complaint}")


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One option of a configuration, as `walk` finds it."""

    path: str
    value: object
    kind: str
    """Its type in words, such as `a number` or `tcp or udp`."""
    bounds: str
    """Its range in words, such as `0 to 1`; empty where the type says it all."""
    description: str
    annotation: Any = dataclasses.field(repr=False)


def walk(config: object, where: str = "") -> Iterator[Option]:
    """Yield every option of a configuration, nested ones included, in the order of their definition.

    A part that is None by default (`part: Part | None`) is followed by the options of its default.
    """
    for name, field in _fields(type(config)).items():
        path = f"{where}.{name}" if where else name
        value = getattr(config, name)
        if dataclasses.is_dataclass(value):
            yield from walk(value, path)
            continue
        yield Option(path, value, kind_of(field.hint), bounds_of(field.hint), field.info.description or "", field.hint)
        part = _made(field.hint) if value is None else None
        if part is not None:
            yield from walk(part, path)


def parts(config: object, where: str = "") -> Iterator[tuple[str, type]]:
    """Yield path and class of every table of a configuration, itself first."""
    yield where, type(config)
    for name, field in _fields(type(config)).items():
        value = getattr(config, name)
        part = _made(field.hint) if value is None else value
        if dataclasses.is_dataclass(part):
            yield from parts(part, f"{where}.{name}" if where else name)


def update(config: C, values: Mapping[str, Any], *, where: str = "") -> C:
    """Return a copy of a frozen dataclass with some options changed, nested ones included.

    A table for a part that is absent (`part: Part | None`, None so far) makes that part. Former names of options are
    understood, with a warning.

    Args:
        config: an instance of a frozen dataclass.
        values: option -> value, or option -> mapping for a nested dataclass.
        where: dotted path of `config`, for messages.

    Raises:
        ConfigError: an unknown option, or a value of the wrong type or out of its range.
    """
    assert dataclasses.is_dataclass(config), f"{config!r} is not a dataclass"  # noqa: S101  a caller's bug
    fields = _fields(type(config))
    changes: dict[str, Any] = {}
    for name, value in _renamed(type(config), values, where).items():
        path = f"{where}.{name}" if where else name
        if name not in fields:
            raise ConfigError(_unknown(path, name, fields))
        current = getattr(config, name)
        if current is None and isinstance(value, Mapping):
            current = _made(fields[name].hint)  # a part that is absent by default comes to be with its first option
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                raise ConfigError(f"{path} is a table of options; got {value!r}, write {path}.OPTION=VALUE")
            changes[name] = update(current, value, where=path)
        else:
            try:
                changes[name] = _checked(name, fields[name], value)
            except OptionError as error:
                raise error.within(where) from None
    try:
        replaced: Any = dataclasses.replace(config, **changes)  # type: ignore[type-var]  # mypy: C is a dataclass
    except OptionError as error:
        raise error.within(where) from None
    return replaced  # type: ignore[no-any-return]


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Drop options that are None, and tables that are then empty: what a caller did not give stays as configured."""
    nested = {name: given(value) if isinstance(value, dict) else value for name, value in options.items()}
    return {name: value for name, value in nested.items() if value not in (None, {})}


def read_toml(config: C, path: Path) -> C:
    """Apply a TOML file to a configuration.

    Raises:
        ConfigError: the file is missing, is not TOML, or names an option that does not exist.
    """
    return update(config, toml_values(path))


def toml_values(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def apply_settings(config: C, settings: Iterable[str], *, where: str = "") -> C:
    """Apply settings such as `tracker.lookahead=8`; the value is read as TOML, and as plain text where it is none.

    Settings are applied one after the other; options that must agree are changed in an order in which they do. Messages
    name paths below `where`, which is that of `config`.

    Raises:
        ConfigError: a setting without `=`, or one that `update` refuses.
    """
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            raise ConfigError(f"setting {setting!r} is not of the form PART.OPTION=VALUE, such as tracker.lookahead=8")
        config = update(config, nested(key.strip(), _parse(text)), where=where)
    return config


def nested(path: str, value: object) -> dict[str, Any]:
    """Return a value at a dotted path as nested mappings."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return value  # type: ignore[return-value]  # a path has one name at least


def to_toml_value(value: object) -> str:
    """Format a value of an option as TOML, which `--set` takes too."""
    if value is None:
        return f'"{_NOTHING}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(to_toml_value, value))}]"
    if dataclasses.is_dataclass(value):
        pairs = ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
        return f"{{ {', '.join(f'{name} = {to_toml_value(one)}' for name, one in pairs if one is not None)} }}"
    escaped = str(value).replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in escaped) + '"'


def json_schema(config: object) -> dict[str, Any]:
    """Return the JSON Schema of a configuration, for editors of TOML files."""
    schema = pydantic.TypeAdapter(type(config)).json_schema()
    for table in (schema, *schema.get("$defs", {}).values()):
        if table.get("type") == "object":
            table["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def kind_of(hint: Any) -> str:  # noqa: ANN401, PLR0911  an annotation may be anything
    """Describe a type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return kind_of(arguments[0])
    if origin is Literal:
        return _or([str(one) for one in arguments])
    if origin in {Union, types.UnionType}:
        return _or([kind_of(one) for one in arguments])
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return f"a list of {kind_of(arguments[0]).removeprefix('a ').removeprefix('an ')}s"
        return "a pair [lowest, highest]" if len(arguments) == 2 else "a list"  # noqa: PLR2004  a pair
    if dataclasses.is_dataclass(hint):
        return "a table"
    return _TYPE_NAMES.get(hint, getattr(hint, "__name__", str(hint)))


def bounds_of(hint: Any) -> str:  # noqa: ANN401  an annotation may be anything
    """Describe the range of a number in words; empty where it has none."""
    low = high = ""
    closed = True
    for one in _constraints(hint):
        match one:
            case annotated_types.Ge(ge=bound):
                low = f"{bound:g}" if isinstance(bound, float) else str(bound)
            case annotated_types.Gt(gt=bound):
                low, closed = f"more than {bound}", False
            case annotated_types.Le(le=bound):
                high = f"{bound:g}" if isinstance(bound, float) else str(bound)
            case annotated_types.Lt(lt=bound):
                high, closed = f"less than {bound}", False
            case _:
                pass
    if low and high:
        return f"{low} to {high}" if closed else f"{low}, up to {high}" if "than" not in high else f"{low}, {high}"
    return f"{low} or more" if low and "than" not in low else low or (f"at most {high}" if closed and high else high)


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    hint: Any
    info: FieldInfo
    adapter: pydantic.TypeAdapter[Any]


def _fields(kind: Any) -> dict[str, _Field]:  # noqa: ANN401  mypy: not every class is hashable
    return _known_fields(kind)


@functools.cache
def _known_fields(kind: type) -> dict[str, _Field]:
    hints = get_type_hints(kind, include_extras=True)
    names = [field.name for field in dataclasses.fields(kind)]
    return {name: _Field(hints[name], _info(hints[name]), pydantic.TypeAdapter(hints[name])) for name in names}


def _info(hint: Any) -> FieldInfo:  # noqa: ANN401  an annotation may be anything
    found = [one for one in get_args(hint)[1:] if isinstance(one, FieldInfo)] if get_origin(hint) is Annotated else []
    return found[0] if found else FieldInfo()


def _constraints(hint: Any) -> list[object]:  # noqa: ANN401  an annotation may be anything
    return [one for info in get_args(hint)[1:] for one in getattr(info, "metadata", ())]


def _parse(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):  # the latter of a thousand brackets
        return text


def _made(hint: Any) -> Any:  # noqa: ANN401  an annotation may be anything
    """Make a part with its default options, where the annotation is `Part | None`; else None."""
    if get_origin(hint) is Annotated:
        return _made(get_args(hint)[0])
    found = [part for part in get_args(hint) if dataclasses.is_dataclass(part)]
    return found[0]() if len(found) == 1 and type(None) in get_args(hint) else None  # type: ignore[operator]


def _checked(name: str, field: _Field, value: object) -> object:
    if value == _NOTHING and _is_optional(field.hint):
        value = None
    try:
        return field.adapter.validate_python(value)
    except pydantic.ValidationError as error:
        raise OptionError(name, f" is {_shown(value)}; {_advice(field.hint, error)}") from None


def _advice(hint: Any, error: pydantic.ValidationError) -> str:  # noqa: ANN401  an annotation may be anything
    kind, bounds, first = kind_of(hint), bounds_of(hint), error.errors()[0]
    if first["loc"]:  # within a list, or of one of several types
        return f"use {kind}{f', {bounds}' * bool(bounds)} ({first['msg'][:1].lower()}{first['msg'][1:]})"
    if not bounds:
        return f"use {kind}"
    nothing = f" or {_NOTHING}" * _is_optional(hint)
    number = kind.removesuffix(nothing)
    ranged = first["type"].startswith(("greater", "less"))
    return f"use {bounds if ranged else f'{number}, {bounds}'}{',' * bool(nothing)}{nothing}"


def _is_optional(hint: Any) -> bool:  # noqa: ANN401  an annotation may be anything
    arguments = get_args(hint)
    if get_origin(hint) is Annotated:
        return _is_optional(arguments[0])
    return type(None) in arguments and get_origin(hint) in {Union, types.UnionType}


def _shown(value: object) -> str:
    return _NOTHING if value is None else repr(value)


def _or(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _unknown(path: str, name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"
    return f"unknown option {path}: {advice}"


def _renamed(kind: type, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Replace former names of options by today's; warn the user of each."""
    renamed = dict(values)
    for former, now in FORMER_OPTIONS.get(kind.__name__, {}).items():
        if former.partition(".")[0] in _fields(kind) and "." not in former:
            continue  # another class of this name, which has such an option
        value, renamed = _without(renamed, former.split("."))
        if value is _ABSENT:
            continue
        prefix = f"{where}." if where else ""
        warnings.warn(
            f"option {prefix}{former} is called {prefix}{now} now; the former name goes with the next release",
            FormerOptionWarning,
            stacklevel=2,
        )
        renamed = _merged(renamed, nested(now, value))
    return renamed


_ABSENT = object()


def _without(values: Mapping[str, Any], names: list[str]) -> tuple[Any, dict[str, Any]]:
    """Return the value at a path, and a copy of the values without it."""
    rest = dict(values)
    if names[0] not in rest:
        return _ABSENT, rest
    if len(names) == 1:
        return rest.pop(names[0]), rest
    if not isinstance(rest[names[0]], Mapping):
        return _ABSENT, rest
    value, inner = _without(rest[names[0]], names[1:])
    rest[names[0]] = inner
    if value is not _ABSENT and not inner:
        del rest[names[0]]
    return value, rest


def _merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for name, value in more.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
