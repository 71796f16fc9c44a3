import pytest
import torch

from vidrestore.errors import ConfigError
from vidrestore.models.devices import choose_device


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match="device is 'gpu', which is no device"):
        choose_device("gpu")
    with pytest.raises(ConfigError, match="torch sees 1 CUDA devices"):
        choose_device("cuda:1")
    with pytest.raises(ConfigError, match=r"detector\.device is 'cuda:7', but torch sees 1"):
        choose_device("cuda:7", option="detector.device")
    assert choose_device("cpu") == torch.device("cpu")


def test_automatic_device_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, wanted in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda available=available: available)
        assert choose_device("auto").type == wanted
