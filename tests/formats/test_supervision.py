"""Detections of the package supervision."""

from __future__ import annotations

import sys
from dataclasses import replace

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
