"""From the name of a model to its file, which is downloaded when a name asks for it.

The network is touched for a name whose file is not in the cache folder, and for nothing else. A file appears under
its final name when all of it has arrived and its size and SHA-256 are those of the catalogue.

Environment variables:
    FASTSAM_ONNX_OFFLINE: 1 forbids the network.
    FASTSAM_ONNX_MIRRORS: Addresses, separated by spaces or commas, that are tried before the catalogue's. A mirror
        serves files as the cache folder has them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from fastsam_onnx.errors import DownloadError, ModelNotFoundError, OptionError
from fastsam_onnx.files import exists, is_address, is_file
from fastsam_onnx.log import warn
from fastsam_onnx.options import choice, function, shown
from fastsam_onnx.weights import catalogue
from fastsam_onnx.weights.bundled import bundled_model, bundled_names, find_bundled
from fastsam_onnx.weights.cache import (
    APP,
    by_hand,
    cache_folder,
    is_there,
    leftovers,
    locked,
    missing_files,
    size_text,
    writing,
    wrong_kind,
)
from fastsam_onnx.weights.catalogue import Entry, File, Task
from fastsam_onnx.weights.download import DownloadProgress, download, without_password

OFFLINE, MIRRORS = "FASTSAM_ONNX_OFFLINE", "FASTSAM_ONNX_MIRRORS"


def resolve(
    name_or_path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    progress: DownloadProgress | None = None,
    unverified: bool = False,
) -> Path:
    """The path of a model: a path as it is, a name of the catalogue after its download if it is not here yet.

    A string is a name if the catalogue has it, in whatever case, and nothing of that kind lies under it as a path; a
    `Path` is never one. A path wins, and nothing is made or downloaded for it, nor is the cache folder looked at.

    Args:
        name_or_path: "FastSAM-s", or the path of a file of any kind.
        task: Task that the model of a name must be for; any by default.
        progress: Called while bytes arrive.
        unverified: Download a file even if its SHA-256 is unknown.

    Returns:
        A file; for a name with several files, their folder.

    Raises:
        ModelNotFoundError: If there is neither such a name nor such a file, and it looks like a name or an address.
        OptionError: If it is something else or empty, the model of that name is for another task, or an environment
            variable is malformed.
        DownloadError: If the file is not here and cannot be fetched, or may not, or another file has its name.
    """
    if not isinstance(name_or_path, str | os.PathLike) or name_or_path == "":  # of which a Path makes "."
        raise OptionError(f"name_or_path must be a model's name or path, got {shown(name_or_path)}")
    path = Path(name_or_path)
    if not isinstance(name_or_path, str):
        return path
    if is_address(name_or_path) and not exists(path):
        raise ModelNotFoundError(
            f"models are not downloaded by address, got {shown(without_password(name_or_path))}; "
            "fetch it and give the path of the file"
        )
    bundled = find_bundled(name_or_path)
    if bundled is not None and not is_file(path):
        _check_task(bundled.name, "segment", bundled.purpose, task)
        return bundled_model(bundled.name)
    entry = catalogue.find(name_or_path)
    if entry is None:
        _check_no_misspelt_name(path, task)
        return path
    if path.is_dir() if len(entry.files) > 1 else path.is_file():
        return path
    _check_task(entry.name, entry.task, entry.purpose, task)
    return fetch(entry, progress=progress, unverified=unverified)


def names(task: Task | None = None) -> list[str]:
    """The names of the catalogue, of one task or all; OptionError if the task is not known."""
    if task is not None:
        choice("task", task, get_args(Task))
    return [entry.name for entry in catalogue.ENTRIES if task in (None, entry.task)]


def is_here(entry: Entry) -> bool:
    """True if all files of a model are in the cache folder.

    Raises:
        OptionError: If it is no `Entry`.
        DownloadError: If another file has the name of one, known by its size.
    """
    return not missing_files(entry, cache_folder())


def fetch(entry: Entry, *, progress: DownloadProgress | None = None, unverified: bool = False) -> Path:
    """Download those files of a model that are not in the cache folder; its licence is logged before, as a warning.

    Any number of threads and processes may ask for the same model: one downloads, the others wait for it.

    Args:
        entry: An entry of the catalogue, or one of your own.
        progress: Called while bytes arrive.
        unverified: Take files whose SHA-256 is unknown as they come.

    Returns:
        The file, or the folder that holds the files.

    Raises:
        DownloadError: If a file cannot be fetched, or may not be, or another file has its name, known by its size.
        OptionError: If `progress` is no function, or an environment variable is malformed.
    """
    function("progress", progress)
    folder = cache_folder()
    missing = missing_files(entry, folder)
    if missing:
        _check_allowed(entry, missing, folder, unverified=unverified)
        mirrors = _mirrors()
        warn(
            "downloading %s (%s). Its licence: %s. %s",
            entry.name,
            size_text(catalogue.total_size(missing)),
            entry.licence,
            entry.licence_details,
        )
        for file in missing:
            _fetch_file(file, folder, mirrors, progress)
    return folder / entry.path


def verify(entry: Entry) -> None:
    """Read the files of a model in the cache folder and compare their SHA-256, where it is known, or their kind.

    Downloads are checked as they arrive; this is for files that were put there by hand, or long ago.

    Raises:
        OptionError: If it is no `Entry`.
        DownloadError: If a file is not here or is not the right one.
    """
    import hashlib

    folder = cache_folder()
    if missing := missing_files(entry, folder):
        raise DownloadError(f"{', '.join(file.path for file in missing)} of {entry.name} is not in {folder}")
    for file in entry.files:
        path = folder / file.path
        try:
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
            wrong = wrong_kind(file, path)
        except OSError as error:
            raise DownloadError(f"cannot read {path}: {error.strerror or error}") from error
        if file.sha256 not in (None, found):
            raise DownloadError(
                f"{path} is not {file.path} of {entry.name}: its SHA-256 is {found}, not {file.sha256}; "
                "delete it, and it is fetched anew"
            )
        if wrong:
            raise DownloadError(f"{path} is not {file.path} of {entry.name}, but {wrong}; delete it, and fetch it anew")


def _accepted(task: Task | None) -> str:
    """The names that `resolve` takes for a task, with those of the package."""
    return ", ".join([*(bundled_names() if task in (None, "segment") else ()), *names(task)])


def _check_task(name: str, task: Task, purpose: str, wanted: Task | None) -> None:
    """Raise OptionError, which lists the names, if a model is for another task than the wanted one."""
    if wanted not in (None, task):
        raise OptionError(
            f"{name} is not a model for this task, {wanted} (its purpose: {purpose}); "
            f"accepted are {_accepted(wanted)}, and any path"
        )


def _check_no_misspelt_name(path: Path, task: Task | None) -> None:
    """Refuse a path that does not exist and may have been meant as a name.

    Raises:
        ModelNotFoundError: If it does; the message lists the names for the task.
    """
    spelling = os.fspath(path)
    files = {file.path.casefold(): entry.name for entry in catalogue.ENTRIES for file in entry.files}
    meant = files.get(path.name.casefold())
    looks_like_name = path.name == spelling and not path.suffix
    if not (meant or looks_like_name) or exists(path):
        return
    if meant:
        raise ModelNotFoundError(f"there is no model file {spelling}; the name {meant!r} without suffix downloads it")
    raise ModelNotFoundError(f"there is no model file {spelling} and no model of that name; names: {_accepted(task)}")


def _check_allowed(entry: Entry, missing: Sequence[File], folder: Path, *, unverified: bool) -> None:
    if _is_offline():
        raise DownloadError(
            f"{entry.name} is not here, and {OFFLINE} forbids the network: looked for {_listed(missing)} in {folder}. "
            f"{by_hand(missing, folder)}"
        )
    unknown = [file for file in missing if file.sha256 is None]
    if unknown and not unverified:
        raise DownloadError(
            f"the SHA-256 of {_listed(unknown)} is unknown, so the download cannot be checked. "
            f"To take it as it comes: `{APP} download {entry.name} --unverified`, or "
            f"fastsam_onnx.weights.resolve({entry.name!r}, unverified=True)"
        )


def _fetch_file(file: File, folder: Path, mirrors: Sequence[str], progress: DownloadProgress | None) -> None:
    target = folder / file.path
    with writing(file, target):
        target.parent.mkdir(parents=True, exist_ok=True)
    with locked(file, target) as alone:
        if is_there(file, target):  # another process was faster
            return
        if alone:
            with writing(file, target):
                for abandoned in leftovers(target):
                    abandoned.unlink(missing_ok=True)
        addresses = [*(f"{mirror}/{file.path}" for mirror in mirrors), *file.addresses]
        if not addresses:
            raise DownloadError(
                f"cannot download {file.path} ({size_text(file.size)}): no address is known. {by_hand([file])}"
            )
        failures = download(addresses, file, target, progress)
    if failures:
        tried = "".join(f"\n  {address}: {reason}" for address, reason in failures.items())
        raise DownloadError(
            f"cannot download {file.path} ({size_text(file.size)}). {by_hand([file], folder)}\nTried:{tried}"
        )


def _mirrors() -> list[str]:
    mirrors = [mirror.rstrip("/") for mirror in re.split(r"[\s,]+", os.environ.get(MIRRORS, "")) if mirror]
    for mirror in mirrors:
        if not mirror.lower().startswith(("https://", "http://")):
            given = without_password(mirror)
            raise OptionError(f"{MIRRORS} must hold addresses that begin with https:// or http://, got {given!r}")
    return mirrors


def _is_offline() -> bool:
    value = os.environ.get(OFFLINE, "").strip().casefold()
    return value not in ("", "0", "false", "no", "off")


def _listed(files: Sequence[File]) -> str:
    return ", ".join(file.path for file in files)
