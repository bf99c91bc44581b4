"""A network that another runtime computes, an accelerator's for instance."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import ByteArray, FloatArray
from fastsam_onnx.errors import ModelError, OptionError
from fastsam_onnx.network.inspection import ACCEPTED, Input, contract_of
from fastsam_onnx.network.layout import find_outputs, grids_of, prototype_size
from fastsam_onnx.network.letterbox import PADDING_GREY
from fastsam_onnx.network.metadata import DEFAULT_STRIDE, STRIDES, Metadata
from fastsam_onnx.network.outputs import Output, to_outputs
from fastsam_onnx.options import input_size, shown

Answer = Mapping[str, npt.ArrayLike] | Sequence[npt.ArrayLike]
"""The outputs by name, or in an order that stays the same."""


class ExternalNetwork:
    """A network that another runtime computes. `FastSAM` takes it where it takes a file, and everything else works.

    It cannot be pickled. Several threads may use it: its function is called by one at a time, and may fill the same
    arrays at every call, as runtimes with buffers of their own do.

    Attributes:
        contract: Form of its input and outputs.
        providers: Empty: ONNX Runtime does not compute it.
        name: Name in messages.
    """

    def __init__(
        self,
        run: Callable[[ByteArray], Answer],
        imgsz: int | tuple[int, int],
        *,
        names: Iterable[str] = (),
        stride: int = DEFAULT_STRIDE,
        name: str = "the external network",
    ) -> None:
        """Ask for the answer to a grey picture, whose shapes tell which output is what.

        Args:
            run: Computes the outputs of one picture, (height, width, 3) uint8 RGB of the size `imgsz`, which holds the
                photo with grey beside it. They are floating-point arrays of a layout that is known from ONNX files, or
                raw heads before the decoding of boxes: at every stride (height/stride, width/stride, 4 * bins),
                (..., classes) before or behind the sigmoid, and (..., n); and prototypes (height/4, width/4, n). A
                first side of 1 is allowed, and channels may come first.
            imgsz: (height, width) of the picture, or its side: multiples of the stride.
            names: Class names in order; needed where the number of classes cannot be told by shape.
            stride: Largest stride of the network.
            name: Name in messages.

        Raises:
            OptionError: If there is no function, the size is not a multiple of the stride, the stride is none of a
                network, or names are not a list of texts.
            ModelError: If the outputs are of no such layout.
        """
        if not callable(run):
            raise OptionError(f"run must be a function that computes the outputs of a picture, got {shown(run)}")
        if stride not in STRIDES:
            raise OptionError(f"stride must be one of {', '.join(map(str, STRIDES))}, got {shown(stride)}")
        classes = _class_names(names)
        height, width = size = input_size("imgsz", imgsz)
        if height % stride or width % stride:
            raise OptionError(f"imgsz must be multiples of {stride}, got {width}x{height} (width x height)")
        self.name = name
        self.providers: list[str] = []
        self._run: Callable[[ByteArray], Answer] | None = run
        self._lock = threading.Lock()
        metadata = Metadata(stride=stride, imgsz=size, names=classes, batch=1)
        values = self._compute(np.full((height, width, 3), PADDING_GREY, np.uint8), _grids(size, stride))
        self._shapes = {key: value.shape for key, value in values.items()}
        try:
            self._outputs = find_outputs(self._shapes, values, size, metadata)
        except ModelError as error:
            raise ModelError(f"{name}: {error}\n  found: {self._shapes}\n  accepted: {ACCEPTED}") from error
        source = Input("picture", np.dtype(np.uint8), 1, height, width)
        self.contract = contract_of(source, self._outputs, metadata, name)

    def run(self, tensor: FloatArray) -> list[Output]:
        """Compute candidates and prototypes of photos.

        Args:
            tensor: (B, 3, h, w) float32, RGB, 0 to 1, of the network's own size.

        Raises:
            ModelError: If the network is closed, its function fails, or the outputs cannot be right.
        """
        return [self._run_one(photo) for photo in tensor]

    def close(self) -> None:
        """Let go of the function."""
        self._run = None

    def _run_one(self, photo: FloatArray) -> Output:
        _, height, width = photo.shape
        picture = np.ascontiguousarray(np.rint(photo * np.float32(255)).astype(np.uint8).transpose(1, 2, 0))
        values = self._compute(picture, _grids((height, width), self.contract.stride))
        shapes = {key: value.shape for key, value in values.items()}
        if shapes != self._shapes:
            raise ModelError(f"{self.name} must give outputs {self._shapes} as at first, got {shapes}")
        prototypes, *parts = (values[key] for key in self._outputs.wanted)
        try:
            [output] = to_outputs(prototypes, parts, self._outputs, self.contract, (height, width))
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from error
        return output

    def _compute(self, picture: ByteArray, grids: Sequence[tuple[int, int]]) -> dict[str, FloatArray]:
        """The outputs by name, float32, with a batch of 1 and channels first."""
        with self._lock:  # also while they are copied: the next call may write into the same arrays
            values = self._answer_to(picture)
        maps = [value for value in values.values() if value.ndim == 4]
        if not all(each.shape[2:] in grids for each in maps) and all(each.shape[1:3] in grids for each in maps):
            values = {key: value.transpose(0, 3, 1, 2) if value.ndim == 4 else value for key, value in values.items()}
        return {key: np.ascontiguousarray(value) for key, value in values.items()}

    def _answer_to(self, picture: ByteArray) -> dict[str, FloatArray]:
        """The outputs by name, copied."""
        run = self._run
        if run is None:
            raise ModelError(f"{self.name} is closed")
        try:
            answer = run(picture)
        except Exception as error:
            raise ModelError(f"{self.name} failed on a picture {picture.shape}: {error}") from error
        if isinstance(answer, Sequence):
            answer = {f"output{index}": value for index, value in enumerate(answer)}
        if not isinstance(answer, Mapping):
            raise ModelError(
                f"{self.name} must give its outputs as a list of arrays or a dict of them, got {shown(answer)}"
            )
        return {str(key): self._floats(str(key), value) for key, value in answer.items()}

    def _floats(self, key: str, value: npt.ArrayLike) -> FloatArray:
        """A copy of an output, float32, with a batch of 1."""
        try:
            array = np.asarray(value)
        except Exception as error:  # of a list that is no array, or a tensor on a device
            raise ModelError(f"{self.name} must give arrays, got {type(value).__name__} in {key}: {error}") from error
        if array.dtype.kind != "f":
            raise ModelError(
                f"{self.name} must give floating-point numbers, got {array.dtype} in {key}: "
                "let the runtime dequantize its outputs"
            )
        copied = array.astype(np.float32)
        return copied if array.shape[:1] == (1,) else copied[None]


def _class_names(names: Iterable[str]) -> dict[int, str]:
    """The names by their index."""
    if isinstance(names, Iterable) and not isinstance(names, str | Mapping):
        listed = list(names)
        if all(isinstance(name, str) for name in listed):
            return dict(enumerate(listed))
    raise OptionError(f"names must be a list of class names, got {shown(names)}")


def _grids(size: tuple[int, int], stride: int) -> list[tuple[int, int]]:
    """(height, width) of the maps and of the prototypes."""
    return [prototype_size(size), *grids_of(size, stride)]
