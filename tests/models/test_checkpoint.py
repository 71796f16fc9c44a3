"""Files of weights: every form that loads, and every way in which they are broken."""

import pickle
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from vidrestore.errors import ModelError, OutputError
from vidrestore.models.checkpoint import (
    load_gfpgan,
    load_state_dict,
    load_training_state,
    save_safetensors,
    save_training_state,
)
from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig


@pytest.fixture(scope="module")
def state(random_network: Callable[[GFPGANConfig], GFPGAN], tiny: GFPGANConfig) -> dict[str, Tensor]:
    return dict(random_network(tiny).state_dict())


def is_same(network: GFPGAN, state: dict[str, Tensor]) -> bool:
    loaded = network.state_dict()
    return loaded.keys() == state.keys() and all(torch.equal(loaded[name], state[name]) for name in state)


@pytest.mark.parametrize("wrap", [lambda s: {"params_ema": s, "params": {}}, lambda s: {"params": s}, lambda s: s])
def test_pytorch_files_load_in_each_published_form(
    tmp_path: Path, state: dict[str, Tensor], tiny: GFPGANConfig, wrap: Callable[[Any], Any]
) -> None:
    torch.save(wrap(state), tmp_path / "w.pth")
    network = load_gfpgan(tmp_path / "w.pth")
    assert network.config == tiny
    assert not network.training
    assert is_same(network, state)


