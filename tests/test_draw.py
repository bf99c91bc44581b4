"""The overlay, the label map and the cut-out: what is painted where, and nothing elsewhere."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_onnx import draw
from fastsam_onnx.draw import cutout, label_map, overlay, palette
from fastsam_onnx.errors import OptionError, PromptError
from fastsam_onnx.lettering import lettering
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation


def _rectangle(x1: int, y1: int, x2: int, y2: int, size: tuple[int, int] = (40, 30)) -> Mask:
    return Mask(np.ones((y2 - y1, x2 - x1), bool), x1, y1, size)


def _photo(width: int = 40, height: int = 30) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


@settings(deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 9))
def test_label_map_shows_the_smallest_and_of_equals_the_first(seed, count):
    rng = np.random.default_rng(seed)
    masks = [Mask.from_dense(rng.random((7, 9)) < rng.random()) for _ in range(count)]
    expected = np.zeros((7, 9), np.uint16)
    for index in sorted(range(count), key=lambda k: (-masks[k].area, -k)):  # painted one over the other
        expected[masks[index].dense()] = index + 1
    labels = label_map(Segmentation.from_masks(masks, image_size=(9, 7)))
    assert labels.dtype == np.uint16
    np.testing.assert_array_equal(labels, expected)


def test_label_map_of_more_objects_than_16_bits_can_number_is_refused():
    masks = [Mask.empty((4, 4))] * 65536
    found = Segmentation.from_masks(masks, boxes=np.zeros((65536, 4)))
    with pytest.raises(OptionError, match="65535"):
        label_map(found)
    assert not label_map(found[:65535]).any()


def test_overlay_leaves_the_ground_and_the_given_photo_as_they_were():
    photo = _photo()
    before = photo.copy()
    picture = overlay(Segmentation.from_masks([_rectangle(5, 5, 20, 20)]), image=photo)
    np.testing.assert_array_equal(photo, before)
    ground = ~_rectangle(5, 5, 20, 20).dense()
    np.testing.assert_array_equal(picture[ground], photo[ground])


def test_overlay_mixes_photo_and_colour():
    photo = _photo()
    found = Segmentation.from_masks([_rectangle(5, 5, 20, 20)], image=photo)
    inside = _rectangle(5, 5, 20, 20).dense()
    for alpha in (0.0, 0.25, 1.0):
        expected = photo[inside] * (1 - alpha) + palette(1)[0] * alpha
        picture = overlay(found, alpha=alpha, contours=False)
        assert np.abs(picture[inside] - expected).max() <= 0.5 + 1e-6


def test_outline_lies_on_the_inner_side_and_not_along_the_border_of_the_photo():
    photo = _photo()
    found = Segmentation.from_masks([_rectangle(0, 0, 20, 30)], image=photo)
    changed = (overlay(found, alpha=0.0) != photo).any(axis=2)  # with alpha 0 only the outline shows
    expected = np.zeros((30, 40), bool)
    expected[:, 19] = True  # one pixel wide on a small photo
    np.testing.assert_array_equal(changed, expected)


def test_touching_objects_are_separated_by_an_outline_on_both_sides():
    photo = np.zeros((30, 40, 3), np.uint8)
    found = Segmentation.from_masks([_rectangle(5, 5, 15, 20), _rectangle(15, 5, 30, 20)], image=photo)
    changed = overlay(found, alpha=0.0).any(axis=2)
    assert changed[10].nonzero()[0].tolist() == [5, 14, 15, 29]


def test_outline_grows_with_the_photo():
    photo = np.zeros((3000, 20, 3), np.uint8)
    found = Segmentation.from_masks([_rectangle(0, 0, 10, 3000, (20, 3000))], image=photo)
    changed = overlay(found, alpha=0.0).any(axis=2)
    assert changed[1500].nonzero()[0].tolist() == [7, 8, 9]


def test_overlay_of_nothing_is_the_photo():
    photo = _photo()
    picture = overlay(Segmentation.from_masks([], image_size=(40, 30)), image=photo)
    np.testing.assert_array_equal(picture, photo)
    assert picture is not photo


def test_overlay_in_bands_has_no_seams():
    photo = np.full((700, 30, 3), 100, np.uint8)
    found = Segmentation.from_masks([_rectangle(0, 0, 30, 700, (30, 700))], image=photo)
    assert len(np.unique(overlay(found).reshape(-1, 3), axis=0)) == 1


def test_prompts_are_drawn_in_their_colours():
    photo = np.full((300, 400, 3), 128, np.uint8)
    found = Segmentation.from_masks([], image_size=(400, 300), image=photo)
    picture = overlay(found, points=[(50, 60), (300, 200)], point_labels=[1, 0], boxes=[(100, 110, 200, 210)])
    red, green, _ = picture[60, 50].tolist()
    assert green > 150 > red
    red, green, _ = picture[200, 300].tolist()
    assert red > 150 > green
    assert picture[110, 150].tolist() == [255, 255, 255]
    assert picture[150, 150].tolist() == [128, 128, 128]


def test_a_single_point_without_labels_is_foreground():
    photo = np.full((300, 400, 3), 128, np.uint8)
    found = Segmentation.from_masks([], image_size=(400, 300), image=photo)
    np.testing.assert_array_equal(
        overlay(found, points=[(50, 60)]), overlay(found, points=[(50, 60)], point_labels=[1])
    )


def test_a_point_that_is_both_foreground_and_background_is_green():
    """Two objects that each shall not cover the other's point: each point is foreground of one."""
    found = Segmentation.from_masks([], image_size=(400, 300), image=np.full((300, 400, 3), 128, np.uint8))
    places = [(50, 60), (300, 200)]
    picture = overlay(found, points=[*places, *places[::-1]], point_labels=[1, 0, 1, 0])
    for x, y in places:
        red, green, _ = picture[y, x].tolist()
        assert green > 150 > red


