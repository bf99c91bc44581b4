"""Files that are complete or not there."""

from __future__ import annotations

import errno
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fastsam_onnx.errors import FastSAMError, OutputError

LOCKED_BYTE = 2**31 - 2
NO_WORKING_FOLDER = "the working folder was deleted or moved: change into one that is there"


def is_file(path: str | os.PathLike[str]) -> bool:
    """True if there is such a file; False where the system cannot tell, where pathlib raises (of too long a name)."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: str | os.PathLike[str]) -> bool:
    """True if there is such a folder; False as `is_file`."""
    return os.path.isdir(path)  # noqa: PTH112


def exists(path: str | os.PathLike[str]) -> bool:
    """True if there is something of this name; False as `is_file`."""
    return os.path.exists(path)  # noqa: PTH110


def is_special(path: str | os.PathLike[str]) -> bool:
    """True if there is something that is neither a file nor a folder: opening a FIFO could wait for ever."""
    return exists(path) and not is_file(path) and not is_folder(path)


def why_unread(path: str | os.PathLike[str], error: OSError | ValueError) -> str:
    """Why a file cannot be read; of a folder Windows says "Permission denied" alone."""
    if is_folder(path):
        return "it is a folder"
    if isinstance(error, FileNotFoundError):
        return f"there is no such file{hint_of_missing(path)}"
    return getattr(error, "strerror", None) or str(error)


def hint_of_missing(path: str | os.PathLike[str]) -> str:
    """What to do about a path that is not there, if it begins with ~, or is relative to a folder that was deleted.

    Shells put the home folder in the place of ~.
    """
    if os.fsdecode(path).startswith("~"):
        return "; ~ is not expanded: write the home folder in its place, in Python by os.path.expanduser(path)"
    return "" if Path(path).is_absolute() or has_working_folder() else f"; {NO_WORKING_FOLDER}"


def has_working_folder() -> bool:
    """False if it was deleted, so that relative paths mean nothing."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def absolute(path: str | os.PathLike[str]) -> Path:
    """The path in whatever working folder is next; as it is, and not there, where the one of now was deleted."""
    return Path(path).absolute() if has_working_folder() else Path(path)


def is_address(path: str | os.PathLike[str]) -> bool:
    """True for https://example.org/a.jpg, also as pathlib has it (https:/example.org/a.jpg), and for data: texts."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/|data:", os.fsdecode(path)) is not None


def utf8_path(path: str | os.PathLike[str]) -> str:
    """A path for libraries in C++: OpenCV ends the process (SIGSEGV) over one that is not UTF-8.

    Raises:
        ValueError: If it is not; the message says what to do, not which path.
    """
    text = os.fspath(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("its name and those of its folders must be UTF-8; rename what is not") from None
    return text


def beginning(file: BinaryIO) -> str:
    """The size of a file and its first bytes: what a message tells of one that is of no known format."""
    file.seek(0)
    head, size = file.read(30), file.seek(0, os.SEEK_END)
    return f"it has {size} bytes, beginning with {head!r}"


def try_lock(descriptor: int) -> bool | None:
    """True if the file is locked for us until it is closed, None if another has the lock, False if there are no locks.

    Windows lets nobody else read what is locked: a byte behind the end of our files, but within its 32 bits.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return None if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK) else False
    return True


def sync(descriptor: int) -> None:
    """Wait until what was written to a file is on the disk, where its file system can tell: some of networks cannot."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise


def write_file(path: str | Path, parts: Iterable[bytes | memoryview], *, part_name: str = "") -> None:
    """Write to a temporary name in the same folder, then rename.

    Args:
        path: Path of the file; behind a link its target is replaced, not the link.
        parts: Bytes, piece by piece. If making them fails, nothing is left either.
        part_name: As in `complete_file`.

    Raises:
        OutputError: If the file cannot be written.
    """
    with complete_file(path, part_name=part_name) as part, part.open("xb") as file:
        file.writelines(parts)


@contextmanager
def complete_file(path: str | Path, suffix: str = "", *, part_name: str = "") -> Iterator[Path]:
    """Give a temporary name in the same folder, and rename the file that was written there to its own.

    It is on the disk before, or a power cut would leave an empty file of that name.

    Args:
        path: As in `write_file`. If writing fails, nothing is left.
        suffix: End of the temporary name, for writers that go by it.
        part_name: Temporary name, where one process alone writes the file: what it left when it was killed goes. By
            default one that nobody else has.

    Raises:
        OutputError: If the file cannot be written.
    """
    with output_errors(path):
        target = Path(os.path.realpath(path))
        part = target.with_name(part_name or f".{secrets.token_hex(8)}.part{suffix}")
        if target.exists() and not target.is_file():
            raise OutputError(f"cannot write {path}: it exists and is not a regular file")
        part.unlink(missing_ok=True)
        try:
            yield part
            with part.open("rb+") as file:
                sync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def output_errors(path: str | Path) -> Iterator[None]:
    """Raise what the system or Python says against writing as an OutputError; our own errors pass as they are.

    Args:
        path: What was to be written.

    Raises:
        OutputError: If writing fails; it names the path and the reason.
    """
    try:
        yield
    except FastSAMError:
        raise
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot write {path}: {_why_unwritten(path, error)}") from error


def _why_unwritten(path: str | Path, error: OSError | ValueError) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    if not isinstance(error, FileNotFoundError):
        return reason
    if not is_folder(Path(path).parent):
        reason = f"there is no folder {Path(path).parent}; make it first"
    return f"{reason}{hint_of_missing(path)}"
