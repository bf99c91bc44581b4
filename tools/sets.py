"""The development sets of ../shared/data as they lie on disk: folders, and tars of photos with lines of JSON beside."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def folder_of(data: Path, name: str) -> Path:
    """The folder of a set.

    Raises:
        SystemExit: If it is not there.
    """
    folder = data / name
    if not folder.is_dir():
        raise SystemExit(f"{data} must be the folder that holds the development sets, and has no folder {name}")
    return folder


def archives(folder: Path) -> list[Path]:
    """The tars of photos of a set, in the order of their numbers."""
    return sorted(folder.glob("photos-*.tar"))


def photos_of(tar: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of a tar, in its order."""
    with tarfile.open(tar) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, _content(archive, member)


def records_of(tar: Path) -> Iterator[dict[str, Any]]:
    """The lines about the photos of a tar; a set of one tar has its masks in a file without a number."""
    numbered = tar.with_name(tar.name.replace("photos", "masks").replace(".tar", ".jsonl.gz"))
    lines_file = numbered if numbered.exists() else tar.with_name("masks.jsonl.gz")
    with gzip.open(lines_file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def labelled(folder: Path) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """The content of every photo that has a line, and the line, in the order of the lines.

    Raises:
        SystemExit: If the folder is not there, or holds no tar of photos.
    """
    tars = archives(folder_of(folder.parent, folder.name))
    if not tars:
        raise SystemExit(f"{folder} must hold photos-*.tar with masks beside them, and holds none")
    for tar in tars:
        with tarfile.open(tar) as archive:
            for record in records_of(tar):
                yield _content(archive, archive.getmember(record["file"])), record


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    if file is None:
        raise SystemExit(f"{archive.name!r}: {member.name} must be a file, and is none")
    return file.read()
