"""Masks as prompts: the object with the highest IoU, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from support.tensor import Tensor
from support.tiny_onnx import tiny

from fastsam_onnx import FastSAM
from fastsam_onnx.errors import FastSAMError, OptionError, PromptError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.mask_prompts import read_mask
from fastsam_onnx.results.prompts import Prompts
from fastsam_onnx.results.segmentation import Segmentation


def dense(x1, y1, x2, y2, size=(20, 16)):
    full = np.zeros((size[1], size[0]), bool)
    full[y1:y2, x1:x2] = True
    return full


@pytest.fixture
def found() -> Segmentation:
    """A bar, the square that holds it, and a square elsewhere."""
    boxes = [(2, 2, 10, 4), (2, 2, 10, 10), (12, 8, 18, 14)]
    return Segmentation.from_masks([Mask.from_dense(dense(*box)) for box in boxes], [0.9, 0.8, 0.7], source="a.jpg")


def test_the_highest_iou_of_pixels_answers(found):
    """A mask of 8 x 5: IoU 16 / 40 with the bar, 40 / 64 with the square; of 8 x 3: 16 / 24 and 24 / 64."""
    answer = found.mask_prompt(np.stack([dense(2, 2, 10, 7), dense(2, 2, 10, 5)]))
    assert answer.areas.tolist() == [64, 16]
    assert answer.prompt_index.tolist() == [0, 1]
    assert answer.source == "a.jpg"


def test_a_mask_that_overlaps_nothing_has_no_answer(found):
    answer = found.mask_prompt([dense(0, 15, 2, 16), dense(13, 9, 17, 12)])
    assert answer.prompt_index.tolist() == [1]
    assert answer.areas.tolist() == [36]
    assert len(replace(found.take(np.arange(0)), prompt_index=None).mask_prompt(dense(0, 0, 2, 2))) == 0


def test_boxes_are_compared_when_that_is_asked_for(found):
    """The corners of the square: 2 of its 64 pixels, and exactly its box; half of them lie in the bar."""
    corners = dense(2, 2, 3, 3) | dense(9, 9, 10, 10)
    assert found.mask_prompt(corners, match="box").areas.tolist() == [64]
    assert found.mask_prompt(corners, match="mask").areas.tolist() == [16]
    with pytest.raises(OptionError, match=r"match .*'candidate', 'mask', 'box'"):
        found.mask_prompt(corners, match="iou")


@pytest.mark.parametrize(
    "form",
    [
        lambda mask: mask,
        lambda mask: mask.tolist(),
        lambda mask: [mask.tolist()],
        lambda mask: mask * np.uint8(255),
        lambda mask: mask.astype(np.float32),
        Mask.from_dense,
        lambda mask: [Mask.from_dense(mask)],
        lambda mask: (Mask.from_dense(mask).rle(),),
        lambda mask: Mask.from_dense(mask).rle(),
        lambda mask: mask[None],
        Tensor,
        lambda mask: Tensor(mask[None]),
        lambda mask: [Tensor(mask)],
    ],
)
def test_a_mask_is_taken_in_every_form(form, found):
    answer = found.mask_prompt(form(dense(12, 8, 18, 15)))
    assert answer.areas.tolist() == [36]


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (dense(2, 2, 4, 4, size=(16, 20)), "size of the photo, 20x16, got 16x20"),
        (np.zeros((16, 20), bool), "mask 0, of 20x16, has no pixels"),
        ([dense(2, 2, 4, 4), np.zeros((16, 20))], "mask 1, of 20x16, has no pixels"),
        (dense(2, 2, 4, 4)[..., None], r"shape, \(16, 20\), or \(k, 16, 20\).*got \(16, 20, 1\)"),
        (np.ones((16, 20, 3), np.uint8), r"got \(16, 20, 3\)"),
        ([dense(2, 2, 4, 4)[..., None]], r"got bool of shape \(16, 20, 1\)"),
        (np.full((16, 20), 0.3), "0.3.*threshold"),
        (dense(2, 2, 4, 4) * 0.3, "from 0 to 0.3.*threshold"),
        (dense(2, 2, 4, 4) + 2 * dense(6, 6, 9, 9), "one other value, got several from 0 to 2.*labels == 3"),
        (np.full((16, 20), np.nan), "finite"),
        ("mask.png", "got <U8"),
        (7, "shape"),
        (None, "mask"),
        (np.zeros((2, 2, 16, 20), bool), "shape"),
        ([[[1, 2], [3]], [[1]]], "mask"),
        ({"size": [16, 20], "counts": "?"}, "run lengths"),
        ({"size": [16, 20]}, "run lengths"),
        ([7, dense(2, 2, 4, 4)], "mask"),
        (Tensor(dense(2, 2, 4, 4)[..., None]), r"shape, \(16, 20\), or \(k, 16, 20\).*got \(16, 20, 1\)"),
        (Tensor(None), "numbers.*requires grad"),
        ([Tensor(None)], "numbers.*requires grad"),
    ],
)
def test_what_is_no_mask_of_the_photo_is_refused(masks, message, found):
    with pytest.raises(PromptError, match=message):
        found.mask_prompt(masks)


def test_prompts_have_masks_between_boxes_and_texts(found):
    prompts = Prompts(boxes=(12, 8, 18, 14), masks=[dense(2, 2, 10, 10), dense(2, 2, 10, 4)], match="mask")
    assert prompts.count == 3
    answer = found.prompt(prompts)
    assert answer.prompt_index.tolist() == [0, 1, 2]
    assert answer.areas.tolist() == [36, 64, 16]
    joined = prompts.joined(Prompts(masks=dense(12, 8, 18, 14)))
    assert joined.count == 4
    assert found.prompt(joined).areas.tolist() == [36, 64, 16, 36]


def test_masks_of_json_are_run_lengths(found):
    text = json.dumps({"masks": [Mask.from_dense(dense(2, 2, 10, 9)).rle()], "match": "mask"})
    assert found.prompt(Prompts.from_json(text)).areas.tolist() == [64]
    with pytest.raises(PromptError, match="run lengths"):
        Prompts.from_json('{"masks": [{"size": [1, 2, 3]}]}').check()


def test_the_candidates_fit_at_least_as_well_as_the_objects():
    photo = np.random.default_rng(4).integers(0, 255, (64, 96, 3)).astype(np.uint8)
    found = FastSAM(tiny(), imgsz=64, conf=0.3)(photo)
    assert found.candidates is not None
    sketch = Mask.from_dense(dense(20, 10, 60, 40, size=(96, 64)))
    [among_all] = found.mask_prompt(sketch)
    best = max(sketch.iou(mask) for mask in found.masks)
    assert sketch.iou(among_all.mask) >= best > 0
    [among_objects] = found.mask_prompt(sketch, match="mask")
    assert sketch.iou(among_objects.mask) == best


def test_an_object_that_was_drawn_anew_answers_its_own_mask():
    found = FastSAM()(Path(__file__).parents[2] / "examples" / "coffee.jpg")
    answer = found.mask_prompt(list(found.masks))
    assert answer.prompt_index.tolist() == list(range(len(found)))
    assert answer.areas.tolist() == found.areas.tolist()
    np.testing.assert_array_equal(answer.boxes, found.boxes)
    np.testing.assert_array_equal(answer.scores, found.scores)


def test_of_objects_those_that_obey_points_answer_a_mask(found):
    """The mask of 8 x 5 fits the square best, then the bar in it; the other square it does not touch."""
    mask = dense(2, 2, 10, 7)
    for match in ("mask", "box"):
        asked = [((5, 8),), ((5, 8), 0), ((5, 3),), ((15, 10),), ([(5, 8), (5, 3)], [0, 1])]
        areas = [found.mask_prompt(mask, *points, match=match).areas.tolist() for points in asked]
        assert areas == [[64], [16], [64], [64], [16]]
    both = np.stack([mask, dense(12, 8, 18, 12)])
    answer = found.mask_prompt(both, [[(5, 8)], [(15, 9)]], [[0], [1]])
    assert answer.areas.tolist() == [16, 36]
    assert answer.prompt_index.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        ([[(1, 1)], [(2, 2)]], None, r"1 mask needs points of shape \(1, k, 2\), got \(2, 1, 2\)"),
        (None, [1], "labels of points that correct masks are given without the points"),
        ([(1, 1)], [2], "labels must be 1"),
        ([1], None, "points must have shape"),
    ],
)
def test_points_that_correct_a_mask_are_checked(found, points, labels, message):
    for match in ("candidate", "mask"):
        with pytest.raises(PromptError, match=message):
            found.mask_prompt(dense(2, 2, 10, 7), points, labels, match=match)


def test_points_in_prompts_correct_masks_as_by_hand(found):
    given = Prompts(masks=dense(2, 2, 10, 7), mask_points=[(5, 8), (5, 3)], mask_labels=[0, 1])
    assert (given.count, given.asked) == (3, 1)
    given.check()
    assert found.prompt(given).areas.tolist() == [16]
    assert given.format_options("overlay")["points"].tolist() == [[5, 8], [5, 3]]
    joined = given.joined(Prompts(points=(15, 10)))
    assert found.prompt(joined).areas.tolist() == [36, 16]
    assert joined.format_options("overlay")["point_labels"].tolist() == [True, False, True]
    with pytest.raises(PromptError, match="cannot be joined with other masks"):
        given.joined(Prompts(masks=dense(2, 2, 10, 7)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mask_points": [1, 1]}, "without masks"),
        ({"masks": dense(2, 2, 10, 7), "mask_labels": [1]}, "mask_labels is given without mask_points"),
        ({"masks": [dense(2, 2, 10, 7)] * 2, "mask_points": [1, 1]}, "2 masks need mask_points of shape"),
    ],
)
def test_points_that_correct_no_mask_are_an_error(given, message):
    with pytest.raises(PromptError, match=message):
        Prompts(**given).check()


@pytest.fixture(scope="module")
def coffee() -> Segmentation:
    return FastSAM()(Path(__file__).parents[2] / "examples" / "coffee.jpg", redraw=False)


def random_prompt(seed: int) -> tuple[Mask, np.ndarray, np.ndarray]:
    """An ellipse somewhere in the coffee, and points around its middle, of which each pixel is asked about once."""
    rng = np.random.default_rng(seed)
    middle, sides = rng.uniform((50, 50), (550, 350)), rng.uniform(3, 90, 2)
    stroke = np.zeros((400, 600), np.uint8)
    cv2.ellipse(stroke, (middle, 2 * sides, float(rng.uniform(0, 180))), 1, cv2.FILLED)
    points = np.unique(rng.normal(middle, 60, (rng.integers(1, 12), 2)).round(), axis=0)
    return Mask.from_dense(stroke), points, rng.integers(0, 2, len(points))


@pytest.mark.parametrize("seed", range(12))
def test_what_a_mask_means_obeys_background_points_and_stays_itself_where_it_obeys(coffee, seed):
    mask, points, labels = random_prompt(seed)
    first = coffee.mask_prompt(mask)
    answer = coffee.mask_prompt(mask, points, labels)
    assert len(answer) == len(first) == 1
    [drawn], [before] = answer.masks, first.masks
    assert not any(drawn.contains(*point) for point in points[labels == 0])
    told = np.array([before.contains(*point) for point in points])
    assert coffee.mask_prompt(mask, points, told).masks[0] == before
    assert answer.scores.tolist() == first.scores.tolist()


def test_a_point_adds_what_a_mask_lacked_and_takes_away_what_it_had_too_much(coffee):
    """A stroke over the cup's rim: the drink in it is added, and taken away."""
    stroke = np.zeros((400, 600), np.uint8)
    cv2.line(stroke, (215, 60), (230, 190), 1, 3)
    with_drink = coffee.mask_prompt(stroke, [(300, 80)]).masks[0]
    without = coffee.mask_prompt(stroke, [(300, 80)], [0]).masks[0]
    assert with_drink.contains(300, 80)
    assert not without.contains(300, 80)
    assert with_drink.area > without.area > 0


