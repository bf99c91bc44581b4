"""One value for all that is asked of a photo: read, checked and answered as the methods of a result answer."""

from __future__ import annotations

import json
import pickle
import random
from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest
from support import toy_clip
from support.damage import damaged
from support.tiny_onnx import tiny

import fastsam_onnx
from fastsam_onnx import FastSAM, FastSAMError, Mask, OptionError, PromptError, Prompts, Segmentation
from fastsam_onnx.results.prompts import coordinates

WIDTH, HEIGHT = 20, 10


def rectangle(x1, y1, x2, y2) -> Mask:
    dense = np.zeros((HEIGHT, WIDTH), bool)
    dense[y1:y2, x1:x2] = True
    return Mask.from_dense(dense)


@pytest.fixture
def found() -> Segmentation:
    """A large object, a small one inside it, and one beside them."""
    masks = [rectangle(0, 0, 10, 10), rectangle(2, 2, 4, 4), rectangle(12, 0, 18, 6)]
    return Segmentation.from_masks(masks, [0.9, 0.8, 0.7])


def rles(found: Segmentation) -> list:
    return [mask.rle() for mask in found.masks]


def test_without_prompts_every_object_is_meant(found):
    assert Prompts().choose(found) is found
    assert found.prompt(Prompts.from_json("{}")) is found
    with pytest.raises(PromptError, match="prompts must be at least one, got none; leave prompts out to ask for"):
        Prompts.from_json("[]")  # as an empty list of points is refused
    assert Prompts().count == 0


def test_shares_of_the_photo_are_warned_of(found, caplog):
    """They would all mean pixel (0, 0); whole numbers and pixels beyond may well be meant."""
    for asked in (Prompts(points=[[0.5, 0.25]]), Prompts(points=[[1, 1], [0.2, 0]]), Prompts(boxes=[0.1, 0, 0.5, 1])):
        caplog.clear()
        found.prompt(asked)
        (record,) = caplog.records
        assert "multiply shares, from 0 to 1, by its width and height" in record.getMessage()
    caplog.clear()
    for points in ([0, 0], [1, 1], [[0.5, 0.5], [3, 3]]):
        found.point_prompt(points)
    found.box_prompt([0, 0, 1, 1])
    found.box_prompt([[0, 0, 0.5, 0.5], [0, 0, 9, 9]])
    assert not caplog.records


@pytest.mark.parametrize(
    "ask",
    [
        lambda found: found.point_prompt([[1, 1], [30, 5]]),
        lambda found: found.point_prompt([[1, 1], [30, 5]], pick="all"),
        lambda found: found.point_prompt([[[1, 1], [30, 5]], [[1, 1], [2, 2]]]),
        lambda found: found.box_prompt([0, 0, 40, 40], [30, 5]),
        lambda found: found.mask_prompt(found.masks[0], [30, 5]),
        lambda found: found.prompt(Prompts(masks=found.masks[0], mask_points=[30, 5])),
    ],
)
def test_a_foreground_point_outside_the_photo_that_is_left_out_is_warned_of(found, caplog, ask):
    assert len(ask(found))
    (record,) = caplog.records
    assert "(30, 5) lies outside the photo, of 20x10 pixels, and says nothing" in record.getMessage()


def test_so_is_one_that_is_answered_by_nothing_and_one_with_x_and_y_in_the_other_order(found, caplog):
    assert not len(found.point_prompt([[30, 5], [-1, 0]]))
    (record,) = caplog.records
    assert record.getMessage().endswith("(30, 5) lies outside the photo, of 20x10 pixels, and says nothing")
    caplog.clear()
    assert found.point_prompt([[[1, 1]], [[3, 14]]]).prompt_index.tolist() == [0]
    (record,) = caplog.records
    assert "(3, 14) lies outside" in record.getMessage()
    assert record.getMessage().endswith("; it must be x, y, and in the other order it would lie inside")