def test_older_pytorch_files_load_too(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({"params_ema": state}, tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert is_same(load_gfpgan(tmp_path / "w.pth"), state)


def test_safetensors_come_back_with_their_metadata(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "w.safetensors"
    save_safetensors(state, path, {"interim": "true"})
    assert is_same(load_gfpgan(path), state)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"interim": "true"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.safetensors"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_network_laid_out_channels_last_can_be_saved(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, tmp_path / "w.pth")
    laid_out = load_gfpgan(tmp_path / "w.pth").to_channels_last()
    save_safetensors(laid_out.state_dict(), tmp_path / "w.safetensors", {})
    assert is_same(load_gfpgan(tmp_path / "w.safetensors"), state)


def test_half_precision_on_disk_is_float32_in_memory(tmp_path: Path, state: dict[str, Tensor]) -> None:
    half = {name: tensor.half() for name, tensor in state.items()}
    save_safetensors(half, tmp_path / "w.safetensors", {})
    assert load_state_dict(tmp_path / "w.safetensors")["toRGB.0.weight"].dtype == torch.float16
    network = load_gfpgan(tmp_path / "w.safetensors")
    assert is_same(network, {name: tensor.float() for name, tensor in half.items()})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nowhere\.pth does not exist or is not a file"):
        load_gfpgan(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_a_model_error(tmp_path: Path, state: dict[str, Tensor], suffix: str, share: float) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_safetensors(state, path, {})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError, match="damaged or cut short") as caught:
        load_gfpgan(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert "weights_only" not in caught.value.message


@pytest.mark.parametrize("length", [1, 64, 3000])
def test_a_truncated_older_file_is_a_model_error(tmp_path: Path, state: dict[str, Tensor], length: int) -> None:
    path = tmp_path / "w.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelError, match="cannot read weights"):
        load_gfpgan(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Not found</html>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git-lfs pointer"),
        (b"\x00" * 5000, "damaged or cut short"),
    ],
)
def test_what_is_often_saved_in_place_of_weights_is_recognised(tmp_path: Path, content: bytes, message: str) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelError, match=message):
            load_gfpgan(tmp_path / name)


class Mine:
    """Unpickles by creating a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_file_that_would_run_code_is_refused_and_does_not_run_it(
    tmp_path: Path, write: Callable[[Any, Path], None]
) -> None:
    path, mark = tmp_path / "w.pth", tmp_path / "ran"
    write({"params_ema": Mine(mark)}, path)
    with pytest.raises(ModelError, match="cannot read weights"):
        load_gfpgan(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [[1, 2], {}, 3.0])
def test_a_file_without_named_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="wanted named tensors"):
        load_gfpgan(tmp_path / "w.pth")


def test_a_training_state_is_recognised(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({"step": 3, "generator": state}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="is it a training state"):
        load_gfpgan(tmp_path / "w.pth")


def test_another_architecture_is_refused_with_the_path(tmp_path: Path) -> None:
    torch.save({"params": {"conv_first.weight": torch.zeros(64, 3, 3, 3)}}, tmp_path / "esrgan.pth")
    with pytest.raises(ModelError, match=r"esrgan\.pth: these weights are not a clean GFP-GAN"):
        load_gfpgan(tmp_path / "esrgan.pth")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, state: dict[str, Tensor], value: float) -> None:
    broken = {name: tensor.clone() for name, tensor in state.items()}
    broken["final_conv.weight"][0, 0, 0, 0] = value
    torch.save(broken, tmp_path / "w.pth")
    with pytest.raises(
        ModelError, match=r"NaN or infinite values in 1 of \d+ tensors, the first is final_conv\.weight"
    ):
        load_gfpgan(tmp_path / "w.pth")


def test_weights_that_cannot_be_written_are_an_output_error(tmp_path: Path, state: dict[str, Tensor]) -> None:
    with pytest.raises(OutputError, match="cannot write weights"):
        save_safetensors(state, tmp_path / "absent" / "w.safetensors", {})


TRAINING_STATE: dict[str, Any] = {
    "step": 7,
    "signature": {"betas": (0.0, 0.99), "degradation": None, "limit": float("inf"), "modes": ["bilinear"]},
    "optimizer": {"state": {0: {"exp_avg": torch.arange(6.0).reshape(2, 3)}}, "param_groups": [{"lr": 0.1}]},
    "half": torch.ones(3, dtype=torch.bfloat16),
}


def test_a_training_state_comes_back_as_it_was_with_tuples_and_number_keys(tmp_path: Path) -> None:
    save_training_state(TRAINING_STATE, tmp_path / "state.pt")
    state = load_training_state(tmp_path / "state.pt")
    assert (state["step"], state["signature"]) == (7, TRAINING_STATE["signature"])
    assert torch.equal(state["optimizer"]["state"][0]["exp_avg"], torch.arange(6.0).reshape(2, 3))
    assert state["half"].dtype == torch.bfloat16
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]


def test_a_training_state_keeps_the_memory_layout_that_sums_depend_on(tmp_path: Path) -> None:
    moments = torch.randn(4, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    save_training_state({"moments": moments}, tmp_path / "state.pt")
    assert load_training_state(tmp_path / "state.pt")["moments"].stride() == moments.stride()


def test_a_training_state_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.pt"
    save_training_state(TRAINING_STATE, path)

    def full(state: object, partial: Path) -> None:  # noqa: ARG001
        partial.write_bytes(b"half")
        raise RuntimeError("PytorchStreamWriter failed writing file data/1: file write failed")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match=r"cannot write the training state .*check its free space"):
        save_training_state({"step": 8}, path)
    assert load_training_state(path)["step"] == 7
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.pt"]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_damaged_training_state_is_a_model_error(tmp_path: Path, share: float) -> None:
    path = tmp_path / "state.pt"
    save_training_state(TRAINING_STATE, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"state\.pt: it is damaged or cut short"):
        load_training_state(path)


def test_a_training_state_that_would_run_code_is_refused_and_does_not_run_it(tmp_path: Path) -> None:
    path, mark = tmp_path / "state.pt", tmp_path / "ran"
    torch.save({"step": Mine(mark)}, path)
    with pytest.raises(ModelError, match="which could run code"):
        load_training_state(path)
    assert not mark.exists()


def test_what_is_no_training_state_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"training state .* it is not there"):
        load_training_state(tmp_path / "absent.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ModelError, match="holds list; wanted the state of a training"):
        load_training_state(tmp_path / "list.pt")


def repeated(state: dict[str, Tensor], path: Path) -> None:
    """1.6 kB that ask for 6.4 GB: one number, seen 1.6 billion times."""
    del state
    torch.save({"params_ema": {"conv_body_first.weight": torch.zeros(1).expand(40_000, 40_000)}}, path)


def repeated_in_the_right_shapes(state: dict[str, Tensor], path: Path) -> None:
    torch.save({name: torch.zeros(1).expand(tensor.shape) for name, tensor in state.items()}, path)


def repeated_in_an_older_file(state: dict[str, Tensor], path: Path) -> None:
    del state
    torch.save({"a": torch.zeros(1).expand(40_000, 40_000)}, path, _use_new_zipfile_serialization=False)


def deflated(state: dict[str, Tensor], path: Path) -> None:
    """A few kilobytes that unfold to 30 MB."""
    plain = path.with_name("plain.zip")
    torch.save({"params_ema": dict(state)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        with new.open("plain/data/bomb", "w") as file:
            for _ in range(30):
                file.write(bytes(1 << 20))
    plain.unlink()


def sparse(state: dict[str, Tensor], path: Path) -> None:
    broken = dict(state)
    broken["final_conv.weight"] = broken["final_conv.weight"].to_sparse()
    torch.save(broken, path)


def hollow(state: dict[str, Tensor], path: Path) -> None:
    """Files full of holes, which take no disk, of 3 GB."""
    del state
    path.write_bytes(b"")
    with path.open("r+b") as file:
        file.truncate(3 << 30)


@pytest.mark.parametrize("form", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (repeated, "repeat the same memory"),
        (repeated_in_the_right_shapes, "repeat the same memory"),
        (repeated_in_an_older_file, "repeat the same memory"),
        (deflated, "compressed archive"),
        (sparse, "sparse"),
        (hollow, "no network that is used here"),
    ],
)
def test_weights_get_no_more_memory_than_their_file_justifies(
    tmp_path: Path,
    state: dict[str, Tensor],
    form: str,
    make: Callable[[dict[str, Tensor], Path], None],
    reason: str,
) -> None:
    path = tmp_path / f"bomb.{form}"
    make(state, path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ModelError, match=reason if form == "pth" or make is hollow else "damaged"):
        load_gfpgan(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


def test_another_networks_tensors_are_refused_before_they_are_read(
    tmp_path: Path, state: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "other.safetensors"
    save_file({**state, "extra": torch.zeros(10, 10)}, path)
    monkeypatch.setattr("vidrestore.models.checkpoint.load_file", lambda _: pytest.fail("it was read"))
    with pytest.raises(ModelError, match=r"other\.safetensors: these weights are not a clean GFP-GAN.*extra"):
        load_gfpgan(path)


def test_a_compressed_training_state_is_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    deflated(state, tmp_path / "state.pth")
    with pytest.raises(ModelError, match="compressed archive"):
        load_training_state(tmp_path / "state.pth")


def test_what_was_loaded_does_not_change_with_its_file(tmp_path: Path, state: dict[str, Tensor]) -> None:
    path = tmp_path / "w.pth"
    torch.save(state, path)
    network = load_gfpgan(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert is_same(network, state)
