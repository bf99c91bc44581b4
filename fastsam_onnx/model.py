"""FastSAM: opens weights and takes a photo through every stage."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastsam_onnx.candidates import Candidates
from fastsam_onnx.detections import detect
from fastsam_onnx.errors import ModelError, ModelNotFoundError, OptionError
from fastsam_onnx.image import DEFAULT_PIXEL_LIMIT, ImageSource, load_image
from fastsam_onnx.letterbox import PADDING_GREY, Letterbox
from fastsam_onnx.network import Contract, Network
from fastsam_onnx.prototypes import pending_masks
from fastsam_onnx.segmentation import Segmentation

if TYPE_CHECKING:
    import onnxruntime as ort

DEFAULT_CONF = 0.4
DEFAULT_IOU = 0.9
DEFAULT_MAX_DET = 300
DEFAULT_IMGSZ = 1024
BUNDLED_MODEL = "fastsam-nano.onnx"


class FastSAM:
    """A segment-everything network, ready for photos.

    One object serves many threads at once. It pickles by path and options, so it travels to worker processes, which
    open the file again.

    Attributes:
        contract: What the file is: sizes, stride, channels, its own defaults.
        providers: The execution providers really in use, first choice first.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | ort.InferenceSession | None = None,
        *,
        imgsz: int | tuple[int, int] | None = None,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int = DEFAULT_MAX_DET,
        threads: int | None = None,
        providers: Sequence[str | tuple[str, dict[str, Any]]] | None = None,
        session_options: ort.SessionOptions | None = None,
    ) -> None:
        """Open a network.

        Args:
            model: A path of an ONNX file or of a YOLOv8-seg checkpoint (.pt), its bytes, or an InferenceSession that is
                open; the bundled model by default.
                Or, if no file is there, a name such as "FastSAM-s": see `weights.resolve`, which downloads it once.
            imgsz: The size of the network's input in pixels: one number for both sides or (height, width), rounded up
                to the stride. A photo takes the smallest rectangle in it. By default what the file's metadata say,
                else 1024. A network of fixed size takes its own size and no other.
            conf: Detections need a score above it, 0 to 1. By default the file's own, else 0.4.
            iou: Of two boxes with a greater IoU the weaker goes, 0 to 1. By default the file's own, else 0.9.
            max_det: At most so many objects.
            threads: Threads that compute the network. By default the cores that this process may use, by affinity and
                cgroup quota.
            providers: ONNX Runtime's execution providers; the CPU by default.
            session_options: ONNX Runtime's own, instead of ours.

        Raises:
            ModelNotFoundError: If there is no such file.
            DownloadError: If the model was asked for by name, is not here, and cannot be downloaded.
            ModelError: If the file is no network of the YOLOv8-seg family.
            OptionError: If an option is outside its range.
        """
        self._options: dict[str, Any] = {"imgsz": imgsz, "conf": conf, "iou": iou, "max_det": max_det}
        self._runtime: dict[str, Any] = {
            "threads": threads,
            "providers": providers,
            "session_options": session_options,
        }
        self._source = bundled_model() if model is None else model
        self._network = _open(self._source, self._runtime)
        try:
            self._resolve({})
        except OptionError:
            self._network.close()
            raise

    def __call__(
        self,
        source: ImageSource,
        *,
        imgsz: int | tuple[int, int] | None = None,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        channel_order: Literal["rgb", "bgr"] = "rgb",
        pixel_limit: int | None = DEFAULT_PIXEL_LIMIT,
        border_snap: bool = True,
    ) -> Segmentation:
        """Find every object of a photo.

        Args:
            source: A path, bytes, a binary file object, a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or
                (H, W, 4) of uint8, uint16, bool, or float 0 to 1. Files and bytes are turned upright by EXIF.
            imgsz: As in `FastSAM`, for this photo.
            conf: As in `FastSAM`, for this photo.
            iou: As in `FastSAM`, for this photo.
            max_det: As in `FastSAM`, for this photo.
            channel_order: "rgb", or "bgr" for arrays from OpenCV.
            pixel_limit: Larger photos are refused; None takes any.
            border_snap: Boxes that nearly touch the border reach it, so that masks are not cut short of the frame.

        Returns:
            The objects, best first, in pixels of the upright photo.

        Raises:
            ImageError: If the photo cannot be read.
            OptionError: If an option is outside its range.
        """
        given = {"imgsz": imgsz, "conf": conf, "iou": iou, "max_det": max_det}
        options = self._resolve({name: value for name, value in given.items() if value is not None})
        began = time.perf_counter()
        image = load_image(source, channel_order=channel_order, pixel_limit=pixel_limit)
        decoded = time.perf_counter()
        letterbox = self._letterbox(image, options["imgsz"])
        tensor = letterbox.tensor(image)
        prepared = time.perf_counter()
        [(candidates, prototypes)] = self._network.run(tensor)
        computed = time.perf_counter()
        class_count = self._network.contract.class_count
        detections = detect(
            candidates,
            letterbox,
            class_count=class_count,
            conf=options["conf"],
            iou=options["iou"],
            max_det=options["max_det"],
            border_snap=border_snap,
        )
        rows = pending_masks(detections.boxes_xyxy, detections.coefficients, prototypes, letterbox)
        kept = [index for index, row in enumerate(rows) if not row.is_empty()]
        speed = {
            "decode": decoded - began,
            "preprocess": prepared - decoded,
            "network": computed - prepared,
            "postprocess": time.perf_counter() - computed,
        }
        return Segmentation(
            boxes=detections.boxes_xyxy[kept],
            scores=detections.scores[kept],
            rows=tuple(rows[index] for index in kept),
            image_size=letterbox.image_size,
            image=image,
            source=Path(source).name if isinstance(source, str | os.PathLike) else None,
            speed=MappingProxyType({stage: 1000 * seconds for stage, seconds in speed.items()}),
            candidates=Candidates(candidates, prototypes, letterbox, class_count),
        )

    def warmup(self, image_size: tuple[int, int] | None = None) -> None:
        """Take a grey picture through every stage, so that the first photo waits for no memory, thread or import.

        Args:
            image_size: (width, height) of the photos to come; by default the network's whole input, which needs the
                most memory.
        """
        height, width = self.options["imgsz"]
        if image_size is not None:
            width, height = image_size
        self(np.full((height, width, 3), PADDING_GREY, np.uint8))

    @property
    def contract(self) -> Contract:
        """What the file is: sizes, stride, channels, its own defaults."""
        return self._network.contract

    @property
    def providers(self) -> list[str]:
        """The execution providers really in use, first choice first."""
        return self._network.providers

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that a call without any takes: imgsz as (height, width), conf, iou, max_det."""
        return MappingProxyType(self._resolve({}))

    def __repr__(self) -> str:
        options = self.options
        height, width = options["imgsz"]
        name = Path(self._source).name if isinstance(self._source, str | os.PathLike) else type(self._source).__name__
        return f"FastSAM({name}, imgsz {width}x{height}, conf {options['conf']:g}, iou {options['iou']:g})"

    def close(self) -> None:
        """Let go of the network; a call after that is a ModelError."""
        self._network.close()

    def __enter__(self) -> FastSAM:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        if not isinstance(self._source, str | bytes | os.PathLike) or self._runtime["session_options"] is not None:
            raise ModelError(
                "a FastSAM made from an InferenceSession or SessionOptions cannot be pickled; "
                "open it by path in each process"
            )
        return {"_source": self._source, "_options": self._options, "_runtime": self._runtime}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._network = _open(self._source, self._runtime)

    def _resolve(self, given: dict[str, Any]) -> dict[str, Any]:
        """The options of a call: given there, else to the constructor, else the file's own, else ours; checked."""
        contract = self._network.contract
        chosen = {name: given.get(name, value) for name, value in self._options.items()}
        defaults = {"conf": contract.conf, "iou": contract.iou}
        for name, ours in (("conf", DEFAULT_CONF), ("iou", DEFAULT_IOU)):
            if chosen[name] is None:
                chosen[name] = ours if defaults[name] is None else defaults[name]
            chosen[name] = _fraction(name, chosen[name])
        chosen["max_det"] = _whole("max_det", chosen["max_det"])
        chosen["imgsz"] = _input_size(chosen["imgsz"], contract)
        return chosen

    def _letterbox(self, image: npt.NDArray[np.uint8], imgsz: tuple[int, int]) -> Letterbox:
        contract = self._network.contract
        fixed = contract.height is not None or contract.width is not None
        size = (image.shape[1], image.shape[0])
        return Letterbox.fit(size, (imgsz[1], imgsz[0]), stride=None if fixed else contract.stride)


