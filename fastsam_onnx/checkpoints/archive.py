"""The zip archive that `torch.save` writes: one folder, entries stored as they are, nothing else.

Python's `zipfile` accepts more than that: compression, entries that share their bytes, two entries of one name,
something before or behind the archive. Whatever torch never writes is refused here, so that reading a file never needs
more memory than the file has bytes. No name of an entry ever becomes a path.

`CheckpointError` is raised with the reason alone; `checkpoint.read_checkpoint` adds the file's name.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import BinaryIO

from fastsam_onnx.checkpoints.head import ZIP_MAGIC
from fastsam_onnx.errors import CheckpointError

_CENTRAL_MAGIC = b"PK\x01\x02"
_END_MAGIC = b"PK\x05\x06"
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_ENCRYPTED, _SIZES_FOLLOW = 0x1, 0x8
# Behind the data of an entry whose sizes follow: a signature, the checksum, two sizes.
_DESCRIPTOR_BYTES = 16
_MAX_BYTES = 0xFFFFFFFF
_MAX_ENTRIES = 0xFFFE
_DAMAGED = "the file is damaged or not complete"


@dataclass(frozen=True)
class _Entry:
    """One line of the archive's directory."""

    name: str
    header_offset: int
    size: int
    crc: int
    flags: int
    stored: bool


class TorchArchive:
    """The entries of a torch archive by their names below its folder: "data.pkl", "data/0", "byteorder".

    The whole directory is checked when it is opened; an entry's checksum when it is read.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Read the directory.

        Args:
            file: The archive, open for reading; it stays the caller's to close.

        Raises:
            CheckpointError: If it is not an archive as torch writes it; the message has the reason.
        """
        self._file = file
        entries, data_end = _read_directory(file)
        spans = _spans(file, entries, data_end)
        folder = _folder(entries)
        names = [entry.name.removeprefix(folder) for entry in entries]
        self._spans = dict(zip(names, zip(entries, spans, strict=True), strict=True))

    def __contains__(self, name: str) -> bool:
        return name in self._spans

    def names(self) -> list[str]:
        """The names of the entries below the folder, in the file's order."""
        return list(self._spans)

    def size(self, name: str) -> int:
        """Number of bytes of an entry that exists."""
        return self._spans[name][0].size

    def read(self, name: str) -> bytes:
        """Bytes of an entry that exists.

        Raises:
            CheckpointError: If their checksum is not the one that the archive states.
        """
        entry, start = self._spans[name]
        self._file.seek(start)
        data = self._file.read(entry.size)
        if len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise CheckpointError(f"the checksum of {entry.name!r:.80} is wrong; {_DAMAGED}")
        return data


def _read_directory(file: BinaryIO) -> tuple[list[_Entry], int]:
    """The entries in the order of their bytes, and where the directory begins."""
    length = file.seek(0, 2)
    if length > _MAX_BYTES:
        raise CheckpointError(f"the file has {length:,} bytes; checkpoints of these networks have far less than 4 GiB")
    if length < _END.size:
        raise CheckpointError(f"the file has only {length} bytes; {_DAMAGED}")
    file.seek(length - _END.size)
    magic, disk, first_disk, here, count, size, offset, comment = _END.unpack(file.read(_END.size))
    if magic != _END_MAGIC or comment:
        raise CheckpointError(f"the zip archive has no directory at its end; {_DAMAGED}")
    if (disk, first_disk, here) != (0, 0, count) or count > _MAX_ENTRIES or offset + size > length - _END.size:
        raise CheckpointError(f"the end of the zip archive contradicts itself; {_DAMAGED}")
    file.seek(offset)
    entries = _parse_directory(file.read(size), count)
    return sorted(entries, key=lambda entry: entry.header_offset), offset


