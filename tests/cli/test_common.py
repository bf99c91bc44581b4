"""Steps that commands share: what may be replaced, and which classes are meant."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.command_line import POSIX

from fastsam_onnx.cli.common import STDOUT, check_new, check_outputs, wanted_classes
from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.results.prompts import Prompts


def test_standard_output_is_not_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("-").write_text("mine")
    check_new(STDOUT, overwrite=False)
    check_outputs([STDOUT], [Path("-")])
    check_outputs([STDOUT, STDOUT], [])


def test_a_file_is_replaced_if_that_is_asked_for(tmp_path):
    path = tmp_path / "a.json"
    check_new(path, overwrite=False)
    path.write_text("mine")
    check_new(path, overwrite=True)
    with pytest.raises(OutputError, match=r"a\.json exists; pass --overwrite"):
        check_new(path, overwrite=False)


@POSIX
def test_what_is_read_is_not_replaced_through_a_link_either(tmp_path):
    photo, link = tmp_path / "a.png", tmp_path / "b.png"
    photo.write_text("photo")
    link.symlink_to(photo)
    for output in (photo, link, tmp_path / "." / "a.png"):
        with pytest.raises(OptionError, match="would be replaced by a result"):
            check_outputs([output], [photo])
    with pytest.raises(OptionError, match="two results would have the same name"):
        check_outputs([photo, link], [])


def test_a_class_that_is_called_a_number_is_meant_by_its_name():
    model = SimpleNamespace(contract=SimpleNamespace(class_names={0: "3", 1: "7", 3: "cup"}))
    arguments = argparse.Namespace(classes=["3", "1", "cup"])
    assert wanted_classes(arguments, model, Prompts()) == [0, 1, 3]