def test_a_mask_of_one_pixel_that_is_taken_back_means_nothing(coffee):
    spot = Mask(np.ones((1, 1), bool), 300, 80, (600, 400))
    assert len(coffee.mask_prompt(spot)) == 1
    assert len(coffee.mask_prompt(spot, (300, 80), 0)) == 0


def test_the_masks_of_another_result_are_prompts(found):
    assert found.mask_prompt(found[1:].masks).areas.tolist() == found[1:].areas.tolist()


def test_an_answer_and_its_objects_are_prompts(found):
    given = found[:2]
    expected = found.mask_prompt(given.masks).to_dict()
    for same in (given, list(given), [given[0], given.masks[1]]):
        assert found.mask_prompt(same).to_dict() == expected
    assert found.mask_prompt(given[0]).to_dict() == found.mask_prompt(given.masks[0]).to_dict()
    assert Prompts(masks=given).count == 2


def test_a_picture_of_two_values_is_a_mask(tmp_path):
    path = tmp_path / "sketch.png"
    cv2.imwrite(str(path), dense(2, 2, 10, 9) * np.uint8(255))
    np.testing.assert_array_equal(read_mask(path).dense(), dense(2, 2, 10, 9))
    cv2.imwrite(str(path), dense(2, 2, 10, 9) * np.uint8(1))
    assert read_mask(path).area == 8 * 7
    cv2.imwrite(str(path), dense(2, 2, 10, 9)[..., None] * np.array([0, 0, 255], np.uint8))  # red
    assert read_mask(path).area == 8 * 7


