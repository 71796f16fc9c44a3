import colorsys
import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from vidrestore.degradation.image.model import (
    Degradation,
    DegradationConfig,
    DegradationParameters,
    draw,
    preset,
    recolour,
)
from vidrestore.errors import ConfigError

PRESETS = ["clean", "film", "heavy", "light", "medium", "paper", "paper-256", "protocol"]
OFF = DegradationConfig()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(batch: int = 6, side: int = 64, seed: int = 0) -> Tensor:
    """float32 [B, 3, side, side] in [0, 1], not rounded: octaves of noise that fall with frequency."""
    generator = seeded(seed)
    images = torch.zeros(batch, 3, side, side)
    for octave in range(2, 7):
        grid = torch.randn(batch, 3, 2**octave, 2**octave, generator=generator)
        images += F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False) * 0.55**octave
    return (0.5 + images / 2).clamp(0, 1)


def neutral(batch: int, **changes: Tensor) -> DegradationParameters:
    """Parameters that change nothing, but for those given."""
    return draw(OFF, batch, seeded(), "cpu")._replace(**changes)


def psnr(images: Tensor, others: Tensor) -> float:
    return float(-10 * torch.log10((images - others).square().mean().clamp(min=1e-10)))


@pytest.mark.parametrize("name", PRESETS)
def test_output_is_finite_and_in_range(name: str) -> None:
    degraded, target = Degradation(preset(name))(photographs(), seeded())
    for images in (degraded, target):
        assert images.dtype == torch.float32
        assert images.shape == (6, 3, 64, 64)
        assert torch.isfinite(images).all()
        assert images.min() >= 0
        assert images.max() <= 1


@pytest.mark.parametrize("name", ["film", "paper"])
def test_one_seed_gives_one_result_and_another_seed_another(name: str) -> None:
    images, degrade = photographs(), Degradation(preset(name))
    first = degrade(images, seeded(3))
    assert torch.equal(first.degraded, degrade(images, seeded(3)).degraded)
    assert not torch.equal(first.degraded, degrade(images, seeded(4)).degraded)


@pytest.mark.parametrize("name", ["film", "paper-256"])
def test_a_sample_does_not_depend_on_the_others_of_its_batch(name: str) -> None:
    config, images, noise = preset(name), photographs(), torch.randn(6, 3, 64, 64, generator=seeded(9))
    degrade = Degradation(config)
    parameters = draw(config, 6, seeded(), "cpu")
    together = degrade.damage(images, parameters, noise).degraded
    order = torch.tensor([4, 1])
    chosen = DegradationParameters(*(values[order] for values in parameters))
    apart = degrade.damage(images[order], chosen, noise[order]).degraded
    assert psnr(apart, together[order]) > 60  # a sum in another order can tip a rounding of the JPEG step


def test_strengths_are_ordered() -> None:
    images = photographs(batch=16)
    levels = [
        psnr(Degradation(preset(name))(images, seeded()).degraded, images)
        for name in ("clean", "light", "medium", "heavy")
    ]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] == 100
    assert levels[1] - levels[2] > 1
    assert levels[2] - levels[3] > 1


def test_nothing_configured_returns_the_images_themselves() -> None:
    images = photographs()
    assert torch.equal(Degradation(OFF)(images, seeded()).degraded, images)
    everything_clean = dataclasses.replace(preset("paper"), clean_probability=1.0)
    assert torch.equal(Degradation(everything_clean)(images, seeded()).degraded, images)


@pytest.mark.parametrize(
    "config",
    [
        DegradationConfig(blur_sigma_pixels=(0, 5)),
        DegradationConfig(downscale_ratio=(1, 8), downscale_modes=("bicubic",), upscale_modes=("bicubic",)),
        DegradationConfig(noise_sigma_grey_levels=(0, 20)),
        DegradationConfig(shift_probability=0.5, jitter_probability=0.5, grey_probability=0.5),
    ],
    ids=["blur", "scale", "noise", "colour"],
)
def test_a_sample_whose_strength_is_nil_only_gets_rounded(config: DegradationConfig) -> None:
    images = (photographs() * 255).round() / 255
    degraded, target = Degradation(config).apply(images, neutral(6), seeded())
    torch.testing.assert_close(degraded, images, atol=1e-6, rtol=0)
    assert torch.equal(target, images)


