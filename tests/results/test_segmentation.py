"""What a user holds: indexing, measuring, prompting, joining; nothing given is ever changed."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from fastsam_onnx import formats
from fastsam_onnx.errors import ObjectIndexError, OptionError, PromptError
from fastsam_onnx.formats.registry import files_of
from fastsam_onnx.images.geotiff import Georeference
from fastsam_onnx.masks.instance import Instance
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.results.segmentation import Segmentation


def assert_same(found: Segmentation, other: Segmentation) -> None:
    assert found.image_size == other.image_size
    for name in ("boxes", "scores", "areas", "mask_boxes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(other, name))
    np.testing.assert_array_equal(found.masks.dense(), other.masks.dense())
    assert (found.prompt_index is None) == (other.prompt_index is None)
    if found.prompt_index is not None:
        np.testing.assert_array_equal(found.prompt_index, other.prompt_index)


# ---------------------------------------------------------------- rows


@pytest.mark.parametrize("index", [0, 3, 5, -1, -6, np.int64(2), np.uint8(4)])
def test_one_row_is_an_instance(random_found, index):
    found = random_found()
    one = found[index]
    assert isinstance(one, Instance)
    np.testing.assert_array_equal(one.mask.dense(), found.masks.dense()[index])
    np.testing.assert_array_equal(one.box, found.boxes[index])
    assert one.score == float(found.scores[index])
    assert one.prompt_index is None


def test_an_object_is_found_among_those_it_is_of(random_found):
    """It is made anew whenever it is asked for."""
    found = random_found()
    assert found[2] == found[2]
    assert found[2] != found[3]
    assert found[2] != replace(found[2], box=found[3].box)
    assert found[2] != replace(found[2], prompt_index=0)
    assert found[2] in found
    assert found.masks.index(found[2].mask) == 2
    assert len({found[0], found[1], found[0]}) == 2


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(1, 4),
        slice(None, None, -1),
        slice(9, 20),
        [0, 2, 5],
        [-1, 0, 0],
        (4, 1),
        [],
        np.array([3, 1]),
        np.array([1, 5], np.uint8),
        np.zeros(0, np.int64),
        np.zeros(0),
        [True, False, True, False, False, True],
        np.array([False] * 6),
    ],
    ids=str,
)
def test_several_rows_are_a_segmentation(random_found, index):
    found = random_found()
    rows = np.arange(6)[np.asarray(index, None if len(index) else np.int64) if not isinstance(index, slice) else index]
    part = found[index]
    assert isinstance(part, Segmentation)
    assert len(part) == len(rows)
    np.testing.assert_array_equal(part.boxes, found.boxes[rows])
    np.testing.assert_array_equal(part.scores, found.scores[rows])
    np.testing.assert_array_equal(part.masks.dense(), found.masks.dense()[rows])
    np.testing.assert_array_equal(part.areas, found.areas[rows])
    assert part.image_size == found.image_size


@pytest.mark.parametrize(
    "index",
    [6, -7, [0, 6], [True, False], np.zeros(5, bool), np.zeros(0, bool), 1.5, [0.5], "0", None, True, [[0, 1]], [[]]],
    ids=str,
)
def test_rows_that_are_not_there_are_an_index_error(random_found, index):
    with pytest.raises(IndexError):
        random_found()[index]


def test_iteration_gives_instances(random_found):
    found = random_found()
    assert [one.score for one in found] == found.scores.tolist()
    assert [one.mask.area for one in found] == found.areas.tolist()
    assert len(list(found[[]])) == 0


def test_prompt_index_goes_with_the_rows(random_found):
    found = random_found().box_prompt([(0, 0, 23, 17), (0, 0, 23, 17)])
    assert found[1].prompt_index == 1
    assert found[[1]].prompt_index.tolist() == [1]
    assert found[::-1].prompt_index.tolist() == [1, 0]


# ---------------------------------------------------------------- measures


@pytest.mark.parametrize("kind", ["random_found", "pending_found"])
def test_areas_boxes_and_union_are_those_of_the_pixels(request, kind):
    found = request.getfixturevalue(kind)(seed=4)
    dense = found.masks.dense()
    width, height = found.image_size
    assert dense.shape == (len(found), height, width)
    assert dense.dtype == bool
    np.testing.assert_array_equal(found.areas, dense.sum(axis=(1, 2)))
    assert found.areas.dtype == np.int64
    for box, plane in zip(found.mask_boxes, dense, strict=True):
        rows, columns = np.nonzero(plane)
        assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    np.testing.assert_array_equal(found.union().dense(), dense.any(axis=0))


@pytest.mark.parametrize("width", [1, 7, 8, 9, 16, 23])
def test_packed_masks_are_the_dense_ones_as_numpy_packs_them(width):
    rng = np.random.default_rng(width)
    whole = rng.random((20, 5, width)) < rng.random((20, 1, 1)) ** 2
    masks = [Mask.from_dense(each) for each in whole]  # crops that begin and end anywhere in a byte, some empty
    masks.append(Mask(np.ones((2, 1), bool), width - 1, 3, (width, 5)))
    found = Segmentation.from_masks(masks)
    dense, packed = found.masks.dense(), found.masks.dense(packed=True)
    np.testing.assert_array_equal(packed, np.packbits(dense, axis=2))
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(np.unpackbits(packed, axis=2, count=width).view(bool), dense)


def test_packed_masks_of_nothing_and_odd_values(pending_found):
    assert Segmentation.from_masks([], image_size=(9, 5)).masks.dense(packed=True).shape == (0, 5, 2)
    found = pending_found(seed=2)
    np.testing.assert_array_equal(found.masks.dense(packed=True), np.packbits(found.masks.dense(), axis=2))
    with pytest.raises(OptionError, match="packed must be True or False, got 1"):
        found.masks.dense(packed=1)


def test_masks_are_a_sequence(random_found):
    masks = random_found().masks
    assert len(masks) == 6
    assert len(masks[1:3]) == 2
    assert masks[-1].rle() == list(masks)[5].rle()
    assert repr(masks) == "Masks(6 in 23x17)"
    with pytest.raises(IndexError):
        masks[6]


@pytest.mark.parametrize(
    ("given", "size", "message"),
    [
        ("abc", (4, 4), "must be of Mask objects .see Mask.from_dense., got 'a'"),
        ([np.ones((4, 4), bool)], (4, 4), "must be of Mask objects"),
        (None, (4, 4), "must be of a list of masks, got None"),
        ([], 4, "image_size must be .width, height., got 4"),
        ([Mask.empty((4, 4))], (4, 5), r"masks and photo of different sizes: \(4, 4\) and \(4, 5\)"),
    ],
)
def test_masks_are_of_masks_of_one_photo(given, size, message):
    """Anything was taken, and failed when somebody looked at it."""
    with pytest.raises(OptionError, match=message):
        Masks(given, size)


def test_repr_tells(random_found):
    found = Segmentation.from_masks([Mask.from_dense(np.ones((3, 4)))], [0.5], source="cat.jpg")
    assert repr(found) == "Segmentation(1 object in 4x3 of cat.jpg, score 0.50)"
    assert repr(found[[]]) == "Segmentation(0 objects in 4x3 of cat.jpg)"
    assert repr(random_found()).startswith("Segmentation(6 objects in 23x17, scores ")
    assert repr(found.point_prompt((1, 1))).endswith(", score 0.50, answers of prompts)")


def test_repr_of_answers_tells_how_good_they_are():
    """It told the candidates' scores: 0.00 of an answer that was right."""
    masks = [replace(Mask.from_dense(np.ones((3, 4))), predicted_iou=expected) for expected in (0.75, 0.875)]
    found = Segmentation.from_masks(masks, [0.5, 0.001])
    assert repr(found).endswith("4x3, scores 0.50 to 0.00)")
    answers = replace(found, prompt_index=np.array([0, 1]))
    assert repr(answers).endswith("4x3, predicted IoU 0.88 to 0.75, answers of prompts)")
    unknown = replace(answers, masks=Masks([masks[0], Mask.from_dense(np.ones((3, 4)))], (4, 3)))
    assert repr(unknown).endswith(", scores 0.50 to 0.00, answers of prompts)")
    texts = replace(answers, similarity=np.array([0.25, 0.31], np.float32))
    assert repr(texts[:1]).endswith(", similarity 0.25, answers of prompts)")


