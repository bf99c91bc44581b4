"""tools/build_function.py: what goes into the zip, what does not, and the figures it prints; without an index."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def build(load_tool: Callable[[str], ModuleType]) -> ModuleType:
    return load_tool("build_function")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two packages as pip installs them into a folder, 10 bytes each file."""
    files = (
        "handler.py",
        "bin/f2py",
        "numpy/__init__.py",
        "numpy/__init__.pyi",
        "numpy/__pycache__/__init__.cpython-313.pyc",
        "numpy/typing/__init__.py",
        "numpy/linalg/__init__.py",
        "numpy/linalg/tests/test_linalg.py",
        "numpy/_core/_simd.cpython-313-x86_64-linux-gnu.so",
        "numpy/_core/lib/libnpymath.a",
        "numpy.libs/libopenblas.so",
        "onnxruntime/capi/libonnxruntime.so.1.32.0",
        "onnxruntime/capi/libonnxruntime_providers_shared.so",
        "onnxruntime/transformers/deep/model.py",
    )
    for name in files:
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0123456789")
    record = tmp_path / "tree" / "numpy-2.4.6.dist-info" / "RECORD"
    record.parent.mkdir()
    record.write_text("numpy/__init__.py,,10\nnumpy.libs/libopenblas.so,,10\nnumpy-2.4.6.dist-info/RECORD,,\n")
    return tmp_path / "tree"


def names(tree: Path) -> set[str]:
    return {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}


def test_what_is_not_run_is_left_out_and_counted(build, tree):
    bundled = tree / "fastsam_onnx" / "bundled"
    bundled.mkdir(parents=True)
    for model in ("nano", "small"):
        (bundled / f"fastsam-{model}.onnx").write_bytes(bytes(10))
    removed = build.leave_out(tree)
    assert names(tree) == {
        "handler.py",
        "fastsam_onnx/bundled/fastsam-nano.onnx",
        "numpy/__init__.py",
        "numpy/typing/__init__.py",
        "numpy/linalg/__init__.py",
        "numpy.libs/libopenblas.so",
        "numpy-2.4.6.dist-info/RECORD",
        "onnxruntime/capi/libonnxruntime_providers_shared.so",
    }
    assert [rule for rule, _ in removed] == list(build.LEFT_OUT)
    # One library, one file of the tools, two of tests, none of build tools, .pyi and .a, bin, small, a compiled source.
    assert [size for _, size in removed] == [10, 10, 20, 0, 20, 10, 10, 10]


def test_sizes_are_by_distribution(build, tree):
    sizes = build.size_by_package(tree)
    record = (tree / "numpy-2.4.6.dist-info" / "RECORD").stat().st_size
    assert sizes == Counter({"numpy": 9 * 10 + record, "onnxruntime": 30, "handler.py": 10, "bin": 10})


def test_the_same_tree_gives_the_same_zip(build, tree, tmp_path):
    archives = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for archive in archives:
        build.write_zip(archive, tree)
        (tree / "handler.py").touch()
    assert archives[0].read_bytes() == archives[1].read_bytes()
    assert set(zipfile.ZipFile(archives[0]).namelist()) == names(tree)
    assert not list(tmp_path.glob("*.part"))


def test_the_table_says_what_is_in_and_what_is_out(build, tmp_path):
    archive = tmp_path / "function.zip"
    archive.write_bytes(bytes(2**20))
    sizes = Counter({"numpy": 3 * 2**20, "idna": 2**18, "certifi": 2**18})
    rule = build.Rule(("numpy/tests", "numpy/f2py"), "not run")
    assert build.report(archive, sizes, [(rule, 2**20)]).splitlines() == [
        "| package | MiB |",
        "| --- | ---: |",
        "| numpy | 3.0 |",
        "| 2 more | 0.5 |",
        "| all, unzipped (at most 250) | 3.5 |",
        "| function.zip | 1.0 |",
        "",
        "| left out | MiB | why |",
        "| --- | ---: | --- |",
        "| numpy/tests, numpy/f2py | 1.0 | not run |",
    ]


def test_requirements_are_those_of_the_project_but_for_texts(build):
    whole, alone = build.requirements()
    assert [each.split(">")[0] for each in whole] == ["pooch"]
    assert sorted(each.split(">")[0] for each in alone) == ["numpy", "onnxruntime", "opencv-python-headless"]


def test_a_target_is_given_to_pip(build):
    assert build.Target(None, None).is_ours
    other = build.Target("3.13", "manylinux_2_28_aarch64")
    assert not other.is_ours
    assert other.options[1:] == ["--python-version", "3.13", "--platform", "manylinux_2_28_aarch64"]


def test_the_smoke_tests_are_there(build):
    assert [name for name in build.SMOKE if not (Path(__file__).parents[1] / name).is_file()] == []


@pytest.mark.process
def test_the_smoke_tests_need_no_package_that_builds_networks(build):
    tests = Path(__file__).parents[1]
    collect = "import sys, pytest; sys.modules['onnx'] = None; sys.exit(pytest.main(sys.argv[1:]))"
    options = ("--collect-only", "-q", "-p", "no:cacheprovider")
    command = [sys.executable, "-c", collect, *options, *build.SMOKE]  # pytest takes brackets above them for parameters
    done = subprocess.run(command, cwd=tests, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
