"""A result to write out."""

from __future__ import annotations

import pytest
from support.samples import make_sample

from fastsam_onnx.results.segmentation import Segmentation


@pytest.fixture
def sample() -> Segmentation:
    return make_sample()
