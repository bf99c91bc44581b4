"""Numbers and times of frames from what a reader tells, where the container does not tell them itself."""

import numpy as np
import pytest

from fastsam_onnx.arrays import ceil_div
from fastsam_onnx.images import matroska
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


def test_a_rate_that_varies_tells_no_loss():
    numbers, seconds, clock = run([0, 0.3, 0.7, 0.8, 1.3, 1.9])
    assert numbers == list(range(6))
    assert seconds == [0, 0.3, 0.7, 0.8, 1.3, 1.9]
    assert (clock.lost, clock.jumps) == (0, [])


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


@pytest.mark.parametrize("data", [b"", b"\x1a", b"\x1a\x45\xdf\xa3", b"\x1a\x45\xdf\xa3\x80"])
def test_a_matroska_file_that_ends_in_its_header_has_no_times(data):
    assert matroska.frame_times(memoryview(data)) == (None, True)
    assert not matroska.has_wrong_length(memoryview(data))


@pytest.mark.parametrize("place", [matroska.TIMESTAMP, 0x2AD7B1], ids=["a cluster's time", "the length of a tick"])
def test_an_integer_of_more_bytes_than_matroska_allows_is_damage(place):
    """It was an OverflowError."""

    def element(kind, body):
        return kind.to_bytes(ceil_div(kind.bit_length(), 8)) + (len(body) | 1 << 28).to_bytes(4) + body

    def file(integer):
        numbers = {matroska.TIMESTAMP: b"\0", 0x2AD7B1: b"\x0f\x42\x40"} | {place: integer}
        cluster = element(matroska.TIMESTAMP, numbers[matroska.TIMESTAMP]) + element(0xA3, b"\x81\0\0\x80x")
        track = element(0x83, b"\1") + element(0xD7, b"\1") + element(0x86, b"V_VP9")
        parts = {
            matroska.INFO: element(0x2AD7B1, numbers[0x2AD7B1]),
            matroska.TRACKS: element(0xAE, track),
            matroska.CLUSTER: cluster,
        }
        segment = b"".join(element(kind, body) for kind, body in parts.items())
        return memoryview(element(0x1A45DFA3, b"") + element(matroska.SEGMENT, segment))

    assert matroska.frame_times(file(b"\1" * 8)) == (0, True)
    assert matroska.frame_times(file(b"\1" * 200)) == (None, False)