def test_nothing_found_answers_everything():
    found = Segmentation.from_masks([], image_size=(7, 5))
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == found.areas.shape == (0,)
    assert found.mask_boxes.shape == (0, 4)
    assert found.masks.dense().shape == (0, 5, 7)
    assert found.union().area == 0
    assert found.union().image_size == (7, 5)
    assert len(found.smooth()) == 0
    assert len(found.disjoint()) == 0
    for pick in ("merge", "all", "smallest", "largest", "best"):
        answer = found.point_prompt([(1, 1), (2, 2)], [1, 0], pick=pick)
        assert len(answer) == 0
        assert answer.prompt_index.shape == (0,)
    for match in ("mask", "box"):
        answer = found.box_prompt([(0, 0, 7, 5)], match=match)
        assert len(answer) == 0
        assert answer.boxes.shape == (0, 4)
    assert list(found) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scores": [0.5]}, "2 masks need scores"),
        ({"boxes": [[0, 0, 1, 1]]}, "2 masks need boxes"),
        ({"prompt_index": [0]}, "2 masks need prompt_index"),
        ({"image_size": (9, 9)}, r"different sizes: \[\(4, 3\), \(9, 9\)\]"),
    ],
)
def test_from_masks_checks_that_its_parts_fit(arguments, message):
    masks = [Mask.from_dense(np.ones((3, 4)))] * 2
    with pytest.raises(OptionError, match=message):
        Segmentation.from_masks(masks, **arguments)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("boxes", np.zeros((5, 4), np.float32)),
        ("boxes", np.zeros(24, np.float32)),
        ("scores", np.ones(7, np.float32)),
        ("prompt_index", np.zeros(5, np.int64)),
        ("similarity", np.zeros((6, 1), np.float32)),
        ("labels", np.zeros(0, np.int64)),
        ("track_ids", np.int64(3)),
    ],
)
def test_a_result_has_one_of_everything_for_each_mask(random_found, name, values):
    found = random_found()
    assert len(found) == 6
    with pytest.raises(OptionError, match=f"6 masks need {name} of shape"):
        replace(found, **{name: values})


