"""No file is opened by name without the demuxers that may open one: the next `av.open` cannot forget them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import vidrestore

PACKAGE = Path(vidrestore.__file__).parent
ELSEWHERE = {
    "live/source.py": "opens cameras, with the options of each kind of address",
    "benchmark/live_peers.py": "is the viewer of an address that the benchmark itself serves",
}
"""Modules that open what is no file; each has tests of its own for what it allows."""


def openings(module: Path) -> Iterator[ast.Call]:
    """Calls of `av.open` for reading."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"av.open", "av.container.open"}:
            modes = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
            if not any(isinstance(mode, ast.Constant) and mode.value == "w" for mode in modes):
                yield node


def is_safe(call: ast.Call, module: Path) -> bool:
    """Whether an opening is confined to the allowed demuxers, or reads memory in a container that is named."""
    options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    source = module.read_text(encoding="utf-8")
    if "FILE_OPTIONS" in source and options.get("options") in {"options", "FILE_OPTIONS", "dict(FILE_OPTIONS)"}:
        return True
    in_memory = "BytesIO" in ast.unparse(call.args[0]) or "io.BytesIO" in source
    return in_memory and ("format" in options or "format_whitelist" in source)


def test_every_opening_for_reading_names_what_may_open() -> None:
    found = [(module, call) for module in PACKAGE.rglob("*.py") for call in openings(module)]
    assert any(module.name == "opening.py" for module, _ in found)
    unsafe = [
        f"{module.relative_to(PACKAGE)}:{call.lineno}: {ast.unparse(call)}"
        for module, call in found
        if str(module.relative_to(PACKAGE)) not in ELSEWHERE and not is_safe(call, module)
    ]
    assert unsafe == [], "use video.opening.open_source"


def test_nothing_else_opens_videos() -> None:
    """OpenCV's reader has FFmpeg of its own, which knows no list of demuxers."""
    names = {"VideoCapture"}
    found = [
        f"{module.relative_to(PACKAGE)}:{node.lineno}"
        for module in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "cv2"
    ]
    assert found == []
