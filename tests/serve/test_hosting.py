"""Several processes at one port: all answer, one that dies is replaced, and all end with their parent."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

from support.server import PHOTO, Client
from support.tiny_onnx import tiny

from fastsam_onnx import FastSAM
from fastsam_onnx.errors import ServerError
from fastsam_onnx.serve import hosting
from fastsam_onnx.serve.protocol import ImpatientProtocol
from fastsam_onnx.serve.received import Limits

ROOT = Path(__file__).parents[2]
CHILDREN = Path("/proc/self/task")

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not CHILDREN.is_dir(), reason="looks for child processes as Linux shows them"),
]


def children(process):
    """Process ids of the servers; multiprocessing has one process of its own besides."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
    return {int(pid) for pid in listed if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()}


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_there(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


@pytest.fixture
def server(tmp_path):
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny())
    command = [sys.executable, "-m", "fastsam_onnx", "serve", "--port", "0", "--model", str(model), "--processes", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        line = process.stderr.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert match, line + process.stderr.read()
        try:
            yield process, Client(int(match[1]))
        finally:
            process.kill()


@pytest.mark.parametrize("stop", hosting.ENDING)
def test_two_processes_answer_at_one_port_and_end_together(server, stop):
    if signal.getsignal(stop) == signal.SIG_IGN:
        pytest.skip("tests run by nohup, so that the server ignores it, too")
    process, client = server
    assert client.segment(PHOTO).status == 200  # waits until one listens
    servers = children(process)
    assert len(servers) == 2
    assert client.ask("GET", "/info").json["workers"] >= 1
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopped" in err
    assert "Traceback" not in err
    assert not any(map(is_there, servers))


def test_an_interrupt_while_processes_start_writes_no_traceback(server):
    """A terminal sends Ctrl-C to all of them, and they were importing their modules."""
    process, _ = server
    wait_for(lambda: len(children(process)) == 2)
    for one in (*children(process), process.pid):
        os.kill(one, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "fastsam-onnx: stopped\n")


def test_a_process_that_dies_is_replaced(server):
    process, client = server
    assert client.segment(PHOTO).status == 200
    time.sleep(hosting.EARLY_SECONDS)
    dead = min(children(process))
    os.kill(dead, signal.SIGKILL)
    assert f"server process {dead} ended with status -9; another one is started" in process.stderr.readline()
    wait_for(lambda: len(children(process)) == 2 and dead not in children(process))
    assert client.segment(PHOTO).status == 200


def test_processes_end_with_a_parent_that_is_killed(server):
    process, client = server
    assert client.segment(PHOTO).status == 200
    servers = children(process)
    process.kill()
    process.wait(30)
    wait_for(lambda: not any(map(is_there, servers)))


class Early:
    """A process that ends at once."""

    pid, exitcode, sentinel = 12, 3, None

    def __init__(self, **_):
        self.calls = []

    def is_alive(self):
        return False

    def start(self):
        self.calls.append("start")

    terminate = kill = start

    def join(self, _):
        pass


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_a_closed_terminal_is_heeded_but_not_where_nohup_has_it_ignored():
    came = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with hosting._on_signals(lambda: came.append("ignored")):
            os.kill(os.getpid(), signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with hosting._on_signals(lambda: came.append("heeded")):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
    assert came == ["heeded"]


def test_what_ends_right_after_its_start_is_not_started_again(monkeypatch):
    class Context:
        Process = Early

    monkeypatch.setattr(hosting.multiprocessing, "get_context", lambda _: Context)
    monkeypatch.setattr(hosting, "wait", lambda *_: None)
    with pytest.raises(ServerError, match="server process 12 ended with status 3 right after its start"):
        hosting.host_in_processes(2, None, None, None, print)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_others_end_when_a_process_cannot_be_started(monkeypatch):
    """They lived on, and the program, which waits for them at its end, hung."""
    made = []

    class Context:
        @staticmethod
        def Process(**_):  # noqa: N802
            made.append(Early() if len(made) < 2 else Unstartable())
            return made[-1]

    class Unstartable(Early):
        def start(self):
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(hosting.multiprocessing, "get_context", lambda _: Context)
    with pytest.raises(ServerError, match="cannot start a server process: Resource temporarily unavailable"):
        hosting.host_in_processes(3, None, None, None, print)
    assert [len(process.calls) for process in made] == [3, 3, 0]


@pytest.mark.parametrize("early", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_server_listens_for_it_ends_it(monkeypatch, early):
    """It came while uvicorn was setting itself up, and nobody heard it: the process lived on without its parent."""

    class Early(hosting.uvicorn.Server):
        def run(self, sockets):
            signal.raise_signal(early)
            super().run(sockets)

    monkeypatch.setattr(hosting.uvicorn, "Server", Early)
    late = []
    clock = threading.Timer(20, lambda: (late.append(early), os.kill(os.getpid(), signal.SIGTERM)))
    with FastSAM(tiny(), threads=1) as model, socket.create_server(("127.0.0.1", 0)) as listener:
        clock.start()
        hosting.host(hosting.Hosting(1, Limits()).service(model), listener, access_log=False)
    clock.cancel()
    assert not late, "it ended only when it was told again"


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_a_server_may_open_as_many_files_as_its_connections_need():
    """Of 1024, as Linux gives, or 256, as macOS does, none were left, not even for a photo."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < hosting.OPEN_FILES:
        pytest.skip("may not open so many here")
    needed = ImpatientProtocol.most + hosting.BACKLOG
    try:
        for given, allowed in ((256, hosting.OPEN_FILES), (hosting.OPEN_FILES, hosting.OPEN_FILES)):
            resource.setrlimit(resource.RLIMIT_NOFILE, (given, hard))
            hosting._allow_open_files()
            assert needed + 256 < resource.getrlimit(resource.RLIMIT_NOFILE)[0] == allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
