"""Every command, option, setting and file of the documentation exists: blocks are parsed by what would run them."""

import ast
import dataclasses
import importlib
import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from ray.scripts.scripts import cli as ray_command

import vidrestore
from vidrestore.cli import app
from vidrestore.config import apply_settings, update
from vidrestore.degradation.video import DegradeConfig
from vidrestore.errors import ConfigError
from vidrestore.evaluation.videos.config import ComparisonConfig
from vidrestore.jobs.config import BatchConfig, JobConfig
from vidrestore.live.config import StreamConfig
from vidrestore.restoration.config import RestoreConfig
from vidrestore.server.settings import ServiceConfig, read_settings
from vidrestore.training.recipes import training_preset

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [*(ROOT / "docs").rglob("*.md")] + [ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "MODEL_CARD")]
)
FENCE = re.compile(r"^( *)```(\w*)(?: title=\"([^\"]*)\")?\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
SEPARATORS = {"&&", "||", "|", ";", "(", ")", "&"}
OTHER_PROGRAMS = {
    *("apt-get", "cd", "curl", "docker", "export", "git", "kubectl", "ls", "openssl", "pre-commit", "ssh", "torchrun"),
    *("umask", "."),
}
"""Programs whose arguments are not checked here."""
CONFIGS: dict[str, Callable[[], Any]] = {
    "restore": JobConfig,
    "batch": BatchConfig,
    "stream": StreamConfig,
    "degrade": DegradeConfig,
    "metrics": ComparisonConfig,
    "train": lambda: training_preset("official"),
    "pipelines.cluster_batch": BatchConfig,
    "pipelines.live_bench": StreamConfig,
}
"""What `--set` of a command reaches."""


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    title: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


@cache
def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match[2], match[3] or "", match[4])
        for match in FENCE.finditer(text)
    ]


def all_blocks(language: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language == language]


def lines_of(block: Block) -> Iterator[str]:
    """Command lines, with their continuations; what a command prints is left out."""
    joined = block.text.replace("\\\n", " ")
    for line in joined.splitlines():
        if line.strip().startswith("$ "):
            yield line.strip()[2:]


def commands(line: str) -> Iterator[list[str]]:
    """Simple commands of a shell's line, without variables and redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    tokens = iter(lexer)
    for token in tokens:
        if token in SEPARATORS:
            if words:
                yield words
            words = []
        elif token in {">", "<", ">>"}:
            next(tokens)
        elif words or not re.match(r"\w+=", token):
            words.append(token)
    if words:
        yield words


def check(words: list[str]) -> None:
    """Raise where a command could not run.

    Raises:
        AssertionError: with the reason.
    """
    program, *arguments = words
    known: dict[str, Callable[[list[str]], None]] = {
        "vidrestore": check_vidrestore,
        "python": check_python,
        "python3": check_python,
        "pip": check_pip,
        "make": check_make,
        "ray": check_ray,
    }
    if program in known:
        known[program](arguments)
        return
    assert program in OTHER_PROGRAMS, f"{program} is unknown; is it a program?"
    if arguments[:1] == ["run"] and "vidrestore" in arguments:
        check_vidrestore(arguments[len(arguments) - arguments[::-1].index("vidrestore") :])


def check_vidrestore(arguments: list[str]) -> None:
    if arguments == ["--version"]:
        return
    command: Any = typer.main.get_command(app)
    name, values = parsed(command, "vidrestore", arguments)
    check_settings(name, values.get("settings"))


def parsed(command: Any, name: str, arguments: list[str], parent: Any = None) -> tuple[str, dict[str, Any]]:
    """Name and values of the innermost command, without running it."""
    try:
        context = command.make_context(name, list(arguments), parent=parent)
        if not hasattr(command, "resolve_command"):
            check_current(command, arguments)
            return name, context.params
        rest = [*context._protected_args, *context.args]
        assert rest[0] in command.list_commands(context), f"{rest[0]} is a former name"
        found, inner, rest = command.resolve_command(context, rest)
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(f"{name} {shlex.join(arguments)}: {getattr(error, 'message', error)}") from error
    return parsed(inner, found, rest, context)


def check_current(command: Any, arguments: list[str]) -> None:
    """No option of them is one that is understood for one more release only."""
    former = {name for one in command.params if getattr(one, "hidden", False) for name in one.opts}
    assert not former & set(arguments), f"{command.name} has other names for {former & set(arguments)}"


def check_settings(name: str, settings: Any) -> None:
    if not settings or name not in CONFIGS:
        return
    try:
        apply_settings(CONFIGS[name](), settings)
    except ConfigError as error:
        if "is no file" not in error.message:
            raise AssertionError(f"{name}: {error.message}") from error


def check_python(arguments: list[str]) -> None:
    if arguments[0] == "-m" and arguments[1].startswith("pipelines."):
        program = typer.Typer(add_completion=False)
        program.command()(importlib.import_module(arguments[1]).main)
        _, values = parsed(typer.main.get_command(program), arguments[1], arguments[2:])
        check_settings(arguments[1], values.get("settings"))
    elif arguments[0] == "-m":
        assert arguments[1] in {"venv", "pytest"}, arguments
        for path in (one for one in arguments[2:] if one.startswith("tests/")):
            assert (ROOT / path).exists(), path
    elif arguments[0] == "-c":
        compile(arguments[1], "-c", "exec")
    else:
        assert (ROOT / arguments[0]).is_file(), f"{arguments[0]} does not exist"


def check_pip(arguments: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, value in itertools.pairwise(arguments):
        if name in {"--requirement", "-r"}:
            assert (ROOT / value).is_file(), f"{value} does not exist"
    for extras in re.findall(r"(?:\.|vidrestore)\[([^\]]*)\]", " ".join(arguments)):
        assert set(extras.split(",")) <= project["optional-dependencies"].keys(), extras


def check_make(arguments: list[str]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = {one for one in arguments if "=" not in one}
    assert wanted <= targets, f"Makefile has no {', '.join(sorted(wanted - targets))}"


def check_ray(arguments: list[str]) -> None:
    _, values = parsed(ray_command, "ray", arguments)
    if values.get("entrypoint"):
        check(list(values["entrypoint"]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_could_run(page: Path) -> None:
    problems = []
    for block in (one for one in blocks(page) if one.language == "console"):
        for line in lines_of(block):
            for words in commands(line):
                try:
                    check(words)
                except AssertionError as error:
                    problems.append(f"{block}: {shlex.join(words)}\n    {error}")
    assert not problems, "\n".join(problems)


def test_commands_of_the_files_for_clusters_could_run() -> None:
    for path in [*(ROOT / "deploy").iterdir(), ROOT / "Dockerfile"]:
        comment = "\n".join(re.findall(r"^#   (.*)$", path.read_text(), re.MULTILINE)).replace("\\\n", " ")
        for line in comment.splitlines():
            for words in commands(line):
                check(words)


def known_option(path: str) -> bool:
    """Whether some command's configuration has an option or a part of this name."""
    configs = [*(type(make()) for make in CONFIGS.values()), ServiceConfig, RestoreConfig]
    return any(has_option(config, path.split(".")) for config in configs)


