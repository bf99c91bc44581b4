"""One file from the first of its addresses that gives it: measured and hashed as it arrives, whole or not there."""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Any

from fastsam_onnx.files import sync
from fastsam_onnx.weights.cache import writing, wrong_kind
from fastsam_onnx.weights.catalogue import File

logger = logging.getLogger("fastsam_onnx")

DownloadProgress = Callable[[str, int, int | None], None]
"""Called with a file's name, the number of bytes that are here, and that of all (None if unknown). After a failure the
count starts again from 0 with the next address. An exception that it raises stops the download."""

ROUNDS = 2
"""Number of times that each address is tried, unless it says that trying again is of no use."""
PAUSE_S = 2.0
"""Pause between the rounds."""
TIMEOUT_S = 30.0
"""Longest wait for a connection, and for the next bytes."""
CHUNK_BYTES = 1 << 16
"""Bytes between two reports of progress: some thousand for a model."""
WORTH_ANOTHER_TRY = frozenset((408, 425, 429))
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
    failures: dict[str, str] = {}
    left = list(addresses)
    for attempt in range(ROUNDS):
        if attempt and left:
            time.sleep(PAUSE_S)
        for address in tuple(left):
            shown = re.sub(r"//[^/@]*@", "//***@", address)
            logger.info("fetching %s", shown)
            try:
                _transfer(address, file, target, progress)
            except _TransferError as failure:
                logger.info("%s: %s", shown, failure)
                failures[shown] = str(failure)
                if not failure.worth_another_try:
                    left.remove(address)
            else:
                return {}
    return failures


def _transfer(address: str, file: File, target: Path, progress: DownloadProgress | None) -> None:
    """Fetch one address to a file beside the target, check what came, and rename it.

    Raises:
        _TransferError: If the address does not give the file.
    """
    import secrets

    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with writing(file, target):
            stream = part.open("xb", buffering=0)
        with stream:
            sink = _Sink(stream, file, target, progress)
            _receive(address, sink)
            sink.check()
            with writing(file, target):
                sync(stream.fileno())
        with writing(file, target):
            wrong = wrong_kind(file, part)
        if wrong:
            raise _TransferError(f"gave {wrong}", worth_another_try=False)
        with writing(file, target):
            part.replace(target)
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)


def _receive(address: str, sink: _Sink) -> None:
    import pooch

    # Unpacked on the way the bytes would not be as many as the server says.
    headers = {"Accept-Encoding": "identity"}
    responses: list[Any] = []
    hooks = {"response": lambda response, **_: responses.append(response)}
    downloader = pooch.HTTPDownloader(chunk_size=CHUNK_BYTES, timeout=TIMEOUT_S, headers=headers, hooks=hooks)
    try:
        downloader(address, sink, None)
    except Exception as error:
        if error is sink.error:
            raise
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

    def __init__(self, stream: RawIOBase, file: File, target: Path, progress: DownloadProgress | None) -> None:
        import hashlib

        self.size = 0
        self.error: Exception | None = None
        self._stream, self._file, self._target, self._progress = stream, file, target, progress
        self._hash = hashlib.sha256()
        self._tell()

    def write(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Do nothing: nothing is kept back."""

    def check(self) -> None:
        """Compare what has arrived with the catalogue.

        Raises:
            _TransferError: If it is not the file.
        """
        if self._file.size not in (None, self.size):
            raise _TransferError(f"gave {self.size:,} bytes instead of {self._file.size:,}", worth_another_try=True)
        if self.size == 0:
            raise _TransferError("gave an empty file", worth_another_try=True)
        found = self._hash.hexdigest()
        if self._file.sha256 not in (None, found):
            raise _TransferError(
                f"gave another file: its SHA-256 is {found}, not {self._file.sha256}", worth_another_try=False
            )

    def _take(self, data: bytes) -> None:
        self.size += len(data)
        if self._file.size is not None and self.size > self._file.size:
            raise _TransferError(f"gave more than {self._file.size:,} bytes", worth_another_try=False)
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
