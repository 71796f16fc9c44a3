"""Networks without values: their shapes are right, and they cost no import of torch's compiler."""

import subprocess
import sys

import torch
from torch import nn

from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig
from vidrestore.models.shapes_only import shapes_only


def test_shapes_are_those_of_the_network_with_values() -> None:
    config = GFPGANConfig(out_size=64, num_style_feat=16, channel_multiplier=1, narrow=0.25, num_mlp=2)
    real = {name: tensor.shape for name, tensor in GFPGAN(config).state_dict().items()}

    with shapes_only():
        network = GFPGAN(config)

    assert {name: tensor.shape for name, tensor in network.state_dict().items()} == real
    assert all(tensor.is_meta for tensor in network.state_dict().values())


def test_outside_the_block_parameters_have_values() -> None:
    with shapes_only():
        pass

    assert nn.Conv2d(3, 8, 3).weight.std() > 0
    assert torch.randn(4).device.type == "cpu"


def test_loading_the_networks_imports_neither_a_compiler_nor_torchvision() -> None:
    code = (
        "import sys; from vidrestore.inference.local import load_models; "
        "from vidrestore.restoration.config import RestoreConfig; load_models(RestoreConfig()); "
        "print([name for name in ('torch._dynamo', 'torchvision', 'sympy', 'facexlib') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
