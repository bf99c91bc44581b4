"""Pascal VOC's object maps and the label map in colours."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fastsam_onnx import formats
from fastsam_onnx.draw import label_map, palette
from fastsam_onnx.errors import OptionError
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation


def test_the_palette_is_vocs():
    """The first colours of the development kit's, and its border."""
    colours = formats.voc_palette().tolist()
    assert colours[:5] == [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]]
    assert colours[20] == [0, 64, 128]
    assert colours[255] == [224, 224, 192]
    assert len(np.unique(colours, axis=0)) == 256


def test_a_reader_sees_indices_and_palette(sample):
    image = pytest.importorskip("PIL.Image")
    import io

    with image.open(io.BytesIO(formats.encode(sample, "voc"))) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), label_map(sample))
        assert picture.getpalette()[:768] == formats.voc_palette().reshape(-1).tolist()


def test_another_reader_sees_the_colours(sample):
    data = np.frombuffer(formats.encode(sample, "voc"), np.uint8)
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(read, formats.voc_palette()[label_map(sample)])


def test_what_eight_bits_do_not_hold_is_refused():
    mask = Mask.from_dense(np.ones((1, 1), bool))
    assert formats.to_voc(Segmentation.from_masks([mask] * 254)).max() == 1
    with pytest.raises(OptionError, match=r"at most 254 objects, got 255.*find fewer"):
        formats.to_voc(Segmentation.from_masks([mask] * 255))


def test_colours_are_the_overlays(sample):
    data = np.frombuffer(formats.encode(sample, "colours", seed=3), np.uint8)
    read = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    labels = label_map(sample)
    np.testing.assert_array_equal(read[labels > 0], palette(len(sample), 3)[labels[labels > 0] - 1])
    assert not read[labels == 0].any()
    with pytest.raises(OptionError, match="seed"):
        formats.to_colours(sample, seed=-1)
