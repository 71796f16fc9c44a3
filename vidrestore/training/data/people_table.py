"""The person in each picture of a folder of faces, from the text file `people.csv` next to the pictures.

One line for each face: `file,person`. Pictures of one person go to the same side of a split: a network that has seen a
person is not judged with another picture of them.
"""

import csv
from pathlib import Path, PurePosixPath
from typing import Final

from vidrestore.errors import InputError

PEOPLE_NAME: Final = "people.csv"
_HEADER: Final = ["file", "person"]


def read_people(path: Path) -> dict[str, str]:
    """Read a table: stem of the picture's file name -> the person, so that a set may be moved and converted.

    Raises:
        InputError: The table cannot be read, or a line is not what it should be.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}; write it again, or remove it to split by file") from error
    if not lines or lines[0] != _HEADER:
        found = ",".join(lines[0]) if lines else ""
        raise InputError(f"{path} begins with {found!r}; wanted the header {','.join(_HEADER)!r}")
    people: dict[str, str] = {}
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(_HEADER) or not all(line):
            raise InputError(f"{path}, line {number}, is {','.join(line)!r}; wanted a picture's file and a person")
        file_name, person = line
        if people.setdefault(PurePosixPath(file_name).stem, person) != person:
            raise InputError(f"{path}, line {number}, gives {file_name} a second person; leave one")
    return people
