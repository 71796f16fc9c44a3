"""One training from a folder of faces to a file of weights, for the command, the recipes and every Ray worker."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, distributed, nn

from vidrestore.config import Options
from vidrestore.errors import ConfigError, ModelError
from vidrestore.models.checkpoint import load_gfpgan, load_restorer, load_state_dict, save_safetensors
from vidrestore.models.devices import choose_device
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.identity import load_identity
from vidrestore.models.light import LightConfig
from vidrestore.models.perceptual import MobileNetV2Features, PerceptualFeatures, VGG19Features
from vidrestore.training.data.dataset import FaceBatches, FaceFolder, open_face_folder
from vidrestore.training.data.face_cache import Cache
from vidrestore.training.data.medium_mix import MediumMixConfig
from vidrestore.training.distillation import DistillationConfig, DistillationTrainer
from vidrestore.training.gan.initialization import MEAN_CODE, read_prior
from vidrestore.training.gan.prior import PriorConfig, PriorTrainer
from vidrestore.training.gan.trainer import RestorerConfig, RestorerTrainer
from vidrestore.training.gan.validation import LossModels
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.run import OnLog, RunConfig, run

PRIOR_FILE = "prior.safetensors"
RESTORER_FILE = "gfpgan.safetensors"
CRITICS_FILE = "critics.safetensors"
LIGHT_FILE = "light.safetensors"


@dataclass(frozen=True, slots=True)
class TrainingConfig(Options):
    """A training, whole; the defaults are the paper's network and method.

    Raises:
        ConfigError: A value is out of its range.
    """

    network: GFPGANConfig = field(default_factory=GFPGANConfig)
    prior: PriorConfig = field(default_factory=PriorConfig)
    restorer: RestorerConfig = field(default_factory=RestorerConfig)
    light: LightConfig = field(default_factory=LightConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    run: RunConfig = field(default_factory=RunConfig)
    batch: Annotated[
        int, Field(ge=1, description="Faces of a step, over all processes; the default is the paper's.")
    ] = 12
    held_out_share: Annotated[
        float, Field(description="Share of the faces that is never trained on, chosen by a hash of their names.")
    ] = 0.05
    evaluated_faces: Annotated[
        int,
        Field(
            ge=1,
            description="Most held-out faces that are evaluated while training, always the same, and kept in memory.",
        ),
    ] = 256
    cache: Annotated[
        Cache, Field(description='Where decoded faces are kept: "device" and "memory" for what fits there.')
    ] = "disk"
    medium_mix: MediumMixConfig | None = None
    """Damage of a video medium for a share of the restorer's faces, drawn by separate processes."""
    perceptual: Annotated[
        str,
        Field(
            description="The network of the perceptual loss: the one in the package, or a path to torchvision's "
            "VGG19, the paper's."
        ),
    ] = "mobilenetv2"
    identity: Annotated[
        str,
        Field(
            description="The network of the identity loss: the one in the package, or a path to ArcFace or TorchScript."
        ),
    ] = "mobileface"
    precision: Literal["bf16", "fp32"] = "bf16"
    compile: bool = True
    autotune: Annotated[
        bool,
        Field(
            description="Let cuDNN time its kernels for each convolution: about a minute at the start, for faster"
            " steps after it."
        ),
    ] = False


def machine_of(
    config: TrainingConfig, device: torch.device | str, *, rank: int = 0, world: int = 1
) -> DistributedContext:
    """Return this process's part of a training on `device`; "auto" takes CUDA where available.

    Under torchrun, "auto" is the process's own GPU, and rank and world are torchrun's: the processes join here.

    Raises:
        ConfigError: The batch cannot be shared evenly.
    """
    launched = device == "auto" and distributed.is_torchelastic_launched()
    if launched:
        rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if config.batch % world:
        raise ConfigError(f"batch is {config.batch}, which {world} processes cannot share evenly; give a multiple")
    if launched and torch.cuda.is_available():
        device = f"cuda:{os.environ['LOCAL_RANK']}"
    device = choose_device(device) if isinstance(device, str) else device
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = config.autotune
    if launched and not distributed.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return DistributedContext(device, precision=config.precision, compile=config.compile, rank=rank, world=world)


