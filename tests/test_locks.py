"""The locks hold every package that is installed, with hashes, and nothing of the place where they were made."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
LOCKED = re.compile(r"^([a-z0-9.-]+)==([^ ;\\]+).*\n((?:    --hash=sha256:[0-9a-f]{64}.*\n)*)", re.MULTILINE)
UNHASHED = re.compile(r"torch|torchvision|triton|nvidia-.*|cuda-.*")


def locked(extra: str) -> dict[str, Version]:
    found = LOCKED.findall((ROOT / "locks" / f"{extra}.txt").read_text())
    return {name: Version(version) for name, version, _ in found}


def requirements(extra: str) -> list[Requirement]:
    """Of the package with an extra, and the extras that it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted, found = [extra], list(project["dependencies"])
    while wanted:
        for text in project["optional-dependencies"][wanted.pop()]:
            own = text.startswith("vidrestore[")
            (wanted if own else found).extend(Requirement(text).extras if own else [text])
    return [Requirement(text) for text in found]


@pytest.mark.parametrize("extra", ["dev", "demo", "image"])
def test_every_requirement_is_locked_within_its_bounds(extra: str) -> None:
    pinned = {line.partition("==")[0]: Version(line.partition("==")[2]) for line in torch_pins()} | locked(extra)
    for one in requirements(extra):
        assert pinned[canonicalize_name(one.name)] in one.specifier, one


def test_what_builds_the_documentation_is_locked() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for one in map(Requirement, groups["docs"]):
        assert locked("docs")[canonicalize_name(one.name)] in one.specifier, one


@pytest.mark.parametrize(("extra", "least"), [("dev", 60), ("demo", 60), ("image", 60), ("docs", 20)])
def test_every_line_has_hashes_and_names_no_place(extra: str, least: int) -> None:
    text = (ROOT / "locks" / f"{extra}.txt").read_text()
    assert "://" not in text
    assert len(LOCKED.findall(text)) == len(re.findall(r"^[a-z]", text, re.MULTILINE)) > least
    for name, _, hashes in LOCKED.findall(text):
        assert hashes, name
        assert not UNHASHED.fullmatch(name), f"{name} comes with PyTorch: add it to no-emit-package in pyproject.toml"


def test_all_locks_agree() -> None:
    everything = locked("dev")
    for extra in ("demo", "image"):
        assert locked(extra).items() <= everything.items()


def torch_pins() -> list[str]:
    lines = (ROOT / "locks" / "torch.in").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
