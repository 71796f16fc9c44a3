"""The torch device that an option names."""

import torch

from vidrestore.errors import ConfigError


def choose_device(name: str, *, option: str = "device") -> torch.device:
    """Return the torch device of an option; auto is CUDA where there is one, else the CPU.

    Raises:
        ConfigError: There is no such device; the message names the `option`.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"{option} is {name!r}, which is no device; give auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"{option} is {name!r}, but torch sees {torch.cuda.device_count()} CUDA devices; give auto or cpu"
        )
    return device
