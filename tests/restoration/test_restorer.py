"""The restorer's contract: equal lengths, equal bits however crops are grouped, and loud failures."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidrestore.errors import ConfigError, ModelError, RestorationError
from vidrestore.models import zoo
from vidrestore.models.checkpoint import load_gfpgan
from vidrestore.restoration.config import RestorerConfig
from vidrestore.restoration.face import restorer as module
from vidrestore.restoration.face.restorer import FaceRestorer, choose_dtype, cpu_computes_bf16
from vidrestore.types import StyledCrop

pytestmark = pytest.mark.integration

Crop = NDArray[np.uint8]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def crops() -> list[Crop]:
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (32, 32, 3), np.uint8).repeat(8, 0).repeat(8, 1) for _ in range(4)]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def restorer(batch_size: int | None = None, precision: str = "auto") -> FaceRestorer:
    return FaceRestorer(RestorerConfig(device="cpu", precision=precision, batch_size_cpu=batch_size or 1))


@pytest.mark.parametrize(
    ("precision", "batch_size"),
    [
        ("fp32", None),
        ("fp32", 2),
        pytest.param("bf16", 2, marks=pytest.mark.nightly),  # slow without instructions for it
        pytest.param("bf16", None, marks=pytest.mark.nightly),
    ],
)
def test_result_does_not_depend_on_how_crops_are_grouped(
    crops: list[Crop], precision: str, batch_size: int | None
) -> None:
    restore = restorer(batch_size, precision)
    together = restore(crops)
    alone = [restore([crop])[0] for crop in crops]
    shuffled = [3, 1, 0, 2]
    mixed = dict(zip(shuffled, restore([crops[index] for index in shuffled]), strict=True))
    assert len(together) == len(crops)
    for index, image in enumerate(together):
        assert (image.dtype, image.shape) == (np.uint8, (256, 256, 3))
        assert np.array_equal(image, alone[index])
        assert np.array_equal(image, mixed[index])
        assert not np.array_equal(image, crops[index])


@pytest.mark.parametrize("batch_size", [None, 3])
def test_a_face_with_its_own_style_codes_comes_out_as_ever(crops: list[Crop], batch_size: int | None) -> None:
    restore = restorer(batch_size)
    codes = restore.encode(crops)
    assert {(one.dtype.name, one.shape) for one in codes} == {("float32", (14, 256))}
    coded = restore.restore_coded([StyledCrop(crop, own) for crop, own in zip(crops, codes, strict=True)])
    assert all(np.array_equal(one, other) for one, other in zip(coded, restore(crops), strict=True))
    (other,) = restore.restore_coded([StyledCrop(crops[0], codes[1])])
    assert not np.array_equal(other, coded[0])
    assert restore.encode([]) == restore.restore_coded([]) == []


def test_style_codes_of_another_network_are_refused(crops: list[Crop]) -> None:
    with pytest.raises(RestorationError, match=r"style codes are \[16, 512\]; embedded wants \[14, 256\]"):
        restorer().restore_coded([StyledCrop(crops[0], np.zeros((16, 512), np.float32))])


def test_a_second_restorer_gives_the_same_bits(crops: list[Crop]) -> None:
    assert np.array_equal(restorer()(crops[:1])[0], restorer()(crops[:1])[0])


def test_bf16_stays_within_a_few_grey_levels_of_fp32(crops: list[Crop]) -> None:
    half, full = restorer(precision="bf16")(crops[:1]), restorer(precision="fp32")(crops[:1])
    difference = np.abs(np.subtract(half, full, dtype=np.int16))
    assert difference.mean() < 0.5
    assert difference.max() <= 6


def test_full_precision_equals_the_network_rounded(crops: list[Crop]) -> None:
    network = load_gfpgan(zoo.resolve("embedded"))
    faces = torch.from_numpy(crops[0]).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        wanted = ((network(faces)[0].clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).numpy()
    assert np.abs(restorer(precision="fp32")(crops[:1])[0] - wanted).max() <= 0.51


def test_results_are_arrays_of_their_own_and_crops_are_not_changed(crops: list[Crop]) -> None:
    before = [crop.copy() for crop in crops[:3]]
    frozen = [crop.copy() for crop in crops[:3]]
    for crop in frozen:
        crop.setflags(write=False)  # as Ray hands them over
    results = restorer(3)(frozen)
    assert all(result.base is None and result.flags.writeable and result.flags.c_contiguous for result in results)
    assert all(np.array_equal(crop, old) for crop, old in zip(frozen, before, strict=True))


def test_no_crops_are_no_results() -> None:
    assert restorer()([]) == []


def test_the_model_is_named_by_its_hash_and_size() -> None:
    restore = restorer()
    assert restore.crop_size == 256
    assert restore.model_sha256 == zoo.entries()[0].sha256


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((512, 512, 3), np.uint8), np.zeros((256, 256, 3), np.float32), np.zeros((256, 256), np.uint8)],
)
def test_a_crop_of_another_kind_is_named_with_what_was_wanted(crops: list[Crop], wrong: Crop) -> None:
    with pytest.raises(RestorationError, match=r"crop 1 is .* wants uint8 \[256, 256, 3\] RGB"):
        restorer()([crops[0], wrong])


class Hungry:
    """A network with memory for a few crops: it brightens, and counts the batches it was given."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.batches: list[int] = []

    def __call__(self, faces: Tensor) -> Tensor:
        self.batches.append(len(faces))
        if len(faces) > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return faces + 0.25


