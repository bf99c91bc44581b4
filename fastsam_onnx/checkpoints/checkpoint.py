"""The parameters of a PyTorch checkpoint, read without PyTorch and without running any of it.

A `.pt` file is a zip archive (`archive`) of a pickle (`unpickle`) and the raw elements of each tensor.
The pickle of an ultralytics checkpoint is a dict that holds a whole network as an object; its layers are found by
what every layer of PyTorch has, `_parameters`, `_buffers` and `_modules`, whatever its class is called.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
import numpy.typing as npt

from fastsam_onnx.checkpoints.archive import TorchArchive
from fastsam_onnx.checkpoints.head import HEAD_BYTES, ZIP_MAGIC, is_safetensors, other_format
from fastsam_onnx.checkpoints.layers import Layer, shown
from fastsam_onnx.checkpoints.safetensors import read_safetensors
from fastsam_onnx.checkpoints.unpickle import read_pickle
from fastsam_onnx.checkpoints.values import Record, Tensor
from fastsam_onnx.errors import CheckpointError, ModelNotFoundError
from fastsam_onnx.files import beginning, is_folder, is_special
from fastsam_onnx.options import MOST_INDEX

# Far above every network of the family, and low enough that a network nested into itself ends soon.
_MAX_VISITS = 50_000
_MAX_DEPTH = 16
_MAX_NAME = 64
_MAX_LETTERS = 1 << 22

_MAX_LEVELS = 8
_STRIDES = (2, 4, 8, 16, 32, 64, 128)

# Names of parameters behind what stands before the network: "module.", "model.", "model.model.", nothing.
_WRAPPED = re.compile(r"((?:module\.|model\.){0,8})([0-9]{1,4}\..{1,1000})", re.ASCII | re.DOTALL)

Array = npt.NDArray[Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint.

    Attributes:
        arrays: Parameters and buffers by their `state_dict` names ("model.0.conv.weight"), in its order,
            C-contiguous and read-only. The dtype is as stored, except that bfloat16 comes as float32, which is exact.
        names: Class names by index; empty if the file does not say.
        train_args: Training options that are plain values; empty if the file does not say.
        version: Version of ultralytics that wrote the file; None if the file does not say.
        stride: Pixels per cell of each level, such as (8, 16, 32).
        eps: Epsilon of the batch normalisations; None without them, and for a plain `state_dict`.
        network: The network as the file describes it; None for a plain `state_dict`.
    """

    arrays: dict[str, Array]
    names: dict[int, str]
    train_args: dict[str, Any]
    version: str | None
    stride: tuple[int, ...] | None
    eps: float | None
    network: Layer | None = None


def read_checkpoint(source: str | Path | bytes) -> Checkpoint:
    """Read a checkpoint of ultralytics, or a plain `state_dict`, as `torch.save` writes it since PyTorch 1.6.

    A file of the format safetensors counts as a plain `state_dict`. Names of a `state_dict` that begin with "module."
    or several "model." are shortened to those of the network itself.

    A moving average of the network (`ema`) is preferred if the file has one. Nothing in the file is ever run.

    Args:
        source: Path or bytes of the file.

    Raises:
        ModelNotFoundError: If the file does not exist.
        CheckpointError: If it is not such a checkpoint, is damaged, or asks for more than parameters need.
    """
    name = f"the checkpoint ({len(source)} bytes)" if isinstance(source, bytes) else Path(source).name
    if not isinstance(source, bytes) and is_special(source):
        raise CheckpointError(f"{name} is not a regular file; a checkpoint must be one, or in Python its bytes")
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            return _read(file)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise ModelNotFoundError(f"checkpoint not found: {source!s}") from None
    except (OSError, ValueError) as error:
        folder = not isinstance(source, bytes) and is_folder(source)
        reason = "is a folder; a checkpoint must be a .pt file" if folder else f"cannot be read: {error}"
        raise CheckpointError(f"{name} {reason}") from error


