"""Lines and the progress bar on a terminal and elsewhere."""

import sys

import pytest
from support.command_line import POSIX, environment, photo
from support.terminal import in_a_terminal

from fastsam_onnx.cli.screen import Screen


def test_what_is_not_printable_is_escaped(capsys):
    Screen(sys.stderr).say("a\x1b[31m \udcff\nb")
    assert capsys.readouterr().err == "fastsam-onnx: a\\x1b[31m \\udcff b\n"


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
