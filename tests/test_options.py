"""Options: one path each, in `--set`, TOML and messages; former names; what loads to name them."""

import pickle
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import annotated_types
import pytest

from vidrestore import config as module
from vidrestore.cli.config import toml_lines
from vidrestore.cli.lazy import COMMANDS, FORMER_COMMANDS
from vidrestore.config import OptionError, apply_settings, json_schema, nested, to_toml_value, update, walk
from vidrestore.degradation.video import DegradeConfig
from vidrestore.errors import ConfigError
from vidrestore.former_options import FORMER_OPTIONS, FormerOptionWarning
from vidrestore.jobs.config import BatchConfig, JobConfig
from vidrestore.live.config import StreamConfig
from vidrestore.training.job import TrainingConfig

Run = Callable[..., tuple[int, str, str]]
HEAVY = {"torch", "torchvision", "av", "ray", "cv2", "scipy", "numpy", "pydantic", "fsspec", "scenedetect", "requests"}
ROOTS = [JobConfig(), BatchConfig(), StreamConfig()]


def loaded_by(code: str) -> set[str]:
    found = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return HEAVY & set(found.stdout.split())


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["--nonsense"]])
def test_what_needs_no_command_loads_none(arguments: list[str]) -> None:
    code = (
        f"import sys; sys.argv = ['vidrestore', *{arguments}]\nfrom vidrestore.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert loaded_by(code) == set()


def test_the_package_alone_loads_nothing_and_changes_nothing() -> None:
    assert (
        loaded_by("import os; before = dict(os.environ)\nimport vidrestore\nassert dict(os.environ) == before") == set()
    )


def test_options_are_there_without_the_networks() -> None:
    loaded = loaded_by("import vidrestore.jobs.config, vidrestore.live.config")
    assert loaded <= {"numpy", "pydantic"}


def test_the_list_of_commands_says_what_each_says_itself() -> None:
    for name, lazy in COMMANDS.items():
        assert lazy.load(name).help.partition("\n")[0] == lazy.summary, name


def out_of_range(hint: Any) -> list[object]:
    wrong: list[object] = []
    for one in module._constraints(hint):
        match one:
            case annotated_types.Ge(ge=bound):
                wrong.append(bound - 1)
            case annotated_types.Gt(gt=bound):
                wrong.append(bound)
            case annotated_types.Le(le=bound):
                wrong.append(bound + 1)
            case annotated_types.Lt(lt=bound):
                wrong.append(bound)
    return wrong


RANGED = [(root, option) for root in ROOTS for option in walk(root) if out_of_range(option.annotation)]


@pytest.mark.parametrize(("root", "option"), RANGED, ids=lambda one: getattr(one, "path", type(one).__name__))
def test_a_value_out_of_range_is_refused_under_the_path_that_is_set(root: object, option: module.Option) -> None:
    for value in (*out_of_range(option.annotation), "many"):
        with pytest.raises(ConfigError) as refused:
            apply_settings(root, [f"{option.path}={to_toml_value(value)}"])
        path = refused.value.message.partition(" is ")[0]
        assert path == option.path
        assert apply_settings(root, [f"{path}={to_toml_value(option.value)}"]) == root
        assert len(refused.value.message) < 300, "a message does not show a whole configuration"


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("restore.selection.full_yaw=90", "restore.selection.full_yaw"),
        ("restore.tracker.history=5", "restore.tracker.history"),
        ("restore.occlusion.seen=0.1", "restore.occlusion.hidden"),
    ],
)
def test_options_that_disagree_are_named_by_their_paths(setting: str, path: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{path} is ")):
        apply_settings(JobConfig(), [setting])


def test_a_bad_value_is_refused_in_python_too() -> None:
    with pytest.raises(ConfigError, match="retries is -1; use 0 or more") as refused:
        JobConfig(retries=-1)
    again = pickle.loads(pickle.dumps(refused.value))  # noqa: S301  our own
    assert isinstance(again, OptionError)
    assert again.message == refused.value.message


def test_every_number_has_a_description() -> None:
    assert [one.path for root in ROOTS for one in walk(root) if not one.description] == []


@pytest.mark.parametrize("root", [*ROOTS, DegradeConfig()], ids=lambda one: type(one).__name__)
def test_what_is_shown_is_a_configuration_file(root: object) -> None:
    assert update(root, tomllib.loads("\n".join(toml_lines(root)))) == root
    changed = apply_settings(JobConfig(), ["restore.lag=3"])
    assert update(JobConfig(), tomllib.loads("\n".join(toml_lines(changed)))) == changed


def test_the_schema_knows_every_option_and_no_other() -> None:
    schema = json_schema(BatchConfig())
    strength = schema["$defs"]["CompositorConfig"]["properties"]["strength"]
    assert (strength["minimum"], strength["maximum"]) == (0, 1)
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("kind", "former", "now"),
    [(kind, old, new) for kind, names in FORMER_OPTIONS.items() for old, new in names.items()],
)
def test_former_names_of_options_are_understood_with_a_warning(kind: str, former: str, now: str) -> None:
    roots = [*ROOTS, DegradeConfig(), TrainingConfig()]
    found = [(path, root) for root in roots for path, one in module.parts(root) if one.__name__ == kind]
    assert found, f"no command has a {kind}"
    path, root = found[0]
    full = f"{path}.{now}" if path else now
    values = {one.path: one.value for one in walk(root)}
    value: object = values.get(full, {})
    with pytest.warns(FormerOptionWarning, match=f"option {path}.*{former} is called .*{now} now"):
        changed = update(root, nested(f"{path}.{former}" if path else former, value))
    assert changed == root


@pytest.mark.parametrize(("former", "now"), FORMER_COMMANDS.items())
def test_former_names_of_commands_are_understood_with_a_warning(run: Run, former: str, now: str) -> None:
    code, out, err = run(former, "--help")
    assert code == 0
    assert f"the command {former} is called {now} now" in " ".join(err.split())
    assert "Usage" in out


@pytest.mark.filterwarnings("default::vidrestore.former_options.FormerOptionWarning")
def test_a_former_option_is_a_warning_of_one_line(run: Run, tmp_path: Path) -> None:
    code, _, err = run("restore", tmp_path / "none.mp4", tmp_path / "x.mp4", "--set", "restore.look.interval_seconds=0")
    assert code == 1
    assert "warning: option restore.look is called restore.detection now" in " ".join(err.split())


def test_a_stream_has_no_options_that_it_does_not_use() -> None:
    with pytest.raises(ConfigError, match=r"unknown option restore\.encode"):
        apply_settings(StreamConfig(), ["restore.encode.crf=20"])


def test_show_explain_and_schema(run: Run) -> None:
    code, out, err = run("config", "show", "--set", "restore.compositor.strength=0.5")
    assert (code, err) == (0, "")
    assert tomllib.loads(out)["restore"]["compositor"]["strength"] == 0.5
    code, out, _ = run("config", "explain", "restore.compositor.strength", "--for", "restore")
    assert code == 0
    assert "0 to 1. Default: 1.0" in out
    code, _, err = run("config", "explain", "strength")
    assert code == 1
    assert "did you mean 'restore.compositor.strength'" in err
    assert run("config", "schema", "--for", "stream")[0] == 0


def test_the_reference_pages_are_up_to_date() -> None:
    from vidrestore.cli.reference import pages  # noqa: PLC0415  it loads every command

    folder = Path(__file__).parent.parent / "docs" / "reference"
    for name, text in pages().items():
        assert (folder / name).read_text(encoding="utf-8") == text, (
            f"{name} is stale; run python -m vidrestore.cli.reference docs/reference"
        )
