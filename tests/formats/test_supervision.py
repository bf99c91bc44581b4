"""Detections of the package supervision."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fastsam_onnx import formats
from fastsam_onnx.errors import MissingPackageError, OptionError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation


def test_supervision_detections(sample):
    pytest.importorskip("supervision", reason="supervision is not installed")
    detections = formats.to_supervision(sample)
    np.testing.assert_array_equal(detections.xyxy, sample.boxes)
    np.testing.assert_array_equal(detections.mask, sample.masks.dense())
    np.testing.assert_array_equal(detections.confidence, sample.scores)
    assert len(formats.to_supervision(sample[:0])) == 0


@pytest.fixture
def stand_in(monkeypatch):
    """A supervision that keeps what it is given, so that this is tested without the package, too."""
    kept = SimpleNamespace(
        __version__="0.1",
        Detections=SimpleNamespace,
        CompactMask=SimpleNamespace(from_coco_rle=lambda runs, xyxy, image_shape: (runs, xyxy, image_shape)),
    )
    monkeypatch.setitem(sys.modules, "supervision", kept)
    return kept


def test_what_supervision_is_given(sample, stand_in):
    given = formats.to_supervision(sample)
    np.testing.assert_array_equal(given.xyxy, sample.boxes)
    np.testing.assert_array_equal(given.mask, sample.masks.dense())
    np.testing.assert_array_equal(given.confidence, sample.scores)
    assert (given.class_id.tolist(), given.tracker_id, given.data) == ([0] * 5, None, {})
    assert formats.to_supervision(sample[:0]).xyxy.shape == (0, 4)


def test_what_supervision_is_given_of_classes_numbers_and_prompts(sample, stand_in):
    labels, numbers, prompts = np.array([1, 0, 1, 5, 0]), np.array([7, 3, 1, 12, 9]), np.array([0, 0, 1, 2, 2])
    found = replace(sample, labels=labels, names={0: "cat", 1: "dog"}, track_ids=numbers, prompt_index=prompts)
    given = formats.to_supervision(found)
    assert (given.class_id.tolist(), given.tracker_id.tolist()) == (labels.tolist(), numbers.tolist())
    assert given.data["class_name"].tolist() == ["dog", "cat", "dog", "5", "cat"]
    assert given.data["prompt_index"].tolist() == prompts.tolist()


def test_a_compact_mask_is_given_run_lengths_and_boxes_whose_ends_belong_to_them(sample, stand_in):
    runs, boxes, shape = formats.to_supervision(sample, compact=True).mask
    assert runs == [mask.rle() for mask in sample.masks]
    assert shape == sample.image_size[::-1]  # rows, columns
    for (x1, y1, x2, y2), dense in zip(boxes.astype(int), sample.masks.dense(), strict=True):
        rows, columns = np.nonzero(dense)
        assert (x1, y1, x2, y2) == (columns.min(), rows.min(), columns.max(), rows.max())
    del stand_in.CompactMask
    with pytest.raises(MissingPackageError, match=r"got 0\.1; update it with: pip install --upgrade supervision"):
        formats.to_supervision(sample, compact=True)


def test_without_supervision_the_error_says_what_to_install(sample, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingPackageError, match="pip install supervision"):
        formats.to_supervision(sample)


def test_classes_have_their_labels_and_names(sample):
    pytest.importorskip("supervision", reason="supervision is not installed")
    found = replace(sample, labels=np.array([1, 0, 1, 5, 0]), names={0: "cat", 1: "dog"})
    detections = formats.to_supervision(found)
    assert detections.class_id.tolist() == [1, 0, 1, 5, 0]
    assert detections.data["class_name"].tolist() == ["dog", "cat", "dog", "5", "cat"]


def test_numbers_of_a_video_are_tracker_ids(sample):
    pytest.importorskip("supervision", reason="supervision is not installed")
    assert formats.to_supervision(sample).tracker_id is None
    found = replace(sample, track_ids=np.array([7, 3, 1, 12, 9]))
    assert formats.to_supervision(found).tracker_id.tolist() == [7, 3, 1, 12, 9]


def test_compact_masks_are_the_same_pixels(sample):
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    if not hasattr(supervision, "CompactMask"):
        pytest.skip("this supervision has no CompactMask")
    nothing = Mask.empty(sample.image_size)
    found = Segmentation.concatenate([sample, Segmentation.from_masks([nothing])])
    detections = found.to_supervision(compact=True)
    assert isinstance(detections.mask, supervision.CompactMask)
    np.testing.assert_array_equal(np.asarray(detections.mask), found.masks.dense())
    np.testing.assert_array_equal(np.asarray(detections[1:3].mask), found[1:3].masks.dense())
    assert len(sample[:0].to_supervision(compact=True)) == 0


def test_an_old_supervision_is_told(sample, monkeypatch):
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    monkeypatch.delattr(supervision, "CompactMask", raising=False)
    with pytest.raises(MissingPackageError, match="pip install --upgrade supervision"):
        formats.to_supervision(sample, compact=True)


def test_compact_must_be_a_bool(sample):
    with pytest.raises(OptionError, match="compact"):
        formats.to_supervision(sample, compact=1)
