"""The drawing of layers in the documentation is the import contract, which `make lint` checks against the code.

python tests/docs/test_architecture.py    # draws it again
"""

import ast
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "concepts" / "architecture.md"
START, STOP = "<!-- layers -->\n", "<!-- /layers -->\n"
WIDTH = 72


def layers() -> list[list[str]]:
    """Modules of each layer, the highest first; those of one layer do not import each other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = (one for one in contracts if one["type"] == "layers")
    return [[name.strip(" ()") for name in layer.replace(":", "|").split("|")] for layer in contract["layers"]]


def purpose(module: str) -> str:
    """First line of a module's docstring."""
    path = ROOT.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return (ast.get_docstring(ast.parse(source.read_text())) or "").partition("\n")[0]


def drawing() -> str:
    """A box with a row for each layer, and a table that says what each module is for."""
    border = "─" * (WIDTH + 2)
    rows = [
        "\n".join(f"│ {line:{WIDTH}} │" for line in textwrap.wrap("  ".join(map(short, layer)), WIDTH))
        for layer in layers()
    ]
    inside = f"\n├{border}┤\n".join(rows)
    table = "\n".join(f"| `{short(name)}` | {purpose(name)} |" for layer in layers() for name in layer)
    return f"```text\n┌{border}┐\n{inside}\n└{border}┘\n```\n\n| module | purpose |\n|---|---|\n{table}\n\n"


def short(module: str) -> str:
    return module.removeprefix("vidrestore.")


def split(text: str) -> tuple[str, str, str]:
    before, start, rest = text.partition(START)
    drawn, stop, after = rest.partition(STOP)
    assert start, f"{PAGE} lacks its markers"
    assert stop, f"{PAGE} lacks its markers"
    return before + start, drawn, stop + after


def test_the_drawing_of_layers_is_the_import_contract() -> None:
    _, drawn, _ = split(PAGE.read_text())
    assert drawn == drawing(), "draw it again: python tests/docs/test_architecture.py"


def test_every_layer_is_a_module_with_a_purpose() -> None:
    for layer in layers():
        for module in layer:
            assert purpose(module), module


if __name__ == "__main__":
    before, _, after = split(PAGE.read_text())
    PAGE.write_text(before + drawing() + after)
