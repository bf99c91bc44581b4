"""The package's own JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import ascii_json, fill_rings, random_instances

from fastsam_onnx import formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.images.geotiff import Georeference
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.results.segmentation import Segmentation


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_polygons_fill_to_the_same_pixels(seed):
    found = random_instances(seed)
    rows = ascii_json(formats.encode(found, "json", masks="polygons"))["objects"]
    for row, mask in zip(rows, found.masks, strict=True):
        rings = [ring for polygon in row["polygons"] for ring in (polygon["exterior"], *polygon["holes"])]
        np.testing.assert_array_equal(fill_rings(rings, found.image_size), mask.dense())


def test_prompt_index_is_in_the_plain_json_and_the_geojson(sample):
    answer = sample.box_prompt([(24, 20, 40, 30), (0, 20, 24, 36)])
    assert [row["prompt_index"] for row in formats.to_dict(answer)["objects"]] == [0, 1]
    features = formats.to_geojson(answer)["features"]
    assert [feature["properties"]["prompt_index"] for feature in features] == [0, 1]
    assert formats.to_dict(sample)["objects"][0]["prompt_index"] is None


def test_a_tolerance_for_run_lengths_is_refused(sample):
    """They are exact; it was taken without a word."""
    for write in (formats.to_dict, formats.to_json, partial(formats.encode, format="json")):
        with pytest.raises(OptionError, match=r'^tolerance is for outlines, .*got 2; say masks="polygons"'):
            write(sample, tolerance=2)


def test_outlines_may_stray_by_the_tolerance(sample):
    for row, mask in zip(sample.to_dict(masks="polygons", tolerance=2)["objects"], sample.masks, strict=True):
        [exterior, *_] = [polygon.exterior.tolist() for polygon in mask.polygons(2)]
        assert row["polygons"][0]["exterior"] == exterior


def test_plain_json_text_is_its_dictionary(sample):
    assert json.loads(formats.to_json(sample, masks="polygons")) == formats.to_dict(sample, masks="polygons")


def test_scores_and_similarities_have_five_decimals(sample):
    found = replace(sample, scores=np.full(5, 0.123456, np.float32), similarity=np.full(5, -0.123456, np.float32))
    assert {(row["score"], row["similarity"]) for row in found.to_dict()["objects"]} == {(0.12346, -0.12346)}


# ---------------------------------------------------------------- reading


def test_what_was_written_is_read(sample):
    found = replace(
        sample,
        prompt_index=np.arange(5),
        similarity=np.linspace(-0.5, 0.5, 5, dtype=np.float32),
    )
    read = Segmentation.from_json(formats.to_json(found))
    assert isinstance(read, Segmentation)
    assert formats.to_json(read) == formats.to_json(found)
    assert formats.to_json(Segmentation.from_json(formats.to_json(sample).encode())) == formats.to_json(sample)
    for ours, theirs in zip(read.masks, found.masks, strict=True):
        np.testing.assert_array_equal(ours.dense(), theirs.dense())
    empty = Segmentation.from_masks([], image_size=(8, 6))
    assert formats.from_dict(empty.to_dict()).image_size == (8, 6)


def test_the_predicted_iou_of_each_mask_that_has_one_is_read(sample):
    masks = [
        replace(mask, predicted_iou=expected)
        for mask, expected in zip(sample.masks, [0.5, None, 0.5, None, 0.5], strict=True)
    ]
    found = replace(sample, masks=Masks(masks, sample.image_size))
    assert ["predicted_iou" in row for row in found.to_dict()["objects"]] == [True, False] * 2 + [True]
    read = Segmentation.from_json(found.to_json())
    np.testing.assert_array_equal(read.predicted_iou, np.float32([0.5, np.nan, 0.5, np.nan, 0.5]))
    assert read.to_json() == found.to_json()
    document = found.to_dict()
    document["objects"][0]["predicted_iou"] = 1.5
    with pytest.raises(OptionError, match=r"object \d: predicted_iou must be .*, got 1\.5"):
        formats.from_dict(document)


def test_an_answer_without_objects_is_read_as_one(sample):
    """So that code for `prompt_index` and `track_ids` runs with an empty one, too, as it did before writing."""
    answers = replace(sample, prompt_index=np.arange(5), similarity=np.zeros(5, np.float32))
    tracked = replace(sample, track_ids=np.arange(1, 6))
    for found, known in ((answers, ["prompt_index", "similarity"]), (tracked, ["track_id"])):
        empty = found[[]]
        assert empty.to_dict()["known"] == known
        assert "known" not in found.to_dict()
        read = Segmentation.from_json(empty.to_json())
        assert read.to_json() == empty.to_json()
        for name in ("prompt_index", "similarity", "track_ids"):
            ours, theirs = getattr(read, name), getattr(empty, name)
            assert (ours is None, getattr(ours, "dtype", None)) == (theirs is None, getattr(theirs, "dtype", None))
    assert "known" not in sample[[]].to_dict()


@pytest.mark.parametrize("known", [["score"], [["similarity"]], "similarity", None])
def test_damaged_facts_of_no_objects_are_refused(sample, known):
    with pytest.raises(OptionError, match='"known" must be'):
        formats.from_dict(sample[[]].to_dict() | {"known": known})


def test_a_place_on_a_map_is_written_and_read(sample):
    for place in (
        Georeference((0.5, 0.0, 400000.25, 0.0, -0.5, 5_000_000.125), "EPSG:32633"),
        Georeference(None, None, "it has rational polynomials (tag 50844)"),
    ):
        found = replace(sample, georeference=place)
        read = Segmentation.from_json(found.to_json())
        assert read.georeference == place
        assert read.to_geojson() == found.to_geojson()
        assert Segmentation.from_json(found[[]].to_json()).georeference == place
    assert "georeference" not in sample.to_dict()


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ([1, 2], '"georeference" must have'),
        (5, '"georeference" must have'),
        ({"affine": None, "crs": None}, '"georeference" must have'),
        ({"affine": [1, 2, 3], "crs": None, "missing": ""}, "affine must be six"),
        ({"affine": [1, 0, 0, 0, "1", 0], "crs": None, "missing": ""}, "affine must be"),
        ({"affine": None, "crs": 32633, "missing": ""}, "crs must be a text"),
        ({"affine": None, "crs": None, "missing": None}, "missing must be a text"),
    ],
)
def test_a_damaged_place_is_refused(sample, place, message):
    with pytest.raises(OptionError, match=message):
        formats.from_dict(sample.to_dict() | {"georeference": place})


def test_names_of_classes_that_are_not_there_are_kept(sample):
    names = {0: "cat", 1: "dog"}
    nothing = replace(sample, labels=np.zeros(5, np.int64), names=names)[[]]
    for found in (replace(sample, labels=np.zeros(5, np.int64), names=names), nothing):
        read = Segmentation.from_json(found.to_json())
        assert read.names == names
        assert len(read.of_class("dog")) == 0
        assert read.to_json() == found.to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": ["cat"]}, '"names" must be an object'),
        ({"names": {"one": "cat"}}, "index in \"names\" must be .*got 'one'"),
        ({"names": {"-1": "cat"}}, 'index in "names" must be .*got -1'),
        ({"names": {"9" * 5000: "cat"}}, 'index in "names" must be'),
        ({"names": {str(2**53 + 1): "cat"}}, 'index in "names" must be'),
        ({"names": {"0": None}}, "name must be a text"),
    ],
)
def test_damaged_names_are_refused(sample, change, message):
    found = replace(sample, labels=np.zeros(5, np.int64), names={0: "cat"})
    with pytest.raises(OptionError, match=message):
        formats.from_dict(found.to_dict() | change)
    with pytest.raises(OptionError, match='"label" each'):
        formats.from_dict(sample.to_dict() | {"names": {"0": "cat"}})


def test_a_file_without_names_of_all_classes_has_those_of_its_objects(sample):
    document = replace(sample, labels=np.array([1, 0, 1, 5, 0]), names={0: "cat", 1: "dog", 2: "cow"}).to_dict()
    del document["names"]
    assert formats.from_dict(document).names == {0: "cat", 1: "dog", 5: "5"}


@pytest.mark.parametrize("with_names", [True, False])
def test_an_object_whose_name_and_class_differ_is_refused(sample, with_names):
    """One of the two was changed; the last name of a class was taken for all of its objects, or the label's."""
    document = replace(sample, labels=np.zeros(5, np.int64), names={0: "cup"}).to_dict()
    if not with_names:
        del document["names"]
    formats.from_dict(document)
    document["objects"][1]["name"] = "spoon"
    with pytest.raises(OptionError, match=r"its name is '(spoon|cup)', and its label is 0, which is '(cup|spoon)'"):
        formats.from_dict(document)
    nameless = sample.to_dict()
    nameless["objects"][3]["name"] = "cup"
    with pytest.raises(OptionError, match="object 3: its name is 'cup', and it has no label"):
        formats.from_dict(nameless)


