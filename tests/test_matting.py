"""Soft edges of cut-outs: shares and colours where they are known, the photo's own pixels where nothing is mixed."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import fastsam_onnx
from fastsam_onnx import Mask, OptionError, Segmentation, formats, matting
from fastsam_onnx.draw import cutout
from fastsam_onnx.formats import to_cutouts
from fastsam_onnx.images.load import load_image

EXAMPLES = Path(fastsam_onnx.__file__).parents[1] / "examples"
RED, BLUE, GREEN = np.array([200, 40, 30]), np.array([40, 80, 190]), np.array([20, 160, 70])


def disc_shares(size, centre, radius):
    """(size, size) shares of a disc, of 8 x 8 places in each pixel."""
    places = (np.arange(8 * size) + 0.5) / 8
    inside = (places[None] - centre[0]) ** 2 + (places[:, None] - centre[1]) ** 2 < radius**2
    return inside.reshape(size, 8, size, 8).mean((1, 3))


def composed(front, back, shares):
    """The photo of an object in front of something, where a share of each pixel is the object's."""
    return np.rint(front * shares[..., None] + back * (1 - shares[..., None])).astype(np.uint8)


def cut(mask, photo):
    """RGBA in the photo's size of an object, and its shares from 0 to 1."""
    found = matting.matte(mask, photo)
    return found, found[..., 3] / 255


def test_a_disc_gets_its_shares_and_its_own_colour():
    """Of plain colours; the mask is too large by a pixel and a half on one side, too small on the other."""
    shares = disc_shares(100, (50, 50), 30)
    photo = composed(RED, BLUE, shares)
    mask = disc_shares(100, (51.5, 50), 30) > 0.5
    found, alpha = cut(mask, photo)
    edge = (shares > 0) & (shares < 1)
    assert np.abs(mask - shares)[edge].mean() > 0.4
    assert np.abs(alpha - shares)[edge].mean() < 0.12
    assert np.abs(alpha - shares)[~edge].mean() < 0.01
    own = found[..., :3][(alpha > 0.1) & edge].astype(int)
    assert np.abs(own - RED).mean() < 6, "nothing blue is left on the edge"
    assert np.abs(photo[edge].astype(int) - RED).mean() > 50


@pytest.mark.parametrize(("front", "back"), [((200, 256), (0, 60)), ((0, 60), (200, 256))])
def test_colours_of_the_edge_do_not_run_over(front, back):
    """A speckled disc, nearly white on nearly black or the other way: its edge is not the contrary of it."""
    shares, rng = disc_shares(100, (50, 50), 30), np.random.default_rng(0)
    photo = composed(*(rng.integers(*levels, (100, 100, 3)) for levels in (front, back)), shares)
    found, alpha = cut(shares > 0.5, photo)
    own = found[..., :3][alpha > 0.5].astype(int)
    assert np.abs(own - np.mean(front)).max() < 128


def test_pasted_on_something_else_it_is_nearer_to_the_truth_than_what_is_cut_at_pixels():
    """A ball of the coffee's photo in front of the cat, its mask up to a pixel off, pasted onto green."""
    shares = disc_shares(160, (80, 80), 50)
    front = load_image(EXAMPLES / "coffee.jpg")[120:280, 200:360]
    photo = composed(front, load_image(EXAMPLES / "chelsea.jpg")[20:180, 60:220], shares)
    mask = disc_shares(160, (80.7, 79.5), 50) > 0.5
    truth = composed(front, GREEN, shares).astype(int)
    found, alpha = cut(mask, photo)
    near = cv2.dilate(((shares > 0) & (shares < 1)).astype(np.uint8), np.ones((5, 5))) > 0
    soft = np.abs(composed(found[..., :3], GREEN, alpha) - truth)[near].mean()
    hard = np.abs(composed(photo, GREEN, mask.astype(float)) - truth)[near].mean()
    assert soft < 0.22 * hard  # 0.19; without moving the mask 0.85


