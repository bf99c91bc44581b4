"""Soft edges lie where masks end, are as strong as the masks are sure, and do not run along the photo's frame."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from support.tiny_onnx import tiny

from fastsam_onnx import FastSAM
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.edges import HALF, Lattice, ridges, soft_edges
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.pending import pending_masks
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.results.segmentation import Segmentation


def rectangle(image_size, x1, y1, x2, y2):
    dense = np.zeros(image_size[::-1], bool)
    dense[y1:y2, x1:x2] = True
    return Mask.from_dense(dense)


def half_plane(scores=(1.0,), image_size=(40, 30)):
    masks = [rectangle(image_size, 0, 0, 20, 30)] * len(scores)
    return Segmentation.from_masks(masks, list(scores))


def test_a_step_is_an_edge_on_both_sides_of_it():
    """Sobel's slope of a step from 1 to 0 is 1/2 a pixel beside it, 2 for a cell of four pixels: 2 / (2 + HALF)."""
    edges = half_plane().edges(thin=False)
    assert edges.dtype == np.float32
    assert edges.shape == (30, 40)
    np.testing.assert_allclose(edges[10:20, 19:21], 2 / (2 + HALF), rtol=1e-6)
    assert not edges[:, :19].any()
    assert not edges[:, 21:].any()


def test_a_photo_on_its_side_has_its_edges_on_its_side():
    upright = [rectangle((40, 30), 3, 5, 20, 28), rectangle((40, 30), 15, 2, 33, 12)]
    turned = [Mask.from_dense(mask.dense().T) for mask in upright]
    edges, others = (Segmentation.from_masks(masks).edges(thin=False) for masks in (upright, turned))
    np.testing.assert_allclose(edges, others.T, atol=1e-6)
    assert edges[16, 19] > 0.5  # where one ends at its right
    assert edges[27, 10] > 0.5  # and at its bottom


def test_masks_that_agree_and_scores_make_edges_stronger():
    """The geometric mean of the steepest slope and the sum of all: two sure masks have sqrt(2) times the slope."""
    twice, unsure = half_plane((1, 1)).edges(thin=False), half_plane((1 / 16,)).edges(thin=False)
    slope = 2 * np.sqrt(2)
    np.testing.assert_allclose(twice[15, 19], slope / (slope + HALF), rtol=1e-6)
    np.testing.assert_allclose(unsure[15, 19], 1 / (1 + HALF), rtol=1e-6)  # 1/16 to the power of 1/4 is 1/2


def test_ridges_are_thinner_and_where_the_slopes_were():
    size = (60, 50)
    found = Segmentation.from_masks([rectangle(size, 15, 12, 45, 38)])
    slopes, thin = found.edges(thin=False) > 0.1, found.edges() > 0.1
    assert not (thin & ~slopes).any()
    assert 0 < thin.sum() <= slopes.sum()
    x = np.linspace(-3, 3, 31, dtype=np.float32)
    hill = np.tile(np.exp(-(x**2)), (31, 1))
    kept = ridges(hill)[15, 10:21]
    assert np.flatnonzero(kept[2:9]).tolist() == [3], "the ridge; what stays of the flanks is where they do not bend"
    assert kept[[0, 1, 9, 10]].max() < 0.6 < kept[5]


def test_masks_of_the_network_have_their_edge_where_the_logits_cross_zero():
    """Logits fall from 8 to -8 along the columns; the probability is 1/2 in the middle of the photo."""
    letterbox = Letterbox.fit((64, 64), (64, 64), stride=32)
    prototypes = np.tile(np.linspace(8, -8, 16, dtype=np.float32), (1, 16, 1))
    masks = pending_masks(np.array([[0, 0, 64, 64]], np.float32), np.ones((1, 1), np.float32), prototypes, letterbox)
    found = Segmentation(
        boxes=np.array([[0, 0, 64, 64]], np.float32), scores=np.ones(1, np.float32), masks=Masks(masks, (64, 64))
    )
    edges = found.edges(thin=False)
    assert abs(int(edges[32].argmax()) - 31.5) < 1
    cut = replace(found, masks=Masks([replace(masks[0], columns=(0, 20)).tight()], (64, 64)))
    assert cut.edges(thin=False).max() < 0.5 * edges.max(), "where the box cuts a mask there is no edge"


def test_there_is_no_edge_along_the_photos_frame():
    whole = Segmentation.from_masks([rectangle((40, 30), 0, 0, 40, 30)])
    assert not whole.edges(thin=False).any()
    edges = half_plane().edges(thin=False)
    assert not edges[0].any()
    assert not edges[-1].any()


def test_how_loosely_a_mask_is_cropped_does_not_matter():
    """A thin mask at the photo's frame had no edges if it was cropped to its pixels, for that was taken for too small.

    Below the one row that it has its slope is Sobel's, 1/2 a pixel: that of a step.
    """
    dense = np.zeros((30, 40), bool)
    dense[:1, 5:35] = True
    tight, loose = Mask.from_dense(dense), Mask(dense, 0, 0, (40, 30))
    edges, others = (Segmentation.from_masks([mask]).edges(thin=False) for mask in (tight, loose))
    np.testing.assert_array_equal(edges, others)
    fading = 1 / 4  # of the second row, four pixels from where nothing fades
    np.testing.assert_allclose(edges[1, 20], 2 * fading / (2 * fading + HALF), rtol=1e-6)


