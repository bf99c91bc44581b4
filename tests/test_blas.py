"""NumPy's threads after its import."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

VARIABLE = "OPENBLAS_THREAD_TIMEOUT"


def python(code, **variables):
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | variables
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    return done.stdout.strip()


SEEN = f"""
import os, sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            print(os.environ.get("{VARIABLE}"))
sys.meta_path.insert(0, Look())
"""
AFTER = f"; print(os.environ.get('{VARIABLE}'), 'numpy' in sys.modules)"


@pytest.mark.process
@pytest.mark.parametrize("code", ["from fastsam_onnx import FastSAM", "from fastsam_onnx import Mask"])
def test_numpy_is_imported_with_threads_that_sleep_soon_and_the_environment_stays(code):
    assert python(SEEN + code + AFTER).split() == ["20", "None", "True"]


@pytest.mark.process
def test_so_it_is_on_the_command_line():
    assert python(SEEN + "from fastsam_onnx.cli import main; main(['models'])" + AFTER).split()[0] == "20"


@pytest.mark.process
def test_what_the_user_set_counts():
    assert python(SEEN + "from fastsam_onnx import FastSAM" + AFTER, **{VARIABLE: "24"}).split() == ["24", "24", "True"]


@pytest.mark.process
def test_a_numpy_that_is_there_is_left_alone():
    assert python(SEEN + "import numpy; from fastsam_onnx import FastSAM" + AFTER).split() == ["None", "None", "True"]
