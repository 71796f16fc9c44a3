"""The networks of the reference flow: spandrel's GFP-GAN and facexlib's helper, with weights that need no download.

facexlib looks for files of fixed names and downloads those that are missing; here they are written first. The
detector RetinaFace mobilenet0.25 gets the embedded weights. RetinaFace ResNet-50 and ParseNet get random ones: theirs
are not available offline, and the time of a forward pass does not depend on the values.
"""

import importlib.util
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from vidrestore.errors import ConfigError
from vidrestore.models import zoo
from vidrestore.models.checkpoint import load_gfpgan, load_state_dict, save_safetensors
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.models.torchvision_ops import ensure_torchvision_imports
from vidrestore.training.gan.initialization import initialised

MOBILENET, RESNET = "retinaface_mobile0.25", "retinaface_resnet50"
_FILES = {
    MOBILENET: "detection_mobilenet0.25_Final.pth",
    RESNET: "detection_Resnet50_Final.pth",
    "parsenet": "parsing_parsenet.pth",
}
_SEED = 0
_CONTRAST = 0.25
"""Factor of the random layers that make colours."""
_PARSING_SIDE, _PARSING_CLASSES = 512, 19


def load_generator(weights: Path) -> tuple[nn.Module, int]:
    """Load spandrel's GFP-GAN, float32, on the CPU, with weights of our format; return its crops' side in pixels, too.

    Raises:
        ConfigError: spandrel is not installed.
        ModelError: the weights cannot be read.
    """
    if importlib.util.find_spec("spandrel") is None:
        raise ConfigError("the reference flow needs spandrel; install it with: pip install 'vidrestore[oracle]'")
    ensure_torchvision_imports()
    from spandrel.architectures.GFPGAN import GFPGAN  # noqa: PLC0415  optional, and torchvision must be mended first

    ours = load_gfpgan(weights)
    config = ours.config
    network: nn.Module = GFPGAN(
        out_size=config.out_size,
        num_style_feat=config.num_style_feat,
        channel_multiplier=config.channel_multiplier,
        num_mlp=config.num_mlp,
        input_is_latent=config.input_is_latent,
        different_w=config.different_w,
        narrow=config.narrow,
        sft_half=config.sft_half,
    )
    network.load_state_dict(ours.state_dict(), strict=True)
    return network.requires_grad_(requires_grad=False).eval(), config.out_size


def make_fast(network: nn.Module) -> nn.Module:
    """Return the network as its users run it fastest: bfloat16, channels_last, compiled.

    Only plain convolutions have four dimensions; spandrel's view before the linear layer wants the usual order again.
    """
    network = network.to(torch.bfloat16)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    final = network.get_submodule("final_conv")
    final.register_forward_hook(lambda _module, _given, features_BCHW: features_BCHW.contiguous())
    compiled = torch.compile(network, dynamic=False)
    assert isinstance(compiled, nn.Module), "as what it is made of"  # noqa: S101
    return compiled


def write_random_weights(path: Path, config: GFPGANConfig | None = None) -> None:
    """Write a GFP-GAN with random weights, by default of the official 512 px shape, as `.safetensors`.

    The time of a forward pass does not depend on the values. The output's contrast is that of a picture, so that the
    encoder's work is, too.

    Raises:
        OutputError: the file cannot be written.
    """
    network = initialised(config or GFPGANConfig(), seed=_SEED)
    with torch.no_grad():
        for name, value in network.named_parameters():
            if "to_rgb" in name and name.endswith("weight") and "modulation" not in name:
                value.mul_(_CONTRAST)
    save_safetensors(network.state_dict(), path, {"weights": "random"})


def load_helper(detector: str, *, face_size: int, use_parse: bool, device: torch.device) -> Any:  # noqa: ANN401  facexlib has no types
    """Build facexlib's `FaceRestoreHelper`.

    Args:
        detector: `MOBILENET` or `RESNET`.
        face_size: side of the crops, pixels.
        use_parse: whether pasting back asks ParseNet for a mask.
        device: device of its networks.
    """
    ensure_torchvision_imports()
    from facexlib.utils.face_restoration_helper import FaceRestoreHelper  # noqa: PLC0415  mended first

    with TemporaryDirectory(prefix="vidrestore-reference-") as folder, _quiet():
        torch.save(_detector_state(detector), Path(folder, _FILES[detector]))
        # the helper loads ParseNet even when it will not use it
        torch.save(_parser_state(), Path(folder, _FILES["parsenet"]))
        return FaceRestoreHelper(
            upscale_factor=1,
            face_size=face_size,
            det_model=detector,
            use_parse=use_parse,
            device=device,
            model_rootpath=folder,
        )


class UnusedParser:
    """Runs a ParseNet with random weights, drops its output, and labels every pixel as skin.

    facexlib then pastes the whole square: its own code path, at its own cost, with a valid picture.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network

    def __call__(self, faces_B3HW: Tensor) -> tuple[Tensor]:
        """Return logits [B, 19, H, W] whose greatest is class 1, skin."""
        logits_BKHW: Tensor = torch.zeros_like(self._network(faces_B3HW)[0])
        logits_BKHW[:, 1] = 1
        return (logits_BKHW,)


def _detector_state(detector: str) -> dict[str, Tensor]:
    if detector == MOBILENET:
        return load_state_dict(zoo.resolve("retinaface-mobile0.25"))
    from facexlib.detection.retinaface import RetinaFace  # noqa: PLC0415  torchvision must be mended first

    state = _random_state(lambda: RetinaFace("resnet50", device=torch.device("cpu")))
    # a score of one half everywhere: nothing is found, so that no time goes into sorting random boxes
    return {name: torch.zeros_like(value) if name.startswith("ClassHead") else value for name, value in state.items()}


def _parser_state() -> dict[str, Tensor]:
    from facexlib.parsing.parsenet import ParseNet  # noqa: PLC0415  torchvision must be mended first

    side = _PARSING_SIDE
    return _random_state(lambda: ParseNet(in_size=side, out_size=side, parsing_ch=_PARSING_CLASSES))


def _random_state(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        return dict(build().state_dict())


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress torchvision's warnings about how facexlib builds its backbone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="(The parameter 'pretrained'|Arguments other than a weight enum)")
        yield
