"""Photos for the command line, what its test network finds in them, and what became of a folder."""

import contextlib
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

import fastsam_onnx

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# What the tests' network finds in every 64 x 64 photo: the pixels of these two boxes, and no others.
FIRST, SECOND = [8, 8, 32, 32], [36, 40, 60, 60]
FIRST_AREA, SECOND_AREA = 24 * 24, 24 * 20


def environment():
    return {**os.environ, "PYTHONPATH": str(Path(fastsam_onnx.__file__).parents[1])}


def picture_bytes(suffix=".png", size=(64, 64)):
    grey = np.arange(size[0] * size[1] * 3, dtype=np.uint32).reshape(size[1], size[0], 3) % 251
    done, data = cv2.imencode(suffix, grey.astype(np.uint8))
    assert done
    return bytes(data)


def photo(path, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture_bytes(path.suffix or ".png", size))
    return path


def read_json(path):
    return json.loads(path.read_text())


def areas(path):
    return [one["area"] for one in read_json(path)["objects"]]


@contextlib.contextmanager
def files_of_at_most(size):
    """Writing beyond that many bytes of a file fails, as on a full disk; POSIX only."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder):
    """All files below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def listing(folder):
    """All that is in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())