def _read(file: BinaryIO) -> Checkpoint:
    head = file.read(HEAD_BYTES)
    if is_safetensors(head):
        return Checkpoint(_shortened(read_safetensors(file)), {}, {}, None, None, None)
    if head[:4] != ZIP_MAGIC:
        raise CheckpointError(
            other_format(head)
            or f"not a PyTorch checkpoint (those are zip archives): {beginning(file)}; an ONNX file must have a name "
            "that ends with .onnx"
        )
    archive = TorchArchive(file)
    if "byteorder" in archive and archive.read("byteorder") != b"little":
        raise CheckpointError("its numbers are big-endian; only little-endian files can be read")

    def storage_bytes(key: str) -> int | None:
        name = f"data/{key}"
        return archive.size(name) if name in archive else None

    tree = read_pickle(archive.read("data.pkl"), storage_bytes)
    if not isinstance(tree, dict | Record):
        raise CheckpointError(f"it holds a {type(tree).__name__}; a checkpoint must hold a dict or a network")
    root: Mapping[Any, Any] = tree if isinstance(tree, dict) else {"model": tree}
    network = _network(root)
    if isinstance(network, Record):
        state = _State(network)
        tensors, epsilons, attributes = state.tensors, state.epsilons, network.attributes or {}
        description = state.network
    else:
        tensors, epsilons, attributes = _shortened(_tensors_of(network)), set(), {}
        description = None
    if len(epsilons) > 1:
        raise CheckpointError(f"its batch normalisations must share one epsilon, got {sorted(epsilons)[:4]}")
    arrays = _read_arrays(archive, tensors)
    version = root.get("version")
    train_args = _plain_dict(root.get("train_args")) or _plain_dict(attributes.get("args"))
    return Checkpoint(
        arrays,
        _class_names(attributes.get("names", root.get("names"))),
        train_args,
        version if isinstance(version, str) else None,
        _stride(archive, attributes.get("stride")),
        next(iter(epsilons), None),
        description,
    )


def _network(root: Mapping[Any, Any]) -> Record | Mapping[Any, Any]:
    """The network as an object, or the dict of its tensors."""
    for key in ("ema", "model", "state_dict"):
        found = root.get(key)
        if isinstance(found, Record) and isinstance(found.get("_modules"), dict):
            return _unwrapped(found)
        if isinstance(found, dict) and any(isinstance(value, Tensor) for value in found.values()):
            return found
    if any(isinstance(value, Tensor) for value in root.values()):
        return root
    keys = ", ".join(shown(key) for key in list(root)[:10]) or "nothing"
    raise CheckpointError(f"no network found in it: it must have 'ema', 'model', 'state_dict' or tensors, got {keys}")


def _unwrapped(network: Record) -> Record:
    """The network itself, without the objects around it: that of training on several GPUs, or of ultralytics' YOLO."""
    for _ in range(_MAX_DEPTH):
        modules = network.get("_modules")
        inner = modules.get("module", modules.get("model")) if isinstance(modules, dict) else None
        own = inner.get("_modules") if isinstance(inner, Record) else None
        if not isinstance(inner, Record) or not isinstance(own, dict) or not {"module", "model"} & own.keys():
            break
        network = inner
    return network


def _shortened(state: dict[str, T]) -> dict[str, T]:
    """The same with names as "model.0.conv.weight", if all begin alike and go on with the number of a layer."""
    found = [_WRAPPED.fullmatch(name) for name in state]
    starts = {each[1] if each else None for each in found}
    if len(starts) != 1 or None in starts:
        return state
    return {f"model.{each[2]}": value for each, value in zip(found, state.values(), strict=True) if each}


def _tensors_of(state: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, Tensor)}


class _State:
    """A network as it describes itself, and its tensors as its `state_dict` would list them.

    Attributes:
        network: The network.
        tensors: Its tensors by name.
        epsilons: Epsilons of its batch normalisations.
    """

    def __init__(self, network: Record) -> None:
        self.tensors: dict[str, Tensor] = {}
        self.epsilons: set[float] = set()
        self._visits = 0
        self.network = self._visit(network, "", 0)

    def _visit(self, module: Record, prefix: str, depth: int) -> Layer:
        if depth > _MAX_DEPTH:
            raise CheckpointError(
                f"its network is nested deeper than {_MAX_DEPTH} levels, which none of this family is"
            )
        if module.kind.name == "BatchNorm2d":
            self.epsilons.add(_epsilon(module.get("eps")))
        left_out = module.get("_non_persistent_buffers_set")
        for key, value in self._items(module, "_parameters"):
            if isinstance(value, Tensor):
                self.tensors[prefix + key] = value
        for key, value in self._items(module, "_buffers"):
            if isinstance(value, Tensor) and not (isinstance(left_out, set) and key in left_out):
                self.tensors[prefix + key] = value
        children = {
            key: self._visit(value, f"{prefix}{key}.", depth + 1)
            for key, value in self._items(module, "_modules")
            if isinstance(value, Record)
        }
        # The attributes themselves, not a copy: the same large dict could belong to every layer.
        return Layer(module.kind.name, prefix[:-1], module.attributes or {}, children)

    def _items(self, module: Record, attribute: str) -> Iterator[tuple[str, Any]]:
        members = module.get(attribute)
        self._visits += 1
        for key, value in members.items() if isinstance(members, dict) else ():
            self._visits += 1
            if self._visits > _MAX_VISITS:
                raise CheckpointError(f"its network has more than {_MAX_VISITS} parts, which none of this family has")
            if not isinstance(key, str) or len(key) > _MAX_NAME:
                raise CheckpointError(f"the names of its network's parts must be short strings, got {shown(key)}")
            yield key, value


