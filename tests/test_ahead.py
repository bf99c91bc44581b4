"""Modules that are imported while a network opens."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fastsam_onnx.ahead import importing

PHOTO = Path(__file__).parents[1] / "examples" / "coffee.jpg"


def python(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.process
def test_a_photo_imports_nothing_that_opening_did_not():
    code = (
        "import sys, threading; from fastsam_onnx import FastSAM; model = FastSAM(); before = set(sys.modules);"
        f"model({str(PHOTO)!r}).masks[0];"
        "print([name for name in set(sys.modules) - before if name.partition('.')[0] in ('cv2', 'fastsam_onnx')])"
    )
    assert python(code) == "[]"


@pytest.mark.process
def test_threads_begin_with_a_network_and_end_with_its_opening():
    code = (
        "import threading, fastsam_onnx; from fastsam_onnx import FastSAM; first = threading.active_count();"
        "FastSAM(); print(first, threading.active_count())"
    )
    assert python(code) == "1 1"


def test_modules_are_there_when_the_block_has_ended(tmp_path, monkeypatch):
    (tmp_path / "slow_module_of_a_test.py").write_text("import time\ntime.sleep(0.2)\nvalue = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    with importing(["slow_module_of_a_test"]):
        pass
    assert sys.modules.pop("slow_module_of_a_test").value == 3


def test_what_fails_is_left_to_who_needs_it(tmp_path, monkeypatch):
    (tmp_path / "broken_module_of_a_test.py").write_text("raise RuntimeError\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = threading.active_count()
    with importing(["broken_module_of_a_test", "no_such_module_of_a_test", "colorsys"]):
        pass
    assert "broken_module_of_a_test" not in sys.modules
    assert "colorsys" in sys.modules
    assert threading.active_count() == before


def test_an_error_of_the_block_goes_through():
    with pytest.raises(KeyError), importing(["no_such_module_of_a_test"]):
        raise KeyError


def test_no_thread_starts_for_what_is_there(monkeypatch):
    monkeypatch.setattr(threading, "Thread", None)
    with importing(["sys", "threading"]):
        pass
