"""From a folder of faces to files of weights: prior, then restorer, then on from there."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from vidrestore.degradation.image.model import DegradationConfig
from vidrestore.errors import ConfigError, InputError, ModelError
from vidrestore.models.checkpoint import load_gfpgan, load_state_dict, save_safetensors
from vidrestore.models.gfpgan import GFPGAN, GFPGANConfig
from vidrestore.training import job
from vidrestore.training.data.dataset import FaceBatches
from vidrestore.training.gan.initialization import MEAN_CODE
from vidrestore.training.gan.prior import PriorConfig
from vidrestore.training.gan.trainer import RestorerConfig, RestorerTrainer
from vidrestore.training.gan.validation import LossModels
from vidrestore.training.job import CRITICS_FILE, RESTORER_FILE, TrainingConfig, go_on_from, machine_of
from vidrestore.training.loop import log as journal_module
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.log import last_figures
from vidrestore.training.loop.run import RunConfig

pytestmark = pytest.mark.integration

TINY = GFPGANConfig(out_size=64, num_style_feat=16, channel_multiplier=1, num_mlp=2, narrow=1 / 32)
CONFIG = TrainingConfig(
    network=TINY,
    prior=PriorConfig(samples_for_distance=8),
    restorer=RestorerConfig(degradation=DegradationConfig(blur_sigma_pixels=(1, 2))),
    run=RunConfig(steps=2, log_every_steps=1),
    batch=4,
    held_out_share=0.2,
    cache="memory",
    precision="fp32",
    compile=False,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, face_pictures: Path) -> Path:
    """Two steps of a prior in `prior/`, and two of a restorer from it in `restorer/`, with the package's judges."""
    folder = tmp_path_factory.mktemp("trained")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "_open_board", lambda folder, step: None)  # noqa: ARG005
        machine = machine_of(CONFIG, "cpu")
        prior = job.train_prior(CONFIG, face_pictures, folder / "prior", machine)
        job.train_restorer(CONFIG, face_pictures, folder / "restorer", machine, prior=prior)
    torch.set_num_threads(threads)
    return folder


@pytest.fixture(autouse=True)
def without_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_open_board", lambda folder, step: None)  # noqa: ARG005


@pytest.fixture
def quick_judges(monkeypatch: pytest.MonkeyPatch, judges: LossModels) -> None:
    monkeypatch.setattr(job, "_perceptual", lambda name: judges.perceptual)  # noqa: ARG005
    monkeypatch.setattr(job, "load_identity", lambda name: judges.identity)  # noqa: ARG005


def test_the_priors_decoder_is_gfpgans_key_for_key(trained: Path) -> None:
    prior = load_state_dict(trained / "prior" / job.PRIOR_FILE)
    assert prior.pop(MEAN_CODE).shape == (16,)
    GFPGAN(TINY).stylegan_decoder.load_state_dict(prior, strict=True)


def test_the_restorer_starts_from_the_prior(trained: Path) -> None:
    """After two steps of warm-up its average has hardly moved."""
    prior = load_state_dict(trained / "prior" / job.PRIOR_FILE)
    state = load_gfpgan(trained / "restorer" / RESTORER_FILE).state_dict()
    for name in ("constant_input.weight", "style_convs.3.modulated_conv.weight", "noises.noise4"):
        torch.testing.assert_close(state[f"stylegan_decoder.{name}"], prior[name], atol=2e-3, rtol=2e-3)
    codes = state["final_linear.bias"].reshape(TINY.num_latent, 16)
    torch.testing.assert_close(codes, prior[MEAN_CODE].expand_as(codes), atol=2e-3, rtol=2e-3)


def test_the_restorers_weights_load_as_a_gfpgan_and_draw(trained: Path) -> None:
    path = trained / "restorer" / RESTORER_FILE
    network = load_gfpgan(path)
    assert network.config == TINY
    with torch.inference_mode():
        image = network(torch.rand(2, 3, 64, 64) * 2 - 1)
    assert image.shape == (2, 3, 64, 64)
    assert torch.isfinite(image).all()
    assert {tensor.dtype for tensor in load_state_dict(path).values()} == {torch.float16}
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"steps": "2", "faces": "8"}


