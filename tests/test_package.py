"""What holds for the package as a whole: its public names, its imports, its files."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastsam_onnx

ROOT = Path(__file__).parents[1]
FORBIDDEN = ("torch", "ultralytics", "onnx", "PIL", "pycocotools", "matplotlib", "scipy", "requests", "urllib3")
NETWORK = ("pooch", "requests", "urllib3")  # pooch is ours and brings the others, for a model asked for by name


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_public_names_are_listed_and_sorted():
    assert fastsam_onnx.__all__ == sorted(fastsam_onnx.__all__)
    missing = [name for name in fastsam_onnx.__all__ if not hasattr(fastsam_onnx, name)]
    assert not missing


def test_dir_shows_what_is_public():
    assert dir(fastsam_onnx) == fastsam_onnx.__all__


@pytest.mark.process
def test_modules_of_the_reference_are_there_from_the_first_on():
    """As attributes of the package, whatever was called before."""
    named = re.findall(
        r"^::: fastsam_onnx\.([a-z]+)", (ROOT / "docs" / "reference.md").read_text("utf-8"), re.MULTILINE
    )
    code = "import sys, fastsam_onnx\nfor name in sys.argv[1:]: print(getattr(fastsam_onnx, name).__name__)"
    shown = subprocess.run([sys.executable, "-c", code, *named], check=True, capture_output=True, text=True).stdout
    assert shown.split() == [f"fastsam_onnx.{name}" for name in named]


def test_every_exception_derives_from_ours_and_from_a_builtin():
    errors = [value for _, value in inspect.getmembers(fastsam_onnx.errors, inspect.isclass)]
    for error in errors:
        if error is not fastsam_onnx.FastSAMError:
            assert issubclass(error, fastsam_onnx.FastSAMError)
            assert issubclass(error, ValueError | OSError | ImportError | IndexError | RuntimeError)
        assert error.__name__ in fastsam_onnx.__all__


LATER = ("clip", "weights", "formats", "checkpoints", "quantize", "serve", "cli", "tiling", "draw", "stream", "labels")
WITH_A_PHOTO = ("images", "masks", "network", "results")
OF_FORMATS = ("tiff", "tiff_bands", "tiff_strips", "fax", "video", "rows", "sources")


def ours(*names):
    return [f"fastsam_onnx.{name}" for name in names]


@pytest.mark.process
@pytest.mark.parametrize(
    ("given", "code", "unwanted"),
    [
        ("sys", "import fastsam_onnx", ["numpy", "typing", "fastsam_onnx.model"]),
        ("sys, numpy", "from fastsam_onnx import FastSAM", ours(*WITH_A_PHOTO)),
    ],
)
def test_import_loads_no_heavy_module(given, code, unwanted):
    """What loads no model loads nothing that takes a model. NumPy 1.26 brings pathlib and threading itself."""
    heavy = ["cv2", "onnxruntime", "pathlib", "tokenizers", "json", "html", "logging", *NETWORK, *ours(*LATER)]
    heavy += ["threading", *unwanted]
    loaded = f"print([m for m in {heavy!r} if m in sys.modules.keys() - known])"
    assert python(f"import {given}; known = set(sys.modules); {code}; {loaded}").strip() == "[]"


@pytest.mark.process
def test_a_photo_loads_nothing_that_it_does_not_need():
    """First masks come late where rooms are imported for nothing: checkpoints took a tenth of the time to one.

    Opening a network loads what a photo needs, too; that costs no time (see `ahead`).
    """
    unwanted = ours(
        *(room for room in LATER if room not in ("weights", "checkpoints")),
        *(f"images.{name}" for name in OF_FORMATS),
        *("weights.lookup", "weights.download", "checkpoints.checkpoint", "results.prompts", "masks.outline"),
    )
    code = (
        f"import sys; from fastsam_onnx import FastSAM; FastSAM()({str(ROOT / 'examples' / 'coffee.jpg')!r}).masks[0];"
        f"print([m for m in {['logging', 'json', 'html', 'tokenizers', *NETWORK, *unwanted]!r} if m in sys.modules])"
    )
    assert python(code).strip() == "[]"


@pytest.mark.process
def test_a_photo_goes_through_without_forbidden_modules(tmp_path):
    code = (
        "import sys; from fastsam_onnx import FastSAM;"
        f"found = FastSAM()({str(ROOT / 'examples' / 'chelsea.jpg')!r});"
        f"found.save({str(tmp_path / 'a.png')!r}); found.save({str(tmp_path / 'a.json')!r});"
        f"print([m for m in {(*FORBIDDEN, 'pooch')!r} if m in sys.modules])"
    )
    assert python(code).strip() == "[]"


def test_no_source_names_a_forbidden_import():
    """But for the package onnx, where networks are quantized, and there only when that is done."""
    pattern = re.compile(r"^(\s*)(?:import|from) (" + "|".join(FORBIDDEN) + r")\b", re.MULTILINE)
    for path in (ROOT / "fastsam_onnx").rglob("*.py"):
        for indent, module in pattern.findall(path.read_text("utf-8")):
            assert module == "onnx", path
            assert path.parent.name == "quantize", path
            assert indent.strip("\n"), path


def test_only_downloads_use_the_network():
    pattern = re.compile(r"^\s*(?:import|from) (?:pooch|socket|http|urllib.request|ssl|ftplib)\b", re.MULTILINE)
    package = ROOT / "fastsam_onnx"
    users = [path for path in package.rglob("*.py") if pattern.search(path.read_text("utf-8"))]
    places = sorted(path.relative_to(package).as_posix() for path in users)
    # The first opens the port that it is told to, the second answers there.
    assert places == ["cli/serve.py", "serve/hosting.py", "weights/download.py"]


def test_the_library_never_prints_nor_exits():
    pattern = re.compile(r"(?<![\w.])print\(|sys\.exit\(")
    for path in (ROOT / "fastsam_onnx").rglob("*.py"):
        if path.parent.name != "cli" and path.name != "__main__.py":
            assert not pattern.search(path.read_text("utf-8")), path


def test_the_version_is_one_and_the_changelog_names_it():
    assert re.fullmatch(r"\d+\.\d+\.\d+", fastsam_onnx.__version__)
    assert fastsam_onnx.__version__ in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_runtime_dependencies_are_the_five():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = sorted(re.split(r"[<>=!~ ]", each)[0] for each in project["dependencies"])
    assert names == ["numpy", "onnxruntime", "opencv-python-headless", "pooch", "tokenizers"]


@pytest.mark.parametrize("name", ["weights", "examples"])
def test_what_is_not_ours_or_is_trained_says_where_it_comes_from(name):
    text = (ROOT / name / "README.md").read_text("utf-8")
    for path in (ROOT / name).iterdir():
        if path.suffix in {".jpg", ".png", ".onnx"}:
            assert path.name in text