def bundled_model() -> Path:
    """Where the model that comes with the package lies: in the wheel, or in `weights/` of a checkout.

    Raises:
        ModelNotFoundError: If the installation lacks it.
    """
    package = Path(__file__).parent
    for path in (package / "bundled" / BUNDLED_MODEL, package.parent / "weights" / BUNDLED_MODEL):
        if path.is_file():
            return path
    raise ModelNotFoundError(f"the bundled model {BUNDLED_MODEL} is not in {package}: install the package again")


def _open(source: Any, runtime: dict[str, Any]) -> Network:
    if isinstance(source, bytes):
        return Network.open(source, **runtime)
    if isinstance(source, str | os.PathLike):
        from fastsam_onnx import weights

        return Network.open(weights.resolve(source, task="segment"), **runtime)
    if any(value is not None for value in runtime.values()):
        raise OptionError(
            "threads, providers and session_options are settled already in an InferenceSession; leave them out"
        )
    return Network.of_session(source)


def _fraction(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise OptionError(f"{name} is a number from 0 to 1; found {value!r}")
    return float(value)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise OptionError(f"{name} is a whole number of at least 1; found {value!r}")
    return int(value)


def _input_size(imgsz: Any, contract: Contract) -> tuple[int, int]:
    """(height, width) of the network's input, multiples of the stride or the network's own."""
    asked = contract.imgsz or DEFAULT_IMGSZ if imgsz is None else imgsz
    height, width = (asked, asked) if isinstance(asked, int | np.integer) else _pair(asked)
    sides = tuple(-(-_whole("imgsz", side) // contract.stride) * contract.stride for side in (height, width))
    own = (contract.height or sides[0], contract.width or sides[1])
    if imgsz is not None and own != sides:
        raise OptionError(f"imgsz={imgsz!r}, but this network's input is fixed at {own[1]}x{own[0]} (width x height)")
    return own


def _pair(asked: Any) -> tuple[Any, Any]:
    if not isinstance(asked, Sequence) or isinstance(asked, str) or len(asked) != 2:
        raise OptionError(f"imgsz is one whole number or (height, width); found {asked!r}")
    return asked[0], asked[1]