def train_prior(
    config: TrainingConfig,
    faces: Path,
    folder: Path,
    machine: DistributedContext,
    *,
    start: Path | None = None,
    on_log: OnLog | None = None,
) -> Path:
    """Train the generative prior; resumes from `folder`.

    Args:
        config: The training.
        faces: A folder of aligned faces, as `vidrestore align` makes it.
        folder: Log, checkpoints and weights.
        machine: This process's part.
        start: The folder of an earlier prior of the same network to go on from: its averaged weights and its
            discriminator, not its step nor its optimisers' state.
        on_log: Called with every line of the log.

    Returns:
        The decoder of the averaged generator, with its mean code: `prior.safetensors` in `folder`. Next to it lies its
        discriminator, with which a restorer's training may begin.

    Raises:
        ConfigError, InputError, ModelError, OutputError, TrainingError: as their docstrings say.
    """
    training = open_face_folder(faces, size=config.network.out_size, held_out_share=config.held_out_share).training
    with _batches(config, training, machine) as batches:
        trainer = PriorTrainer(config.network, config.prior, batches, machine)
        if start is not None:
            go_on_from_prior(trainer, start)
        done = run(trainer, config.run, folder, on_log=on_log)
    path = folder / PRIOR_FILE
    if machine.rank == 0:
        state = trainer.averaged.state_dict() | {MEAN_CODE: trainer.mean_code}
        metadata = {"steps": str(done), "faces": str(done * trainer.images_per_step)}
        save_safetensors(state, path, metadata)
        save_safetensors(_critics(face=trainer.discriminator), folder / CRITICS_FILE, metadata)
    machine.wait()  # the next stage of every process reads these files
    return path


def train_restorer(
    config: TrainingConfig,
    faces: Path,
    folder: Path,
    machine: DistributedContext,
    *,
    prior: Path | None = None,
    start: Path | None = None,
    on_log: OnLog | None = None,
) -> Path:
    """Train GFP-GAN; resumes from `folder`.

    Args:
        config: The training.
        faces: A folder of aligned faces, as `vidrestore align` makes it.
        folder: Log, checkpoints and weights.
        machine: This process's part.
        prior: A trained decoder, or a whole GFP-GAN whose decoder is taken; None for a random one. The discriminator
            that `train_prior` left next to it is taken too.
        start: The folder of an earlier training of the same network to go on from, with its own schedule: its
            weights and discriminators, not its step. Or a file of weights alone, such as the package's.
        on_log: Called with every line of the log.

    Returns:
        The averaged restorer in half precision: `gfpgan.safetensors` in `folder`.

    Raises:
        ConfigError, InputError, ModelError, OutputError, TrainingError: as their docstrings say.
    """
    with restorer_trainer(config, faces, machine, prior=prior, start=start) as trainer:
        done = run(trainer, config.run, folder, on_log=on_log)
    path = folder / RESTORER_FILE
    if machine.rank == 0:
        metadata = {"steps": str(done), "faces": str(done * trainer.images_per_step)}
        halved = {name: tensor.half() for name, tensor in trainer.averaged.state_dict().items()}
        save_safetensors(halved, path, metadata)
        critics = _critics(face=trainer.discriminator, components=trainer.components)
        save_safetensors(critics, folder / CRITICS_FILE, metadata)
    machine.wait()  # the next stage of every process reads these files
    return path


@contextmanager
def restorer_trainer(
    config: TrainingConfig,
    faces: Path,
    machine: DistributedContext,
    *,
    prior: Path | None = None,
    start: Path | None = None,
) -> Iterator[RestorerTrainer]:
    """Open the trainer that `train_restorer` runs, with its faces; arguments and errors are the same."""
    with _faces_and_judges(config, faces, machine, size=config.network.out_size) as (batches, held_out, judges):
        trainer = RestorerTrainer(
            config.network,
            config.restorer,
            batches,
            judges,
            machine,
            prior=None if prior is None else read_prior(prior),
            held_out=held_out,
        )
        if prior is not None:
            _take_critics(prior.parent / CRITICS_FILE, face=trainer.discriminator, components=trainer.components)
        if start is not None:
            go_on_from(trainer, start)
        yield trainer