def test_a_box_outside_the_photo_is_warned_of(found, caplog):
    assert found.box_prompt([[0, 0, 9, 9], [20, 2, 25, 8]]).prompt_index.tolist() == [0]
    (record,) = caplog.records
    assert record.getMessage() == (
        "the box [20.0, 2.0, 25.0, 8.0] lies outside the photo, of 20x10 pixels, and means nothing"
    )
    caplog.clear()
    found.box_prompt([[-5, -5, 1, 1], [19, 9, 40, 40]])
    assert not caplog.records


def test_background_points_outside_the_photo_are_no_warning(found, caplog):
    assert len(found.point_prompt([[1, 1], [30, 5]], [1, 0]))
    assert len(found.mask_prompt(found.masks[0], [30, 5], [0]))
    assert not caplog.records


@pytest.mark.parametrize("none", [[], np.zeros((0, 2)), [[]], np.zeros((1, 0, 2))])
@pytest.mark.parametrize("labels", [None, []])
def test_a_list_of_no_corrections_corrects_nothing(found, none, labels):
    """As a page has it before the first click."""
    box = [0, 0, 9, 9]
    assert rles(found.box_prompt(box, none, labels)) == rles(found.box_prompt(box))
    assert rles(found.mask_prompt(found.masks[0], none, labels)) == rles(found[[0]])
    assert rles(Prompts(boxes=box, box_points=none, box_labels=labels).choose(found)) == rles(found.box_prompt(box))
    with pytest.raises(PromptError, match="without the points"):
        found.box_prompt(box, none, [1])
    with pytest.raises(PromptError, match="labels must be numbers in a regular list"):
        found.box_prompt(box, none, [[1], [1, 0]])
    with pytest.raises(PromptError, match="group of points for each box"):
        found.box_prompt(box, np.zeros((2, 1, 2)))


def test_classes_are_looked_among(found):
    classed = replace(found, labels=np.array([0, 1, 1]), names={0: "dog", 1: "cup"})
    assert rles(Prompts(classes="cup").choose(classed)) == rles(found[[1, 2]])
    assert rles(Prompts(points=[3, 3], pick="largest", classes=["cup"]).choose(classed)) == rles(found[[1]])
    assert len(Prompts(points=[8, 8], classes=[1]).choose(classed)) == 0  # a dog lies there
    with pytest.raises(OptionError, match="got 'cat'"):
        Prompts(classes=["cat"]).choose(classed)
    with pytest.raises(OptionError, match="no classes to choose"):
        Prompts(classes=["dog"]).choose(found)
    with pytest.raises(PromptError, match=r"classes must be names or indices.*got 1\.5"):
        Prompts(classes=[1.5]).check()


def test_chosen_objects_get_names(tmp_path):
    photo = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    masks = [rectangle(0, 0, 10, 10), rectangle(12, 0, 18, 6)]
    for mask, colour in zip(masks, ("red", "blue"), strict=True):
        photo[mask.slices] = toy_clip.COLOURS[colour]
    clip = fastsam_onnx.Clip(toy_clip.write(tmp_path / "toy"))
    found = Segmentation.from_masks(masks, [0.9, 0.8], image=photo, clip=clip)
    prompts = Prompts(classify=["blue", "red"])
    assert prompts.needs_objects
    assert (prompts.needs_clip, prompts.count, prompts.asked) == (True, 2, 0)
    assert [one.name for one in prompts.choose(found)] == ["red", "blue"]
    assert [one.name for one in Prompts(points=[14, 2], classify=["blue", "red"]).choose(found)] == ["blue"]
    strict = Prompts(classify="blue", threshold=0.9, other="thing")
    assert strict.names == {0: "blue", 1: "thing"}
    assert [one.name for one in strict.choose(found)] == ["thing", "blue"]
    assert Prompts(points=[1, 1]).joined(strict).names == strict.names
    with pytest.raises(OptionError, match="classify is given twice"):
        prompts.joined(strict)
    with pytest.raises(PromptError, match="other is given without classify"):
        Prompts.from_value({"other": "thing"})
    with pytest.raises(OptionError, match="'blue' twice"):
        Prompts(classify=["blue"], other="blue").check()


