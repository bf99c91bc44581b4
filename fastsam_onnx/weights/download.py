"""One file from the first of its addresses that gives it: measured and hashed as it arrives, whole or not there.

A transfer that breaks off is continued, by the same address or another, where a hash tells whether the parts fit.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Any, NoReturn

from fastsam_onnx.files import sync
from fastsam_onnx.weights.cache import writing, wrong_kind
from fastsam_onnx.weights.catalogue import File

logger = logging.getLogger("fastsam_onnx")

DownloadProgress = Callable[[str, int, int | None], None]
"""Called with a file's name, the number of bytes that are here, and that of all (None if unknown). After a failure the
count goes on from there, or starts again from 0. An exception that it raises stops the download."""

ROUNDS = 2
"""Number of times that each address is tried, unless it says that trying again is of no use. Rounds that have brought
`GAIN_BYTES` or more do not count: what breaks off again and again arrives in parts."""
GAIN_BYTES = 1 << 20
PAUSE_S = 2.0
"""Pause between the rounds."""
TIMEOUT_S = 30.0
"""Longest wait for a connection, and for the next bytes."""
CHUNK_BYTES = 1 << 16
"""Bytes between two reports of progress: some thousand for a model."""
NOTHING_BEHIND = 416
"""HTTP answer of what has no more bytes than are here already."""
WORTH_ANOTHER_TRY = frozenset((408, NOTHING_BEHIND, 425, 429))
"""HTTP answers from 400 to 499 that may pass; all from 500 on may."""


def download(
    addresses: Sequence[str], file: File, target: Path, progress: DownloadProgress | None = None
) -> dict[str, str]:
    """Try the addresses in order until the right file has arrived.

    Args:
        addresses: Where to look, first choice first.
        file: What it must be.
        target: Where it is to be; its folder exists.
        progress: Called while bytes arrive.

    Returns:
        The reason of failure by address, without a password that it holds; empty if the file is there.

    Raises:
        DownloadError: If the file cannot be written.
    """
    import secrets

    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with writing(file, target):
            stream = part.open("xb", buffering=0)
        with stream:
            failures = _try_all(addresses, _Sink(stream, part, file, target, progress))
            if not failures:
                with writing(file, target):
                    sync(stream.fileno())
        if not failures:
            with writing(file, target):
                part.replace(target)
        return failures
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _try_all(addresses: Sequence[str], sink: _Sink) -> dict[str, str]:
    """Try the addresses until one gives the file, or the rest of it. Returns what `download` does."""
    failures: dict[str, str] = {}
    left = list(addresses)
    idle = 0
    while left and idle < ROUNDS:
        before = sink.size
        for address in tuple(left):
            shown = without_password(address)
            logger.info("fetching %s", shown)
            try:
                _receive(address, sink)
                sink.check()
            except _TransferError as failure:
                reason = without_password(str(failure))  # it may quote the address
                logger.info("%s: %s", shown, reason)
                failures[shown] = reason
                if not failure.worth_another_try:
                    left.remove(address)
            else:
                return {}
        if sink.size < before + GAIN_BYTES:
            idle += 1
        if left and idle < ROUNDS:
            time.sleep(PAUSE_S)
    return failures


def without_password(text: str) -> str:
    """A text with `***` for the user and the password of addresses in it."""
    return re.sub(r"//[^/@]*@", "//***@", text)


def _receive(address: str, sink: _Sink) -> None:
    """Fetch what an address has of the file behind what is here already.

    Raises:
        _TransferError: If the address does not give it.
    """
    import pooch

    # Unpacked on the way the bytes would not be as many as the server says.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={sink.kept}-"} if sink.kept else {})}
    responses: list[Any] = []

    def begins(response: Any, **_: Any) -> None:
        responses.append(response)
        if response.status_code < 300:
            sink.begin(response.headers.get("Content-Range") if response.status_code == 206 else None)

    downloader = pooch.HTTPDownloader(
        chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S, headers=headers, hooks={"response": begins}
    )
    try:
        downloader(address, sink, None)
    except Exception as error:
        if error is sink.error:
            raise
        if getattr(getattr(error, "response", None), "status_code", 0) == NOTHING_BEHIND:
            sink.restart()
        raise _TransferError(*_reason(error)) from error
    finally:
        for response in responses:  # of a transfer that was given up, pooch leaves the connection open
            response.close()


class _TransferError(Exception):
    """An address does not give the file."""

    def __init__(self, reason: str, worth_another_try: bool) -> None:
        super().__init__(reason)
        self.worth_another_try = worth_another_try


class _Sink:
    """The end of a transfer: a file that is measured, hashed and reported as it grows.

    Attributes:
        size: Number of bytes that have arrived.
        error: The error that was ours, and not the network's.
    """

    def __init__(
        self, stream: RawIOBase, path: Path, file: File, target: Path, progress: DownloadProgress | None
    ) -> None:
        """``path``: that of the stream; the other arguments are those of `download`."""
        self.error: Exception | None = None
        self._stream, self._path, self._file, self._target, self._progress = stream, path, file, target, progress
        self.restart()

    @property
    def kept(self) -> int:
        """Number of bytes that need not be sent again: without a hash nobody could tell whether the rest fits."""
        return 0 if self._file.sha256 is None else self.size

    def restart(self) -> None:
        """Forget what has arrived."""
        import hashlib

        with writing(self._file, self._target):
            self._stream.seek(0)
            self._stream.truncate()
        self.size, self._is_continued = 0, False
        self._hash = hashlib.sha256()
        self._tell()

    def begin(self, content_range: str | None) -> None:
        """Make ready for the whole file, or for the part that a server says it sends.

        Raises:
            _TransferError: If it is not the part that is missing.
        """
        with self._ours():
            if self.size and (content_range is None or not self.kept):
                self.restart()
            if content_range is not None and not content_range.startswith(f"bytes {self.size}-"):
                self.refuse(f"another part than was asked for: {content_range[:80]}", worth_another_try=True)
            self._is_continued = self.size > 0

    def write(self, data: bytes) -> None:
        with self._ours():
            self._take(data)

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def check(self) -> None:
        """Compare what has arrived with the catalogue.

        Raises:
            _TransferError: If it is not the file.
        """
        if self._file.size not in (None, self.size):
            self.refuse(f"{self.size:,} bytes instead of {self._file.size:,}", worth_another_try=True)
        if self.size == 0:
            self.refuse("an empty file", worth_another_try=True)
        found = self._hash.hexdigest()
        if self._file.sha256 not in (None, found):
            # Of parts that do not fit together any may be the wrong one.
            self.refuse(
                f"another file: its SHA-256 is {found}, not {self._file.sha256}", worth_another_try=self._is_continued
            )

        with writing(self._file, self._target):
            wrong = wrong_kind(self._file, self._path)
        if wrong:
            self.refuse(wrong)

    def refuse(self, what: str, *, worth_another_try: bool = False) -> NoReturn:
        """Forget what has arrived: it is wrong.

        Raises:
            _TransferError: Always.
        """
        self.restart()
        raise _TransferError(f"gave {what}", worth_another_try)

    @contextlib.contextmanager
    def _ours(self) -> Iterator[None]:
        """Remember an error that is not the network's."""
        try:
            yield
        except Exception as error:
            self.error = error
            raise

    def _take(self, data: bytes) -> None:
        self.size += len(data)
        if self._file.size is not None and self.size > self._file.size:
            self.refuse(f"more than {self._file.size:,} bytes")
        left = memoryview(data)
        while left:
            with writing(self._file, self._target):
                left = left[self._stream.write(left) :]
        self._hash.update(data)
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._file.path, self.size, self._file.size)


def _reason(error: Exception) -> tuple[str, bool]:
    """The reason why a transfer failed, on one line, and True if another try may help."""
    response: Any = getattr(error, "response", None)
    if response is not None and response.status_code >= 400:
        status: int = response.status_code
        return f"HTTP {status} {response.reason}".rstrip(), status >= 500 or status in WORTH_ANOTHER_TRY
    return " ".join(_innermost(error).split()), not isinstance(error, ValueError)


def _innermost(error: BaseException) -> str:
    """The message of the error inside those of requests and urllib3."""
    first = error.args[0] if error.args else None
    for inner in (getattr(error, "reason", None), first):
        if isinstance(inner, BaseException):
            return _innermost(inner)
    text = first if isinstance(first, str) else str(error)
    return text.rstrip(". ") or type(error).__name__
