"""Lines and the progress bar on a terminal and elsewhere."""

import io
import os
import sys

import pytest
from support.command_line import POSIX, environment, photo
from support.screens import Clock, Terminal
from support.terminal import in_a_terminal

from fastsam_onnx.cli.screen import DownloadBar, Progress, Screen, print_line


def test_what_is_not_printable_is_escaped(capsys):
    Screen(sys.stderr).say("a\x1b[31m \udcff\nb")
    assert capsys.readouterr().err == "fastsam-onnx: a\\x1b[31m \\udcff b\n"


def test_a_bar_is_drawn_over_the_one_before_and_taken_away_for_a_line():
    terminal = Terminal()
    screen = Screen(terminal)
    screen.draw(0.99, "a\nb", 3661)
    first = f"[{'#' * 23}.] a\\nb, 1:01:01 left"  # 0.99 * 24 = 23.76
    assert terminal.taken() == f"\r{first}"
    screen.draw(None, "c", 59.6)
    assert terminal.taken() == "\r" + "c, 1:00 left".ljust(len(first))
    screen.draw(1, "", None)
    assert terminal.taken() == f"\r[{'#' * 24}] "
    screen.write("a line")
    assert terminal.taken() == "\r" + " " * 27 + "\ra line\n"
    screen.clear()
    assert terminal.taken() == ""


def test_a_bar_stays_on_one_line_however_long_the_name_of_a_file(monkeypatch):
    """Beyond the edge a terminal goes on in the next line, and every drawing would leave one behind."""
    terminal = Terminal()
    screen = Screen(terminal)
    screen.draw(0.5, "a/" * 60 + "clip.mp4: frame 7 of 14", 5)
    assert terminal.taken() == f"\r[{'#' * 12}{'.' * 12}] .../a/a/a/a/a/a/a/clip.mp4: frame 7 of 14, 0:05 left"
    screen.draw(None, "\u732b" * 60 + "e\u0301.mp4", None)
    shown = "..." + "\u732b" * 35 + "e\u0301.mp4"  # 3 + 70 + 5 columns: a letter of two does not fit the last one
    assert terminal.taken() == f"\r{shown} "
    screen.clear()
    assert terminal.taken() == "\r" + " " * 78 + "\r"
    monkeypatch.setattr(terminal, "fileno", lambda: 2)
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((20, 24)))
    screen.draw(0.5, "clip.mp4", 5)
    assert terminal.taken() == "\r...] ..., 0:05 left"


def test_there_is_no_bar_where_nobody_looks():
    stream = io.StringIO()
    screen = Screen(stream)
    screen.draw(0.5, "half", 1)
    screen.clear()
    Screen(None).draw(0.5, "half", 1)
    assert stream.getvalue() == ""


def test_the_time_left_is_that_of_the_pace_so_far(monkeypatch):
    """Four of ten were there before; two took three seconds, so four more take six."""
    clock, terminal = Clock(monkeypatch), Terminal()
    progress = Progress(Screen(terminal))
    progress.show(4, 10, "x", before=4)
    assert terminal.taken().rstrip() == f"\r[{'#' * 9}{'.' * 15}] x"
    clock.seconds += 3
    progress.show(6, 10, "x", before=4)
    assert terminal.taken() == f"\r[{'#' * 14}{'.' * 10}] x, 0:06 left"
    clock.seconds += 0.09
    progress.show(7, 10, "x", before=4)
    assert terminal.taken() == ""  # that was just done
    progress.show(10, 10, "x", before=4)
    assert "0:00 left" in terminal.taken()  # but the end is always drawn
    clock.seconds += 1
    for total in (None, 9):
        progress.show(10, total, "x")
        assert terminal.taken().rstrip() == "\rx"  # a total that is wrong gives no bar
        clock.seconds += 1


def test_each_download_has_a_pace_of_its_own(monkeypatch):
    clock, terminal = Clock(monkeypatch), Terminal()
    bar = DownloadBar(Screen(terminal))
    clock.seconds += 1000
    bar("a.onnx", 0, 4_000_000)
    clock.seconds += 2
    bar("a.onnx", 1_000_000, 4_000_000)
    assert "1.0 of 4.0 MB of a.onnx, 0:06 left" in terminal.taken()
    bar("b.onnx", 10, None)
    assert terminal.taken() == ""


@POSIX
def test_a_reader_that_went_away_stops_nothing():
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    screen = Screen(stream)
    for _ in range(2):
        screen.say("nobody hears it")
    screen.flush()
    stream.close()  # what was held back goes nowhere


def test_what_an_encoding_lacks_is_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    print_line("caf\u00e9")
    assert written.getvalue().splitlines() == [b"caf\\xe9"]
    monkeypatch.setattr(sys, "stdout", None)
    print_line("closed")


@pytest.mark.process
@POSIX
def test_a_terminal_gets_a_progress_bar_and_no_pictures(network, tmp_path):
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "b.png")
    program = [sys.executable, "-m", "fastsam_onnx"]
    code, text = in_a_terminal([*program, "segment", "in", "--model", network], cwd=tmp_path, env=environment())
    assert code == 0
    assert "[############............] 1 of 2" in text
    assert "1 of 2, " in text
    assert "photos/s, 0:00 left" in text
    assert "photos/s; results beside the photos" in text.split("\r")[-2]
    code, text = in_a_terminal(
        [*program, "segment", "in/a.png", "--output", "-", "--model", network], cwd=tmp_path, env=environment()
    )
    assert code == 2
    assert "a picture to the terminal" in text
    code, text = in_a_terminal(
        [*program, "segment", "-", "--format", "json", "--model", network], cwd=tmp_path, env=environment()
    )
    assert code == 1
    assert "standard input is a terminal" in text
