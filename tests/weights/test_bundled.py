"""Models that come with the package have names, which a file of that name hides."""

from __future__ import annotations

import sys

import pytest

from fastsam_onnx import FastSAM, ModelNotFoundError, OptionError
from fastsam_onnx.weights import bundled, resolve
from fastsam_onnx.weights.bundled import BUNDLED, DEFAULT, bundled_model, bundled_names


@pytest.mark.parametrize("model", BUNDLED, ids=lambda model: model.name)
def test_every_bundled_model_opens_by_its_name(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = resolve(model.name.upper(), task="segment")
    assert path == bundled_model(model.name)
    assert FastSAM(model.name).contract.class_count == 1


def test_the_weights_stay_small():
    """The default for functions and small machines; both for the wheel, decoders included."""
    sizes = {model.name: bundled_model(model.name).stat().st_size for model in BUNDLED}
    assert sizes[DEFAULT] <= 8_000_000
    assert sum(sizes.values()) <= 17_600_000


def test_the_default_is_listed_first():
    assert bundled_names()[0] == DEFAULT


def test_a_file_of_that_name_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / DEFAULT).write_bytes(b"mine")
    assert resolve(DEFAULT).samefile(tmp_path / DEFAULT)


def test_it_is_not_a_clip():
    with pytest.raises((OptionError, ModelNotFoundError)):
        resolve(DEFAULT, task="clip")


def test_an_installation_without_it_says_so():
    with pytest.raises(ModelNotFoundError, match="fastsam-huge"):
        bundled_model("fastsam-huge")


def test_it_lies_in_the_package_of_a_wheel_and_beside_that_of_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "fastsam_onnx"
    monkeypatch.setattr(bundled, "__file__", str(package / "weights" / "bundled.py"))
    for folder in (tmp_path / "weights", package / "bundled"):  # the second one counts where both are there
        folder.mkdir(parents=True)
        (folder / "fastsam-nano.onnx").touch()
        assert bundled_model() == folder / "fastsam-nano.onnx"


@pytest.mark.parametrize(
    ("file", "frozen", "advice"),
    [
        ("pkg.zip/fastsam_onnx/weights/bundled.py", False, "it lies in a zip.*install the package, or give the path"),
        ("dist/fastsam_onnx/weights/bundled.py", True, "PyInstaller: --collect-data fastsam_onnx"),
        ("dist/fastsam_onnx/weights/bundled.py", False, "install the package again"),
    ],
)
def test_the_advice_fits_the_kind_of_installation(file, frozen, advice, tmp_path, monkeypatch):
    """To install again helped neither in a zip nor in a program made by PyInstaller."""
    (tmp_path / "dist" / "fastsam_onnx").mkdir(parents=True)
    (tmp_path / "pkg.zip").touch()
    monkeypatch.setattr(bundled, "__file__", str(tmp_path / file))
    if frozen:  # other Pythons have no such attribute
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ModelNotFoundError, match=advice):
        bundled_model()