@pytest.mark.parametrize("radius", [60, 700])
def test_inside_are_the_photos_own_pixels_and_outside_nothing(radius):
    """At the size of the photo, and found at a quarter of it."""
    size = 2 * radius + 80
    shares = disc_shares(size, (size / 2, size / 2), radius)
    rng = np.random.default_rng(0)
    photo = composed(RED, BLUE, shares) + rng.integers(0, 9, (size, size, 3), dtype=np.uint8)
    found, alpha = cut(shares > 0.5, photo)
    inside, outside = (cv2.erode((side).astype(np.uint8), np.ones((61, 61))) > 0 for side in (shares == 1, shares == 0))
    assert inside.any()
    np.testing.assert_array_equal(found[inside], np.dstack([photo, np.full((size, size), 255, np.uint8)])[inside])
    assert not found[outside].any()
    assert not found[alpha == 0].any()
    np.testing.assert_array_equal(found[alpha == 1][:, :3], photo[alpha == 1])
    assert np.abs(alpha - shares)[(shares > 0) & (shares < 1)].mean() < 0.2


@pytest.mark.parametrize("times", [1, 3])
def test_what_is_put_together_in_tiles_has_no_seams(times, monkeypatch):
    shares = disc_shares(times * 150, (times * 70, times * 80), times * 50)
    photo = composed(RED, BLUE, shares)
    monkeypatch.setattr(matting, "WORK_SIDE", 150)
    whole, _ = cut(shares > 0.5, photo)
    monkeypatch.setattr(matting, "TILE", 41)
    tiles, _ = cut(shares > 0.5, photo)
    assert np.abs(whole.astype(int) - tiles).max() <= (0 if times == 1 else 12)


def of_square(low, high, size=40):
    dense = np.zeros((size, size), bool)
    dense[low:high, low:high] = True
    return Segmentation.from_masks([Mask.from_dense(dense)])[0]


@pytest.mark.parametrize("side", [40, 900])
def test_what_fills_the_photo_is_the_photo(side):
    photo = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    found = cutout(of_square(0, side, side), photo, soft=True)
    np.testing.assert_array_equal(found[..., :3], photo)
    assert (found[..., 3] == 255).all()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (39, 40), (20, 21), (0, 7), (33, 40)])
def test_small_objects_and_those_at_the_frame_are_cut_out_within_reach(low, high):
    photo = np.full((40, 40, 3), BLUE, np.uint8)
    photo[low:high, low:high] = RED
    found = cutout(of_square(low, high), photo, soft=True)
    height, width = found.shape[:2]
    assert high - low <= height <= high - low + 2 * matting.BAND
    assert high - low <= width <= high - low + 2 * matting.BAND
    total = found[..., 3].sum() / 255
    assert 0.5 < total / (high - low) ** 2 < 2


@pytest.mark.parametrize("side", [120, 900])
def test_what_is_mirrored_is_cut_out_as_its_mirror_image(side):
    """No place is off by half a pixel, at the photo's size or at a third of it."""
    shares = disc_shares(side, (0.4 * side, 0.55 * side), 0.3 * side)
    photo = composed(RED, BLUE, shares)
    for turn in (np.fliplr, np.flipud):
        once, again = (
            cutout(
                Segmentation.from_masks([Mask.from_dense(turned(shares) > 0.5)])[0],
                turned(photo),
                soft=True,
                whole=True,
            )
            for turned in (np.ascontiguousarray, lambda each, turn=turn: np.ascontiguousarray(turn(each)))
        )
        assert np.abs(once[..., 3].astype(int) - turn(again)[..., 3]).max() <= 8


def test_the_edge_of_a_large_object_is_sought_farther_away():
    """Its mask is too small by 7 pixels on all sides: at the size of the photo that is out of reach."""
    shares = disc_shares(1000, (500, 500), 400)
    photo = composed(RED, BLUE, shares)
    mask = Mask.from_dense(disc_shares(1000, (500, 500), 393) > 0.5)
    found = cutout(Segmentation.from_masks([mask])[0], photo, soft=True, whole=True)
    assert np.abs(found[..., 3] / 255 - shares).sum() < 0.1 * (shares.sum() - mask.area)
    np.testing.assert_allclose(Mask.from_dense(found[..., 3] > 127).box, [100, 100, 900, 900], atol=1)


@pytest.mark.parametrize(("front", "back"), [(RED, BLUE), (np.array([200, 40, 0]), np.array([40, 200, 0]))])
def test_the_cut_out_is_as_large_as_what_has_a_share(front, back):
    """Whatever colours it has: nothing blue, for instance."""
    photo = composed(front, back, disc_shares(60, (30, 30), 15))
    found = cutout(Segmentation.from_masks([Mask.from_dense(disc_shares(60, (30, 30), 15) > 0.5)])[0], photo, soft=True)
    seen = found[..., 3] > 0
    assert 29 <= min(seen.shape) <= max(seen.shape) <= 40
    for edge in (seen[0], seen[-1], seen[:, 0], seen[:, -1]):
        assert edge.any()


