"""The command line in this process (`run`) and in one of its own (`shell`), with a network whose answer is known."""

import subprocess
import sys

import numpy as np
import pytest
from support import tiny_onnx, toy_clip
from support.command_line import environment

from fastsam_onnx.cli.program import main


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """An ONNX file that finds FIRST with score 0.9 and SECOND with 0.8; the logit is 5 in all of a box."""
    file = tmp_path_factory.mktemp("network") / "known.onnx"
    boxes = [[20, 20, 24, 24], [48, 50, 24, 20]]  # cx, cy, w, h
    file.write_bytes(
        tiny_onnx.known(boxes, [0.9, 0.8], [[5.0, 0.0], [5.0, 0.0]], np.stack([np.ones((16, 16)), np.zeros((16, 16))]))
    )
    return str(file)


@pytest.fixture
def run(network, capsys):
    """Run `segment` in this process; gives exit code, standard output, standard error."""

    def run_segment(*arguments):
        code = main(["segment", "--model", network, *map(str, arguments)])
        return code, *capsys.readouterr()

    return run_segment


@pytest.fixture
def shell(network, tmp_path):
    """Run the program as a process of its own, in tmp_path, by default with the tests' network."""

    def run_program(*arguments, model=True, stdin=b"", **options):
        command = [sys.executable, "-m", "fastsam_onnx", *arguments]
        if model:
            command += ["--model", network]
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment(),
            timeout=120,
            check=False,
            **options,
        )

    return run_program


@pytest.fixture
def clip_folder(tmp_path):
    return toy_clip.write(tmp_path / "clip")