def test_prompts_far_outside_the_photo_change_nothing():
    photo = _photo(400, 300)
    found = Segmentation.from_masks([], image_size=(400, 300), image=photo)
    picture = overlay(found, points=[(-1e12, 5), (5, 1e12)], boxes=[(-1e12, -1e12, 1e12, 1e12)])
    np.testing.assert_array_equal(picture, photo)


def test_no_prompts_may_be_empty_lists():
    photo = _photo()
    found = Segmentation.from_masks([], image_size=(40, 30), image=photo)
    np.testing.assert_array_equal(overlay(found, points=[], point_labels=[], boxes=[]), photo)


def test_what_was_asked_can_be_drawn_in_the_shape_that_it_was_asked_in():
    found = Segmentation.from_masks([], image_size=(400, 300), image=_photo(400, 300))
    drawn = overlay(found, points=[(50, 60), (300, 200)], point_labels=[1, 0], boxes=[(100, 110, 200, 210)])
    groups = {"points": [[(50, 60)], [(300, 200)]], "point_labels": [[1], [0]]}
    np.testing.assert_array_equal(overlay(found, **groups, boxes=(100, 110, 200, 210)), drawn)
    one = overlay(found, points=[(50, 60)], point_labels=[0])
    for label in (0, [0]):
        np.testing.assert_array_equal(overlay(found, points=(50, 60), point_labels=label), one)
    nothing = {"points": np.zeros((0, 1, 2)), "boxes": np.zeros((0, 4))}
    np.testing.assert_array_equal(overlay(found, **nothing), found.image)


@pytest.mark.parametrize(
    "prompts",
    [
        {"points": [(1, 2, 3)]},
        {"points": [[]]},
        {"points": [[[(1, 2)]]]},
        {"points": [[(1, 2)], [(3, 4)]], "point_labels": [1, 0]},
        {"boxes": [[(1, 2, 3, 4)]]},
        {"points": [(1, float("nan"))]},
        {"points": [(1, 2)], "point_labels": [1, 0]},
        {"points": [(1, 2)], "point_labels": [2]},
        {"points": [(1, 2)], "point_labels": 1},
        {"point_labels": [1]},
        {"boxes": [(1, 2, 3)]},
        {"boxes": [(1, 2, 3, float("inf"))]},
    ],
)
def test_malformed_prompts_are_refused(prompts):
    found = Segmentation.from_masks([], image_size=(40, 30), image=_photo())
    with pytest.raises(PromptError):
        overlay(found, **prompts)


