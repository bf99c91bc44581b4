"""GeoJSON: rings as RFC 7946 asks, exact on maps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import ascii_json, random_instances, ring_area

from fastsam_onnx import formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation

UTM = (0.5, 0.0, 440720.25, 0.0, -0.5, 3751320.75)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), mirrored=st.booleans())
def test_geojson_areas_are_the_pixels_and_rings_are_wound_and_closed(seed, mirrored):
    found = random_instances(seed)
    affine = (0.3, 0.1, -7.0, 0.2, -0.4 if mirrored else 0.4, 11.0)
    pixel = abs(affine[0] * affine[4] - affine[1] * affine[3])
    for options, scale in (({}, 1.0), ({"affine": affine}, pixel)):
        features = ascii_json(formats.encode(found, "geojson", **options))["features"]
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


def test_properties_are_what_json_and_csv_tell_but_for_the_box():
    masks = [Mask(np.ones((2, 3), bool), 1, 1, (9, 9)), Mask(np.ones((1, 4), bool), 4, 5, (9, 9))]
    found = Segmentation.from_masks(masks, [0.9, 0.8], labels=[1, 0], names={0: "cup", 1: "spoon"})
    found = replace(found, similarity=np.float32([0.31234567, 0.25]), prompt_index=np.array([1, 0]))
    records = formats.to_dict(found)["objects"]
    for feature, record in zip(formats.to_geojson(found)["features"], records, strict=True):
        own = {name: record[name] for name in ("score", "area", "prompt_index", "similarity", "label", "name")}
        assert feature["properties"] == own


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


@pytest.mark.parametrize(
    ("crs", "urn"),
    [
        ("EPSG:32633", "urn:ogc:def:crs:EPSG::32633"),
        ("epsg:4326", "urn:ogc:def:crs:EPSG::4326"),
        (32633, "urn:ogc:def:crs:EPSG::32633"),
        (np.int32(25832), "urn:ogc:def:crs:EPSG::25832"),
        ("OGC:CRS84", "urn:ogc:def:crs:OGC:1.3:CRS84"),
        ("urn:ogc:def:crs:EPSG:6.6:32633", "urn:ogc:def:crs:EPSG:6.6:32633"),
    ],
)
def test_the_crs_is_named_as_geojson_2008_does(crs, urn, sample):
    document = formats.to_geojson(sample, affine=UTM, crs=crs)
    assert document["crs"] == {"type": "name", "properties": {"name": urn}}
    assert list(document) == ["type", "crs", "features"], "readers want it before the features"
    assert "crs" not in formats.to_geojson(sample, affine=UTM)


def test_geopandas_reads_the_crs(sample, tmp_path):
    geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")
    sample.save(tmp_path / "a.geojson", affine=UTM, crs="EPSG:32633")
    frame = geopandas.read_file(tmp_path / "a.geojson")
    assert frame.crs.to_epsg() == 32633
    assert frame.geometry.area.tolist() == pytest.approx((sample.areas * 0.25).tolist())


@pytest.mark.parametrize("crs", ["UTM 33N", "EPSG:", "urn:ogc", 0, -1, True, 1.5, b"EPSG:32633"], ids=str)
def test_other_names_of_a_crs_are_refused(crs, sample):
    with pytest.raises(OptionError, match="crs"):
        formats.to_geojson(sample, affine=UTM, crs=crs)


def test_a_crs_needs_coordinates(sample):
    with pytest.raises(OptionError, match="affine"):
        formats.to_geojson(sample, crs="EPSG:32633")


@pytest.mark.parametrize(
    "affine",
    [
        (1e20, 0, 1, 0, 1e20, 0),
        (9.3e18, 0, 0, 0, 1, 0),
        (1e200, 0, 1, 0, 1e200, 0),
        (1e200, 1e200, 0, 1e200, -1e200, 0),
        (1e-200, 0, 0, 0, 1e-200, 0),
        (1e-160, 0, 1e150, 0, 1e-160, 0),
        (1e-300, 0, 0, 0, 1e300, 0),
        (0.3, 0.1, -7, 0.2, -0.4, 11),
    ],
    ids=str,
)
def test_an_affine_of_any_size_places_corners(affine):
    """Without warnings, which pytest makes errors of; to a hundredth of a pixel, or as close as float64 is."""
    a, b, c, d, e, f = affine
    found = Segmentation.from_masks([Mask(np.ones((2, 3), bool), 4, 5, (10, 10))])
    [feature] = ascii_json(formats.encode(found, "geojson", affine=affine))["features"]
    [ring] = feature["geometry"]["coordinates"]
    corners = [(a * x + b * y + c, d * x + e * y + f) for x, y in ((4, 5), (7, 5), (7, 7), (4, 7))]
    assert sorted(set(map(tuple, ring))) == [pytest.approx(one, rel=1e-9, abs=0) for one in sorted(set(corners))]


@pytest.mark.parametrize("order", ["cabfde", "adbecf"])
@pytest.mark.parametrize("affine", [UTM, (1e-5, 0, 12.5, 0, -1e-5, 47.1), (20, 5, 5e5, 5, -20, 4e6)])
def test_an_affine_in_the_order_of_gdal_or_world_files_is_warned_of(order, affine, sample, caplog):
    formats.to_geojson(sample, affine=affine)
    assert not caplog.records
    formats.to_geojson(sample, affine=[affine["abcdef".index(letter)] for letter in order])
    (record,) = caplog.records
    assert "GDAL's order is c, a, b, f, d, e" in record.getMessage()


def test_coordinates_beyond_all_numbers_are_refused(sample):
    with pytest.raises(OptionError, match="beyond all numbers"):
        formats.to_geojson(sample, affine=(1.7e308, 1.7e308, 0, 1.7e308, -1.7e308, 0))
    with pytest.raises(OptionError, match="beyond all numbers"):
        formats.to_geojson(sample, affine=(1e308, 0, 0, 0, 1e-300, 0))