def test_the_folder_holds_log_checkpoint_pictures_and_critics(trained: Path) -> None:
    names = {entry.name for entry in (trained / "restorer").iterdir()}
    assert names == {RESTORER_FILE, CRITICS_FILE, "metrics.jsonl", "pictures", "state-00000002.pt"}
    lines = [json.loads(line) for line in (trained / "restorer" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 2]
    assert "evaluation/protocol/identity" in lines[-1]


def make_trainer(
    batches: FaceBatches, judges: LossModels, machine: DistributedContext, network: GFPGANConfig = TINY
) -> Any:
    return RestorerTrainer(network, replace(CONFIG.restorer, seed=7), batches, judges, machine)


def test_going_on_restores_weights_average_and_critics(
    trained: Path, batches: FaceBatches, judges: LossModels, machine: DistributedContext
) -> None:
    trainer = make_trainer(batches, judges, machine)
    go_on_from(trainer, trained / "restorer")
    state = load_gfpgan(trained / "restorer" / RESTORER_FILE).state_dict()
    critics = load_state_dict(trained / "restorer" / CRITICS_FILE)
    for network in (trainer.network, trainer.averaged):
        assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    for prefix, network in (("face.", trainer.discriminator), ("components.", trainer.components)):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, critics.pop(prefix + name).float())
    assert not critics
    assert trainer.step_number == 0
    assert all(torch.isfinite(value) for value in trainer.step().values())


def test_going_on_without_critics_keeps_fresh_ones(
    trained: Path, tmp_path: Path, batches: FaceBatches, judges: LossModels, machine: DistributedContext
) -> None:
    shutil.copy(trained / "restorer" / RESTORER_FILE, tmp_path)
    trainer, fresh = make_trainer(batches, judges, machine), make_trainer(batches, judges, machine)
    go_on_from(trainer, tmp_path)
    assert torch.equal(trainer.discriminator.from_rgb.weight, fresh.discriminator.from_rgb.weight)
    assert not torch.equal(trainer.network.final_linear.weight, fresh.network.final_linear.weight)


def test_going_on_from_another_network_or_from_nothing_is_a_model_error(
    trained: Path, tmp_path: Path, batches: FaceBatches, judges: LossModels, machine: DistributedContext
) -> None:
    other = make_trainer(batches, judges, machine, replace(TINY, num_style_feat=8))
    with pytest.raises(ModelError, match=r"gfpgan\.safetensors is of another network; train one of the same shape"):
        go_on_from(other, trained / "restorer")
    with pytest.raises(ModelError, match="does not exist"):
        go_on_from(other, tmp_path)


@pytest.mark.usefixtures("quick_judges")
def test_a_second_training_starts_from_the_first_and_counts_its_own_steps(
    trained: Path, tmp_path: Path, face_pictures: Path, machine: DistributedContext
) -> None:
    one_step = replace(CONFIG, run=RunConfig(steps=1))
    path = job.train_restorer(one_step, face_pictures, tmp_path, machine, start=trained / "restorer")
    first = load_gfpgan(trained / "restorer" / RESTORER_FILE).state_dict()
    second = load_gfpgan(path).state_dict()
    assert [state.name for state in tmp_path.glob("state-*")] == ["state-00000001.pt"]
    assert all((second[name] - first[name]).abs().max() < 2e-3 for name in first)


@pytest.mark.usefixtures("quick_judges")
def test_a_training_may_start_from_a_file_of_weights_alone(
    trained: Path, tmp_path: Path, face_pictures: Path, machine: DistributedContext
) -> None:
    weights = tmp_path / "shipped.safetensors"
    shutil.copy(trained / "restorer" / RESTORER_FILE, weights)
    path = job.train_restorer(
        replace(CONFIG, run=RunConfig(steps=1)), face_pictures, tmp_path / "on", machine, start=weights
    )
    first, second = load_gfpgan(weights).state_dict(), load_gfpgan(path).state_dict()
    assert all((second[name] - first[name]).abs().max() < 2e-3 for name in first)


def test_a_second_prior_goes_on_from_the_first_with_its_discriminator(
    trained: Path, tmp_path: Path, face_pictures: Path, machine: DistributedContext
) -> None:
    one_step = replace(CONFIG, prior=replace(CONFIG.prior, seed=5), run=RunConfig(steps=1))
    first_file = trained / "prior" / job.PRIOR_FILE
    second_file = job.train_prior(one_step, face_pictures, tmp_path / "on", machine, start=trained / "prior")
    anew_file = job.train_prior(one_step, face_pictures, tmp_path / "anew", machine)
    for name in (job.PRIOR_FILE, CRITICS_FILE):
        first, second, fresh = (load_state_dict(path.parent / name) for path in (first_file, second_file, anew_file))
        assert all((second[key].float() - first[key].float()).abs().max() < 0.05 for key in first)
        assert any((fresh[key].float() - first[key].float()).abs().max() > 0.05 for key in first)