def test_masks_of_a_result_are_masks_not_a_list(random_found):
    with pytest.raises(OptionError, match="from_masks takes a list"):
        replace(random_found(), masks=list(random_found().masks))


@pytest.mark.parametrize("size", [(0, 0), (0, 5), (5, 0)])
def test_a_result_is_of_a_photo_with_pixels(size):
    """Nothing could be drawn, and the JSON of such a result is refused when it is read."""
    with pytest.raises(OptionError, match=r"photo with pixels, got image_size \(.*0"):
        Segmentation.from_masks([], image_size=size)
    with pytest.raises(OptionError, match="photo with pixels"):
        Segmentation.from_masks([Mask.empty(size)])


def test_of_no_masks_needs_a_size():
    with pytest.raises(OptionError, match="image_size"):
        Segmentation.from_masks([])


# ---------------------------------------------------------------- prompts


def quadrants() -> Segmentation:
    """8x8: 0 the whole, 1..4 its quadrants (left top, right top, left bottom, right bottom)."""
    whole = np.ones((8, 8), bool)
    parts = []
    for y in (0, 4):
        for x in (0, 4):
            part = np.zeros((8, 8), bool)
            part[y : y + 4, x : x + 4] = True
            parts.append(part)
    masks = [Mask.from_dense(dense) for dense in (whole, *parts)]
    return Segmentation.from_masks(masks, [0.5, 0.9, 0.8, 0.7, 0.6])


def test_groups_of_points_ask_for_several_objects():
    found = quadrants()
    groups = [[(1, 1), (2, 2)], [(6, 1), (6, 2)], [(-5, 1), (9, 9)], [(6, 6), (6, 7)]]
    answer = found.point_prompt(groups, pick="smallest")
    assert answer.prompt_index.tolist() == [0, 1, 3], "the third group lies outside the photo"
    assert answer.scores.tolist() == found.scores[[1, 2, 4]].tolist()
    assert found.point_prompt(groups, pick="all").prompt_index.tolist() == [0, 0, 1, 1, 3, 3]
    merged = found.point_prompt(groups, [[1, 1], [1, 1], [1, 1], [0, 0]], pick="merge")
    assert merged.prompt_index.tolist() == [0, 1]
    for group, single in enumerate(groups):
        alone = found.point_prompt(single, pick="smallest")
        assert alone.scores.tolist() == answer[answer.prompt_index == group].scores.tolist()


def test_those_that_hold_more_of_the_points_come_first():
    found = quadrants()
    across = [(1, 1), (6, 6)]  # only the whole holds both
    for pick in ("smallest", "largest", "best"):
        assert found.point_prompt(across, pick=pick).areas.tolist() == [64]
    assert found.point_prompt(across, pick="all").areas.tolist() == [16, 16, 64]
    assert found.point_prompt(across, [1, 0], pick="all").areas.tolist() == [16]


@pytest.mark.parametrize("label", [0, 1])
def test_of_points_in_one_pixel_the_last_says_what_it_is_among_objects_too(label):
    """No object obeys both: points found nothing, and a box and a mask what they find without points."""
    dense = np.zeros((2, 10, 20), bool)
    dense[0], dense[1, :, :12] = True, True
    found = Segmentation.from_masks([Mask.from_dense(each) for each in dense])
    points, labels = [(15.2, 3), (15.9, 3.5)], [1 - label, label]
    areas = [200] if label else [120]
    for match in ("mask", "box"):
        assert found.box_prompt((0, 0, 20, 10), points, labels, match=match).areas.tolist() == areas
        assert found.mask_prompt(dense[0], points, labels, match=match).areas.tolist() == areas
    for pick in ("alternatives", "candidate"):
        assert found.point_prompt([(3, 3), *points], [1, *labels], pick=pick).areas.tolist() == areas


def test_outside_the_photo_nothing_is_hit():
    found = quadrants()
    for point in ((-0.1, 3), (3, -0.1), (8, 3), (3, 8), (1e300, -1e300)):
        for pick in ("merge", "all", "smallest", "largest", "best"):
            assert len(found.point_prompt(point, pick=pick)) == 0
    for match in ("mask", "box"):
        assert len(found.box_prompt([(-9, -9, -1, -1), (8, 0, 20, 8), (0, 8, 8, 9)], match=match)) == 0
    # A background point outside takes nothing away.
    assert len(found.point_prompt([(1, 1), (-1, -1)], [1, 0], pick="all")) == 2