def test_no_objects_no_edges():
    edges = Segmentation.from_masks([], image_size=(9, 5)).edges()
    assert edges.shape == (5, 9)
    assert not edges.any()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (3, 40)])
def test_tiny_photos(size):
    edges = Segmentation.from_masks([rectangle(size, 0, 0, 1, 1)]).edges()
    assert edges.shape == size[::-1]
    assert np.isfinite(edges).all()


def test_everything_that_the_network_offered_has_a_say_unless_the_objects_are_asked_for():
    prototypes = np.ones((1, 16, 16), np.float32)
    prototypes[:, :, 8:] = -1
    output = np.array([(32, 32, 60, 60, 0.01, 8)], np.float32).T
    letterbox = Letterbox.fit((64, 64), (64, 64), stride=32)
    candidates = Candidates.from_output(output, prototypes, letterbox, class_count=1)
    found = replace(Segmentation.from_masks([], image_size=(64, 64)), candidates=candidates)
    assert found.edges()[20:40, 28:36].max() > 0.2
    assert not found.edges(of="objects").any()
    assert not found[:0].edges().any(), "a selection is its objects alone"


def test_a_candidate_of_no_size_has_no_say():
    """Rounding of int8 can put a box's right side before its left: it was a warning of NumPy's, of the root of that."""
    output = np.array([(32, 32, -1, -2, 1, 8)], np.float32).T
    letterbox = Letterbox.fit((64, 64), (64, 64), stride=32)
    candidates = Candidates.from_output(output, np.ones((1, 16, 16), np.float32), letterbox, class_count=1)
    found = replace(Segmentation.from_masks([], image_size=(64, 64)), candidates=candidates)
    assert not found.edges().any()


@pytest.mark.parametrize(("side", "share"), [(24, 0.5), (96, 1), (120, 1)])  # of SURE_SIDE, 96: the root of 24 / 96
def test_small_candidates_have_less_of_a_say(side, share):
    prototypes = np.full((1, 32, 32), 10, np.float32)
    prototypes[:, :, 16:] = -10
    letterbox = Letterbox.fit((128, 128), (128, 128), stride=32)

    def slope(height: int) -> float:
        output = np.array([(64, 64, 20, height, 1, 1)], np.float32).T
        candidates = Candidates.from_output(output, prototypes, letterbox, class_count=1)
        found = replace(Segmentation.from_masks([], image_size=(128, 128)), candidates=candidates)
        strength = float(found.edges(thin=False)[64].max())
        return strength / (1 - strength)  # strength is slope / (slope + HALF)

    assert slope(side) / slope(96) == pytest.approx(share, rel=1e-3)


def test_a_large_photo_takes_little_more_memory_than_the_result():
    size = (5000, 4000)
    found = Segmentation.from_masks([rectangle(size, 1000, 1000, 4000, 3000)] * 3)
    tracemalloc.start()
    edges = found.edges()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert edges.shape == (4000, 5000)
    assert peak < 3 * edges.nbytes
    assert edges[2000, 980:1020].max() > 0.4, "the left side of the rectangle"
    assert not edges[2000, 1100:3900].any()


@pytest.mark.parametrize("height", [1, 3])
def test_a_strip_takes_no_more_memory_than_a_photo_of_as_many_pixels(height):
    """A lattice of every 128th pixel, 262,144 by 2048, has 128 rows: 134 MB in place of 1 and 3."""
    size = (1 << 18, height)
    found = Segmentation.from_masks([rectangle(size, 1000, 0, 4000, height)])
    tracemalloc.start()
    edges = found.edges()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert edges.shape == (height, 1 << 18)
    assert not edges.any(), "it has no sides"
    assert peak < 20 * edges.nbytes


@pytest.mark.parametrize(
    ("image_size", "step"), [((64, 64), 1), ((128, 96), 2), ((1280, 960), 21), ((2048, 200), 34), ((200, 2048), 34)]
)
def test_the_lattice_has_about_four_pixels_for_a_cell(image_size, step):
    """The longer side has 16 cells: 2048 / 16 / 4 = 32, and a little more for the half cells at the ends.

    200 pixels are 1.5 cells there, of which the places of the pixels span the inner half: 400 for a cell.
    """
    letterbox = Letterbox.fit(image_size, (64, 64), stride=32)
    width, height = (side // 4 for side in letterbox.input_size)
    box, prototypes = np.array([[0, 0, *image_size]], np.float32), np.ones((1, height, width), np.float32)
    [mask] = pending_masks(box, np.ones((1, 1), np.float32), prototypes, letterbox)
    lattice = Lattice.from_masks([mask], image_size)
    assert lattice.step == step
    assert 3 < lattice.cell < 5.5


def test_a_networks_edges_are_from_0_to_1_for_every_size():
    rng = np.random.default_rng(3)
    model = FastSAM(tiny(), threads=1, conf=0.0)
    for height, width in ((64, 64), (33, 200), (400, 300)):
        edges = model(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).edges()
        assert edges.shape == (height, width)
        assert 0 <= edges.min() <= edges.max() < 1


def test_other_options_are_refused():
    with pytest.raises(OptionError, match=r"candidates.*objects.*'all'"):
        half_plane().edges(of="all")
    with pytest.raises(OptionError, match=r"thin.*1"):
        soft_edges(half_plane(), thin=1)
