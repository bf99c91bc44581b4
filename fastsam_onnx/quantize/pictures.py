"""The pictures of a quantization: some to calibrate with, others to measure on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fastsam_onnx.arrays import ByteArray, FloatArray, size_of
from fastsam_onnx.errors import OptionError
from fastsam_onnx.images.load import ImageSource, load_image
from fastsam_onnx.model import FastSAM
from fastsam_onnx.options import CountProgress, shown
from fastsam_onnx.quantize.calibration import dead_leaves

CALIBRATION_PHOTOS, MEASURED_PHOTOS = 48, 24
"""Maximum numbers: more photos moved neither limits nor agreement."""
MEASURE_EVERY = 3
"""One of so many photos serves to measure."""


def split_photos(photos: Sequence[ImageSource] | None) -> tuple[list[ImageSource], list[ImageSource]]:
    """The photos to calibrate with, and those to measure on; drawn ones for None.

    Raises:
        OptionError: If they are no list, or too few.
    """
    if photos is None:
        photos = [dead_leaves(seed) for seed in range(CALIBRATION_PHOTOS + MEASURED_PHOTOS)]
    if not isinstance(photos, Sequence) or isinstance(photos, str | bytes | bytearray | memoryview):
        raise OptionError(
            f"photos must be a list, such as sorted(pathlib.Path('photos').glob('*.jpg')), got {shown(photos)}"
        )
    if len(photos) < MEASURE_EVERY:
        raise OptionError(f"photos must be at least 3, two to calibrate with and one to measure on, got {len(photos)}")
    measured = [photo for index, photo in enumerate(photos) if index % MEASURE_EVERY == MEASURE_EVERY - 1]
    calibrated = [photo for index, photo in enumerate(photos) if index % MEASURE_EVERY != MEASURE_EVERY - 1]
    return _spread(calibrated, CALIBRATION_PHOTOS), _spread(measured, MEASURED_PHOTOS)


def network_inputs(reference: FastSAM, photos: Sequence[ImageSource], progress: CountProgress) -> Iterator[FloatArray]:
    """The photos as a network takes them, (B, 3, h, w), one after the other."""
    for index, photo in enumerate(photos):
        progress(index, len(photos))
        yield _network_input(reference, load_image(photo))


def _spread(photos: Sequence[ImageSource], maximum: int) -> list[ImageSource]:
    """Photos from all over the list."""
    count = min(maximum, len(photos))
    return [photos[index * len(photos) // count] for index in range(count)]


def _network_input(reference: FastSAM, image: ByteArray) -> FloatArray:
    """(B, 3, h, w): a photo, repeated for every place of a fixed batch."""
    contract, image_size = reference.contract, size_of(image)
    tensor = contract.letterbox(image_size, reference.options["imgsz"]).tensor(image)
    return np.repeat(tensor, contract.batch or 1, axis=0)
