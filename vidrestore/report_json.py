"""Reports as JSON, and back: dataclasses of plain values, nested ones included."""

from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from vidrestore.errors import InputError

T = TypeVar("T")


def to_json(report: object) -> str:
    """A dataclass as indented JSON; numbers that are not finite become null."""
    return TypeAdapter(type(report)).dump_json(report, indent=2).decode() + "\n"


def from_json(kind: type[T], text: str, *, what: str) -> T:
    """Read what `to_json` wrote of a dataclass.

    Args:
        kind: the dataclass.
        text: the JSON.
        what: of what it should be, for the message.

    Raises:
        InputError: the text is something else.
    """
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"this is not the JSON of {what}: {where or 'text'}: {first['msg']}") from error
