"""Masks in black and white: of all objects, for programs that paint over them, and of each."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fastsam_onnx import Mask, OptionError, OutputError, Segmentation, formats


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


def test_each_object_has_a_file_of_the_photos_size(sample, tmp_path):
    found = Segmentation.from_masks([*sample.masks[:2], Mask.empty(sample.image_size), sample.masks[2]])
    found.save(tmp_path / "a.masks")
    files = {path.name: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (tmp_path / "a.masks").iterdir()}
    assert sorted(files) == ["mask-0000.png", "mask-0001.png", "mask-0003.png"], "one of them has no pixels"
    for index in (0, 1, 3):
        np.testing.assert_array_equal(files[f"mask-000{index}.png"], 255 * found.masks[index].dense())


def test_each_mask_reaches_beyond_its_object(sample):
    grown = dict(formats.to_masks(sample, grow=2))
    for index, mask in enumerate(sample.masks):
        np.testing.assert_array_equal(grown[f"mask-000{index}.png"], 255 * mask.grown(2).dense())
    with pytest.raises(OptionError, match="grow must be an integer from 0 to 1000, got 'a'"):
        list(formats.to_masks(sample, grow="a"))


def test_masks_and_cutouts_do_not_replace_each_other(sample, tmp_path):
    folder = tmp_path / "objects"
    sample.save(folder, format="cutouts")
    with pytest.raises(OutputError, match=r"holds other files \(object-0000\.png\)"):
        sample.save(folder, format="masks")
    assert len(list(folder.iterdir())) == 5