def test_a_picture_with_transparency_is_refused(tmp_path):
    """On white, black strokes on a transparent layer would be the background, and white ones the whole photo."""
    path = tmp_path / "layer.png"
    strokes = dense(2, 2, 10, 9) * np.uint8(255)
    black, grey = np.zeros_like(strokes), Image.fromarray(strokes)
    palette = Image.fromarray(dense(2, 2, 10, 9).astype(np.uint8), "P")
    palette.putpalette([9, 9, 9, 0, 0, 0])
    for layer, options in (
        (Image.merge("RGBA", [*map(Image.fromarray, (black, black, black)), grey]), {}),
        (Image.merge("LA", [grey, grey]), {}),
        (palette, {"transparency": 0}),
        (grey, {"transparency": 0}),
    ):
        layer.save(path, **options)
        with pytest.raises(PromptError, match=r"layer\.png is transparent in places, .*; put it on black"):
            read_mask(path)
    opaque = Image.fromarray(np.full_like(strokes, 255))
    Image.merge("RGBA", [grey, grey, grey, opaque]).save(path)
    np.testing.assert_array_equal(read_mask(path).dense(), dense(2, 2, 10, 9))


def test_a_black_picture_is_told_by_its_name(tmp_path):
    """Of several masks the message had the number alone."""
    Image.new("L", (20, 16)).save(tmp_path / "black.png")
    with pytest.raises(PromptError, match=r"the mask .*black\.png is black all over, so it means nothing"):
        read_mask(tmp_path / "black.png")


