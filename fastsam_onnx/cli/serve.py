"""`fastsam-onnx serve`: the model behind HTTP, with a page to try it."""

from __future__ import annotations

import argparse
import os
import socket
from copy import copy
from pathlib import Path
from typing import Any

from fastsam_onnx.cli.arguments import add_command, add_model, add_shared, count, integer, port
from fastsam_onnx.cli.common import open_clip, open_model
from fastsam_onnx.cli.screen import PROGRAM, Screen
from fastsam_onnx.errors import MissingPackageError, OptionError
from fastsam_onnx.files import why_unread
from fastsam_onnx.runtime import default_threads

TOKEN = "FASTSAM_ONNX_TOKEN"
_MAX_WORKERS = 4

EPILOG = f"""\
Needs: pip install 'fastsam-onnx[serve]'. A page to try it in is at /.

  POST /segment      a photo as the body, or a multipart form with a field
                     "photo"; prompts, conf, iou, max_det, imgsz, refine,
                     redraw, bands, white, min_area, parts, disjoint, tolerance
                     (of outlines), soft (of cut-outs and layers), whole (of
                     cut-outs), grow (of masks), format as fields or in the
                     query. After remember=true the answer's header Photo-Key
                     is the value of photo_key, a field that stands in the
                     photo's place for a while.
                     Accept, or format, selects the answer:
                     application/json (format json, coco, labelme, sam),
                     image/png (overlay, labels, mask, cutout, colours, voc,
                     edges), image/jpeg (overlay), image/webp (overlay, cutout),
                     image/svg+xml (svg),
                     application/geo+json (geojson), text/csv (csv),
                     text/x-yolo (yolo), image/vnd.adobe.photoshop (psd),
                     application/zip (cutouts, masks)
  POST /convert      a result in JSON as the body, or a form with a field
                     "result" and for overlays, cut-outs and layers "photo", or
                     its photo_key; format, min_area, parts, disjoint,
                     tolerance, soft, whole, grow, and of the photo bands,
                     white. The answer is as of /segment
  GET /info          model, limits, whether texts are understood
  GET /healthz       200 while it runs
  GET /openapi.json  all this, for programs

prompts is JSON: {{"points": [[x, y], ...], "labels": [1, 0, ...],
"boxes": [[x1, y1, x2, y2], ...], "texts": ["a dog", ...]}}. A refused request
gets a 4xx status, or 503 when too many wait, and the reason: {{"error": "..."}}.

The server never opens an address or a path that a client names. On the
internet, put a proxy with TLS in front of it.

environment:
  {TOKEN}  the token, if there is no --token-file

examples:
  {PROGRAM} serve
  curl -T photo.jpg -X POST http://127.0.0.1:8000/segment > photo.json
  curl -F photo=@photo.jpg -F 'prompts={{"points": [[620, 360]]}}' \\
       -H 'Accept: image/png' http://127.0.0.1:8000/segment > overlay.png"""

LOAD_OPTIONS = (
    ("--queue", "N", 32, "maximum number of waiting requests; further ones get 503"),
    ("--timeout", "SECONDS", 30, "time for a request to arrive; later ones get 408"),
    ("--max-megabytes", "N", 32, "maximum size of a request; larger ones get 413"),
    ("--pixel-limit", "N", 50_000_000, "maximum number of pixels of a photo; larger ones get 413"),
    ("--max-prompts", "N", 200, "maximum number of points, boxes, masks and texts of a request; more get 422"),
)


def add(commands: Any) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "serve",
        run,
        usage="[OPTIONS]",
        summary="answer requests over HTTP, with a page to try it in a browser",
        epilog=EPILOG,
    )
    parser.add_argument("--host", metavar="HOST", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument(
        "--port", metavar="N", type=port, default=8000, help="0 takes a free port (default: %(default)s)"
    )
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        help="file with a token that requests must have: Authorization: Bearer TOKEN",
    )
    parser.add_argument(
        "--cors",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="pages of this origin (https://example.org, or * for all) may use the server; repeatable",
    )
    parser.add_argument("--access-log", action="store_true", help="write a line per request to standard output")
    add_shared(parser, "--quiet")
    model = parser.add_argument_group("model")
    add_model(model)
    add_shared(model, "--clip")
    _add_load(parser.add_argument_group("load"))


