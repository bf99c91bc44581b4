"""The place of a GeoTIFF on a map: by arithmetic, and as rasterio has it."""

import logging
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tiny_onnx import bright_object

from fastsam_onnx import FastSAM
from fastsam_onnx.errors import OptionError
from fastsam_onnx.images.geotiff import Georeference, georeference_of

tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")

SCALE, TIE_POINTS, TRANSFORMATION, KEYS, RATIONAL, ORIENTATION = 33550, 33922, 34264, 34735, 50844, 274
UTM33 = [(1024, 1), (1025, 1), (3072, 32633)]
WGS84 = [(1024, 2), (2048, 4326)]
PLACE = {SCALE: (0.5, 0.25, 0), TIE_POINTS: (0, 0, 0, 446000, 5430000, 0)}
"""A pixel is 0.5 m wide and 0.25 m high; the outer corner of the first is at 446000, 5430000."""
AFFINE = (0.5, 0, 446000, 0, -0.25, 5430000)
PIXELS = np.zeros((64, 96, 3), np.uint8)
PIXELS[16:40, 32:64] = 255


def geotiff(path, tags, keys=UTM33, **options):
    extra = [(tag, "H" if tag == ORIENTATION else "d", len(values), values, True) for tag, values in tags.items()]
    if keys is not None:
        words = (1, 1, 0, len(keys), *(word for key, value in keys for word in (key, 0, 1, value)))
        extra.append((KEYS, "H", len(words), words, True))
    tifffile.imwrite(path, PIXELS, photometric="rgb", metadata=None, extratags=extra, **options)
    return path


@pytest.fixture(scope="module")
def model():
    return FastSAM(bright_object(), imgsz=96)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_pixel_scale_and_tie_point(tmp_path, byteorder, bigtiff):
    path = geotiff(tmp_path / "a.tif", PLACE, byteorder=byteorder, bigtiff=bigtiff)
    for source in (path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes())):
        assert georeference_of(source) == Georeference(AFFINE, "EPSG:32633")


def test_a_tie_point_may_be_any_pixel(tmp_path):
    place = {**PLACE, TIE_POINTS: (10, 20, 0, 446005, 5429995, 0)}  # 446005 - 10 * 0.5, 5429995 + 20 * 0.25
    assert georeference_of(geotiff(tmp_path / "a.tif", place)).affine == AFFINE


def test_points_are_the_middles_of_pixels(tmp_path):
    keys = [(1024, 1), (1025, 2), (3072, 32633)]
    found = georeference_of(geotiff(tmp_path / "a.tif", PLACE, keys))
    assert found.affine == (0.5, 0, 445999.75, 0, -0.25, 5430000.125)
    matrix = (0, 2, 0, 100, 3, 0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 1)
    turned = georeference_of(geotiff(tmp_path / "b.tif", {TRANSFORMATION: matrix}, keys))
    assert turned.affine == (0, 2, 99, 3, 0, 198.5)


def test_a_transformation_of_any_direction(tmp_path):
    matrix = (0.4, 0.3, 0, 446000, 0.3, -0.4, 0, 5430000, 0, 0, 0, 0, 0, 0, 0, 1)
    found = georeference_of(geotiff(tmp_path / "a.tif", {TRANSFORMATION: matrix}))
    assert found == Georeference((0.4, 0.3, 446000, 0.3, -0.4, 5430000), "EPSG:32633")


@pytest.mark.parametrize("point", [1, 2])
@pytest.mark.parametrize(
    ("place", "keys"),
    [
        (PLACE, UTM33),
        ({SCALE: (0.1, 0.2, 0), TIE_POINTS: (3, 4, 0, 11.5, 48.25, 0)}, WGS84),
        ({SCALE: (0.1, 0.2, 0), TIE_POINTS: (3, 4, 0, 11.5, 48.25, 0)}, [(1024, 2), (2048, 4258)]),
        ({TRANSFORMATION: (0.4, 0.3, 0, 9, 0.3, -0.4, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1)}, [(1024, 1), (3072, 3857)]),
    ],
)
def test_as_rasterio_has_it(tmp_path, place, keys, point):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, a test-time tool")
    path = geotiff(tmp_path / "a.tif", place, sorted({**dict(keys), 1025: point}.items()))
    found = georeference_of(path)
    with rasterio.open(path) as opened:
        assert found.affine == pytest.approx(opened.transform[:6], rel=1e-12)
        assert found.crs == f"EPSG:{opened.crs.to_epsg()}"


def test_what_rasterio_writes(tmp_path):
    rasterio = pytest.importorskip("rasterio", reason="needs rasterio, a test-time tool")
    for number, (affine, crs) in enumerate([(AFFINE, "EPSG:32633"), ((0.4, 0.3, 9, 0.3, -0.4, 8), "EPSG:3857")]):
        path = tmp_path / f"{number}.tif"
        form = {"width": 96, "height": 64, "count": 3, "dtype": "uint8", "crs": crs}
        with rasterio.open(path, "w", driver="GTiff", transform=rasterio.Affine(*affine), **form) as opened:
            opened.write(PIXELS.transpose(2, 0, 1))
        assert georeference_of(path) == Georeference(pytest.approx(affine), crs)