def test_running_out_of_memory_halves_the_batch_and_is_remembered(
    crops: list[Crop], caplog: pytest.LogCaptureFixture
) -> None:
    restore = restorer(8, "fp32")
    restore._network = network = Hungry(room=2)
    results = restore(crops)
    assert network.batches == [8, 4, 2, 2]
    assert restore.batch_size == 2
    assert "going on with batches of 2" in caplog.text
    for crop, result in zip(crops, results, strict=True):
        assert np.array_equal(result, np.minimum(crop + 31.875, 255).round().astype(np.uint8))
    restore(crops[:1])
    assert network.batches[4:] == [2]


def test_no_memory_for_a_single_crop_is_an_error_with_advice(crops: list[Crop]) -> None:
    restore = restorer(2)
    restore._network = Hungry(room=0)
    with pytest.raises(RestorationError, match="no memory left for one crop of 256 px"):
        restore(crops)


def test_values_that_are_not_finite_are_an_error(crops: list[Crop]) -> None:
    restore = restorer(2)

    def broken(faces: Tensor) -> Tensor:
        out = faces.clone()
        out[1, 0, 5, 5] = float("nan")
        return out

    restore._network = broken
    with pytest.raises(RestorationError, match="gave 1 values that are not finite for crop 1"):
        restore(crops)
    assert len(restore(crops[:1])) == 1  # the padding's values are nobody's


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "fp16"}, "use auto, fp32 or bf16"),
        ({"batch_size_cpu": 0}, "batch_size_cpu is 0"),
        ({"threads": 0}, "threads is 0"),
    ],
)
def test_impossible_configurations_are_refused(options: dict[str, str | int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RestorerConfig(**options)


def test_automatic_precision_follows_the_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    for native, wanted in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(module, "cpu_computes_bf16", lambda native=native: native)
        assert choose_dtype("auto", CPU) == wanted
    for capability, wanted in (((9, 0), torch.bfloat16), ((7, 5), torch.float32)):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _, capability=capability: capability)
        assert choose_dtype("auto", torch.device("cuda")) == wanted
    assert choose_dtype("fp32", CPU) == torch.float32


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16\n", True),
        ("flags\t\t: fpu amx_bf16\n", True),
        ("Features\t: asimd bf16\n", True),
        ("flags\t\t: fpu avx2 avx512f\n", False),
        ("model name\t: bf16 avx512_bf16\n", False),
    ],
)
def test_bf16_is_read_from_the_cpus_flags(tmp_path: Path, text: str, *, wanted: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert cpu_computes_bf16(tmp_path / "cpuinfo") is wanted
    assert cpu_computes_bf16(tmp_path / "absent") is False


def test_threads_are_set_when_they_are_asked_for() -> None:
    FaceRestorer(RestorerConfig(device="cpu", threads=3))
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_result_does_not_depend_on_the_number_of_threads(crops: list[Crop], precision: str) -> None:
    results = []
    for threads in (1, 2, 3):
        restore = FaceRestorer(RestorerConfig(device="cpu", precision=precision, threads=threads))
        results.append(restore(crops[:1])[0])
    if precision == "fp32" and cpu_computes_bf16():  # not the default there: see the module's docstring
        assert max(int(np.abs(results[0].astype(int) - other).max()) for other in results[1:]) <= 1
        return
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_weights_that_are_too_large_are_refused_before_they_are_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "large.pth"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    monkeypatch.setattr("vidrestore.models.zoo._hash", lambda _path: pytest.fail("it was read"))
    with pytest.raises(ModelError, match="no network that is used here has over"):
        FaceRestorer(RestorerConfig(model=str(path), device="cpu"))


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="not a clean GFP-GAN"):
        FaceRestorer(RestorerConfig(model=str(tmp_path / "other.pth"), device="cpu"))


@pytest.fixture
def on_cuda(cuda: torch.device) -> FaceRestorer:
    return FaceRestorer(RestorerConfig(device=str(cuda), batch_size_gpu=4))


@pytest.mark.gpu
def test_result_on_cuda_does_not_depend_on_how_crops_are_grouped(crops: list[Crop], on_cuda: FaceRestorer) -> None:
    for image, crop in zip(on_cuda(crops), crops, strict=True):
        assert np.array_equal(image, on_cuda([crop])[0])
        assert np.abs(np.subtract(image, restorer()([crop])[0], dtype=np.int16)).max() <= 6
