"""Tiles: where they lie, and that what their edges cut, or several of them show, comes out once and whole."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.tiny_onnx import bright_object, tiny

from fastsam_onnx import FastSAM, Mask, OptionError
from fastsam_onnx.images.rows import HeldRows
from fastsam_onnx.masks.pending import pending_masks
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.tiling.find import find_in_tiles
from fastsam_onnx.tiling.joining import (
    EDGE_PIXELS,
    MOST_OPEN,
    Part,
    _links,
    grouped,
    iou,
    joined,
    open_share,
    put_together,
)
from fastsam_onnx.tiling.masks import JoinedMask, PlacedMask, Samples
from fastsam_onnx.tiling.tiles import Tile, grid


@pytest.fixture(scope="module")
def model() -> FastSAM:
    return FastSAM(bright_object(), imgsz=224, threads=1)


def picture(side: int = 384) -> np.ndarray:
    return np.full((side, side, 3), 40, np.uint8)


@given(
    st.tuples(st.integers(1, 3000), st.integers(1, 3000)), st.integers(64, 1500), st.sampled_from([0, 0.1, 0.25, 0.5])
)
def test_tiles_cover_the_photo_and_overlap(image_size, tile, overlap):
    tiles = grid(image_size, tile, overlap)
    for axis, side in enumerate(image_size):
        spans = sorted({((one.left, one.top)[axis], (one.right, one.bottom)[axis]) for one in tiles})
        assert spans[0][0] == 0
        assert spans[-1][1] == side
        assert {end - start for start, end in spans} == {min(tile, side)}
        # Starts are rounded, so two of them may be a pixel nearer or farther than the share asks.
        assert all(a[1] - b[0] >= round(tile * overlap) - 1 for a, b in pairwise(spans))
    assert len(set(tiles)) == len(tiles)


def test_the_sides_of_a_tile_that_cut_are_those_inside_the_photo():
    """Left, top, right, bottom of four tiles of 224 in 384."""
    sides = [tile.inner_sides((384, 384)) for tile in grid((384, 384), 224, 0.1)]
    assert np.array(sides, int).tolist() == [[0, 0, 1, 1], [1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize(("side", "inside", "beyond"), [(0, 12, 7), (1, 22, 17), (2, 27, 32), (3, 47, 52)])
def test_lines_beside_a_side_are_as_far_from_it_on_both_sides(side, inside, beyond):
    """Of columns 10 to 29 and rows 20 to 49: the third of them, and the third that is not."""
    assert Tile(10, 20, 30, 50).lines_beside(side, 2) == (inside, beyond)


@pytest.mark.parametrize("labels", [None, np.zeros(0, np.int64)])
def test_times_of_all_views_add_up_and_classes_are_told_where_the_network_tells_them(labels):
    speeds = iter(range(10))

    def find(photo, image_size, is_tile):
        nothing = Segmentation.from_masks([], image_size=image_size)
        return replace(nothing, labels=labels, speed={"network": next(speeds), "postprocess": 1000.0})

    rows = HeldRows(np.zeros((100, 100, 3), np.uint8))
    found = find_in_tiles(find, rows, tile=64, overlap=0.1, agnostic=True, refine=True)
    assert found.speed["network"] == 0 + 1 + 2 + 3 + 4  # of four tiles and the whole
    assert 5000 <= found.speed["postprocess"] < 5000 + 10_000  # and of putting nothing together
    assert (found.labels is None) == (labels is None)


@pytest.mark.parametrize("shape", ["disc", "ring", "bar", "snake"])
def test_an_object_over_four_tiles_is_one_mask_as_without_tiles(model, shape):
    # 384 = 224 + 160: two tiles a side, which share columns and rows 160 to 224; all the shapes reach into four.
    photo = picture()
    if shape == "snake":
        cv2.polylines(photo, [np.array([[60, 300], [120, 90], [200, 260], [320, 70]])], False, (250, 240, 230), 30)
    elif shape == "bar":
        cv2.rectangle(photo, (110, 150), (290, 235), (250, 240, 230), -1)
    else:
        cv2.circle(photo, (192, 196), 90, (250, 240, 230), -1 if shape == "disc" else 24)
    assert len(grid((384, 384), 224, 0.25)) == 4
    [untiled] = model(photo, imgsz=384)  # the same scale: one input pixel a photo pixel
    found = model(photo, tile=224)
    assert len(found) == 1
    assert isinstance(found.masks.lazy[0], JoinedMask)
    assert len(found.masks.lazy[0].parts) == 4
    assert found[0].mask.iou(untiled.mask) >= 0.9
    assert np.abs(found.boxes[0] - untiled.box).max() <= 2


@pytest.mark.parametrize("refine", [False, True])
def test_two_objects_in_different_tiles_stay_two(model, refine):
    photo = picture()
    cv2.circle(photo, (80, 80), 40, (255, 255, 255), -1)
    cv2.circle(photo, (300, 300), 40, (255, 255, 255), -1)
    found = model(photo, tile=224, refine=refine)  # refined, what fills the photo is left out: these do not
    # The network finds one object in each view; that of the whole has both discs and resembles neither.
    disc = np.pi * 40**2
    assert sorted(found.areas / disc) == pytest.approx([1, 1, 2], abs=0.1)


def test_an_object_that_several_views_show_whole_comes_once(model):
    photo = picture()
    cv2.circle(photo, (192, 192), 25, (255, 255, 255), -1)  # inside the 64 pixels that all four tiles share
    found = model(photo, tile=224)
    assert len(found) == 1
    assert found[0].mask.iou(model(photo, imgsz=384)[0].mask) >= 0.9


def test_a_small_photo_is_one_tile_and_the_same_as_without(model):
    photo = picture(200)
    cv2.circle(photo, (90, 90), 50, (255, 255, 255), -1)
    plain, tiled = model(photo), model(photo, tile=224)
    assert np.array_equal(plain.boxes, tiled.boxes)
    assert np.array_equal(plain.masks.dense(), tiled.masks.dense())


def test_nothing_is_found_in_nothing(model):
    assert len(model(picture(), tile=224)) == 0


def test_what_fills_a_tile_is_a_part_of_what_goes_on_beyond_it(model):
    """Four tiles of 224 in 384: one is bright all over, in each of the others lies something dark."""
    photo = np.full((384, 384, 3), (250, 240, 230), np.uint8)
    for x, y in ((304, 70), (70, 304), (304, 304)):
        cv2.circle(photo, (x, y), 50, (40, 40, 40), -1)
    [untiled] = model(photo, imgsz=384, refine=True)
    found = model(photo, tile=224, refine=True)
    [mask] = found.masks
    assert mask.iou(untiled.mask) > 0.97  # without the corner 1 - 160 * 160 / (384 * 384 - 3 * 7850) = 0.79
    assert len(found.masks.lazy[0].parts) == 4, "the tiles' fine mask: the plain tile, too, shows a part"


def test_what_fills_all_tiles_is_the_whole_photo_which_tells_nothing_apart(model):
    photo = np.full((384, 384, 3), 250, np.uint8)
    assert len(model(photo, imgsz=384, refine=True)) == 0
    assert len(model(photo, tile=224, refine=True)) == 0
    found = model(photo, tile=224, refine=False)
    assert len(found) == 1
    assert len(found.masks.lazy[0].parts) == 4, "the tiles' mask, not the coarser one of the whole view"


@pytest.mark.parametrize(
    ("box", "share"),
    [
        ([0, 0, 64, 64], 64 / 256),  # all of the tile
        ([10, 0, 64, 20], 20 / 148),
        ([0, 30, 64, 32], 2 / 132),  # a thin one: hardly cut
        ([61, 10, 64, 50], 40 / 86),  # slivers
        ([62, 10, 64, 50], 40 / 84),
        ([63, 10, 64, 50], 40 / 82),
        ([10, 0, 50, 20], 0),
    ],
)
def test_what_ends_at_the_edge_of_a_tile_is_no_object(box, share):
    """A tile shows columns 0 to 64 of 104; nothing of the object was found beyond."""
    whole, tile = Tile(0, 0, 104, 64), Tile(0, 0, 64, 64)
    mask = PlacedMask(pending(box).mask.in_tile, 0, 0, (104, 64))
    part = Part(mask, np.array(box, np.float32), 0.5, tile, (False, False, box[2] == 64, False))
    assert open_share(part, [part]) == pytest.approx(share, abs=0.01)
    assert put_together([part], whole) == ([part] if share < MOST_OPEN else [])


def test_parts_that_end_at_another_tiles_edge_are_no_object_even_if_they_were_joined():
    """Four tiles of 64 in 104; an object in the upper two goes on into the lower ones, which found nothing of it."""
    whole, left, right = Tile(0, 0, 104, 104), Tile(0, 0, 64, 64), Tile(40, 0, 104, 64)
    ours, theirs = pending([10, 10, 64, 64]), pending([0, 10, 40, 64])
    parts = [
        Part(PlacedMask(ours.mask.in_tile, 0, 0, (104, 104)), ours.box, 0.5, left, (False, False, True, True)),
        Part(
            PlacedMask(theirs.mask.in_tile, 40, 0, (104, 104)),
            theirs.box + np.array([40, 0, 40, 0], np.float32),
            0.5,
            right,
            (True, False, False, True),
        ),
    ]
    assert len(grouped(parts)) == 1
    assert open_share(joined(parts), parts) == pytest.approx(
        (54 + 40) / (2 * (70 + 54)), abs=0.02
    )  # what both show counts twice
    assert put_together(parts, whole) == []


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("begin", range(30, 52))
def test_an_object_that_ends_near_a_tiles_edge_is_kept_where_another_tile_shows_its_end(begin, turned):
    """Three tiles of 64 in 144, in a row; the middle one begins at 40, near which the object does: it was lost."""
    box = np.array([begin, 10, 130, 30])
    views = [(first, 0, first + 64, 64) for first in (0, 40, 80)]
    size = (144, 64)
    if turned:
        box, views, size = box[[1, 0, 3, 2]], [(0, first, 64, first + 64) for first in (0, 40, 80)], (64, 144)
    parts = []
    for left, top, right, bottom in views:
        x1, y1 = np.maximum(box[:2], (left, top)) - (left, top)
        x2, y2 = np.minimum(box[2:], (right, bottom)) - (left, top)
        shown = pending([x1, y1, x2, y2])
        tile = Tile(left, top, right, bottom)
        near = (x1 < EDGE_PIXELS, y1 < EDGE_PIXELS, x2 > 64 - EDGE_PIXELS, y2 > 64 - EDGE_PIXELS)
        cut = tuple(bool(one and inner) for one, inner in zip(near, tile.inner_sides(size), strict=True))
        mask = PlacedMask(shown.mask.in_tile, left, top, size)
        parts.append(Part(mask, shown.box + np.array([left, top] * 2, np.float32), 0.5, tile, cut))
    [one] = put_together(parts, Tile(0, 0, *size))
    assert one.box.tolist() == box.tolist()


def test_a_tiled_result_works_like_any_other(model):
    photo = picture()
    cv2.circle(photo, (192, 192), 90, (255, 255, 255), -1)
    found = model(photo, tile=224)
    assert len(found.point_prompt([(192, 120)])) == 1
    assert len(found.point_prompt([(20, 20)])) == 0
    assert len(found.box_prompt([(100, 100, 280, 280)])) == 1
    assert found.image is not None
    assert found.image.shape == photo.shape
    assert set(found.speed) == {"decode", "preprocess", "network", "postprocess"}
    assert found[0].mask.area == found.masks.dense().sum() == found.areas[0]
    assert len(list(model.stream([photo, photo], tile=224))) == 2


def test_results_do_not_depend_on_anything_but_the_photo():
    model = FastSAM(tiny(seed=3), imgsz=96, conf=0.1, iou=0.7, threads=1)
    photo = np.random.default_rng(0).integers(0, 256, (150, 230, 3), dtype=np.uint8)
    first, second = model(photo, tile=96), model(photo, tile=96)
    assert len(first) > 20
    assert np.array_equal(first.boxes, second.boxes)
    assert np.all(np.diff(first.scores) <= 0)
    for box, mask in zip(first.boxes, first.masks, strict=True):
        x1, y1, x2, y2 = mask.box
        assert mask.area
        assert box[0] <= x1 + 1
        assert box[1] <= y1 + 1
        assert box[2] >= x2 - 1
        assert box[3] >= y2 - 1


@pytest.mark.parametrize(
    "options",
    [{"tile": 63}, {"tile": 64.0}, {"tile": True}, {"tile": 64, "overlap": 0.6}, {"tile": 64, "overlap": -0.1}],
)
def test_options_outside_their_range(model, options):
    with pytest.raises(OptionError, match=list(options)[-1]):
        model(picture(), **options)


def pending(box: list[float], image_size: tuple[int, int] = (64, 64)) -> Part:
    """All of a box."""
    letterbox = Letterbox.fit(image_size, image_size)
    [row] = pending_masks(
        np.array([box], np.float32), np.ones((1, 1), np.float32), np.ones((1, 16, 16), np.float32), letterbox
    )
    return Part(PlacedMask(row, 0, 0, image_size), np.array(box, np.float32), 0.5, Tile(0, 0, *image_size))


def test_masks_of_tiles_answer_as_their_pixels_do():
    """Boxes of 20 x 10 and 30 x 40 in tiles that begin at (30, 5) and (36, 16) of a photo of 104 x 90."""
    first = PlacedMask(pending([4, 8, 24, 18]).mask.in_tile, 30, 5, (104, 90))
    second = PlacedMask(pending([20, 12, 50, 52]).mask.in_tile, 36, 16, (104, 90))
    assert (first.area, first.bounds) == (200, (34, 13, 54, 23))
    drawn = PlacedMask(replace(first.in_tile, predicted_iou=0.75), 30, 5, (104, 90))
    assert (drawn.predicted_iou, drawn.render().predicted_iou) == (0.75, 0.75)
    assert JoinedMask((drawn, second)).predicted_iou is None, "nothing was drawn of it as a whole"
    assert not JoinedMask((first, second)).box.flags.writeable, "it is kept"
    columns, rows = np.arange(0, 104, 3), np.arange(0, 90, 5)
    for mask in (first, JoinedMask((first, second))):
        dense = mask.render().dense()
        y, x = np.nonzero(dense)
        assert dense.shape == (90, 104)
        assert mask.area == len(x)
        assert mask.box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1] == list(mask.bounds)
        assert mask.area_inside(40, 15, 60, 30) == dense[15:30, 40:60].sum() > 0
        assert (mask.sample(columns, rows) == dense[::5, ::3]).all()
        assert [mask.contains(column, 20.5) for column in columns.tolist()] == dense[20, ::3].tolist()


@given(st.lists(st.integers(0, 64), min_size=8, max_size=8))
@example([38, 40, 0, 9, 39, 40, 49, 0])  # the second is one column that every second pixel passes by
def test_samples_of_small_masks_are_exact(corners):
    boxes = []
    for x1, x2, y1, y2 in (corners[:4], corners[4:]):
        boxes.append([min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)])
    a, b = (pending([float(edge) for edge in box]) for box in boxes)
    levels = max(a.samples.level, b.samples.level)
    exact = a.mask.render().iou(b.mask.render())
    assert iou(a.samples, b.samples) == pytest.approx(exact, abs=1e-9 if levels == 0 else 0.15)


@pytest.mark.parametrize("slant", [0, 199])
def test_a_thin_object_that_two_views_show_comes_once(slant):
    """A line of 3 pixels over 200 rows: every 8th column and row, as 200 would be sampled, may pass by all of it."""
    whole, tiles = Tile(0, 0, 260, 260), (Tile(0, 0, 250, 250), Tile(10, 0, 260, 250))
    drawn = np.zeros((260, 260), np.uint8)
    cv2.line(drawn, (28, 17), (28 + slant, 216), 1, 3)
    line = Shown(drawn > 0)
    columns, rows = (np.flatnonzero(line.dense.any(axis=axis)) for axis in (0, 1))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)
    best, other = (Part(line, box, score, tile) for score, tile in zip((0.9, 0.5), tiles, strict=True))
    assert iou(best.samples, other.samples) == 1
    assert put_together([other, best], whole) == [best]


def test_what_a_thin_object_shares_with_an_edge_is_its_width():
    """A pole of 3 pixels, 400 high, ends at a tile's lower edge: that is 3 of its outline, not a sample of 16."""
    pole, tile = pending([41, 112, 44, 512], (600, 600)), Tile(0, 0, 600, 512)
    part = Part(pole.mask, pole.box, 0.5, tile, (False, False, False, True))
    assert open_share(part, [part]) == pytest.approx(3 / (2 * 403), abs=1e-6)


