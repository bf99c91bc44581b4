"""Masks that are not cut where a box ends, without specks and holes, none twice."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_onnx.masks.pending import PendingMask, Places, pending_masks
from fastsam_onnx.masks.refine import calm, grown, refined, told_apart
from fastsam_onnx.network.letterbox import Letterbox

LETTERBOX = Letterbox.fit((64, 64), (64, 64), stride=32)  # photo and input are one; a cell of the grid is 4 px


def regions(*boxes, value=1.0, background=-1.0):
    """(1, 16, 16): a prototype that is `value` in boxes of cells, right and bottom exclusive."""
    prototype = np.full((1, 16, 16), background, np.float32)
    for x1, y1, x2, y2 in boxes:
        prototype[:, y1:y2, x1:x2] = value
    return prototype


def masks_of(prototypes, *boxes, letterbox=LETTERBOX):
    """The boxes, their coefficients and their masks as the boxes cut them."""
    boxes = np.array(boxes, np.float32)
    coefficients = np.ones((len(boxes), 1), np.float32)
    return boxes, coefficients, pending_masks(boxes, coefficients, prototypes, letterbox)


def test_a_mask_that_presses_against_its_box_goes_on_to_the_regions_end():
    """Cells 2 to 11 are set; the border to a cell that is not, halfway between their middles, is where they meet."""
    prototypes = regions((2, 4, 12, 8))
    boxes, coefficients, masks = masks_of(prototypes, (4, 12, 24, 36))
    assert masks[0].box.tolist() == [8, 16, 24, 32], "cut at the box"
    [box], [mask] = refined(boxes, coefficients, prototypes, masks)
    assert mask.box.tolist() == box.tolist() == [8, 16, 48, 32]
    assert mask.area == 40 * 16 - 4, "interpolation rounds the four corners"


def test_only_what_is_connected_is_taken():
    prototypes = regions((2, 4, 12, 8), (2, 9, 12, 14), (13, 4, 16, 8))
    boxes, coefficients, masks = masks_of(prototypes, (4, 12, 24, 35))
    [box], [mask] = refined(boxes, coefficients, prototypes, masks)
    assert box.tolist() == [8, 16, 48, 32]
    dense = mask.render().dense()
    assert not dense[36:].any()
    assert not dense[:, 52:].any()


def test_a_mask_that_ends_by_itself_stays_as_it_is():
    prototypes = regions((2, 4, 6, 8))
    boxes, coefficients, masks = masks_of(prototypes, (4, 12, 30, 36))
    assert grown(masks[0], coefficients[0], prototypes) is masks[0]
    same, [mask] = refined(boxes, coefficients, prototypes, masks)
    assert mask is masks[0]
    np.testing.assert_array_equal(same, boxes)


@pytest.mark.parametrize("box", [(0, 0, 64, 32), (0, 12, 64, 64), (0, 0, 64, 64)])
def test_the_photos_frame_is_no_side_to_press_against(box):
    prototypes = regions((0, 0, 16, 8)) if box[1] == 0 else regions((0, 4, 16, 16))
    _, coefficients, masks = masks_of(prototypes, box)
    assert grown(masks[0], coefficients[0], prototypes) is masks[0]


def test_a_mask_does_not_grow_into_the_padding():
    """A photo of 64 x 32 lies in the middle of the input, in rows of cells 4 to 11; the region reaches beyond."""
    letterbox = Letterbox.fit((64, 32), (64, 64))
    prototypes = regions((2, 0, 8, 16))
    _, coefficients, masks = masks_of(prototypes, (8, 8, 32, 24), letterbox=letterbox)
    mask = grown(masks[0], coefficients[0], prototypes)
    assert mask.box.tolist() == [8, 0, 32, 32]
    assert mask.render().image_size == (64, 32)


def test_a_mask_reaches_as_far_as_its_box_is_large_on_every_side():
    """The box needs cells 4 to 9, six of them: cells 0 to 15 across are the six before and after, so all."""
    letterbox = Letterbox.fit((256, 64), (256, 64), stride=32)
    prototypes = np.ones((1, 16, 64), np.float32)
    _, coefficients, masks = masks_of(prototypes, (98, 0, 118, 64), letterbox=letterbox)
    count = masks[0].logits.shape[1]
    mask = grown(masks[0], coefficients[0], prototypes)
    assert mask.logits.shape[1] == 3 * count
    x1, _, x2, _ = mask.box
    assert x1 == pytest.approx(98 - 4 * count, abs=4)
    assert x2 == pytest.approx(118 + 4 * count, abs=4)


def test_a_mask_in_two_pieces_does_not_grow():
    """Less than 0.7 of what the box holds is connected with the part that presses."""
    prototypes = regions((2, 2, 12, 4), (2, 6, 5, 9))
    _, coefficients, masks = masks_of(prototypes, (4, 4, 24, 40))
    assert grown(masks[0], coefficients[0], prototypes) is masks[0]


def test_small_islands_and_holes_go():
    """100 cells less a hole of 4, and an island of 2: 98. Five per cent are 4.9."""
    prototypes = regions((2, 2, 12, 12), (13, 13, 15, 14))
    prototypes[:, 5:7, 5:7] = -1
    _, _, [mask] = masks_of(prototypes, (0, 0, 64, 64))
    smooth = calm(mask)
    assert mask.area < smooth.area == 40 * 40 - 4, "interpolation rounds the four corners"
    assert smooth.box.tolist() == [8, 8, 48, 48]


def test_what_is_not_small_beside_the_mask_stays():
    prototypes = regions((2, 2, 12, 12), (13, 2, 16, 5))
    prototypes[:, 5:8, 5:8] = -1
    _, _, [mask] = masks_of(prototypes, (0, 0, 64, 64))
    assert calm(mask) is mask


def test_a_bay_is_no_hole():
    prototypes = regions((0, 0, 16, 16))
    prototypes[:, 6:8, 0:3] = -1
    _, _, [mask] = masks_of(prototypes, (0, 0, 64, 64))
    assert calm(mask) is mask


@pytest.mark.parametrize("rows", [(0, 2), (14, 16)])
def test_a_shallow_bay_at_the_photos_frame_is_a_hole(rows):
    prototypes = regions((0, 0, 16, 16))
    prototypes[:, rows[0] : rows[1], 1:15] = -1  # 28 cells, more than 5 % of the other 228
    _, _, [mask] = masks_of(prototypes, (0, 0, 64, 64))
    assert mask.area < calm(mask).area == 64 * 64
    _, _, [cut] = masks_of(prototypes, (0, 4, 64, 60))
    assert calm(cut) is cut, "the box is not the frame"


def calm_by_the_definition(mask):
    """(h, w) bool: what is set of a calm mask, told from each island's and each hole's own cells."""
    inside = mask.logits > 0
    if not inside.any():
        return inside
    limit = 0.05 * np.count_nonzero(inside)
    islands = parts(inside, connectivity=4)
    for island in islands:
        if island.sum() < limit and island is not max(islands, key=np.sum):
            inside = inside & ~island
    calmed, (width, height) = inside.copy(), mask.image_size
    at_frame = mask.columns[0] == 0, mask.columns[1] == width, mask.rows[0] == 0, mask.rows[1] == height
    for hole in parts(~inside, connectivity=8):
        across, down = hole.any(axis=0), hole.any(axis=1)
        at_edge = across[0], across[-1], down[0], down[-1]
        depths = across.sum(), across.sum(), down.sum(), down.sum()
        sides = zip(at_edge, at_frame, depths, strict=True)
        if all(frame and depth <= 2 for touches, frame, depth in sides if touches):
            calmed |= hole & (any(at_edge) or hole.sum() < limit)
    return calmed


def parts(cells, *, connectivity):
    count, labels = cv2.connectedComponents(cells.astype(np.uint8), connectivity=connectivity)
    return [labels == index for index in range(1, count)]


@pytest.mark.parametrize("blur", [1, 3, 7])
@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    raised=st.sampled_from([-1.0, -0.3, 0.0, 0.3, 1.0]),
    around=st.tuples(*[st.integers(0, 1)] * 4),
)
def test_calm_is_what_it_says(blur, seed, shape, raised, around):
    """Views inside the photo and at its frame, from smooth fields to noise; a pixel a cell."""
    (height, width), (left, top), after = shape, around[:2], around[2:]
    field = np.random.default_rng(seed).normal(size=shape) * blur
    logits = np.asarray(cv2.blur(field, (blur, blur)) + raised, np.float32).reshape(shape)
    sides = left + width + after[0], top + height + after[1]
    x, y = (Places(np.arange(side), np.zeros(side, np.float32)) for side in sides)
    mask = PendingMask(logits, left, top, (left, left + width), (top, top + height), x, y, sides)
    np.testing.assert_array_equal(calm(mask).logits > 0, calm_by_the_definition(mask))


def test_a_mask_of_the_whole_photo_tells_nothing_apart():
    _, _, masks = masks_of(regions((0, 0, 16, 16)), (0, 0, 64, 64), (0, 0, 64, 56))
    assert told_apart(masks, 1.0).tolist() == [1]


def test_a_mask_without_a_cell_is_calm():
    _, _, [mask] = masks_of(regions(), (4, 4, 40, 40))
    assert calm(mask) is mask


def test_of_two_masks_that_agree_the_better_one_stays():
    """Of 10 and 8 columns 8 are shared: IoU 0.8. The third shares nothing, the fourth is part of the first."""
    prototypes = regions((0, 0, 16, 16))
    boxes = [(0, 0, 40, 40), (0, 0, 32, 40), (44, 44, 64, 64), (0, 0, 16, 16)]
    _, _, masks = masks_of(prototypes, *boxes)
    assert told_apart(masks, 0.7).tolist() == [0, 2, 3]
    assert told_apart(masks, 0.85).tolist() == [0, 1, 2, 3]
    assert told_apart([], 0.7).tolist() == []


def test_doubles_are_found_whatever_their_shape():
    """Of 14 and 14 columns 12 are shared: IoU 12 / 16 = 0.75."""
    _, _, masks = masks_of(regions((0, 0, 16, 16)), (0, 0, 56, 8), (8, 0, 64, 8))
    assert told_apart(masks, 0.7).tolist() == [0]
    assert told_apart(masks, 0.8).tolist() == [0, 1]


def test_classes_are_those_of_the_masks_that_are_compared():
    """The first is the whole photo and goes; of the two of one class, with an IoU of 0.8, one."""
    _, _, masks = masks_of(regions((0, 0, 16, 16)), (0, 0, 64, 64), (0, 0, 40, 40), (0, 0, 32, 40))
    assert told_apart(masks, 0.7, np.array([0, 1, 1])).tolist() == [1]
    assert told_apart(masks, 0.7, np.array([0, 0, 1])).tolist() == [1, 2]


def test_a_double_of_a_double_stays():
    """The second agrees with the first and goes; the third agrees with the second alone."""
    prototypes = regions((0, 0, 16, 16))
    _, _, masks = masks_of(prototypes, (0, 0, 40, 64), (0, 0, 48, 64), (0, 0, 60, 64))
    assert told_apart(masks, 0.75).tolist() == [0, 2]


def test_pictures_scaled_and_padded_keep_masks_in_their_boxes():
    """Boxes anywhere, a photo that is enlarged and padded: every pixel of a grown mask lies in the box beside it."""
    rng = np.random.default_rng(5)
    letterbox = Letterbox.fit((75, 53), (128, 128))
    prototypes = rng.normal(size=(4, 32, 32)).astype(np.float32)
    for channel in prototypes:
        for _ in range(3):  # smooth fields, so that there are regions
            channel[1:-1, 1:-1] = (channel[:-2, 1:-1] + channel[2:, 1:-1] + channel[1:-1, :-2] + channel[1:-1, 2:]) / 4
    corners = np.sort(rng.uniform(0, 1, (60, 2, 2)), axis=1).reshape(60, 4)
    boxes = (corners * np.array([75, 53, 75, 53])).astype(np.float32)
    coefficients = rng.normal(size=(60, 4)).astype(np.float32)
    masks = pending_masks(boxes, coefficients, prototypes, letterbox)
    new_boxes, new_masks = refined(boxes, coefficients, prototypes, masks)
    changed = (new_boxes != boxes).any(axis=1)
    assert changed.sum() > 10
    for box, mask in zip(new_boxes, new_masks, strict=True):
        x1, y1, x2, y2 = mask.box
        assert not mask.area or (x1 >= box[0] - 1e-3 and y1 >= box[1] - 1e-3 and x2 < box[2] + 1 and y2 < box[3] + 1)
    for box, mask in zip(new_boxes[changed], np.array(new_masks, object)[changed], strict=True):
        assert np.abs(mask.box - box).max() <= 2, "the box follows the mask"


def test_of_islands_that_are_all_small_the_largest_stays():
    """48 islands of a cell and one of two: 5 % of the 50 cells is 2.5."""
    cells = [(x, y, x + 1, y + 1) for y in range(0, 12, 2) for x in range(0, 16, 2)]
    _, _, [mask] = masks_of(regions(*cells, (13, 14, 15, 15)), (0, 0, 64, 64))
    assert calm(mask).tight().bounds == (52, 56, 60, 60)
