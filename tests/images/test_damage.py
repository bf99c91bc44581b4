"""Pictures damaged anywhere: what is read is what Pillow reads of the same bytes, or it is refused. None is silent.

Bytes that are changed and mean something still cannot be told where a format has no checksum: both read the same then.
"""

import io
import random
import warnings
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from support.damage import damaged

from fastsam_onnx import ImageError
from fastsam_onnx.images.load import load_image

PIXELS = np.kron(np.random.default_rng(0).integers(0, 256, (15, 11, 3), np.uint8), np.ones((4, 5, 1), np.uint8))[
    :57, :53
]
FORMATS = {
    "PNG": {},
    "BMP": {},
    "PPM": {},
    "GIF": {},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_lzw", "tiffinfo": {278: 7}},
    "TIFF Deflate": {"compression": "tiff_adobe_deflate", "tiffinfo": {278: 7}},
    "JPEG": {},
    "JPEG progressive": {"progressive": True},
}
TOLERANCE = {"JPEG": 8}
"""Decoders of JPEG differ by some levels where colours end."""


def encoded(name):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, name.split()[0], **FORMATS[name])
    return buffer.getvalue()


def outcome(file, whole, tolerance):
    try:
        loaded = load_image(file, pixel_limit=1_000_000)
    except ImageError:
        return "refused"
    if np.array_equal(loaded, whole):
        return "right"
    if file[:4] == b"RIFF":  # what follows the container is no part of it, and disturbs Pillow
        file = file[: 8 + int.from_bytes(file[4:8], "little")]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int)
    except Exception:
        return "silent"
    same = reference.shape == loaded.shape and np.abs(reference - loaded).max() <= tolerance
    return "right" if same else "silent"


@pytest.mark.parametrize("name", FORMATS)
def test_none_is_silent(name):
    file = encoded(name)
    try:
        whole = load_image(file)
    except ImageError:
        pytest.skip("this OpenCV does not decode it")
    draw = random.Random(7)
    tolerance = TOLERANCE.get(name.split()[0], 0)
    outcomes = Counter(outcome(damaged(file, draw), whole, tolerance) for _ in range(100))
    assert outcomes["silent"] == 0, outcomes
    assert outcomes["refused"] > 20
