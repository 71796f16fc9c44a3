"""Seams: seen where a face was pasted with another brightness, not where there is blur, noise or the truth itself."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.data import astronaut

from vidrestore.errors import RestorationError
from vidrestore.evaluation.metrics.seams import ring_around, seam_energy
from vidrestore.restoration.face.compositor import face_mask

SIDE = 256
MASK = face_mask(SIDE, 0.25)
RING = ring_around(MASK)
GREY = cv2.cvtColor(astronaut()[20:220, 124:324], cv2.COLOR_RGB2GRAY)
TRUTH = cv2.resize(GREY, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=10, deadline=None)
def test_the_truth_itself_has_no_seam(seed: int) -> None:
    picture = np.random.default_rng(seed).uniform(0, 255, (SIDE, SIDE)).astype(np.float32)
    assert seam_energy(picture, [picture], RING) == 0


@pytest.mark.parametrize("step", [-1, 1])
def test_the_stronger_the_step_at_the_border_the_stronger_the_seam(step: int) -> None:
    plain = np.full((SIDE, SIDE), 128, np.float32)
    for border in (MASK, (MASK > 0.5).astype(np.float32)):
        energies = [seam_energy(plain + step * levels * border, [plain], RING) for levels in (0, 2, 4, 8)]
        assert energies[0] == 0
        assert energies[3] == pytest.approx(4 * energies[2], rel=1e-3)
        assert energies[2] == pytest.approx(4 * energies[1], rel=1e-3)


def test_a_hard_border_shows_more_than_a_soft_one() -> None:
    plain = np.full((SIDE, SIDE), 128, np.float32)
    hard = plain + 8 * (MASK > 0.5)
    assert seam_energy(hard, [plain], RING) > 1.5 * seam_energy(plain + 8 * MASK, [plain], RING)


def test_a_seam_on_a_face_shows_more_than_noise_of_its_size_and_than_blur() -> None:
    seam = seam_energy(TRUTH + 10 * MASK, [TRUTH], RING)
    noise = np.random.default_rng(0).normal(0, 10, TRUTH.shape).astype(np.float32)
    assert seam > 1.5 * seam_energy(TRUTH + noise, [TRUTH], RING)
    assert seam > 2 * seam_energy(cv2.GaussianBlur(TRUTH, (0, 0), 2), [TRUTH], RING)


def test_what_happens_away_from_the_ring_does_not_count() -> None:
    changed = TRUTH.copy()
    changed[100:160, 100:160] = 255
    assert seam_energy(changed, [TRUTH], RING) == 0


def test_brightness_of_the_whole_face_is_no_seam() -> None:
    assert seam_energy(TRUTH + 20, [TRUTH], RING) == pytest.approx(0, abs=1e-4)


def test_an_edge_that_any_of_the_others_has_is_no_seam() -> None:
    plain = np.full((SIDE, SIDE), 128, np.float32)
    edge = plain + 8 * MASK
    assert seam_energy(edge, [plain], RING) > 0
    assert seam_energy(edge, [plain, edge], RING) == seam_energy(edge, [edge, plain], RING) == 0


@pytest.mark.parametrize("mask", [np.zeros((8, 8), np.float32), np.ones((8, 8), np.float32)])
def test_a_mask_without_a_border_is_refused(mask: np.ndarray) -> None:
    with pytest.raises(RestorationError, match="no border"):
        ring_around(mask)


def test_crops_that_do_not_fit_are_refused() -> None:
    with pytest.raises(RestorationError, match=r"wanted \[S, S\]"):
        seam_energy(TRUTH, [TRUTH[1:]], RING)
    with pytest.raises(RestorationError, match="two videos or more"):
        seam_energy(TRUTH, [], RING)
