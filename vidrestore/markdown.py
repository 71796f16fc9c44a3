"""Tables of text cells, and pages of them in Markdown."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vidrestore.printable import printable

_MARKUP = re.compile(r"([\\`*\[\]<>|&~]|(?<!\w)_|_(?!\w))")
"""Characters that could begin or end something; an underscore inside a word does not."""


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text, for a terminal or a page; the first column names the row."""

    title: str
    head: tuple[str, ...]
    body: tuple[tuple[str, ...], ...]


def cell(value: float | None, digits: int) -> str:
    """Return a figure as a cell; a dash for None, which was not measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def markdown_page(title: str, setting: str, tables: Iterable[Table], notes: Iterable[str]) -> str:
    """Format a page: title and setting, which may be foreign text, the tables, and notes in Markdown as a list."""
    parts = [f"# {markdown_text(title)}", markdown_text(setting)]
    parts += [f"## {table.title}\n\n{markdown_table(table.head, table.body)}" for table in tables]
    return "\n\n".join([*parts, "\n".join(f"- {note}" for note in notes)]) + "\n"


def markdown_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Format cells as a table, a line for each row, without a last newline.

    The first column, to the left, holds names, which may be foreign text; the others, to the right, are our own.
    """
    rule = (":--", *("--:" for _ in head[1:]))
    named = ([markdown_text(name), *cells] for name, *cells in body)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *named))


def markdown_text(text: str) -> str:
    """Return foreign text, such as the name of a file, in one line that shows it and does nothing else."""
    return _MARKUP.sub(r"\\\1", printable(text))
