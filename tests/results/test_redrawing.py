"""Redrawn objects follow the photo, and stay the same objects."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest
from support.tiny_onnx import known, toy_decoder

from fastsam_onnx import FastSAM, OptionError
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.decoder import Decoder, drawn_mask
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.redraw import _same, cells_of, deepest_point
from fastsam_onnx.masks.refine import without_doubles
from fastsam_onnx.masks.views import SIDE, View
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.runtime import RuntimeOptions
from fastsam_onnx.tracking import Tracker

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


def test_the_decoder_is_asked_about_the_middle_of_the_deepest_pixel():
    """In a view of 96 pixels, 190 to 286 and 100 to 196, a cell is a pixel."""
    seen = np.zeros((96, 96), bool)
    seen[20:25, 30:35] = seen[50, :] = True
    assert deepest_point(seen, View((190, 286), (100, 196), LETTERBOX)) == (190 + 32.5, 100 + 22.5)


def test_what_would_be_another_object_stays():
    """Red has an IoU of 2500 / 5776 = 0.43 with the object."""
    old = found(rectangle(200, 200, 250, 250), rectangle(200, 200, 276, 276))
    np.testing.assert_array_equal(old.redrawn().masks.dense(), old.masks.dense())


def test_a_drawing_without_a_pixel_is_no_object():
    """A view of 5 x 5 pixels, 19 cells in each: a ring around the middle of the pixel in the middle."""
    old, ring = np.zeros((2, SIDE, SIDE), bool)
    old[39:57, 39:57] = ring[39:57, 39:57] = True
    ring[45:51, 45:51] = False
    view = View((100, 105), (100, 105), LETTERBOX)
    assert _same(drawn_mask(np.where(ring, 1, -1).astype(np.float32), view, 1.0), old) is None
    assert _same(drawn_mask(np.where(old, 1, -1).astype(np.float32), view, 1.0), old).area == 1


def test_more_objects_than_are_drawn_together_keep_their_places():
    """Nine, eight of which are not red."""
    red, others = rectangle(205, 395, 280, 470), [rectangle(60 * x + 20, 100, 60 * x + 60, 140) for x in range(8)]
    new = found(red, *others, rectangle(200, 400, 276, 476)).redrawn()
    assert new.boxes[8].tolist() == [205, 395, 280, 470]
    assert new.masks[8] == red
    assert list(new.masks)[:8] == others


def test_what_is_drawn_anew_has_no_specks():
    red = rectangle(205, 195, 280, 270)
    old = found(red, rectangle(200, 200, 276, 276))
    old.candidates.closer.image[274, 282] = (255, 0, 0)
    assert old.redrawn().masks[0] == red


def test_what_the_view_would_cut_stays():
    """A view of columns 190 to 286, and red as far as 298: 86 of its 96 rows go on there. Red to 285 ends inside."""
    for right, drawn in ((298, False), (285, True)):
        old = found(rectangle(205, 195, right, 281), rectangle(200, 200, 276, 276))
        assert (old.redrawn().masks[0].area != 76 * 76) == drawn
    red = rectangle(0, 195, 80, 270)
    new = found(red, rectangle(0, 200, 76, 276)).redrawn()
    np.testing.assert_array_equal(new.masks[0].dense(), red.dense(), "the photo's frame cuts nothing")


def test_large_objects_are_drawn_anew_too():
    """A view of the whole photo, whose cells of 6.7 pixels are larger than the network's own."""
    red = rectangle(40, 60, 600, 580)
    [mask] = found(red, rectangle(20, 20, 620, 620)).redrawn().masks
    assert mask.area == pytest.approx(560 * 520, rel=0.01)
    assert mask.iou(red) > 0.98


def test_it_needs_everything_that_the_network_offered_and_a_decoder():
    mask = rectangle(200, 200, 276, 276)
    whole = found(mask, mask)
    for lacking in (whole[:1], Segmentation.from_json(whole.to_json()), Tracker().update(whole)):
        with pytest.raises(OptionError, match=r"lacks what the network offered, as a selection.*tiles.*tracking.*JSON"):
            lacking.redrawn()
    with pytest.raises(OptionError, match="decoder"):
        found(mask, mask, decoder=False).redrawn()


# ------------------------------------------------------------------------------------- as an option of a call


def two_of_one(scores=(0.9, 0.8), **metadata):
    """A network that finds pixels 8 to 32 twice, the second time from column 12 on; its decoder sees what is red."""
    prototypes = np.full((2, 16, 16), -1.0)
    prototypes[0, 2:8, 2:8] = prototypes[1, 2:8, 3:8] = 1
    decoder = base64.b64encode(toy_decoder(2 + 5)).decode()
    boxes = [[20, 20, 24, 24], [22, 20, 20, 24]]
    return known(boxes, scores, [[5.0, 0.0], [0.0, 5.0]], prototypes, metadata={"decoder": decoder, **metadata})


