"""`vidrestore train`: the generative prior and the restorer, in this process or on Ray workers."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from vidrestore.cli.options import Address, Config, Quiet, Settings, warn_former_flag
from vidrestore.cli.progress import ProgressBar, live_progress
from vidrestore.cli.terminal import fail, say
from vidrestore.config import apply_settings, given, read_toml, update
from vidrestore.errors import ConfigError, Interrupted, OutputError
from vidrestore.files import replace_bytes, replace_text
from vidrestore.models.devices import choose_device
from vidrestore.training.job import TrainingConfig, machine_of, train_prior, train_restorer
from vidrestore.training.loop.run import Checkpoints, OnLog
from vidrestore.training.recipes import training_preset

What = Literal["restorer", "prior"]
RECORD_FILE = "training.json"
_SHOWN_LOSSES = 5
"""Number of losses that a line of the terminal has room for; the log has them all."""


def train(
    faces: Annotated[Path, typer.Argument(help="Folder of aligned faces, as `build-faces` makes it.", metavar="FACES")],
    folder: Annotated[
        Path,
        typer.Option(
            "--out", help="Folder for log, checkpoints and weights; a training in it continues.", metavar="DIR"
        ),
    ],
    what: Annotated[str, typer.Option(metavar="restorer|prior", help="Network to train.")] = "restorer",
    recipe: Annotated[
        str,
        typer.Option(metavar="official|compact", help="Options to start from: the paper's, or the embedded model's."),
    ] = "official",
    preset: Annotated[str | None, typer.Option(hidden=True)] = None,
    config: Config = None,
    settings: Settings = None,
    prior: Annotated[
        Path | None, typer.Option(help="Trained prior, or a GFP-GAN whose decoder is taken.", metavar="FILE")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Folder of an earlier training whose weights to start from.", metavar="DIR")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", help="Steps in all; the learning-rate schedule ends there too.")
    ] = None,
    batch: Annotated[int | None, typer.Option(metavar="N", help="Faces per step, over all workers.")] = None,
    device: Annotated[str, typer.Option(help="Device: auto, cpu, cuda or cuda:N.")] = "auto",
    workers: Annotated[
        int, typer.Option(min=1, metavar="N", help="Number of processes; more than one run on Ray.")
    ] = 1,
    address: Address = None,
    quiet: Quiet = False,
) -> None:
    """Train GFP-GAN, or its generative prior, on a folder of aligned faces."""
    if preset is not None:
        warn_former_flag("--preset", "--recipe")
        recipe = preset
    network = _what(what)
    if network == "prior" and prior:
        raise ConfigError("--prior is for a restorer; to continue from a prior with --what prior, use --start DIR")
    resolved = _resolved(recipe, config, steps=steps, batch=batch, settings=settings or [])
    machine_of(resolved, "cpu", world=workers)  # raises, before anything is written, if they cannot share the batch
    files = {"faces": faces, "prior": prior, "start": start}
    try:
        with (
            _recorded(folder, network, resolved, files),
            live_progress("training", _show, quiet=quiet, total=resolved.run.steps) as on_bar,
        ):
            on_log = on_bar or (None if quiet else _line_of(resolved.run.steps))
            if workers > 1 or address:
                options = {"what": network, "prior": prior, "start": start, "workers": workers, "address": address}
                weights = _on_ray(resolved, faces, folder, **options, gpus_per_worker=_gpus(device), on_log=on_log)
            else:
                machine = machine_of(resolved, choose_device(device))
                if network == "prior":
                    weights = train_prior(resolved, faces, folder, machine, start=start, on_log=on_log)
                else:
                    weights = train_restorer(resolved, faces, folder, machine, prior=prior, start=start, on_log=on_log)
    except Interrupted:
        fail(_farewell(folder))
    if not quiet:
        say(str(weights))


def _what(text: str) -> What:
    if text not in get_args(What):
        raise ConfigError(f"--what is {text!r}; take one of {', '.join(get_args(What))}")
    return text  # type: ignore[return-value]  # mypy does not follow get_args


def _resolved(
    recipe: str, file: Path | None, *, steps: int | None, batch: int | None, settings: list[str]
) -> TrainingConfig:
    config = training_preset(recipe)
    if file:
        config = read_toml(config, file)
    chosen = {"run": {"steps": steps}, "restorer": {"schedule": {"steps": steps}}, "batch": batch}
    return apply_settings(update(config, given(chosen)), settings)


def _on_ray(config: TrainingConfig, faces: Path, folder: Path, **options: Any) -> Path:  # noqa: ANN401  they are checked there
    try:
        from vidrestore.runtime.ray.training import train_on_ray  # noqa: PLC0415  Ray Train is slow to import
    except ImportError as error:
        raise ConfigError(
            f"training on Ray needs {error.name or 'more packages'}; install it with: pip install 'vidrestore[train]'"
        ) from error
    return train_on_ray(config, faces, folder, **options)


def _gpus(device: str) -> float | None:
    """Return the number of GPUs for each worker; None leaves it to what the cluster has."""
    known = {"auto": None, "cpu": 0.0, "cuda": 1.0}
    if device not in known:
        raise ConfigError(f"device is {device!r}, but Ray chooses the GPU; use auto, cpu or cuda")
    return known[device]


@contextmanager
def _recorded(folder: Path, what: What, config: TrainingConfig, paths: Mapping[str, Path | None]) -> Iterator[None]:
    """Record what was resolved; if no new checkpoint is made next to old ones, the old record is put back."""
    path = folder / RECORD_FILE
    record = {
        "what": what,
        **{name: value and str(value.resolve()) for name, value in paths.items()},
        "config": _plain(asdict(config)),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        before = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror}") from error
    states = _states(folder)
    replace_text(path, json.dumps(record, indent=2) + "\n")
    try:
        yield
    except BaseException:
        if states and _states(folder) == states:
            if before is None:
                path.unlink()
            else:
                replace_bytes(path, before)
        raise


def _states(folder: Path) -> list[Path]:
    return Checkpoints(folder, keep=1).paths()


def _plain(value: Any) -> Any:  # noqa: ANN401  JSON is made of anything
    """Convert to JSON's types, which know neither tuples nor infinity; `config.update` reads it back."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _farewell(folder: Path) -> str:
    kept = _states(folder)
    if not kept:
        return f"interrupted before the first checkpoint; the same command starts over in {folder}"
    step = int(kept[-1].stem.removeprefix("state-"))
    return f"interrupted; the checkpoint of step {step} in {folder} is kept, and the same command continues from there"


def _show(bar: ProgressBar, step: int, values: Mapping[str, float]) -> None:
    bar.show(step, None, f"step {step}  {_shown(values)}")


def _line_of(steps: int) -> OnLog:
    """Return a callback that prints a line for every line of the log, where the output is kept."""
    return lambda step, values: say(f"step {step} of {steps}: {_shown(values)}")


def _shown(values: Mapping[str, float]) -> str:
    rate = values.get("images_per_second")
    losses = {name: value for name, value in values.items() if value and not name.startswith("images")}
    total = losses.pop("total", None)
    chosen = ({} if total is None else {"total": total}) | dict(list(losses.items())[:_SHOWN_LOSSES])
    text = "  ".join(f"{name.removeprefix('evaluation/')} {value:.3g}" for name, value in chosen.items())
    return text if rate is None else f"{text}  {rate:.3g} images/s"
