"""Numbers that stay: by overlap, by motion, through gaps; never two objects of one number."""

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_onnx import Mask, OptionError, Segmentation
from fastsam_onnx.tracking import Tracker
from fastsam_onnx.tracking.sights import sights_of
from fastsam_onnx.tracking.tracker import KEPT_FRAMES, KEPT_FRAMES_NEW, LOW_SHARE, Track, pairs

SIZE = (200, 120)  # width, height


def square(x, y, side=10, size=SIZE):
    """A square by its upper left corner."""
    dense = np.zeros(size[::-1], bool)
    dense[max(y, 0) : y + side, max(x, 0) : x + side] = True
    return Mask.from_dense(dense)


def frame(*places, scores=None, size=SIZE):
    return Segmentation.from_masks([square(*place, size=size) for place in places], scores, image_size=size)


def numbers(tracker, *places, scores=None):
    return tracker.update(frame(*places, scores=scores)).track_ids.tolist()


def test_numbers_begin_with_1_and_follow_the_object_whatever_its_rank():
    tracker = Tracker()
    assert numbers(tracker, (0, 0), (50, 0), (100, 0)) == [1, 2, 3]
    assert numbers(tracker, (101, 1), (1, 1), (51, 1)) == [3, 1, 2]
    assert numbers(tracker, (102, 2), (150, 60), (2, 2)) == [3, 4, 1]


def test_the_result_is_the_same_but_for_the_numbers():
    found = replace(
        frame((0, 0), (50, 0), scores=[0.9, 0.5]), labels=np.array([3, 1]), names={1: "cup", 3: "dog"}, source="a.jpg"
    )
    numbered = Tracker().update(found)
    assert type(numbered) is Segmentation
    assert np.array_equal(numbered.boxes, found.boxes)
    assert np.array_equal(numbered.scores, found.scores)
    assert numbered.labels.tolist() == [3, 1]
    assert numbered.source == "a.jpg"
    assert numbered.track_ids.dtype == np.int64
    assert found.track_ids is None
    assert [each.track_id for each in numbered] == [1, 2]
    assert numbered[[1]].track_ids.tolist() == [2]
    assert found[0].track_id is None


def test_the_nearer_object_has_the_number():
    tracker = Tracker()
    numbers(tracker, (50, 50))
    # IoU of the squares 7 * 10 / 130 = 0.54 and 9 * 10 / 110 = 0.82
    assert numbers(tracker, (53, 50), (51, 50)) == [2, 1]


def test_of_two_objects_with_one_box_the_mask_tells_them_apart():
    """Two triangles, above and below the diagonal of one square."""
    upper, lower = np.zeros((2, *SIZE[::-1]), bool)
    upper[20:60, 20:60] = np.triu(np.ones((40, 40), bool))
    lower[20:60, 20:60] = np.tril(np.ones((40, 40), bool))
    masks = [Mask.from_dense(upper), Mask.from_dense(lower)]
    tracker = Tracker()
    assert tracker.update(Segmentation.from_masks(masks)).track_ids.tolist() == [1, 2]
    assert tracker.update(Segmentation.from_masks(masks[::-1])).track_ids.tolist() == [2, 1]


def test_objects_that_pass_each_other_keep_their_numbers():
    """By 6 a frame; in the middle they are in nearly one place, and motion alone tells them apart."""
    tracker = Tracker()
    for step in range(16):
        left, right = (40 + 6 * step, 50), (136 - 6 * step, 52)
        assert numbers(tracker, left, right) == [1, 2], step


def test_a_fast_object_is_followed_once_its_motion_is_known():
    """12 a frame, more than its side: without motion the fit is 4 * 16 / (2 * 256 - 64) = 0.14."""
    tracker = Tracker()
    places = [0, 4, 10, 18, 28, 40, 52, 64, 76]
    assert [numbers(tracker, (x, 50)) for x in places] == [[1]] * len(places)


def test_an_object_that_was_away_goes_on_with_its_number_where_its_motion_takes_it():
    tracker = Tracker()
    for step in range(6):
        assert numbers(tracker, (10 + 4 * step, 50)) == [1]
    for _ in range(8):
        assert numbers(tracker) == []
    assert numbers(tracker, (10 + 4 * 14, 50), (30, 50)) == [1, 2]


def test_a_frame_of_which_nothing_is_known_is_a_step_of_the_motion():
    seen, skipped = Tracker(), Tracker()
    for step in range(4):
        assert numbers(seen, (10 + 8 * step, 50)) == numbers(skipped, (10 + 8 * step, 50)) == [1]
    skipped.skip()
    skipped.skip()
    assert numbers(skipped, (10 + 8 * 6, 50)) == [1]