@pytest.fixture
def red():
    """21 x 20 red pixels."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[10:30, 10:31, 0] = 255
    return image


def test_a_call_draws_anew_if_it_or_the_file_says_so(red):
    """The network's masks are 24 x 24 less four corners and 20 x 24 less four; drawn anew both are what is red."""
    for metadata, asked, areas in (
        ({}, None, [572, 476]),
        ({}, True, [420]),
        ({"redraw": "True"}, None, [420]),
        ({"redraw": "True"}, False, [572, 476]),
    ):
        with FastSAM(two_of_one(refine="True", **metadata)) as model:
            found = model(red, iou=0.95, redraw=asked)
        assert [mask.area for mask in found.masks] == areas
    assert found.candidates is not None


def test_what_became_the_same_is_shown_once_with_its_box_and_score(red):
    with FastSAM(two_of_one(refine="True")) as model:
        found = model(red, iou=0.95, redraw=True)
        assert found.boxes.tolist() == [[10, 10, 31, 30]]
        assert found.scores.tolist() == pytest.approx([0.9])
        by_hand = model(red, iou=0.95).redrawn()
    np.testing.assert_array_equal(found.masks[0].dense(), by_hand.masks[0].dense())


def test_with_a_low_score_an_object_is_also_what_it_was_before(red):
    """A tenth of 0.9 and of 0.8. The old masks have IoUs of 420 / 572 = 0.73 with the new one and 0.83 in common."""
    with FastSAM(two_of_one(refine="True", redraw="True")) as model:
        for conf, iou, areas in (
            (0.07, 0.95, [420, 572, 476]),
            (0.085, 0.95, [420, 572]),
            (0.095, 0.95, [420]),
            (0.07, 0.7, [420]),
        ):
            found = model(red, conf=conf, iou=iou)
            assert [mask.area for mask in found.masks] == areas
            assert found.scores.tolist() == pytest.approx([0.9, 0.09, 0.08][: len(areas)])
            assert found.boxes.tolist() == [mask.box.tolist() for mask in found.masks]


def test_objects_that_are_drawn_anew_keep_their_classes(red):
    """With 0.09 the first is what it was before, too; the second would be with 0.08."""
    metadata = {"names": "{0: 'cup', 1: 'dog'}", "refine": "True", "redraw": "True"}
    with FastSAM(two_of_one([[0.9, 0], [0, 0.8]], **metadata)) as model:
        found = model(red, conf=0.085, iou=0.95, agnostic=False)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.09])
    assert found.labels.tolist() == [0, 1, 0]


def test_what_was_drawn_anew_is_not_drawn_again(red):
    with FastSAM(two_of_one(refine="True", redraw="True")) as model:
        drawn, plain = model(red, iou=0.95, conf=0.07), model(red, iou=0.95, redraw=False)
    assert drawn.redrawn() is drawn  # the last two are the objects as they were
    assert [mask.area for mask in drawn.masks] == [420, 572, 476]
    by_hand = plain.redrawn()
    assert by_hand is not plain
    assert by_hand.redrawn() is by_hand


def test_without_refining_nothing_is_drawn_anew(red):
    with FastSAM(two_of_one(refine="False", redraw="True")) as model:
        assert len(model(red, iou=0.95)) == 2


def test_what_a_video_hides_is_drawn_anew_only_if_asked(red):
    """Of a video's objects many are below `conf`, so that the file's own default does not count."""
    with FastSAM(two_of_one(refine="True", redraw="True")) as model:
        for asked, areas in ((None, [572, 476]), (True, [420])):
            [found] = model.stream([red], track=True, iou=0.95, redraw=asked)
            assert [mask.area for mask in found.masks] == areas
    with FastSAM(two_of_one(refine="True", redraw="True"), redraw=True) as model:
        [found] = model.stream([red], track=True, iou=0.95)
        assert len(found) == 1


def test_the_grid_that_tells_doubles_lies_over_the_whole_photo():
    """A photo of 1280 x 400: a place every 2 pixels, in the middle of two: 1, 3, ... 1279 and 1 ... 399."""
    mask = Mask(np.ones((3, 4), bool), 10, 20, (1280, 400))  # columns 11, 13 and row 21
    [(inside, corner)] = cells_of([mask], (1280, 400))
    assert (inside.tolist(), corner) == ([[True, True]], (5, 10))
    [(inside, corner)] = cells_of([Mask(np.ones((1, 700), bool), 0, 0, (700, 1))], (700, 1))
    assert inside.shape == (1, 640)


def test_in_a_small_photo_every_pixel_tells_doubles():
    """A pole of 2 pixels in 600 x 400, twice: neither lies between the places where masks are looked at."""
    pole = Mask(np.ones((300, 2), bool), 100, 50, (600, 400))
    cells = cells_of([pole, pole], (600, 400))
    assert [(inside.shape, corner) for inside, corner in cells] == [((300, 2), (100, 50))] * 2
    assert without_doubles(cells, 0.7).tolist() == [0]
