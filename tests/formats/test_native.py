"""The package's own JSON."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import fill_rings, random_instances, read_json

from fastsam_onnx import formats


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_polygons_fill_to_the_same_pixels(seed):
    found = random_instances(seed)
    rows = read_json(formats.encode(found, "json", masks="polygons"))["objects"]
    for row, mask in zip(rows, found.masks, strict=True):
        rings = [ring for polygon in row["polygons"] for ring in (polygon["exterior"], *polygon["holes"])]
        np.testing.assert_array_equal(fill_rings(rings, found.image_size), mask.dense())


def test_prompt_index_is_in_the_plain_json_and_the_geojson(sample):
    answer = sample.box_prompt([(24, 20, 40, 30), (0, 20, 24, 36)])
    assert [row["prompt_index"] for row in formats.to_dict(answer)["objects"]] == [0, 1]
    features = formats.to_geojson(answer)["features"]
    assert [feature["properties"]["prompt_index"] for feature in features] == [0, 1]
    assert formats.to_dict(sample)["objects"][0]["prompt_index"] is None


def test_plain_json_text_is_its_dictionary(sample):
    assert json.loads(formats.to_json(sample, masks="polygons")) == formats.to_dict(sample, masks="polygons")
