"""The texts that an export carries about itself, with the keys of ultralytics' exports."""

from __future__ import annotations

from typing import Any

from fastsam_onnx.checkpoints.checkpoint import Checkpoint


def metadata_of(
    checkpoint: Checkpoint,
    name: str,
    strides: tuple[int, ...],
    size: tuple[int, int] | None,
    *,
    end_to_end: bool,
) -> dict[str, str]:
    """Metadata of a network, as far as its checkpoint has them.

    Args:
        checkpoint: The checkpoint.
        name: Name of the network, such as "YOLOv8-seg".
        strides: Pixels per cell of each level.
        size: (height, width) of the only input that it takes; None for any.
        end_to_end: True for networks that need no NMS.
    """
    imgsz = list(size) if size else _image_size(checkpoint.train_args.get("imgsz"))
    metadata = {
        "description": f"{name} network, written by fastsam-onnx from a checkpoint",
        "version": checkpoint.version,
        "stride": str(max(strides)),
        "task": "segment",
        "batch": "1",
        "channels": "3",
        "imgsz": str(imgsz) if imgsz else None,
        "names": str(checkpoint.names) if checkpoint.names else None,
        "args": str({"batch": 1, "dynamic": size is None, "half": False, "nms": False}),
        "end2end": str(end_to_end),
    }
    return {key: value for key, value in metadata.items() if value is not None}


def _image_size(trained: Any) -> list[int] | None:
    """[height, width] of the photos in training; None if the checkpoint does not say."""
    sides = list(trained) if isinstance(trained, list | tuple) else [trained, trained]
    usable = len(sides) == 2 and all(type(side) is int and 0 < side <= 2**16 for side in sides)
    return sides if usable else None