def test_points_come_first_then_boxes(found):
    prompts = Prompts(points=[[3, 3]], boxes=[[12, 0, 18, 6], [0, 0, 10, 10]], pick="largest", match="box")
    answer = found.prompt(prompts)
    expected = [found[0].mask.rle(), found[2].mask.rle(), found[0].mask.rle()]
    assert rles(answer) == expected
    assert answer.prompt_index.tolist() == [0, 1, 2]
    assert prompts.count == 3


def test_every_group_of_points_counts_as_one_prompt(found):
    prompts = Prompts([[[3, 3], [5, 5]], [[13, 1], [13, 2]]], boxes=[12, 0, 18, 6])
    answer = prompts.choose(found)
    assert answer.prompt_index.tolist() == [0, 1, 2]
    assert rles(answer) == rles(found.point_prompt([[5, 5]])) + rles(found[[2, 2]])
    assert prompts.count == 5


def test_a_prompt_without_an_answer_keeps_the_numbers_of_the_others(found):
    answer = Prompts([[11, 9]], boxes=[12, 0, 18, 6]).choose(found)  # the point lies on nothing
    assert answer.prompt_index.tolist() == [1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"points": [1, 2, 3]}, "points"),
        ({"points": []}, "points"),
        ({"boxes": []}, "boxes"),
        ({"boxes": [5, 5, 1, 1]}, "corners"),
        ({"labels": [1]}, "labels is given without points"),
        ({"points": [1, 2], "labels": [0]}, "background points alone"),
        ({"points": [[[1, 2]], [[3, 4]]], "labels": [[1], [0]]}, "background points alone"),
        ({"points": [[1, 2]] * 6, "labels": [[1, 1]] * 3}, "one label for every point"),
        ({"texts": []}, "at least one"),
        ({"texts": ["a dog", " "]}, "text prompt 1"),
        ({"texts": 7}, "text"),
        ({"texts": "a dog", "negative": ["a cat", " "]}, "negative text 1 must have at least one word"),
        ({"texts": "a dog", "negative": []}, "negative texts must be a text or a list of at least one"),
    ],
)
def test_prompts_that_mean_nothing_are_an_error(found, fields, message):
    with pytest.raises(PromptError, match=message):
        Prompts(**fields).check()
    with pytest.raises(PromptError, match=message):
        found.prompt(Prompts(**fields))


@pytest.mark.parametrize(
    "fields", [{"pick": "tallest"}, {"pick": []}, {"match": 1}, {"top_k": 0}, {"top_k": True}, {"threshold": 2}]
)
def test_options_that_are_not_accepted_are_an_error(fields):
    [name] = fields
    with pytest.raises(OptionError, match=f"^{name} must be"):
        Prompts(**fields).check()


def test_an_object_of_json_has_the_names_of_the_fields(found):
    text = '{"points": [[3, 3], [9, 9]], "labels": [1, 0], "pick": "all", "boxes": null, "texts": null}'
    answer = Prompts.from_json(text).choose(found)
    assert rles(answer) == [found[1].mask.rle()]
    fields = Prompts.from_json('{"texts": "a cup", "top_k": null, "threshold": 0.2}')
    assert (fields.texts, fields.top_k, fields.threshold, fields.count) == ("a cup", None, 0.2, 1)


def test_null_asks_for_nothing_of_each_name_that_may_be_null(found):
    """Programs that were made from the server's description send them all; it was refused."""
    nothing = dict.fromkeys(field.name for field in fields(Prompts) if field.name not in ("pick", "match"))
    answer = Prompts.from_json(json.dumps({**nothing, "points": [3, 3]})).choose(found)
    assert rles(answer) == [found[1].mask.rle()]