def test_clean_samples_come_back_exactly_and_so_do_their_targets() -> None:
    config = dataclasses.replace(preset("paper"), grey_probability=1.0, clean_probability=0.5)
    images = photographs(batch=8)
    parameters = draw(config, 8, seeded(), "cpu")
    assert 0 < parameters.clean.sum() < 8
    degraded, target = Degradation(config).apply(images, parameters, seeded())
    assert torch.equal(degraded[parameters.clean], images[parameters.clean])
    assert torch.equal(target[parameters.clean], images[parameters.clean])
    same = (degraded == images).flatten(1).all(dim=1)
    assert torch.equal(same, parameters.clean)


def test_input_is_not_written_to() -> None:
    images = photographs()
    before = images.clone()
    Degradation(preset("paper"))(images, seeded())
    assert torch.equal(images, before)


@pytest.mark.parametrize("grey_target", [True, False])
def test_target_turns_grey_with_its_image_when_asked(*, grey_target: bool) -> None:
    config = DegradationConfig(grey_probability=1.0, grey_target=grey_target)
    images = photographs()
    degraded, target = Degradation(config)(images, seeded())
    expected = np.stack([cv2.cvtColor(image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for image in images])
    for channel in range(3):
        np.testing.assert_allclose(degraded[:, channel], expected, atol=0.51 / 255)
    if grey_target:
        np.testing.assert_allclose(target[:, 1], expected, atol=1e-5)
    else:
        assert torch.equal(target, images)


def test_damage_equals_the_reference_made_of_opencv_calls() -> None:
    image = (photographs(batch=1, side=128) * 255).round() / 255
    config = DegradationConfig(blur_sigma_pixels=(0, 3), downscale_ratio=(1, 8), jpeg_quality=(1, 100))
    parameters = neutral(
        1,
        sigma_x=torch.tensor([1.5]),
        sigma_y=torch.tensor([1.5]),
        ratio=torch.tensor([2.9]),
        quality=torch.tensor([60.0]),
    )
    result = Degradation(config).apply(image, parameters, seeded()).degraded

    picture = cv2.cvtColor(image[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2BGR)
    picture = cv2.GaussianBlur(picture, (25, 25), 1.5)
    picture = cv2.resize(picture, (44, 44), interpolation=cv2.INTER_LINEAR)
    done, coded = cv2.imencode(".jpg", (picture * 255).round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 60])
    assert done
    picture = cv2.imdecode(coded, cv2.IMREAD_COLOR).astype(np.float32) / 255
    picture = cv2.cvtColor(cv2.resize(picture, (128, 128), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
    assert psnr(result[0], torch.from_numpy(picture).permute(2, 0, 1)) > 45


def test_noise_has_the_drawn_sigma_and_is_grey_where_drawn() -> None:
    config = DegradationConfig(noise_sigma_grey_levels=(0, 20))
    images = torch.full((2, 3, 128, 128), 0.5)
    parameters = neutral(2, noise_sigma=torch.tensor([5.0, 15.0]) / 255, grey_noise=torch.tensor([False, True]))
    error = (Degradation(config).apply(images, parameters, seeded()).degraded - images) * 255
    assert error[0].std().item() == pytest.approx(5, rel=0.02)
    assert error[1].std().item() == pytest.approx(15, rel=0.02)
    assert not torch.equal(error[0, 0], error[0, 1])
    assert torch.equal(error[1, 0], error[1, 2])


def test_one_draw_serves_a_clip_with_fresh_noise_in_every_frame() -> None:
    config = preset("medium")
    parameters = draw(config, 2, seeded(), "cpu").repeated(3)
    assert torch.equal(parameters.ratio[:3], parameters.ratio[:1].expand(3))
    assert parameters.ratio[2] != parameters.ratio[3]
    assert parameters.shift.shape == (6, 3)
    still = photographs(batch=1).expand(6, -1, -1, -1)
    degraded = Degradation(config).apply(still, parameters, seeded()).degraded
    assert not torch.equal(degraded[0], degraded[1])
    assert psnr(degraded[0], degraded[1]) > psnr(degraded[0], still[0])


@pytest.mark.parametrize("name", PRESETS)
def test_drawn_parameters_stay_in_their_ranges(name: str) -> None:
    config = preset(name)
    p = draw(config, 4096, seeded(), "cpu")
    for values, (low, high) in [
        (p.sigma_x, config.blur_sigma_pixels),
        (p.sigma_y, config.blur_sigma_pixels),
        (p.ratio, config.downscale_ratio),
        (p.noise_sigma * 255, config.noise_sigma_grey_levels),
        (p.quality, config.jpeg_quality or (100, 100)),
    ]:
        assert low - 1e-5 <= values.min()
        assert values.max() <= high + 1e-5
        assert values.mean().item() == pytest.approx((low + high) / 2, rel=0.05)
    assert torch.equal(p.quality, p.quality.round())
    assert p.clean.float().mean().item() == pytest.approx(config.clean_probability, abs=0.02)
    assert p.grey.float().mean().item() == pytest.approx(config.grey_probability, abs=0.01)
    assert (p.hue != 0).float().mean().item() == pytest.approx(config.jitter_probability, abs=0.03)
    assert (p.shift != 0).all(dim=1).float().mean().item() == pytest.approx(config.shift_probability, abs=0.03)
    assert (p.sigma_x != p.sigma_y).float().mean().item() == pytest.approx(0.5 * (config != OFF), abs=0.03)
    assert int(p.downscale_mode.max()) == len(config.downscale_modes) - 1


def test_colours_by_hand() -> None:
    image = torch.tensor([0.8, 0.4, 0.2]).view(1, 3, 1, 1)

    def result(**changes: Tensor) -> list[float]:
        return recolour(image, neutral(1, **changes)).flatten().tolist()

    luma = 0.299 * 0.8 + 0.587 * 0.4 + 0.114 * 0.2
    assert result() == pytest.approx([0.8, 0.4, 0.2])
    assert result(shift=torch.tensor([[0.3, -0.1, 0.0]])) == pytest.approx([1.0, 0.3, 0.2])
    assert result(brightness=torch.tensor([1.5])) == pytest.approx([1.0, 0.6, 0.3])
    assert result(saturation=torch.tensor([0.0])) == pytest.approx([luma] * 3)
    assert result(contrast=torch.tensor([0.5])) == pytest.approx([(luma + c) / 2 for c in (0.8, 0.4, 0.2)])
    assert result(grey=torch.tensor([True])) == pytest.approx([luma] * 3)


@pytest.mark.parametrize("turns", [-0.4, -0.1, 0.05, 0.5])
def test_hue_is_turned_as_colorsys_does(turns: float) -> None:
    colours = torch.cat(
        (torch.rand(29, 3, generator=seeded()), torch.tensor([[0.0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.1]]))
    )
    turned = recolour(colours.T[None, :, :, None], neutral(1, hue=torch.tensor([turns])))[0, :, :, 0].T
    for before, after in zip(colours.tolist(), turned.tolist(), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        assert after == pytest.approx(colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value), abs=1e-5)


def test_half_precision_context_does_not_coarsen_the_result() -> None:
    images, degrade = photographs(), Degradation(preset("medium"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = degrade(images, seeded()).degraded
    assert torch.equal(inside, degrade(images, seeded()).degraded)


def test_images_of_another_type_or_layout_are_refused() -> None:
    degrade = Degradation(preset("light"))
    with pytest.raises(AssertionError, match="wanted float32"):
        degrade(torch.zeros(1, 3, 32, 32, dtype=torch.bfloat16), seeded())
    with pytest.raises(AssertionError, match="wanted float32"):
        degrade(torch.zeros(1, 32, 32, 3), seeded())


def test_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"'hevy' is unknown.*clean, film, grey, heavy, light, medium, paper, paper-256"
    ):
        preset("hevy")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"blur_sigma_pixels": (5.0, 1.0)}, "blur_sigma_pixels is"),
        ({"blur_sigma_pixels": (float("nan"), 1.0)}, "blur_sigma_pixels is"),
        ({"downscale_ratio": (0.8, 8.0)}, "within 1 to 16"),
        ({"downscale_ratio": (1.0, 20.0)}, "within 1 to 16"),
        ({"jpeg_quality": (0, 50)}, "jpeg_quality is"),
        ({"hue_turns": (-0.6, 0.1)}, "hue_turns is"),
        ({"noise_sigma_grey_levels": (5.0,)}, "noise_sigma_grey_levels is"),
        ({"clean_probability": 1.2}, "clean_probability is 1.2"),
        ({"grey_probability": -0.1}, "use 0 to 1"),
        ({"downscale_modes": ()}, "downscale_modes is"),
        ({"upscale_modes": ("area",)}, "use one or more of bilinear, bicubic"),
    ],
)
def test_values_that_cannot_be_drawn_from_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DegradationConfig(**changes)
