"""Files of the format safetensors: a length of eight bytes, a JSON header of that length, the elements of all tensors.

https://github.com/huggingface/safetensors#format. Such a file holds parameters alone. What its writers never write is
refused here: tensors that share bytes, gaps, and headers far above those of the family.

`CheckpointError` is raised with the reason alone; `checkpoint.read_checkpoint` adds the file's name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO, TypeGuard

import numpy as np
import numpy.typing as npt

from fastsam_onnx.checkpoints.head import LENGTH_BYTES
from fastsam_onnx.errors import CheckpointError
from fastsam_onnx.options import once_each

MAX_HEADER_BYTES = 1 << 22
MAX_TENSORS = 20_000
MAX_DIMENSIONS = 8
_DAMAGED = "the file is damaged or not complete"

# Element types of the family's files; bfloat16 is read as the upper half of a float32.
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip

Array = npt.NDArray[Any]


def read_safetensors(file: BinaryIO) -> dict[str, Array]:
    """The tensors of a file by name, C-contiguous and read-only.

    Raises:
        CheckpointError: If the file is damaged, or has what parameters do not need.
    """
    total = file.seek(0, 2)
    file.seek(0)
    length = int.from_bytes(file.read(LENGTH_BYTES), "little")
    if length > min(MAX_HEADER_BYTES, total - LENGTH_BYTES):
        raise CheckpointError(
            f"its header would have {length:,} bytes; it must end within the file and have at most {MAX_HEADER_BYTES:,}"
        )
    header = _parse(file.read(length))
    size = total - LENGTH_BYTES - length
    arrays, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: _span(*item)):
        dtype, shape = _form(name, entry)
        start, stop = _span(name, entry)
        if start != end or stop - start != math.prod(shape) * dtype.itemsize or stop > size:
            raise CheckpointError(f"the tensor {name!r:.80} does not have the bytes that its shape takes; {_DAMAGED}")
        end = stop
        arrays[name] = _array(file.read(stop - start), dtype, shape, widened=entry["dtype"] == "BF16")
    if end != size:
        raise CheckpointError(f"its tensors have {end:,} bytes, the file has {size:,} for them; {_DAMAGED}")
    return {name: arrays[name] for name in header}


def _parse(raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=once_each)
    except (ValueError, RecursionError):
        raise CheckpointError(f"its header is not JSON; {_DAMAGED}") from None
    if not isinstance(header, dict) or len(header) > MAX_TENSORS:
        raise CheckpointError(f"its header must be an object of at most {MAX_TENSORS:,} tensors; {_DAMAGED}")
    header.pop("__metadata__", None)
    return header


def _span(name: str, entry: Any) -> tuple[int, int]:
    """Start and end of a tensor's bytes."""
    span = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not _are_counts(span) or len(span) != 2 or span[0] > span[1]:
        raise CheckpointError(f"the tensor {name!r:.80} has no place in the file; {_DAMAGED}")
    return span[0], span[1]


def _form(name: str, entry: Mapping[str, Any]) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Element type and shape of a tensor."""
    kind, shape = entry.get("dtype"), entry.get("shape")
    if not isinstance(kind, str) or kind not in _DTYPES:
        raise CheckpointError(f"the elements of {name!r:.80} must be one of {', '.join(_DTYPES)}, got {kind!r:.40}")
    if not _are_counts(shape) or len(shape) > MAX_DIMENSIONS:
        raise CheckpointError(f"the tensor {name!r:.80} has a shape that makes no sense; {_DAMAGED}")
    return np.dtype(_DTYPES[kind]), tuple(shape)


def _are_counts(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 48 for value in values)


def _array(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], *, widened: bool) -> Array:
    array: Array = np.frombuffer(data, dtype).reshape(shape)
    if widened:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif dtype == np.bool_:
        array = np.frombuffer(data, np.uint8).reshape(shape) != 0
    array = np.require(array, array.dtype.newbyteorder("="), ["C", "A"])
    array.setflags(write=False)
    return array
