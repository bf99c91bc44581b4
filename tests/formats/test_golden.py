"""The bytes of every format are stable: one golden file each.

`PYTHONPATH=tests python tests/formats/test_golden.py` writes the golden files anew; look at the
difference before keeping it.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from support.samples import ascii_json, make_sample

from fastsam_onnx import formats
from fastsam_onnx.draw import label_map, overlay

GOLDEN = Path(__file__).parents[1] / "data" / "formats"
TEXTS: dict[str, tuple[str, dict[str, Any]]] = {
    "objects.json": ("json", {}),
    "polygons.json": ("json", {"masks": "polygons"}),
    "objects.coco.json": ("coco", {"image_id": 139, "category_id": 1}),
    "objects.sam.json": ("sam", {}),
    "objects.svg": ("svg", {"link": "a photo.jpg"}),
    "objects.geojson": ("geojson", {}),
    "map.geojson": ("geojson", {"affine": (0.5, 0.0, 440720.25, 0.0, -0.5, 3751320.75)}),
}


@pytest.mark.parametrize("name", TEXTS)
def test_golden_text(name, sample):
    format_name, options = TEXTS[name]
    golden = (GOLDEN / name).read_bytes().replace(b"\r\n", b"\n")  # a checkout on Windows may have changed the ends
    assert formats.encode(sample, format_name, **options) == golden


def test_golden_labelme(sample):
    def decoded(data: bytes) -> Any:
        document = ascii_json(data)
        for shape in document["shapes"]:
            if shape["mask"] is not None:  # the same pixels may be packed differently by another zlib
                png = np.frombuffer(base64.b64decode(shape["mask"]), np.uint8)
                shape["mask"] = cv2.imdecode(png, cv2.IMREAD_UNCHANGED).tolist()
        return document

    golden = (GOLDEN / "objects.labelme.json").read_bytes()
    assert decoded(formats.encode(sample, "labelme")) == decoded(golden)


def test_golden_labels(sample):
    golden = cv2.imread(str(GOLDEN / "objects.labels.png"), cv2.IMREAD_UNCHANGED)
    assert golden.dtype == np.uint16
    np.testing.assert_array_equal(label_map(sample), golden)


def test_golden_overlay(sample):
    golden = cv2.imread(str(GOLDEN / "overlay.png"))[..., ::-1]
    assert np.abs(overlay(sample) - golden.astype(int)).max() <= 1  # versions of OpenCV round differently


def test_golden_cutouts(sample):
    folder = GOLDEN / "objects.cutouts"
    cuts = dict(formats.to_cutouts(sample))
    assert sorted(cuts) == sorted(path.name for path in folder.iterdir())
    for name, cut in cuts.items():
        golden = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(cv2.cvtColor(cut, cv2.COLOR_RGBA2BGRA), golden)


def _write_golden_files() -> None:
    found = make_sample()
    for name, (format_name, options) in TEXTS.items():
        formats.save(found, GOLDEN / name, format=format_name, **options)
    for name in ("objects.labelme.json", "objects.labels.png", "overlay.png", "objects.cutouts"):
        formats.save(found, GOLDEN / name)


if __name__ == "__main__":
    _write_golden_files()
