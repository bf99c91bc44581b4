"""The smallest rectangle around a mask."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from fastsam_onnx.masks.mask import Mask

DENSE = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def sides(corners):
    return np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)


def test_an_upright_rectangle_is_its_own():
    """Pixels are squares: columns 3 to 8 and rows 2 to 5 reach from 3 to 9 and from 2 to 6."""
    mask = Mask(np.ones((4, 6), bool), 3, 2, (20, 10))
    assert mask.rotated_box.tolist() == [[3, 2], [9, 2], [9, 6], [3, 6]]
    one = Mask(np.ones((1, 1), bool), 19, 9, (20, 10))
    assert one.rotated_box.tolist() == [[19, 9], [20, 9], [20, 10], [19, 10]]
    assert one.rotated_box.dtype == np.float32


def test_a_bar_at_an_angle_is_measured_along_it():
    """A bar of 100 x 20 pixels, turned by 30 degrees: its pixels stick out by up to a pixel's diagonal on each side."""
    y, x = np.mgrid[:140, :140] + 0.5 - 70
    turn = np.deg2rad(30)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    corners = Mask.from_dense((np.abs(along) <= 50) & (np.abs(across) <= 10)).rotated_box
    assert sorted(sides(corners)) == pytest.approx([20, 20, 100, 100], abs=2)
    longest = np.diff(corners, axis=0)[np.argmax(sides(corners)[:3])]
    assert np.rad2deg(np.arctan2(longest[1], longest[0])) % 180 == pytest.approx(30, abs=2)


def test_a_mask_without_pixels_has_none():
    assert not Mask.empty((5, 5)).rotated_box.any()


@settings(deadline=None)
@given(DENSE)
def test_it_holds_every_pixel_and_no_other_is_smaller(dense):
    mask = Mask.from_dense(dense)
    if not mask.area:
        return
    corners = mask.rotated_box.astype(np.float64)
    across, down = corners[1] - corners[0], corners[2] - corners[1]
    assert across @ down == pytest.approx(0, abs=1e-3)
    assert across[0] * down[1] - across[1] * down[0] > 0, "clockwise on the screen"
    assert corners[0, 1] <= corners[:, 1].min() + 1e-4
    y, x = np.nonzero(dense)
    ends = np.stack([np.concatenate([x, x + 1, x + 1, x]), np.concatenate([y, y, y + 1, y + 1])], axis=1)
    for side in (across, down):
        places = (ends - corners[0]) @ side / (side @ side)
        assert places.min() > -1e-4
        assert places.max() < 1 + 1e-4
    area = np.prod(sides(corners)[:2])
    assert area == pytest.approx(np.prod(cv2.minAreaRect(ends.astype(np.float32))[1]), rel=1e-3)
