"""The motion of the truth: found where there is some, exactly none where there is none, doubted where things hide."""

import cv2
import numpy as np
import pytest
from skimage.data import astronaut

from vidrestore.evaluation.metrics.flow import agreement, flow_between, motion_between, warp

GREY = cv2.cvtColor(astronaut(), cv2.COLOR_RGB2GRAY)
PICTURE = GREY[40:200, 120:330]


@pytest.mark.parametrize(("across", "down"), [(3, 0), (-4, 2), (0, -5)])
def test_a_shift_is_found(across: int, down: int) -> None:
    before = GREY[40 + down : 200 + down, 120 + across : 330 + across]
    motion = motion_between(before, PICTURE)
    inner = motion.to_before[20:-20, 20:-20].reshape(-1, 2)
    np.testing.assert_allclose(np.median(inner, axis=0), [-across, -down], atol=0.1)
    assert motion.visible[20:-20, 20:-20].mean() > 0.9


def test_warping_along_the_motion_brings_the_frame_before_over() -> None:
    before = GREY[40:200, 123:333]
    motion = motion_between(before, PICTURE)
    off = np.abs(warp(before.astype(np.float32), motion.to_before) - PICTURE)[motion.visible]
    unmoved = np.abs(before.astype(np.float32) - PICTURE)[motion.visible]
    assert off.mean() < 0.2 * unmoved.mean()


def test_identical_pictures_do_not_move_at_all() -> None:
    motion = motion_between(PICTURE, PICTURE.copy())
    assert not motion.to_before.any()
    assert motion.visible.all()
    frame = PICTURE.astype(np.float32)
    np.testing.assert_array_equal(warp(frame, motion.to_before), frame)


def test_what_comes_from_beyond_the_picture_is_not_believed() -> None:
    flow = np.zeros((20, 30, 2), np.float32)
    flow[..., 0] = 4
    visible = agreement(flow, -flow)
    assert visible[:, :26].all()
    assert not visible[:, 26:].any()


def test_where_forth_and_back_disagree_something_is_hidden() -> None:
    flow = np.zeros((20, 30, 2), np.float32)
    back = flow.copy()
    back[:, 10:15, 1] = 2
    assert not agreement(back, flow)[5:15, 10:15].any()
    assert agreement(back, flow)[:, 15:].all()


def test_pictures_too_small_for_patches_do_not_move() -> None:
    assert not flow_between(PICTURE[:15, :40], PICTURE[1:16, :40]).any()
    assert flow_between(PICTURE[:16, :40], PICTURE[1:17, :40]).any()
