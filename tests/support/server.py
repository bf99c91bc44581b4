"""A server of ours that really listens, for tests: in a thread of its own, on a free port."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_onnx import Segmentation

BOUNDARY = "boundary-of-the-tests"
PHOTO = (Path(__file__).parents[2] / "examples" / "coffee.jpg").read_bytes()


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Talks to the server, a connection per request."""

    port: int

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def segment(self, photo: bytes, query: str = "", **headers: str) -> Reply:
        return self.ask("POST", f"/segment{query}", photo, {name.replace("_", "-"): v for name, v in headers.items()})

    def form(self, *fields: tuple[str, bytes | str], **headers: str) -> Reply:
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", "/segment", form_body(*fields), kind | named)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


def form_body(*fields: tuple[str, bytes | str]) -> bytes:
    parts = []
    for name, content in fields:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="x"\r\n\r\n'.encode()
        parts.append(head + (content.encode() if isinstance(content, str) else content) + b"\r\n")
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


@contextmanager
def running(app: Any, **options: Any) -> Iterator[Client]:
    import uvicorn

    quiet = {"log_config": None, "log_level": "critical", "ws": "none", "timeout_graceful_shutdown": 10}
    config = uvicorn.Config(app, **(quiet | options))
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Client(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


class Slow:
    """A model whose photos wait until they are let go."""

    def __init__(self, model) -> None:
        self._model = model
        self.contract, self.options, self.name = model.contract, model.options, model.name
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.calls = 0

    def __call__(self, *arguments, **options):
        self.calls += 1
        self.begun.release()
        assert self.go.wait(30)
        return self._model(*arguments, **options)


def to_the_end(line: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    answer = b""
    with suppress(ConnectionResetError):
        while piece := line.recv(1 << 20):
            answer += piece
    return answer


class Reader:
    """A model with CLIP: a text means the object whose index it names, the more digits, the more similar: "4", "04"."""

    clip = object()

    def __init__(self, model) -> None:
        self._model = model
        self.contract, self.options, self.name = model.contract, model.options, model.name

    def __call__(self, *arguments, **options):
        found = self._model(*arguments, **options)
        return type("Found", (Segmentation,), {"text_prompt": by_index})(**vars(found))


def by_index(found, texts, *, top_k=None, threshold=None, negative=()):
    rows = [int(text) for text in texts][:top_k]
    similarity = np.array([0.26 + 0.01 * len(text) for text in texts][:top_k], np.float32)
    return replace(Segmentation(**vars(found))[rows], prompt_index=np.arange(len(rows)), similarity=similarity)
