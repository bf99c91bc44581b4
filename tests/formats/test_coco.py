"""COCO results, exact and as pycocotools reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import ascii_json, random_instances

from fastsam_onnx import formats
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.coco_dataset import dataset_entry
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.sequence import Masks


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1))
def test_coco_is_exact_and_agrees_with_the_plain_json(seed):
    found = random_instances(seed)
    plain = ascii_json(formats.encode(found, "json"))["objects"]
    records = ascii_json(formats.encode(found, "coco"))
    assert len(records) == len(plain) == len(found)
    for record, row, instance in zip(records, plain, found, strict=True):
        dense = instance.mask.dense()
        assert record["segmentation"] == row["rle"]
        np.testing.assert_array_equal(Mask.from_rle(record["segmentation"]).dense(), dense)
        assert record["area"] == row["area"] == np.count_nonzero(dense)
        x1, y1, x2, y2 = row["box"]
        assert record["bbox"] == [x1, y1, x2 - x1, y2 - y1]
        assert abs(record["score"] - instance.score) < 1e-5


def test_what_a_decoder_expects_of_its_masks_is_told_as_sa_1b_tells_it(sample):
    drawn, *others = sample.masks
    found = replace(sample, masks=Masks([replace(drawn, predicted_iou=0.8125), *others], sample.image_size))
    for records in (found.to_coco(), dataset_entry(found)["annotations"]):
        assert [record.get("predicted_iou") for record in records] == [0.8125] + [None] * len(others)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools with NumPy 2
def test_coco_as_pycocotools_reads_it(sample):
    coco_mask = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    for record, mask in zip(sample.to_coco(), sample.masks, strict=True):
        rle = {**record["segmentation"], "counts": record["segmentation"]["counts"].encode()}
        np.testing.assert_array_equal(coco_mask.decode(rle), mask.dense())
        assert coco_mask.encode(np.asfortranarray(mask.dense().astype(np.uint8))) == rle
        assert int(coco_mask.area(rle)) == record["area"]


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ("000000000139.jpg", {}, (139, "000000000139.jpg")),
        ("dog.jpg", {}, ("dog", "dog.jpg")),
        ("1.2.png", {}, ("1.2", "1.2.png")),
        ("\u00b2.png", {}, ("\u00b2", "\u00b2.png")),  # a superscript two, a digit that is no number
        ("12.mp4#3", {}, ("12.mp4#3", "12.mp4#3")),  # was 12 for every frame
        (None, {}, (0, None)),
        ("dog.jpg", {"image_id": 7, "file_name": "val/dog.jpg"}, (7, "val/dog.jpg")),
        (None, {"file_name": "12.png"}, (12, "12.png")),
        (None, {"image_id": "a/1"}, ("a/1", None)),
        pytest.param(None, {"file_name": "9" * 5000}, ("9" * 5000, "9" * 5000), id="more digits than Python reads"),
    ],
)
def test_records_say_which_photo_they_belong_to(source, options, expected, sample):
    found = replace(sample, source=source)
    for record in found.to_coco(**options):
        assert (record["image_id"], record.get("file_name")) == expected
        assert ("file_name" in record) == (expected[1] is not None)


def test_a_photo_without_a_name_or_an_id_is_warned_of(sample, caplog):
    """Objects of several photos would all be of one, in one list."""
    nameless = replace(sample, source=None)
    assert {one["image_id"] for one in nameless.to_coco()} == {0}
    assert "a photo without a name gets the image_id 0" in caplog.text
    caplog.clear()
    nameless.to_coco(image_id=0)
    nameless.to_coco(file_name="a.jpg")
    sample.to_coco()
    assert not caplog.records


def test_a_number_that_readers_of_json_would_round_stays_a_text():
    assert formats.image_id_of(f"{2**53}.jpg") == 2**53
    assert formats.image_id_of(f"{2**53 + 1}.jpg") == str(2**53 + 1)
    assert formats.image_id_of("20240131123456789012.jpg") == "20240131123456789012"


def test_the_error_for_an_image_id_says_that_text_is_accepted_too(sample):
    with pytest.raises(OptionError, match=r"image_id that is not text must be an integer >= 0, got \[1\]"):
        sample.to_coco(image_id=[1])
