"""Redrawn objects follow the photo where the decoder sees more than the network, and stay the same objects."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
from support.tiny_onnx import toy_decoder

from fastsam_onnx import OptionError
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.decoder import Decoder
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.runtime import RuntimeOptions

SIZE = 640
LETTERBOX = Letterbox.fit((SIZE, SIZE), (SIZE, SIZE), stride=32)


def rectangle(x1, y1, x2, y2):
    dense = np.zeros((SIZE, SIZE), bool)
    dense[y1:y2, x1:x2] = True
    return Mask.from_dense(dense)


def found(red, *masks, decoder=True):
    """Objects in a black photo with a red rectangle; one prototype."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[red.slices] = (255, 0, 0)
    rows = [(*((mask.box[:2] + mask.box[2:]) / 2), *(mask.box[2:] - mask.box[:2]), 0.5, 1) for mask in masks]
    toy = Decoder(base64.b64encode(toy_decoder()).decode(), RuntimeOptions(threads=1), "toy.onnx") if decoder else None
    candidates = Candidates.from_output(
        np.array(rows, np.float32).T, np.ones((1, 160, 160), np.float32), LETTERBOX, 1, decoder=toy, image=image
    )
    return replace(Segmentation.from_masks(masks, image_size=(SIZE, SIZE), image=image), candidates=candidates)


def test_an_object_gets_the_outline_that_the_photo_has():
    """View of 96 pixels around a box of 76 (an eighth, 10 pixels, on each side): a cell is a pixel."""
    red = rectangle(205, 195, 280, 270)
    new = found(red, rectangle(200, 200, 276, 276)).redrawn()
    np.testing.assert_array_equal(new.masks[0].dense(), red.dense())
    assert new.boxes.tolist() == [[205, 195, 280, 270]]
    assert new.scores.tolist() == [1]
    assert new.candidates is not None, "it is still the whole result"


def test_what_would_be_another_object_stays():
    """Red has an IoU of 2500 / 5776 = 0.43 with the object."""
    old = found(rectangle(200, 200, 250, 250), rectangle(200, 200, 276, 276))
    np.testing.assert_array_equal(old.redrawn().masks.dense(), old.masks.dense())


def test_what_the_network_sees_more_finely_stays():
    """A view of 310 + 2 * 38.75 pixels has cells of 4.04, a prototype's has 4; of 300 + 75 it has 3.9."""
    old = found(rectangle(10, 10, 300, 300), rectangle(0, 0, 310, 310), rectangle(320, 320, 640, 640))
    larger = found(rectangle(100, 100, 398, 398), rectangle(100, 100, 400, 400), rectangle(100, 100, 420, 420))
    np.testing.assert_array_equal(old.redrawn().masks[1].dense(), old.masks[1].dense())
    assert [mask.area for mask in larger.redrawn().masks][1] == 320 * 320
    assert larger.redrawn().masks[0].area == pytest.approx(298 * 298, rel=0.02)


def test_it_needs_everything_that_the_network_offered_and_a_decoder():
    mask = rectangle(200, 200, 276, 276)
    with pytest.raises(OptionError, match="selection"):
        found(mask, mask)[:1].redrawn()
    with pytest.raises(OptionError, match="decoder"):
        found(mask, mask, decoder=False).redrawn()
