"""Reports as JSON, and back: dataclasses of plain values, nested ones included."""

import json
import math
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from vidrestore.errors import InputError

T = TypeVar("T")


def to_json(report: object) -> str:
    """Serialise a dataclass as indented JSON in ASCII; numbers that are not finite become null.

    Every string comes back exactly, names of files that are not UTF-8 included, and none acts on a terminal.
    """
    return json.dumps(_finite(TypeAdapter(type(report)).dump_python(report, mode="json")), indent=2) + "\n"


def from_json(kind: type[T], text: str, *, what: str) -> T:
    """Read the JSON that `to_json` wrote of a dataclass.

    Args:
        kind: the dataclass.
        text: the JSON.
        what: name of the expected content, for the message.

    Raises:
        InputError: the text is something else.
    """
    try:
        # pydantic's own reader refuses the surrogates that stand for bytes of names that are not UTF-8
        return TypeAdapter(kind).validate_python(json.loads(text))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"this is not the JSON of {what}: text: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"this is not the JSON of {what}: {where or 'text'}: {first['msg']}") from error


def _finite(value: Any) -> Any:  # noqa: ANN401  JSON is made of anything
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
