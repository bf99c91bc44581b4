"""The photo of the benchmark, in any size: the coffee of examples/, cut to the shape and scaled."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]

COFFEE = Path(__file__).parents[2] / "examples" / "coffee.jpg"


def photo(width: int, height: int) -> Picture:
    """(height, width, 3) uint8 BGR, as OpenCV decodes it: the middle of the photo, scaled."""
    whole = cv2.imread(str(COFFEE))
    if whole is None:
        raise FileNotFoundError(f"the benchmark's photo {COFFEE} cannot be read")
    rows, columns = whole.shape[:2]
    scale = min(columns / width, rows / height)
    cut_rows, cut_columns = round(height * scale), round(width * scale)
    top, left = (rows - cut_rows) // 2, (columns - cut_columns) // 2
    cut = whole[top : top + cut_rows, left : left + cut_columns]
    return np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def jpeg(width: int, height: int) -> bytes:
    """The same as a file's bytes, quality 90."""
    return cv2.imencode(".jpg", photo(width, height), [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
