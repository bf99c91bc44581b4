"""Connections that neither send nor read are cut; others are waited for."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

pytest.importorskip("starlette", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("uvicorn", reason="needs the packages of fastsam-onnx[serve]")
pytest.importorskip("python_multipart", reason="needs the packages of fastsam-onnx[serve]")

import uvicorn
from support.server import PHOTO, Slow, running, to_the_end
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from fastsam_onnx.formats import encode
from fastsam_onnx.serve.protocol import ImpatientProtocol
from fastsam_onnx.serve.service import Service


def test_uvicorn_has_the_names_that_it_does_not_document():
    """The protocol reads these: if uvicorn renames one, connections would not be cut, or all of them."""

    async def names():
        config = uvicorn.Config(lambda: None, log_config=None)
        config.load()
        protocol = H11Protocol(config, ServerState(), {})
        return set(vars(protocol))

    assert {"transport", "loop", "cycle", "connections"} <= asyncio.run(names())
    assert "response_complete" in RequestResponseCycle.__init__.__code__.co_names


@pytest.mark.parametrize("sent", [b"", b"POST /segment HTTP/1.1\r\nHo", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET"])
def test_connections_without_a_request_are_cut(model, monkeypatch, sent):
    monkeypatch.setattr(ImpatientProtocol, "seconds", 0.2)
    service = Service(model, workers=1)
    with (
        running(service.app, http=ImpatientProtocol, timeout_keep_alive=60) as client,  # uvicorn would cut them at 5 s
        client.connect() as line,
    ):
        line.sendall(sent)
        assert to_the_end(line).startswith(b"HTTP/1.1 200" if b"GET" in sent else b"")


def test_connections_are_cut_before_no_file_is_left_for_them(model, monkeypatch):
    """Of 1500 that sent nothing 1024 stayed, for 15 s, in which asyncio wrote a hundred megabytes into the log."""
    monkeypatch.setattr(ImpatientProtocol, "most", 3)
    with running(Service(model, workers=1).app, http=ImpatientProtocol) as client, ExitStack() as lines:
        kept = [lines.enter_context(client.connect()) for _ in range(3)]
        for _ in range(4):
            with client.connect() as line:
                assert to_the_end(line) == b""
        kept[0].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert to_the_end(kept[0]).startswith(b"HTTP/1.1 200")
        kept.append(lines.enter_context(client.connect()))  # there is a place again
        kept[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert to_the_end(kept[-1]).startswith(b"HTTP/1.1 200")


def test_a_connection_that_is_used_again_and_again_stays(model, monkeypatch):
    monkeypatch.setattr(ImpatientProtocol, "seconds", 1.0)
    with running(Service(model, workers=1).app, http=ImpatientProtocol) as client:
        connection = http.client.HTTPConnection("127.0.0.1", client.port, timeout=30)
        connection.connect()
        line = connection.sock
        for _ in range(12):
            connection.request("GET", "/healthz")
            assert connection.getresponse().read()
            time.sleep(0.2)
        assert connection.sock is line
        connection.close()


@pytest.mark.parametrize(("pieces", "kept_alive"), [(1, 60), (2, 60), (1, 0)])
def test_clients_that_do_not_read_their_answer_are_cut(pieces, kept_alive):
    """Also where uvicorn has closed the connection, as it does 5 s after an answer that is in its buffer."""
    cut = threading.Event()

    class Protocol(ImpatientProtocol):
        seconds = 0.2

        def connection_lost(self, exc):
            super().connection_lost(exc)
            cut.set()

    async def much(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for left in reversed(range(pieces)):
            await send({"type": "http.response.body", "body": bytes(60_000_000), "more_body": left > 0})

    options = {"http": Protocol, "lifespan": "off", "timeout_keep_alive": kept_alive}
    with running(much, **options) as client, client.connect() as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert cut.wait(30)  # nothing is read until then
        assert len(to_the_end(line)) < 60_000_000


def test_a_slow_answer_is_waited_for(model, monkeypatch, found):
    slow = Slow(model)
    monkeypatch.setattr(ImpatientProtocol, "seconds", 0.1)
    with running(Service(slow, workers=1).app, http=ImpatientProtocol) as client, ThreadPoolExecutor(1) as threads:
        reply = threads.submit(client.segment, PHOTO)
        assert slow.begun.acquire(timeout=10)
        time.sleep(0.5)
        slow.go.set()
        assert reply.result().body == encode(found, "json")