def test_background_alone_means_nothing():
    for pick in ("merge", "all", "smallest", "largest", "best"):
        assert len(quadrants().point_prompt((1, 1), 0, pick=pick)) == 0


def test_boxes_answer_in_their_order_and_one_row_each():
    found = quadrants()
    boxes = [(4, 4, 8, 8), (0, 0, 4, 4), (20, 20, 30, 30), (4, 4, 8, 8), (-5, -5, 50, 50)]
    for match in ("mask", "box"):
        answer = found.box_prompt(boxes, match=match)
        assert answer.prompt_index.tolist() == [0, 1, 3, 4]
        assert answer.scores.tolist() == found.scores[[4, 1, 4, 0]].tolist()


def test_of_objects_those_that_obey_points_answer_a_box():
    """Of 8 x 8 pixels and its quarters, [0]: all, [1] to [4]: the quarters."""
    found = quadrants()
    box = (0, 0, 8, 8)
    for match in ("mask", "box"):
        answers = (found.box_prompt(box, *given, match=match) for given in (((1, 1), 1), ((6, 6), 0), ((1, 1), 0)))
        scores = [answer.scores.tolist() for answer in answers]
        assert scores[0] == found.scores[[0]].tolist()
        assert scores[1] != scores[0]
        assert scores[2] != scores[0]
        assert found.box_prompt((4, 4, 8, 8), (5, 5), match=match).scores.tolist() == found.scores[[4]].tolist()
        assert len(found.box_prompt((20, 20, 30, 30), (25, 25), match=match)) == 0


@pytest.mark.parametrize(
    ("points", "labels", "message"),
    [
        ([(1, 1), (9, 1)], None, r"box 0 is \[0.0, 0.0, 8.0, 8.0\], the point \[9.0, 1.0\]"),
        ([[(1, 1)], [(2, 2)]], None, r"1 box needs points of shape \(1, k, 2\), got \(2, 1, 2\)"),
        (None, [1], "without the points"),
        ([(1, 1)], [2], "labels must be 1"),
        ([1], None, "points must have shape"),
    ],
)
def test_points_in_boxes_are_checked(points, labels, message):
    for match in ("candidate", "mask"):
        with pytest.raises(PromptError, match=message):
            quadrants().box_prompt((0, 0, 8, 8), points, labels, match=match)
    assert len(quadrants().box_prompt((0, 0, 8, 8), (9, 1), 0)) == 1, "a background point may lie anywhere"


def test_a_prompts_result_can_be_prompted_again():
    found = quadrants()
    under = found.point_prompt((1, 1), pick="all")
    assert under.areas.tolist() == [16, 64], "smallest first"
    assert under.point_prompt((6, 6)).areas.tolist() == [64]
    assert under.box_prompt((0, 0, 4, 4)).areas.tolist() == [16]
    assert under.point_prompt((6, 6)).prompt_index.tolist() == [0]
    merged = found.point_prompt([(1, 1), (6, 6)], [1, 0], pick="merge")  # the whole is taken away, a quadrant added
    assert merged.areas.tolist() == [16]
    assert merged.point_prompt((1, 1)).areas.tolist() == [16]
    assert len(merged.point_prompt((6, 1))) == 0


def test_best_is_the_score_whatever_the_order_of_the_rows():
    """Results of prompts are not sorted by score."""
    found = quadrants()
    for rows in (found, found[::-1], found.point_prompt((1, 1), pick="all")):
        assert rows.point_prompt((2, 2), pick="best").scores.tolist() == [np.float32(0.9)]


def test_a_merged_row_has_the_highest_score_of_what_was_asked_for():
    merged = quadrants().point_prompt([(1, 1), (6, 1)], pick="merge")
    assert merged.scores.tolist() == [np.float32(0.9)]
    assert merged.boxes.tolist() == [[0, 0, 8, 8]]


def test_smooth_drops_what_vanishes_and_keeps_the_rest_in_order():
    dense = np.zeros((30, 30), bool)
    dense[5:20, 5:20] = True
    speck = np.zeros((30, 30), bool)
    speck[1:3, 1:3] = True
    found = Segmentation.from_masks([Mask.from_dense(speck), Mask.from_dense(dense)], [0.9, 0.8])
    smoothed = found.smooth(min_area=10, radius=0)
    assert smoothed.scores.tolist() == [np.float32(0.8)]
    np.testing.assert_array_equal(smoothed.masks[0].dense(), dense)
    assert found.areas.tolist() == [4, 225]


def test_the_size_of_no_objects_is_the_photos():
    photo = np.zeros((6, 8, 3), np.uint8)
    assert Segmentation.from_masks([], image=photo).image_size == (8, 6)
    with pytest.raises(OptionError, match=r"of no masks needs image=photo or image_size"):
        Segmentation.from_masks([])
    with pytest.raises(OptionError, match="image must be the photo"):
        Segmentation.from_masks([], image=photo, image_size=(9, 9))
    with pytest.raises(OptionError, match="image must be the photo"):
        Segmentation.from_masks([Mask.empty((3, 3))], image=photo)


