"""Strict configuration: TOML files and `part.option=value` settings into frozen dataclasses.

Each part of the program owns the dataclass that configures it; nothing here knows any option. Unknown keys are
refused with the nearest known one, and values are checked against the annotation.
"""

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import pydantic

from vidrestore.errors import ConfigError

C = TypeVar("C")


def update(config: C, values: Mapping[str, Any], *, where: str = "") -> C:
    """Return a copy of a frozen dataclass with some options changed, nested ones included.

    A table for a part that is absent (`part: Part | None`, None so far) makes that part.

    Args:
        config: an instance of a frozen dataclass.
        values: option -> value, or option -> mapping for a nested dataclass.
        where: dotted path of `config`, for messages.

    Raises:
        ConfigError: an unknown option, or a value of the wrong type or out of its range.
    """
    assert dataclasses.is_dataclass(config), f"{config!r} is not a dataclass"  # noqa: S101  a caller's bug
    hints = get_type_hints(type(config))
    changes: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{where}.{name}" if where else name
        if name not in hints:
            raise ConfigError(_unknown(path, name, hints))
        current = getattr(config, name)
        if current is None and isinstance(value, Mapping):
            current = _made(hints[name])  # a part that is absent by default comes to be with its first option
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                message = f"{path} is a table of options; got {value!r}, write {path}.OPTION=VALUE"
                raise ConfigError(message)
            changes[name] = update(current, value, where=path)
        else:
            changes[name] = _checked(path, hints[name], value)
    replaced: Any = dataclasses.replace(config, **changes)  # type: ignore[type-var]  # mypy: C is a dataclass
    return replaced  # type: ignore[no-any-return]


def read_toml(config: C, path: Path) -> C:
    """Apply a TOML file to a configuration.

    Raises:
        ConfigError: the file is missing, is not TOML, or names what does not exist.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read the configuration {path}: {error.strerror}"
        raise ConfigError(message) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        message = f"{path} is not valid TOML: {error}"
        raise ConfigError(message) from error
    return update(config, values)


def apply_settings(config: C, settings: Iterable[str]) -> C:
    """Apply settings such as `tracker.lookahead=8`; the value is read as TOML, and as plain text where it is none.

    Raises:
        ConfigError: a setting without `=`, or one that `update` refuses.
    """
    for setting in settings:
        key, separator, text = setting.partition("=")
        if not separator or not key:
            message = f"setting {setting!r} is not of the form PART.OPTION=VALUE, such as tracker.lookahead=8"
            raise ConfigError(message)
        value: Any = _parse(text)
        for name in reversed(key.strip().split(".")):
            value = {name: value}
        config = update(config, value)
    return config


def _parse(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):  # the latter of a thousand brackets
        return text


def _made(hint: Any) -> Any:  # noqa: ANN401  an annotation may be anything
    """A part with its default options, where the annotation is `Part | None`; else None."""
    parts = [part for part in get_args(hint) if dataclasses.is_dataclass(part)]
    return parts[0]() if len(parts) == 1 else None  # type: ignore[operator]  # mypy: it may be an instance


def _checked(path: str, hint: Any, value: object) -> object:  # noqa: ANN401  an annotation may be anything
    try:
        return pydantic.TypeAdapter(hint).validate_python(value)
    except pydantic.ValidationError as error:
        reason = error.errors()[0]["msg"]
        message = f"{path}={value!r} does not fit: {reason}"
        raise ConfigError(message) from error


def _unknown(path: str, name: str, hints: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, hints, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(hints))}"
    return f"unknown option {path}: {advice}"
