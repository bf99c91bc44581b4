"""A view shows the surroundings of a box on one grid, wherever photo, input and prototypes have their pixels."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_onnx.masks.pending import prototypes_at
from fastsam_onnx.masks.views import COARSE, MOST_VIEWS, SIDE, Looks, View, halve_on, logits_of
from fastsam_onnx.network.letterbox import Letterbox

SAME = Letterbox.fit((640, 480), (640, 640), stride=32)


def test_a_view_has_an_eighth_of_the_box_on_every_side_and_ends_with_the_photo():
    view = View.around((200, 100, 360, 180), SAME)
    assert (view.columns, view.rows) == ((180, 380), (90, 190))
    assert View.around((600, 0, 640, 480), SAME) == View((595, 640), (0, 480), SAME)


@pytest.mark.parametrize("box", [(10, 10, 10.5, 10.5), (639.9, 479.9, 640, 480), (0, 0, 0.1, 0.1)])
def test_the_smallest_box_has_a_view(box):
    view = View.around(box, SAME)
    assert view.columns[1] > view.columns[0]
    assert view.rows[1] > view.rows[0]
    assert view.photo(np.zeros((480, 640, 3), np.uint8)).shape == (3, SIDE, SIDE)
    assert view.prototypes(np.ones((2, 120, 160), np.float32)) == pytest.approx(np.ones((2, COARSE, COARSE)))


def test_the_photo_is_averaged():
    """View of 192 pixels: a cell is 2 x 2 of them, of which one is 200."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[::2, ::2] = 200
    assert View((0, 192), (0, 192), SAME).photo(image) == pytest.approx(np.full((3, SIDE, SIDE), 50 / 255))


def test_a_long_view_is_looked_at_in_as_many_places_as_it_needs():
    """Cells of 30 x 1 pixels, two stripes of 15 in each, 9 of them white: two places would see the same."""
    image = np.zeros((96, 2880, 3), np.uint8)
    image[:, np.arange(2880) % 15 < 9] = 255
    seen = View((0, 2880), (0, 96), Letterbox.fit((2880, 96), (640, 640), stride=32)).photo(image)
    np.testing.assert_allclose(seen, 9 / 15, atol=0.01)


@pytest.mark.parametrize(
    ("box", "count"), [((0, 0, 575, 4000), 0), ((0, 0, 576, 576), 1), ((0, 0, 1151, 1200), 1), ((0, 0, 4001, 3001), 3)]
)
def test_a_view_of_many_pixels_is_taken_of_a_halved_photo(box, count):
    """A cell has 3 pixels and more after halving: so 576 are halved once, 1,152 twice, 2,304 three times."""
    width, height = 4001, 3001
    x1, y1, x2, y2 = box
    view = View((x1, x2), (y1, y2), Letterbox.fit((width, height), (640, 640), stride=32))
    assert view.halvings == count
    columns, rows = np.arange(width)[None], np.arange(height)[:, None]
    image = np.stack(
        [np.broadcast_to(127 + 100 * np.sin(line / 97), (height, width)) for line in (columns, rows)] * 2, 2
    )
    image = image[..., :3].astype(np.uint8)
    halves = [image]
    halve_on(halves, count)
    seen = view.photo(halves[-1], count)
    # A sixth of a cell of at most 42 pixels, where a pixel differs from the next by 1.03 at most, and rounding.
    np.testing.assert_allclose(255 * seen, 255 * view.photo(image), atol=42 / 6 * 1.03 + 2)


def test_nothing_is_halved_in_vain():
    image = np.zeros((5, 7, 3), np.uint8)
    halves = [image]
    for most, shapes in (
        (0, [(5, 7, 3)]),
        (2, [(5, 7, 3), (2, 3, 3), (1, 1, 3)]),
        (1, [(5, 7, 3), (2, 3, 3), (1, 1, 3)]),
    ):
        halve_on(halves, most)
        assert [half.shape for half in halves] == shapes
    assert halves[0] is image


