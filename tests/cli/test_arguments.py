"""How text becomes a value, and that the help tells the truth."""

import argparse

import pytest

from fastsam_onnx.cli import arguments
from fastsam_onnx.cli.program import main
from fastsam_onnx.formats.registry import FORMATS
from fastsam_onnx.options import DEFAULT_CONF, DEFAULT_IMGSZ, DEFAULT_IOU, DEFAULT_MAX_DET


def test_numbers_of_options():
    assert arguments.point("620,360.5") == (620, 360.5)
    assert arguments.box("-5,0,90,80") == (-5, 0, 90, 80)
    assert arguments.input_size("1024") == 1024
    assert arguments.input_size("1280x736") == (736, 1280)  # (height, width)
    assert arguments.bands("3,2,1") == (3, 2, 1)
    assert arguments.bands("4") == (4,)
    assert arguments.white("4095") == 4095
    assert arguments.integer("300") == 300
    assert arguments.fraction("1") == 1


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
