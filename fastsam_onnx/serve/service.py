"""The server: photos in, objects out, over HTTP, and a page to try it.

It reads requests and nothing else: no address and no path that a client names is ever opened.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import inspect
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from importlib import resources
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from fastsam_onnx import __version__
from fastsam_onnx.errors import OptionError
from fastsam_onnx.log import gathered, warning_header
from fastsam_onnx.options import integer, shown, text, texts
from fastsam_onnx.serve.answer import Answer
from fastsam_onnx.serve.conversion import convert
from fastsam_onnx.serve.memory import MOST_SECRET, Memory
from fastsam_onnx.serve.negotiate import REPRESENTATIONS, negotiate
from fastsam_onnx.serve.openapi import describe
from fastsam_onnx.serve.received import KEY_HEADER, Limits, RawRequest
from fastsam_onnx.serve.request import has_texts, respond

if TYPE_CHECKING:
    from fastsam_onnx.model import FastSAM

logger = logging.getLogger("fastsam_onnx")

EXAMPLE = "coffee.jpg"
_RETRY_AFTER = {"Retry-After": "1"}
_AUTHENTICATE = {"WWW-Authenticate": "Bearer"}
_TERSE = ("Not Found", "Method Not Allowed")
"""All that Starlette says where it refuses by itself."""
_COMMON_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Workers:
    """A fixed number of threads, and a bounded queue before them."""

    def __init__(self, count: int, queue: int) -> None:
        self.count = count
        self.waiting = 0
        self._queue = queue
        self._free = asyncio.Semaphore(count)
        self._threads = ThreadPoolExecutor(count, "fastsam-serve")

    def check(self) -> None:
        """Refuse a request that would have to wait behind too many others.

        Raises:
            HTTPException: 503, if the queue is full.
        """
        if self._free.locked() and self.waiting >= self._queue:
            reason = f"all workers are busy and {self.waiting} requests wait already; try again later"
            raise HTTPException(503, reason, _RETRY_AFTER)

    async def run(self, job: Callable[[], Answer], request: Request) -> Answer:
        """Wait for a worker and have it do the job, unless the client has gone by then.

        Raises:
            HTTPException: 503, as in `check`.
            ClientDisconnect: If nobody waits for the answer.
        """
        self.check()
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        try:
            if await request.is_disconnected():
                raise ClientDisconnect
            return await asyncio.get_running_loop().run_in_executor(self._threads, job)
        finally:
            self._free.release()

    def close(self) -> None:
        """Let the running jobs end."""
        self._threads.shutdown()


class Service:
    """One model behind HTTP.

    Attributes:
        app: The ASGI application, which may be mounted in another one.
    """

    def __init__(
        self,
        model: FastSAM,
        *,
        workers: int,
        limits: Limits | None = None,
        token: str | None = None,
        origins: Sequence[str] = (),
        secret: bytes | None = None,
    ) -> None:
        """Set up the application; nothing is started.

        Args:
            model: Model that all workers share.
            workers: Number of photos that are computed at once.
            limits: Limits beyond which requests are refused.
            token: Secret that a client must send as "Authorization: Bearer TOKEN" to /segment, /convert and /info; None
                for none.
            origins: Origins of other sites whose pages may use the server, such as "https://example.org"; "*" for all.
            secret: At most 64 bytes with which the keys of remembered photos are made, so that several processes give a
                photo one key; None for random ones.

        Raises:
            OptionError: If an origin is malformed, the number of workers is not an integer of at least 1, or the others
                are something else.
        """
        if not callable(model):
            raise OptionError(f"model must be a FastSAM, such as FastSAM(), got {shown(model)}")
        if not isinstance(limits, Limits | None):
            raise OptionError(f"limits must be a Limits, got {shown(limits)}")
        if secret is not None and not (isinstance(secret, bytes) and 0 < len(secret) <= MOST_SECRET):
            raise OptionError(f"secret must be 1 to {MOST_SECRET} bytes, got {type(secret).__name__}")
        self._model = model
        self._limits = limits or Limits()
        self._token = None if token is None else text("token", token)
        self._workers = Workers(integer("workers", workers), self._limits.queue)
        self._held = 0
        self._memory = Memory(
            self._limits.remembered, self._limits.pixels, self._limits.remembered_seconds, secret or token_bytes(32)
        )
        self._forgetting: asyncio.Task[None] | None = None
        self._page, self._page_headers = _load_page()
        self._example = _load_example()
        self.app = Starlette(
            routes=[
                Route("/", self._show_page),
                Route("/example.jpg", self._show_example),
                Route("/healthz", self._health),
                Route("/info", self._info),
                Route("/openapi.json", self._describe),
                Route("/segment", self._segment, methods=["POST"]),
                Route("/convert", self._convert, methods=["POST"]),
            ],
            middleware=_cross_origin(texts("origins", origins)),
            exception_handlers={HTTPException: _refused},
            lifespan=self._lifespan,
        )
        self.app.router.redirect_slashes = False  # from behind a proxy it would lead to http://, with the token

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        yield
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._workers.close()

    def _forget_in_time(self) -> None:
        """Look for what to forget from the first kept photo on: a mounted application hears of no start."""
        if self._forgetting is None or self._forgetting.done():
            self._forgetting = asyncio.create_task(self._forget())

    async def _forget(self) -> None:
        """Forget photos in time, also where no request comes."""
        while True:
            await asyncio.sleep(max(self._limits.remembered_seconds, 1) / 10)
            self._memory.forget()

    async def _show_page(self, _request: Request) -> Response:
        return Response(self._page, media_type="text/html", headers=self._page_headers)

    async def _show_example(self, _request: Request) -> Response:
        if self._example is None:
            raise HTTPException(404, "this installation has no example photo")
        return Response(self._example, media_type="image/jpeg", headers=_COMMON_HEADERS)

    async def _health(self, _request: Request) -> Response:
        return _json({"status": "ok", "waiting": self._workers.waiting})

    async def _info(self, request: Request) -> Response:
        self._check_token(request)
        contract, options = self._model.contract, self._model.options
        return _json(
            {
                "version": __version__,
                "model": contract.description,
                "file": self._model.name,
                "text": has_texts(self._model),
                "defaults": dict(options),
                "limits": asdict(self._limits),
                "workers": self._workers.count,
                "answers": [{"media_type": one.media_type, "format": one.format} for one in REPRESENTATIONS],
            }
        )

    async def _describe(self, request: Request) -> Response:
        root = request.scope.get("root_path", "")
        return _json(describe(self._limits, self._model.options, has_token=self._token is not None, root=root))

    async def _segment(self, request: Request) -> Response:
        return await self._answered(request, lambda raw: respond(self._model, raw, self._limits, self._memory))

    async def _convert(self, request: Request) -> Response:
        most = self._model.options["max_det"] + self._limits.prompts  # all that a page can have of one photo
        return await self._answered(request, lambda raw: convert(raw, self._limits, self._memory, most))

    async def _answered(self, request: Request, job: Callable[[RawRequest], Answer]) -> Response:
        """What a worker's job answers to a request."""
        try:
            with self._holding() as hold:
                raw = RawRequest(
                    await self._receive(request, hold),
                    request.headers.get("content-type", ""),
                    _listed(request, "accept"),
                    request.query_params.multi_items(),
                )
                answer = await self._workers.run(lambda: _with_warnings(job, raw), request)
        except ClientDisconnect:
            return _json({"error": "the connection was cut"}, 400)  # nobody reads it
        except HTTPException:
            raise
        except Exception as error:  # a defect, or no memory left; the client learns no more than that
            logger.error("unexpected %s: %s", type(error).__name__, error, exc_info=True)
            return _json({"error": "the server failed; the reason is in its log"}, 500)
        headers = {**_COMMON_HEADERS, "Vary": "Accept"}
        if answer.photo_key is not None:
            headers[KEY_HEADER] = answer.photo_key
            self._forget_in_time()
        if answer.warnings:
            headers["Warning"] = warning_header(answer.warnings)
        return Response(answer.body, media_type=answer.media_type, headers=headers)

    async def _receive(self, request: Request, hold: Callable[[int], None]) -> bytes:
        """The body. A request whose headers show that it will be refused is refused before the body is sent."""
        upload = request.stream()
        try:
            self._check_token(request)
            _check_coding(_listed(request, "content-encoding"))
            negotiate(_listed(request, "accept"), request.query_params.get("format"))
            self._workers.check()
            return await self._body(upload, int(request.headers.get("content-length", "0")), hold)
        except HTTPException as refusal:
            if refusal.status_code != 408 and "expect" not in request.headers:  # such a client waits for our word
                await _discard(upload, self._limits.body_seconds)
            raise

    async def _body(self, upload: AsyncIterator[bytes], announced: int, hold: Callable[[int], None]) -> bytes:
        limit, seconds = self._limits.body_bytes, self._limits.body_seconds
        if announced > limit:
            raise HTTPException(413, f"a request must have at most {limit} bytes, got {announced}")
        pieces, size = [], 0
        try:
            async with asyncio.timeout(seconds):
                async for piece in upload:
                    size += len(piece)
                    if size > limit:
                        raise HTTPException(413, f"a request must have at most {limit} bytes, got more")
                    hold(len(piece))
                    pieces.append(piece)
        except TimeoutError as error:
            reason = f"the request did not arrive within {seconds:g} seconds"
            raise HTTPException(408, reason, {"Connection": "close"}) from error
        return b"".join(pieces)

    @contextlib.contextmanager
    def _holding(self) -> Iterator[Callable[[int], None]]:
        """Count the bytes that one request holds, as long as it lasts, among those of all requests."""
        mine = 0

        def hold(count: int) -> None:
            nonlocal mine
            if self._held + count > self._limits.held_bytes:
                raise HTTPException(503, "other requests fill the server's memory; try again later", _RETRY_AFTER)
            mine += count
            self._held += count

        try:
            yield hold
        finally:
            self._held -= mine

    def _check_token(self, request: Request) -> None:
        if self._token is None:
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), self._token.encode()):
            raise HTTPException(401, "send the server's token: Authorization: Bearer TOKEN", _AUTHENTICATE)


