"""Names to files: where they are kept, what is fetched, and that nothing wrong ever has a final name.

All servers are local; the entries are small ones of our own.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import logging
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.terminal import in_a_terminal
from support.tiny_onnx import tiny

import fastsam_onnx
from fastsam_onnx import DownloadError, FastSAM, ModelNotFoundError, OptionError, weights
from fastsam_onnx.cli.program import main
from fastsam_onnx.files import try_lock
from fastsam_onnx.weights import cache, cache_folder, catalogue, download, fetch, is_here, resolve, verify
from fastsam_onnx.weights.bundled import bundled_names
from fastsam_onnx.weights.catalogue import Entry, File

BODY = bytes(range(256)) * 800  # 204,800 bytes: several chunks
ROOT = Path(fastsam_onnx.__file__).parents[1]
TINY = Path(__file__).parents[1] / "data" / "tiny.pt"
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


class Server:
    """A web server whose answers are functions of the request's handler; it counts what is asked for."""

    def __init__(self):
        self.answers = {}
        self.asked = Counter()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked[self.path] += 1
                self.close_connection = True
                with contextlib.suppress(OSError):  # the client has gone
                    server.answers.get(self.path, answers_status(404))(self)

            def log_message(self, *_):
                pass

        self._httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._httpd.server_port}"
        self._thread = threading.Thread(target=self._httpd.serve_forever, args=(0.02,))
        self._thread.start()

    def serve(self, path, answer):
        self.answers[path] = answer
        return self.address + path

    def close(self):
        self._httpd.shutdown()
        self._httpd.server_close()
        self._thread.join()


def answers(body=BODY, *, length=None, piece=None, pause=0.0, headers=()):
    """Send a body, in pieces with pauses, and say that it has some length."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        for header in headers:
            handler.send_header(*header)
        handler.end_headers()
        size = piece or len(body) or 1
        for start in range(0, len(body), size):
            handler.wfile.write(body[start : start + size])
            time.sleep(pause)

    return answer


def answers_status(status, *headers):
    def answer(handler):
        handler.send_response(status)
        for header in headers:
            handler.send_header(*header)
        handler.send_header("Content-Length", "5")
        handler.end_headers()
        handler.wfile.write(b"sorry")

    return answer


def in_turn(*those):
    """One answer for each request, the last for all that follow."""
    left = list(those)

    def answer(handler):
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return answer


def hangs(seconds=5.0):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        handler.wfile.write(BODY[:1000])
        handler.wfile.flush()
        time.sleep(seconds)

    return answer


def answers_parts(body=BODY, most=10**9, asked=None, moved=0):
    """Send what is asked for by Range, at most so many bytes before it breaks off; `moved`: from another place."""

    def answer(handler):
        wanted = handler.headers.get("Range")
        if asked is not None:
            asked.append(wanted)
        start = moved + int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        if wanted and start >= len(body):
            answers_status(416)(handler)
            return
        handler.send_response(206 if wanted else 200)
        if wanted:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        handler.wfile.write(body[start : start + most])

    return answer


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache folder of the test's own; no proxy between us and the local server; no waiting."""
    for name in ("http_proxy", "https_proxy", "all_proxy", weights.OFFLINE, weights.MIRRORS):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setenv(weights.HOME, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def forbidden_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def known(*addresses, path="model.bin", body=BODY, name="model"):
    return entry(File(path, addresses, len(body), hashlib.sha256(body).hexdigest()), name=name)


def entry(*files, name="model", task="segment"):
    return Entry(name, task, "for tests", "CC0-1.0", "Says the test.", "the test", files)


def all_below(folder):
    """All files, but for the locks, which are empty."""
    if not folder.exists():
        return {}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert all(path.stat().st_size == 0 for name, path in found.items() if name.endswith(".lock"))
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith(".lock")}


