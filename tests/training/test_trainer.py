"""Training the restorer: exact resume, learning, and gradients that go where they should and nowhere else."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vidrestore.degradation.image.model import DegradationConfig
from vidrestore.errors import ConfigError, TrainingError
from vidrestore.models.gfpgan import GFPGANConfig
from vidrestore.training.data.dataset import FaceBatches, FaceFolder
from vidrestore.training.data.jitter import JitterConfig, jitter
from vidrestore.training.data.medium_mix import MediumMixConfig
from vidrestore.training.gan import losses
from vidrestore.training.gan.augmentation import AugmentationConfig
from vidrestore.training.gan.components import component_boxes, crop_components
from vidrestore.training.gan.losses import LossWeights
from vidrestore.training.gan.trainer import COMPONENTS, RestorerConfig, RestorerTrainer
from vidrestore.training.gan.validation import LossModels
from vidrestore.training.loop import log as journal_module
from vidrestore.training.loop.distributed import DistributedContext
from vidrestore.training.loop.optimizer import ScheduleConfig
from vidrestore.training.loop.run import Checkpoints, RunConfig, run

pytestmark = pytest.mark.integration

Make = Callable[..., RestorerTrainer]
FIXED = DegradationConfig(blur_sigma_pixels=(2, 2), anisotropic_probability=0)
PLAIN = LossWeights(
    perceptual=0, pyramid=1, l1=1, identity=0, adversarial=0, component_adversarial=0, component_style=0
)
AT_ONCE = ScheduleConfig(warmup_steps=0, decay_share=0)


@pytest.fixture(autouse=True)
def without_board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_open_board", lambda folder, step: None)  # noqa: ARG005


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def moved(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}


def example_of(trainer: RestorerTrainer) -> Any:
    return trainer._example(0, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("stop", "jittered"), [(2, False), (4, False), (4, True)])
def test_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path, make_restorer: Make, differences: Callable[[Any, Any], list[str]], *, stop: int, jittered: bool
) -> None:
    """R1 every third step, augmentation moving every third, discriminators from step 2: stops fall between."""
    options: dict[str, Any] = {"adversarial_from_step": 2, "held_out": None}
    options |= {"jitter": JitterConfig(probability=0.7)} if jittered else {}
    whole = make_restorer(**options)
    run(whole, RunConfig(steps=6, log_every_steps=1), tmp_path / "whole")
    run(make_restorer(**options), RunConfig(steps=stop, log_every_steps=1), tmp_path / "parts")
    resumed = make_restorer(**options)
    torch.manual_seed(99)
    assert run(resumed, RunConfig(steps=6, log_every_steps=1), tmp_path / "parts") == 6
    assert not differences(whole.state_dict(), resumed.state_dict())
    assert whole.state_dict()["augmentation"]["probability"] != pytest.approx(0.3)
    whole_log, parts_log = (
        {line["step"]: line["total"] for line in map(json.loads, text.splitlines()) if "total" in line}
        for text in ((tmp_path / part / "metrics.jsonl").read_text() for part in ("whole", "parts"))
    )
    assert whole_log == parts_log


def test_one_batch_is_learned_by_heart(
    tiny: GFPGANConfig, faces: FaceFolder, judges: LossModels, machine: DistributedContext
) -> None:
    few = replace(faces, names=faces.names[:2], landmarks=faces.landmarks[:2], sides=faces.sides[:2])
    batches = FaceBatches(few, batch=2, seed=0, device="cpu", flip=False)
    config = RestorerConfig(
        clip=10, weights=PLAIN, degradation=FIXED, schedule=AT_ONCE, learning_rate=5e-3, decoder_learning_rate=5e-3
    )
    trainer = RestorerTrainer(tiny, config, batches, judges, machine)
    told = [trainer.step() for _ in range(40)]
    assert told[-1]["l1"] < 0.5 * told[0]["l1"]
    assert told[-1]["pyramid"] < 0.5 * told[0]["pyramid"]
    assert told[-1]["total"] < 0.5 * told[0]["total"]


def test_the_paper_losses_fall_together(make_restorer: Make) -> None:
    trainer = make_restorer(
        degradation=FIXED, schedule=AT_ONCE, learning_rate=3e-3, decoder_learning_rate=5e-3, augmentation=None
    )
    told = [trainer.step() for _ in range(12)]
    assert told[-1]["total"] < 0.9 * told[0]["total"]
    assert told[-1]["perceptual"] < 0.9 * told[0]["perceptual"]


def test_every_network_that_learns_moves_and_the_judges_do_not(make_restorer: Make) -> None:
    trainer = make_restorer(schedule=AT_ONCE, average_half_life_images=10)
    judged = [snapshot(trainer.judges.perceptual), snapshot(trainer.judges.identity)]
    networks = (trainer.network, trainer.averaged, trainer.discriminator, trainer.components)
    before = [snapshot(network) for network in networks]
    for _ in range(2):
        trainer.step()
    for network, state in zip(networks, before, strict=True):
        still = {name for name, _ in network.named_parameters()} - moved(network, state)
        assert all("style_mlp" in name for name in still)  # the codes are latents already
    assert not moved(trainer.judges.perceptual, judged[0])
    assert not moved(trainer.judges.identity, judged[1])
    for judge in (trainer.judges.perceptual, trainer.judges.identity):
        assert all(parameter.grad is None for parameter in judge.parameters())


def test_a_decoder_at_rate_zero_stays_as_it_is_to_the_bit_while_the_unet_learns(make_restorer: Make) -> None:
    trainer = make_restorer(decoder_learning_rate=0.0, schedule=AT_ONCE, average_half_life_images=10)
    before, averaged = snapshot(trainer.network), snapshot(trainer.averaged)
    for _ in range(2):
        trainer.step()
    inside = {name for name in before if name.startswith("stylegan_decoder.")}
    assert all(parameter.grad is None for parameter in trainer.network.stylegan_decoder.parameters())
    assert moved(trainer.network, before) == before.keys() - inside
    assert moved(trainer.averaged, averaged) == before.keys() - inside


def test_discriminators_rest_before_their_first_step_and_teach_nothing(make_restorer: Make) -> None:
    trainer = make_restorer(adversarial_from_step=2)
    before = [snapshot(trainer.discriminator), snapshot(trainer.components)]
    for _ in range(2):
        told = trainer.step()
        assert told["adversarial"] == told["component_adversarial"] == told["discriminator"] == 0
    assert not moved(trainer.discriminator, before[0])
    assert not moved(trainer.components, before[1])
    told = trainer.step()
    assert min(told["adversarial"], told["component_adversarial"], told["discriminator"]) > 0
    assert moved(trainer.discriminator, before[0]) == before[0].keys()
    assert moved(trainer.components, before[1]) == before[1].keys()


def test_discriminators_may_learn_before_they_teach(make_restorer: Make) -> None:
    trainer = make_restorer(adversarial_from_step=3, critics_ahead_steps=2)
    told = [trainer.step() for _ in range(4)]
    assert [bool(step["discriminator"]) for step in told] == [False, True, True, True]
    assert [bool(step["component_discriminator"]) for step in told] == [False, True, True, True]
    assert [bool(step["adversarial"]) for step in told] == [False, False, False, True]


def test_colours_count_where_they_are_given_a_weight(make_restorer: Make) -> None:
    plain, coloured = (
        make_restorer(weights=replace(LossWeights(), chroma=chroma, component_chroma=2 * chroma)).step()
        for chroma in (0, 3)
    )
    assert plain["chroma"] == plain["component_chroma"] == 0
    assert min(coloured["chroma"], coloured["component_chroma"]) > 0
    more = coloured["chroma"] + coloured["component_chroma"]
    assert coloured["total"].item() == pytest.approx((plain["total"] + more).item(), rel=1e-4)


@pytest.mark.parametrize(
    ("weight", "resting"),
    [("adversarial", {"discriminator"}), ("component_adversarial", set()), ("component_style", set())],
)
def test_a_discriminator_whose_losses_weigh_nothing_is_not_trained(
    make_restorer: Make, weight: str, resting: set[str]
) -> None:
    trainer = make_restorer(weights=replace(LossWeights(), **{weight: 0.0}))
    before = {"discriminator": snapshot(trainer.discriminator), "components": snapshot(trainer.components)}
    trainer.step()
    assert {name for name, state in before.items() if not moved(getattr(trainer, name), state)} == resting


def test_the_generators_step_leaves_no_gradient_in_the_discriminators(
    make_restorer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_restorer()
    learn = trainer._generator.learn

    def watched(loss: Tensor, **options: float) -> Tensor:
        norm = learn(loss, **options)
        for discriminator in (trainer.discriminator, trainer.components):
            assert all(parameter.grad is None for parameter in discriminator.parameters())
        assert trainer.network.conv_body_first.weight.grad is not None
        return norm

    monkeypatch.setattr(trainer._generator, "learn", watched)
    monkeypatch.setattr(trainer, "_train_critics", lambda *arguments: {})  # noqa: ARG005
    for _ in range(2):
        trainer.step()


def test_the_critics_steps_leave_the_restorer_alone(make_restorer: Make) -> None:
    trainer = make_restorer()
    example, random = example_of(trainer), torch.Generator().manual_seed(1)
    before = snapshot(trainer.network)
    restored = trainer.network(example.damaged)
    trainer._train_critics(restored.detach(), example, random, 1.0)
    assert not moved(trainer.network, before)
    assert all(parameter.grad is None for parameter in trainer.network.parameters())


def outside(example: Any, name: str) -> Tensor:
    """bool [B, 1, H, W]: pixels that lie a pixel or more beyond the component's box."""
    left, top, right, bottom = example.boxes[name][0][:, :, None, None].unbind(dim=1)
    axis = torch.arange(64.0)
    x, y = axis[None, None, :], axis[None, :, None]
    inside = (x > left - 1) & (x < right + 1) & (y > top - 1) & (y < bottom + 1)
    return ~inside[:, None]


