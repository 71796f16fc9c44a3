"""Drawn occluders: what is drawn, where it goes, and that the truth about it is true."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from vidrestore.errors import ConfigError
from vidrestore.restoration.face.compositor import face_mask
from vidrestore.training.occluders import accessory_sprites, hand_sprites, object_sprites
from vidrestore.training.occluders.occlude import OccluderConfig, dress, face_ellipse, occlude
from vidrestore.training.occluders.sprite_bank import Paint, SpriteBank, draw_bank
from vidrestore.training.occluders.sprite_placing import sampled, sampling_matrix
from vidrestore.training.occluders.sprite_shapes import SIDE, Sprite

PLAIN = OccluderConfig(probability=1, second_probability=0, accessory_probability=0, light_probability=0)
DRAWINGS = [
    *(hand_sprites.hand, hand_sprites.finger, hand_sprites.arm),
    *(object_sprites.bar, object_sprites.stick, object_sprites.microphone, object_sprites.cup, object_sprites.card),
    *(object_sprites.ball, object_sprites.blob, object_sprites.curtain, object_sprites.head, object_sprites.twigs),
    *(accessory_sprites.glasses, accessory_sprites.fringe, accessory_sprites.hat),
]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def bank_of(cover: torch.Tensor, colour: tuple[float, float, float]) -> SpriteBank:
    """One sprite of a colour of its own."""
    colours = torch.tensor(colour)[:, None, None].expand(3, SIDE, SIDE)
    planes = torch.cat((colours, cover[None])).mul(255).to(torch.uint8)[None]
    return SpriteBank(planes, torch.tensor([Paint.OWN]))


@pytest.fixture(scope="module")
def bank() -> SpriteBank:
    return draw_bank("occluders", 48, seed=0, device="cpu", processes=0)


@pytest.mark.parametrize("drawing", DRAWINGS, ids=lambda drawing: drawing.__name__)
def test_a_drawing_covers_something_and_is_decided_by_its_generator(
    drawing: Callable[[np.random.Generator], Sprite],
) -> None:
    for seed in range(3):
        sprite, again = drawing(np.random.default_rng(seed)), drawing(np.random.default_rng(seed))
        assert sprite.colours.shape == (SIDE, SIDE, 3)
        assert sprite.cover.dtype == sprite.colours.dtype == np.float32
        for plane in (sprite.colours, sprite.cover):
            assert np.isfinite(plane).all()
            assert plane.min() >= 0
            assert plane.max() <= 1
        assert 0.005 < sprite.cover.mean() < 0.95
        assert np.array_equal(sprite.cover, again.cover)
        assert np.array_equal(sprite.colours, again.colours)


@pytest.mark.parametrize(
    "drawing", [hand_sprites.hand, object_sprites.microphone, object_sprites.stick, object_sprites.card]
)
def test_what_ends_within_a_sprite_does_not_go_on_beyond_it(
    drawing: Callable[[np.random.Generator], Sprite],
) -> None:
    for seed in range(10):
        cover = drawing(np.random.default_rng(seed)).cover
        assert max(cover[0].max(), cover[:, 0].max(), cover[:, -1].max()) < 0.05


def test_a_bank_is_decided_by_its_seed_whoever_draws(bank: SpriteBank) -> None:
    again = draw_bank("occluders", 48, seed=0, device="cpu", processes=0)
    fewer = draw_bank("occluders", 5, seed=0, device="cpu", processes=0)
    other = draw_bank("occluders", 48, seed=1, device="cpu", processes=0)
    assert torch.equal(bank.sprites, again.sprites)
    assert torch.equal(bank.sprites[:5], fewer.sprites)
    assert not torch.equal(bank.sprites, other.sprites)
    assert len(set(bank.paints.tolist())) == 3


def test_a_sprite_goes_where_it_is_put_and_on_beyond_its_bottom_edge() -> None:
    cover = torch.zeros(1, 1, SIDE, SIDE)
    cover[..., SIDE // 2 :, SIDE // 2 - 8 : SIDE // 2 + 8] = 1
    matrix = sampling_matrix(
        torch.tensor([[0.5, -0.5]]),
        torch.tensor([0.5]),
        torch.tensor([0.0]),
        mirrored_B=torch.tensor([False]),
        slimness_B=torch.tensor([1.0]),
    )
    drawn = sampled(cover, matrix, 64)[0, 0]
    assert torch.equal(drawn.sum(0).nonzero().flatten(), torch.arange(46, 50))
    assert torch.equal(drawn[:, 47].nonzero().flatten(), torch.arange(16, 64))


def test_turned_a_quarter_a_sprites_bottom_is_at_the_left() -> None:
    cover = torch.zeros(1, 1, SIDE, SIDE)
    cover[..., SIDE // 2 :, :] = 1
    matrix = sampling_matrix(
        torch.zeros(1, 2),
        torch.ones(1),
        torch.tensor([torch.pi / 2]),
        mirrored_B=torch.tensor([False]),
        slimness_B=torch.ones(1),
    )
    drawn = sampled(cover, matrix, 64)[0, 0]
    assert drawn[:, :31].min() > 0.99
    assert drawn[:, 33:].max() < 0.01


def test_the_truth_says_how_much_of_the_face_is_left() -> None:
    black = bank_of(torch.nn.functional.pad(torch.ones(64, 64), (32, 32, 32, 32)), (0, 0, 0))
    config = replace(PLAIN, largest_share=1.0, motion_probability=0)
    images, visible = occlude(torch.full((32, 3, 128, 128), 0.5), black, config, seeded())
    assert visible.min() < 0.01
    assert (images <= 0.5 * visible + 0.001).all()
    assert (images >= 0.5 * 0.3 * visible - 0.001).all()  # what a thing's shadow leaves of it
    seen_whole = visible.flatten(1).amin(1) > 0.999
    assert seen_whole.float().mean() < 0.2


def test_half_of_the_faces_stay_unoccluded(bank: SpriteBank) -> None:
    faces = torch.rand(64, 3, 64, 64, generator=seeded(3))
    images, visible = occlude(faces, bank, replace(PLAIN, probability=0.5), seeded())
    free = visible.flatten(1).amin(1) == 1
    assert 0.3 < free.float().mean() < 0.75
    untouched, whole = occlude(faces, bank, replace(PLAIN, probability=0), seeded())
    assert torch.equal(untouched, faces)
    assert whole.min() == 1
    assert (images[~free] != faces[~free]).flatten(1).any(1).all()


def test_light_and_accessories_change_the_picture_and_hide_nothing(bank: SpriteBank) -> None:
    faces = torch.rand(32, 3, 64, 64, generator=seeded(3))
    lit, visible = occlude(faces, bank, replace(PLAIN, probability=0, light_probability=1), seeded())
    assert visible.min() == 1
    assert (lit != faces).flatten(1).any(1).float().mean() > 0.5
    accessories = draw_bank("accessories", 8, seed=0, device="cpu", processes=0)
    dressed = dress(faces, accessories, replace(PLAIN, accessory_probability=0.5), seeded())
    assert 0 < (dressed != faces).flatten(1).any(1).float().mean() < 1
    assert all(0 <= pictures.min() <= pictures.max() <= 1 for pictures in (lit, dressed))


def test_nothing_hides_more_of_a_face_than_it_may() -> None:
    wall = bank_of(torch.ones(SIDE, SIDE), (0, 1, 0))
    _, visible = occlude(torch.rand(8, 3, 64, 64), wall, replace(PLAIN, largest_share=0.6), seeded())
    assert visible.min() == 1


def test_a_generator_decides_alone(bank: SpriteBank) -> None:
    faces = torch.rand(4, 3, 64, 64, generator=seeded(3))
    first, again, other = (occlude(faces, bank, OccluderConfig(), seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.visible, again.visible)
    assert not torch.equal(first.images, other.images)


@pytest.mark.parametrize("side", [64, 255])
def test_the_ellipse_is_where_the_compositor_shows_a_face(side: int) -> None:
    assert np.array_equal(face_ellipse(side).numpy(), face_mask(side, 1.0) > 0)


def test_an_impossible_share_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="second_probability is 2; use 0 to 1"):
        OccluderConfig(second_probability=2)
    with pytest.raises(ConfigError, match="use largest_octaves"):
        OccluderConfig(smallest_octaves=1)