def has_option(config: Any, names: list[str]) -> bool:
    for name in names:
        parts = [part for part in (config, *get_args(config)) if dataclasses.is_dataclass(part)]
        hints = get_type_hints(parts[0]) if parts else {}
        if name not in hints:
            return False
        config = hints[name]
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_option_in_the_text_exists(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    if "<!-- Generated by " in text:
        pytest.skip("made from the options themselves; it lists former names, too")
    told = CODE.findall(text)
    paths = [setting.partition("=")[0] for code in told for setting in re.findall(r"--set '?([\w.]+=)", code)]
    parts = r"(?:restore|source|sink|output|ladder|ray|web|restorer)"
    paths += [code.partition(" = ")[0] for code in told if re.fullmatch(parts + r"\.[a-z_.]+(?: = \w+)?", code)]
    files = {path for path in paths if path.endswith((".toml", ".json"))}
    wrong = [path for path in paths if path not in files | {"PART.OPTION"} and not known_option(path)]
    assert not wrong, f"no command has {', '.join(wrong)}"


@pytest.mark.parametrize("block", all_blocks("toml"), ids=str)
def test_every_configuration_file_is_valid(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORCH_PASSWORD", "x")
    if block.title == "streams.toml":
        path = tmp_path / block.title
        path.write_text(block.text)
        assert read_settings(path).streams
    else:
        assert block.title == "restore.toml", f"{block}: give it the title of what reads it"
        update(JobConfig(), tomllib.loads(block.text))


@pytest.mark.parametrize("block", all_blocks("csv"), ids=str)
def test_every_column_of_a_manifest_is_an_option(block: Block) -> None:
    columns = block.text.partition("\n")[0].split(",")
    assert columns[:2] == ["source", "destination"]
    for column in columns[2:]:
        assert has_option(JobConfig, column.split(".")), column


@pytest.mark.parametrize("block", all_blocks("python"), ids=str)
def test_python_uses_public_names(block: Block) -> None:
    tree = ast.parse(block.text)
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "vr"
    }
    public = set(vidrestore.__all__)
    assert used <= public, f"{block}: vidrestore has no {', '.join(sorted(used - public))}"


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_quickstart_runs_as_it_stands(tmp_path: Path) -> None:
    """The demonstration comes first, as `make demo` runs it; the installation is what runs this test."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    lines = ["vidrestore demo demo-output"]
    lines += [
        line for one in blocks(ROOT / "docs" / "quickstart.md") if one.language == "console" for line in lines_of(one)
    ]
    for line in (one for one in lines if one.startswith("vidrestore ")):
        done = subprocess.run(
            shlex.split(line), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
