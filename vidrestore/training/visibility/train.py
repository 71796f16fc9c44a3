"""The training of the network that separates a face from what is in front of it, from a folder of aligned faces.

Everything random is a function of seed and step, so a training is reproducible on the same host.

Shape suffixes: B batch, H and W or S space.
"""

import logging
import math
import time
from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812  the name that every reader of network code expects
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vidrestore.errors import TrainingError
from vidrestore.files import open_folder
from vidrestore.models.checkpoint import save_safetensors
from vidrestore.models.devices import choose_device
from vidrestore.models.stylegan2 import to_channels_last
from vidrestore.models.visibility import CROP_SIDE, Layer, VisibilityNetwork
from vidrestore.training.data.dataset import FaceBatches, FaceFolder, open_face_folder
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.optimizer import ScheduleConfig, average_into, averaged_copy
from vidrestore.training.occluders.occlude import face_ellipse
from vidrestore.training.visibility.report import write_report
from vidrestore.training.visibility.samples import SampleMaker, Samples, VisibilityConfig

WEIGHTS_FILE: Final = "visibility.safetensors"
_LOG_EVERY_STEPS: Final = 500
_log = logging.getLogger(__name__)


def train_visibility(
    faces: Path, out: Path, config: VisibilityConfig, *, device: str = "auto", processes: int | None = None
) -> Path:
    """Train on a folder of aligned faces; write weights, a report and a picture to `out`.

    Args:
        faces: folder that `vidrestore align` made, of any size from 64 px.
        out: output folder, made if missing.
        config: options of the training.
        device: auto, cpu, cuda or cuda:1.
        processes: processes that draw sprites; None for as many as there are processors, 0 for none.

    Returns:
        The file of weights.

    Raises:
        ConfigError: The device is not there.
        InputError: The faces cannot be read.
        OutputError: The folder cannot be written to.
        TrainingError: The loss is no longer finite.
    """
    open_folder(out)
    chosen = choose_device(device)
    machine = DistributedContext(chosen, precision="bf16" if chosen.type == "cuda" else "fp32", compile=False)
    folder = open_face_folder(faces, size=CROP_SIDE, held_out_share=config.held_out_share)
    started = time.monotonic()
    network, steps = _train(folder.training, config, machine, processes)
    path = out / WEIGHTS_FILE
    metadata = {"architecture": "VisibilityNetwork", "steps": str(steps), "faces": str(len(folder.training))}
    half = {name: tensor.half() for name, tensor in network.state_dict().items()}
    save_safetensors(half, path, metadata)
    network.load_state_dict({name: tensor.float() for name, tensor in half.items()})  # as it will be read
    write_report(
        network,
        folder.held_out,
        out,
        config,
        machine,
        training_faces=len(folder.training),
        steps=steps,
        seconds=time.monotonic() - started,
        processes=processes,
    )
    return path


def folded(network: VisibilityNetwork) -> VisibilityNetwork:
    """Fold the normalizations into the weights: a copy in evaluation mode that computes the same function."""
    plain = VisibilityNetwork().to(next(network.parameters()).device)
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, Layer)}
    state = {name: values for name, values in network.state_dict().items() if name in plain.state_dict()}
    for name, layer in layers.items():
        assert isinstance(layer.normalization, nn.BatchNorm2d), f"{name} is folded already"  # noqa: S101
        fused = fuse_conv_bn_eval(layer.convolution.eval(), layer.normalization.eval())
        state |= {f"{name}.convolution.{key}": values for key, values in fused.state_dict().items()}
    plain.load_state_dict(state)
    return plain.eval()


def visibility_loss(logits_B1HW: Tensor, visible_B1HW: Tensor, config: VisibilityConfig) -> Tensor:
    """Return weighted cross entropy plus, over samples that hide part of the face, one minus the Dice overlap."""
    logits = logits_B1HW.float()
    inside = face_ellipse(logits.shape[-1], device=logits.device).float()
    spread = F.max_pool2d(visible_B1HW, 3, 1, 1) + F.max_pool2d(-visible_B1HW, 3, 1, 1)
    weight = inside + config.outside_weight * (1 - inside) + config.border_weight * spread * inside
    entropy = F.binary_cross_entropy_with_logits(logits, visible_B1HW, reduction="none")
    hidden, truth = torch.sigmoid(-logits) * inside, (1 - visible_B1HW) * inside
    overlap, total = (hidden * truth).sum((1, 2, 3)), (hidden + truth).sum((1, 2, 3))
    some = (truth.sum((1, 2, 3)) > 0.01 * inside.sum()).float()
    dice = 1 - (2 * overlap + 1) / (total + 1)
    return (weight * entropy).sum() / weight.sum() + config.dice_weight * (dice * some).sum() / some.sum().clamp(min=1)


def _train(
    faces: FaceFolder, config: VisibilityConfig, machine: DistributedContext, processes: int | None
) -> tuple[VisibilityNetwork, int]:
    """Train; return the averaged network, folded, and its number of steps."""
    torch.manual_seed(config.seed)
    network = VisibilityNetwork(trained=True).to(machine.device)
    to_channels_last(network)
    averaged = averaged_copy(network)
    optimizer = torch.optim.AdamW(
        _groups(network, config.weight_decay), lr=config.learning_rate, fused=machine.device.type == "cuda"
    )
    schedule = ScheduleConfig(steps=config.steps, warmup_steps=min(500, config.steps // 10), decay_share=1.0)
    maker = SampleMaker(config, machine, seed=config.seed, processes=processes)
    started = time.monotonic()
    step, spent = 0, 0.0
    with (
        FaceBatches(faces, batch=config.batch, seed=config.seed, device=machine.device) as batches,
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        while step < config.steps and spent < config.stop_after_seconds:
            samples = maker.samples(batches.batch_at(step), step)
            due = max(step, int(config.steps * spent / config.stop_after_seconds))  # a time limit lowers the rate too
            for group in optimizer.param_groups:
                group["lr"] = config.learning_rate * schedule.rate(due)
            loss = _learn(network, samples, optimizer, config, machine)
            average_into(averaged, network, min(config.average_decay, (1 + step) / (10 + step)))
            step, spent = step + 1, time.monotonic() - started
            if step in {100, config.steps} or step % _LOG_EVERY_STEPS == 0:
                _report(step, config.steps, float(loss), spent)
    return folded(averaged), step


def _learn(
    network: VisibilityNetwork,
    samples: Samples,
    optimizer: torch.optim.Optimizer,
    config: VisibilityConfig,
    machine: DistributedContext,
) -> Tensor:
    with machine.autocast():
        logits = network(samples.images.contiguous(memory_format=torch.channels_last))
    loss = visibility_loss(logits, samples.visible, config)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    nn.utils.clip_grad_norm_(network.parameters(), config.clip)
    optimizer.step()
    return loss.detach()


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Make the parameter groups: kernels decay; biases and normalizations do not."""
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


def _report(step: int, steps: int, loss: float, seconds: float) -> None:
    if not math.isfinite(loss):
        raise TrainingError(f"the loss is not finite at step {step}; lower learning_rate")
    _log.info(
        "step %d of %d: loss %.4f, %.0f s so far, %.1f steps a second", step, steps, loss, seconds, step / seconds
    )
