"""A photo through every stage: loaded, looked at by an open network, its objects found."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx.arrays import ByteArray, size_of
from fastsam_onnx.options import OF_PICTURES, CallOptions, DetectionOptions

# Loading a photo and what comes behind the network are imported with the first of each.
if TYPE_CHECKING:
    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.images.load import ImageSource
    from fastsam_onnx.images.rows import ImageRows
    from fastsam_onnx.masks.decoder import Decoder
    from fastsam_onnx.network.external import ExternalNetwork
    from fastsam_onnx.network.network import Network
    from fastsam_onnx.results.segmentation import Segmentation


@dataclass(frozen=True)
class Stages:
    """What a photo goes through.

    Attributes:
        network: The open network.
        decoder: What draws objects and answers to prompts; None without.
        clip: Encoders for text prompts; None without.
    """

    network: Network | ExternalNetwork
    decoder: Decoder | None
    clip: Clip | None

    def find_all(
        self, sources: Sequence[ImageSource], call: CallOptions, detection: DetectionOptions
    ) -> list[Segmentation]:
        """The results of calls; photos that need network inputs of one size share a run, except in tiles."""
        if call.tile is not None:
            return [self._find_tiled(source, call.tile, call, detection) for source in sources]
        images, decoding = [], []
        for source in sources:
            began = time.perf_counter()
            images.append(_load(source, call))
            decoding.append(1000 * (time.perf_counter() - began))
        runs: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            letterbox = self.network.contract.letterbox(size_of(image), detection.imgsz)
            runs.setdefault(letterbox.input_size, []).append(index)
        found: dict[int, Segmentation] = {}
        for run in runs.values():
            found.update(zip(run, self._find([images[index] for index in run], detection), strict=True))
        return [_of_source(found[index], source, decoding[index]) for index, source in enumerate(sources)]

    def _find_tiled(
        self, source: ImageSource, tile: int, call: CallOptions, detection: DetectionOptions
    ) -> Segmentation:
        """The result of a call with `tile=`."""
        from fastsam_onnx.images.rows import HeldRows, open_rows
        from fastsam_onnx.tiling.find import find_in_tiles

        def find(view: ByteArray, image_size: tuple[int, int], is_tile: bool) -> Segmentation:
            [seen] = self._find([view], replace(detection, is_tile=is_tile), image_size)
            return seen

        began = time.perf_counter()
        of_file = open_rows(source, **{name: getattr(call, name) for name in OF_PICTURES})
        rows: ImageRows = of_file or HeldRows(_load(source, call))
        decoding = 1000 * (time.perf_counter() - began)
        found = find_in_tiles(
            find, rows, tile=tile, overlap=call.overlap, agnostic=call.agnostic, refine=detection.refine
        )
        return _of_source(found, source, decoding)

    def _find(
        self, images: Sequence[ByteArray], detection: DetectionOptions, image_size: tuple[int, int] | None = None
    ) -> list[Segmentation]:
        """The objects of photos, (H, W, 3) uint8 RGB, that need network inputs of one size.

        With `image_size` they are smaller copies of photos of that (width, height).
        """
        from fastsam_onnx.results.finding import find_objects

        contract = self.network.contract
        began = time.perf_counter()
        letterboxes = [contract.letterbox(image_size or size_of(image), detection.imgsz) for image in images]
        tensors = [letterbox.tensor(image) for letterbox, image in zip(letterboxes, images, strict=True)]
        tensor = tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
        prepared = time.perf_counter()
        outputs = self.network.run(tensor)
        computed = time.perf_counter()
        speed = {"preprocess": (prepared - began) / len(images), "network": (computed - prepared) / len(images)}
        return [
            find_objects(
                image,
                letterbox,
                output,
                contract=contract,
                options=detection,
                clip=self.clip,
                decoder=self.decoder,
                speed=speed,
            )
            for image, letterbox, output in zip(images, letterboxes, outputs, strict=True)
        ]


def file_name(source: Any) -> str | None:
    """The name of the file at a path; None for what is not a path."""
    from pathlib import Path

    return Path(source).name if isinstance(source, str | os.PathLike) else None


def _of_source(found: Segmentation, source: ImageSource, decoding: float) -> Segmentation:
    """The result with its photo's name, its place on a map, and the milliseconds that decoding took."""
    from fastsam_onnx.images.geotiff import georeference_of

    place, speed = georeference_of(source), {"decode": decoding, **found.speed}
    return replace(found, source=file_name(source), georeference=place, speed=speed)


def _load(source: ImageSource, call: CallOptions) -> ByteArray:
    from fastsam_onnx.images.load import load_image

    image = load_image(source, **{name: getattr(call, name) for name in OF_PICTURES})
    # Prompts read the photo later, when its maker may have filled the array with the next one.
    return image.copy() if isinstance(source, np.ndarray) and np.may_share_memory(image, source) else image