# ---------------------------------------------------------------- joining


def test_concatenate_joins_rows(random_found):
    found = random_found()
    joined = Segmentation.concatenate([found[:2], found[[5]], found[[]]])
    assert_same(joined, found[[0, 1, 5]])
    assert joined.prompt_index is None
    answers = Segmentation.concatenate([found.point_prompt((3, 3), pick="all"), found.box_prompt((0, 0, 9, 9))])
    assert answers.prompt_index is not None
    assert len(answers.prompt_index) == len(answers)
    mixed = Segmentation.concatenate([found.box_prompt((0, 0, 9, 9)), found])
    assert mixed.prompt_index is None, "not every row answers a prompt"
    nothing = Segmentation.from_masks([], image_size=found.image_size)
    with_nothing = Segmentation.concatenate([nothing, found.box_prompt((0, 0, 9, 9)), nothing])
    assert with_nothing.prompt_index.tolist() == [0], "every row answers a prompt"


def test_concatenate_needs_something_of_one_photo(random_found):
    with pytest.raises(OptionError, match="at least one"):
        Segmentation.concatenate([])
    with pytest.raises(OptionError, match="different sizes"):
        Segmentation.concatenate([random_found(), random_found(image_size=(9, 9))])
    one, other = (replace(random_found(), source=name) for name in ("a.jpg", "b.jpg"))
    with pytest.raises(OptionError, match=r"of different photos: \['a.jpg', 'b.jpg'\]"):
        Segmentation.concatenate([one, other])
    assert len(Segmentation.concatenate([one, random_found()])) == 2 * len(one), "its name is not known"
    width, height = one.image_size
    black, white = (replace(one, image=np.full((height, width, 3), value, np.uint8)) for value in (0, 255))
    with pytest.raises(OptionError, match="of different photos: their images differ"):
        Segmentation.concatenate([black, white])
    assert len(Segmentation.concatenate([black, replace(black, image=black.image.copy())])) == 2 * len(one)


def test_what_is_known_of_the_photo_is_that_of_the_first_that_knows_it(random_found):
    """It was that of the first result: behind one that was read from JSON the photo and its name were lost."""
    found = random_found()
    width, height = found.image_size
    place = Georeference((1, 0, 0, 0, 1, 0), "EPSG:4326")
    knowing = replace(found, image=np.ones((height, width, 3), np.uint8), source="a.jpg", georeference=place)
    for parts in ([found, knowing], [knowing, found]):
        joined = Segmentation.concatenate(parts)
        assert joined.image is knowing.image
        assert (joined.source, joined.georeference) == ("a.jpg", place)
    moved = replace(knowing, georeference=Georeference((1, 0, 9, 0, 1, 0), "EPSG:4326"))
    with pytest.raises(OptionError, match=r"of different photos: .*EPSG:4326"):
        Segmentation.concatenate([knowing, moved])


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("as_array", [False, True])
def test_the_callers_prompts_are_never_changed(random_found, as_array):
    found = random_found()
    points, labels, boxes = [[3, 3], [-4, 30], [5.5, 6.5]], [1, 0, 1], [[-3.0, -3.0, 12.5, 12.5], [1, 1, 99, 99]]
    given = [np.array(value) for value in (points, labels, boxes)] if as_array else [points, labels, boxes]
    before = copy.deepcopy(given)
    if as_array:
        for array in given:
            array.flags.writeable = False
    for pick in ("merge", "all", "smallest", "largest", "best"):
        found.point_prompt(given[0], given[1], pick=pick)
    for match in ("mask", "box"):
        found.box_prompt(given[2], match=match)
    for value, old in zip(given, before, strict=True):
        np.testing.assert_array_equal(value, old)


@pytest.mark.parametrize("kind", ["random_found", "pending_found"])
def test_prompts_and_measures_change_nothing(request, kind):
    make = request.getfixturevalue(kind)
    found, untouched = make(seed=2), make(seed=2)
    found.point_prompt([(3, 3), (9, 9)], [1, 0], pick="merge")
    found.point_prompt((3, 3), pick="all")
    found.box_prompt((0, 0, 12, 12), match="mask")
    found.box_prompt((0, 0, 12, 12), match="box")
    found.smooth()
    found.disjoint()
    found.union()
    assert_same(found, untouched)
    assert found.prompt_index is None


def test_a_segmentation_is_frozen(random_found):
    found = random_found()
    with pytest.raises(AttributeError):
        found.boxes = found.boxes
    with pytest.raises(ValueError, match="read-only"):
        found.areas[0] = 1