def test_a_result_of_a_larger_photo_is_read_when_it_is_asked_for():
    text = Segmentation.from_masks([], image_size=(30_000, 20_000)).to_json()
    with pytest.raises(OptionError, match="at most"):
        Segmentation.from_json(text)
    assert Segmentation.from_json(text, pixel_limit=None).image_size == (30_000, 20_000)
    assert Segmentation.from_json(text, pixel_limit=600_000_000).image_size == (30_000, 20_000)
    with pytest.raises(OptionError, match="at most 599999999 pixels, got 30000 x 20000"):
        Segmentation.from_json(text, pixel_limit=599_999_999)
    with_object = Segmentation.from_masks([Mask.empty((30_000, 20_000))]).to_json()  # its mask has the same limit
    assert len(Segmentation.from_json(with_object, pixel_limit=None)) == 1


def test_classes_are_written_and_read(sample):
    found = replace(sample, labels=np.array([1, 0, 1, 5, 0]), names={0: "cat", 1: "dog"})
    records = formats.to_dict(found)["objects"]
    assert [(one["label"], one["name"]) for one in records] == [
        (1, "dog"),
        (0, "cat"),
        (1, "dog"),
        (5, "5"),
        (0, "cat"),
    ]
    read = Segmentation.from_json(found.to_json())
    assert read.to_json() == found.to_json()
    assert read.labels.tolist() == [1, 0, 1, 5, 0]
    assert "label" not in formats.to_dict(sample)["objects"][0]