def test_what_is_kept_of_an_object_that_is_seen_again():
    """8 pixels in two frames, 4 in each; the box goes half the way, the look a tenth; a quarter of it was seen last."""
    (whole,), (part,) = (sights_of(painted((x, 50, colour))) for x, colour in ((10, RED), (18, BLUE)))
    part = replace(part, area=whole.area / 4)
    track = replace(Track.begun(1, whole, is_asked_for=False), frames_away=2).seen(part)
    assert track.velocity.tolist() == [4, 0]
    assert track.box_xywh.tolist() == [15 + 4, 55, 10, 10]
    assert (track.last, track.fullest) == (part, whole)
    assert track.look == pytest.approx(0.9 * whole.look + 0.1 * part.look)
    again = replace(track, frames_away=1)
    assert again.likeness(whole) == pytest.approx(0.9**0.5), "as large as it was before a part of it was hidden"
    assert again.likeness(replace(whole, area=whole.area * 4)) == 0


def test_the_next_place_is_told_from_where_an_object_was_seen():
    """4 on: its box goes half the way, to 12, and with its velocity of 4 to 16, which are 2 from 14."""
    tracker = Tracker()
    assert numbers(tracker, (10, 50)) == numbers(tracker, (14, 50)) == [1]
    assert tracker.next_shift(1) == (2, 0)


def test_a_number_is_given_up_after_some_frames_and_not_used_again():
    tracker = Tracker()
    numbers(tracker, (0, 0))
    numbers(tracker, (0, 0))
    for _ in range(KEPT_FRAMES - 1):
        tracker.skip()
    assert numbers(tracker, (0, 0)) == [1]
    for _ in range(KEPT_FRAMES):
        tracker.skip()
    assert numbers(tracker, (0, 0)) == [2]  # and this one was seen once
    for _ in range(KEPT_FRAMES_NEW):
        tracker.skip()
    assert numbers(tracker, (0, 0)) == [3]


def test_an_object_that_rejoins_its_number_has_no_other_and_is_kept_as_one_that_was_asked_for():
    tracker = Tracker()
    assert numbers(tracker, (0, 0), (50, 0)) == [1, 2]
    assert numbers(tracker, (50, 0), (150, 60)) == [2, 3]
    tracker.rejoin(1, 3)
    assert numbers(tracker, (0, 0), (50, 0), (150, 60)) == [4, 2, 1]
    for _ in range(KEPT_FRAMES_NEW + 1):
        tracker.skip()
    assert numbers(tracker, (150, 60), (0, 0)) == [1, 5]


RED, BLUE, PINK = (255, 0, 0), (0, 0, 255), (255, 85, 85)


def painted(*squares):
    """A frame of squares (x, y, colour) with its photo."""
    image = np.full((*SIZE[::-1], 3), 90, np.uint8)
    for x, y, colour in squares:
        image[y : y + 10, x : x + 10] = colour
    return replace(frame(*((x, y) for x, y, _ in squares)), image=image)


def painted_numbers(tracker, *squares):
    return tracker.update(painted(*squares)).track_ids.tolist()


def test_colours_tell_objects_apart_where_places_do_not():
    tracker = Tracker()
    painted_numbers(tracker, (50, 50, RED), (56, 50, BLUE))
    # Each is nearer to where the other was: IoU 9 * 10 / 110 = 0.82 there, 5 * 10 / 150 = 0.33 to its own place.
    assert painted_numbers(tracker, (55, 50, RED), (51, 50, BLUE)) == [1, 2]
    tracker = Tracker()
    numbers(tracker, (50, 50), (56, 50))
    assert numbers(tracker, (55, 50), (51, 50)) == [2, 1]


@pytest.mark.parametrize(
    ("x", "colour", "number"),
    [
        (85, RED, 1),  # away for two frames: within (2 + 0.3 * 2) * 10 = 26 pixels of its last place, 60
        (87, RED, 2),
        (85, BLUE, 2),
        (85, PINK, 2),
    ],
)
def test_what_was_lost_is_recognised_by_its_colours_within_reach(x, colour, number):
    tracker = Tracker()
    for _ in range(2):
        painted_numbers(tracker, (60, 50, RED))
    painted_numbers(tracker)
    assert painted_numbers(tracker, (x, 50, colour)) == [number]


def test_without_the_photo_nothing_is_recognised():
    """22 pixels on, which is within (2 + 0.3) * 10."""
    tracker = Tracker()
    numbers(tracker, (60, 50))
    numbers(tracker, (60, 50))
    assert numbers(tracker, (82, 50)) == [2]
    tracker = Tracker()
    for _ in range(2):
        painted_numbers(tracker, (60, 50, RED))
    assert painted_numbers(tracker, (82, 50, RED)) == [1]


def test_a_fast_object_keeps_its_number_from_the_first_step_on():
    """Each step is more than its length, so boxes never overlap; seen once it was not recognised, so never twice."""
    tracker = Tracker()
    assert [painted_numbers(tracker, (10 + 22 * step, 50, RED)) for step in range(6)] == [[1]] * 6


def test_another_size_is_not_recognised():
    tracker = Tracker()
    for _ in range(2):
        painted_numbers(tracker, (60, 50, RED))
    image = np.full((*SIZE[::-1], 3), RED, np.uint8)
    part, whole = square(80, 50, side=5), square(80, 50, side=6)  # a quarter of the area, and 0.36 of it
    for mask, number in ((part, 2), (whole, 1)):
        found = replace(Segmentation.from_masks([mask], image_size=SIZE), image=image)
        assert copy.deepcopy(tracker).update(found).track_ids.tolist() == [number]


