"""Ways out: the bytes are stable (one golden file per format) and every format holds exactly the pixels of the masks.

`python tests/formats/test_registry.py` writes the golden files anew; look at the difference before keeping it.
"""

from __future__ import annotations

import base64
import json
import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_onnx.draw import label_map, overlay
from fastsam_onnx.errors import MissingPackageError, OptionError, OutputError
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.images.sources import PICTURE_SUFFIXES, RESULT_SUFFIXES
from fastsam_onnx.masks.instances import Instances, Masks
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation

GOLDEN = Path(__file__).parents[1] / "data" / "formats"
WIDTH, HEIGHT = 48, 36
TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "objects.json": ("json", {}),
    "polygons.json": ("json", {"masks": "polygons"}),
    "objects.coco.json": ("coco", {"image_id": 139, "category_id": 1}),
    "objects.sam.json": ("sam", {}),
    "objects.svg": ("svg", {"link": "a photo.jpg"}),
    "objects.geojson": ("geojson", {}),
    "map.geojson": ("geojson", {"affine": (0.5, 0.0, 440720.25, 0.0, -0.5, 3751320.75)}),
}


def _sample() -> Segmentation:
    """A ring with an island in its hole, a disc, two touching rectangles, two pixels that meet at a corner."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    photo = np.stack([x * 5, y * 7, (x + y) * 3], axis=2).astype(np.uint8)
    ring = np.zeros((HEIGHT, WIDTH), bool)
    ring[3:17, 4:20], ring[6:14, 7:17], ring[9:11, 10:13] = True, False, True
    disc = (x - 31) ** 2 + (y - 12) ** 2 < 81
    low, right, corner = np.zeros((3, HEIGHT, WIDTH), bool)
    low[20:36, 0:24], right[20:30, 24:40] = True, True
    corner[32, 42] = corner[33, 43] = True
    return Segmentation.from_masks(
        [Mask.from_dense(dense) for dense in (ring, disc, low, right, corner)],
        [0.98765432, 0.9, 0.75, 0.5, 0.123456],
        [(4, 3, 20, 17), (22.254, 3.996, 40, 21), (0, 20, 24, 36), (24, 20, 40, 30), (42, 32, 44, 34)],
        image=photo,
        source="photo.jpg",
    )


@pytest.fixture
def sample() -> Segmentation:
    return _sample()


def _random(seed: int, size: tuple[int, int] = (13, 11), count: int = 3) -> Segmentation:
    rng = np.random.default_rng(seed)
    width, height = size
    masks = [Mask.from_dense(rng.random((height, width)) < rng.random()) for _ in range(count)]
    return Segmentation.from_masks(masks, rng.random(count), image_size=size)


def _fill(rings: list[Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Even-odd filling of rings along the edges of pixels: every vertical edge flips what lies on its right."""
    canvas = np.zeros((size[1], size[0]), bool)
    for ring in rings:
        corners = np.asarray(ring, int)
        for (x, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            assert x == x2 or y1 == y2
            canvas[min(y1, y2) : max(y1, y2), x:] ^= True
    return canvas


def _area(ring: list[Any]) -> float:
    """Positive for a ring that runs counter-clockwise in its own axes."""
    x, y = np.asarray(ring, float).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _read_json(data: bytes) -> Any:
    return json.loads(data.decode("ascii"))


# --- golden files


@pytest.mark.parametrize("name", TEXTS)
def test_golden_text(name: str, sample: Segmentation) -> None:
    format_name, options = TEXTS[name]
    golden = (GOLDEN / name).read_bytes().replace(b"\r\n", b"\n")  # a checkout on Windows may have changed the ends
    assert formats.encode(sample, format_name, **options) == golden


def test_golden_labelme(sample: Segmentation) -> None:
    def decoded(data: bytes) -> Any:
        document = _read_json(data)
        for shape in document["shapes"]:
            if shape["mask"] is not None:  # the same pixels may be packed differently by another zlib
                png = np.frombuffer(base64.b64decode(shape["mask"]), np.uint8)
                shape["mask"] = cv2.imdecode(png, cv2.IMREAD_UNCHANGED).tolist()
        return document

    golden = (GOLDEN / "objects.labelme.json").read_bytes()
    assert decoded(formats.encode(sample, "labelme")) == decoded(golden)


def test_golden_labels(sample: Segmentation) -> None:
    golden = cv2.imread(str(GOLDEN / "objects.labels.png"), cv2.IMREAD_UNCHANGED)
    assert golden.dtype == np.uint16
    np.testing.assert_array_equal(label_map(sample), golden)


def test_golden_overlay(sample: Segmentation) -> None:
    golden = cv2.imread(str(GOLDEN / "overlay.png"))[..., ::-1]
    assert np.abs(overlay(sample) - golden.astype(int)).max() <= 1  # versions of OpenCV round differently


def test_golden_cutouts(sample: Segmentation) -> None:
    folder = GOLDEN / "objects.cutouts"
    cuts = dict(formats.to_cutouts(sample))
    assert sorted(cuts) == sorted(path.name for path in folder.iterdir())
    for name, cut in cuts.items():
        golden = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(cv2.cvtColor(cut, cv2.COLOR_RGBA2BGRA), golden)


# --- what the formats hold


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_coco_is_exact_and_agrees_with_the_plain_json(seed: int) -> None:
    found = _random(seed)
    plain = _read_json(formats.encode(found, "json"))["objects"]
    records = _read_json(formats.encode(found, "coco"))
    assert len(records) == len(plain) == len(found)
    for record, row, instance in zip(records, plain, found, strict=True):
        dense = instance.mask.dense()
        assert record["segmentation"] == row["rle"]
        np.testing.assert_array_equal(Mask.from_rle(record["segmentation"]).dense(), dense)
        assert record["area"] == row["area"] == np.count_nonzero(dense)
        x1, y1, x2, y2 = row["box"]
        assert record["bbox"] == [x1, y1, x2 - x1, y2 - y1]
        assert abs(record["score"] - instance.score) < 1e-5


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with NumPy 2
def test_coco_as_pycocotools_reads_it(sample: Segmentation) -> None:
    coco_mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    for record, mask in zip(sample.to_coco(), sample.masks, strict=True):
        rle = {**record["segmentation"], "counts": record["segmentation"]["counts"].encode()}
        np.testing.assert_array_equal(coco_mask.decode(rle), mask.dense())
        assert coco_mask.encode(np.asfortranarray(mask.dense().astype(np.uint8))) == rle
        assert int(coco_mask.area(rle)) == record["area"]


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_polygons_fill_to_the_same_pixels(seed: int) -> None:
    found = _random(seed)
    rows = _read_json(formats.encode(found, "json", masks="polygons"))["objects"]
    for row, mask in zip(rows, found.masks, strict=True):
        rings = [ring for polygon in row["polygons"] for ring in (polygon["exterior"], *polygon["holes"])]
        np.testing.assert_array_equal(_fill(rings, found.image_size), mask.dense())


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_svg_paths_fill_to_the_same_pixels(seed: int) -> None:
    found = _random(seed)
    drawing = formats.to_svg(found)
    paths = dict(re.findall(r'<path id="object-(\d+)" fill="#[0-9a-f]{6}" d="([^"]*)"', drawing))
    for index, mask in enumerate(found.masks):
        np.testing.assert_array_equal(_fill(_svg_rings(paths[str(index)]), found.image_size), mask.dense())


def _svg_rings(path: str) -> list[list[tuple[int, int]]]:
    rings: list[list[tuple[int, int]]] = []
    for command, first, second in re.findall(r"([Mhvlz])(-?\d+)?(?: (-?\d+))?", path):
        if command == "M":
            rings.append([(int(first), int(second))])
        elif command != "z":
            (x, y), ring = rings[-1][-1], rings[-1]
            ring.append((x + int(first), y) if command == "h" else (x, y + int(first)))
    return rings


def test_svg_is_well_formed_and_has_the_smallest_on_top(sample: Segmentation) -> None:
    from xml.etree import ElementTree

    root = ElementTree.fromstring(formats.to_svg(sample, link='a "b" & <c>.jpg'))
    names = {"": "http://www.w3.org/2000/svg"}
    assert root.attrib["viewBox"] == f"0 0 {WIDTH} {HEIGHT}"
    image = root.find("image", names)
    assert image is not None
    assert image.attrib["href"] == "a%20%22b%22%20%26%20%3Cc%3E.jpg"
    order = [int(path.attrib["id"].removeprefix("object-")) for path in root.findall(".//path", names)]
    areas = sample.areas[order]
    assert (np.diff(areas) <= 0).all()


def test_simplified_svg_has_slanted_steps_and_ends_where_the_ring_ends(sample: Segmentation) -> None:
    drawing = formats.to_svg(sample[[1]], tolerance=2.0)
    assert re.search(r"l-?\d+ -?\d+", drawing)
    assert len(drawing) < len(formats.to_svg(sample[[1]]))


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), mirrored=st.booleans())
def test_geojson_areas_are_the_pixels_and_rings_are_wound_and_closed(seed: int, mirrored: bool) -> None:
    found = _random(seed)
    affine = (0.3, 0.1, -7.0, 0.2, -0.4 if mirrored else 0.4, 11.0)
    pixel = abs(affine[0] * affine[4] - affine[1] * affine[3])
    for options, scale in (({}, 1.0), ({"affine": affine}, pixel)):
        features = _read_json(formats.encode(found, "geojson", **options))["features"]
        for feature, mask in zip(features, found.masks, strict=True):
            area = 0.0
            for exterior, *holes in _geojson_polygons(feature["geometry"]):
                for ring in (exterior, *holes):
                    assert ring[0] == ring[-1]
                    assert len(ring) >= 4
                assert _area(exterior) > 0
                assert all(_area(hole) < 0 for hole in holes)
                area += _area(exterior) + sum(_area(hole) for hole in holes)
            assert area == pytest.approx(mask.area * scale, rel=1e-6)
            assert feature["properties"]["area"] == mask.area


