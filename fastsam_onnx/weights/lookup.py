"""From the name of a model to its file: the cache folder, and downloads when a name asks for them.

The network is touched for a name whose file is not in the cache folder, and for nothing else. A file appears under
its final name when all of it has arrived and its size and SHA-256 are those of the catalogue.

Environment variables:
    FASTSAM_ONNX_HOME: The cache folder.
    FASTSAM_ONNX_OFFLINE: 1 forbids the network.
    FASTSAM_ONNX_MIRRORS: Addresses, separated by spaces or commas, that are tried before the catalogue's. A mirror
        serves files as the cache folder has them.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Any

from fastsam_onnx.errors import DownloadError, ModelNotFoundError, OptionError
from fastsam_onnx.weights import catalogue
from fastsam_onnx.weights.catalogue import Entry, File, Task

logger = logging.getLogger("fastsam_onnx")

Progress = Callable[[str, int, int | None], None]
"""Called with a file's name, the bytes that are here, and all its bytes (None if unknown). After a failure the count
starts again from 0 with the next address. What it raises stops the download."""

APP = "fastsam-onnx"
HOME, OFFLINE, MIRRORS = "FASTSAM_ONNX_HOME", "FASTSAM_ONNX_OFFLINE", "FASTSAM_ONNX_MIRRORS"
ROUNDS = 2
"""How often each address is tried, unless it says that trying again is of no use."""
PAUSE_S = 2.0
"""Between the rounds."""
TIMEOUT_S = 30.0
"""Longest wait for a connection, and for the next bytes."""
CHUNK = 1 << 16
WORTH_ANOTHER_TRY = frozenset((408, 425, 429))
"""Of the HTTP answers from 400 to 499; those from 500 on are, too."""


def resolve(
    name_or_path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    progress: Progress | None = None,
    unverified: bool = False,
) -> Path:
    """The path of a model: a path as it is, a name of the catalogue after its download if it is not here yet.

    A string is a name if the catalogue has it, in whatever case, and nothing of that kind lies under it as a path; a
    `Path` is never one. A path wins, and nothing is made or downloaded for it, nor is the cache folder looked at.

    Args:
        name_or_path: "FastSAM-s", or the path of a file of any kind.
        task: What a name has to be good for; anything by default.
        progress: Called while bytes arrive.
        unverified: Download a file even if its SHA-256 is unknown.

    Returns:
        A file; for a name with several files, their folder.

    Raises:
        ModelNotFoundError: If there is neither such a name nor such a file, and it looks like a name.
        OptionError: If the model of that name is for another task, or an environment variable has no meaning.
        DownloadError: If the file is not here and cannot be fetched, or may not, or another file has its name.
    """
    path = Path(name_or_path)
    if not isinstance(name_or_path, str):
        return path
    entry = catalogue.find(name_or_path)
    if entry is None:
        _check_no_misspelt_name(path)
        return path
    if path.is_dir() if len(entry.files) > 1 else path.is_file():
        return path
    if task not in (None, entry.task):
        raise OptionError(
            f"{entry.name} is no model for this ({entry.purpose}); there are {', '.join(names(task))}, and any path"
        )
    return fetch(entry, progress=progress, unverified=unverified)


def names(task: Task | None = None) -> list[str]:
    """The names of the catalogue, of one task or all."""
    return [entry.name for entry in catalogue.ENTRIES if task in (None, entry.task)]


def cache_folder() -> Path:
    """Where files are kept: `FASTSAM_ONNX_HOME`, else `fastsam-onnx` in the platform's folder for caches.

    That is `$XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`, on Windows `%LOCALAPPDATA%`. The folder need
    not exist.

    Raises:
        DownloadError: If this user has no home folder.
    """
    if chosen := os.environ.get(HOME):
        return Path(os.path.abspath(_expanded(chosen)))  # noqa: PTH100 - links stay as the user wrote them
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or _expanded("~/AppData/Local")) / APP
    if sys.platform == "darwin":
        return _expanded("~/Library/Caches") / APP
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else _expanded("~/.cache")) / APP


def is_here(entry: Entry) -> bool:
    """Whether all files of a model are in the cache folder.

    Raises:
        DownloadError: If another file has the name of one, known by its size.
    """
    return not _missing(entry, cache_folder())


def fetch(entry: Entry, *, progress: Progress | None = None, unverified: bool = False) -> Path:
    """Download those files of a model that are not in the cache folder; its licence is logged before, as a warning.

    Any number of threads and processes may ask for the same model: one downloads, the others wait for it.

    Args:
        entry: Of the catalogue, or one of your own.
        progress: Called while bytes arrive.
        unverified: Take files whose SHA-256 is unknown as they come.

    Returns:
        The file, or the folder that holds the files.

    Raises:
        DownloadError: If a file cannot be fetched, or may not be, or another file has its name, known by its size.
        OptionError: If an environment variable has no meaning.
    """
    folder = cache_folder()
    missing = _missing(entry, folder)
    if missing:
        _check_allowed(entry, missing, folder, unverified=unverified)
        mirrors = _mirrors()
        logger.warning(
            "downloading %s (%s). Its licence: %s. %s",
            entry.name,
            _size(catalogue.total_size(missing)),
            entry.licence,
            entry.licence_details,
        )
        for file in missing:
            _fetch_file(file, folder, mirrors, progress or _say_nothing)
    return folder / entry.path


def verify(entry: Entry) -> None:
    """Read the files of a model in the cache folder and compare their SHA-256, where it is known.

    Downloads are checked as they arrive; this is for files that were put there by hand, or long ago.

    Raises:
        DownloadError: If a file is not here or is not the right one.
    """
    import hashlib

    folder = cache_folder()
    if missing := _missing(entry, folder):
        raise DownloadError(f"{', '.join(file.path for file in missing)} of {entry.name} is not in {folder}")
    for file in entry.files:
        path = folder / file.path
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise DownloadError(f"cannot read {path}: {error.strerror or error}") from error
        if file.sha256 not in (None, found):
            raise DownloadError(
                f"{path} is not {file.path} of {entry.name}: its SHA-256 is {found}, not {file.sha256}; "
                "delete it, and it is fetched anew"
            )


def _check_no_misspelt_name(path: Path) -> None:
    """Say what names there are, where a path that does not exist may have been meant as one."""
    spelling = os.fspath(path)
    files = {file.path.casefold(): entry.name for entry in catalogue.ENTRIES for file in entry.files}
    meant = files.get(path.name.casefold())
    looks_like_name = path.name == spelling and not path.suffix
    if not (meant or looks_like_name) or os.path.exists(path):  # noqa: PTH110 - Path.exists raises on some names
        return
    if meant:
        raise ModelNotFoundError(f"there is no model file {spelling}; the name {meant!r} without suffix downloads it")
    raise ModelNotFoundError(
        f"there is no model file {spelling} and no model of that name; names: {', '.join(names())}"
    )


def _missing(entry: Entry, folder: Path) -> list[File]:
    return [file for file in entry.files if not _is_there(file, folder / file.path)]


def _is_there(file: File, path: Path) -> bool:
    """Whether the file is there; only its size is looked at."""
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DownloadError(f"cannot look at {path}: {error.strerror or error}") from error
    if not path.is_file():
        raise DownloadError(f"{path} is in the way of a model's file: it is no file")
    if file.size not in (None, size):
        raise DownloadError(
            f"{path} has {size:,} bytes, but {file.path} is a file of {file.size:,}: another file, or a copy that was "
            "cut off. Delete or rename it, and the right one is fetched; or name another folder with " + HOME
        )
    return True


def _check_allowed(entry: Entry, missing: Sequence[File], folder: Path, *, unverified: bool) -> None:
    if _is_offline():
        raise DownloadError(
            f"{entry.name} is not here: looked for {_listed(missing)} in {folder}, and {OFFLINE} forbids the network. "
            f"{_by_hand(missing, folder)}"
        )
    unknown = [file for file in missing if file.sha256 is None]
    if unknown and not unverified:
        raise DownloadError(
            f"the SHA-256 of {_listed(unknown)} is unknown, so nothing tells whether what arrives is the right file. "
            f"`{APP} download {entry.name} --unverified` takes it as it comes, and so does "
            f"fastsam_onnx.weights.resolve({entry.name!r}, unverified=True)"
        )


def _fetch_file(file: File, folder: Path, mirrors: Sequence[str], progress: Progress) -> None:
    target = folder / file.path
    with _writing(file, target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with _locked(file, target) as alone:
        if _is_there(file, target):  # another process was faster
            return
        if alone:
            with _writing(file, target):
                for abandoned in _parts(target):
                    abandoned.unlink(missing_ok=True)
        addresses = [*(f"{mirror}/{file.path}" for mirror in mirrors), *file.addresses]
        failures = _download(addresses, file, target, progress)
    if failures:
        raise DownloadError(
            f"cannot download {file.path} ({_size(file.size)}): {'; '.join(failures)}. {_by_hand([file], folder)}"
        )


def _download(addresses: Sequence[str], file: File, target: Path, progress: Progress) -> list[str]:
    """Try the addresses in order until the right file has arrived; gives why each failed, or nothing."""
    failures: dict[str, str] = {}
    left = list(addresses)
    for attempt in range(ROUNDS):
        if attempt and left:
            time.sleep(PAUSE_S)
        for address in tuple(left):
            logger.info("fetching %s", address)
            try:
                _transfer(address, file, target, progress)
            except _TransferError as failure:
                logger.info("%s: %s", address, failure)
                failures[address] = str(failure)
                if not failure.worth_another_try:
                    left.remove(address)
            else:
                return []
    return [f"{address}: {failure}" for address, failure in failures.items()] or ["no address is known"]


def _parts(target: Path) -> list[Path]:
    """The files to which the target was being downloaded by processes that did not end well."""
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]+\.part")
    return [path for path in target.parent.iterdir() if name.fullmatch(path.name)]


def _transfer(address: str, file: File, target: Path, progress: Progress) -> None:
    """Fetch one address to a file beside the target, check what came, and rename it.

    Raises:
        _TransferError: If the address does not give the file.
    """
    import secrets

    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with _writing(file, target):
            stream = part.open("xb", buffering=0)
        with stream:
            sink = _Sink(stream, file, target, progress)
            _receive(address, sink)
            sink.check()
            with _writing(file, target):
                os.fsync(stream.fileno())
        with _writing(file, target):
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
    downloader = pooch.HTTPDownloader(chunk_size=CHUNK, timeout=TIMEOUT_S, headers=headers, hooks=hooks)
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
    """What the transfer writes to: a file that is measured, hashed and reported as it grows.

    Attributes:
        size: The bytes that have arrived.
        error: What went wrong on our side, and not on the network's.
    """

    def __init__(self, stream: RawIOBase, file: File, target: Path, progress: Progress) -> None:
        import hashlib

        self.size = 0
        self.error: Exception | None = None
        self._stream, self._file, self._target, self._progress = stream, file, target, progress
        self._hash = hashlib.sha256()
        progress(file.path, 0, file.size)

    def write(self, data: bytes) -> None:
        try:
            self._take(data)
        except Exception as error:
            self.error = error
            raise

    def flush(self) -> None:
        """Nothing is kept back."""

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
            with _writing(self._file, self._target):
                left = left[self._stream.write(left) :]
        self._hash.update(data)
        self._progress(self._file.path, self.size, self._file.size)


def _reason(error: Exception) -> tuple[str, bool]:
    """Why a transfer failed, on one line, and whether another try may help."""
    response: Any = getattr(error, "response", None)
    if response is not None and response.status_code >= 400:
        status: int = response.status_code
        return f"HTTP {status} {response.reason}".rstrip(), status >= 500 or status in WORTH_ANOTHER_TRY
    return " ".join(_innermost(error).split()), not isinstance(error, ValueError)


def _innermost(error: BaseException) -> str:
    """What the error says that requests' errors wrap, and urllib3's in them."""
    first = error.args[0] if error.args else None
    for inner in (getattr(error, "reason", None), first):
        if isinstance(inner, BaseException):
            return _innermost(inner)
    text = first if isinstance(first, str) else str(error)
    return text.rstrip(". ") or type(error).__name__


def _mirrors() -> list[str]:
    mirrors = [mirror.rstrip("/") for mirror in re.split(r"[\s,]+", os.environ.get(MIRRORS, "")) if mirror]
    for mirror in mirrors:
        if not mirror.lower().startswith(("https://", "http://")):
            raise OptionError(f"{MIRRORS} holds addresses that begin with https:// or http://; found {mirror!r}")
    return mirrors


def _is_offline() -> bool:
    value = os.environ.get(OFFLINE, "").strip().casefold()
    return value not in ("", "0", "false", "no", "off")


@contextlib.contextmanager
def _locked(file: File, target: Path) -> Iterator[bool]:
    """Wait for other processes that download this file; gives whether there is surely none.

    Where a file system has no locks, several may download it: each to a name of its own. The empty lock file stays,
    because who waits for a lock that is deleted holds another lock than who comes later.
    """
    with _writing(file, target):
        lock = target.with_name(f".{target.name}.lock").open("ab")
    with lock:
        while (alone := _try_lock(lock.fileno())) is None and not target.exists():
            time.sleep(0.1)
        yield bool(alone)


def _try_lock(descriptor: int) -> bool | None:
    """True if the lock is ours until the file is closed, None if another has it, False if there are no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK) else False
    return True


@contextlib.contextmanager
def _writing(file: File, target: Path) -> Iterator[None]:
    """Errors of the disk say what was to be written where, and what to do."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"cannot write {file.path} ({_size(file.size)}) in {target.parent}: {error.strerror or error}. "
            f"{HOME}=FOLDER names a folder that may be written and has room. {_by_hand([file])}"
        ) from error


def _by_hand(files: Sequence[File], folder: Path | None = None) -> str:
    """What to do without us: from where, and to where if that is a place to keep files."""
    steps = [
        f"fetch {file.addresses[0]}" + (f" and put it at {folder / file.path}" if folder else "")
        for file in files
        if file.addresses
    ]
    return "; ".join([f"By hand: {', '.join(steps)}"] * bool(steps) + ["a model's path works from any place"])


def _listed(files: Sequence[File]) -> str:
    return ", ".join(file.path for file in files)


def _size(size: int | None) -> str:
    return "size unknown" if size is None else f"{size:,} bytes"


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DownloadError(f"this user has no home folder to keep files in; {HOME}=FOLDER names one") from None


def _say_nothing(_name: str, _done: int, _total: int | None) -> None:
    """The progress that nobody watches."""