def test_no_seam_is_between_objects_that_are_cut_out_together():
    """Two halves of a disc: each has half of the pixels along their border, both have all of them."""
    shares = disc_shares(80, (40, 40), 30)
    left = np.arange(80) < 40
    photo = composed(np.where(left[:, None], RED, GREEN), BLUE, shares)
    halves = [Mask.from_dense((shares > 0.5) & side) for side in (left, ~left)]
    found = cutout(Segmentation.from_masks(halves), photo, soft=True, whole=True)
    border = found[20:60, 36:44]
    assert border[..., 3].min() >= 250
    assert np.abs(border[..., :3] - photo[20:60, 36:44].astype(int)).max() <= 4
    edge = (shares > 0) & (shares < 1)
    assert np.abs(found[..., 3] / 255 - shares)[edge].mean() < 0.08, "cut at the pixels it is about 0.25"


def test_a_mask_and_the_rest_of_the_photo_are_the_photo():
    """Each has soft edges of its own, which need not add up: of large objects they are sought at another size."""
    rng = np.random.default_rng(3)
    photo = cv2.GaussianBlur(rng.integers(0, 256, (300, 500, 3), np.uint8), (0, 0), 5)
    mask = Mask.from_dense(disc_shares(500, (250, 150), 70)[:300] > 0.5)
    found = cutout(Segmentation.from_masks([mask, mask.inverse()]), photo, soft=True, whole=True)
    assert (found[..., 3] == 255).all()
    assert (found[..., :3] == photo).all()


@pytest.mark.parametrize("soft", [False, True])
def test_whole_it_lies_in_the_photo_where_it_lay(soft):
    shares = disc_shares(60, (38, 22), 15)
    photo = composed(RED, BLUE, shares)
    instance = Segmentation.from_masks([Mask.from_dense(shares > 0.5)])[0]
    whole, alone = (cutout(instance, photo, soft=soft, whole=whole) for whole in (True, False))
    assert whole.shape == (60, 60, 4)
    assert np.abs(whole[..., 3] / 255 - shares).mean() < 0.01
    rows, columns = (np.flatnonzero((whole[..., 3] > 0).any(axis=axis)) for axis in (1, 0))
    np.testing.assert_array_equal(whole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], alone)


def test_of_what_has_no_pixels_nothing_is_cut_out():
    [instance] = Segmentation.from_masks([Mask.empty((40, 30))])
    assert cutout(instance, np.zeros((30, 40, 3), np.uint8), soft=True).shape == (0, 0, 4)
    with pytest.raises(OptionError, match="soft must be True or False, got 'yes'"):
        cutout(instance, np.zeros((30, 40, 3), np.uint8), soft="yes")
    with pytest.raises(OptionError, match="whole must be True or False, got 1"):
        cutout(instance, np.zeros((30, 40, 3), np.uint8), whole=1)
    whole = cutout(instance, np.ones((30, 40, 3), np.uint8), soft=True, whole=True)
    assert whole.shape == (30, 40, 4)
    assert not whole.any()
    assert not list(
        to_cutouts(Segmentation.from_masks([Mask.empty((40, 30))]), image=np.ones((30, 40, 3), np.uint8), whole=True)
    )


def test_what_would_fade_is_cut_along_its_pixels():
    """A thin object on one colour faded to nothing: no cut-out, no file of it, and a layer without a pixel."""
    photo = np.full((60, 90, 3), 128, np.uint8)
    dense = np.zeros((60, 90), bool)
    dense[30:32, 10:80] = True
    found = Segmentation.from_masks([Mask.from_dense(dense)], image=photo)
    hard = found.cutout()
    assert hard.shape == (2, 70, 4)
    for cut in (cutout(found[0], photo, soft=True), found.cutout(soft=True), formats.to_cutout(found, soft=True)):
        np.testing.assert_array_equal(cut, hard)
    [(name, cut)] = formats.to_cutouts(found, soft=True)
    assert name == "object-0000.png"
    np.testing.assert_array_equal(cut, hard)
    assert formats.to_psd(found, soft=True)[1].shown.sum() == 255 * 140
