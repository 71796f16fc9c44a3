"""What the pages say of files, messages, metrics and words is so."""

import ast
import re
import tomllib
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vidrestore.degradation.report import DegradeReport
from vidrestore.errors import VidrestoreError
from vidrestore.jobs.journal_schema import _ROWS, FORMAT
from vidrestore.jobs.report import JobReport, VideoReport
from vidrestore.live.status import StreamStatus
from vidrestore.report import RestoreReport
from vidrestore.server.prometheus import metrics_text
from vidrestore.server.service import Point, Service

ROOT = Path(__file__).parents[2]
ROOT_PAGES = [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "MODEL_CARD")]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#([^)]*))?\)")
MOST_README_WORDS = 1200


@pytest.mark.parametrize("page", [*ROOT_PAGES, *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    wrong = []
    for link, anchor in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        there = (page.parent / link).resolve() if link else page
        known = headings(there) if there.suffix == ".md" and there.exists() else set()
        if not there.exists() or (anchor and anchor not in known):
            wrong.append(f"{link}#{anchor}")
    assert not wrong, wrong


def headings(page: Path) -> set[str]:
    """Anchors, as the site makes them of headings."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", one).strip().lower()) for one in found}


@pytest.mark.parametrize("page", [*ROOT_PAGES, *PAGES], ids=lambda page: str(page.relative_to(ROOT)))
def test_files_of_the_repository_that_are_named_exist(page: Path) -> None:
    folders = "benchmarks|deploy|docs|examples|locks|pipelines|tests|vidrestore"
    named = re.findall(rf"`((?:{folders})/[\w./-]*)`", page.read_text())
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing, missing


def test_links_to_the_repository_lead_to_files() -> None:
    start = "https://github.com/vidrestore/vidrestore/blob/main/"
    for page in PAGES:
        for link, _ in LINK.findall(page.read_text()):
            assert not link.startswith(start) or (ROOT / link.removeprefix(start)).exists(), f"{page}: {link}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= MOST_README_WORDS


def test_the_readme_begins_with_what_makes_everything_from_nothing() -> None:
    text = (ROOT / "README.md").read_text()
    assert "$ make demo" in text
    assert "$ make test" in text


@cache
def texts_of_the_package() -> str:
    """Every text in the code, with `...` where values are put in."""
    found = []
    for path in sorted((ROOT / "vidrestore").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(re.sub(r"{\w*}", "...", node.value))
    return "\n".join(found)


OTHERS = {"AuthenticationError", "libGL.so.1: cannot open shared object file"}
"""Messages of Ray and of the system."""


def messages() -> list[str]:
    headings = re.findall(r"^### (.*)$", (ROOT / "docs" / "troubleshooting.md").read_text(), re.MULTILINE)
    found = [code for heading in headings for code in re.findall(r"`([^`]+)`", heading)]
    return [one for one in found if one not in OTHERS and not one.startswith(("ray ", "--"))]


@pytest.mark.parametrize("message", messages())
def test_messages_that_troubleshooting_explains_are_those_of_the_code(message: str) -> None:
    fragments = [part.strip(" ()") for part in re.split(r"\.\.\.|\bN\b", message) if part.strip(" ()")]
    missing = [part for part in fragments if part not in texts_of_the_package()]
    assert not missing, f"no message of the code says {missing[0]!r}"


def test_every_kind_of_error_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference" / "python.md").read_text()
    for kind in VidrestoreError.__subclasses__():
        if kind.__module__ == VidrestoreError.__module__:
            assert f"── {kind.__name__} " in text


def test_the_metrics_are_those_that_are_served() -> None:
    text = (ROOT / "docs" / "reference" / "prometheus.md").read_text().partition("## Batches")[0]
    rows = dict(re.findall(r"^\| `(vidrestore_\w+)` \| (gauge|counter|histogram) \|", text, re.MULTILINE))
    place: Any = SimpleNamespace(batches=dict)
    text_served = metrics_text(Service(place, ())).decode()
    served = dict(re.findall(r"^# TYPE (vidrestore_\w+?)(?:_total)? (\w+)$", text_served, re.MULTILINE))
    assert rows == served


@pytest.mark.parametrize(
    ("report", "page", "hidden"),
    [
        (RestoreReport, "report-json.md", set()),
        (JobReport, "report-json.md", set()),
        (VideoReport, "report-json.md", set()),
        (DegradeReport, "report-json.md", set()),
        (StreamStatus, "http-api.md", {"latency", "stages"}),
        (Point, "http-api.md", set()),
    ],
)
def test_every_key_of_a_report_is_explained(report: Any, page: str, hidden: set[str]) -> None:
    explained = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "reference" / page).read_text()))
    assert {field.name for field in fields(report)} - hidden <= explained


def test_every_kind_of_line_of_a_journal_is_explained() -> None:
    text = (ROOT / "docs" / "reference" / "journal-format.md").read_text()
    assert set(re.findall(r"^\| `(\w+_\w+)` \| ", text, re.MULTILINE)) == set(_ROWS)
    assert f'"format":{FORMAT}' in text


def test_the_navigation_has_every_page() -> None:
    named = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    assert named == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}


def test_the_extras_are_listed() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = set(re.findall(r"^\| `(\w+)` \| ", (ROOT / "docs" / "install.md").read_text(), re.MULTILINE))
    assert extras.keys() - {"image", "oracle"} <= listed