def _with_warnings(job: Callable[[RawRequest], Answer], raw: RawRequest) -> Answer:
    with gathered() as warnings:
        answer = job(raw)
    return replace(answer, warnings=tuple(warnings))


def _listed(request: Request, name: str) -> str:
    """The value of a header that is a list; its lines are one list (RFC 9110, 5.3)."""
    return ", ".join(request.headers.getlist(name))


def _check_coding(coding: str) -> None:
    if coding.lower() not in ("", "identity"):
        reason = f"Content-Encoding must be identity, the photo as it is, got {coding[:80]!r}"
        raise HTTPException(415, reason, {"Accept-Encoding": "identity"})


async def _discard(upload: AsyncIterator[bytes], seconds: float) -> None:
    """Read the rest of a refused upload, for a while: a client that is still sending would not read the refusal."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for _ in upload:
                pass


def _cross_origin(origins: Sequence[str]) -> list[Middleware]:
    for origin in origins:
        if not re.fullmatch(r"\*|https?://[^/\s*]+", origin):
            raise OptionError(f'an origin must be "*", or scheme and host as in https://example.org, got {origin!r}')
    if not origins:
        return []
    headers = ("Authorization", "Content-Type")
    known = inspect.signature(CORSMiddleware).parameters  # newer ones refuse pages that ask for a private network
    private: dict[str, Any] = {"allow_private_network": True} if "allow_private_network" in known else {}
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=("GET", "POST"),
            allow_headers=headers,
            expose_headers=(KEY_HEADER, "Warning"),
            **private,
        )
    ]


def _refused(request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    return _json({"error": _reason(request, refusal)}, refusal.status_code, refusal.headers)


def _reason(request: Request, refusal: HTTPException) -> str:
    """What is wrong and what is accepted, also where Starlette refuses by itself and says no more than the status."""
    if refusal.detail not in _TERSE:
        return refusal.detail
    path = request.url.path[:80]
    if refusal.status_code == 405 and refusal.headers:
        accepted = ", ".join(sorted(refusal.headers["Allow"].split(", ")))
        return f"{path} takes {accepted}, got {request.method[:20]}"
    known = ", ".join(sorted(route.path for route in request.app.routes))
    return f"there is no {path!r} here; there are {known}"


def _json(content: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(json.dumps(content), status, {**_COMMON_HEADERS, **(headers or {})}, "application/json")


def _load_page() -> tuple[bytes, dict[str, str]]:
    """The page, and headers that allow it its own script and requests to this server, and nothing else."""
    page = resources.files("fastsam_onnx.serve").joinpath("page.html").read_bytes()
    scripts = re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one).digest()).decode()}'" for one in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, {**_COMMON_HEADERS, "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"}


def _load_example() -> bytes | None:
    """A photo to try the page with: in the wheel beside the page, in a checkout among the examples."""
    package = Path(__file__).parents[1]
    for path in (package / "serve" / EXAMPLE, package.parent / "examples" / EXAMPLE):
        if path.is_file():
            return path.read_bytes()
    return None