@pytest.mark.parametrize("size", [(640, 480), (300, 400), (1000, 641)])
def test_prototypes_lie_where_the_masks_have_them(size):
    """In a view of 48 pixels each cell is a pixel, whose prototypes `prototypes_at` interpolates."""
    letterbox = Letterbox.fit(size, (640, 640), stride=32)
    width, height = letterbox.input_size
    prototypes = np.random.default_rng(0).normal(size=(3, height // 4, width // 4)).astype(np.float32)
    columns, rows = np.meshgrid(np.arange(100, 148) + 0.5, np.arange(60, 108) + 0.5)
    wanted = prototypes_at(np.stack([columns.ravel(), rows.ravel()], 1), prototypes, letterbox)
    seen = View((100, 148), (60, 108), letterbox).prototypes(prototypes)
    np.testing.assert_allclose(seen.reshape(3, -1), wanted, atol=2e-5)


def test_a_large_view_averages_prototypes():
    """A checkerboard of 1 and -1 under 160 cells shown as 48 is grey nearly everywhere."""
    rows, columns = np.indices((120, 160))
    board = np.where((rows + columns) % 2, 1.0, -1.0).astype(np.float32)[None]
    assert np.abs(View((0, 640), (0, 480), SAME).prototypes(board)).max() < 0.05


@pytest.mark.parametrize(("width", "height"), [(640, 480), (400, 100), (190, 300)])
def test_prototypes_of_a_cell_are_weighed_by_a_triangle(width, height):
    """As wide as a cell on either side of its middle, or as a grid point: 4 pixels of the photo."""
    prototypes = np.random.default_rng(0).normal(size=(3, 120, 160)).astype(np.float32)
    triangles = []
    for side, points in ((width, 160), (height, 120)):
        apart = side / COARSE / 4
        middles = np.clip((np.arange(COARSE)[:, None] + 0.5) * apart - 0.5, 0, points - 1)
        triangle = np.maximum(1 - np.abs(np.arange(points) - middles) / max(apart, 1), 0)
        triangles.append(triangle / triangle.sum(axis=1, keepdims=True))
    x, y = triangles
    seen = View((0, width), (0, height), SAME).prototypes(prototypes)
    np.testing.assert_allclose(seen, np.einsum("jy,nyx,ix->nji", y, prototypes, x), atol=1e-5)


def test_a_box_covers_its_share_of_each_cell():
    """View of 96 pixels, cells of 2: columns 11 to 40 are half of one cell and fourteen and a half more."""
    covered = View((0, 96), (0, 96), SAME).box((11, 0, 40, 96))
    assert covered[0, 5] == 0.5
    assert covered.sum() * 4 == pytest.approx(29 * 96)


def test_points_are_spots_with_a_sign():
    spots = View((100, 196), (100, 196), SAME).points([(121, 141), (171, 181)], [1, -1])
    assert np.unravel_index(spots.argmax(), spots.shape) == (20, 10)
    assert np.unravel_index(spots.argmin(), spots.shape) == (40, 35)
    assert spots.max() == pytest.approx(1.0, abs=1e-3)


def test_a_mask_stands_for_logits_by_its_share_of_each_cell():
    """Columns from 25 on, of cells of 2: half of cell 12, all of 13, none of 11."""
    cells = np.broadcast_to(np.arange(SIDE) >= 25, (SIDE, SIDE))
    assert logits_of(cells)[7, 11:14].tolist() == [-4, 0, 4]


def test_answers_lie_where_they_were_seen():
    """View of 96 pixels: a cell of the answer is a pixel."""
    x, y = View((200, 296), (100, 196), SAME).places()
    assert (x.before[200], x.before[295], y.before[100], y.before[195]) == (0, 95, 0, 95)
    assert x.before[0] == 0, "beyond the view, its border"
    assert x.before[639] == 95
    assert not x.share[200:296].any()


def test_what_is_odd_loses_its_last_pixel_when_it_is_halved():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    halves = [image]
    halve_on(halves, 1)
    means = image[:4, :6].reshape(2, 2, 3, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(halves[1], means, atol=0.5)


def test_what_is_kept_for_the_next_look_is_the_same_and_bounded():
    random = np.random.default_rng(0)
    image, prototypes = random.integers(0, 256, (480, 640, 3), np.uint8), random.random((2, 120, 160), np.float32)
    looks, views = Looks(image, prototypes), [View((place, 640), (0, 480), SAME) for place in range(MOST_VIEWS + 1)]
    seen = [looks.at(view) for view in views]
    assert looks.at(views[-1]) is seen[-1]
    assert looks.at(views[1]) is seen[1]
    assert looks.at(views[0]) is not seen[0]
    for view, (photo, part) in zip(views, seen, strict=True):
        np.testing.assert_array_equal(photo, view.photo(image))
        np.testing.assert_array_equal(part, view.prototypes(prototypes))