class TestFetch:
    def test_a_file_arrives_once_with_its_licence_told_before(self, server, home, caplog):
        one = known(server.serve("/a", answers()))
        assert not is_here(one)
        with caplog.at_level(logging.WARNING, "fastsam_onnx"):
            path = fetch(one)
        assert path == home / "model.bin"
        assert all_below(home) == {"model.bin": BODY}
        [record] = caplog.records
        assert record.levelno == logging.WARNING  # so that it is seen without any configuration
        assert "204,800 bytes" in record.getMessage()
        assert "CC0-1.0. Says the test." in record.getMessage()
        caplog.clear()
        assert fetch(one) == path
        assert is_here(one)
        assert server.asked == {"/a": 1}
        assert not caplog.records

    def test_several_files_lie_in_a_folder_and_only_what_is_missing_is_fetched(self, server, home):
        bodies = {name: BODY + name.encode() for name in ("x.onnx", "y.json")}
        files = [
            File(
                f"pair/{name}",
                (server.serve(f"/{name}", answers(body)),),
                len(body),
                hashlib.sha256(body).hexdigest(),
            )
            for name, body in bodies.items()
        ]
        pair = entry(*files, name="pair")
        assert fetch(pair) == home / "pair"
        assert all_below(home) == {f"pair/{name}": body for name, body in bodies.items()}
        (home / "pair" / "y.json").unlink()
        assert not is_here(pair)
        fetch(pair)
        assert server.asked == {"/x.onnx": 1, "/y.json": 2}

    def test_progress_goes_from_nothing_to_all(self, server):
        seen = []
        fetch(known(server.serve("/a", answers())), progress=lambda *told: seen.append(told))
        names, done, totals = zip(*seen, strict=True)
        assert set(names) == {"model.bin"}
        assert set(totals) == {len(BODY)}
        assert done[0] == 0
        assert done[-1] == len(BODY)
        assert len(done) > 2
        assert sorted(done) == list(done)

    @pytest.mark.parametrize("error", [RuntimeError("enough"), OSError("enough"), KeyboardInterrupt()])
    def test_what_progress_raises_stops_it_and_leaves_nothing(self, server, home, error):
        def progress(_name, done, _total):
            if done:
                raise error

        one = known(server.serve("/a", answers()))
        with pytest.raises(type(error)) as caught:
            fetch(one, progress=progress)
        assert caught.value is error
        assert all_below(home) == {}
        assert server.asked == {"/a": 1}
        assert fetch(one).read_bytes() == BODY

    def test_a_slow_server_is_waited_for(self, server, monkeypatch):
        # The limit is for each silence, not for the whole: 10 pieces with 0.2 s after each take longer than 1.5 s.
        monkeypatch.setattr(download, "TIMEOUT_S", 1.5)
        one = known(server.serve("/a", answers(piece=len(BODY) // 10, pause=0.2)))
        assert fetch(one).read_bytes() == BODY

    def test_a_redirect_is_followed(self, server):
        target = server.serve("/b", answers())
        hop = server.serve("/hop", answers_status(302, ("Location", target)))
        assert fetch(known(server.serve("/a", answers_status(307, ("Location", hop))))).read_bytes() == BODY
        assert server.asked == {"/a": 1, "/hop": 1, "/b": 1}

    def test_a_server_that_packs_is_unpacked(self, server):
        packed = answers(gzip.compress(BODY), headers=[("Content-Encoding", "gzip")])
        assert fetch(known(server.serve("/a", packed))).read_bytes() == BODY

    def test_what_a_dead_process_left_is_cleared_away(self, server, home):
        home.mkdir()
        (home / ".model.bin.0123456789abcdef.part").write_bytes(b"left behind")
        (home / ".other.bin.0123456789abcdef.part").write_bytes(b"of another file")
        fetch(known(server.serve("/a", answers())))
        assert sorted(all_below(home)) == [".other.bin.0123456789abcdef.part", "model.bin"]


BAD = {
    "cut off in the middle": (
        answers(BODY[:100_000], length=len(BODY)),
        "Connection broken: IncompleteRead(100000 bytes read, 104800 more expected)",
        2,
    ),
    "says less than it has": (answers(length=len(BODY) - 1), "gave 204,799 bytes instead of 204,800", 2),
    "says more than it has": (answers(length=len(BODY) + 1), "IncompleteRead(204800 bytes read, 1 more expected)", 2),
    "longer": (answers(BODY + b"!"), "gave more than 204,800 bytes", 1),
    "endless": (answers(BODY * 50, length=10**12), "gave more than 204,800 bytes", 1),
    "a page for people": (answers(b"<html>log in</html>"), "gave 19 bytes instead of 204,800", 2),
    "nothing": (answers(b""), "gave 0 bytes instead of 204,800", 2),
    "wrong bytes": (answers(BODY[:-1] + b"!"), "gave another file: its SHA-256 is ", 1),
    "no number": (answers(length="many"), "", None),
    "two lengths": (answers(headers=[("Content-Length", "7")]), "", None),
    "broken gzip": (answers(BODY, headers=[("Content-Encoding", "gzip")]), "", 2),
    "404": (answers_status(404), "HTTP 404 Not Found", 1),
    "403": (answers_status(403), "HTTP 403 Forbidden", 1),
    "429": (answers_status(429), "HTTP 429 Too Many Requests", 2),
    "500": (answers_status(500), "HTTP 500 Internal Server Error", 2),
    "503": (answers_status(503), "HTTP 503 Service Unavailable", 2),
    "redirect to a file": (answers_status(302, ("Location", "file:///etc/passwd")), "", 1),
    "redirect in a circle": (answers_status(302, ("Location", "/bad")), "Exceeded 30 redirects", None),
    "no answer at all": (lambda handler: handler.connection.close(), "", 2),
}


class TestBadServers:
    @pytest.mark.parametrize("kind", BAD)
    def test_no_bad_file_is_left_and_the_message_says_what_to_do(self, server, home, kind):
        answer, reason, tries = BAD[kind]
        address = server.serve("/bad", answer)
        with pytest.raises(DownloadError) as caught:
            fetch(known(address))
        assert all_below(home) == {}
        text = str(caught.value)
        # The remedy first, one address a line, and a server's words on one line.
        first, remedy, then, tried = text.split("\n")
        assert first.startswith("cannot download model.bin (204,800 bytes). Fetch by hand")
        assert remedy == f"  {address} -> {home / 'model.bin'}"
        assert then == "Tried:"
        assert tried.startswith(f"  {address}: ")
        assert reason in tried
        if tries is not None:
            assert server.asked["/bad"] == tries

    @pytest.mark.parametrize("kind", BAD)
    def test_the_next_address_is_tried(self, server, home, kind):
        one = known(server.serve("/bad", BAD[kind][0]), server.serve("/good", answers()))
        assert fetch(one).read_bytes() == BODY
        assert all_below(home) == {"model.bin": BODY}
        assert server.asked["/good"] == 1

    def test_a_server_that_falls_silent(self, server, home, monkeypatch):
        monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
        with pytest.raises(DownloadError, match="timed out"):
            fetch(known(server.serve("/a", hangs(1.0))))
        assert all_below(home) == {}

    def test_a_server_that_is_not_there(self, home):
        with socket.socket() as taken:  # bound and not listening: refused
            taken.bind(("127.0.0.1", 0))
            address = f"http://127.0.0.1:{taken.getsockname()[1]}/a"
            with pytest.raises(DownloadError, match="refused"):
                fetch(known(address))
        assert all_below(home) == {}

    def test_a_failure_that_passes_starts_again_from_nothing(self, server):
        cut = answers(BODY[:100_000], length=len(BODY))
        seen = []
        one = known(server.serve("/a", in_turn(cut, answers())))
        assert fetch(one, progress=lambda _n, done, _t: seen.append(done)).read_bytes() == BODY
        assert seen.count(0) == 2
        assert server.asked == {"/a": 2}

    def test_no_address(self):
        with pytest.raises(DownloadError, match=r"\(204,800 bytes\): no address is known\. Give the path"):
            fetch(known())


class TestParts:
    """What breaks off goes on; hundreds of megabytes over a bad line arrived never."""

    @pytest.fixture(autouse=True)
    def small_chunks(self, monkeypatch):
        """What breaks off within a chunk is lost with the chunk."""
        monkeypatch.setattr(download, "CHUNK_BYTES", 10_000)

    def test_what_breaks_off_again_and_again_arrives(self, server, home, monkeypatch):
        monkeypatch.setattr(download, "GAIN_BYTES", 40_000)
        asked, seen = [], []
        one = known(server.serve("/a", answers_parts(most=50_000, asked=asked)))
        assert fetch(one, progress=lambda _n, done, _t: seen.append(done)).read_bytes() == BODY
        assert asked == [None, "bytes=50000-", "bytes=100000-", "bytes=150000-", "bytes=200000-"]
        assert seen == sorted(seen), "the count goes on from there"
        assert all_below(home) == {"model.bin": BODY}

    def test_parts_that_bring_too_little_end(self, server, home):
        asked = []
        with pytest.raises(DownloadError, match="IncompleteRead"):
            fetch(known(server.serve("/a", answers_parts(most=50_000, asked=asked))))
        assert asked == [None, "bytes=50000-"]
        assert all_below(home) == {}

    def test_another_address_goes_on(self, server):
        asked = []
        first = server.serve("/a", answers_parts(most=150_000))
        one = known(first, server.serve("/b", answers_status(503)), server.serve("/c", answers_parts(asked=asked)))
        assert fetch(one).read_bytes() == BODY
        assert asked == ["bytes=150000-"]

    def test_parts_of_another_file_are_forgotten(self, server, home):
        other = answers_parts(bytes(len(BODY)), most=150_000)
        asked = []
        one = known(
            server.serve("/a", in_turn(other, answers_status(404))), server.serve("/b", answers_parts(asked=asked))
        )
        assert fetch(one).read_bytes() == BODY
        assert asked == ["bytes=150000-", None]
        assert all_below(home) == {"model.bin": BODY}

    @pytest.mark.parametrize("moved", [7, 10**6])
    def test_another_part_than_was_asked_for_is_not_taken(self, server, moved):
        """A range that begins elsewhere, or none there (416): what is here may be of another file."""
        asked = []
        first = server.serve("/a", answers_parts(most=150_000))
        one = known(
            first, server.serve("/b", answers_parts(moved=moved)), server.serve("/c", answers_parts(asked=asked))
        )
        assert fetch(one).read_bytes() == BODY
        assert server.asked == {"/a": 1, "/b": 1, "/c": 1}
        assert asked == [None]

    def test_without_a_hash_nothing_is_put_together(self, server, home):
        asked = []
        file = File(
            "model.onnx", (server.serve("/a", answers_parts(b"\x08" + BODY, most=150_000, asked=asked)),), None, None
        )
        with pytest.raises(DownloadError, match="IncompleteRead"):
            fetch(entry(file), unverified=True)
        assert asked == [None, None]
        assert all_below(home) == {}

    def test_what_progress_raises_when_it_starts_again_stops_it(self, server, home):
        def progress(_name, done, _total):
            counts.append(done)
            if counts.count(0) == 2:
                raise RuntimeError("enough")

        counts = []
        cut = answers(BODY[:100_000], length=len(BODY))
        with pytest.raises(RuntimeError, match="enough"):
            fetch(known(server.serve("/a", in_turn(cut, answers()))), progress=progress)
        assert all_below(home) == {}


class TestUnknownHash:
    def test_is_taken_only_when_the_user_says_so(self, server, home):
        one = entry(File("model.bin", (server.serve("/a", answers()),), None, None))
        with pytest.raises(DownloadError, match=r"SHA-256 of model\.bin is unknown.*--unverified"):
            fetch(one)
        assert server.asked == {}
        assert not home.exists()
        assert fetch(one, unverified=True).read_bytes() == BODY
        assert fetch(one).read_bytes() == BODY  # it is here
        verify(one)

    @pytest.mark.parametrize(
        ("file", "answer"),
        [
            (File("m", (), None, None), answers(b"")),
            (File("m", (), None, None), answers(BODY[:9], length=99)),
            (File("m", (), 7, None), answers(b"12345678")),
            (File("m", (), None, "0" * 64), answers()),
        ],
    )
    def test_what_is_known_is_checked(self, server, home, file, answer):
        one = entry(replace(file, addresses=(server.serve("/a", answer),)))
        with pytest.raises(DownloadError):
            fetch(one, unverified=True)
        assert all_below(home) == {}

    @pytest.mark.parametrize("suffix", [".pt", ".onnx"])
    @pytest.mark.parametrize(
        "body",
        [
            b"<!DOCTYPE html><title>Log in</title>",
            b'{"error": "denied"}',
            b"version https://git-lfs.github.com/spec/v1",
        ],
    )
    def test_what_is_no_model_is_not_taken_for_one(self, server, home, suffix, body):
        """Nor does it keep a next address from being asked, nor pass where it lies in the folder."""
        page, name = server.serve("/page", answers(body)), f"model{suffix}"
        begins = re.escape(repr(body)[:30])
        with pytest.raises(DownloadError, match=rf"/page: gave something else than a model: it begins with {begins}"):
            fetch(entry(File(name, (page,), None, None)), unverified=True)
        assert all_below(home) == {}
        whole = TINY.read_bytes() if suffix == ".pt" else tiny()
        one = entry(File(name, (page, server.serve("/whole", answers(whole))), None, None))
        assert fetch(one, unverified=True).read_bytes() == whole
        verify(one)
        (home / name).write_bytes(body)
        with pytest.raises(
            DownloadError, match=rf"{name} is not {name} of .*, but something else than a model: .*delete"
        ):
            verify(one)

    def test_a_checkpoint_that_is_cut_short_is_not_taken(self, server, home):
        half = TINY.read_bytes()[: TINY.stat().st_size // 2]
        with pytest.raises(DownloadError, match="gave a PyTorch checkpoint that is cut short"):
            fetch(entry(File("model.pt", (server.serve("/a", answers(half)),), None, None)), unverified=True)
        assert all_below(home) == {}

    def test_a_known_hash_is_enough_without_a_size(self, server):
        one = entry(File("m", (server.serve("/a", answers()),), None, hashlib.sha256(BODY).hexdigest()))
        assert fetch(one).read_bytes() == BODY


class TestSeveralAtOnce:
    @pytest.mark.process
    def test_processes(self, server, home):
        one = known(server.serve("/a", answers(piece=20_480, pause=0.05)))
        code = textwrap.dedent(
            f"""
            from fastsam_onnx import weights
            from fastsam_onnx.weights.catalogue import Entry, File
            print(weights.fetch({one!r}))
            """
        )
        started = [
            subprocess.Popen(
                [sys.executable, "-c", code],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
            for _ in range(3)
        ]
        for process in started:
            out, err = process.communicate(timeout=60)
            assert process.returncode == 0, err
            assert out.strip() == str(home / "model.bin")
        assert server.asked == {"/a": 1}
        assert all_below(home) == {"model.bin": BODY}

    def test_threads(self, server, home):
        one = known(server.serve("/a", answers(piece=20_480, pause=0.02)))
        with ThreadPoolExecutor(8) as pool:
            paths = set(pool.map(lambda _: fetch(one), range(8)))
        assert paths == {home / "model.bin"}
        assert server.asked == {"/a": 1}

    def test_the_one_that_waited_takes_over_when_the_first_fails(self, server, home, caplog):
        bad = answers(BODY[:100_000] + bytes(104_800), piece=20_480, pause=0.05)
        one = known(server.serve("/a", in_turn(bad, answers())))

        def attempt(_):
            with contextlib.suppress(DownloadError):
                return fetch(one)

        with ThreadPoolExecutor(2) as pool:
            results = list(pool.map(attempt, range(2)))
        assert home / "model.bin" in results
        assert all_below(home) == {"model.bin": BODY}
        assert caplog.text.count(f"another download of {home / 'model.bin'} is under way; waiting for it") == 1

    def test_without_locks_each_downloads_and_nothing_breaks(self, server, home, monkeypatch):
        monkeypatch.setattr(cache, "try_lock", lambda _: False)
        one = known(server.serve("/a", answers(piece=20_480, pause=0.02)))
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(lambda _: fetch(one), range(4))) == {home / "model.bin"}
        assert all_below(home) == {"model.bin": BODY}

    @pytest.mark.process
    @POSIX
    def test_a_process_that_is_killed_leaves_no_bad_file_and_no_lock(self, server, home):
        one = known(server.serve("/a", in_turn(hangs(2.0), answers())))
        code = f"from fastsam_onnx import weights\nfrom fastsam_onnx.weights.catalogue import *\nweights.fetch({one!r})"
        with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}) as process:
            deadline = time.monotonic() + 30
            while not list(home.glob(".*.part")) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL  # it did not end by itself
        assert len(list(home.glob(".*.part"))) == 1
        assert [name for name in all_below(home) if not name.endswith(".part")] == []
        assert fetch(one).read_bytes() == BODY
        assert all_below(home) == {"model.bin": BODY}


class TestDisk:
    def check(self, error, home):
        text = str(error)
        assert text.startswith(f"cannot write model.bin (204,800 bytes) in {home}: ")
        assert f"{weights.HOME}=FOLDER names a folder" in text
        assert re.search(r"Fetch by hand.*:\n  http", text)

    @pytest.mark.process
    @POSIX
    def test_full(self, server, tmp_path, monkeypatch):
        """A file system of 64 KiB, where we may make one."""
        place = tmp_path / "small"
        place.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("may not mount a small file system")
        try:
            monkeypatch.setenv(weights.HOME, str(place))
            one = known(server.serve("/a", answers()), server.serve("/b", answers()))
            with pytest.raises(DownloadError, match="No space left") as caught:
                fetch(one)
            self.check(caught.value, place)
            assert all_below(place) == {}
            assert server.asked == {"/a": 1}  # another address would not help
        finally:
            subprocess.run(["umount", str(place)], check=True)

    @pytest.mark.process
    @POSIX
    def test_a_limit_on_the_size_of_files(self, server, home):
        one = known(server.serve("/a", answers()))
        code = textwrap.dedent(
            f"""
            import resource
            from fastsam_onnx import DownloadError
            from fastsam_onnx import weights
            from fastsam_onnx.weights.catalogue import Entry, File
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            try:
                weights.fetch({one!r})
            except DownloadError as error:
                print(error)
            """
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert "File too large" in done.stdout, done.stderr
        self.check(done.stdout, home)
        assert all_below(home) == {}

    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_errors_of_the_last_steps(self, server, home, monkeypatch, step):
        def fail(*_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(*{"fsync": (os, "fsync"), "replace": (Path, "replace")}[step], fail)
        with pytest.raises(DownloadError, match="Input/output error") as caught:
            fetch(known(server.serve("/a", answers())))
        self.check(caught.value, home)
        assert all_below(home) == {}

    @pytest.mark.process
    @POSIX
    def test_a_folder_that_may_not_be_written_gives_what_it_has(self, server, home, tmp_path, monkeypatch):
        mounted = read_only(tmp_path, monkeypatch)
        one = known(server.serve("/a", answers()), path="other.bin")
        with mounted as place:
            here = known(path="here.bin", body=b"here")
            assert fetch(here) == place / "here.bin"
            with pytest.raises(DownloadError, match=r"Read-only file system|Permission denied"):
                fetch(one)
            assert os.listdir(place) == ["here.bin"]  # noqa: PTH208

    def test_a_file_where_the_folder_should_be(self, server, home):
        home.write_text("mine")
        with pytest.raises(DownloadError, match=r"cannot write model\.bin"):
            fetch(known(server.serve("/a", answers())))
        assert home.read_text() == "mine"

    def test_a_folder_where_the_file_should_be(self, server, home):
        (home / "model.bin").mkdir(parents=True)
        with pytest.raises(DownloadError, match="is in the way"):
            fetch(known(server.serve("/a", answers())))

    def test_a_folder_where_the_lock_should_be(self, server, home):
        (home / ".model.bin.lock").mkdir(parents=True)
        with pytest.raises(
            DownloadError, match=rf"cannot write model\.bin .* in {re.escape(str(home))}: Is a directory"
        ):
            fetch(known(server.serve("/a", answers())))


@contextlib.contextmanager
def read_only(tmp_path, monkeypatch):
    """A cache folder with here.bin in it that cannot be written, not even by root if it may mount."""
    place = tmp_path / "read only"
    place.mkdir()
    (place / "here.bin").write_bytes(b"here")
    monkeypatch.setenv(weights.HOME, str(place))
    if os.geteuid() != 0:
        place.chmod(0o500)
        yield place
        place.chmod(0o700)
        return
    bind = ["mount", "--bind", str(place), str(place)]
    if subprocess.run(bind, capture_output=True, check=False).returncode:
        pytest.skip("root may write everywhere, and may not mount here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(place)], check=True)
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


class TestWhatIsHere:
    def test_a_file_of_another_size_is_never_replaced(self, server, home):
        home.mkdir()
        (home / "model.bin").write_bytes(b"my own model")
        one = known(server.serve("/a", answers()))
        for ask in (fetch, is_here, verify):
            with pytest.raises(DownloadError, match=r"has 12 bytes, but model\.bin has 204,800") as caught:
                ask(one)
            assert weights.HOME in str(caught.value)
        assert (home / "model.bin").read_bytes() == b"my own model"
        assert server.asked == {}

    def test_verify_reads_the_file(self, home):
        one = known()
        with pytest.raises(DownloadError, match=r"model\.bin of model is not in "):
            verify(one)
        home.mkdir()
        (home / "model.bin").write_bytes(BODY)
        verify(one)
        (home / "model.bin").write_bytes(BODY[:-1] + b"!")
        assert fetch(one) == home / "model.bin"  # only the size is looked at when a model is opened
        with pytest.raises(DownloadError, match=r"its SHA-256 is .* delete it"):
            verify(one)


class TestEnvironment:
    @pytest.mark.parametrize("value", ["1", "true", "YES", "anything"])
    def test_offline(self, server, home, monkeypatch, value, forbidden_network):
        monkeypatch.setenv(weights.OFFLINE, value)
        one = known("https://example.org/model.bin")
        with pytest.raises(DownloadError) as caught:
            fetch(one)
        assert str(caught.value) == (
            f"model is not here, and FASTSAM_ONNX_OFFLINE forbids the network: looked for model.bin in {home}. "
            "Fetch by hand, or give the path of a model's file, which may lie anywhere:\n"
            f"  https://example.org/model.bin -> {home / 'model.bin'}"
        )
        assert not home.exists()
        home.mkdir()
        (home / "model.bin").write_bytes(BODY)
        assert fetch(one) == home / "model.bin"

    @pytest.mark.parametrize("value", ["", "0", "false", "No", "off"])
    def test_not_offline(self, server, monkeypatch, value):
        monkeypatch.setenv(weights.OFFLINE, value)
        assert fetch(known(server.serve("/a", answers()))).read_bytes() == BODY

    def test_mirrors_come_first_and_are_checked_like_others(self, server, monkeypatch):
        monkeypatch.setenv(weights.MIRRORS, f"{server.address}/one/, {server.address}/two\n{server.address}/three")
        server.serve("/two/dir/model.bin", answers(BODY[:-1] + b"!"))
        server.serve("/three/dir/model.bin", answers())
        one = known(server.serve("/a", answers()), path="dir/model.bin")
        assert fetch(one).read_bytes() == BODY
        assert server.asked == {f"/{name}/dir/model.bin": 1 for name in ("one", "two", "three")}

    def test_a_cache_folder_is_a_mirror(self, server, home, monkeypatch, tmp_path):
        pair = entry(*(known(path=f"pair/{name}").files[0] for name in ("x", "y")), name="pair")
        for file in pair.files:
            server.serve(f"/{file.path}", answers())
        monkeypatch.setenv(weights.MIRRORS, server.address)
        assert fetch(pair) == home / "pair"

    def test_the_password_of_a_mirror_is_not_told(self, server, monkeypatch, caplog):
        caplog.set_level(logging.INFO)
        monkeypatch.setenv(weights.MIRRORS, server.address.replace("//", "//me:secret@"))
        with pytest.raises(DownloadError, match=r"//\*\*\*@127\.0\.0\.1:\d+/model\.bin: HTTP 404") as caught:
            fetch(known(f"{server.address}/a"))
        assert server.asked["/model.bin"] == 1
        assert "secret" not in str(caught.value) + caplog.text

    @pytest.mark.parametrize("mirror", ["http://me:secret@127.0.0.1:99999", "ftp://me:secret@127.0.0.1"])
    def test_nor_is_that_of_a_mirror_that_means_nothing(self, server, monkeypatch, caplog, mirror):
        """An address that cannot be parsed is quoted by requests."""
        caplog.set_level(logging.INFO)
        monkeypatch.setenv(weights.MIRRORS, mirror)
        with pytest.raises((DownloadError, OptionError), match=r"//\*\*\*@127\.0\.0\.1") as caught:
            fetch(known(f"{server.address}/a"))
        assert "secret" not in str(caught.value) + caplog.text

    def test_the_address_to_fetch_by_hand_is_the_publishers(self, server, monkeypatch):
        monkeypatch.setenv(weights.MIRRORS, f"{server.address}/mirror")
        with pytest.raises(DownloadError) as caught:
            fetch(known(f"{server.address}/a"))
        lines = str(caught.value).split("\n")
        assert lines[1].startswith(f"  {server.address}/a -> ")
        assert lines[2:] == [
            "Tried:",
            f"  {server.address}/mirror/model.bin: HTTP 404 Not Found",
            f"  {server.address}/a: HTTP 404 Not Found",
        ]

    @pytest.mark.parametrize("value", ["ftp://example.org", "example.org", "https://a file:///etc"])
    def test_a_mirror_that_is_no_web_address(self, monkeypatch, home, value):
        monkeypatch.setenv(weights.MIRRORS, value)
        with pytest.raises(OptionError, match=weights.MIRRORS):
            fetch(known("https://example.org/a"))
        assert not home.exists()

    def test_home_is_made_absolute_and_may_have_a_tilde(self, monkeypatch, tmp_path):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(weights.HOME, "sub")
        assert cache_folder() == tmp_path / "sub"
        monkeypatch.setenv(weights.HOME, "~/models")
        assert cache_folder() == Path.home() / "models"

    def test_the_platforms_folders(self, monkeypatch, tmp_path):
        monkeypatch.delenv(weights.HOME)
        monkeypatch.setattr(Path, "expanduser", lambda path: tmp_path / path.relative_to("~"))
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert cache_folder() == tmp_path / "xdg" / "fastsam-onnx"
        for relative in ("", "relative/does/not/count"):
            monkeypatch.setenv("XDG_CACHE_HOME", relative)
            assert cache_folder() == tmp_path / ".cache" / "fastsam-onnx"
        monkeypatch.setattr(sys, "platform", "darwin")
        assert cache_folder() == tmp_path / "Library" / "Caches" / "fastsam-onnx"
        monkeypatch.setattr(sys, "platform", "win32")
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
        assert cache_folder() == tmp_path / "local" / "fastsam-onnx"
        monkeypatch.delenv("LOCALAPPDATA")
        assert cache_folder() == tmp_path / "AppData" / "Local" / "fastsam-onnx"

    def test_no_home_at_all(self, monkeypatch):
        def no_home(_):
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.delenv(weights.HOME)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.delenv("LOCALAPPDATA", raising=False)
        monkeypatch.setattr(Path, "expanduser", no_home)
        with pytest.raises(DownloadError, match="FASTSAM_ONNX_HOME=FOLDER names one"):
            cache_folder()
        assert resolve("x.onnx") == Path("x.onnx")


@pytest.fixture
def tiny_catalogue(server, monkeypatch):
    """A catalogue of two: a network, and a pair of files for text prompts."""
    body = tiny()
    network = known(server.serve("/net", answers(body)), path="Net-s.onnx", body=body, name="Net-s")
    clip = entry(*(known(path=f"clip/{name}").files[0] for name in ("x", "y")), name="clip", task="clip")
    unknown = entry(File("unknown.onnx", (server.serve("/unknown", answers(body)),), None, None), name="unknown")
    monkeypatch.setattr(catalogue, "ENTRIES", (network, clip, unknown))
    return body


@POSIX
def test_who_waits_goes_on_as_soon_as_the_file_is_there(tmp_path, caplog):
    """Also while the lock is still held: the other process may take its time to end."""
    target, file = tmp_path / "net.onnx", File("net.onnx", (), None, None)
    with (tmp_path / ".net.onnx.lock").open("ab") as other:
        assert try_lock(other.fileno())
        target.write_bytes(BODY)
        with cache.locked(file, target) as alone:
            assert alone is False
    assert "another download" in caplog.text
    with cache.locked(file, target) as alone:
        assert alone is True


@pytest.mark.parametrize(("suffix", "begin"), [(".pt", b"PK"), (".PTH", b"PK"), (".onnx", b"\x08\x08"), (".json", b"")])
def test_what_is_no_model_is_known_by_its_beginning(tmp_path, suffix, begin):
    """Where no hash tells: a page to log in comes without an error of HTTP."""
    path, file = tmp_path / "part", File(f"net{suffix}", (), None, None)
    path.write_bytes(b"<!DOCTYPE html><title>Log in")
    assert cache.wrong_kind(file, path)[:26] == ("something else than a mode" if begin else "")
    assert cache.wrong_kind(replace(file, sha256="0" * 64), path) == ""
    path.write_bytes(begin + b"and the rest")
    assert cache.wrong_kind(file, path)[:38] == ("a PyTorch checkpoint that is cut short" if begin == b"PK" else "")


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_all_of_them(tmp_path):
    class Slow(io.FileIO):
        def write(self, data):
            return super().write(data[:1000])

    path = tmp_path / "part"
    with Slow(path, "w+") as stream:
        sink = download._Sink(stream, path, File("net.onnx", (), len(BODY), None), path, None)
        sink.begin(None)
        sink.write(BODY)
        assert sink.size == len(BODY)
    assert path.read_bytes() == BODY


class TestResolve:
    def test_a_name(self, tiny_catalogue, server, home):
        seen = []
        assert resolve("Net-s", progress=lambda *told: seen.append(told)) == home / "Net-s.onnx"
        assert resolve("net-S", task="segment") == home / "Net-s.onnx"
        assert seen[-1] == ("Net-s.onnx", len(tiny_catalogue), len(tiny_catalogue))
        assert server.asked == {"/net": 1}

    def test_a_path_wins_and_touches_nothing(self, tiny_catalogue, tmp_path, home, monkeypatch, forbidden_network):
        monkeypatch.setenv(weights.MIRRORS, "nonsense")
        monkeypatch.chdir(tmp_path)
        for given in ("x.onnx", "dir/Net-s", "missing.pt", Path("Net-s"), Path("Net-s.onnx"), tmp_path / "clip"):
            assert resolve(given) == Path(given)
        (tmp_path / "Net-s").write_bytes(b"a file of this name")
        (tmp_path / "clip").mkdir()
        assert resolve("Net-s") == Path("Net-s")
        assert resolve("clip", task="clip") == Path("clip")
        assert not home.exists()

    def test_a_folder_is_not_in_the_way_of_a_models_name(self, tiny_catalogue, tmp_path, home, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "Net-s").mkdir()
        assert resolve("Net-s") == home / "Net-s.onnx"

    def test_what_takes_entries_says_what_takes_names(self):
        for take in (fetch, is_here, verify):
            with pytest.raises(OptionError, match=r"got 'FastSAM-s'; weights\.resolve takes names"):
                take("FastSAM-s")
        with pytest.raises(OptionError, match="task must be one of 'segment', 'clip', got 'segmentation'"):
            weights.names("segmentation")

    def test_an_empty_name_is_not_the_folder_of_the_moment(self):
        with pytest.raises(OptionError, match="name_or_path must be a model's name or path, got ''"):
            resolve("")

    def test_an_address_is_no_path(self, forbidden_network):
        for address in ("https://example.org/FastSAM-s.pt", "s3://bucket/net.onnx"):
            with pytest.raises(ModelNotFoundError, match=f"not downloaded by address, got '{address}'; fetch it"):
                resolve(address)
        with pytest.raises(ModelNotFoundError, match=r"'https://\*\*\*@example\.org/net\.onnx'"):
            resolve("https://me:secret@example.org/net.onnx")

    def test_what_looks_like_a_misspelt_name(self, tiny_catalogue, home, forbidden_network, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(ModelNotFoundError, match=r"Net-m.*names: fastsam-nano, .*Net-s, clip, unknown"):
            resolve("Net-m")
        with pytest.raises(ModelNotFoundError, match=r"no model of that name; names: clip$"):
            resolve("Net-m", task="clip")
        with pytest.raises(ModelNotFoundError, match=r"no model file dir/net-s\.onnx; the name 'Net-s' without suffix"):
            resolve("dir/net-s.onnx")
        with pytest.raises(ModelNotFoundError, match=r"no model file dir/NET-S\.onnx; the name 'Net-s' without suffix"):
            resolve("dir/NET-S.onnx")
        with pytest.raises(ModelNotFoundError):
            resolve("n" * 5000)
        (tmp_path / "Net-m").touch()
        assert resolve("Net-m") == Path("Net-m")
        assert not home.exists()

    def test_a_model_for_something_else_is_not_downloaded(self, tiny_catalogue, forbidden_network):
        with pytest.raises(
            OptionError, match=r"clip is not a model for .*segment .*are fastsam-nano, .*Net-s, unknown, and any"
        ):
            resolve("clip", task="segment")
        with pytest.raises(OptionError, match=r"Net-s is not a model for .*clip .*accepted are clip, and any path"):
            resolve("Net-s", task="clip")
        for name in ("fastsam-nano", "FastSAM-Small"):
            with pytest.raises(OptionError, match=rf"{name.lower()} is not a model for .*accepted are clip, and any"):
                resolve(name, task="clip")
        with pytest.raises(OptionError):
            FastSAM("clip")

    def test_a_folder_named_like_a_bundled_model_does_not_hide_it(self, tmp_path, monkeypatch):
        """Results may lie in it."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "fastsam-small").mkdir()
        assert resolve("fastsam-small").is_file()

    def test_fastsam_by_name(self, tiny_catalogue, server):
        with FastSAM("Net-s", imgsz=64) as model:
            assert repr(model).startswith("FastSAM(Net-s")
        again = pickle.loads(pickle.dumps(FastSAM("net-s", imgsz=64)))  # by name: elsewhere the cache folder is another
        again.close()
        assert server.asked == {"/net": 1}

    @pytest.mark.process
    def test_fastsam_by_path_loads_no_network_code(self, tmp_path):
        file = tmp_path / "tiny.onnx"
        file.write_bytes(tiny())
        code = (
            "import sys; from fastsam_onnx import FastSAM; FastSAM(sys.argv[1]);"
            "print(sorted({'pooch', 'requests', 'urllib3'} & set(sys.modules)))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(file)],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert done.stdout.strip() == "[]"


class TestCommands:
    def test_models(self, tiny_catalogue, home, capsys, forbidden_network):
        home.mkdir()
        (home / "unknown.onnx").write_bytes(b"mine")
        (home / "Net-s.onnx").write_bytes(b"mine")
        assert main(["models"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        states = {line.split()[0]: line for line in out.splitlines() if "for tests" in line}
        assert re.fullmatch(r"Net-s +0\.\d MB  other file  for tests", states["Net-s"])
        assert re.fullmatch(r"clip +0\.4 MB  not here    for tests", states["clip"])
        assert re.fullmatch(r"unknown +unknown  here        for tests", states["unknown"])
        assert out.count("licence: CC0-1.0") == 3
        assert "Net-s, clip, unknown: Says the test." in out
        assert str(home) in out.replace("\n", "")

    def test_models_as_json(self, tiny_catalogue, home, capsys):
        import json

        assert main(["models", "--json"]) == 0
        records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [record["name"] for record in records] == [*bundled_names(), "Net-s", "clip", "unknown"]
        records = records[len(bundled_names()) :]
        assert records[0]["files"][0]["sha256"] == hashlib.sha256(tiny_catalogue).hexdigest()
        assert records[1]["path"] == str(home / "clip")
        assert (records[2]["bytes"], records[2]["files"][0]["sha256"], records[2]["state"]) == (None, None, "not here")

    def test_download(self, tiny_catalogue, home, capsys):
        assert main(["download", "net-s"]) == 0
        out, err = capsys.readouterr()
        assert out == f"{home / 'Net-s.onnx'}\n"
        assert "CC0-1.0" in err
        assert main(["download", "Net-s"]) == 0
        out, err = capsys.readouterr()
        assert (out, err) == (f"{home / 'Net-s.onnx'}\n", "")

    def test_download_checks_what_is_here(self, tiny_catalogue, home, capsys):
        home.mkdir()
        (home / "Net-s.onnx").write_bytes(tiny_catalogue[:-1] + b"!")
        assert main(["download", "Net-s"]) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert "its SHA-256 is" in err

    def test_one_that_fails_stops_no_other(self, tiny_catalogue, home, capsys):
        assert main(["download", "clip", "unknown", "Net-s"]) == 1
        out, err = capsys.readouterr()
        assert out == f"{home / 'Net-s.onnx'}\n"
        assert "fastsam-onnx: clip: cannot download clip/x" in err
        assert "fastsam-onnx: unknown: the SHA-256 of unknown.onnx is unknown" in err
        assert main(["download", "unknown", "--unverified"]) == 0

    def test_a_name_that_is_none_is_wrong_usage_and_nothing_is_done(self, tiny_catalogue, home, capsys):
        assert main(["download", "Net-s", "Net-m"]) == 2
        assert "Net-s, clip, unknown" in capsys.readouterr().err
        assert main(["download"]) == 2
        assert not home.exists()

    def test_a_bundled_model_needs_no_download(self, tiny_catalogue, home, capsys):
        assert main(["download", "Net-s", "FastSAM-nano"]) == 2
        assert "fastsam-nano comes with the package and needs no download" in capsys.readouterr().err
        assert not home.exists()

    def test_info_and_segment_take_names(self, tiny_catalogue, home, capsys, tmp_path):
        assert main(["info", "Net-s"]) == 0
        assert str(home / "Net-s.onnx") in capsys.readouterr().out
        assert main(["segment", str(tmp_path / "none.jpg"), "--model", "Net-s"]) == 1
        assert main(["segment", str(ROOT / "examples" / "coffee.jpg"), "--model", "clip", "-o", str(tmp_path)]) == 2
        assert "clip is not a model for this task" in capsys.readouterr().err

    @pytest.mark.process
    @POSIX
    def test_a_terminal_gets_a_progress_bar(self, server, home):
        one = known(server.serve("/a", answers(piece=20_480, pause=0.03)), name="Net-s")
        code = textwrap.dedent(
            f"""
            import sys
            from fastsam_onnx.weights import catalogue
            from fastsam_onnx.weights.catalogue import Entry, File
            from fastsam_onnx.cli.program import main
            catalogue.ENTRIES = ({one!r},)
            sys.exit(main(["download", "Net-s"]))
            """
        )
        code, text = in_a_terminal([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)})
        assert code == 0
        assert "[........................] 0.0 of 0.2 MB of model.bin" in text
        assert "[########################] 0.2 of 0.2 MB of model.bin" in text
        assert text.rstrip().endswith(f"\r{home / 'model.bin'}")