def test_the_list_of_rembg_and_samexporter():
    entries = [
        {"type": "point", "data": [10, 10.5], "label": 1},
        {"type": "point", "data": [52, 52], "label": 0, "comment": "ignored"},
        {"type": "rectangle", "data": [36, 40, 60, 60], "label": 3},
        {"type": "point", "data": [11, 12]},
    ]
    prompts = Prompts.from_json(json.dumps(entries))
    assert np.array_equal(prompts.points, [[10, 10.5], [52, 52], [11, 12]])
    assert np.array_equal(prompts.labels, [1, 0, 1])
    assert np.array_equal(prompts.boxes, [[36, 40, 60, 60]])
    assert prompts.count == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSON"),
        ("", "JSON"),
        (b"\xff", "JSON"),
        ("[" * 100_000, "JSON"),
        (None, "JSON"),
        (3, "JSON"),
        ({"points": [1, 2]}, "JSON"),
        ("7", "an object or a list"),
        ('"points"', "an object or a list"),
        ('{"url": "x"}', "points, labels, boxes, .*'url'"),
        ('{"labels": [1]}', "labels is given without points"),
        ('{"pick": "all", "points": null}', "pick is given without points"),
        ('{"match": "box"}', "match is given without boxes or masks"),
        ('{"top_k": 1}', "top_k is given without texts"),
        ("[7]", "entry 0.*rectangle"),
        ('[{"type": "circle", "data": [1, 2]}]', "entry 0.*rectangle"),
        ('[{"type": "point", "data": [1, 2]}, {"type": "point", "data": [1, 2, 3]}]', r"entry 1.*\[x, y\]"),
        ('[{"type": "point", "data": ["1", 2]}]', "entry 0.*number"),
        ('[{"type": "point", "data": [NaN, 2]}]', "entry 0.*number"),
        ('[{"type": "point", "data": [true, 2]}]', "entry 0.*number"),
        ('[{"type": "point", "data": [1, 2], "label": 2}]', "entry 0.*label.* 0 to 1"),
        ('[{"type": "point", "data": [1, 2], "label": true}]', "entry 0.*label"),
        ('[{"type": "rectangle", "data": [1, 2]}]', r"entry 0.*\[x1, y1, x2, y2\]"),
    ],
)
def test_what_is_not_a_description_of_prompts_is_an_error(text, message):
    with pytest.raises(PromptError, match=message):
        Prompts.from_json(text)


def test_joined_prompts_ask_for_all(found):
    first = Prompts([3, 3], boxes=[0, 0, 10, 10])
    second = Prompts([[9, 9]], [0], boxes=[[12, 0, 18, 6]], texts="a dog", pick="all")
    both = first.joined(second)
    assert np.array_equal(both.points, [[3, 3], [9, 9]])
    assert np.array_equal(both.labels, [1, 0])
    assert np.array_equal(both.boxes, [[0, 0, 10, 10], [12, 0, 18, 6]])
    assert (both.texts, both.pick, both.count) == (["a dog"], "all", 5)
    background = Prompts([9, 9], [0])
    assert np.array_equal(Prompts().joined(background).labels, [0])
    assert rles(Prompts([3, 3], pick="all").joined(background).choose(found)) == [found[1].mask.rle()]


@pytest.mark.parametrize(
    ("given", "flat"),
    [
        ({"points": [3, 3]}, {"points": [[3, 3]]}),
        ({"points": [3, 3], "labels": 0}, {"points": [[3, 3]], "point_labels": [0]}),
        ({"points": [3, 3], "labels": [1]}, {"points": [[3, 3]], "point_labels": [1]}),
        ({"points": [[[3, 3]], [[15, 4]]]}, {"points": [[3, 3], [15, 4]]}),
        (
            {"points": [[[3, 3], [15, 4]], [[15, 4], [3, 8]]], "labels": [[1, 0], [1, 0]]},
            {"points": [[3, 3], [15, 4], [15, 4], [3, 8]], "point_labels": [1, 0, 1, 0]},
        ),
        ({"boxes": [2, 2, 9, 8]}, {"boxes": [[2, 2, 9, 8]]}),
        ({"points": (3, 3), "boxes": np.array([2, 2, 9, 8])}, {"points": [[3, 3]], "boxes": [[2, 2, 9, 8]]}),
        ({"texts": "a cup"}, {}),
    ],
)
def test_an_overlay_shows_points_and_boxes_in_every_shape(found, given, flat):
    photo = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    shown = found.overlay(image=photo, **Prompts(**given).format_options("overlay"))
    np.testing.assert_array_equal(shown, found.overlay(image=photo, **flat))
    assert Prompts(**given).format_options("json") == {}