def _parse_directory(directory: bytes, count: int) -> list[_Entry]:
    entries = []
    position = 0
    for _ in range(count):
        if position + _CENTRAL.size > len(directory):
            raise CheckpointError(f"the zip directory ends too early; {_DAMAGED}")
        fields = _CENTRAL.unpack_from(directory, position)
        magic, flags, method, crc, packed, size = fields[0], fields[3], fields[4], *fields[7:10]
        name_bytes, extra_bytes, comment_bytes, header_offset = *fields[10:13], fields[16]
        position += _CENTRAL.size
        name = _name(directory[position : position + name_bytes])
        position += name_bytes + extra_bytes + comment_bytes
        if magic != _CENTRAL_MAGIC:
            raise CheckpointError(f"the zip directory has an entry without its signature; {_DAMAGED}")
        entries.append(_Entry(name, header_offset, size, crc, flags, stored=not method and packed == size))
    if position != len(directory):
        raise CheckpointError(f"the zip directory has {len(directory)} bytes, its entries take {position}; {_DAMAGED}")
    _check_entries(entries)
    return entries


def _check_entries(entries: list[_Entry]) -> None:
    if len({entry.name for entry in entries}) != len(entries):
        raise CheckpointError("the zip archive has two entries of the same name")
    if any(entry.name.endswith("/constants.pkl") for entry in entries):
        raise CheckpointError(
            "it is a TorchScript program, not a checkpoint; give the .pt file that it was exported from, or an "
            "ONNX export (yolo export model=FILE.pt format=onnx)"
        )
    for entry in entries:
        if entry.flags & _ENCRYPTED:
            raise CheckpointError(f"{entry.name!r:.80} is encrypted, which torch.save never does")
        if not entry.stored:
            raise CheckpointError(f"{entry.name!r:.80} is compressed, which torch.save never does; save the file again")


def _name(raw: bytes) -> str:
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise CheckpointError(f"the name {raw[:60]!r} in the zip archive is not UTF-8; {_DAMAGED}") from None
    if name.startswith(("/", "\\")) or "\0" in name or ".." in re.split(r"[/\\]", name):
        raise CheckpointError(f"the zip archive has an entry {name!r:.80}, which leads out of its folder")
    return name


def _spans(file: BinaryIO, entries: list[_Entry], data_end: int) -> list[int]:
    """Start of the data of each entry; refuses entries that share bytes."""
    starts = []
    limits = [entry.header_offset for entry in entries[1:]] + [data_end]
    for entry, limit in zip(entries, limits, strict=True):
        start = _data_start(file, entry)
        if start + entry.size + (_DESCRIPTOR_BYTES if entry.flags & _SIZES_FOLLOW else 0) > limit:
            raise CheckpointError(f"{entry.name!r:.80} reaches into what follows it; {_DAMAGED}")
        starts.append(start)
    return starts


def _data_start(file: BinaryIO, entry: _Entry) -> int:
    """Start of an entry's data, by its own header, which must agree with the directory."""
    file.seek(entry.header_offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size:
        raise CheckpointError(f"{entry.name!r:.80} lies beyond the end; {_DAMAGED}")
    magic, _, flags, method, _, _, crc, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(header)
    stated = (0, 0, 0) if flags & _SIZES_FOLLOW and not packed else (entry.crc, entry.size, entry.size)
    same = magic == ZIP_MAGIC and flags == entry.flags and not method and (crc, packed, size) == stated
    if not same or file.read(name_bytes) != entry.name.encode("utf-8"):
        raise CheckpointError(f"the header of {entry.name!r:.80} and the zip directory disagree; {_DAMAGED}")
    start: int = entry.header_offset + _LOCAL.size + name_bytes + extra_bytes
    return start


def _folder(entries: list[_Entry]) -> str:
    """The one folder of the archive, with its slash; torch calls it after the file it first wrote."""
    pickles = [entry.name for entry in entries if entry.name.count("/") == 1 and entry.name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise CheckpointError(f"the zip archive has {len(pickles)} data.pkl in folders; torch.save writes exactly one")
    folder = pickles[0].removesuffix("data.pkl")
    for entry in entries:
        if not entry.name.startswith(folder):
            raise CheckpointError(f"the zip archive has {entry.name!r:.80} outside its folder {folder!r:.80}")
    return folder