def _geojson_polygons(geometry: dict[str, Any] | None) -> list[Any]:
    if geometry is None:
        return []
    coordinates: list[Any] = geometry["coordinates"]
    return coordinates if geometry["type"] == "MultiPolygon" else [coordinates]


def test_geojson_keeps_a_hundredth_of_a_pixel_in_degrees() -> None:
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
def test_geojson_refuses_an_affine_that_maps_nothing(affine: tuple[float, ...], sample: Segmentation) -> None:
    with pytest.raises(OptionError, match="affine"):
        formats.to_geojson(sample, affine=affine)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_labelme_shapes_hold_the_same_pixels(seed: int) -> None:
    found = _random(seed)
    shapes = _read_json(formats.encode(found, "labelme", tolerance=0.0))["shapes"]
    shown = iter(shapes)
    for index, mask in enumerate(found.masks):
        polygons = mask.polygons()
        if any(polygon.holes for polygon in polygons):
            pixels = _labelme_pixels(next(shown), found.image_size)
        else:
            own = [next(shown) for _ in polygons]
            assert {shape["group_id"] for shape in own} <= ({index} if len(own) > 1 else {None})
            pixels = _fill([shape["points"] for shape in own], found.image_size)
        np.testing.assert_array_equal(pixels, mask.dense())
    assert next(shown, None) is None