def test_a_tuple_and_a_list_of_the_same_agree():
    for names in (("cup", "dog"), ["cup", "dog"], np.array(["cup", "dog"])):
        assert Prompts(classes=names).joined(Prompts(classes=["cup", "dog"])).classes == ["cup", "dog"]


def test_points_in_boxes_agree_in_every_kind_of_list():
    """A list of arrays, a group of points for each box, was a ValueError of NumPy's."""
    groups = [[[3, 3], [8, 8]], [[15, 2]]]
    arrays = [np.array(group) for group in groups]
    for given in (groups, arrays, tuple(arrays), [[tuple(point) for point in group] for group in groups]):
        both = Prompts(boxes=[[0, 0, 10, 10], [12, 0, 18, 6]], box_points=given).joined(Prompts(box_points=arrays))
        assert both.box_points == groups
    with pytest.raises(OptionError, match="box_points is given twice"):
        Prompts(box_points=arrays).joined(Prompts(box_points=arrays[:1]))


def test_what_cannot_be_joined_is_an_error():
    with pytest.raises(PromptError, match="several objects"):
        Prompts([[[1, 1]], [[2, 2]]]).joined(Prompts([3, 3]))
    with pytest.raises(OptionError, match="pick is given twice"):
        Prompts(pick="all").joined(Prompts(pick="best"))


def test_points_in_boxes_go_the_same_way_as_by_hand(found):
    given = Prompts.from_json('{"boxes": [0, 0, 10, 10], "box_points": [[3, 3], [8, 8]], "box_labels": [1, 0]}')
    assert given.count == 3
    assert given.asked == 1
    assert rles(given.choose(found)) == rles(found.box_prompt((0, 0, 10, 10), [(3, 3), (8, 8)], [1, 0]))
    assert rles(given.choose(found)) == [found.masks[1].rle()]
    assert rles(Prompts(boxes=[0, 0, 10, 10]).choose(found)) == [found.masks[0].rle()]
    shown = given.format_options("overlay")
    assert shown["points"].tolist() == [[3, 3], [8, 8]]
    assert shown["point_labels"].tolist() == [1, 0]
    with_points = Prompts(points=(13, 1)).joined(given)
    assert with_points.format_options("overlay")["points"].tolist() == [[13, 1], [3, 3], [8, 8]]
    assert rles(with_points.choose(found)) == rles(found[[2, 1]])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"box_points": [1, 1]}, "without boxes"),
        ({"boxes": [0, 0, 4, 4], "box_labels": [1]}, "box_labels is given without box_points"),
        ({"boxes": [0, 0, 4, 4], "box_points": [5, 1]}, "must lie in its box"),
        ({"boxes": [[0, 0, 4, 4]] * 2, "box_points": [1, 1]}, "2 boxes need box_points of shape"),
        ({"points": [1, 1], "boxes": [0, 0, 4, 4], "box_points": [1]}, "^box_points must have shape"),
        ({"boxes": [0, 0, 4, 4], "box_points": [1, 1], "box_labels": [2]}, "^box_labels must be 1"),
        ({"boxes": [0, 0, 4, 4], "box_points": [1, 1], "box_labels": "x"}, "^box_labels must be numbers"),
        ({"masks": np.ones((4, 4), bool), "mask_points": [[1, 1], [2, 2]], "mask_labels": [1]}, "need mask_labels"),
        ({"masks": np.ones((4, 4), bool), "mask_points": "x"}, "^mask_points must be numbers"),
        ({"points": [1, 1], "threshold": 0.3}, "threshold is given without texts or classify"),
        ({"points": [1, 1], "match": "mask"}, "match is given without boxes or masks"),
        ({"boxes": [0, 0, 4, 4], "pick": "smallest"}, "pick is given without points"),
        ({"texts": "cup", "similar": 0.8, "other": "x"}, "other is given without classify"),
        ({"pick": "all"}, "pick is given without points"),
        ({"top_k": 3}, "top_k is given without texts"),
        ({"classify": []}, "^class texts must be a text or a list of at least one"),
        ({"classify": ["cup", " "]}, "^class text 1 must have at least one word"),
    ],
)
def test_what_means_nothing_is_an_error_by_its_own_name(given, message):
    """Not by that of the points or texts that the prompts may have besides."""
    with pytest.raises(PromptError, match=message):
        Prompts(**given).check()