def test_objects_of_one_colour_and_colours_that_are_not():
    found = Segmentation.from_masks([_rectangle(0, 0, 9, 9), _rectangle(20, 0, 29, 9), _rectangle(0, 20, 9, 29)])
    picture = overlay(found, image=_photo(), alpha=1, contours=False, colours=[4, 0, 4])
    shades = palette(5)
    assert [picture[y, x].tolist() for x, y in ((4, 4), (24, 4), (4, 24))] == shades[[4, 0, 4]].tolist()
    again = overlay(found, image=_photo(), alpha=1, contours=False, colours=[4, 0, 4], seed=7)
    assert again[4, 24].tolist() == palette(1, 7)[0].tolist()
    with pytest.raises(OptionError, match=r"in the palette, no RGB; got \[\(255, 0, 0\)"):
        overlay(found, image=_photo(), colours=[(255, 0, 0)] * 3)
    for wrong in ([0, 1], [0, 1, -1], [0, 1, 1.5], [0, 1, 65535], ["a", 1, 2], 3):
        with pytest.raises(OptionError, match="colours must be"):
            overlay(found, image=_photo(), colours=wrong)
    empty = Segmentation.from_masks([], image_size=(40, 30))
    assert np.array_equal(overlay(empty, image=_photo(), colours=[]), _photo())


def test_alpha_outside_0_to_1_is_refused():
    found = Segmentation.from_masks([], image_size=(40, 30), image=_photo())
    for alpha in (-0.1, 1.1, float("nan")):
        with pytest.raises(OptionError, match="alpha"):
            overlay(found, alpha=alpha)


def test_without_a_photo_the_error_says_how_to_give_one():
    with pytest.raises(OptionError, match="image="):
        overlay(Segmentation.from_masks([_rectangle(1, 1, 5, 5)]))


@pytest.mark.parametrize("photo", [np.zeros((30, 41, 3), np.uint8), np.zeros((30, 40)), np.zeros((30, 40, 3))])
def test_a_photo_that_does_not_fit_is_refused(photo):
    found = Segmentation.from_masks([_rectangle(1, 1, 5, 5)])
    with pytest.raises(OptionError, match=r"\(30, 40, 3\) uint8"):
        overlay(found, image=photo)
    with pytest.raises(OptionError, match=r"\(30, 40, 3\) uint8"):
        cutout(found[0], photo)


def test_cutout_is_the_objects_own_size_and_holds_nothing_else():
    photo = _photo()
    dense = np.zeros((30, 40), bool)
    dense[4:9, 10:16] = True
    dense[5, 11] = False
    found = Segmentation.from_masks([Mask(dense, 0, 0, (40, 30))])
    cut = cutout(found[0], photo)
    assert cut.shape == (5, 6, 4)
    np.testing.assert_array_equal(cut[..., 3] == 255, dense[4:9, 10:16])
    np.testing.assert_array_equal(cut[cut[..., 3] > 0][:, :3], photo[dense])
    assert not cut[1, 1].any()


def test_several_objects_are_cut_out_together_as_they_lay():
    """From (2, 3) to (20, 25), with what is between them left out; what two hold is there once."""
    photo = _photo()
    found = Segmentation.from_masks([_rectangle(2, 3, 8, 9), _rectangle(6, 5, 10, 12), _rectangle(15, 20, 20, 25)])
    inside = found.union().dense()
    for whole, part in ((False, np.s_[3:25, 2:20]), (True, np.s_[:, :])):
        cut = cutout(found, photo, whole=whole)
        np.testing.assert_array_equal(cut[..., 3], 255 * inside[part])
        np.testing.assert_array_equal(cut[..., :3], (photo * inside[..., None])[part])