def test_low_scores_go_on_with_a_number_but_begin_none():
    tracker = Tracker(conf=0.5)
    assert numbers(tracker, (0, 0), (50, 0), scores=[0.9, 0.4]) == [1]
    found = tracker.update(frame((100, 0), (0, 1), (50, 0), scores=[0.8, 0.3, 0.2]))
    assert found.track_ids.tolist() == [2, 1]
    assert found.scores == pytest.approx([0.8, 0.3])


def test_a_low_score_needs_a_better_fit():
    """9 of 10 pixels away, with margins of 3: 7 * 16 / (2 * 256 - 112) = 0.28, which is above 0.2 and below 0.3."""
    tracker = Tracker(conf=0.5)
    assert numbers(tracker, (50, 50), scores=[0.9]) == [1]
    assert numbers(tracker, (59, 50), scores=[0.4]) == []
    tracker = Tracker(conf=0.5)
    assert numbers(tracker, (50, 50), scores=[0.9]) == [1]
    assert numbers(tracker, (59, 50), scores=[0.6]) == [1]


def test_offers_go_on_with_the_numbers_that_are_allowed_alone():
    tracker = Tracker()
    assert numbers(tracker, (0, 0), (50, 0)) == [1, 2]
    found = frame((0, 1), (50, 1), (100, 0))
    number = copy.deepcopy(tracker).number
    assert number(found, offers=2).track_ids.tolist() == [1]
    number = copy.deepcopy(tracker).number
    assert number(found, allowed={2: np.array([False, True, False])}, offers=2).track_ids.tolist() == [1, 2]


def test_of_what_has_rules_of_its_own_nothing_is_recognised_elsewhere():
    """22 pixels on, which is within (2 + 0.3) * 10."""
    tracker = Tracker()
    for _ in range(2):
        painted_numbers(tracker, (60, 50, RED))
    found = painted((82, 50, RED))
    assert copy.deepcopy(tracker).update(found).track_ids.tolist() == [1]
    assert tracker.number(found, allowed={1: np.array([False])}).track_ids.tolist() == [2]


def test_frames_of_another_size_are_another_video():
    tracker = Tracker()
    assert numbers(tracker, (0, 0), (50, 0)) == [1, 2]
    assert tracker.update(frame((0, 0), size=(100, 60))).track_ids.tolist() == [3]


def test_frames_without_objects_and_objects_without_pixels():
    tracker = Tracker()
    assert numbers(tracker) == []
    empty = Segmentation.from_masks([Mask.empty(SIZE), square(0, 0)], image_size=SIZE)
    assert tracker.update(empty).track_ids.tolist() == [1, 2]
    assert tracker.update(empty).track_ids.tolist()[1] == 2


@pytest.mark.parametrize("found", [None, np.zeros((2, 4)), [frame((0, 0))]])
def test_what_is_not_the_objects_of_a_frame_is_refused_and_no_step(found):
    tracker = Tracker()
    assert numbers(tracker, (0, 0)) == [1]
    for _ in range(KEPT_FRAMES_NEW + 1):
        with pytest.raises(OptionError, match=r"found must be the objects of a frame.*, got "):
            tracker.update(found)
    assert numbers(tracker, (0, 0)) == [1]


def test_the_threshold_is_checked():
    with pytest.raises(OptionError, match=r"conf must be a number from 0 to 1, got 2"):
        Tracker(conf=2)
    assert 0 < LOW_SHARE < 1


def test_the_best_pairs_come_first_and_each_row_and_column_once():
    fit = np.array([[0.9, 0.8, 0.0], [0.85, 0.3, 0.1], [0.2, 0.0, 0.15]])
    assert sorted(pairs(fit, 0.15)) == [(0, 0), (1, 1)]
    assert sorted(pairs(fit, 0.1)) == [(0, 0), (1, 1), (2, 2)]
    assert pairs(np.zeros((0, 3)), 0.1) == []


places = st.lists(st.tuples(st.integers(0, 190), st.integers(0, 110), st.floats(0, 1)), max_size=8)


@settings(deadline=None, max_examples=50)
@given(frames=st.lists(places, max_size=8))
def test_no_two_objects_of_a_frame_share_a_number_and_none_comes_from_nothing(frames):
    tracker, known = Tracker(conf=0.5), set()
    for objects in frames:
        found = frame(*((x, y) for x, y, _ in objects), scores=[score for *_, score in objects])
        numbered = tracker.update(found)
        ids = numbered.track_ids.tolist()
        assert len(set(ids)) == len(ids)
        sure = {number for number, score in zip(ids, numbered.scores.tolist(), strict=True) if score > 0.5}
        assert set(ids) - known <= sure  # new numbers are of high scores
        assert (found.scores > 0.5).sum() == len(sure)  # and each of these has one
        known |= set(ids)
    assert known == set(range(1, len(known) + 1))
