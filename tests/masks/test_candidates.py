"""Box prompts find what the network offered and the thresholds did not keep; the mask is cut to the prompt."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from fastsam_onnx import FastSAM
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.results.segmentation import Segmentation

LETTERBOX = Letterbox.fit((64, 64), (64, 64), stride=32)  # photo, input and pixels are one


def offered(*columns):
    """Candidates of rows (cx, cy, w, h, score, coefficient); one prototype: 1 in the left half, -1 in the right."""
    prototypes = np.ones((1, 16, 16), np.float32)
    prototypes[:, :, 8:] = -1
    output = np.array(columns, np.float32).T
    return Candidates(output, prototypes, LETTERBOX, class_count=1)


def found_of(candidates):
    empty = Segmentation.from_masks([], image_size=(64, 64))
    return replace(empty, candidates=candidates)


def test_what_the_thresholds_hid_is_found_and_cut_to_the_prompt():
    found = found_of(offered((16, 16, 20, 20, 0.01, 1), (48, 48, 20, 20, 0.9, -1)))
    answer = found.box_prompt([(8, 8, 24, 24), (40, 40, 56, 56)])
    assert answer.prompt_index.tolist() == [0, 1]
    np.testing.assert_allclose(answer.scores, [0.01, 0.9])
    assert answer.areas.tolist() == [16 * 16, 16 * 16], "the candidates' boxes are larger; the prompt cuts"
    assert answer.boxes.tolist() == [[8, 8, 24, 24], [40, 40, 56, 56]]
    assert answer.candidates is None


def test_the_fit_weighs_overlap_and_score():
    """Fit is IoU * score ** 0.3. The exact box at 0.1: 1 * 0.50. Boxes half and 0.6 as wide at 0.9: 0.48 and 0.58."""
    exact = (16, 16, 20, 20, 0.1, 1)
    [first], [second] = (
        found_of(offered(exact, (16, 16, width, 20, 0.9, 1))).box_prompt((6, 6, 26, 26)).scores for width in (10, 12)
    )
    assert (first, second) == (np.float32(0.1), np.float32(0.9))


def test_a_candidate_without_a_pixel_in_the_prompt_makes_way_for_the_next():
    found = found_of(offered((48, 16, 20, 20, 0.9, 1), (48, 16, 24, 24, 0.5, -1)))
    answer = found.box_prompt((38, 6, 58, 26))
    np.testing.assert_allclose(answer.scores, [0.5])


def test_prompts_where_nothing_is_get_no_row():
    found = found_of(offered((16, 16, 20, 20, 0.9, 1), (48, 48, 20, 20, 0.9, 1)))
    boxes = [(-9, -9, -1, -1), (8, 8, 8, 20), (40, 0, 60, 20), (38, 38, 58, 58)]
    assert len(found.box_prompt(boxes)) == 0, "outside; without area; no candidate; a mask without a pixel"


def test_half_precision_overflow_and_hopeless_scores_are_left_out():
    kept = offered((16, 16, 20, 20, 0.9, 1), (16, 16, np.inf, 20, 0.9, 1), (16, 16, 20, 20, 0.001, 1))
    np.testing.assert_allclose(kept.scores, [0.9])


def test_the_best_class_counts():
    output = np.array([[16, 16, 20, 20, 0.2, 0.7, 1]], np.float32).T
    kept = Candidates(output, np.ones((1, 16, 16), np.float32), LETTERBOX, class_count=2)
    np.testing.assert_allclose(kept.scores, [0.7])
    assert found_of(kept).box_prompt((6, 6, 26, 26)).areas.tolist() == [400]


@pytest.fixture(scope="module")
def photo():
    rng = np.random.default_rng(3)
    picture = np.full((240, 320, 3), 90, np.uint8)
    for _ in range(6):
        x, y = rng.integers(0, 260), rng.integers(0, 180)
        picture[y : y + 60, x : x + 60] = rng.integers(0, 255, 3)
    return picture


def test_a_selection_answers_from_its_own_rows(photo):
    found = FastSAM(threads=1)(photo)
    box = found.boxes[0]
    whole, selected = found.box_prompt(box), found[found.scores > 0].box_prompt(box)
    assert len(whole) == 1
    assert selected.masks[0].rle() == found.box_prompt(box, match="mask").masks[0].rle()
    for part in (found[:], found.smooth(), found.point_prompt((5, 5), pick="merge"), whole):
        assert part.candidates is None


def test_prompts_survive_pickling(photo):
    found = FastSAM(threads=1)(photo)
    box = (40, 30, 200, 200)
    again = pickle.loads(pickle.dumps(found))
    assert [mask.rle() for mask in again.box_prompt(box).masks] == [mask.rle() for mask in found.box_prompt(box).masks]