def test_tall_objects_are_cut_out_together_down_to_their_ends():
    photo = np.random.default_rng(0).integers(1, 256, (700, 20, 3), np.uint8)
    dense = np.zeros((2, 700, 20), bool)
    dense[0, 5:690, 3:9] = dense[1, 20:695, 7:15] = True
    found = Segmentation.from_masks([*map(Mask.from_dense, dense), Mask.empty((20, 700))])
    cut = cutout(found, photo)
    np.testing.assert_array_equal(cut[..., 3], 255 * dense.any(axis=0)[5:695, 3:15])
    np.testing.assert_array_equal(cut[..., :3], (photo * dense.any(axis=0)[..., None])[5:695, 3:15])


def test_cutout_of_masks_without_pixels_is_empty():
    found = Segmentation.from_masks([Mask.empty((40, 30))])
    for chosen in (found[0], found, found[:0]):
        assert cutout(chosen, _photo()).shape == (0, 0, 4)
        assert cutout(chosen, _photo(), whole=True).shape == (30, 40, 4)
        with pytest.raises(OptionError, match="soft must be True or False, got 'no'"):
            cutout(chosen, _photo(), soft="no")
    with pytest.raises(OptionError, match=r"what is cut out must be found\[0\], found or the like, got Masks"):
        cutout(found.masks, _photo())


