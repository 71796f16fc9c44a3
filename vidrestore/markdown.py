"""Tables in Markdown."""

import re
from collections.abc import Iterable, Sequence

from vidrestore.printable import printable

_MARKUP = re.compile(r"([\\`*\[\]<>|&~]|(?<!\w)_|_(?!\w))")
"""Characters that could begin or end something; an underscore inside a word does not."""


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
