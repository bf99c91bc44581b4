"""`fastsam-onnx serve`: the model behind HTTP, with a page to try it."""

from __future__ import annotations

import argparse
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastsam_onnx.cli.screen import Screen
from fastsam_onnx.cli.segment import open_model
from fastsam_onnx.errors import MissingPackageError, OptionError
from fastsam_onnx.runtime import default_threads

TOKEN = "FASTSAM_ONNX_TOKEN"
MAX_CONNECTIONS = 500
SHUTDOWN_SECONDS = 30
_MAX_WORKERS = 4


def serve(arguments: argparse.Namespace, screen: Screen) -> int:
    """Run the server until it is told to stop, by Ctrl-C or SIGTERM; requests that run are answered first.

    Returns:
        0.

    Raises:
        FastSAMError: The arguments do not fit each other, the model cannot be opened, or the port is taken.
    """
    try:
        import uvicorn

        from fastsam_onnx.serve.protocol import ImpatientProtocol
        from fastsam_onnx.serve.request import Limits
        from fastsam_onnx.serve.service import Service
    except ImportError as error:
        raise MissingPackageError(
            f"serve needs more packages ({error}); install them with: pip install 'fastsam-onnx[serve]'"
        ) from error
    token = _token(arguments.token_file)
    workers, threads = plan_workers(default_threads(), arguments.workers, arguments.threads)
    limits = Limits(
        body_bytes=arguments.max_megabytes * 1_000_000,
        pixels=arguments.pixel_limit,
        prompts=arguments.max_prompts,
        queue=arguments.queue,
        held_bytes=8 * arguments.max_megabytes * 1_000_000,
        body_seconds=arguments.timeout,
    )
    listener = _listen(arguments.host, arguments.port)
    with listener, open_model(arguments, screen, threads=threads) as model, _stopped_by_signals():
        service = Service(model, workers=workers, limits=limits, token=token)
        _greet(listener, arguments, token, screen)
        config = uvicorn.Config(
            service.app,
            log_config=uvicorn.config.LOGGING_CONFIG if arguments.access_log else None,
            log_level="info" if arguments.access_log else "critical",
            access_log=arguments.access_log,
            server_header=False,
            proxy_headers=False,
            http=ImpatientProtocol,
            ws="none",
            limit_concurrency=MAX_CONNECTIONS,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        uvicorn.Server(config).run(sockets=[listener])
    screen.say("stopped")
    return 0


def plan_workers(cores: int, workers: int | None, threads: int | None) -> tuple[int, int]:
    """How many photos are computed at once, and with how many threads of ONNX Runtime.

    The workers share one session. Each computes in its own thread and is helped by the session's others, `threads` - 1,
    so that all together there are as many as cores; a photo that comes alone has most of them.
    """
    workers = workers or min(cores, _MAX_WORKERS)
    return workers, threads or max(1, cores - workers + 1)


def _token(path: Path | None) -> str | None:
    """From the file, else from the environment; not from the command line, which others can see."""
    if path is None:
        return os.environ.get(TOKEN) or None
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise OptionError(f"cannot read the token from {path}: {getattr(error, 'strerror', None) or error}") from error
    if not token or not token.isascii() or not token.isprintable():
        raise OptionError(f"the token in {path} is one line of printable ASCII; found {len(token)} characters")
    return token


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"cannot listen at {host} port {port}: {reason}; choose with --host and --port") from error


def _greet(listener: socket.socket, arguments: argparse.Namespace, token: str | None, screen: Screen) -> None:
    host, port = listener.getsockname()[:2]
    if not arguments.quiet:
        screen.say(f"listening at http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C stops)")
    if token is None and host not in ("127.0.0.1", "::1"):
        screen.say(f"warning: anyone who reaches {host} may use it; a token is asked for with --token-file")


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """A signal that stopped the server stops nothing else: uvicorn raises it again when it has shut down."""
    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
