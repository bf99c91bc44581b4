"""What a signal does to a command while it runs."""

import importlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from fastsam_onnx.cli import main
from fastsam_onnx.cli.signals import EndedBySignal, signals_that_end

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there programs are ended without a signal")


def test_what_ignores_signals_or_handles_them_stays():
    """So does a command that nohup started when its terminal is closed."""

    def own(*_):
        pass

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGTERM, own)
    try:
        with signals_that_end():
            assert [signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGTERM)] == [signal.SIG_IGN, own]
            assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
        assert [signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGTERM)] == [signal.SIG_IGN, own]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        for number, handler in zip((signal.SIGHUP, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)


@pytest.mark.parametrize(("name", "error"), [("SIGTERM", EndedBySignal), ("SIGINT", KeyboardInterrupt)])
def test_a_signal_waits_for_the_end_of_an_import(tmp_path, monkeypatch, name, error):
    """The import lock that CPython takes and gives back in Python would stay taken, and other threads would hang."""
    code = f"import os, signal, time\nos.kill(os.getpid(), signal.{name})\ntime.sleep(0.1)\nEND = True\n"
    (tmp_path / "half_way.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    handlers = [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)]

    def command():
        with signals_that_end():
            importlib.import_module("half_way")
            time.sleep(10)

    with pytest.raises(error):
        command()
    assert sys.modules.pop("half_way").END  # an import that an exception ends leaves no module
    assert [signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)] == handlers
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize(("name", "error"), [("SIGTERM", EndedBySignal), ("SIGINT", KeyboardInterrupt)])
def test_a_command_that_an_import_runs_can_be_ended(tmp_path, monkeypatch, name, error):
    """Not only imports that the command began: its own caller may be the top level of a module."""
    body = f"""
import os, signal, time
from fastsam_onnx.cli.signals import signals_that_end
with signals_that_end():
    os.kill(os.getpid(), signal.{name})
    time.sleep(10)
"""
    (tmp_path / "runs_a_command.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    began = time.monotonic()
    with pytest.raises(error):
        importlib.import_module("runs_a_command")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("second", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize(("first", "error"), [("SIGTERM", EndedBySignal), ("SIGINT", KeyboardInterrupt)])
def test_a_second_signal_does_not_stop_the_clearing_up(first, error, second):
    """Ctrl-C twice left half a file, and threads of C++ that were not joined ended the process with SIGABRT."""
    cleared = False

    def command():
        nonlocal cleared
        with signals_that_end():
            try:
                os.kill(os.getpid(), getattr(signal, first))
                time.sleep(10)
            finally:
                os.kill(os.getpid(), getattr(signal, second))
                time.sleep(0.05)
                cleared = True

    with pytest.raises(error):
        command()
    assert cleared


@pytest.mark.process
def test_a_later_ctrl_c_ends_the_clearing_up():
    code = """
import signal, time
from fastsam_onnx.cli import signals
signals.PATIENCE_SECONDS = 0.1
with signals.signals_that_end():
    try:
        signal.raise_signal(signal.SIGTERM)
    finally:
        time.sleep(0.2)
        signal.raise_signal(signal.SIGINT)
        time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=50, check=False)
    assert (ended.returncode, ended.stderr) == (130, b"")


def test_the_wait_for_standard_input_ends(tmp_path, monkeypatch):
    """A thread read it, and `kill` had no effect until its writer ended."""
    readers = []

    class Silent:
        def isatty(self):
            return False

        def read(self):
            readers.append(threading.current_thread())
            signal.raise_signal(signal.SIGTERM)
            return b""

    silent = Silent()
    silent.buffer = silent
    monkeypatch.setattr(sys, "stdin", silent)
    assert main(["segment", "-", "--quiet", "-o", str(tmp_path / "o.json")]) == 128 + signal.SIGTERM
    assert readers == [threading.main_thread()]
