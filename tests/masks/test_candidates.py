"""Box prompts find what the network offered and the thresholds did not keep; the mask is cut to the prompt."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from support.tiny_onnx import tiny

from fastsam_onnx import FastSAM
from fastsam_onnx.masks import clicks
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.decoder import Decoder
from fastsam_onnx.masks.pending import pending_masks
from fastsam_onnx.masks.views import SIDE
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.results.segmentation import Segmentation

LETTERBOX = Letterbox.fit((64, 64), (64, 64), stride=32)  # photo, input and pixels are one


def offered(*columns):
    """Candidates of rows (cx, cy, w, h, score, coefficient); one prototype: 1 in the left half, -1 in the right."""
    prototypes = np.ones((1, 16, 16), np.float32)
    prototypes[:, :, 8:] = -1
    output = np.array(columns, np.float32).T
    return Candidates.from_output(output, prototypes, LETTERBOX, class_count=1)


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
    kept = Candidates.from_output(output, np.ones((1, 16, 16), np.float32), LETTERBOX, class_count=2)
    assert kept.labels.tolist() == [1]
    np.testing.assert_allclose(kept.scores, [0.7])
    assert found_of(kept).box_prompt((6, 6, 26, 26)).areas.tolist() == [400]


def regions(*boxes):
    """(1, 16, 16): a prototype that is 1 in boxes of cells, right and bottom exclusive, and -1 elsewhere."""
    prototype = np.full((1, 16, 16), -1, np.float32)
    for x1, y1, x2, y2 in boxes:
        prototype[:, y1:y2, x1:x2] = 1
    return prototype


def test_a_mask_that_leaves_a_side_of_the_box_empty_is_enlarged():
    """The logits are above zero left of cell 4.5, x = 20: 12 of the prompt's 32 pixels. Every 0.5 adds a cell.

    Raised by 1.5 the mask fills 24 of 32 pixels, too little; by 2 it fills 28, which is more than 0.85.
    """
    prototypes = np.broadcast_to(np.float32(2.25) - np.arange(16, dtype=np.float32) / 2, (1, 16, 16)).copy()
    candidates = replace(offered((24, 24, 32, 32, 0.9, 1)), prototypes=prototypes)
    mask = found_of(candidates).box_prompt((8, 8, 40, 40)).masks[0]
    assert mask.box.tolist() == [8, 8, 36, 40]


def test_a_mask_is_enlarged_over_no_background_point():
    """The same: it ends at x = 20, enlarged at 36."""
    prototypes = np.broadcast_to(np.float32(2.25) - np.arange(16, dtype=np.float32) / 2, (1, 16, 16)).copy()
    found = found_of(replace(offered((24, 24, 32, 32, 0.9, 1)), prototypes=prototypes))
    for point, label, right in (((12, 24), 1, 36), ((24, 24), 0, 20)):
        assert found.box_prompt((8, 8, 40, 40), [point], [label]).masks[0].box.tolist() == [8, 8, right, 40]


def test_a_mask_that_never_fills_the_box_is_the_one_that_fills_it_most():
    candidates = replace(offered((24, 24, 32, 32, 0.9, 4)), prototypes=regions((2, 2, 6, 6)))
    mask = found_of(candidates).box_prompt((8, 8, 40, 40)).masks[0]
    assert 16 * 16 <= mask.area < 24 * 24


def test_a_box_answer_has_no_specks():
    candidates = replace(offered((32, 32, 64, 64, 0.9, 4)), prototypes=regions((0, 0, 16, 10), (0, 14, 1, 15)))
    assert found_of(candidates).box_prompt((0, 0, 64, 64)).masks[0].box.tolist() == [0, 0, 64, 40]


def test_of_the_offers_for_a_box_one_that_obeys_its_points_is_taken():
    """Both fill the half that is theirs: 1 the left one, -1 the right one; the answer to a box is enlarged."""
    found = found_of(offered((32, 32, 40, 20, 0.9, 1), (32, 32, 40, 20, 0.2, -1)))
    box, left, right = (12, 22, 52, 42), (20, 32), (44, 32)
    assert found.box_prompt(box).scores.tolist() == [np.float32(0.9)]
    assert found.box_prompt(box).masks[0].contains(*right)
    for points, labels, score in (
        ([left], [1], 0.9),
        ([right], [1], 0.9),  # which is right already, so stays as it is
        ([left], [0], 0.2),
        ([left, right], [1, 1], 0.9),  # both obey one; the first fits better
        ([right, left], [1, 0], 0.2),
    ):
        assert found.box_prompt(box, points, labels).scores.tolist() == [np.float32(score)]


def test_an_offer_that_fits_a_box_less_than_half_as_well_answers_to_no_point():
    """Of one box the fits are as (score / 0.9) ** 0.3: 0.64 for 0.2, and 0.42 for 0.05."""
    for score, answers in ((0.2, 0.2), (0.05, 0.9)):
        found = found_of(offered((32, 32, 40, 20, 0.9, 1), (32, 32, 40, 20, score, -1)))
        answer = found.box_prompt((12, 22, 52, 42), [(20, 32)], [0])
        assert answer.scores.tolist() == [np.float32(answers)]
        assert not answer.masks[0].contains(20, 32)


def test_a_point_in_a_box_that_no_fitting_offer_obeys_changes_a_disc_around_it():
    """All logits are positive: everything obeys the first point, nothing the second, but what fits far worse.

    The points are 16 pixels apart: a disc with a radius of 4 is cut out, of 49 pixels as OpenCV draws it.
    """
    output = offered((32, 32, 40, 20, 0.9, 1), (20, 32, 16, 20, 0.3, 1))
    found = found_of(replace(output, prototypes=np.ones((1, 16, 16), np.float32)))
    box, left, right = (12, 22, 52, 42), (20.5, 32.5), (36.5, 32.5)
    [whole], [cut] = found.box_prompt(box).masks, found.box_prompt(box, [left, right], [1, 0]).masks
    missing = whole.difference(cut)
    assert missing.area == 49
    assert missing.box.tolist() == [32, 28, 41, 37]
    assert found.box_prompt(box, [left, right], [1, 0]).scores.tolist() == [np.float32(0.9)]
    assert found.box_prompt(box, [right, (70.5, 32.5)], [1, 0]).masks[0] == whole  # outside it is right already
    assert found.box_prompt(box, [left, (22.5, 32.5)], [1, 0]).masks[0].area == whole.area - 1
    [other] = found.box_prompt(box, [right, left], [1, 0]).masks
    assert whole.difference(other).box.tolist() == [16, 28, 25, 37], "as large: from pixel to pixel"
    # A disc that would leave nothing is not cut out.
    assert found.box_prompt((18, 30, 22, 34), [(20.5, 32.5)], [0]).masks[0].area > 0


def test_a_point_that_the_answer_to_a_box_obeys_changes_nothing():
    """Whether an offer as it is obeys does not matter: it is enlarged before it answers."""
    found = found_of(offered((32, 32, 40, 20, 0.9, 1), (32, 32, 40, 20, 0.8, -1)))
    box = (12, 22, 52, 42)
    [alone] = found.box_prompt(box).masks
    points = [(x + 0.5, y + 0.5) for x in range(12, 52, 3) for y in range(22, 42, 3)]
    held = [alone.contains(*point) for point in points]
    assert all(
        found.box_prompt(box, point, int(inside)).masks[0] == alone for point, inside in zip(points, held, strict=True)
    )
    assert found.box_prompt(box, points, held).masks[0] == alone


@pytest.mark.parametrize(
    ("box", "point", "disc"),
    [((10, 10, 22, 50), (16, 30), [13, 27, 20, 34]), ((10, 10, 50, 22), (30, 16), [27, 13, 34, 20])],
)
def test_a_point_alone_in_a_box_changes_a_disc_by_the_boxs_shorter_side(box, point, disc):
    """A quarter of 12 pixels: a radius of 3."""
    found = found_of(replace(offered((32, 32, 64, 64, 0.9, 1)), prototypes=np.ones((1, 16, 16), np.float32)))
    [whole], [cut] = (found.box_prompt(box, *told).masks for told in ((), ([point], [0])))
    assert whole.difference(cut).box.tolist() == disc


def test_points_look_below_the_threshold_too():
    found = found_of(offered((16, 16, 20, 20, 0.01, 1), (48, 48, 20, 20, 0.9, -1)))
    answer = found.point_prompt([[(16, 16)], [(2, 2)], [(48, 48)], [(70, 16)], [(-1, 16)]])
    assert answer.prompt_index.tolist() == [0, 2]
    np.testing.assert_allclose(answer.scores, [0.01, 0.9])
    assert answer.boxes.tolist() == [[6, 6, 26, 26], [38, 38, 58, 58]]
    assert answer.candidates is None


def test_a_point_prefers_the_mask_in_whose_middle_it_lies():
    """Two squares of one score and size: 5 x 5 cells from column 1 and from column 4, both hold columns 4 and 5.

    In column 4 the click lies at the edge of the second, in column 5 of the first.
    """
    found = found_of(offered((14, 14, 20, 20, 0.5, 1), (26, 14, 20, 20, 0.5, 1)))
    for x, left in ((18.5, 4), (21.5, 16)):
        assert found.point_prompt((x, 14)).boxes[0, 0] == left


def test_the_claim_is_score_by_area_and_depth():
    """Both hold the click in their middle: score / area^(2/3) of the smaller is 4^(2/3) = 2.5 times as large."""
    large = (16, 16, 32, 32, 0.9, 1)
    for score, side in ((0.4, 16), (0.3, 32)):
        found = found_of(offered(large, (16, 16, 16, 16, score, 1)))
        x1, _, x2, _ = found.point_prompt((16, 16)).boxes[0]
        assert x2 - x1 == side


def test_a_mask_with_a_background_point_is_out_and_most_foreground_points_count():
    found = found_of(offered((16, 16, 32, 32, 0.1, 1), (8, 8, 16, 16, 0.9, 1)))
    points = [(8, 8), (24, 24)]
    assert found.point_prompt(points[0]).boxes[0].tolist() == [0, 0, 16, 16]
    assert found.point_prompt(points).boxes[0].tolist() == [0, 0, 32, 32]
    assert found.point_prompt(points, [1, 0]).boxes[0].tolist() == [0, 0, 16, 16]
    assert len(found.point_prompt([(8, 8), (4, 4)], [0, 0])) == 0


NESTED = tuple((16, 16, side, side, score, 1) for side, score in ((8, 0.9), (16, 0.8), (28, 0.7), (32, 0.3)))
"""Squares around one middle, claims falling: score / area^(2/3) is 0.056, 0.020, 0.008, 0.003."""


def test_of_the_many_that_hold_a_point_those_of_a_high_score_for_their_area_come_first():
    """Fifty at most are measured."""
    order = offered(*NESTED[::-1]).holding(np.array([(16.0, 16.0)]), np.ones(1, bool))
    assert order.tolist() == [3, 2, 1, 0]


def test_alternatives_are_what_the_points_may_mean_most_likely_first():
    """The fourth, 32 x 32, has an IoU of 0.77 with the third."""
    found = found_of(offered(*NESTED, (48, 48, 20, 20, 0.9, -1)))
    answer = found.point_prompt([[(16, 16)], [(48, 48)], [(60, 2)]], pick="alternatives")
    assert answer.prompt_index.tolist() == [0, 0, 0, 1]
    assert answer.areas.tolist() == [8 * 8, 16 * 16, 28 * 28, 20 * 20]
    np.testing.assert_allclose(answer.scores, [0.9, 0.8, 0.7, 0.9])
    assert answer.candidates is None


def test_alternatives_are_three_at_most_and_begin_with_the_answer():
    found = found_of(offered(*NESTED[:3], (16, 16, 20, 20, 0.9, 1), (16, 16, 12, 12, 0.01, 1)))
    [likeliest] = found.point_prompt((16, 16)).areas
    answer = found.point_prompt((16, 16), pick="alternatives")
    assert answer.areas.tolist() == [64, 256, 400], "0.9 / 400^(2/3) = 0.017; of the others none is as likely"
    assert answer.areas[0] == likeliest


def test_alternatives_heed_background_points_too():
    found = found_of(offered(*NESTED))
    answer = found.point_prompt([(16, 16), (16, 26)], [1, 0], pick="alternatives")
    assert answer.areas.tolist() == [64, 256], "the larger ones hold the background point"


def test_answers_to_points_are_refined_where_the_objects_are():
    """The region goes on beyond the box; so does the answer, if it is to be refined."""
    prototypes = regions((2, 4, 12, 8))
    plain = replace(offered((14, 24, 20, 24, 0.5, 1)), prototypes=prototypes)
    for refine, box in ((False, [4, 12, 24, 36]), (True, [8, 16, 48, 32])):
        answer = found_of(replace(plain, refine=refine)).point_prompt((14, 24))
        assert answer.boxes[0].tolist() == box


def test_a_refined_answer_still_holds_the_click():
    """An island of 2 cells beside 40 would go; but it is what was clicked."""
    prototypes = regions((2, 2, 12, 6), (4, 9, 6, 10))
    candidates = replace(offered((32, 24, 64, 48, 0.5, 1)), prototypes=prototypes, refine=True)
    answer = found_of(candidates).point_prompt((20, 38))
    assert answer.masks[0].contains(20, 38)
    assert answer.boxes[0].tolist() == [0, 0, 64, 48]


def test_a_refined_answer_does_not_grow_over_a_background_point():
    candidates = replace(offered((14, 24, 20, 24, 0.5, 1)), prototypes=regions((2, 4, 12, 8)), refine=True)
    answer = found_of(candidates).point_prompt([(14, 24), (40, 24)], [1, 0])
    assert answer.boxes[0].tolist() == [4, 12, 24, 36]


def test_points_mean_their_pixels():
    """A box from 10.6 to 21.4 has the pixels 11 to 21."""
    candidates = offered((16, 16, 10.8, 10.8, 0.5, 1))
    [mask] = candidates.masks(np.array([0]))
    for x, held in ((10.8, False), (11.1, True), (21.6, True), (22.0, False)):
        assert candidates.held(np.array([(x, 16.0)])).tolist() == [[held]]
        assert mask.contains(x, 16.0) == held


def test_without_candidates_points_are_balanced(photo):
    found = FastSAM(threads=1)(photo)
    selected = found[:]
    assert selected.candidates is None
    point = found.boxes[0].reshape(2, 2).mean(axis=0)
    assert (
        selected.point_prompt(point).masks.areas.tolist() == found.point_prompt(point, pick="balanced").areas.tolist()
    )


def test_alternatives_are_drawn_anew_and_none_is_like_another(photo):
    found = FastSAM(threads=1)(photo)
    points = found.boxes.reshape(-1, 2, 2).mean(axis=1)[:8, None]
    single, several = (found.point_prompt(points, pick=pick) for pick in ("candidate", "alternatives"))
    assert len(several) > len(single) > 0
    for prompt, mask in zip(single.prompt_index.tolist(), single.masks, strict=True):
        answers = [each for index, each in zip(several.prompt_index, several.masks, strict=True) if index == prompt]
        assert len(answers) <= 3
        assert answers[0].iou(mask) == 1
        assert all(each.contains(*points[prompt, 0]) for each in answers)
        assert all(each.iou(other) <= 0.7 for each in answers for other in answers if other is not each)


@pytest.mark.parametrize("draws", [True, False])
def test_the_answer_is_the_first_alternative_also_where_nothing_could_be_drawn(photo, draws, monkeypatch):
    candidates = FastSAM(threads=1)(photo).candidates
    if not draws:
        nothing = np.full((1, SIDE, SIDE), -5, np.float32)
        monkeypatch.setattr(
            Decoder, "run", lambda _, photos, maps: (nothing.repeat(len(photos), axis=0), np.zeros(len(photos)))
        )
    rng = np.random.default_rng(2)
    answered = 0
    for point in rng.uniform((0, 0), (320, 240), (20, 2)):
        points, foreground = np.stack([point, point + rng.normal(0, 12, 2)]), np.array([True, False])
        answer = clicks.for_points(candidates, points, foreground)
        several = clicks.alternatives_for_points(candidates, points, foreground)
        assert (answer is None) == (not several)
        if answer is not None:
            answered += 1
            assert several[0].mask.render().iou(answer.mask.render()) == 1
            assert draws or answer.mask.predicted_iou is None
    assert answered > 5


def test_candidates_hold_what_their_masks_hold(photo):
    """The prototypes at a point tell as much as the mask made for it."""
    candidates = FastSAM(threads=1)(photo).candidates
    rng = np.random.default_rng(7)
    for point in rng.uniform((0, 0), (320, 240), (20, 2)):
        answer = clicks.for_points(candidates, point[None], np.array([True]))
        assert answer is None or answer.mask.contains(*point)


def held_bytes(found):
    """Bytes of the arrays that a result keeps alive, whole ones where it holds a part."""
    arrays = [value for value in vars(found.candidates).values() if isinstance(value, np.ndarray)]
    arrays += [mask.logits for mask in found.masks.lazy]
    owners = [array.base if isinstance(array.base, np.ndarray) else array for array in arrays]
    return sum({id(owner): owner.nbytes for owner in owners}.values())


@pytest.mark.parametrize("nc", [1, 80, 1203])
def test_a_result_holds_as_much_whatever_the_number_of_classes(nc):
    # 256x256: 1024 + 256 + 64 = 1344 candidates of a box, a score, a label and 4 coefficients; 4 prototypes of 64x64.
    found = FastSAM(tiny(nc, 4), imgsz=256, conf=0.9, threads=1)(np.zeros((256, 256, 3), np.uint8))
    masks = sum(mask.logits.nbytes for mask in found.masks.lazy)
    assert held_bytes(found) - masks <= 1344 * (4 * 4 + 4 + 8 + 4 * 4) + 4 * 64 * 64 * 4


def test_a_result_of_a_batch_holds_nothing_of_the_others(photo):
    model = FastSAM(tiny(3, 4), imgsz=256, conf=0.9, threads=1)
    batched = list(model.stream([photo] * 8, batch=8))
    assert {held_bytes(found) for found in batched} == {held_bytes(model(photo))}


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


def test_depth_of_a_point():
    """A square of 5 x 5 cells: the middle is 3 deep, its neighbour 2, the outermost cells 1."""
    [mask] = pending_masks(
        np.array([(4, 4, 24, 24)], np.float32), np.ones((1, 1), np.float32), np.ones((1, 16, 16), np.float32), LETTERBOX
    )
    for x, depth in ((14, 3), (10, 2), (6, 1)):
        area, found = clicks.area_and_depth(mask, np.array([(x, 14.0)]))
        assert (area, found) == (25, pytest.approx(depth / 3, abs=0.02))
    assert clicks.area_and_depth(mask, np.array([(40.0, 40.0)])) == (25, 0)
    assert clicks.area_and_depth(mask, np.array([(14.0, 14.0), (6.0, 14.0)]))[1] == pytest.approx(1 / 3, abs=0.02)