@pytest.mark.parametrize("values", [[0, 100, 255], [100, 255]])
def test_a_picture_of_other_values_is_refused(values, tmp_path):
    path = tmp_path / "soft.png"
    cv2.imwrite(str(path), np.resize(np.array(values, np.uint8), (16, 20)))
    with pytest.raises(PromptError, match=r"soft\.png.*two values"):
        read_mask(path)
    with pytest.raises(FastSAMError, match=r"missing\.png"):
        read_mask(tmp_path / "missing.png")


def test_a_stroke_means_what_lies_under_it():
    """A cup's rim and the drink in it, the suit: of what fits a stroke best, by IoU, each was a sliver."""
    for name, path, places in (
        ("coffee.jpg", [(215, 60), (230, 190)], [(300, 60), (300, 150), (390, 80)]),
        ("astronaut.jpg", [(200, 300), (300, 330)], [(120, 400), (250, 450)]),
    ):
        found, plain = (
            FastSAM(threads=1, refine=refine)(Path(__file__).parents[2] / "examples" / name, redraw=False)
            for refine in (True, False)
        )
        stroke = np.zeros(found.image_size[::-1], np.uint8)
        cv2.polylines(stroke, [np.array(path)], isClosed=False, color=1, thickness=9)
        [mask] = found.mask_prompt(stroke).masks
        assert all(mask.contains(*place) for place in places)
        [offered] = plain.mask_prompt(stroke).masks
        assert offered.area > 5 * np.count_nonzero(stroke)
