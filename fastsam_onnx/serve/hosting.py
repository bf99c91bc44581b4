"""A service behind uvicorn until a signal ends it: in this process, or in several that listen at one port."""

from __future__ import annotations

import logging
import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

import uvicorn

from fastsam_onnx.errors import ServerError
from fastsam_onnx.serve.protocol import ImpatientProtocol
from fastsam_onnx.serve.received import Limits
from fastsam_onnx.serve.service import Service

if TYPE_CHECKING:
    import socket

    from fastsam_onnx.model import FastSAM

MAX_CONNECTIONS = 500
"""From here on requests are refused."""
BACKLOG = 512
"""Connections that are taken at once; the protocol can cut none of them before the last one is taken."""
OPEN_FILES = 2048
"""Of which connections are most: `ImpatientProtocol.most`, and as many as are taken at once."""
SHUTDOWN_SECONDS = 30
EARLY_SECONDS = 5.0
"""A process that ends sooner would end again: nothing is started anew."""
LOOK_SECONDS = 0.2
"""Time until a signal is noticed."""
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Ctrl-C, `kill` and a closed terminal: requests under way are answered."""


@dataclass(frozen=True)
class Hosting:
    """How a model is served, as one value that travels to processes.

    Attributes:
        workers: Number of photos that a process computes at once.
        limits: Limits beyond which requests are refused, in each process.
        token: Secret that clients must send; None for none.
        origins: Origins of other sites whose pages may use the server.
        access_log: True for a line per request on standard output.
        secret: What keys of remembered photos are made with: a photo has one key in all processes.
    """

    workers: int
    limits: Limits
    token: str | None = None
    origins: tuple[str, ...] = ()
    access_log: bool = False
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def service(self, model: FastSAM) -> Service:
        """The service of a model.

        Raises:
            OptionError: If an origin is malformed.
        """
        return Service(
            model,
            workers=self.workers,
            limits=self.limits,
            token=self.token,
            origins=self.origins,
            secret=self.secret,
        )


def host(service: Service, listener: socket.socket, *, access_log: bool) -> None:
    """Answer requests until SIGINT or SIGTERM; those that run are answered first."""
    _allow_open_files()
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # the client is told what is wrong with its form
    config = uvicorn.Config(
        service.app,
        log_config=uvicorn.config.LOGGING_CONFIG if access_log else None,
        log_level="info" if access_log else "critical",
        access_log=access_log,
        server_header=False,
        proxy_headers=False,
        http=ImpatientProtocol,
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        backlog=BACKLOG,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    # Before uvicorn listens to signals itself, and when it raises the one that stopped it again in the end.
    with _on_signals(stop):
        _heed_interrupts()
        server.run(sockets=[listener])


def _allow_open_files() -> None:
    """Let this process open as many files as connections need; systems give 256 or 1024 to who does not ask."""
    if sys.platform == "win32":  # which has no such limit
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def host_in_processes(
    count: int, model: FastSAM, listener: socket.socket, hosting: Hosting, tell: Callable[[str], None]
) -> None:
    """Answer requests in several processes until SIGINT or SIGTERM; one that ends on the way is started anew.

    Args:
        count: Number of processes.
        model: Model that each opens for itself.
        listener: Socket that all of them listen at.
        hosting: How each serves the model.
        tell: Called with a line when a process had to be started anew.

    Raises:
        ServerError: If a process cannot be started, or ends right after its start; the others are ended.
    """
    context = multiprocessing.get_context("spawn")  # threads of ONNX Runtime do not survive a fork
    stopping = threading.Event()

    def start() -> tuple[SpawnProcess, float]:
        process = context.Process(target=_host_here, args=(model, listener, hosting))
        try:
            with _interrupts_waiting():
                process.start()
        except OSError as error:  # no memory or no process number is left
            raise ServerError(f"cannot start a server process: {error.strerror or error}") from error
        return process, time.monotonic()

    with _on_signals(stopping.set):
        running: list[tuple[SpawnProcess, float]] = []
        try:
            while len(running) < count:
                running.append(start())
            while not stopping.is_set():
                wait([process.sentinel for process, _ in running], LOOK_SECONDS)
                for index, (process, started) in enumerate(running):
                    if process.is_alive() or stopping.is_set():
                        continue
                    how = f"server process {process.pid} ended with status {process.exitcode}"
                    if time.monotonic() - started < EARLY_SECONDS:
                        raise ServerError(f"{how} right after its start")
                    tell(f"{how}; another one is started")
                    running[index] = start()
        finally:
            _end([process for process, _ in running])


def _end(processes: list[SpawnProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(SHUTDOWN_SECONDS + EARLY_SECONDS)
        process.kill()  # nothing, if it has ended


def _host_here(model: FastSAM, listener: socket.socket, hosting: Hosting) -> None:
    """What each process runs."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    host(hosting.service(model), listener, access_log=hosting.access_log)


def _end_with_parent() -> None:
    """A parent that is killed cannot end its processes."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _on_signals(act: Callable[[], None]) -> Iterator[None]:
    """Do something else when a signal asks the program to end, for the time of the block; not for those of `nohup`."""
    always = (signal.SIGINT, signal.SIGTERM)
    heeded = [one for one in ENDING if one in always or signal.getsignal(one) != signal.SIG_IGN]
    before: dict[Any, Any] = {one: signal.signal(one, lambda *_: act()) for one in heeded}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _interrupts_waiting() -> Iterator[None]:
    """Let Ctrl-C wait for the end of the block, and in a process that is started there until it heeds interrupts.

    One that came while such a process imports its modules would be a traceback on the screen.
    """
    if sys.platform == "win32":
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which lets signals through when it has started its process
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heed_interrupts() -> None:
    """Let those through that wait."""
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