def test_levels_are_nested():
    one = pending([3, 5, 61, 50])
    fine = Samples.from_mask(one.mask, one.box, 0)
    for level in (1, 2, 3):
        coarse, again = Samples.from_mask(one.mask, one.box, level), fine.at(level)
        assert (coarse.left, coarse.top) == (again.left, again.top)
        assert np.array_equal(coarse.pixels, again.pixels)


def test_sampling_is_rendering_at_some_pixels():
    rng = np.random.default_rng(5)
    letterbox = Letterbox.fit((57, 33), (64, 64))
    rows = pending_masks(
        np.array([[3.2, 1.7, 50.1, 30.9], [0, 0, 57, 33]], np.float32),
        rng.standard_normal((2, 4)).astype(np.float32),
        rng.standard_normal((4, 16, 16)).astype(np.float32),
        letterbox,
    )
    columns, lines = np.array([0, 3, 4, 9, 33, 56]), np.array([0, 1, 2, 17, 31, 32])
    for row in rows:
        dense = row.render().dense()
        assert np.array_equal(row.sample(columns, lines), dense[np.ix_(lines, columns)])
        moved = PlacedMask(row, 10, 20, (100, 90))
        assert np.array_equal(moved.render().dense()[20:53, 10:67], dense)
        assert moved.contains(10 + 25, 20 + 15) == row.contains(25, 15)
        assert not moved.sample(np.array([0, 5]), np.array([1, 2])).any()
        assert moved.area == moved.render().area
        assert np.array_equal(moved.box, moved.render().box)
        assert moved.area_inside(20, 25, 40, 45) == moved.render().dense()[25:45, 20:40].sum()


