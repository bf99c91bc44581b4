"""How text becomes a value, and that the help tells the truth."""

import argparse

import pytest

from fastsam_onnx.cli import arguments
from fastsam_onnx.cli.arguments import output_place
from fastsam_onnx.cli.program import main
from fastsam_onnx.formats.registry import FORMATS
from fastsam_onnx.options import DEFAULT_CONF, DEFAULT_IMGSZ, DEFAULT_IOU, DEFAULT_MAX_DET


def test_numbers_of_options():
    assert arguments.foreground("620,360.5") == (620, 360.5, 1)
    assert arguments.background("620,360.5") == (620, 360.5, 0)
    assert arguments.box("-5,0,90,80") == (-5, 0, 90, 80)
    assert arguments.input_size("1024") == 1024
    assert arguments.input_size("1280x736") == (736, 1280)  # (height, width)
    assert arguments.frame_size("1280x720") == (1280, 720)  # (width, height)
    assert arguments.class_names("person, dog") == ["person", "dog"]
    assert arguments.bands("3,2,1") == (3, 2, 1)
    assert arguments.bands("4") == (4,)
    assert arguments.white("4095") == 4095
    assert arguments.integer("300") == 300
    assert arguments.fraction("1") == 1


def test_formats_have_commas_between_or_are_repeated(capsys):
    assert arguments.format_names("overlay") == ["overlay"]
    assert arguments.format_names("overlay, coco-dataset") == ["overlay", "coco-dataset"]
    for wrong, name in (("overlay,xml", "xml"), ("overlay,", ""), ("", "")):
        assert main(["segment", "a.png", f"--format={wrong}"]) == 2
        said = capsys.readouterr().err
        assert "--format: the value must be one of overlay, " in said
        assert f"or several with commas between, got {name!r}" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["segment", "a.png", "-o", "~/out"],
        ["segment", "a.png", "--output=~/a.svg"],
        ["convert", "a.json", "--to", "svg", "-o", "~"],
        ["export", "a.pt", "-o", "~/a.onnx"],
        ["quantize", "a.pt", "-o", "~/a.onnx"],
    ],
)
def test_no_folder_is_made_of_a_home_that_no_shell_expanded(arguments, tmp_path, monkeypatch, capsys):
    """Shells leave ~ in quotes and behind = alone; whoever saw a folder of that name might remove it so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").touch()
    assert main(arguments) == 2
    assert "there is no folder ~, got ~" in capsys.readouterr().err
    assert output_place("~nobody-of-that-name/out") == "~nobody-of-that-name/out"
    (tmp_path / "~").mkdir()
    assert output_place("~/out") == "~/out"


@pytest.mark.parametrize("names", ["person,,dog", ",", "person, ", ""])
def test_classes_have_names(names):
    with pytest.raises(argparse.ArgumentTypeError, match="must be names of classes with commas between"):
        arguments.class_names(names)


@pytest.mark.parametrize("command", [["segment", "a.png"], ["serve"], ["quantize", "a.onnx"]])
@pytest.mark.parametrize("threads", [1025, 4097])
def test_threads_have_the_limit_of_the_library(command, threads, capsys):
    assert main([*command, f"--threads={threads}"]) == 2
    assert "--threads: the value must be an integer from 1 to 1024, got " in capsys.readouterr().err


@pytest.mark.parametrize("port", ["-1", "65536", "8_0", "٨", "x"])
def test_a_port_is_a_number_up_to_65535(port, capsys):
    assert main(["serve", f"--port={port}", "--model", "none.onnx"]) == 2
    assert "--port: the value must be an integer from 0 to 65535, got " in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["segment", "a.png", "--output", ""],
        ["segment", "a.png", "--output="],
        ["segment", "a.png", "-o", ""],
        ["segment", "a.png", "--model", ""],
        ["segment", "a.png", "--clip", ""],
        ["segment", "a.png", "--prompts", ""],
        ["segment", "a.png", "--mask", ""],
        ["segment", "a.png", "--text", ""],
        ["segment", "a.png", "--other", ""],
        ["segment", "a.png", ""],
        ["convert", "a.json", "--to", "svg", "-o", ""],
        ["convert", "a.json", "--to", "overlay", "--photos", ""],
        ["convert", "", "--to", "svg"],
        ["info", ""],
        ["export", "a.pt", "-o", ""],
        ["quantize", "a.onnx", "-o", ""],
        ["quantize", "a.onnx", "--photos", ""],
        ["serve", "--token-file", ""],
        ["serve", "--host", ""],
        ["serve", "--cors", ""],
    ],
)
def test_an_empty_value_is_never_the_default(arguments, capsys, tmp_path, monkeypatch):
    """A variable of a shell that is unset gives one: --output "$OUT" must not mean the current folder."""
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "the value must not be empty" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert", "-", "--to", "svg"],
        ["convert", "a.json", "--to", "svg", "-o", "-"],
        ["convert", "a.json", "--to", "coco-dataset", "-o", "-"],
        ["export", "a.pt", "-o", "-"],
        ["quantize", "a.onnx", "--output=-"],
    ],
)
def test_only_segment_has_pipes(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "the value must be a file or folder, got -; only `segment` has pipes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "0,1,2", "1,2", "1,2,3,4", "1,2,", "a", "-1", "1.0,2,3", "1;2;3"])
def test_bands_are_one_or_three(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"bands|number of bands must be an integer >= 1"):
        arguments.bands(text)


def test_help_agrees_with_the_defaults(capsys):
    assert main(["segment", "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for default in (f"own, else {DEFAULT_CONF}", f"own, else {DEFAULT_IOU}", f"own, else {DEFAULT_IMGSZ}"):
        assert default in text
    assert f"(default: {DEFAULT_MAX_DET})" in text
    assert all(kind.what in text for kind in FORMATS.values())
