"""What `ray_batch.py` and `process_pool.py` share: photos in, rows of COCO run lengths in Parquet out, resumable.

A job is cut into shards, lists of photos. Whoever has worked through a shard writes one Parquet file with all its rows
and a name that follows from the photos. It appears when it is complete, so what is in the output folder is done, and
a job that starts again leaves it out; a shard that is done twice, after a failure in between, replaces its own file.

Needs pyarrow. Folders are paths or what `pyarrow.fs.FileSystem.from_uri` takes: "s3://bucket/photos", "gs://...".
"""

from __future__ import annotations

import argparse
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from fastsam_onnx import FastSAM, ImageError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif")

SCHEMA = pa.schema(
    [
        ("photo", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("object", pa.int32()),
        ("score", pa.float32()),
        ("bbox", pa.list_(pa.float32(), 4)),
        ("area", pa.int64()),
        ("segmentation", pa.struct([("size", pa.list_(pa.int32(), 2)), ("counts", pa.string())])),
        ("error", pa.string()),
    ]
)
"""A row per object, best first, with COCO's bbox (x, y, width, height) and compressed run lengths. A photo without
objects has one row in which these are null; one that cannot be read has one with the reason in "error"."""


@dataclass(frozen=True)
class Folder:
    """A folder on a disk or in a bucket.

    Attributes:
        filesystem: Where.
        path: As the file system writes it.
    """

    filesystem: fs.FileSystem
    path: str

    @classmethod
    def of(cls, place: str) -> Folder:
        """From a path or an address."""
        if "://" in place:
            return cls(*fs.FileSystem.from_uri(place))
        return cls(fs.LocalFileSystem(), Path(place).resolve().as_posix())

    def exists(self) -> bool:
        """True if it is there; a bucket has a folder if it has something in it."""
        return bool(self.filesystem.get_file_info(self.path).type == fs.FileType.Directory)

    def names(self) -> Iterator[str]:
        """The files at any depth, relative to the folder; none of a folder that is not there yet.

        Raises:
            SystemExit: If one is not UTF-8, which pyarrow and Parquet want.
        """
        selector = fs.FileSelector(self.path, recursive=True, allow_not_found=True)
        for info in self.filesystem.get_file_info(selector):
            try:
                path = info.path
            except UnicodeDecodeError as error:
                raise SystemExit(f"names of files must be UTF-8, got {error.object!r}; rename it") from error
            if info.type == fs.FileType.File:
                yield path.removeprefix(self.path).lstrip("/")

    def read(self, name: str) -> bytes:
        """The content of a file."""
        with self.filesystem.open_input_stream(f"{self.path}/{name}") as file:
            return bytes(file.read())


@dataclass(frozen=True)
class Count:
    """What was done.

    Attributes:
        photos: All of them.
        objects: In all photos.
        errors: Photos that could not be read.
    """

    photos: int = 0
    objects: int = 0
    errors: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.photos + other.photos, self.objects + other.objects, self.errors + other.errors)

    def __str__(self) -> str:
        return f"{self.photos} photos, {self.objects} objects, {self.errors} errors"


def at_least_one(text: str) -> int:
    """An argument type: an integer from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"the value must be an integer of at least 1, got {text!r}")
    return int(text)


def plan(photos: Folder, output: Folder, size: int) -> list[list[str]]:
    """The shards that are still to do: lists of at most `size` photos' names.

    Shards are cut from all photos, not from those to do: what a worker still writes that outlived a killed job is then
    a file of the new job too, not rows that are there twice.

    Raises:
        SystemExit: If there is no folder of photos.
    """
    if not photos.exists():
        raise SystemExit(f"there is no folder of photos {photos.path}")
    done = _done(output)
    names = sorted(name for name in photos.names() if name.lower().endswith(PICTURE_SUFFIXES))
    shards = [names[start : start + size] for start in range(0, len(names), size)]
    todo = [[name for name in shard if name not in done] for shard in shards]
    print(f"{len(done)} photos done before, {sum(map(len, todo))} to do", flush=True)
    return [shard for shard in todo if shard]


def work(model: FastSAM, photos: Folder, output: Folder, shard: Sequence[str]) -> Count:
    """Segment the photos of a shard and write its file."""
    rows = [row for name in shard for row in _rows(model, photos, name)]
    key = hashlib.sha256("\n".join(shard).encode("utf-8", "surrogateescape")).hexdigest()[:24]
    part = f"{output.path}/.{secrets.token_hex(8)}.part"  # readers of Parquet pass over names with a dot
    output.filesystem.create_dir(output.path)
    pq.write_table(pa.Table.from_pylist(rows, SCHEMA), part, filesystem=output.filesystem, compression="zstd")
    output.filesystem.move(part, f"{output.path}/{key}.parquet")
    errors = sum(row["error"] is not None for row in rows)
    return Count(len(shard), sum(row["object"] is not None for row in rows), errors)


def _done(output: Folder) -> set[str]:
    """The photos that have rows already."""
    if not any(name.endswith(".parquet") for name in output.names()):
        return set()
    table = ds.dataset(output.path, filesystem=output.filesystem, format="parquet").to_table(columns=["photo"])
    return set(table["photo"].unique().to_pylist())


def _rows(model: FastSAM, photos: Folder, name: str) -> list[dict[str, Any]]:
    try:
        found = model(photos.read(name))
    except (ImageError, OSError) as error:
        return [{"photo": name, "object": None, "error": str(error)}]
    width, height = found.image_size
    photo = {"photo": name, "width": width, "height": height, "object": None, "error": None}
    objects = [
        {
            **photo,
            "object": index,
            "score": record["score"],
            "bbox": record["bbox"],
            "area": record["area"],
            "segmentation": record["segmentation"],
        }
        for index, record in enumerate(found.to_coco(image_id=0))
    ]
    return objects or [photo]