def test_to_change_a_box_in_place_changes_no_result(random_found):
    """As x, y, width, height in place it went into JSON, COCO and supervision as corners."""
    found = random_found()
    for each in (found, found[1:], pickle.loads(pickle.dumps(found)), copy.copy(found)):
        with pytest.raises(ValueError, match="read-only"):
            each.boxes[:, 2:] -= each.boxes[:, :2]
        with pytest.raises(ValueError, match="read-only"):
            each.scores[0] = 1
    found[0].box[:] = 0  # a copy
    for each in ("areas", "boxes", "bounds"):
        getattr(found.masks, each)  # measured before it is pickled
        for masks in (found.masks, pickle.loads(pickle.dumps(found)).masks, copy.deepcopy(found).masks):
            with pytest.raises(ValueError, match="read-only"):
                getattr(masks, each)[0] = 1


def test_the_photo_is_read_only_and_the_callers_own_is_not():
    photo = np.zeros((2, 3, 3), np.uint8)
    found = Segmentation.from_masks([Mask.empty((3, 2))], image=photo)
    for each in (found, found[:0], pickle.loads(pickle.dumps(found))):
        with pytest.raises(ValueError, match="read-only"):
            each.image[0] = 1
    assert found[:0].image is found.image  # vectors of its objects are kept for one photo
    photo[0] = 1


@pytest.mark.parametrize("kind", ["random_found", "pending_found"])
@pytest.mark.parametrize("measured", [False, True])
@pytest.mark.parametrize("copied", [lambda found: pickle.loads(pickle.dumps(found)), copy.deepcopy, copy.copy])
def test_a_segmentation_is_pickled_and_copied_whole(request, kind, measured, copied):
    found = request.getfixturevalue(kind)(seed=1).point_prompt([[(3, 3)], [(20, 10)], [(11, 12)]], pick="all")
    found = replace(
        found,
        image=np.full((*found.image_size[::-1], 3), 7, np.uint8),
        source="cat.jpg",
        speed={"network": 12.5},
    )
    if measured:
        found.areas  # noqa: B018
    again = copied(found)
    assert_same(again, found)
    np.testing.assert_array_equal(again.image, found.image)
    assert (again.source, dict(again.speed)) == ("cat.jpg", {"network": 12.5})


def test_threads_see_the_same(pending_found):
    found = pending_found(seed=7, count=30)
    single = pending_found(seed=7, count=30)
    rng = np.random.default_rng(0)
    points = rng.random((64, 2)) * found.image_size

    def ask(segmentation, point):
        under = segmentation.point_prompt(point, pick="all")
        return under.areas.tolist(), [mask.rle() for mask in under.masks], segmentation.areas.tolist()

    expected = [ask(single, point) for point in points]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda point: ask(found, point), points)) == expected


# ---------------------------------------------------------------- ways out


WAYS_OUT = ("to_dict", "to_json", "to_coco", "to_csv", "to_labelme", "to_svg", "to_geojson", "to_sam", "to_supervision")


@pytest.mark.parametrize("name", WAYS_OUT)
def test_methods_take_what_the_functions_of_formats_take(name):
    def arguments(function):
        return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()][1:]

    assert arguments(getattr(Segmentation, name)) == arguments(getattr(formats, name))


@pytest.mark.parametrize("name", [name for name in WAYS_OUT if name != "to_supervision"])
def test_methods_give_what_the_functions_of_formats_give(name, random_found):
    found = replace(random_found(), source="photo.jpg")
    given, expected = getattr(found, name)(), getattr(formats, name)(found)
    np.testing.assert_equal(given, expected)


def test_polygons_of_every_object(random_found):
    found = random_found()
    polygons = found.to_polygons()
    assert len(polygons) == len(found)
    for own, mask in zip(polygons, found.masks, strict=True):
        assert [len(one.exterior) for one in own] == [len(one.exterior) for one in mask.polygons()]
    with pytest.raises(OptionError, match="tolerance"):
        found.to_polygons(tolerance="a")


def test_the_help_of_save_names_formats_and_their_options():
    listed = dict(re.findall(r'^ *- "(\w+)": ([^.]*?)\.', inspect.getdoc(Segmentation.save), re.MULTILINE))
    assert len(listed) >= 9
    for name, options in listed.items():
        assert options.split(", ") == list(formats.FORMATS[name].options or ["none"])


# ---------------------------------------------------------------- what callers give


@pytest.mark.parametrize("index", [1000, -1001, [0, 1000], np.array([-1001])], ids=str)
def test_an_index_that_is_not_there_is_named(random_found, index):
    with pytest.raises(ObjectIndexError, match=r"-?100[01].*6 objects"):
        random_found()[index]


@pytest.mark.parametrize(
    "arguments",
    [
        {"masks": [np.ones((2, 2), bool)]},
        {"masks": ["a"]},
        {"masks": 3},
        {"image_size": 3},
        {"scores": ["a", "b"]},
        {"scores": [0.5, float("nan")]},
        {"boxes": [[1, 2, 3, 4], [1, 2]]},
        {"boxes": [1, 2, 3, 4]},
        {"prompt_index": [[0, 1]]},
    ],
    ids=str,
)
def test_from_masks_takes_masks_and_numbers(arguments):
    masks = [Mask.from_dense(np.ones((3, 4)))] * 2
    with pytest.raises(OptionError, match=next(iter(arguments))):
        Segmentation.from_masks(**{"masks": masks, **arguments})


