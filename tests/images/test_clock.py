"""Numbers and times of frames from what a reader tells, where the container does not tell them itself."""

import numpy as np
import pytest

from fastsam_onnx.images.clock import Clock
from fastsam_onnx.images.contents import Contents

RATE = 10


def run(told, *, failures=(), contents=None, declared=None):
    """Numbers and times of the frames that are told, and the clock; `failures` gives reads without a frame before."""
    clock = Clock(RATE, None, declared)
    clock.__dict__["contents"] = contents or Contents()
    numbers, seconds, number = [], [], 0
    for index, time in enumerate(told):
        number += clock.read(time, dict(failures).get(index, 0), number)
        numbers.append(number)
        seconds.append(round(clock.seconds, 3))
        number += 1
    return numbers, seconds, clock


def test_one_after_the_other():
    numbers, seconds, clock = run(np.arange(9) / RATE)
    assert numbers == list(range(9))
    assert seconds == [n / RATE for n in range(9)]
    assert (clock.lost, clock.jumps) == (0, [])


def test_a_gap_is_a_pause_of_a_whole_file_and_a_loss_of_a_damaged_one():
    told = [*np.arange(10) / RATE, 1.3, 1.4]
    numbers, _, clock = run(told)
    assert (numbers[-2:], clock.lost) == ([10, 11], 0)
    assert clock.jumps == [(9, 0.9)]
    numbers, _, clock = run(told, contents=Contents(is_whole=False))
    assert (numbers[-2:], clock.lost, clock.jumps) == ([13, 14], 3, [])
    assert clock.seconds_of(11, 3) == pytest.approx(1.1)  # frame 14 came at 1.4 s


def test_a_rate_that_varies_tells_no_loss():
    numbers, seconds, clock = run([0, 0.3, 0.7, 0.8, 1.3, 1.9])
    assert numbers == list(range(6))
    assert seconds == [0, 0.3, 0.7, 0.8, 1.3, 1.9]
    assert (clock.lost, clock.jumps) == (0, [])


def test_the_last_frame_of_a_variable_rate_comes_at_its_time():
    """Six of about 20 frames were told to be too few, of two whole seconds."""
    _, _, clock = run([0, 0.3, 0.7, 0.8, 1.3, 1.9])
    assert [declared for declared in (18, 20, 21, 22) if clock.reaches(declared)] == [18, 20]


def test_reads_without_a_frame_are_explained_by_the_next_gap():
    """A decoder that orders frames anew fails early: before frame 3, where frame 5 is lost."""
    numbers, _, clock = run([0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7], failures=[(3, 1)])
    assert numbers == [0, 1, 2, 3, 4, 6, 7]
    assert (clock.owed, clock.lost) == (0, 1)


def test_a_source_without_a_clock_counts_the_reads():
    numbers, seconds, _ = run([0, 0, 0, 0], failures=[(2, 3)])
    assert numbers == [0, 1, 5, 6]
    assert seconds == [0, 0.1, 0.5, 0.6]


def test_a_time_that_runs_back_does_not_count_what_was_there_again():
    numbers, seconds, clock = run([*np.arange(45) / RATE, 4.1, 4.6, 4.7], contents=Contents(is_whole=False))
    assert numbers[-3:] == [45, 46, 47]
    assert seconds[-3:] == [4.5, 4.6, 4.7]
    assert clock.lost == 0


def test_a_damaged_time_makes_no_million_of_frames():
    numbers, _, clock = run([*np.arange(9) / RATE, 36_000.0], contents=Contents(is_whole=False), declared=40)
    assert (numbers[-1], clock.lost) == (9, 0)


@pytest.fixture
def tells():
    """A container of frames at 0, 0.1, 0.4, 0.5 and 0.6 s."""
    times = np.array([0, 0.1, 0.4, 0.5, 0.6])
    return Contents(True, times, np.arange(5), times)


def test_the_container_knows_which_are_lost(tells):
    numbers, _, clock = run([0, 0.4, 0.6], contents=tells)
    assert numbers == [0, 2, 4]
    assert (clock.lost, clock.count, clock.jumps) == (2, 5, [])
    assert clock.seconds_of(1, 3) == 0.1


def test_a_container_that_disagrees_is_not_believed(tells):
    numbers, _, clock = run([0, 0.25, 0.3, 0.4], contents=tells)
    assert numbers == [0, 1, 2, 3]
    assert clock.count is None


def test_a_time_that_runs_back_gives_no_number_twice(tells):
    numbers, seconds, clock = run([0, 0.4, 0.1], contents=tells)
    assert (numbers, seconds, clock.lost) == ([0, 2, 3], [0, 0.4, 0.5], 1)


def test_after_a_pause_the_container_still_knows_which_are_lost():
    """Frames came twice as fast as on average, and were taken for half frames: the lost one was not told."""
    times = np.array([0, 0.05, 0.1, 0.15, 0.2, 0.7, 0.75, 0.8, 0.85, 0.9])
    numbers, _, clock = run(np.delete(times, 3), contents=Contents(True, times, np.arange(10), times))
    assert numbers == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert (clock.lost, clock.count) == (1, 10)


def test_half_frames_are_not_taken_for_frames():
    times = np.arange(20) / (2 * RATE)
    numbers, _, clock = run([0, 0.1, 0.2, 0.4], contents=Contents(True, times, np.arange(20), times))
    assert numbers == [0, 1, 2, 3]
    assert clock.count is None


@pytest.fixture
def renumbered():
    """An AVI file that lost the second of five frames: its reader counts those that it meets."""
    times, numbers = np.arange(4) / RATE, np.array([0, 2, 3, 4])
    return Contents(False, times, numbers, np.arange(5) / RATE, is_exact=False, counts_chunks=True)


def test_frames_of_a_reader_that_counts_get_the_numbers_and_times_of_the_container(renumbered):
    numbers, seconds, clock = run(np.arange(4) / RATE, contents=renumbered)
    assert (numbers, seconds) == ([0, 2, 3, 4], [0, 0.2, 0.3, 0.4])
    assert (clock.lost, clock.count) == (1, 5)


def test_what_a_reader_is_late_by_stays_when_the_container_tells_no_more(renumbered):
    """It counts on from 0.3 s where the container's time was 0.4 s."""
    numbers, seconds, clock = run([*np.arange(4) / RATE, 0.5], contents=renumbered)
    assert (numbers[-1], seconds[-1], clock.lost) == (6, 0.6, 2)


def test_a_reader_that_begins_late_is_numbered_by_its_times_where_frames_may_be_hidden(renumbered):
    numbers, _, clock = run([0.1, 0.2], contents=renumbered)
    assert (numbers, clock.lost, clock.count) == ([1, 2], 1, None)