def test_what_is_as_it_is_by_default_belongs_to_nothing():
    """Whichever text it is: one that was pickled, or read, is another of the same letters."""
    for prompts in (Prompts(boxes=[0, 0, 4, 4]), Prompts(points=[1, 1]), Prompts()):
        pickle.loads(pickle.dumps(prompts)).check()
    Prompts(boxes=[0, 0, 4, 4], pick="".join(["candi", "date"])).check()


def test_boxes_with_points_are_joined_with_no_other_boxes():
    given = Prompts(boxes=[0, 0, 4, 4], box_points=[1, 1])
    assert given.joined(Prompts(texts="cup")).box_points == [1, 1]
    for pair in ((given, Prompts(boxes=[0, 0, 2, 2])), (Prompts(boxes=[0, 0, 2, 2]), given)):
        with pytest.raises(PromptError, match="cannot be joined with other boxes"):
            pair[0].joined(pair[1])


def test_coordinates_are_read_from_text():
    assert coordinates("620,360.5", "X,Y") == (620, 360.5)
    assert coordinates("-5,0,90,80", "X1,Y1,X2,Y2") == (-5, 0, 90, 80)
    for text in ("", "1", "1,2,3", "a,b", "nan,1", "1,inf", "1;2", "6_2,36", "٦,1", "1e999,1"):
        with pytest.raises(PromptError, match="X,Y"):
            coordinates(text, "X,Y")


def test_the_name_is_public():
    assert fastsam_onnx.Prompts is Prompts


def said(value):
    """(points, labels, boxes, texts) of a JSON value that is right."""
    if isinstance(value, dict):
        return [value.get(name) for name in ("points", "labels", "boxes", "texts")]
    points = [entry for entry in value if entry["type"] == "point"]
    boxes = [entry["data"] for entry in value if entry["type"] == "rectangle"]
    labels = [entry.get("label", 1) for entry in points]
    return [[entry["data"] for entry in points] or None, labels or None, boxes or None, None]


def held(prompts):
    texts = None if prompts.texts is None else prompts.texts
    return [
        *(None if one is None else np.asarray(one).tolist() for one in (prompts.points, prompts.labels, prompts.boxes)),
        texts,
    ]


