"""The photos of the benchmark, in any size, cut to the shape and scaled: the coffee of examples/, or a folder's."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

EXAMPLES = Path(__file__).parents[2] / "examples"
COFFEE = EXAMPLES / "coffee.jpg"


def photo(width: int, height: int, path: Path = COFFEE) -> Picture:
    """(height, width, 3) uint8 BGR, as OpenCV decodes it: the middle of the photo, scaled."""
    whole = cv2.imread(str(path))
    if whole is None:
        raise FileNotFoundError(f"the benchmark's photo {path} cannot be read")
    rows, columns = whole.shape[:2]
    scale = min(columns / width, rows / height)
    cut_rows, cut_columns = round(height * scale), round(width * scale)
    top, left = (rows - cut_rows) // 2, (columns - cut_columns) // 2
    cut = whole[top : top + cut_rows, left : left + cut_columns]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def photos(folder: Path, width: int, height: int) -> list[Picture]:
    """The JPEGs of a folder, by name, each as `photo` gives it."""
    return [photo(width, height, path) for path in sorted(folder.glob("*.jpg"))]


def jpeg(width: int, height: int) -> bytes:
    """The same as a file's bytes, quality 90."""
    return cv2.imencode(".jpg", photo(width, height), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