def test_objects_of_two_classes_in_one_place_are_two_within_each_class():
    # Two views show one thing, one as class 0, one as class 1; the third part of class 0 is the whole view's again.
    size, tile, whole = (104, 64), Tile(0, 0, 64, 64), Tile(0, 0, 104, 64)
    one = pending([10, 10, 40, 40])
    row = PlacedMask(one.mask.in_tile, 0, 0, size)
    parts = [
        Part(row, one.box, score, view, label=label)
        for score, view, label in ((0.5, tile, 0), (0.6, whole, 1), (0.7, whole, 0))
    ]
    assert [part.label for part in put_together(parts, whole)] == [0]
    kept = put_together(parts, whole, agnostic=False)
    assert [(part.label, part.score) for part in kept] == [(1, 0.6), (0, 0.5)]  # of a class the tile's finer mask


def test_parts_of_two_classes_are_joined_only_if_classes_do_not_matter():
    size, left, right, whole = (104, 64), Tile(0, 0, 64, 64), Tile(40, 0, 104, 64), Tile(0, 0, 104, 64)
    ours, theirs = pending([10, 0, 64, 20]), pending([0, 0, 30, 20])
    parts = [
        Part(PlacedMask(ours.mask.in_tile, 0, 0, size), ours.box, 0.5, left, (False, False, True, False), 0),
        Part(
            PlacedMask(theirs.mask.in_tile, 40, 0, size),
            theirs.box + np.array([40, 0, 40, 0], np.float32),
            0.6,
            right,
            (True, False, False, False),
            1,
        ),
    ]
    assert [part.label for part in put_together(parts, whole)] == [1]  # one object; the class of the surer part
    assert put_together(parts, whole, agnostic=False) == []  # of neither class a thing that goes on


