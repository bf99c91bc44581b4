"""What is warned of is told to the log, and to whoever gathers it: a server's client sees no log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from fastsam_onnx.log import gathered, warn, warning_header


def test_what_is_warned_of_meanwhile_is_gathered_and_logged(caplog):
    warn("before")
    with gathered() as told:
        warn("%s of 100 %%", "5")
        warn("100 %")
    warn("after")
    assert told == ["5 of 100 %", "100 %"]
    assert caplog.messages == ["before", "5 of 100 %", "100 %", "after"]


def test_inner_gathering_keeps_its_own():
    with gathered() as outer:
        warn("one")
        with gathered() as inner:
            warn("two")
        warn("three")
    assert (outer, inner) == (["one", "three"], ["two"])


def test_threads_do_not_hear_each_other():
    both = Barrier(2, timeout=30)

    def work(name: str) -> list[str]:
        with gathered() as told:
            both.wait()
            warn(name)
            both.wait()
        return told

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, "ab")) == [["a"], ["b"]]


def test_a_header_is_ascii_without_line_ends_and_short():
    assert warning_header(['say "no"', "two\nlines", "Käse", "Käse"]) == (
        r'299 - "say \"no\"", 299 - "two\nlines", 299 - "K\u00e4se"'
    )
    many = warning_header(f"{number} " + "é" * 2000 for number in range(100))
    assert many.count("299 - ") == 5
    assert len(many) < 16000


def test_who_sent_a_photo_is_told_of_the_photo_not_of_bytes():
    assert warning_header(["bytes (123 bytes) is nearly black", "a file of bytes (1 bytes)"]) == (
        '299 - "the photo is nearly black", 299 - "a file of bytes (1 bytes)"'
    )
