"""Models that were opened before a fork: children answer like their parent, and end."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from support import toy_clip
from support.tiny_onnx import tiny

pytestmark = [pytest.mark.process, pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")]

PROGRAM = """
import os, sys
import numpy as np
from fastsam_onnx import FastSAM

photo = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
def answer(model):
    found = model(photo)
    return len(found), found.scores.tolist()

model = FastSAM(sys.argv[1], imgsz=96, conf=0.1, threads=2)
expected = answer(model)
child = os.fork()
if child == 0:
{child}
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert answer(model) == expected
sys.exit(os.waitstatus_to_exitcode(status))
"""


def run(child, *arguments):
    program = PROGRAM.format(child=textwrap.indent(textwrap.dedent(child), "    "))
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True) as process:
        try:
            output, _ = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # also the child, which holds the pipe
            raise
    assert process.returncode == 0, output.decode()


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "tiny.onnx"
    file.write_bytes(tiny(seed=3))
    return str(file)


@pytest.mark.parametrize(
    "child",
    [
        "pass",
        "del model",
        "model.close()",
        "assert answer(model) == expected",
        "assert answer(model) == expected; session = model._network._session; model.close(); del session",
        """
        if os.fork() == 0:
            assert answer(model) == expected
        else:
            _, status = os.wait()
            sys.exit(os.waitstatus_to_exitcode(status))
        """,
    ],
)
def test_a_child_answers_like_its_parent_and_ends(path, child):
    run(child, path)


def test_a_child_opens_its_own_session(path):
    run("old = model._network._session; answer(model); assert model._network._session is not old", path)


def test_threads_of_a_child_that_come_at_once_open_one_session(path):
    run(
        """
        import time
        from concurrent.futures import ThreadPoolExecutor

        opened, reopen = [], model._network._reopen
        def slowly():
            opened.append(1)
            time.sleep(0.5)
            return reopen()
        model._network._reopen = slowly
        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(answer, [model] * 2)) == [expected] * 2
        assert opened == [1]
        """,
        path,
    )


def test_a_child_does_not_wait_for_what_its_parent_opens(path):
    run(
        """
        from fastsam_onnx.runtime import opening

        with opening():
            child = os.fork()
            if child == 0:
                assert answer(model) == expected
                os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.exit(os.waitstatus_to_exitcode(status))
        """,
        path,
    )


def test_a_closed_model_stays_closed(path):
    run(
        """
        from fastsam_onnx import ModelError
        model.close()
        try:
            model(photo)
        except ModelError as error:
            assert "closed" in str(error)
        else:
            sys.exit(1)
        """,
        path,
    )


def test_a_callers_own_session_is_not_closed_either(path):
    run(
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        mine = FastSAM(ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"]), imgsz=96)
        if os.fork() == 0:
            del mine
        else:
            _, status = os.wait()
            sys.exit(os.waitstatus_to_exitcode(status))
        """,
        path,
    )


def test_processes_that_multiprocessing_forks(path):
    run(
        """
        import multiprocessing
        context = multiprocessing.get_context("fork")
        queue = context.SimpleQueue()
        processes = [context.Process(target=lambda: queue.put(answer(model))) for _ in range(2)]
        for each in processes:
            each.start()
        answers = [queue.get() for _ in processes]
        for each in processes:
            each.join(30)
        assert answers == [expected] * 2 and [each.exitcode for each in processes] == [0, 0]
        """,
        path,
    )


def test_clip_in_a_child(path, tmp_path):
    run(
        """
        from fastsam_onnx import Clip
        clip = Clip(sys.argv[2], threads=2)
        vectors = clip.embed_texts(["red", "green"])
        if os.fork() == 0:
            assert np.array_equal(clip.embed_texts(["red", "green"]), vectors)
        else:
            _, status = os.wait()
            sys.exit(os.waitstatus_to_exitcode(status))
        """,
        path,
        str(toy_clip.write(tmp_path / "clip")),
    )
