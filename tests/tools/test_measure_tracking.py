"""The figures of tools/measure_tracking, on cases that can be counted by hand."""

import inspect
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from fastsam_onnx import Mask, Segmentation
from tools.evaluate.truth import Photo
from tools.measure_tracking import clips
from tools.measure_tracking.clips import Path2D, visible
from tools.measure_tracking.following import WAYS_TO_FOLLOW, Following
from tools.measure_tracking.numbering import Figures, best_assignment, meetings

SIZE = (100, 40)


@pytest.fixture
def scipy():
    """The best assignment of numbers to objects is SciPy's."""
    pytest.importorskip("scipy", reason="SciPy is not installed")


def square(x, y=10):
    return Mask(np.ones((10, 10), bool), x, y, SIZE)


def frame(*objects):
    """Numbered squares: (number, x), ..."""
    found = Segmentation.from_masks([square(x) for _, x in objects], image_size=SIZE)
    return replace(found, track_ids=np.array([number for number, _ in objects], np.int64))


def truth(**places):
    return {ord(name): (square(x), 1.0) for name, x in places.items()}


@pytest.mark.usefixtures("scipy")
def test_switches_and_shares_by_hand():
    """Two objects in four frames: a has 1, 1, 3, 3; b has 2, nothing, 2, 2; one false object in the last frame."""
    figures = Figures()
    figures.add(
        [truth(a=0, b=50)] * 4,
        [frame((1, 0), (2, 50)), frame((1, 0)), frame((3, 0), (2, 50)), frame((2, 50), (3, 0), (4, 80))],
    )
    assert (figures.visible, figures.met, figures.numbered, figures.switches) == (8, 7, 8, 1)
    assert figures.right == 2 + 3  # a by one of its two numbers, b by its own
    assert (figures.objects, figures.kept) == (2, 1)
    # recall 7/8, 100 * 1/8, MOTA 1 - (1 + 1 + 1) / 8, IDF1 2 * 5 / (8 + 8), kept 1/2
    assert figures.row() == ["87.5", "12.50", "62.5", "62.5", "50.0"]


@pytest.mark.usefixtures("scipy")
def test_with_a_network_what_meets_no_object_does_not_count():
    figures = Figures(only_met=True)
    figures.add([truth(a=0)], [frame((1, 0), (4, 80))])
    assert figures.row() == ["100.0", "0.00", "100.0", "100.0", "100.0"]


@pytest.mark.usefixtures("scipy")
def test_a_number_is_right_for_one_object_only():
    assert best_assignment(Counter({(0, 1): 3, (1, 1): 2, (1, 2): 2, (0, 2): 1})) == 3 + 2
    assert best_assignment(Counter()) == 0


def test_of_two_that_overlap_an_object_the_one_that_it_met_before_counts():
    """IoU 0.82 and 0.67: the better one would be a switch."""
    met = meetings({0: square(10)}, frame((1, 11), (2, 12)), {0: 2})
    assert met == {0: 1}
    assert meetings({0: square(10)}, frame((1, 11), (2, 12)), {}) == {0: 0}


def test_an_object_turns_round_at_its_times():
    way = Path2D(np.array([10.0, 0]), np.array([100.0, 0]), (1.0, 1.5))
    assert [way.at(seconds)[0][0] for seconds in (0, 1, 1.5, 2)] == [10, 110, 60, 110]


def test_what_lies_behind_is_not_visible(monkeypatch):
    """The second square hides 60 of the first one's 100 pixels, a bar all of the third."""
    whole = np.ones((10, 10), bool)
    shown = visible([(whole, 100, 100), (whole, 106, 100), (whole, 300, 100)], (290, 320))
    assert sorted(shown) == [1]  # 40 pixels are too few to count
    monkeypatch.setattr(clips, "FEWEST_PIXELS", 30)
    shown = visible([(whole, 100, 100), (whole, 104, 100)], None)
    assert [shown[number][0].area for number in (0, 1)] == [40, 100]
    assert shown[0][1] == pytest.approx(0.4)


def test_following_counts_right_missing_and_taken_frames():
    following = Following()

    def answer(number, x):
        return replace(frame((number, x)), prompt_index=np.array([0]))

    nothing = replace(frame(), prompt_index=np.zeros(0, np.int64))
    a = ord("a")
    following._count([a], truth(a=0, b=50), answer(1, 0))  # right
    following._count([a], truth(a=0, b=50), answer(1, 50))  # poor, and b is taken for it
    following._count([a], truth(a=0, b=50), nothing)  # missing
    following._count([a], truth(b=50), answer(1, 0))  # a is hidden
    assert following.row() == ["0", "0.333", "33.3", "33.3", "33.3", "25.0", "100.0"]


def test_what_is_chosen_on_is_no_evaluation_photo(tmp_path, monkeypatch):
    """Neither objects nor backgrounds are of the sets whose figures are reported."""
    (tmp_path / "dense" / "images").mkdir(parents=True)
    for name in "abcd":
        (tmp_path / "dense" / "images" / f"{name}.jpg").touch()
    read = []
    monkeypatch.setattr(clips, "read_set", lambda folder: read.append(folder.name) or iter([Photo(b"photo", {})]))
    assert clips.backgrounds(tmp_path, choosing=True) == [b"photo"]
    assert read == ["train_validation"]
    assert [path.name for path in clips.backgrounds(tmp_path, choosing=False)] == ["b.jpg", "d.jpg"]


@pytest.mark.parametrize("way", [way for way, change in WAYS_TO_FOLLOW.items() if change])
def test_what_takes_the_place_of_a_function_can_be_called_in_the_same_way(way):
    """One that lacked a parameter stopped the measurement after minutes."""
    owner, name, other = WAYS_TO_FOLLOW[way]
    assert len(inspect.signature(other).parameters) == len(inspect.signature(getattr(owner, name)).parameters)
