"""Detections of the package supervision."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from fastsam_onnx import formats
from fastsam_onnx.errors import MissingPackageError


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