def test_going_on_from_another_prior_or_from_a_bare_decoder_is_a_model_error(
    trained: Path, tmp_path: Path, face_pictures: Path, machine: DistributedContext
) -> None:
    other = replace(CONFIG, network=replace(TINY, num_mlp=1))
    with pytest.raises(ModelError, match=r"prior\.safetensors is of another network; train one of the same shape"):
        job.train_prior(other, face_pictures, tmp_path / "run", machine, start=trained / "prior")
    state = load_state_dict(trained / "prior" / job.PRIOR_FILE)
    del state[MEAN_CODE]
    save_safetensors(state, tmp_path / job.PRIOR_FILE, {})
    with pytest.raises(ModelError, match="has no mean_code; give the folder of a prior"):
        job.train_prior(CONFIG, face_pictures, tmp_path / "run", machine, start=tmp_path)


@pytest.mark.usefixtures("quick_judges")
def test_a_training_without_held_out_faces_comes_to_its_end(
    tmp_path: Path, face_pictures: Path, machine: DistributedContext
) -> None:
    config = replace(CONFIG, held_out_share=0.0, run=RunConfig(steps=1))
    assert job.train_restorer(config, face_pictures, tmp_path, machine).is_file()


@pytest.mark.usefixtures("quick_judges")
def test_at_most_so_many_held_out_faces_are_looked_at(
    tmp_path: Path, face_pictures: Path, machine: DistributedContext
) -> None:
    config = replace(CONFIG, held_out_share=0.5, evaluated_faces=3, run=RunConfig(steps=1))
    job.train_restorer(config, face_pictures, tmp_path, machine)
    assert last_figures(tmp_path)["faces"] == 3
    with pytest.raises(ConfigError, match="evaluated_faces is 0"):
        replace(CONFIG, evaluated_faces=0)


@pytest.mark.usefixtures("quick_judges")
def test_the_caller_hears_every_line_of_the_log(
    tmp_path: Path, face_pictures: Path, machine: DistributedContext
) -> None:
    heard: list[dict[str, float]] = []
    job.train_restorer(
        CONFIG, face_pictures, tmp_path, machine, on_log=lambda step, values: heard.append({"step": step, **values})
    )
    assert heard == [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.usefixtures("quick_judges")
def test_a_prior_of_another_shape_is_refused(
    trained: Path, tmp_path: Path, face_pictures: Path, machine: DistributedContext
) -> None:
    other = replace(CONFIG, network=replace(TINY, num_mlp=1))
    with pytest.raises(ModelError, match=r"this prior does not fit: 2 tensors differ, the first is style_mlp\.3\.bias"):
        job.train_restorer(other, face_pictures, tmp_path, machine, prior=trained / "prior" / job.PRIOR_FILE)


def test_a_folder_without_faces_is_refused(tmp_path: Path, machine: DistributedContext) -> None:
    with pytest.raises(InputError):
        job.train_prior(CONFIG, tmp_path, tmp_path / "run", machine)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch is 4, which 3 processes cannot share evenly"):
        machine_of(CONFIG, "cpu", rank=0, world=3)
    with pytest.raises(ConfigError, match="batch is 0"):
        replace(CONFIG, batch=0)
    assert machine_of(CONFIG, "cpu", rank=1, world=2) == DistributedContext(
        torch.device("cpu"), precision="fp32", compile=False, rank=1, world=2
    )


def test_processes_that_torchrun_starts_share_the_batch(tmp_path: Path) -> None:
    script = tmp_path / "joined.py"
    script.write_text(
        "import torch\n"
        "from vidrestore.training.job import TrainingConfig, machine_of\n"
        "machine = machine_of(TrainingConfig(batch=4), 'auto')\n"
        "mean = machine.mean(torch.tensor(float(machine.rank), device=machine.device))\n"
        "import pathlib, sys\n"
        "told = f'{machine.rank} of {machine.world}: {float(mean)}'\n"
        "pathlib.Path(sys.argv[1], str(machine.rank)).write_text(told)\n"
        "machine.wait()\n"
        "torch.distributed.destroy_process_group()\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(job.__file__).parents[2])}
    command += [str(script), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["0 of 2: 0.5", "1 of 2: 0.5"]