def _labelme_pixels(shape: dict[str, Any], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """As labelme itself does: both corners are pixels of the mask."""
    assert shape["shape_type"] == "mask"
    (x1, y1), (x2, y2) = shape["points"]
    crop = cv2.imdecode(np.frombuffer(base64.b64decode(shape["mask"]), np.uint8), cv2.IMREAD_UNCHANGED)
    pixels = np.zeros((size[1], size[0]), bool)
    pixels[y1 : y2 + 1, x1 : x2 + 1] = crop.astype(bool)
    return pixels


def test_labelme_names_the_photo_and_the_label(sample: Segmentation) -> None:
    assert formats.to_labelme(sample)["imagePath"] == "photo.jpg"
    document = formats.to_labelme(sample, label="cell", image_path="../photos/1.jpg")
    assert document["imagePath"] == "../photos/1.jpg"
    assert {shape["label"] for shape in document["shapes"]} == {"cell"}


def test_sam_records_have_sams_keys_and_all_three_kinds_of_masks(sample: Segmentation) -> None:
    keys = {"segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"}
    dense, runs, rle = (
        formats.to_sam(sample, output_mode=mode) for mode in ("binary_mask", "uncompressed_rle", "coco_rle")
    )
    for one, two, three, mask in zip(dense, runs, rle, sample.masks, strict=True):
        assert set(one) == set(two) == set(three) == keys
        np.testing.assert_array_equal(one["segmentation"], mask.dense())
        values = np.arange(len(two["segmentation"]["counts"])) % 2 == 1
        pixels = np.repeat(values, two["segmentation"]["counts"]).reshape(WIDTH, HEIGHT).T
        np.testing.assert_array_equal(pixels, mask.dense())
        np.testing.assert_array_equal(Mask.from_rle(three["segmentation"]).dense(), mask.dense())
        x, y, width, height = one["bbox"]
        np.testing.assert_array_equal([x, y, x + width, y + height], mask.box)
        (point,) = one["point_coords"]
        assert mask.contains(*point)


def test_sams_point_lies_deepest_in_the_object() -> None:
    dense = np.zeros((20, 20), bool)
    dense[4:15, 3:14] = True  # 11 x 11: its middle pixel is (8, 9)
    found = Segmentation.from_masks([Mask.from_dense(dense)])
    assert formats.to_sam(found)[0]["point_coords"] == [[8.5, 9.5]]


def test_sam_refuses_other_kinds_of_masks(sample: Segmentation) -> None:
    with pytest.raises(OptionError, match="polygons"):
        formats.to_sam(sample, output_mode="polygons")  # type: ignore[arg-type]


def test_prompt_index_is_in_the_plain_json_and_the_geojson(sample: Segmentation) -> None:
    answer = sample.box_prompt([(24, 20, 40, 30), (0, 20, 24, 36)])
    assert [row["prompt_index"] for row in formats.to_dict(answer)["objects"]] == [0, 1]
    features = formats.to_geojson(answer)["features"]
    assert [feature["properties"]["prompt_index"] for feature in features] == [0, 1]
    assert formats.to_dict(sample)["objects"][0]["prompt_index"] is None


def test_plain_json_text_is_its_dictionary(sample: Segmentation) -> None:
    assert json.loads(formats.to_json(sample, masks="polygons")) == formats.to_dict(sample, masks="polygons")


def test_supervision_detections(sample: Segmentation) -> None:
    pytest.importorskip("supervision", reason="supervision is not installed")
    detections = formats.to_supervision(sample)
    np.testing.assert_array_equal(detections.xyxy, sample.boxes)
    np.testing.assert_array_equal(detections.mask, sample.masks.dense())
    np.testing.assert_array_equal(detections.confidence, sample.scores)
    assert len(formats.to_supervision(sample[:0])) == 0


def test_without_supervision_the_error_says_what_to_install(
    sample: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingPackageError, match="pip install supervision"):
        formats.to_supervision(sample)


@pytest.mark.parametrize("name", [name for name, kind in formats.FORMATS.items() if not kind.folder])
def test_no_objects_and_masks_without_pixels_can_be_written(name: str) -> None:
    photo = np.zeros((6, 8, 3), np.uint8)
    for masks in ([], [Mask.empty((8, 6))]):
        found = Segmentation.from_masks(masks, image_size=(8, 6), image=photo)
        assert formats.encode(found, name)
    assert not list(formats.to_cutouts(found))


@pytest.mark.parametrize("name", formats.FORMATS)
def test_each_mask_is_rendered_once(name: str, sample: Segmentation) -> None:
    class Row:
        def __init__(self, mask: Mask) -> None:
            self.mask, self.asked = mask, 0

        def render(self) -> Mask:
            self.asked += 1
            return self.mask

    rows = tuple(Row(mask) for mask in sample.masks)
    masks = Masks(rows, sample.image_size)
    found = Instances(boxes=sample.boxes, scores=sample.scores, masks=masks, image=sample.image)
    content = formats.FORMATS[name].make(found)
    if formats.FORMATS[name].folder:
        list(content)
    assert [row.asked for row in rows] == [1] * len(rows)


@pytest.mark.parametrize(
    ("name", "options"),
    [("json", {"masks": "dense"}), ("sam", {"output_mode": "binary_mask"}), ("overlay", {"alpha": 2})],
)
def test_options_that_mean_nothing_are_refused(name: str, options: dict[str, Any], sample: Segmentation) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        formats.encode(sample, name, **options)


# --- files


def test_results_are_not_taken_for_photos_of_their_folder() -> None:
    kinds = formats.FORMATS.values()
    pictures = [kind.suffixes[0] for kind in kinds if kind.folder or Path(kind.suffixes[0]).suffix in PICTURE_SUFFIXES]
    assert sorted(RESULT_SUFFIXES) == sorted(pictures)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("a.PNG", "overlay"),
        ("a.overlay.png", "overlay"),
        ("a.labels.png", "labels"),
        ("a.json", "json"),
        ("a.coco.json", "coco"),
        ("a.labelme.json", "labelme"),
        ("a.sam.json", "sam"),
        ("a.svg", "svg"),
        ("a.geojson", "geojson"),
    ],
)
def test_save_by_suffix(name: str, format_name: str, sample: Segmentation, tmp_path: Path) -> None:
    formats.save(sample, tmp_path / name)
    assert (tmp_path / name).read_bytes() == formats.encode(sample, format_name)
    assert _names(tmp_path) == [name]


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_save_other_pictures(suffix: str, sample: Segmentation, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    formats.save(sample, path, contours=False)
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    difference = np.abs(read[..., ::-1] - overlay(sample, contours=False).astype(int))
    assert difference.mean() < 20  # lossy on purpose; the wrong order of channels gives more than 60


def test_save_takes_the_formats_options_and_replaces_what_was_there(sample: Segmentation, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    formats.save(sample, path, format="coco", image_id="139")
    assert {record["image_id"] for record in json.loads(path.read_text())} == {"139"}


def test_an_unknown_suffix_says_what_is_accepted(sample: Segmentation, tmp_path: Path) -> None:
    for name in ("a.bmp", "a"):
        with pytest.raises(OptionError, match=r"\.png.*\.geojson.*format=.*cutouts"):
            formats.save(sample, tmp_path / name)
    assert not _names(tmp_path)


def test_unknown_formats_and_options_say_what_there_is(sample: Segmentation, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="overlay, labels, cutouts"):
        formats.save(sample, tmp_path / "a.json", format="yaml")
    with pytest.raises(OptionError, match="no option tolerence; it accepts: tolerance, link, seed"):
        formats.save(sample, tmp_path / "a.svg", tolerence=1)
    with pytest.raises(OptionError, match="it accepts: none"):
        formats.save(sample, tmp_path / "a.labels.png", alpha=1)
    with pytest.raises(OptionError, match="folder"):
        formats.encode(sample, "cutouts")


def test_a_label_map_is_not_written_with_loss(sample: Segmentation, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"\.png"):
        formats.save(sample, tmp_path / "a.jpg", format="labels")


@pytest.mark.parametrize("place", ["missing/a.json", "folder.json"])
def test_a_path_that_cannot_be_written_is_named(place: str, sample: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match=re.escape(Path(place).name)):
        formats.save(sample, tmp_path / place)
    assert _names(tmp_path) == ["folder.json"]


def test_nothing_half_written_is_left_when_writing_fails(
    sample: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match=r"a\.json: No space left"):
        formats.save(sample, path)
    assert path.read_text() == "old"
    assert _names(tmp_path) == ["a.json"]


def test_a_picture_that_the_format_cannot_hold_is_an_output_error(tmp_path: Path) -> None:
    found = Segmentation.from_masks([], image_size=(20000, 2), image=np.zeros((2, 20000, 3), np.uint8))
    with pytest.raises(OutputError, match=r"20000x2 .*\.webp"):
        formats.save(found, tmp_path / "a.webp")
    assert not _names(tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="no modes on Windows")
def test_files_get_the_usual_mode(sample: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "usual").write_text("")
    formats.save(sample, tmp_path / "a.json")
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_stays_a_link(sample: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("old")
    (tmp_path / "a.json").symlink_to(tmp_path / "real.json")
    formats.save(sample, tmp_path / "a.json")
    assert (tmp_path / "a.json").is_symlink()
    assert (tmp_path / "real.json").read_bytes() == formats.encode(sample, "json")


def test_cutouts_replace_older_cutouts_but_no_other_files(sample: Segmentation, tmp_path: Path) -> None:
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)
    assert _names(path) == [f"object-000{index}.png" for index in range(5)]
    formats.save(sample[:2], path)
    assert _names(path) == ["object-0000.png", "object-0001.png"]
    (path / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        formats.save(sample, path)
    assert _names(path) == ["notes.txt", "object-0000.png", "object-0001.png"]
    assert _names(tmp_path) == ["a.cutouts"]


def test_cutouts_fill_an_empty_folder_of_any_name(sample: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    formats.save(sample, tmp_path / "parts", format="cutouts")
    assert len(_names(tmp_path / "parts")) == 5


def test_cutouts_do_not_replace_a_file(sample: Segmentation, tmp_path: Path) -> None:
    (tmp_path / "a.cutouts").write_text("mine")
    with pytest.raises(OutputError, match="no folder"):
        formats.save(sample, tmp_path / "a.cutouts")


def test_cutouts_that_fail_leave_the_older_ones(
    sample: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)

    def breaking(found: Segmentation, photo: Any) -> Iterator[Any]:
        raise MemoryError

    monkeypatch.setattr(formats, "cutout", breaking)
    with pytest.raises(MemoryError):
        formats.save(sample, path)
    assert _names(tmp_path) == ["a.cutouts"]
    assert len(_names(path)) == 5


def test_older_cutouts_come_back_when_the_new_ones_cannot_take_their_place(
    sample: Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.cutouts"
    formats.save(sample, path)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.suffix == ".part":
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match=r"a\.cutouts: Permission denied"):
        formats.save(sample[:2], path)
    assert _names(tmp_path) == ["a.cutouts"]
    assert len(_names(path)) == 5


def _write_golden_files() -> None:
    found = _sample()
    for name, (format_name, options) in TEXTS.items():
        formats.save(found, GOLDEN / name, format=format_name, **options)
    for name in ("objects.labelme.json", "objects.labels.png", "overlay.png", "objects.cutouts"):
        formats.save(found, GOLDEN / name)


if __name__ == "__main__":
    _write_golden_files()