def change(**values):
    return lambda document: document.update(values)


def change_first(**values):
    return lambda document: document["objects"][0].update(values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(format="coco"), "fastsam-onnx"),
        (change(version=2), "version"),
        (change(width="48"), "width"),
        (change(height=0), "height"),
        (change(width=47), r"object 0 .*\[36, 47\]"),
        (change(width=10**6, height=10**6), "pixels"),
        (change(source=7), "source"),
        (change(objects={}), "objects"),
        (change(objects=[7]), "objects"),
        (lambda document: document["objects"].append(7), "objects"),
        (change_first(score=2), "score"),
        (change_first(score=None), "score"),
        (change_first(box=[1, 2, 3]), "box"),
        (change_first(box="1234"), "box"),
        (change_first(box=[0, 0, 1e39, 105]), "box"),
        (change_first(area=7), "object 0 is damaged: its area is 7"),
        (change_first(prompt_index=0.5), "prompt_index"),
        (change_first(prompt_index=0), r'all objects must have a "prompt_index", or none .*, got 1 of \d+ with one'),
        (change_first(similarity=0.5), 'all objects must have a "similarity", or none'),
        (lambda document: [one.update(label=10**21) for one in document["objects"]], "label must be an integer"),
        (lambda document: [one.update(track_id=2**63) for one in document["objects"]], "track_id must be an integer"),
        (lambda document: [one.update(prompt_index=2**53 + 1) for one in document["objects"]], "prompt_index"),
        (change_first(label=1), 'all objects must have a "label", or none'),
        (change_first(rle={"size": [36, 48], "counts": "?"}), "RLE"),
        (change_first(rle={"size": [36, 48]}), "counts"),
        (change_first(rle=[]), "object 0 .*size"),
        (lambda document: document["objects"][0].pop("rle"), "object 0 has no run lengths"),
    ],
)
def test_damage_is_refused_by_name(damage, message, sample):
    document = json.loads(formats.to_json(sample))
    damage(document)
    with pytest.raises(OptionError, match=message):
        formats.from_dict(document)


def test_the_largest_boxes_are_written_and_read():
    most = float(np.finfo(np.float32).max)
    for box in ([-most, 0, most, 1.5], [0, 0, 2**62, 2**63]):
        found = Segmentation.from_masks([Mask.empty((8, 6))], boxes=[box])
        assert Segmentation.from_json(found.to_json()).boxes.tolist() == [box]


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff", "7", "null", None])
def test_what_is_no_json_of_ours_is_refused(text):
    with pytest.raises(OptionError, match="a result must be"):
        formats.read_json(text)
