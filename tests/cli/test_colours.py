"""Colours that stay: by overlap with the frames before."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsam_onnx.cli.colours import KEPT_FRAMES, SteadyColours
from fastsam_onnx.masks.mask import Mask


def square(x, y, side=10, size=(100, 60)):
    dense = np.zeros(size[::-1], bool)
    dense[y : y + side, x : x + side] = True
    return Mask.from_dense(dense)


def test_the_larger_overlap_has_the_colour():
    colours = SteadyColours()
    assert colours.of_frame([square(0, 0), square(30, 0)]).tolist() == [0, 1]
    # IoU with the first: 10 * 7 / (200 - 70) = 0.54 and 10 * 9 / (200 - 90) = 0.82; the loser gets a new one
    assert colours.of_frame([square(3, 0), square(1, 0), square(31, 0)]).tolist() == [2, 0, 1]


def test_an_object_that_moved_far_is_another():
    # moved by 6 of 10: 40 / 160 = 0.25 is not above 0.25; by 5: 50 / 150 = 0.33 is
    colours = SteadyColours()
    colours.of_frame([square(0, 0), square(30, 0)])
    assert colours.of_frame([square(36, 0), square(5, 0)]).tolist() == [2, 0]


def test_an_object_that_was_away_has_its_colour_back():
    colours = SteadyColours()
    colours.of_frame([square(0, 0), square(30, 0)])
    for _ in range(KEPT_FRAMES):
        assert colours.of_frame([square(30, 0)]).tolist() == [1]
    assert colours.of_frame([square(0, 0), square(30, 0), square(60, 0)]).tolist() == [0, 1, 2]
    for _ in range(KEPT_FRAMES + 1):
        assert colours.of_frame([square(60, 0)]).tolist() == [2]
    assert colours.of_frame([square(80, 40), square(60, 0)]).tolist() == [0, 2]  # free again


def test_frames_without_objects():
    colours = SteadyColours()
    assert colours.of_frame([]).tolist() == []
    assert colours.of_frame([Mask.empty((100, 60)), square(0, 0)]).tolist() == [0, 1]
    assert colours.of_frame([]).tolist() == []
    assert colours.of_frame([square(0, 0)]).tolist() == [1]


@settings(deadline=None, max_examples=50)
@given(frames=st.lists(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 50)), max_size=8), max_size=6))
def test_no_two_objects_of_a_frame_share_a_colour(frames):
    colours = SteadyColours()
    for places in frames:
        given = colours.of_frame([square(x, y) for x, y in places]).tolist()
        assert len(set(given)) == len(places)
        assert all(0 <= colour < 8 * (KEPT_FRAMES + 2) for colour in given)