@pytest.mark.parametrize(
    ("suffix", "options", "error"),
    [
        ("png", {"points": [[1, 2], [3]]}, PromptError),
        ("png", {"points": [["a", "b"]]}, PromptError),
        ("png", {"points": [[1, float("nan")]]}, PromptError),
        ("png", {"points": [[1, 2]], "point_labels": ["a"]}, PromptError),
        ("png", {"boxes": {"a": 1}}, PromptError),
        ("png", {"alpha": "a"}, OptionError),
        ("png", {"alpha": float("nan")}, OptionError),
        ("png", {"alpha": True}, OptionError),
        ("png", {"seed": "a"}, OptionError),
        ("png", {"seed": 2**40}, OptionError),
        ("png", {"contours": [1, 2]}, OptionError),
        ("labelme.json", {"polygons_only": "yes"}, OptionError),
        ("png", {"image": "a"}, OptionError),
        ("json", {"masks": ["rle"]}, OptionError),
        ("json", {"masks": "polygons", "tolerance": "a"}, OptionError),
        ("json", {"tolerance": float("nan")}, OptionError),
        ("coco.json", {"image_id": 1.5}, OptionError),
        ("coco.json", {"category_id": "cat"}, OptionError),
        ("labelme.json", {"label": 7}, OptionError),
        ("labelme.json", {"image_path": b"a"}, OptionError),
        ("labelme.json", {"tolerance": None}, OptionError),
        ("sam.json", {"output_mode": None}, OptionError),
        ("svg", {"link": 3}, OptionError),
        ("svg", {"tolerance": -1}, OptionError),
        ("geojson", {"affine": "abcdef"}, OptionError),
        ("geojson", {"affine": [[1, 2], [3]]}, OptionError),
        ("geojson", {"tolerance": True}, OptionError),
    ],
    ids=str,
)
@pytest.mark.parametrize("count", [0, 1])
def test_options_of_formats_that_mean_nothing_are_our_errors(suffix, options, error, count, tmp_path):
    photo = np.zeros((3, 4, 3), np.uint8)
    masks = [Mask.from_dense(np.ones((3, 4)))] * count
    found = Segmentation.from_masks(masks, image_size=(4, 3), image=photo, source="a.jpg")
    with pytest.raises(error, match=list(options)[-1]):
        found.save(tmp_path / f"a.{suffix}", **options)
    assert not list(tmp_path.iterdir())


def test_numpys_numbers_are_taken(tmp_path):
    photo = np.zeros((3, 4, 3), np.uint8)
    found = Segmentation.from_masks([Mask.from_dense(np.ones((3, 4)))], image=photo, source="a.jpg")
    found.save(tmp_path / "a.png", alpha=np.float32(0.25), seed=np.int64(2))
    found.save(tmp_path / "a.coco.json", image_id=np.int32(7), category_id=np.uint8(1))
    found.save(tmp_path / "a.svg", tolerance=np.float16(1))
    assert found.to_coco(image_id=np.int32(7))[0]["image_id"] == 7


@pytest.mark.parametrize("path", [None, 3, b"a.png", ["a.png"]], ids=str)
def test_a_path_is_a_path(path, random_found):
    with pytest.raises(OptionError, match="path"):
        random_found().save(path, format="json")


@pytest.mark.parametrize("parts", [None, 3, "ab", [1], [None]], ids=str)
def test_only_results_are_concatenated(parts):
    with pytest.raises(OptionError, match="Segmentation"):
        Segmentation.concatenate(parts)


SQUARE = Mask.from_dense(np.ones((4, 6), bool))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image": np.zeros((8, 12, 3), np.uint8)}, r"image must be the photo, \(4, 6, 3\) uint8"),
        ({"image": np.zeros((4, 6, 3))}, "got float64"),
        ({"image": np.zeros((4, 6), np.uint8)}, "image must be the photo"),
        ({"image": "photo.jpg"}, "image must be the photo"),
        ({"scores": [5]}, "scores must be from 0 to 1, got 5 to 5"),
        ({"scores": [-0.1]}, "scores must be from 0 to 1"),
        ({"boxes": [[5, 0, 2, 4]]}, "x1 <= x2"),
        ({"boxes": [[0, 0, 1e300, 1e300]]}, r"boxes must be .*at most 3\.40282e\+38, got 1e\+300"),
        ({"boxes": [[-1e39, 0, 2, 4]]}, "boxes must be .*at most"),
        ({"labels": [0.7]}, "labels must be integers of at least 0, got 0.7"),
        ({"labels": [-1]}, "labels must be integers"),
        ({"labels": [2**70]}, "labels must be integers"),
        ({"prompt_index": [-1]}, "prompt_index must be integers"),
        ({"labels": [0], "names": ["cat"]}, "names must be a dict"),
        ({"labels": [0], "names": {0: 5}}, "a name must be a text"),
        ({"labels": [0], "names": {"0": "cat"}}, "an index in names must be an integer"),
        ({"labels": [0], "names": {2**53 + 1: "cat"}}, "an index in names must be an integer"),
        ({"source": 5}, "source must be a text"),
    ],
)
def test_masks_of_elsewhere_are_taken_with_fitting_values_only(wrong, message):
    """A photo of another size would give texts the wrong objects; a class of -1 the last category."""
    with pytest.raises(OptionError, match=message):
        Segmentation.from_masks([SQUARE], **wrong)


