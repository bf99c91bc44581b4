"""The cache folder: where models' files are kept, what is there, and how a file comes in whole.

Environment variables:
    FASTSAM_ONNX_HOME: The cache folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastsam_onnx.errors import DownloadError, OptionError
from fastsam_onnx.files import try_lock
from fastsam_onnx.log import warn
from fastsam_onnx.options import shown
from fastsam_onnx.weights.catalogue import Entry, File

APP = "fastsam-onnx"
HOME = "FASTSAM_ONNX_HOME"
LOCK_POLL_S = 0.1
"""Pause between two looks at a lock that another process has."""


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


def missing_files(entry: Entry, folder: Path) -> list[File]:
    """The files of a model that are not in the folder.

    Raises:
        OptionError: If it is no entry of a catalogue.
        DownloadError: As in `is_there`.
    """
    if not isinstance(entry, Entry):
        raise OptionError(
            f"entry must be an Entry of weights.catalogue, got {shown(entry)}; weights.resolve takes names"
        )
    return [file for file in entry.files if not is_there(file, folder / file.path)]


def is_there(file: File, path: Path) -> bool:
    """True if the file is there; only its size is looked at.

    Raises:
        DownloadError: If something else has its name.
    """
    try:
        size = path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise DownloadError(
            f"cannot look at {path}: {error.strerror or error}; {HOME}=FOLDER names another folder"
        ) from error
    if not path.is_file():
        raise DownloadError(f"{path} is in the way of a model's file: it is not a file")
    if file.size not in (None, size):
        raise DownloadError(
            f"{path} has {size:,} bytes, but {file.path} has {file.size:,}: another file, or a copy that was cut "
            f"short. Delete or rename it, and the right one is fetched; or name another folder with {HOME}"
        )
    return True


@contextlib.contextmanager
def locked(file: File, target: Path) -> Iterator[bool]:
    """Wait for other processes that download this file; gives True if there is surely none.

    Where a file system has no locks, several may download it: each to a name of its own. The empty lock file stays,
    because who waits for a lock that is deleted holds another lock than who comes later.
    """
    with writing(file, target):
        lock = target.with_name(f".{target.name}.lock").open("ab")
    with lock:
        alone = try_lock(lock.fileno())
        if alone is None:
            warn("another download of %s is under way; waiting for it", target)
        while alone is None and not target.exists():
            time.sleep(LOCK_POLL_S)
            alone = try_lock(lock.fileno())
        yield bool(alone)


def wrong_kind(file: File, path: Path) -> str:
    """Why what has come under a file's name cannot be such a file, where no hash tells; empty if it may be.

    A page to log in, an error in JSON or a pointer of Git LFS comes without any error of HTTP.

    Raises:
        OSError: If it cannot be read.
    """
    import zipfile

    if file.sha256 is not None:
        return ""
    with path.open("rb") as stream:
        head = stream.read(40)
    suffix = Path(file.path).suffix.lower()
    if suffix in (".pt", ".pth") and head.startswith(b"PK") and not zipfile.is_zipfile(path):
        return "a PyTorch checkpoint that is cut short: its zip archive has no directory at its end"
    begins = {".pt": b"PK", ".pth": b"PK", ".onnx": b"\x08"}.get(suffix, b"")
    if head.startswith(begins):
        return ""
    return f"something else than a model: it begins with {head!r}, as a page to log in or a message may"


def leftovers(target: Path) -> list[Path]:
    """The files to which the target was being downloaded by processes that were killed."""
    name = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]+\.part")
    return [path for path in target.parent.iterdir() if name.fullmatch(path.name)]


@contextlib.contextmanager
def writing(file: File, target: Path) -> Iterator[None]:
    """Let errors of the disk say what was to be written where, and what to do.

    Raises:
        DownloadError: If writing fails.
    """
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"cannot write {file.path} ({size_text(file.size)}) in {target.parent}: {error.strerror or error}. "
            f"{HOME}=FOLDER names a folder that may be written and has room. {by_hand([file])}"
        ) from error


def by_hand(files: Sequence[File], folder: Path | None = None) -> str:
    """The way without us: from which addresses to fetch files, and where to put them; one file a line."""
    steps = [
        f"\n  {file.addresses[0]}" + (f" -> {folder / file.path}" if folder else "") for file in files if file.addresses
    ]
    if not steps:
        return "Give the path of a model's file, which may lie anywhere"
    return f"Fetch by hand, or give the path of a model's file, which may lie anywhere:{''.join(steps)}"


def size_text(size: int | None) -> str:
    """A size in bytes for messages."""
    return "size unknown" if size is None else f"{size:,} bytes"


def _expanded(path: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DownloadError(f"this user has no home folder to keep files in; {HOME}=FOLDER names one") from None