@pytest.mark.parametrize(
    "good",
    [
        {
            "points": [[620.5, 360], [1, 2]],
            "labels": [1, 0],
            "pick": "largest",
            "boxes": [[0, 0, 90, 80]],
            "match": "box",
        },
        {"texts": ["a yellow dog", "a cat"], "threshold": 0.25, "top_k": None},
        [
            {"type": "point", "data": [10, 10.5], "label": 1},
            {"type": "rectangle", "data": [36, 40, 60, 60]},
            {"type": "point", "data": [52, 52], "label": 0},
        ],
    ],
    ids=["points and boxes", "texts", "entries"],
)
def test_damage_to_json_is_refused_or_means_what_it_says(good):
    text = json.dumps(good).encode()
    draw = random.Random(9)
    outcomes = Counter()
    for _ in range(1500):
        changed = damaged(text, draw, 12)
        try:
            prompts = Prompts.from_json(changed)
            prompts.check()
        except FastSAMError:
            outcomes["refused"] += 1
            continue
        points, labels, boxes, texts = said(json.loads(changed))
        expected = [points, labels, boxes, [texts] if isinstance(texts, str) else texts]
        same = all(
            mine == theirs or (not mine and not theirs) for mine, theirs in zip(held(prompts), expected, strict=True)
        )
        outcomes["right" if same else "silent"] += 1
    assert outcomes["silent"] == 0, outcomes
    assert outcomes["refused"] > 300
    assert outcomes["right"] > 10


def test_the_objects_that_are_asked_for_are_groups_of_points_boxes_masks_and_texts():
    assert Prompts().asked == 0
    assert Prompts(points=[(1, 1), (2, 2)], labels=[1, 0]).asked == 1
    assert Prompts(points=[[(1, 1)], [(2, 2)]], boxes=[(0, 0, 1, 1)], texts=["a", "b"]).asked == 2 + 1 + 2
    assert Prompts(masks=[np.ones((3, 3), bool)] * 2, texts="a").asked == 2 + 1


@pytest.mark.parametrize(
    ("prompts", "needed"),
    [
        (Prompts(), True),
        (Prompts(points=[1, 2]), False),
        (Prompts(points=[1, 2], boxes=[1, 2, 3, 4]), False),
        (Prompts(masks=np.ones((1, 4, 4), bool)), True),
        (Prompts(points=[1, 2], pick="all"), True),
        (Prompts(points=[1, 2], pick="alternatives"), False),
        (Prompts(points=[1, 2], match="mask"), False),
        (Prompts(boxes=[1, 2, 3, 4], match="mask"), True),
        (Prompts(boxes=[1, 2, 3, 4], pick="all"), False),
        (Prompts(points=[1, 2], texts="cup"), True),
        (Prompts(points=[1, 2], similar=0.5), True),
        (Prompts(points=[1, 2], classes="cup"), True),
    ],
)
def test_objects_matter_without_prompts_and_where_prompts_choose_among_them(prompts, needed):
    assert prompts.needs_objects is needed


@pytest.mark.parametrize("with_candidates", [True, False])
@pytest.mark.parametrize(
    ("kind", "nothing"),
    [
        ("box_prompt", []),
        ("box_prompt", np.zeros((0, 4))),
        ("mask_prompt", []),
        ("mask_prompt", np.zeros((0, 64, 64), bool)),
        ("point_prompt", np.zeros((0, 1, 2))),
    ],
)
def test_no_prompts_ask_for_nothing(found, kind, nothing, with_candidates):
    """A detector may find nothing."""
    if with_candidates:
        found = FastSAM(tiny())(np.zeros((64, 64, 3), np.uint8))
    elif kind == "mask_prompt" and len(np.shape(nothing)) > 1:
        nothing = np.zeros((0, *found.image_size[::-1]), bool)
    answer = getattr(found, kind)(nothing)
    assert len(answer) == len(answer.masks) == 0
    assert answer.prompt_index.tolist() == []


@pytest.mark.parametrize(
    ("empty", "name"),
    [
        (Prompts(boxes=[]), "boxes"),
        (Prompts(masks=[]), "masks"),
        (Prompts(points=np.zeros((0, 1, 2))), "points"),
        (Prompts(classes=[]), "classes"),
    ],
)
def test_prompts_of_an_empty_list_are_refused_for_they_may_mean_everything_or_nothing(found, empty, name):
    for prompts in (empty, Prompts(texts="a cup").joined(empty), empty.joined(Prompts(texts="a cup"))):
        with pytest.raises(PromptError, match=f"{name} must be at least one, got none; leave {name} out"):
            prompts.choose(found)