def component_gradients(trainer: RestorerTrainer, restored: Tensor, example: Any) -> dict[str, list[Tensor]]:
    """Of each component's discriminator, from its own part of the training of critics; nothing is cut or moved."""
    kept: dict[str, list[Tensor]] = {}

    def learn(loss: Tensor, *, rate: float) -> Tensor:
        assert rate == 1.0
        for name in COMPONENTS:
            parameters = list(trainer.components[name].parameters())
            kept[name] = list(torch.autograd.grad(loss, parameters, retain_graph=True))
        return loss

    trainer._component_critic.learn = learn  # type: ignore[method-assign]
    trainer._train_critics(restored, example, torch.Generator().manual_seed(1), 1.0)
    return kept


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_components_discriminator_learns_from_its_crop_alone(make_restorer: Make, name: str) -> None:
    trainer = make_restorer(weights=replace(LossWeights(), adversarial=0.0))
    example = example_of(trainer)
    restored = example.damaged.clone()
    scribbled = torch.where(outside(example, name), torch.randn_like(restored), restored)
    smeared = torch.where(outside(example, name), restored, torch.randn_like(restored))
    plain, same, other = (component_gradients(trainer, faces, example) for faces in (restored, scribbled, smeared))
    assert all(torch.equal(one, two) for one, two in zip(plain[name], same[name], strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(plain[name][::2], other[name][::2], strict=True))
    assert any(
        not torch.equal(one, two)
        for elsewhere in set(COMPONENTS) - {name}
        for one, two in zip(plain[elsewhere], same[elsewhere], strict=True)
    )


def test_a_component_teaches_the_restorer_within_its_box_alone(make_restorer: Make) -> None:
    trainer = make_restorer(weights=replace(LossWeights(), adversarial=0.0))
    example = example_of(trainer)
    for name in COMPONENTS:
        restored = example.damaged.clone().requires_grad_()
        alone = example._replace(boxes={name: example.boxes[name]})
        told = trainer._adversarial_losses(restored, alone, torch.Generator())
        losses.total(list(told.values())).backward()
        assert restored.grad is not None
        assert (restored.grad.abs() * outside(example, name)).max() == 0
        assert restored.grad.abs().max() > 0
        assert all(parameter.grad is None for parameter in trainer.components.parameters())


def test_crops_are_of_the_landmarks_of_each_face(make_restorer: Make, batches: FaceBatches) -> None:
    trainer = make_restorer()
    example = example_of(trainer)
    assert {name: side for name, (_, side) in example.boxes.items()} == {"left_eye": 10, "right_eye": 10, "mouth": 15}
    landmarks = batches.batch_at(0).landmarks
    for name, points in (("left_eye", landmarks[:, 0]), ("right_eye", landmarks[:, 1])):
        box = example.boxes[name][0]
        assert ((points > box[:, :2]) & (points < box[:, 2:])).all()
        assert crop_components(example.truth, *example.boxes[name]).shape == (4, 3, 10, 10)


def test_damaged_input_is_in_whole_grey_levels_and_the_truth_is_the_face(
    make_restorer: Make, batches: FaceBatches
) -> None:
    example = example_of(make_restorer())
    levels = (example.damaged + 1) * 127.5
    assert (levels - levels.round()).abs().max() < 1e-3
    assert levels.min() > -1e-3
    assert levels.max() < 255.001
    torch.testing.assert_close((example.truth + 1) * 127.5, batches.batch_at(0).images.float(), atol=1e-3, rtol=0)


def test_crops_follow_faces_that_are_jittered(make_restorer: Make, batches: FaceBatches) -> None:
    config = JitterConfig(probability=1, shift=0.1, turn_degrees=20)
    example = example_of(make_restorer(jitter=config, degradation=DegradationConfig()))
    batch = batches.batch_at(0)
    faces = jitter(batch.images.float() / 255, batch.landmarks, config, torch.Generator().manual_seed(0))
    assert torch.allclose(example.truth, faces.images * 2 - 1, atol=1e-6)
    wanted = component_boxes(faces.landmarks, batch.images.shape[-1])
    assert torch.equal(example.boxes["mouth"][0], wanted.mouth)
    assert not torch.allclose(wanted.mouth, component_boxes(batch.landmarks, 64).mouth, atol=0.5)


def test_what_a_video_damaged_is_held_against_the_face_as_it_was(make_restorer: Make, faces: FaceFolder) -> None:
    medium_mix = MediumMixConfig(share=0.5, preset="lowbitrate", frames=2, workers=1)
    with FaceBatches(faces, batch=4, seed=0, device="cpu", medium_mix=medium_mix) as fed:
        trainer = make_restorer(jitter=JitterConfig(probability=1, shift=0.1), faces=fed)
        batch, example = fed.batch_at(0), example_of(trainer)
        assert batch.twins is not None
        assert torch.allclose(example.damaged[:2], batch.twins / 127.5 - 1, atol=1e-6)
        assert torch.allclose(example.truth[:2], batch.images[:2] / 127.5 - 1, atol=1e-6)
        assert torch.equal(example.boxes["mouth"][0][:2], component_boxes(batch.landmarks[:2], 64).mouth)
        assert not torch.allclose(example.truth[2:], batch.images[2:] / 127.5 - 1, atol=0.1)
        assert trainer.state_dict()["signature"]["medium_mix"]["preset"] == "lowbitrate"


def test_the_told_names_are_the_same_at_every_step(make_restorer: Make) -> None:
    trainer = make_restorer(adversarial_from_step=1, pyramid_until_step=1)
    first, second = trainer.step(), trainer.step()
    assert list(first) == list(second)
    assert first["pyramid"] > 0
    assert second["pyramid"] == 0


def test_the_total_is_the_sum_of_what_the_generator_is_told(make_restorer: Make) -> None:
    told = make_restorer(weights=replace(LossWeights(), style=1.0)).step()
    names = ("l1", "pyramid", "perceptual", "style", "identity", "adversarial", "component_adversarial")
    assert told["total"].item() == pytest.approx(
        sum(told[name].item() for name in (*names, "component_style")), rel=1e-5
    )
    assert all(told[name] > 0 for name in names)


def test_the_schedule_scales_what_moves(make_restorer: Make) -> None:
    steps = []
    for warmup in (0, 9):
        trainer = make_restorer(schedule=ScheduleConfig(warmup_steps=warmup, decay_share=0))
        before = trainer.network.final_linear.weight.detach().clone()
        trainer.step()
        steps.append((trainer.network.final_linear.weight.detach() - before).abs().max().item())
    assert steps[1] == pytest.approx(steps[0] / 10, rel=1e-3)
    assert steps[0] == pytest.approx(4e-4, rel=1e-3)


def test_stored_noise_can_be_trained_under(make_restorer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for fresh in (True, False):
        trainer = make_restorer(fresh_noise=fresh)
        restore = trainer._restore

        def watched(damaged: Tensor, noises: Any, restore: Any = restore) -> Any:
            seen.append(noises)
            return restore(damaged, noises)

        monkeypatch.setattr(trainer, "_restore", watched)
        trainer.step()
    assert [tuple(noise.shape) for noise in seen[0]][-1] == (4, 1, 64, 64)
    assert seen[1] is None


def test_augmentation_is_steered_and_told(make_restorer: Make) -> None:
    trainer = make_restorer(augmentation=AugmentationConfig(initial=0.5, images_to_full=40, interval_steps=1))
    assert trainer.step()["augmentation"].item() in (pytest.approx(0.4), pytest.approx(0.6))
    assert make_restorer(augmentation=None).step()["augmentation"] == 0


@pytest.mark.parametrize("batch", [1, 3, 12])
def test_any_batch_trains_r1_included(
    tiny: GFPGANConfig, faces: FaceFolder, judges: LossModels, machine: DistributedContext, batch: int
) -> None:
    """Half of the default batch of 12 is no multiple of the four faces that a discriminator compares."""
    batches = FaceBatches(faces, batch=batch, seed=0, device="cpu")
    told = RestorerTrainer(tiny, RestorerConfig(degradation=FIXED), batches, judges, machine).step()
    assert all(torch.isfinite(value) for value in told.values())


@pytest.mark.parametrize("log_every", [1, 50])
def test_a_loss_that_turns_nan_ends_the_run_before_a_broken_checkpoint(
    tmp_path: Path, make_restorer: Make, monkeypatch: pytest.MonkeyPatch, log_every: int
) -> None:
    trainer = make_restorer(held_out=None)
    identity = losses.identity

    def breaks(one: Tensor, other: Tensor) -> Tensor:
        loss: Tensor = identity(one, other)
        return loss * math.nan if trainer.step_number == 4 else loss  # during the fifth step

    monkeypatch.setattr(losses, "identity", breaks)
    config = RunConfig(steps=20, log_every_steps=log_every, checkpoint_every_steps=3)
    with pytest.raises(TrainingError, match="diverged at step 5: identity is nan"):
        run(trainer, config, tmp_path)
    assert [path.name for path in Checkpoints(tmp_path, keep=2).paths()] == ["state-00000003.pt"]
    path = tmp_path / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    assert all(math.isfinite(value) for line in lines for value in line.values())
    assert [line["step"] for line in lines] == ([1, 2, 3, 4] if log_every == 1 else [])
    monkeypatch.undo()
    fresh = make_restorer(held_out=None)
    Checkpoints(tmp_path, keep=2).restore(fresh)
    assert fresh.step_number == 3
    assert torch.isfinite(fresh.step()["total"])


def test_a_folder_of_another_configuration_is_refused(tmp_path: Path, make_restorer: Make, make_prior: Any) -> None:
    run(make_restorer(held_out=None), RunConfig(steps=1), tmp_path)
    for other in (make_restorer(learning_rate=1e-5), make_prior()):
        with pytest.raises(TrainingError, match="is of another run"):
            run(other, RunConfig(steps=2), tmp_path)


def test_without_held_out_faces_a_run_shows_those_it_trains_on(tmp_path: Path, make_restorer: Make) -> None:
    trainer = make_restorer(held_out=None)
    assert trainer.evaluate() == {}
    assert run(trainer, RunConfig(steps=1), tmp_path) == 1
    assert len(list((tmp_path / "pictures").iterdir())) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": 0.0},
        {"discriminator_learning_rate": -1.0},
        {"clip": 0.0},
        {"average_half_life_images": 0.0},
        {"decoder_learning_rate": -1.0},
        {"r1_gamma": -1.0},
        {"adversarial_from_step": -1},
        {"critics_ahead_steps": -1},
        {"pyramid_until_step": -1},
        {"r1_every_steps": 0},
        {"r1_batch_share": 0.0},
    ],
)
def test_impossible_trainings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        RestorerConfig(**options)
