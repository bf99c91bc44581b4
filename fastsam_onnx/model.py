"""FastSAM opens weights and takes photos, with what a caller or the weights say."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Unpack, overload

import numpy as np

from fastsam_onnx import elsewhere
from fastsam_onnx.errors import ModelError, OptionError
from fastsam_onnx.options import (
    DEFAULT_CONF,
    DEFAULT_IOU,
    DEFAULT_MAX_DET,
    DEFAULT_OVERLAP,
    DEFAULT_PIXEL_LIMIT,
    MODEL_OPTIONS,
    CallKeywords,
    CallOptions,
    ChannelOrder,
    DetectionOptions,
    boolean,
    call_options,
    input_size,
    integer,
    set_attribute,
)
from fastsam_onnx.runtime import Provider, RuntimeOptions
from fastsam_onnx.stages import Stages, file_name

# What opens a network is imported with the first.
if TYPE_CHECKING:
    import onnxruntime as ort

    from fastsam_onnx.clip.clip import Clip
    from fastsam_onnx.images.load import ImageSource
    from fastsam_onnx.images.sources import Sources
    from fastsam_onnx.masks.decoder import Decoder
    from fastsam_onnx.network.contract import Contract
    from fastsam_onnx.network.external import ExternalNetwork
    from fastsam_onnx.network.network import Network
    from fastsam_onnx.results.prompts import Prompts
    from fastsam_onnx.results.segmentation import Segmentation
    from fastsam_onnx.stream import Failure
    from fastsam_onnx.tracking.following import StreamKeywords


@elsewhere.telling(elsewhere.MODEL)
class FastSAM:
    """A segment-everything network, ready for photos.

    One object serves many threads at once. It pickles by path, the bundled models by name, and options, so it travels
    to worker processes, which open the file again; forked processes do so at their first call.

    Attributes:
        contract: Form of the network: sizes, stride, channels, its own defaults.
        providers: Execution providers in use, first choice first.
        clip: Encoders for text prompts; None without.
    """

    @elsewhere.telling_options("FastSAM")
    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | ort.InferenceSession | ExternalNetwork | None = None,
        *,
        imgsz: int | tuple[int, int] | None = None,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int = DEFAULT_MAX_DET,
        refine: bool | None = None,
        redraw: bool | None = None,
        threads: int | None = None,
        providers: Sequence[Provider] | None = None,
        session_options: ort.SessionOptions | None = None,
        clip: Clip | str | os.PathLike[str] | None = None,
    ) -> None:
        """Open a network.

        Args:
            model: Path of an ONNX file or checkpoint (.pt) of FastSAM or another YOLO segmentation network, its bytes,
                an open InferenceSession, or a network that another runtime computes; the bundled model by default.
                Or, if there is no such file, a name such as "FastSAM-s": see `weights.resolve`, which downloads it
                once.
            imgsz: Size of the network's input in pixels: one number for both sides or (height, width), rounded up to
                the stride. A photo takes the smallest rectangle in it. By default the file's own, else 1024. A network
                of fixed size takes its own size and no other.
            conf: Score threshold, 0 to 1: objects need a higher score. By default the file's own, else 0.4. The
                bundled models' scores are lower than FastSAM's, whose usual 0.4 drops most of what they find; and an
                object of theirs that lies on better ones has a lower score than the network gave it.
            iou: NMS threshold, 0 to 1: of two boxes that overlap more than this, the lower-scoring one is dropped. With
                `refine` it is dropped if the masks overlap as much, too; if not, its score is halved. By default the
                file's own, else 0.9.
            max_det: Maximum number of objects.
            refine: True to let masks that press against their box go on to the end of their region, to drop specks and
                fill small holes, to drop masks that a better one has nearly all of, and to have answers to points and
                boxes drawn anew by the network's decoder, if it has one. False for the masks as the boxes cut them, as
                the official code has them. By default the file's own, else False; the bundled model says True.
            redraw: True to draw every object anew by the network's decoder, from a closer look at the photo, 1.5 to
                2.5 ms for each. It has no effect without `refine`, or where the network has no decoder. By default the
                file's own, else False; the bundled model says True.
            threads: Threads used for inference. By default the cores that this process may use, by affinity and cgroup
                quota.
            providers: ONNX Runtime's execution providers; the CPU by default.
            session_options: ONNX Runtime's session options, instead of ours.
            clip: Encoders for text prompts: a Clip, or what it is made of, such as the name "clip-vit-b-32-int8", which
                is downloaded once, or a folder. It is opened at the first text.

        Raises:
            ModelNotFoundError: If there is no such file.
            DownloadError: If the model was asked for by name, is not here, and cannot be downloaded.
            ModelError: If the file is not a YOLO segmentation network.
            OptionError: If an option is outside its range.
        """
        from fastsam_onnx.network.opening import lasting_source

        self._defaults = CallOptions(imgsz=imgsz, conf=conf, iou=iou, max_det=max_det, refine=refine, redraw=redraw)
        self._runtime = RuntimeOptions(threads, providers, session_options)
        self._clip: Clip | None = None
        if clip is not None:
            from fastsam_onnx.clip.clip import clip_of

            self._clip = clip_of(clip, threads=threads, providers=providers)
        self._is_bundled = model is None
        self._source = lasting_source(model)
        self._network, self._decoder = _open(self._source, self._runtime)
        try:
            self._resolve(CallOptions())
        except OptionError:
            self._network.close()
            raise

    @elsewhere.telling_options(elsewhere.A_CALL)
    def __call__(
        self,
        source: ImageSource,
        *,
        imgsz: int | tuple[int, int] | None = None,
        conf: float | None = None,
        iou: float | None = None,
        max_det: int | None = None,
        channel_order: ChannelOrder = "rgb",
        pixel_limit: int | None = DEFAULT_PIXEL_LIMIT,
        bands: Sequence[int] | None = None,
        white: float | None = None,
        border_snap: bool = True,
        agnostic: bool = True,
        refine: bool | None = None,
        redraw: bool | None = None,
        tile: int | None = None,
        overlap: float = DEFAULT_OVERLAP,
    ) -> Segmentation:
        """Find every object of a photo.

        Args:
            source: Path, bytes, binary file object, PIL image, or array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of
                uint8, uint16, bool, or float 0 to 1. Files, bytes and PIL images are turned upright by EXIF.
            imgsz: As in `FastSAM`, for this photo.
            conf: As in `FastSAM`, for this photo.
            iou: As in `FastSAM`, for this photo.
            max_det: As in `FastSAM`, for this photo.
            channel_order: "rgb", or "bgr" for arrays from OpenCV.
            pixel_limit: Maximum number of pixels of the photo; None for no limit.
            bands: Bands of a TIFF that are red, green and blue, or one for grey, counted from 1: `(4, 3, 2)`. By
                default the first three.
            white: Sample value of white where it is not the largest of its type, such as 4095 for 12 bits in uint16;
                see `images.load_image`.
            border_snap: True to move boxes that nearly touch the border onto it, so that masks reach the frame.
            agnostic: True for one object in one place; False to compare boxes of one class only, as detectors do.
            refine: As in `FastSAM`, for this photo.
            redraw: As in `FastSAM`, for this photo.
            tile: Side of tiles in pixels of the photo, at least 64. Large photos are looked at tile by tile and once as
                a whole, and objects that tiles cut are joined (see `tiling`). `max_det` counts for each view.
            overlap: Minimum share of a tile's side that it has in common with its neighbours, 0 to 0.5.

        Returns:
            The objects, best first, in pixels of the upright photo.

        Raises:
            ImageError: If the photo cannot be read.
            ModelError: If ONNX Runtime fails on it, or the model is closed.
            OptionError: If an option is outside its range.
        """
        options = CallOptions(
            imgsz=imgsz,
            conf=conf,
            iou=iou,
            max_det=max_det,
            channel_order=channel_order,
            pixel_limit=pixel_limit,
            bands=bands,
            white=white,
            border_snap=border_snap,
            agnostic=agnostic,
            refine=refine,
            redraw=redraw,
            tile=tile,
            overlap=overlap,
        )
        [found] = self._find_all([source], options=options)
        return found

    @overload
    def stream(
        self,
        sources: Sources,
        *,
        on_error: Literal["raise"] = ...,
        **options: Unpack[StreamKeywords],
    ) -> Generator[Segmentation, None, None]: ...

    @overload
    def stream(
        self,
        sources: Sources,
        *,
        on_error: Literal["yield"],
        **options: Unpack[StreamKeywords],
    ) -> Generator[Segmentation | Failure, None, None]: ...

    def stream(
        self,
        sources: Sources,
        *,
        batch: int = 1,
        workers: int | None = None,
        on_error: Literal["raise", "yield"] = "raise",
        track: bool = False,
        prompts: Prompts | None = None,
        at_frame: int = 0,
        **options: Unpack[CallKeywords],
    ) -> Generator[Segmentation | Failure, None, None]:
        """Find every object of many photos, in their order, a few computed ahead.

        Args:
            sources: Iterable of photos as a call takes them (lists, generators, arrays (N, H, W, C)), folder of
                pictures, video file (with `track` also a GIF), number of a camera, or open `cv2.VideoCapture`.
                Generators are read in the caller's thread.
            batch: Number of photos that go through the network together where their shapes are equal. On processors one
                at a time measures faster.
            workers: Number of threads that take photos through all stages, so that decoding, the network and the
                caller's own work overlap; `stream.default_workers()` by default. No more than 2 * workers * batch
                photos are under way or wait to be taken.
            on_error: "raise" to raise the error of an item in the place of its result, with a note that names the item,
                and end; "yield" to give a `Failure` in its place and go on.
            track: True for the frames of a video: objects have numbers that stay, `track_ids`. An object below `conf`,
                but above 0.3 of it, is kept where it goes on with a number. Objects are drawn anew only if `redraw` was
                given, here or to `FastSAM`.
            prompts: With `track`, the objects that these mean in one frame are followed through the frames after it.
                Where one is not found, the result lacks it; after 30 frames it is given up, which is logged.
            at_frame: Index of the frame that the prompts are for, 0 for the first that is read; results before it are
                empty.
            options: As in a call.

        Yields:
            The result of a call for each photo; that of a frame has a source such as "clip.mp4#12". The threads end
            with the loop, also when it is left early (`close()` ends them where the generator is kept).

        Raises:
            OptionError: If an option is not known or outside its range, at once.
            PromptError: If a prompt is malformed, at once; or means nothing in the frame that it is for.
            ImageError: If there is no such folder, video or camera, at once; or, as a ModelError, of an item.
        """
        from fastsam_onnx.images.sources import open_sources
        from fastsam_onnx.stream import named_frames, own_copy, stream

        call = call_options(options, beside=("batch", "workers", "on_error", "track", "prompts", "at_frame"))
        conf = self._resolve(call).conf
        numbered = None
        at_frame = integer("at_frame", at_frame, 0)
        if boolean("track", track) or prompts is not None or at_frame:
            from fastsam_onnx.tracking.following import numbering
            from fastsam_onnx.tracking.tracker import LOW_SHARE

            numbered = numbering(track, prompts, at_frame, conf=conf)
            redraw = _first(call.redraw, self._defaults.redraw, False)  # the file's own would draw all that is hidden
            call = replace(call, conf=LOW_SHARE * conf, redraw=redraw)
        photos, numbers = open_sources(sources, are_frames=numbered is not None)
        if numbers is not None:  # frames of a video are RGB, and not touched again
            call = replace(call, channel_order="rgb")
        else:
            photos = map(own_copy, photos)
        find = partial(self._find_all, options=call)
        results = stream(find, photos, batch=batch, workers=workers, on_error=on_error)
        if numbers is not None:
            results = named_frames(results, sources, numbers)
        return results if numbered is None else numbered(results)

    def warmup(self, image_size: tuple[int, int] | None = None) -> None:
        """Take a grey picture through every stage, so that the first photo waits for no memory, thread or import.

        Args:
            image_size: (width, height) of the photos to come; by default the whole input, which needs most memory.

        Raises:
            OptionError: If the size is outside its range.
        """
        from fastsam_onnx.network.letterbox import PADDING_GREY

        height, width = self.options["imgsz"]
        if image_size is not None:
            width, height = input_size("image_size", image_size, "(width, height)")
        self(np.full((height, width, 3), PADDING_GREY, np.uint8))

    @property
    def contract(self) -> Contract:
        """Form of the network: sizes, stride, channels, its own defaults."""
        return self._network.contract

    @property
    def providers(self) -> list[str]:
        """Execution providers in use, first choice first."""
        return self._network.providers

    @property
    def clip(self) -> Clip | None:
        """Encoders for text prompts; None without."""
        return self._clip

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that a call without any takes: imgsz as (height, width), conf, iou, max_det, refine, redraw."""
        options = asdict(self._resolve(CallOptions()))
        return {name: options[name] for name in MODEL_OPTIONS}

    @property
    def name(self) -> str:
        """File name of the model, or the type of what it was made from."""
        return file_name(self._source) or type(self._source).__name__

    def __repr__(self) -> str:
        options = self.options
        height, width = options["imgsz"]
        return f"FastSAM({self.name}, imgsz {width}x{height}, conf {options['conf']:g}, iou {options['iou']:g})"

    def close(self) -> None:
        """Let go of the network; a call after that is a ModelError."""
        self._network.close()

    if not TYPE_CHECKING:  # it would let type checkers take any attribute
        __setattr__ = set_attribute

    def __enter__(self) -> FastSAM:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        if not isinstance(self._source, str | bytes | os.PathLike) or self._runtime.session_options is not None:
            raise ModelError(
                "a FastSAM made from an InferenceSession, an ExternalNetwork or SessionOptions cannot be pickled; "
                "open it in each process"
            )
        # A path as text, because Python 3.12 cannot read a Path that 3.13 wrote; the bundled model's is this machine's.
        source = os.fspath(self._source) if isinstance(self._source, os.PathLike) else self._source
        kept = {key: value for key, value in vars(self).items() if key not in ("_network", "_decoder", "_is_bundled")}
        return {**kept, "_source": None if self._is_bundled else source}

    def __setstate__(self, state: dict[str, Any]) -> None:
        from fastsam_onnx.network.opening import lasting_source

        self.__dict__.update(state)
        self._is_bundled = self._source is None
        self._source = lasting_source(self._source)
        self._network, self._decoder = _open(self._source, self._runtime)

    def _resolve(self, given: CallOptions) -> DetectionOptions:
        """The options of a call: given there, else to the constructor, else the file's own, else ours."""
        contract, defaults = self._network.contract, self._defaults
        return DetectionOptions(
            imgsz=contract.input_size(_first(given.imgsz, defaults.imgsz)),
            conf=_first(given.conf, defaults.conf, contract.conf, DEFAULT_CONF),
            iou=_first(given.iou, defaults.iou, contract.iou, DEFAULT_IOU),
            max_det=_first(given.max_det, defaults.max_det, DEFAULT_MAX_DET),
            border_snap=given.border_snap,
            agnostic=given.agnostic,
            refine=_first(given.refine, defaults.refine, contract.refine, False),
            redraw=_first(given.redraw, defaults.redraw, contract.redraw, False),
            covered=contract.metadata.covered,
        )

    def _find_all(self, sources: Sequence[ImageSource], *, options: CallOptions) -> list[Segmentation]:
        """The results of calls with the same options."""
        stages = Stages(self._network, self._decoder, self._clip)
        return stages.find_all(sources, options, self._resolve(options))


def _first(*values: Any) -> Any:
    """The first value that is not None; None without."""
    return next((value for value in values if value is not None), None)


def _open(source: Any, runtime: RuntimeOptions) -> tuple[Network | ExternalNetwork, Decoder | None]:
    """The network, and what draws answers to prompts if the file has it."""
    from fastsam_onnx.ahead import importing
    from fastsam_onnx.network.opening import open_network

    with importing():
        network = open_network(source, runtime)
    metadata = network.contract.metadata
    text, change = metadata.decoder, metadata.corrector
    if text is None:
        return network, None
    from fastsam_onnx.masks.decoder import Decoder

    corrector = None if change is None else Decoder(text, runtime, network.name, change=change)
    return network, Decoder(text, runtime, network.name, corrector=corrector)