def test_colours_are_stable_per_index_and_far_apart():
    np.testing.assert_array_equal(palette(50)[:10], palette(10))
    assert not np.array_equal(palette(10), palette(10, seed=1))
    lab = cv2.cvtColor((palette(40)[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e9 * np.eye(40)
    assert distance.min() > 10  # CIE76; 2.3 can just be told apart
    assert np.diag(distance, 1).min() > 50  # neighbours in the list


def test_the_colour_of_an_object_follows_its_number():
    photo = np.zeros((30, 40, 3), np.uint8)
    masks = [_rectangle(2, 2, 12, 12), _rectangle(20, 10, 38, 28)]
    options = {"image": photo, "alpha": 1, "contours": False, "names": False}
    colours = palette(70_000)
    for ids in ([1, 2], [2, 1], [65_535, 65_536], [7, 70_000]):
        found = replace(Segmentation.from_masks(masks), track_ids=np.array(ids))
        picture = overlay(found, **options)
        for (x, y), number in zip(((5, 5), (30, 20)), ids, strict=True):
            assert picture[y, x].tolist() == colours[(number - 1) % 65_535].tolist()
        assert np.array_equal(
            overlay(found, colours=[0, 1], **options), overlay(replace(found, track_ids=None), **options)
        )


def test_the_number_is_written_beside_the_class():
    """Numbers alone, classes alone, and both differ, by what is written and not by colours."""
    found = Segmentation.from_masks([_rectangle(20, 40, 180, 180, (200, 200))])
    numbered = replace(found, track_ids=np.array([1]))
    named = replace(found, labels=np.array([0]), names={0: "cup"})
    photo = np.zeros((200, 200, 3), np.uint8)
    kinds = [found, numbered, named, replace(numbered, labels=np.array([0]), names={0: "cup"})]
    pictures = [overlay(one, image=photo) for one in kinds]
    assert len({picture.tobytes() for picture in pictures}) == 4
    assert len({overlay(one, image=photo, names=False).tobytes() for one in kinds}) == 1


@pytest.mark.parametrize("name", ["Tasse à café", "чашка", "杯子", "컵", "فنجان"])
def test_names_are_written_in_their_script_where_opencv_has_the_letters(name):
    """OpenCV 5 has; its predecessor writes question marks, as many as there are letters."""
    found = replace(
        Segmentation.from_masks([_rectangle(20, 90, 480, 180, (500, 200))]), labels=np.array([0]), names={0: name}
    )
    photo = np.zeros((200, 500, 3), np.uint8)
    marks = "".join(letter if letter.isascii() else "?" for letter in name)
    written, as_marks = (overlay(replace(found, names={0: text}), image=photo) for text in (name, marks))
    assert np.array_equal(written, as_marks) != hasattr(cv2, "FontFace")
    assert np.array_equal(written[120:], as_marks[120:])  # nothing leaves its label


def test_letters_stay_within_their_measures():
    ink = (255, 255, 255)
    for text in ("gH?", "ÄÇŷ杯Щ", "하gي", ""):
        words = lettering(text, 20)
        picture = np.zeros((100, words.across + 60, 3), np.uint8)
        words.write(picture, (30, 60), ink)
        rows, columns = np.nonzero(picture.any(axis=2))
        assert (rows.size > 0) == bool(text)
        assert rows.min(initial=60) >= 60 - words.above - 1
        assert rows.max(initial=60) <= 60 + words.below + 1
        assert columns.min(initial=30) >= 28
        assert columns.max(initial=30) <= 32 + words.across


def test_half_a_character_is_a_question_mark():
    """OpenCV 5 ends the process where it is given one."""
    pictures = np.zeros((2, 60, 200, 3), np.uint8)
    for picture, text in zip(pictures, ("Ä\ud800b", "Ä?b"), strict=True):
        lettering(text, 20).write(picture, (10, 40), (255, 255, 255))
    np.testing.assert_array_equal(*pictures)


def test_capitals_are_as_high_in_every_font():
    for text in ("H", "Н"):  # Latin, Cyrillic
        picture = np.zeros((100, 100, 3), np.uint8)
        lettering(text, 40).write(picture, (20, 70), (255, 255, 255))
        rows = np.flatnonzero((picture > 127).any(axis=(1, 2)))
        assert rows.max() - rows.min() == pytest.approx(40, abs=4)


def test_a_name_with_nothing_free_along_its_box_is_written_in_the_middle():
    taken = [(0, 0, 24, 99), (36, 0, 99, 99), (24, 0, 36, 40), (24, 60, 36, 99)]
    # The middle of the box, (30, 50), is that of the words, 10 x 8.
    assert draw._free_place([10, 20, 50, 80], (10, 8), (99, 99), taken) == (25, 46, 35, 54)
    assert draw._free_place([10, 20, 50, 80], (10, 8), (99, 99), [*taken, (0, 40, 99, 60)]) is None


@pytest.mark.parametrize(("side", "capitals"), [(200, 8), (500, 8), (2000, 32)])
def test_names_grow_with_the_photo_and_stay_legible(side, capitals, monkeypatch):
    heights = []
    monkeypatch.setattr(draw, "lettering", lambda words, height: heights.append(height) or lettering(words, height))
    photo = np.zeros((20, side, 3), np.uint8)
    mask = _rectangle(2, 2, 9, 9, (side, 20))
    overlay(Segmentation.from_masks([mask], labels=[0], names={0: "cup"}, image=photo))
    assert heights == [capitals]


def test_names_are_tried_along_their_box_from_left_to_right():
    """Above it, at its top, below it, at its bottom, in its middle; two that touch do not meet."""
    places = []
    while place := draw._free_place([10, 20, 50, 80], (10, 8), (99, 99), places):
        places.append(place)
    tops = (20 - 8, 20, 80, 80 - 8, (20 + 80 - 8) // 2)
    assert places == [(x, y, x + 10, y + 8) for x in (10, 50 - 10, (10 + 50 - 10) // 2) for y in tops]


def test_names_may_touch_what_is_beside_them():
    assert draw._free_place([10, 20, 50, 80], (10, 8), (99, 99), [(20, 0, 99, 99)]) == (10, 12, 20, 20)
    assert draw._free_place([10, 20, 50, 80], (10, 8), (99, 99), [(0, 0, 10, 99)]) == (10, 12, 20, 20)


@pytest.mark.parametrize(
    ("box", "place"), [((-4, 3, 20, 50), (0, 0)), ((95, 20, 99, 50), (89, 12)), ((10, 105, 50, 110), (10, 91))]
)
def test_names_stay_within_the_photo(box, place):
    assert draw._free_place(list(box), (10, 8), (99, 99), [])[:2] == place


def test_names_are_black_on_bright_colours_and_white_on_dark_ones():
    photo = np.zeros((1000, 2000, 3), np.uint8)
    found = Segmentation.from_masks([_rectangle(20, 100, 300, 180, (2000, 1000))], labels=[0], names={0: "HHH"})
    brightness = palette(12) @ np.array([0.299, 0.587, 0.114])
    assert 0 < np.count_nonzero(brightness > 130) < 12
    for place, is_bright in enumerate((brightness > 130).tolist()):
        label = overlay(found, image=photo, colours=[place], contours=False)[75:95, 30:70]
        darker, lighter = label.min(axis=(0, 1)) < palette(12)[place], label.max(axis=(0, 1)) > palette(12)[place]
        assert (darker.any(), lighter.any()) == (is_bright, not is_bright)


def test_the_outline_is_a_light_shade_of_the_colour():
    found = Segmentation.from_masks([_rectangle(5, 5, 20, 20)], image=_photo())
    assert overlay(found)[5, 5].tolist() == [int(0.4 * channel + 0.6 * 255) for channel in palette(1)[0].tolist()]


def test_an_object_of_more_pixels_than_16_bits_count_is_in_the_label_map():
    masks = [_rectangle(0, 0, 300, 300, (300, 300)), _rectangle(9, 9, 290, 290, (300, 300))]
    labels = label_map(Segmentation.from_masks(masks))
    assert (labels[0, 0], labels[9, 9]) == (1, 2)


def test_prompts_are_drawn_where_they_are_also_beyond_the_border():
    grey = np.full((300, 400, 3), 128, np.uint8)
    found = Segmentation.from_masks([], image_size=(400, 300), image=grey)
    point = overlay(found, points=[(50.9, 60.9)])  # in the pixel (50, 60)
    np.testing.assert_array_equal(point, overlay(found, points=[(50, 60)]))
    columns = np.flatnonzero((point[60] != 128).any(axis=1))
    assert columns.min() + columns.max() == 2 * 50
    half = np.flatnonzero((overlay(found, points=[(-3, 60)])[60] != 128).any(axis=1))
    assert (half.min(), half.max()) == (0, columns.max() - 53)
    box = overlay(found, boxes=[(100, 110, 200, 210)])
    assert [box[y, 150].tolist() for y in (105, 109, 110, 111, 115)] == [[level] * 3 for level in (128, 0, 255, 0, 128)]
    np.testing.assert_array_equal(overlay(found, boxes=[(-20, -20, 420, 320)]), grey)


def test_a_name_has_a_margin_on_both_sides():
    """Capitals of 32 pixels, so 10 pixels, give or take how wide the letters are drawn."""
    photo = np.zeros((1000, 2000, 3), np.uint8)
    found = Segmentation.from_masks([_rectangle(20, 100, 300, 180, (2000, 1000))], labels=[0], names={0: "HHH"})
    label = overlay(found, image=photo, contours=False)[:100]
    columns = np.flatnonzero(label.any(axis=(0, 2)))
    ink = np.flatnonzero((label[label.any(axis=(1, 2))][:, columns] != palette(1)[0]).any(axis=(0, 2)))
    assert columns[0] == 20
    assert ink[0] == pytest.approx(10, abs=4)
    assert len(columns) - 1 - ink[-1] == pytest.approx(10, abs=6), "OpenCV 4's letters end 5 before their width does"


def test_shares_and_colours_of_two_pieces_add_up():
    """Pixels that have both, one or none of them, alike or not, in more rows than one band; what is whole stays."""
    rng = np.random.default_rng(5)
    below, above = rng.integers(0, 3, (2, 600, 40, 4), np.uint8) * np.uint8(127)
    above[200:400] = below[200:400]
    below[250:500, ..., 3] = above[300:500, ..., 3] = 255
    shares = np.stack([below, above])[..., 3:].astype(np.float64)
    colours = (np.stack([below, above])[..., :3] * shares).sum(axis=0) / np.maximum(shares.sum(axis=0), 1)
    expected = np.rint(np.concatenate([colours, np.minimum(shares.sum(axis=0), 255)], axis=-1))
    for whole in (below, above):
        expected[whole[..., 3] == 255] = whole[whole[..., 3] == 255]
    picture = np.zeros((700, 50, 4), np.uint8)
    for piece in (below, above):
        piece[piece[..., 3] == 0] = 0
        draw._add(picture[30:630, 5:45], piece)
    np.testing.assert_allclose(picture[30:630, 5:45], expected, atol=0.5)
    assert picture.sum() == picture[30:630, 5:45].sum(dtype=np.int64)