def test_of_an_object_that_two_tiles_show_the_one_of_the_higher_score_is_kept():
    size, whole = (104, 64), Tile(0, 0, 104, 64)
    parts = []
    for left, score in ((0, 0.5), (8, 0.9), (16, 0.7)):
        mask = PlacedMask(pending([24.0 - left, 12, 52 - left, 40]).mask.in_tile, left, 0, size)
        parts.append(Part(mask, np.array([24, 12, 52, 40], np.float32), score, Tile(left, 0, left + 64, 64)))
    assert [part.score for part in put_together(parts, whole, agnostic=True, fillers=False)] == [0.9]


def test_parts_that_disagree_where_both_tiles_look_are_not_joined():
    # Two tiles share columns 40 to 64 of 104; one part fills rows 0..20 there, the other rows 15..60.
    size, left, right = (104, 64), Tile(0, 0, 64, 64), Tile(40, 0, 104, 64)

    def part(box: list[float], view: Tile, cut: tuple[bool, bool, bool, bool]) -> Part:
        one = pending(box)
        row = PlacedMask(one.mask.in_tile, view.left, view.top, size)
        return Part(row, one.box + np.array([view.left, view.top] * 2, np.float32), 0.5, view, cut)

    above = part([10, 0, 64, 20], left, (False, False, True, False))
    same = part([0, 0, 30, 20], right, (True, False, False, False))
    below = part([0, 15, 30, 60], right, (True, False, False, False))
    whole = part([0, 0, 30, 20], right, (False, False, False, False))
    assert len(grouped([above, same])) == 1
    assert open_share(joined([above, same]), [above, same]) == 0
    assert len(grouped([above, below])) == 2
    assert len(grouped([above, whole])) == 2  # the second tile sees its end: another object
    assert len(grouped([above, same, below])) == 2
    assert Mask.union(*(one.mask.render() for one in (above, same))).area == joined([above, same]).mask.render().area


