"""Training the prior: exact resume, critics that learn, and regularisers at their steps."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidrestore.errors import ConfigError, TrainingError
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.training.gan import prior as prior_module
from vidrestore.training.gan.augmentation import AugmentationConfig
from vidrestore.training.gan.prior import PriorConfig, PriorTrainer
from vidrestore.training.loop import log as journal_module
from vidrestore.training.loop.run import Checkpoints, RunConfig, run

pytestmark = pytest.mark.integration

Make = Callable[..., PriorTrainer]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TensorBoard, and small features for the distance of crowds."""

    class Features(nn.Module):
        def forward(self, images: Tensor) -> tuple[Tensor, ...]:
            return (nn.functional.avg_pool2d(images, 16),)

    monkeypatch.setattr(journal_module, "_open_board", lambda folder, step: None)  # noqa: ARG005
    monkeypatch.setattr(prior_module, "MobileNetV2Features", Features)


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("stop", [1, 4])
def test_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path, make_prior: Make, differences: Callable[[Any, Any], list[str]], stop: int
) -> None:
    """R1 every third step, path length every second, augmentation moving every third: stops fall between."""
    whole = make_prior()
    run(whole, RunConfig(steps=7), tmp_path / "whole")
    run(make_prior(), RunConfig(steps=stop), tmp_path / "parts")
    torch.manual_seed(99)
    resumed = make_prior()
    assert run(resumed, RunConfig(steps=7), tmp_path / "parts") == 7
    assert resumed.step_number == 7
    assert not differences(whole.state_dict(), resumed.state_dict())
    assert torch.equal(whole.sample(2), resumed.sample(2))
    assert whole.state_dict()["path_mean"] > 0
    assert whole.state_dict()["augmentation"]["probability"] != pytest.approx(0.3)


def test_another_seed_gives_another_prior(make_prior: Make, differences: Callable[[Any, Any], list[str]]) -> None:
    first, other = make_prior(), make_prior(seed=1)
    first.step()
    other.step()
    assert differences(first.averaged.state_dict(), other.averaged.state_dict())


def test_a_step_moves_generator_discriminator_and_average(make_prior: Make) -> None:
    trainer = make_prior()
    before = [snapshot(network) for network in (trainer.decoder, trainer.discriminator, trainer.averaged)]
    told = trainer.step()
    assert list(told) == ["generator", "discriminator", "real_sign", "augmentation", "path_length"]
    for network, state in zip((trainer.decoder, trainer.discriminator, trainer.averaged), before, strict=True):
        moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, state[name])}
        assert moved == {name for name, _ in network.named_parameters()}
    assert trainer.mean_code.abs().sum() > 0