def train_light(
    config: TrainingConfig,
    faces: Path,
    folder: Path,
    machine: DistributedContext,
    *,
    teacher: Path,
    start: Path | None = None,
    on_log: OnLog | None = None,
) -> Path:
    """Train the light restorer; resumes from `folder`.

    Args:
        config: the training.
        faces: a folder of aligned faces, as `vidrestore align` makes it.
        folder: log, checkpoints and weights.
        machine: this process's part.
        teacher: weights of the GFP-GAN to learn from, for faces of the light restorer's size.
        start: weights of a light restorer of this shape to go on from; None: random ones.
        on_log: called with every line of the log.

    Returns:
        The averaged light restorer in half precision: `light.safetensors` in `folder`.

    Raises:
        ConfigError, InputError, ModelError, OutputError, TrainingError: as their docstrings say.
    """
    teaching = load_gfpgan(teacher)
    size = config.light.out_size
    if size != LightConfig().out_size:
        raise ConfigError(f"light.out_size is {size}; weights do not say for which size they are, so leave it at 256")
    if teaching.config.out_size != size:
        raise ConfigError(f"{teacher} restores faces of {teaching.config.out_size} px; give a teacher for {size} px")
    teaching = teaching.to(machine.device).to_channels_last()
    with _faces_and_judges(config, faces, machine, size=size) as (batches, held_out, judges):
        trainer = DistillationTrainer(
            config.light, config.distillation, teaching, batches, judges, machine, held_out=held_out
        )
        if start is not None:
            state = load_restorer(start).state_dict()
            for network in (trainer.network, trainer.averaged):
                _load(network, state, start)
        done = run(trainer, config.run, folder, on_log=on_log)
    path = folder / LIGHT_FILE
    if machine.rank == 0:
        halved = {name: tensor.half() for name, tensor in trainer.averaged.state_dict().items()}
        save_safetensors(halved, path, {"steps": str(done), "faces": str(done * trainer.images_per_step)})
    machine.wait()
    return path


@contextmanager
def _faces_and_judges(
    config: TrainingConfig, faces: Path, machine: DistributedContext, *, size: int
) -> Iterator[tuple[FaceBatches, FaceBatches | None, LossModels]]:
    """Open the faces to train on, those held out to evaluate, where there are any, and the networks that compare."""
    found = open_face_folder(faces, size=size, held_out_share=config.held_out_share)
    judges = LossModels(
        perceptual=_perceptual(config.perceptual).to(machine.device),
        identity=load_identity(config.identity).to(machine.device),
    )
    with ExitStack() as stack:
        held_out, evaluated = None, found.held_out.at_most(config.evaluated_faces)
        if len(evaluated):
            shown = min(len(evaluated), 32)
            held_out = stack.enter_context(
                FaceBatches(evaluated, batch=shown, seed=0, device=machine.device, flip=False, cache="memory")
            )
        yield (
            stack.enter_context(_batches(config, found.training, machine, medium_mix=config.medium_mix)),
            held_out,
            judges,
        )


def go_on_from(trainer: RestorerTrainer, start: Path) -> None:
    """Load the weights, and the discriminators where they are kept, of an earlier training: its folder, or its weights.

    Raises:
        ModelError: They are missing, damaged or of another shape.
    """
    path = start if start.is_file() else start / RESTORER_FILE
    state = load_gfpgan(path).state_dict()
    for network in (trainer.network, trainer.averaged):
        _load(network, state, path)
    _take_critics(path.parent / CRITICS_FILE, face=trainer.discriminator, components=trainer.components)


def go_on_from_prior(trainer: PriorTrainer, folder: Path) -> None:
    """Load the weights, the mean code and the discriminator, where it is kept, of an earlier prior.

    Raises:
        ModelError: They are missing, damaged or of another shape.
    """
    path = folder / PRIOR_FILE
    state = {name: tensor.float() for name, tensor in load_state_dict(path).items()}
    if MEAN_CODE not in state:
        raise ModelError(f"{path} has no {MEAN_CODE}; give the folder of a prior that `vidrestore train` made")
    mean_code = state.pop(MEAN_CODE)
    for network in (trainer.decoder, trainer.averaged):
        _load(network, state, path)
    trainer.mean_code.copy_(mean_code)
    _take_critics(folder / CRITICS_FILE, face=trainer.discriminator)


def _critics(**networks: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of discriminators by `NAME.TENSOR`, in half precision, for the next training."""
    return {
        f"{prefix}.{name}": tensor.half()
        for prefix, network in networks.items()
        for name, tensor in network.state_dict().items()
    }


def _take_critics(path: Path, **critics: nn.Module) -> None:
    """Load the discriminators that the file holds, if there is one."""
    if not path.is_file():
        return
    tensors = {name: tensor.float() for name, tensor in load_state_dict(path).items()}
    for name, discriminator in critics.items():
        prefix = f"{name}."
        found = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
        if found:
            _load(discriminator, found, path)


def _load(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:  # torch raises this for names and shapes that do not fit
        raise ModelError(f"{path} is of another network; train one of the same shape, or start again") from error


def _batches(
    config: TrainingConfig, faces: FaceFolder, machine: DistributedContext, *, medium_mix: MediumMixConfig | None = None
) -> FaceBatches:
    return FaceBatches(
        faces,
        batch=config.batch // machine.world,
        seed=config.restorer.seed,
        device=machine.device,
        rank=machine.rank,
        world=machine.world,
        cache=config.cache,
        medium_mix=medium_mix,
    )


def _perceptual(name: str) -> PerceptualFeatures:
    return MobileNetV2Features() if name == "mobilenetv2" else VGG19Features(Path(name))