class Shown:
    """Pixels of the photo as the mask of a part: it can be looked at."""

    def __init__(self, dense: np.ndarray) -> None:
        self.dense = dense

    def sample(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return self.dense[np.ix_(rows, columns)]


LEFT, RIGHT, BELOW, FAR = Tile(0, 0, 64, 64), Tile(40, 0, 104, 64), Tile(0, 40, 64, 104), Tile(80, 0, 144, 64)


def shown(view: Tile, cut: str, *rectangles: tuple[int, int, int, int], score: float = 0.5) -> Part:
    """A part that fills rectangles x1, y1, x2, y2 of the photo, cut at the sides of these letters."""
    corners = np.array(rectangles, np.float32)
    box = np.concatenate([corners[:, :2].min(axis=0), corners[:, 2:].max(axis=0)])
    dense = np.zeros((144, 144), bool)
    for x1, y1, x2, y2 in rectangles:
        dense[y1:y2, x1:x2] = True
    return Part(Shown(dense), box, score, view, tuple(side in cut for side in "ltrb"))


def names_of_groups(**parts: Part) -> set[str]:
    """The groups of parts by their letters; each part must be in one."""
    letters = {id(part): letter for letter, part in parts.items()}
    groups = ["".join(sorted(letters[id(part)] for part in group)) for group in grouped(list(parts.values()))]
    assert sorted("".join(groups)) == sorted(parts)
    return set(groups)


def test_what_agrees_best_is_joined_first_and_two_in_one_tile_stay_two():
    """Three tiles: p and s are seen by the first, q by the second, r by the third; each agrees with the next.

    In what tiles share: p and q 38 of 44 rows, q and r 20 of 24 columns, r and s 14 of 20 columns. With r and q taken
    by p, s cannot go with r: one tile told p and s apart.
    """
    p, q = shown(LEFT, "r", (10, 20, 64, 60)), shown(RIGHT, "lb", (40, 22, 90, 64))
    r, s = shown(BELOW, "tr", (44, 40, 64, 90)), shown(LEFT, "b", (44, 30, 58, 64))
    assert names_of_groups(p=p, q=q, r=r, s=s) == {"pqr", "s"}
    assert names_of_groups(s=s, r=r, q=q, p=p) == {"pqr", "s"}
    assert names_of_groups(q=q, r=r, s=s) == {"qrs"}


def test_an_object_through_three_tiles_in_a_row_is_one_group():
    """The first and the last share nothing: the one between holds them together, whichever pair comes first."""
    p, q, r = (
        shown(LEFT, "r", (10, 20, 64, 40)),
        shown(RIGHT, "lr", (40, 20, 104, 40)),
        shown(FAR, "l", (80, 21, 130, 40)),
    )
    assert names_of_groups(p=p, q=q, r=r) == {"pqr"}
    assert names_of_groups(r=r, q=q, p=p) == {"pqr"}


def test_a_part_is_joined_only_over_a_side_that_cuts_it():
    """Both agree in the strip; but one ends above it, at the bottom of its own tile, or the other does."""
    p, q = shown(LEFT, "r", (10, 40, 64, 64)), shown(RIGHT, "l", (40, 40, 90, 64))
    below_p, below_q = shown(LEFT, "b", (10, 40, 64, 64)), shown(RIGHT, "b", (40, 40, 90, 64))
    assert names_of_groups(p=p, q=q) == {"pq"}
    assert names_of_groups(p=below_p, q=q) == {"p", "q"}
    assert names_of_groups(p=p, q=below_q) == {"p", "q"}


def test_parts_agree_by_their_pixels_though_a_spur_makes_the_box_of_one_larger():
    """In columns 40 to 64 both fill 30 rows; one has a line up: 720 of 744 pixels, boxes 720 of 24 * 61 = 1464."""
    p = shown(LEFT, "r", (10, 31, 64, 61), (63, 0, 64, 31))
    q = shown(RIGHT, "l", (40, 31, 90, 61))
    assert names_of_groups(p=p, q=q) == {"pq"}


def test_in_a_strip_each_must_be_the_others_best():
    """What the right tile shows agrees with p in all of 24 rows, with s in 20 of them."""
    p, s = shown(LEFT, "r", (10, 20, 64, 44)), shown(LEFT, "r", (30, 24, 64, 44))
    q = shown(RIGHT, "l", (40, 20, 90, 44))
    zone = LEFT.overlap(RIGHT)
    assert list(_links([p, s, q], [0, 1], [2], zone)) == [(1.0, 0, 2)]
    assert list(_links([p, s, q], [2], [0, 1], zone)) == [(1.0, 2, 0)]
    assert list(_links([p, s, q], [1], [2], zone)) == [(pytest.approx(20 / 24), 1, 2)]


def test_two_that_one_tile_shows_stay_two_however_alike():
    """Their IoU is 30 of 32 rows: the network and its NMS told them apart."""
    whole = Tile(0, 0, 144, 144)
    first, second = shown(LEFT, "", (8, 8, 40, 40), score=0.9), shown(LEFT, "", (8, 8, 40, 38), score=0.8)
    elsewhere = shown(RIGHT, "", (8, 8, 40, 38), score=0.7)
    assert put_together([first, second, elsewhere], whole) == [first, second]