def test_each_step_leaves_gradients_in_its_own_network_only(make_prior: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_prior()
    learn, criticise = trainer._generator.learn, trainer._critic.learn
    seen: list[str] = []

    def generator_learns(loss: Tensor, **options: float) -> Tensor:
        norm = learn(loss, **options)
        if not seen:
            assert all(parameter.grad is None for parameter in trainer.discriminator.parameters())
            assert all(parameter.grad is not None for parameter in trainer.decoder.parameters())
        seen.append("generator")
        return norm

    def critic_learns(loss: Tensor, **options: float) -> Tensor:
        before = [parameter.grad.clone() for parameter in trainer.decoder.parameters() if parameter.grad is not None]
        norm = criticise(loss, **options)
        after = [parameter.grad for parameter in trainer.decoder.parameters() if parameter.grad is not None]
        assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
        seen.append("critic")
        return norm

    monkeypatch.setattr(trainer._generator, "learn", generator_learns)
    monkeypatch.setattr(trainer._critic, "learn", critic_learns)
    for _ in range(4):
        trainer.step()
    both, lazy = ["generator", "critic"], {"r1": ["critic"], "path": ["generator"]}
    assert seen == [*both, *lazy["r1"], *lazy["path"], *both, *both, *lazy["path"], *both, *lazy["r1"]]


def test_the_discriminator_learns_to_tell_real_from_made(make_prior: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make_prior(augmentation=AugmentationConfig(), path_weight=0.0, r1_every_steps=100, learning_rate=0.005)
    monkeypatch.setattr(trainer._generator, "learn", lambda loss: None)  # noqa: ARG005  the generator stands still
    start = trainer.step()["discriminator"].item()
    for _ in range(30):
        told = trainer.step()
    assert start == pytest.approx(2 * math.log(2), abs=0.5)
    assert told["discriminator"] < 0.4 * start
    assert told["real_sign"] > 0.9


def test_the_generator_learns_to_please_a_discriminator_that_stands_still(
    make_prior: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_prior(augmentation=AugmentationConfig(), path_weight=0.0, r1_every_steps=100, learning_rate=0.01)
    monkeypatch.setattr(trainer._critic, "learn", lambda loss: None)  # noqa: ARG005
    start = trainer.step()["generator"].item()
    for _ in range(15):
        told = trainer.step()
    assert told["generator"] < 0.8 * start


def test_the_regularisers_weigh_what_the_configuration_says(make_prior: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lazy steps come after the ordinary one of each network, multiplied by their interval."""
    taken = {}
    for factor in (1.0, 3.0):
        trainer = make_prior(path_weight=2 * factor, r1_gamma=factor, clip=1e-6, learning_rate=1e-12)
        for name, learner in (("path", trainer._generator), ("r1", trainer._critic)):
            learn = learner.learn

            def watched(loss: Tensor, key: str = f"{name} {factor}", learn: Any = learn) -> Tensor:
                taken.setdefault(key, []).append(loss.item())
                norm: Tensor = learn(loss)
                return norm

            monkeypatch.setattr(learner, "learn", watched)
        trainer.step()
    for name in ("path", "r1"):
        (ordinary, lazy), (ordinary_other, lazy_other) = taken[f"{name} 1.0"], taken[f"{name} 3.0"]
        assert lazy > 0
        assert lazy_other == pytest.approx(3 * lazy, rel=1e-4)
        assert ordinary_other == pytest.approx(ordinary, rel=1e-4)


def test_without_path_length_its_mean_stays_zero(make_prior: Make) -> None:
    trainer = make_prior(path_weight=0.0)
    trainer.step()
    assert trainer.step()["path_length"] == 0


def test_mixed_codes_follow_a_second_face_above_the_crossing_alone(make_prior: Make, tiny: GFPGANConfig) -> None:
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        codes = make_prior(style_mixing=1.0)._codes(64, random)
        alone = make_prior(style_mixing=0.0)._codes(64, random)
    assert codes.shape == (64, tiny.num_latent, tiny.num_style_feat)
    changes = (codes[:, 1:] != codes[:, :-1]).any(dim=2).sum(dim=1)
    assert (changes == 1).all()
    crossings = (codes[:, 1:] != codes[:, :-1]).any(dim=2).float().argmax(dim=1)
    assert set(crossings.tolist()) == set(range(tiny.num_latent - 1))
    assert (alone == alone[:, :1]).all()


def test_samples_pull_together_under_truncation_and_are_the_same_at_every_call(make_prior: Make) -> None:
    trainer = make_prior()
    for _ in range(3):
        trainer.step()
    far, near, mean = trainer.sample(33), trainer.sample(33, truncation=0.5), trainer.sample(33, truncation=0.0)
    assert far.shape == (33, 3, 64, 64)
    assert torch.equal(far, trainer.sample(33))
    assert near.std(dim=0).mean() < far.std(dim=0).mean()
    assert mean.std(dim=0).max() < 1e-5
    assert trainer.picture().shape == (4 * 64, 8 * 64, 3)


def test_evaluation_is_a_distance_of_crowds(make_prior: Make) -> None:
    trainer = make_prior()
    first = trainer.evaluate()
    assert list(first) == ["feature_distance"]
    assert first["feature_distance"] > 0
    assert trainer.evaluate() == first


@pytest.mark.parametrize("broken", ["generator", "discriminator"])
def test_a_loss_that_turns_nan_ends_the_run_before_a_broken_checkpoint(
    tmp_path: Path, make_prior: Make, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    trainer = make_prior()
    adversarial = getattr(prior_module.losses, f"{broken}_adversarial")

    def breaks(*logits: Tensor) -> Tensor:
        loss: Tensor = adversarial(*logits)
        return loss * math.nan if trainer.step_number == 4 else loss  # during the fifth step

    monkeypatch.setattr(prior_module.losses, f"{broken}_adversarial", breaks)
    config = RunConfig(steps=20, log_every_steps=2, checkpoint_every_steps=3, evaluate_every_steps=3)
    with pytest.raises(TrainingError, match=f"diverged at step 5: {broken} is nan"):
        run(trainer, config, tmp_path)
    assert [path.name for path in Checkpoints(tmp_path, keep=2).paths()] == ["state-00000003.pt"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(value) for line in lines for value in line.values())
    monkeypatch.undo()
    fresh = make_prior()
    Checkpoints(tmp_path, keep=2).restore(fresh)
    assert fresh.step_number == 3
    assert torch.isfinite(fresh.step()["generator"])


def test_a_folder_of_another_configuration_is_refused(tmp_path: Path, make_prior: Make) -> None:
    run(make_prior(), RunConfig(steps=1), tmp_path)
    with pytest.raises(TrainingError, match="is of another run"):
        run(make_prior(learning_rate=0.001), RunConfig(steps=2), tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0.0},
        {"r1_gamma": -1.0},
        {"clip": 0.0},
        {"average_half_life_images": 0},
        {"r1_every_steps": 0},
        {"path_every_steps": 0},
        {"samples_for_distance": 0},
        {"style_mixing": 1.5},
        {"truncation": -0.1},
        {"r1_batch_share": 2.0},
        {"path_batch_share": -1.0},
    ],
)
def test_impossible_trainings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        PriorConfig(**options)
