"""GeoJSON: rings as RFC 7946 asks, exact on maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import random_instances, read_json, ring_area

from fastsam_onnx import formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), mirrored=st.booleans())
def test_geojson_areas_are_the_pixels_and_rings_are_wound_and_closed(seed, mirrored):
    found = random_instances(seed)
    affine = (0.3, 0.1, -7.0, 0.2, -0.4 if mirrored else 0.4, 11.0)
    pixel = abs(affine[0] * affine[4] - affine[1] * affine[3])
    for options, scale in (({}, 1.0), ({"affine": affine}, pixel)):
        features = read_json(formats.encode(found, "geojson", **options))["features"]
        for feature, mask in zip(features, found.masks, strict=True):
            area = 0.0
            for exterior, *holes in _geojson_polygons(feature["geometry"]):
                for ring in (exterior, *holes):
                    assert ring[0] == ring[-1]
                    assert len(ring) >= 4
                assert ring_area(exterior) > 0
                assert all(ring_area(hole) < 0 for hole in holes)
                area += ring_area(exterior) + sum(ring_area(hole) for hole in holes)
            assert area == pytest.approx(mask.area * scale, rel=1e-6)
            assert feature["properties"]["area"] == mask.area


def _geojson_polygons(geometry: dict[str, Any] | None) -> list[Any]:
    if geometry is None:
        return []
    coordinates: list[Any] = geometry["coordinates"]
    return coordinates if geometry["type"] == "MultiPolygon" else [coordinates]


def test_geojson_keeps_a_hundredth_of_a_pixel_in_degrees():
    dense = np.zeros((10, 10), bool)
    dense[2, 3] = True
    found = Segmentation.from_masks([Mask.from_dense(dense)])
    step = 1e-5 / 3  # degrees a pixel: a third of a metre
    ring = formats.to_geojson(found, affine=(step, 0, 11.5, 0, -step, 48.1))["features"][0]["geometry"]["coordinates"][
        0
    ]
    expected = {(11.5 + x * step, 48.1 - y * step) for x in (3, 4) for y in (2, 3)}
    for x, y in ring:
        assert min(abs(x - a) + abs(y - b) for a, b in expected) < step / 50


@pytest.mark.parametrize("affine", [(1, 0, 0, 0, 1), (1, 0, 0, 0, 1, float("nan")), (1, 1, 0, 1, 1, 0)])
def test_geojson_refuses_an_affine_that_maps_nothing(affine, sample):
    with pytest.raises(OptionError, match="affine"):
        formats.to_geojson(sample, affine=affine)