def _add_load(load: Any) -> None:
    load.add_argument(
        "--workers",
        metavar="N",
        type=integer,
        help="number of photos processed at the same time; they share the cores (default: the cores, at most 4)",
    )
    load.add_argument(
        "--processes",
        metavar="N",
        type=integer,
        default=1,
        help="number of processes, each with a model, workers and limits of its own; a process a core gives the most "
        "photos a second, and takes the most memory (default: %(default)s)",
    )
    load.add_argument(
        "--remember",
        metavar="N",
        type=count,
        default=4,
        help="number of photos kept in memory for ten minutes after their last use where a client asks for it, as the "
        "page does, so that it need not send them with every click (default: %(default)s)",
    )
    for name, metavar, default, text in LOAD_OPTIONS:
        load.add_argument(name, metavar=metavar, type=integer, default=default, help=f"{text} (default: %(default)s)")


def run(arguments: argparse.Namespace, screen: Screen) -> int:
    """Run the server until it is told to stop, by Ctrl-C or SIGTERM; requests that run are answered first.

    Returns:
        0.

    Raises:
        FastSAMError: If the arguments do not fit each other, the model cannot be opened, or the port is taken.
    """
    try:
        from fastsam_onnx.serve.hosting import Hosting, host, host_in_processes
        from fastsam_onnx.serve.received import Limits
    except ImportError as error:
        raise MissingPackageError(
            f"serve needs more packages ({error}); install them with: pip install 'fastsam-onnx[serve]'"
        ) from error
    processes = arguments.processes
    cores = max(1, default_threads() // processes)
    workers, threads = plan_workers(cores, arguments.workers, arguments.threads)
    limits = Limits(
        body_bytes=arguments.max_megabytes * 1_000_000,
        pixels=arguments.pixel_limit,
        prompts=arguments.max_prompts,
        queue=arguments.queue,
        held_bytes=8 * arguments.max_megabytes * 1_000_000,
        body_seconds=arguments.timeout,
        remembered=arguments.remember,
    )
    token = _token(arguments.token_file)
    hosting = Hosting(workers, limits, token, tuple(arguments.cors), arguments.access_log)
    listener = _listen(arguments.host, arguments.port)
    with listener, open_model(arguments, screen, threads=threads) as model:
        open_clip(model.clip if processes == 1 else copy(model.clip))  # a copy begins with nothing open, and is dropped
        service = hosting.service(model)
        _greet(listener, arguments, token, screen)
        if processes == 1:
            host(service, listener, access_log=arguments.access_log)
        else:
            model.close()  # opened to see that it opens; each process opens its own
            host_in_processes(processes, model, listener, hosting, screen.say)
    if not arguments.quiet:
        screen.say("stopped")
    return 0


def plan_workers(cores: int, workers: int | None, threads: int | None) -> tuple[int, int]:
    """The number of photos computed at the same time, and of ONNX Runtime's threads.

    The workers share one session. Each computes in its own thread and is helped by the session's others, `threads` - 1,
    so that all together there are as many as cores; a photo that comes alone has most of them.
    """
    workers = workers or min(cores, _MAX_WORKERS)
    return workers, threads or max(1, cores - workers + 1)


def _token(path: Path | None) -> str | None:
    """The token from the file, else from the environment; never from the command line, which others can see."""
    given = os.environ.get(TOKEN) if path is None else _text_of(path)
    if path is None and not given:
        return None
    token = (given or "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise OptionError(
            f"the token in {path or TOKEN} must be one line of printable ASCII, got {len(token)} characters"
        )
    return token


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise OptionError(f"cannot read the token from {path}: {why_unread(path, error)}") from error


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise OptionError(
            f"cannot listen at {host} port {port}: {error.strerror or error}; choose with --host and --port"
        ) from error


def _greet(listener: socket.socket, arguments: argparse.Namespace, token: str | None, screen: Screen) -> None:
    host, port = listener.getsockname()[:2]
    if not arguments.quiet:
        screen.say(f"listening at http://{f'[{host}]' if ':' in host else host}:{port}/ (Ctrl-C stops)")
    if token is None and host not in ("127.0.0.1", "::1"):
        screen.say(f"warning: anyone who reaches {host} may use it; --token-file asks clients for a token")