def test_a_path_is_a_source_of_masks_of_elsewhere(tmp_path):
    assert Segmentation.from_masks([SQUARE], source=tmp_path / "x.jpg").source == str(tmp_path / "x.jpg")


@pytest.mark.parametrize(
    "index", [[True, False, True], np.array([True, False, True]), [0, 2], (0, -1), np.array([0, 2])]
)
def test_take_chooses_boxes_and_masks_alike(index):
    """Of a bool mask True was mask 1 and False mask 0, beside the boxes of the True ones."""
    masks = [SQUARE.moved(x, 0) for x in (0, 1, 2)]
    found = Segmentation.from_masks(masks, [0.9, 0.8, 0.7])
    for taken in (found.take(index), found[index]):
        assert [mask.left for mask in taken.masks] == [masks[0].left, masks[2].left]
        assert np.array_equal(taken.boxes, taken.mask_boxes)
        assert taken.scores.tolist() == pytest.approx([0.9, 0.7])
    assert [mask.left for mask in found.masks.take(index)] == [masks[0].left, masks[2].left]


def test_an_index_that_does_not_fit_is_our_error():
    found = Segmentation.from_masks([SQUARE])
    for wrong in ("a", [0], False, np.bool_(False), np.array([True, True]), slice(1.0, None)):
        with pytest.raises(ObjectIndexError, match=r"got .*; masks\.take\(\) takes a bool mask or integers"):
            found.masks[wrong]
    with pytest.raises(ObjectIndexError, match="index 1 is out of range: there are 1 masks"):
        found.masks[1]
    with pytest.raises(ObjectIndexError, match="ends of a slice"):
        found[1.0:]
    assert found.masks[np.int64(-1)].area == 24


def test_a_rectangle_of_small_numpy_integers_is_counted():
    """5 - 10 is 251 in uint8."""
    mask = Mask(np.ones((4, 4), bool), 10, 10, (40, 40))
    assert mask.area_inside(*np.array([5, 5, 12, 12], np.uint8)) == 4
    with pytest.raises(OptionError, match="an edge must be an integer"):
        mask.area_inside(0.5, 0, 3, 3)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("boxes", None, r"6 masks need boxes of shape \(6, 4\), an array, got None"),
        ("scores", None, "6 masks need scores"),
        ("scores", [0.5] * 6, r"an array, got \[0.5, "),
        ("image", np.zeros((3, 3, 3), np.uint8), "image must be the photo"),
        ("image", "photo.jpg", "image must be the photo"),
    ],
)
def test_replace_checks_as_the_constructor_does(random_found, name, value, message):
    """None was taken for boxes, which repr stumbled over; a list stayed one; a photo of another size was kept."""
    with pytest.raises(OptionError, match=message):
        replace(random_found(), **{name: value})


def test_objects_are_equal_if_all_that_is_known_of_them_is(random_found):
    one = random_found()[0]
    assert one == random_found()[0]
    other = replace(one, mask=replace(one.mask, predicted_iou=0.5))
    assert one != other, "what the decoder expects is known, too"
    assert replace(one, box=one.box.tolist()) == one == replace(one, box=one.box.tolist())
    assert one != replace(one, box=None) != one
    assert one != replace(one, score=0.123)


@pytest.mark.parametrize("count", [6, 0])
def test_options_are_checked_whether_there_are_objects_or_not(random_found, count):
    found = random_found()[:count]
    found = replace(found, image=np.zeros((*found.image_size[::-1], 3), np.uint8))
    for call in (
        lambda: found.smooth(-1),
        lambda: found.smooth(radius=-1),
        lambda: found.smooth(radius=1001),
        lambda: found.to_polygons(-1),
        lambda: formats.to_cutouts(found, soft="yes"),
        lambda: formats.to_cutouts(found, whole=1),
        lambda: formats.to_masks(found, grow=-1),
        lambda: files_of(found, "masks", grow=-1),
    ):
        with pytest.raises(OptionError):
            call()


def test_a_class_without_a_name_is_one_that_objects_have():
    mask = Mask.from_dense(np.ones((3, 3), bool))
    found = Segmentation.from_masks([mask] * 3, labels=[3, 0, 3], names={0: "a"})
    assert found[0].name == "3"
    assert len(found.of_class("3")) == len(found.of_class(3)) == 2
    with pytest.raises(OptionError, match="got 4; it knows 0 'a', 3 '3'"):
        found.of_class(4)