def test_outlines_are_on_the_map(tmp_path, model, caplog):
    path = geotiff(tmp_path / "a.tif", PLACE)
    for result in (model(path), model(path.read_bytes()), *model.stream([path]), model(path, tile=64)):
        found = pickle.loads(pickle.dumps(result))[:1]  # selections keep it
        x1, y1, x2, y2 = found[0].mask.box.tolist()
        whole = found.to_geojson()
        assert whole["crs"]["properties"]["name"] == "urn:ogc:def:crs:EPSG::32633"
        corners = np.array(whole["features"][0]["geometry"]["coordinates"][0])
        assert corners.min(axis=0).tolist() == [446000 + x1 / 2, 5430000 - y2 / 4]
        assert corners.max(axis=0).tolist() == [446000 + x2 / 2, 5430000 - y1 / 4]
    found.save(tmp_path / "a.geojson")
    assert (tmp_path / "a.geojson").read_text().count("EPSG::32633") == 1
    in_pixels = found.to_geojson(affine=(1, 0, 0, 0, 1, 0))
    assert "crs" not in in_pixels
    assert np.array(in_pixels["features"][0]["geometry"]["coordinates"][0]).min(axis=0).tolist() == [x1, y1]
    assert "EPSG::3857" in str(found.to_geojson(crs=3857)["crs"])
    assert not caplog.records


def test_longitude_comes_first(tmp_path, model):
    degrees = {SCALE: (0.001, 0.001, 0), TIE_POINTS: (0, 0, 0, 11.5, 48.25, 0)}
    whole = model(geotiff(tmp_path / "a.tif", degrees, WGS84)).to_geojson()
    assert whole["crs"]["properties"]["name"] == "urn:ogc:def:crs:OGC:1.3:CRS84"
    assert whole["features"][0]["geometry"]["coordinates"][0][0][0] == pytest.approx(11.5, abs=0.1)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (None, "model type (key 1024) is 0"),
        ([(1024, 3)], "model type (key 1024) is 3"),
        ([(1024, 1), (3072, 32767)], "key 3072: 32767"),
        ([(1024, 2)], "key 2048: 0"),
    ],
)
def test_coordinates_of_an_unknown_system_are_told(tmp_path, model, caplog, keys, reason):
    found = model(geotiff(tmp_path / "a.tif", PLACE, keys))
    assert not caplog.records  # nobody asked for a map
    with caplog.at_level(logging.WARNING, "fastsam_onnx"):
        assert "crs" not in found.to_geojson()
    assert "a.tif" in caplog.text
    assert reason in caplog.text
    caplog.clear()
    assert found.to_geojson(crs="EPSG:32633")["crs"]
    assert not caplog.records


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ({TIE_POINTS: (0,) * 24}, "4 tie points"),
        ({**PLACE, TIE_POINTS: (0,) * 12}, "2 tie points"),
        ({SCALE: (1, 1, 0)}, "no tie point"),
        ({**PLACE, SCALE: (1, -1, 0)}, "tag 33550"),
        ({TRANSFORMATION: (1, 1, 0, 0) * 4}, "onto a line"),
        ({TRANSFORMATION: (float("nan"), 1, 0, 0) * 4}, "onto a line"),
        ({RATIONAL: (0,) * 92}, "rational polynomials"),
        ({**PLACE, ORIENTATION: (6,)}, "turned"),
    ],
)
def test_places_that_are_not_understood_are_told(tmp_path, model, caplog, place, reason):
    for keys in (UTM33, WGS84):
        found = model(geotiff(tmp_path / "a.tif", place, keys))
        caplog.clear()
        with caplog.at_level(logging.WARNING, "fastsam_onnx"):
            whole = found.to_geojson()
        assert reason in caplog.text
        assert "outlines are in pixels" in caplog.text
        assert "crs" not in whole
        assert np.array(whole["features"][0]["geometry"]["coordinates"][0]).max() <= 96
        with pytest.raises(OptionError, match="needs affine="):
            found.to_geojson(crs=32633)


def test_other_photos_have_no_place(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, photometric="rgb")
    (tmp_path / "short").write_bytes(b"II")
    for source in (tmp_path / "a.tif", tmp_path / "short", b"", PIXELS, None):
        assert georeference_of(source) is None
    assert georeference_of(tmp_path / "nowhere.tif").affine is None


@settings(deadline=None, max_examples=300)
@given(data=st.data())
def test_damage_gives_a_place_or_a_reason(tmp_path_factory, data):
    file = bytearray(geotiff(tmp_path_factory.getbasetemp() / "damage.tif", PLACE).read_bytes())
    at = data.draw(st.integers(0, 400))
    file[at : at + 1] = data.draw(st.binary(min_size=0, max_size=3))
    del file[data.draw(st.sampled_from([len(file), at])) :]
    found = georeference_of(bytes(file))
    if found is not None:
        assert bool(found.missing) == (found.affine is None or found.crs is None)
        assert found.affine is None or np.isfinite(found.affine).all()
