"""The mask in black and white: what programs that paint over objects take."""

from __future__ import annotations

import numpy as np
import pytest

from fastsam_onnx import Mask, OptionError, Segmentation, formats


def test_it_is_white_where_any_object_is(sample):
    assert formats.to_mask(sample).dtype == np.uint8
    np.testing.assert_array_equal(formats.to_mask(sample), 255 * sample.masks.dense().any(axis=0))
    assert not formats.to_mask(sample[:0]).any()


def test_it_reaches_beyond_the_objects():
    """A pixel, and its four neighbours."""
    dense = np.zeros((5, 5), bool)
    dense[2, 2] = True
    found = Segmentation.from_masks([Mask.from_dense(dense)])
    assert formats.to_mask(found, grow=1)[:, 2].tolist() == [0, 255, 255, 255, 0]
    assert np.count_nonzero(formats.to_mask(found, grow=1)) == 5
    with pytest.raises(OptionError, match="grow must be an integer from 0 to 1000, got -1"):
        formats.to_mask(found, grow=-1)
