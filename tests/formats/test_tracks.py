"""The numbers of a video's objects, in every format that has a place for them, and nowhere where there are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fastsam_onnx import Segmentation, formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.coco_dataset import dataset_entry

IDS = [7, 3, 1, 12, 9]


@pytest.fixture
def tracked(sample):
    return replace(sample, track_ids=np.array(IDS))


def test_json_has_them_and_gives_them_back(sample, tracked):
    assert [one["track_id"] for one in formats.to_dict(tracked)["objects"]] == IDS
    assert "track_id" not in formats.to_json(sample)
    again = Segmentation.from_json(formats.to_json(tracked))
    assert again.track_ids.dtype == np.int64
    assert again.track_ids.tolist() == IDS
    assert Segmentation.from_json(formats.to_json(sample)).track_ids is None


def test_a_number_in_json_must_be_one(tracked):
    with pytest.raises(OptionError, match="track_id must be an integer"):
        formats.read_json(formats.to_json(tracked).replace('"track_id": 12', '"track_id": "twelve"'))


def test_coco_has_them_as_tao_does(sample, tracked):
    assert [one["track_id"] for one in formats.to_coco(tracked)] == IDS
    assert [one["track_id"] for one in dataset_entry(tracked)["annotations"]] == IDS
    assert not any("track_id" in one for one in formats.to_coco(sample))
    assert not any("track_id" in one for one in dataset_entry(sample)["annotations"])


def test_geojson_has_them_as_a_property(sample, tracked):
    assert [one["properties"]["track_id"] for one in formats.to_geojson(tracked)["features"]] == IDS
    assert not any("track_id" in one["properties"] for one in formats.to_geojson(sample)["features"])


def test_labelme_groups_shapes_by_them(sample, tracked):
    """The ring and its island are one mask, the two pixels two polygons."""
    assert [one["group_id"] for one in formats.to_labelme(tracked)["shapes"]] == [7, 3, 1, 12, 9, 9]
    assert [one["group_id"] for one in formats.to_labelme(sample)["shapes"]] == [None, None, None, None, 4, 4]


def test_concatenated_results_have_numbers_if_all_had(sample, tracked):
    assert Segmentation.concatenate([tracked, tracked]).track_ids.tolist() == IDS * 2
    assert Segmentation.concatenate([tracked, sample]).track_ids is None


def test_objects_have_the_overlays_colours_by_their_numbers(tracked):
    width, height = tracked.image_size
    shown = tracked.overlay(image=np.zeros((height, width, 3), np.uint8), alpha=1, contours=False, names=False)
    np.testing.assert_array_equal(formats.to_colours(tracked), shown)
    last = tracked.masks[4].inner_point
    red, green, blue = shown[int(last[1]), int(last[0])]
    assert f"#{red:02x}{green:02x}{blue:02x}" in formats.to_svg(tracked)