def _epsilon(value: Any) -> float:
    if isinstance(value, float) and 0 < value < 1:
        return value
    raise CheckpointError(f"the epsilon of a batch normalisation must be between 0 and 1, got {shown(value)}")


def _read_arrays(archive: TorchArchive, tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    storages: dict[str, bytes] = {}
    arrays = {}
    # Views of one storage that have to be copied could need many times the memory of the file.
    left = 2 * sum(archive.size(name) for name in archive.names())
    for name, tensor in tensors.items():
        key = tensor.storage.key
        if key not in storages:
            storages[key] = archive.read(f"data/{key}")
        arrays[name] = array = _array(storages[key], tensor)
        left -= array.nbytes
        if left < 0:
            raise CheckpointError("its tensors together need more than twice the bytes of the file")
    return arrays


def _array(storage: bytes, tensor: Tensor) -> Array:
    # Elements are read as what any bytes can be: of bfloat16 the upper half of a float32, of bool a number.
    stored = {"bfloat16": "uint16", "bool": "uint8"}.get(tensor.storage.dtype, tensor.storage.dtype)
    dtype = np.dtype(stored).newbyteorder("<")
    strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
    array: Array = np.ndarray(tensor.shape, dtype, storage, tensor.offset * dtype.itemsize, strides)
    if tensor.storage.dtype == "bfloat16":
        array = (array.astype(np.uint32) << 16).view(np.float32)
    elif tensor.storage.dtype == "bool":
        array = array != 0
    array = np.require(array, array.dtype.newbyteorder("="), ["C", "A"])
    array.setflags(write=False)
    return array


def _stride(archive: TorchArchive, value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Tensor) and value.storage.count <= _MAX_LEVELS:
        value = _read_arrays(archive, {"stride": value})["stride"].ravel().tolist()
    if not isinstance(value, list | tuple):
        return None
    if len(value) > _MAX_LEVELS or not all(isinstance(pixels, int | float) and pixels in _STRIDES for pixels in value):
        raise CheckpointError(
            f"its strides must be powers of two from {_STRIDES[0]} to {_STRIDES[-1]}, got {shown(value)}"
        )
    return tuple(int(pixels) for pixels in value)


def _class_names(value: Any) -> dict[int, str]:
    if value is None:
        return {}
    names = dict(enumerate(value)) if isinstance(value, list | tuple) else value
    if not isinstance(names, dict) or not all(
        type(k) is int and 0 <= k <= MOST_INDEX and type(v) is str for k, v in names.items()
    ):
        raise CheckpointError(
            "its class names must be a list of strings, or a dict to strings from integers of at least 0, "
            f"got {shown(value)}"
        )
    if sum(map(len, names.values())) > _MAX_LETTERS:  # one long string may stand for every class
        raise CheckpointError(f"its class names have more than {_MAX_LETTERS:,} characters together")
    # A pickle can hold lone surrogates, which are not valid text.
    return {number: name.encode("utf-8", "replace").decode("utf-8") for number, name in names.items()}


def _plain_dict(value: Any) -> dict[str, Any]:
    """Options with plain values, from a dict or a namespace object."""
    found = value.attributes if isinstance(value, Record) else value
    if not isinstance(found, dict):
        return {}
    return {key: option for key, option in found.items() if isinstance(key, str) and _is_plain(option)}


def _is_plain(value: Any) -> bool:
    scalars = (str, int, float, type(None))
    return isinstance(value, scalars) or (
        isinstance(value, list | tuple) and all(isinstance(item, scalars) for item in value)
    )
