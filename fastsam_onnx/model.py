"""FastSAM: opens weights and takes a photo through every stage."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, overload

import numpy as np

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.errors import ModelError, ModelNotFoundError, OptionError
from fastsam_onnx.images.load import DEFAULT_PIXEL_LIMIT, ImageSource, load_image
from fastsam_onnx.masks.candidates import Candidates
from fastsam_onnx.masks.detections import detect
from fastsam_onnx.masks.instances import Masks
from fastsam_onnx.masks.pending import pending_masks
from fastsam_onnx.network.contract import Contract
from fastsam_onnx.network.letterbox import PADDING_GREY, Letterbox
from fastsam_onnx.network.network import Network, Output
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.results.text_prompts import CropEmbeddings

if TYPE_CHECKING:
    import onnxruntime as ort

    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.images.sources import Sources
    from fastsam_onnx.stream import Failure

DEFAULT_CONF = 0.4
DEFAULT_IOU = 0.9
DEFAULT_MAX_DET = 300
DEFAULT_IMGSZ = 1024
DEFAULT_OVERLAP = 0.25
BUNDLED_MODEL = "fastsam-nano.onnx"


class CallOptions(TypedDict, total=False):
    """What a call of `FastSAM` takes beside the photo."""

    imgsz: int | tuple[int, int] | None
    conf: float | None
    iou: float | None
    max_det: int | None
    channel_order: Literal["rgb", "bgr"]
    pixel_limit: int | None
    border_snap: bool
    tile: int | None
    overlap: float


class FastSAM:
    """A segment-everything network, ready for photos.

    One object serves many threads at once. It pickles by path and options, so it travels to worker processes, which
    open the file again.

    Attributes:
        contract: What the file is: sizes, stride, channels, its own defaults.
        providers: The execution providers really in use, first choice first.
        clip: What text prompts use; None without.
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
        clip: Clip | str | os.PathLike[str] | None = None,
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
            clip: For text prompts: a Clip, or what it is made of, such as the name "clip-vit-b-32-int8", which is
                downloaded once, or a folder. It is opened at the first text.

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
        self._clip = None if clip is None else _clip(clip, threads=threads, providers=providers)
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
        tile: int | None = None,
        overlap: float = DEFAULT_OVERLAP,
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
            tile: For large photos: look at tiles of this side, in pixels of the photo, and once at the whole; objects
                that tiles cut are joined (see `tiling`). `max_det` counts for each view.
            overlap: How much tiles share with their neighbours at least, as a share of their side, 0 to 0.5.

        Returns:
            The objects, best first, in pixels of the upright photo.

        Raises:
            ImageError: If the photo cannot be read.
            OptionError: If an option is outside its range.
        """
        [found] = self._find_together(
            [source],
            imgsz=imgsz,
            conf=conf,
            iou=iou,
            max_det=max_det,
            channel_order=channel_order,
            pixel_limit=pixel_limit,
            border_snap=border_snap,
            tile=tile,
            overlap=overlap,
        )
        return found

    @overload
    def stream(
        self,
        sources: Sources,
        *,
        batch: int = ...,
        workers: int | None = ...,
        on_error: Literal["raise"] = ...,
        **options: Unpack[CallOptions],
    ) -> Generator[Segmentation, None, None]: ...

    @overload
    def stream(
        self,
        sources: Sources,
        *,
        batch: int = ...,
        workers: int | None = ...,
        on_error: Literal["yield"],
        **options: Unpack[CallOptions],
    ) -> Generator[Segmentation | Failure, None, None]: ...

    def stream(
        self,
        sources: Sources,
        *,
        batch: int = 1,
        workers: int | None = None,
        on_error: Literal["raise", "yield"] = "raise",
        **options: Unpack[CallOptions],
    ) -> Generator[Segmentation | Failure, None, None]:
        """Find every object of many photos, in their order, a few computed ahead.

        Args:
            sources: An iterable of what a call takes (lists, generators, arrays (N, H, W, C)), a folder of pictures, a
                video file, the number of a camera, or an open `cv2.VideoCapture`. Generators are read in the caller's
                thread.
            batch: So many photos go through the network together where their shapes are equal. On processors one at a
                time measures faster.
            workers: Threads that take photos through all stages, so that decoding, the network and what the caller
                does with the results overlap; `stream.default_workers()` by default. At most 2 * workers * batch
                photos are under way or wait to be taken.
            on_error: "raise" the error of an item where its result would be, with a note that says which item, and
                end; or "yield" a `Failure` in its place and go on.
            options: As in a call.

        Yields:
            For each photo what a call would give. The threads end with the loop, also when it is left early (`close()`
            ends them where the generator is kept).

        Raises:
            OptionError: If an option is outside its range, at once.
            ImageError: If there is no such folder, video or camera, at once; or of an item.
        """
        from fastsam_onnx.stream import stream

        self._resolve(options)
        return stream(self, sources, batch=batch, workers=workers, on_error=on_error, options=options)

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
    def clip(self) -> Clip | None:
        """What text prompts use; None without."""
        return self._clip

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
        return {"_source": self._source, "_options": self._options, "_runtime": self._runtime, "_clip": self._clip}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._network = _open(self._source, self._runtime)

    def _resolve(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The options of a call: given there, else to the constructor, else the file's own, else ours; checked."""
        contract = self._network.contract
        chosen = {name: value if given.get(name) is None else given[name] for name, value in self._options.items()}
        defaults = {"conf": contract.conf, "iou": contract.iou}
        for name, ours in (("conf", DEFAULT_CONF), ("iou", DEFAULT_IOU)):
            if chosen[name] is None:
                chosen[name] = ours if defaults[name] is None else defaults[name]
            chosen[name] = _fraction(name, chosen[name])
        chosen["max_det"] = _whole("max_det", chosen["max_det"])
        chosen["imgsz"] = _input_size(chosen["imgsz"], contract)
        return chosen

    def _find_together(
        self,
        sources: Sequence[ImageSource],
        *,
        channel_order: Literal["rgb", "bgr"] = "rgb",
        pixel_limit: int | None = DEFAULT_PIXEL_LIMIT,
        border_snap: bool = True,
        tile: int | None = None,
        overlap: float = DEFAULT_OVERLAP,
        **given: Any,
    ) -> list[Segmentation]:
        """What calls would give; photos that need network inputs of one size share a run, but for tiles."""
        options = self._resolve(given)
        load = partial(load_image, channel_order=channel_order, pixel_limit=pixel_limit)
        if tile is not None:
            find = partial(self._find, options=options, border_snap=border_snap)
            return [
                self._find_tiled(source, load, find, tile=tile, overlap=overlap, pixel_limit=pixel_limit)
                for source in sources
            ]
        images, decoding = [], []
        for source in sources:
            began = time.perf_counter()
            images.append(load(source))
            decoding.append(1000 * (time.perf_counter() - began))
        runs: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            runs.setdefault(self.contract.letterbox(_size(image), options["imgsz"]).input_size, []).append(index)
        found: dict[int, Segmentation] = {}
        for run in runs.values():
            results = self._find([images[index] for index in run], options=options, border_snap=border_snap)
            found.update(zip(run, results, strict=True))
        return [_of_source(found[index], source, decoding[index]) for index, source in enumerate(sources)]

    def _find_tiled(
        self,
        source: ImageSource,
        load: Callable[[ImageSource], ByteArray],
        find: Callable[..., list[Segmentation]],
        *,
        tile: int,
        overlap: float,
        pixel_limit: int | None,
    ) -> Segmentation:
        """What a call with `tile=` gives."""
        from fastsam_onnx.images.rows import HeldRows, open_rows
        from fastsam_onnx.tiling.find import find_in_tiles, grid

        began = time.perf_counter()
        grid((tile, tile), tile, overlap)
        rows = open_rows(source, pixel_limit=pixel_limit) or HeldRows(load(source))
        decoding = 1000 * (time.perf_counter() - began)
        found = find_in_tiles(lambda view, size: find([view], image_size=size)[0], rows, tile=tile, overlap=overlap)
        return _of_source(found, source, decoding)

    def _find(
        self,
        images: Sequence[ByteArray],
        *,
        options: Mapping[str, Any],
        border_snap: bool,
        image_size: tuple[int, int] | None = None,
    ) -> list[Segmentation]:
        """The objects of photos, (H, W, 3) uint8 RGB, that need network inputs of one size; options are resolved.

        With `image_size` they are smaller copies of photos of that size.
        """
        began = time.perf_counter()
        letterboxes = [self.contract.letterbox(image_size or _size(image), options["imgsz"]) for image in images]
        tensors = [letterbox.tensor(image) for letterbox, image in zip(letterboxes, images, strict=True)]
        tensor = tensors[0] if len(tensors) == 1 else np.concatenate(tensors)
        prepared = time.perf_counter()
        outputs = self._network.run(tensor)
        computed = time.perf_counter()
        speed = {"preprocess": (prepared - began) / len(images), "network": (computed - prepared) / len(images)}
        return [
            self._objects(image, letterbox, output, options, border_snap=border_snap, speed=speed)
            for image, letterbox, output in zip(images, letterboxes, outputs, strict=True)
        ]

    def _objects(
        self,
        image: ByteArray,
        letterbox: Letterbox,
        output: Output,
        options: Mapping[str, Any],
        *,
        border_snap: bool,
        speed: Mapping[str, float],
    ) -> Segmentation:
        """From what the network says of one photo to its objects; `speed` in seconds of the stages before."""
        began = time.perf_counter()
        candidates, prototypes = output
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
        stages = {**speed, "postprocess": time.perf_counter() - began}
        return Segmentation(
            boxes=detections.boxes_xyxy[kept],
            scores=detections.scores[kept],
            masks=Masks((rows[index] for index in kept), letterbox.image_size),
            image=image,
            speed=MappingProxyType({stage: 1000 * seconds for stage, seconds in stages.items()}),
            embeddings=None if self._clip is None else CropEmbeddings(self._clip),
            candidates=Candidates(candidates, prototypes, letterbox, class_count),
        )


def _size(image: ByteArray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _of_source(found: Segmentation, source: ImageSource, decoding: float) -> Segmentation:
    """The result with its photo's name, and the milliseconds that decoding took."""
    name = Path(source).name if isinstance(source, str | os.PathLike) else None
    return replace(found, source=name, speed=MappingProxyType({"decode": decoding, **found.speed}))


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
        from fastsam_onnx.weights import lookup as weights

        return Network.open(weights.resolve(source, task="segment"), **runtime)
    if any(value is not None for value in runtime.values()):
        raise OptionError(
            "threads, providers and session_options are settled already in an InferenceSession; leave them out"
        )
    return Network.from_session(source)


def _clip(clip: Any, *, threads: int | None, providers: Any) -> Clip:
    from fastsam_onnx.clip.clip import Clip

    return clip if isinstance(clip, Clip) else Clip(clip, threads=threads, providers=providers)


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
