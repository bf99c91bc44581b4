"""Any picture becomes (H, W, 3) uint8 RGB, upright.

The headers of files and bytes are read first (`header`); then OpenCV decodes them from memory, so that file names of
any kind work. What OpenCV leaves open (orientation, alpha, 16 bits) is settled here, the same for 4.x and 5.x. OpenCV
may write about a file to stderr; silencing it would change the process for other threads, and libjpeg and libpng in it
write whatever its level is.
"""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from fastsam_onnx.arrays import ByteArray, array_of
from fastsam_onnx.errors import ImageError, OptionError
from fastsam_onnx.files import is_address, why_unread
from fastsam_onnx.images.scale import DARK_BELOW, Scale
from fastsam_onnx.log import warn
from fastsam_onnx.options import DEFAULT_PIXEL_LIMIT, MIN_WHITE, check_bands, choice, integer, number

if TYPE_CHECKING:
    from fastsam_onnx.images.header import ImageHeader
    from fastsam_onnx.images.tiff import Alpha

LONGEST_PATH = 4096
"""Characters of a path that messages show; a longer text is no path, but the content of a picture."""
BLEND_ROWS = 64
"""Rows that are composited at a time: the 16-bit steps of the whole picture would take six times its memory."""


class PILImage(Protocol):
    """The part of a `PIL.Image.Image` that is used; PIL itself is never imported."""

    @property
    def mode(self) -> str: ...  # noqa: D102

    @property
    def size(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def info(self) -> dict[Any, Any]: ...  # noqa: D102

    def load(self) -> Any: ...  # noqa: D102

    def copy(self) -> Any: ...  # noqa: D102

    def convert(self, mode: str) -> Any: ...  # noqa: D102

    def getexif(self) -> Any: ...  # noqa: D102


@dataclass(frozen=True)
class MissingPicture:
    """The place of a picture that could not be had; to load it is an ImageError.

    Attributes:
        name: Name in messages.
        reason: Why there is no picture.
    """

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class NamedPicture:
    """A picture that was decoded, such as a frame of a video, and is not touched again.

    Attributes:
        name: Name in messages.
        pixels: (H, W, 3) uint8 RGB.
    """

    name: str
    pixels: ByteArray


ImageSource = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | NDArray[Any]
    | PILImage
    | MissingPicture
    | NamedPicture
)


def load_image(
    source: ImageSource,
    *,
    channel_order: Literal["rgb", "bgr"] = "rgb",
    pixel_limit: int | None = DEFAULT_PIXEL_LIMIT,
    bands: Sequence[int] | None = None,
    white: float | None = None,
) -> ByteArray:
    """Load one picture.

    Files and bytes: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM/PGM/PBM and AVIF, known by content, not by name, as far as the
    installed OpenCV decodes them (GIF, AVIF and animated WebP from 4.12 on). The first frame or page counts, and a file
    in which a part of it is missing is refused. The EXIF orientation is applied. A binary file object is read from its
    position to its end and not closed.

    PIL images: the orientation is applied if the image still carries the tag, as `ImageOps.exif_transpose` does.

    Arrays: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4); uint8, uint16, bool, or floats in 0 to 1.

    Alpha is composited on white. 16-bit samples become round(x / 257), floats round(255 x). Colour profiles are
    ignored.

    Args:
        source: Path, content of a file, binary file object, array or PIL image.
        channel_order: Order of the channels of an array, `"bgr"` (also BGRA) for OpenCV's. Other sources know their own
            order.
        pixel_limit: Maximum of width x height, checked before pixels are decoded; None for no limit.
        bands: Bands of a TIFF that are red, green and blue, or one for grey, counted from 1: `(4, 3, 2)`. By default
            the first three, whatever the file calls its colours.
        white: Sample value of white, for pictures that do not use the whole range of their type: 4095 for 12 bits in
            uint16. By default the largest value of the type, or what the file says; a warning is logged if a picture of
            16 bits does not even reach 4096, and so is nearly black.

    Returns:
        (H, W, 3) uint8 RGB, C-contiguous; an array that is already so is returned itself, not a copy.

    Raises:
        ImageError: If the picture cannot be read; the message names the source and the reason.
        OptionError: If an option is not one of the accepted values, or there are no such bands.
    """
    choice("channel_order", channel_order, ("rgb", "bgr"))
    if pixel_limit is not None:
        pixel_limit = integer("pixel_limit", pixel_limit)
    if bands is not None:
        bands = check_bands(bands)
    if white is not None:
        white = number("white", white, MIN_WHITE)
    scale = Scale(white, partial(warn_if_dark, source_name(source)))
    return load_scaled(source, scale, channel_order=channel_order, pixel_limit=pixel_limit, bands=bands)


def load_scaled(
    source: ImageSource,
    scale: Scale,
    *,
    channel_order: Literal["rgb", "bgr"] = "rgb",
    pixel_limit: int | None = None,
    bands: Sequence[int] | None = None,
) -> ByteArray:
    """`load_image` with another scale of samples; parts of a picture share one."""
    try:
        if isinstance(source, NamedPicture):
            if bands is not None:
                raise OptionError(f"bands are not for {source.name}; only those of TIFF files can be chosen")
            return _from_array(source.pixels, "rgb", pixel_limit, scale)
        if isinstance(source, np.ndarray) or is_pil(source):
            if bands is not None:
                raise OptionError(f"bands are not for {source_name(source)}; index the array instead")
            if isinstance(source, np.ndarray):
                return _from_array(source, channel_order, pixel_limit, scale)
            return _from_pil(source, pixel_limit, scale)
        return _from_file(_read(source), pixel_limit, bands, scale)
    except ImageError as error:
        raise ImageError(f"cannot read {source_name(source)}: {error}") from error.__cause__


def warn_if_dark(name: str, highest: int) -> None:
    """Log if a picture of 16 bits is nearly black by its highest sample; one that is black is meant to be."""
    if not 0 < highest < DARK_BELOW:
        return
    warn(
        "%s is nearly black: its 16-bit samples reach %d of 65535. If white is less, say it: white=%d, or --white %d",
        name,
        highest,
        DARK_BELOW - 1,
        DARK_BELOW - 1,
    )


def source_name(source: object) -> str:
    """Name a source for messages.

    Args:
        source: A source of `load_image`; anything else is named by its type.

    Returns:
        The path, or words such as `"bytes (1234 bytes)"` and `"array (480, 640, 3) uint8"`; always printable. A text
        that is too long for a path is cut.
    """
    if isinstance(source, MissingPicture | NamedPicture):
        return source.name
    if isinstance(source, str | os.PathLike):
        text = os.fsdecode(source)
        if len(text) > LONGEST_PATH:
            return f"{text[:40]!a}... ({len(text)} characters)"
        return text if text.isprintable() and text else ascii(text)
    if isinstance(source, bytes | bytearray):
        return f"{type(source).__name__} ({len(source)} bytes)"
    if isinstance(source, np.ndarray):
        return f"array {source.shape} {source.dtype}"
    if is_pil(source):
        width, height = source.size
        path = getattr(source, "filename", "")
        return f"PIL image {source_name(path) + ' ' if path else ''}({width} x {height})"
    if is_file_object(source):
        path = getattr(source, "name", None)
        return f"file object {source_name(path) if isinstance(path, str) else type(source).__name__}"
    return type(source).__name__


def _read(source: object) -> bytes:
    if isinstance(source, MissingPicture):
        raise ImageError(source.reason)
    if isinstance(source, str | os.PathLike):
        return _read_path(os.fsdecode(source))
    if isinstance(source, bytes):
        return source
    if isinstance(source, bytearray | memoryview):
        try:
            return bytes(source)
        except ValueError as error:
            raise ImageError(str(error)) from error
    if is_file_object(source):
        return _read_stream(source)
    raise ImageError(f"give a path, bytes, a binary file object, a NumPy array or a PIL image{_hint_of_photo(source)}")


def _hint_of_photo(source: object) -> str:
    """What to do with something that is no photo."""
    if source is None:
        return "; cv2.imread gives None for a file that it cannot read: give its path, and the reason is told"
    if isinstance(source, list | tuple):
        return "; FastSAM.stream takes many photos"
    if hasattr(source, "isOpened"):
        return "; FastSAM.stream takes a cv2.VideoCapture; for one frame give its picture, with channel_order='bgr'"
    if isinstance(source, int) and not isinstance(source, bool):
        return "; FastSAM.stream takes the number of a camera, not in a list"
    if hasattr(source, "__array__"):
        return "; of a tensor its array, (H, W, 3): tensor.permute(1, 2, 0).cpu().numpy()"
    return ""


def _read_path(text: str) -> bytes:
    from pathlib import Path

    from fastsam_onnx.images.header import identify

    path = Path(text)
    if not text:
        raise ImageError("the path is empty")
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ImageError("it is a folder; give one of its files, or the folder to FastSAM.stream")
        if not stat.S_ISREG(mode):
            # Opening a FIFO could wait for ever.
            raise ImageError(
                "it is not a regular file; open it and give the binary file object, or on the command line give - and "
                "pass it to standard input"
            )
        with path.open("rb") as stream:
            head = stream.read(64)
            identify(head)  # before gigabytes of a video are read
            return head + stream.read()
    except ImageError:
        raise
    except (OSError, ValueError) as error:
        raise ImageError(_why_unread(text, error)) from error


def _why_unread(text: str, error: OSError | ValueError) -> str:
    """Why a text opens no file; if it was not meant as a path, what to give in its place."""
    if text.startswith("data:") or len(text) > LONGEST_PATH:
        return "a text must be a path; give the content of a picture as bytes, of base64 by base64.b64decode"
    if is_address(text):
        return "pictures are not downloaded; fetch it and give the path of the file, or its bytes"
    if isinstance(error, FileNotFoundError) and glob.has_magic(text):
        return (
            "there is no such file; patterns are not expanded: give the files, such as "
            f"sorted(glob.glob({text!r})), to FastSAM.stream"
        )
    return why_unread(text, error)


def _read_stream(stream: BinaryIO) -> bytes:
    pieces = []
    try:
        while piece := _next_bytes(stream):
            pieces.append(piece)
    except ImageError:
        raise
    except Exception as error:  # a file object may be anything: archive, socket, HTTP response
        raise ImageError(f"reading the file object failed: {error}") from error
    if not pieces:
        raise ImageError("no bytes are left to read in the file object; is a seek(0) missing?")
    return b"".join(pieces)


def _next_bytes(stream: Any) -> bytes:
    """Some more bytes of a file object; none at its end. Only what is read tells text of tempfile from its bytes."""
    try:
        piece = stream.read(1 << 20)
    except UnicodeError:
        piece = ""
    if isinstance(piece, str):
        raise ImageError("the file is open as text; open it with mode 'rb'")
    return bytes(piece or b"")


def _from_file(data: bytes, pixel_limit: int | None, bands: Sequence[int] | None, scale: Scale) -> ByteArray:
    from fastsam_onnx.images.header import read_header

    header = read_header(data)
    _check_size(header.width, header.height, pixel_limit)
    if header.directory is None and bands is not None:
        raise OptionError(f"bands are not for {header.format}; only those of TIFF files can be chosen")
    return _upright(_decode(header, bands, scale), header.orientation)


def _decode(header: ImageHeader, bands: Sequence[int] | None, scale: Scale) -> ByteArray:
    if header.directory is None:
        return _decode_by_opencv(header, scale)
    from fastsam_onnx.images.tiff_bands import needs_bands, read_bands
    from fastsam_onnx.images.tiff_strips import check_strips

    if bands is None and not needs_bands(header.directory):
        check_strips(header.directory)
        return _decode_by_opencv(header, scale)
    samples = scale.eight_bit(read_bands(header.directory, bands))
    return _three_channels(~samples if header.inverted else samples, "rgb", header.alpha)


def _decode_by_opencv(header: ImageHeader, scale: Scale) -> ByteArray:
    import cv2

    data = np.frombuffer(header.data, np.uint8)
    # Converting in the decoder is cheaper; it is possible from OpenCV 4.11 on.
    rgb_flag = getattr(cv2, "IMREAD_COLOR_RGB", None) if header.format == "JPEG" else None
    flags = cv2.IMREAD_UNCHANGED if rgb_flag is None else rgb_flag | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels: NDArray[Any] | None = cv2.imdecode(data, flags)
    except cv2.error as error:
        raise ImageError(f"OpenCV {cv2.__version__} cannot decode the {header.format}: {error.err}") from error
    if pixels is None:
        hint = " (GIF, AVIF and animated WebP need 4.12)" if header.format in {"GIF", "AVIF", "WebP"} else ""
        raise ImageError(
            f"the {header.format} is damaged, or of a kind that OpenCV {cv2.__version__} cannot decode{hint}"
        )
    if pixels.shape[:2] != (header.height, header.width):
        raise ImageError(
            f"the {header.format} header declares {header.width} x {header.height} pixels "
            f"but {pixels.shape[1]} x {pixels.shape[0]} were decoded"
        )
    samples = scale.eight_bit(pixels, header.white)
    if header.inverted:
        samples = ~samples
    if header.clear is not None:
        samples = np.where(pixels == header.clear, np.uint8(255), samples)
    return _three_channels(samples, "rgb" if rgb_flag else "bgr", header.alpha)


def has_transparency(source: ImageSource) -> bool:
    """True if pixels of a picture file are not opaque, which `load_image` puts on white; TIFF files are not asked.

    Args:
        source: A path or file that `load_image` reads.
    """
    import cv2

    from fastsam_onnx.images.header import read_header

    header = read_header(_read(source))
    pixels = cv2.imdecode(np.frombuffer(header.data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or header.directory is not None or header.alpha == "none":
        return False
    if header.clear is not None:
        return bool((pixels == header.clear).any())
    opaque = header.white or (65535 if pixels.dtype == np.uint16 else 255)
    return pixels.ndim == 3 and pixels.shape[2] == 4 and bool((pixels[..., 3] < opaque).any())


def _upright(pixels: ByteArray, orientation: int) -> ByteArray:
    """Undo an EXIF orientation, 1 to 8; a new array unless it is 1."""
    if orientation == 1:
        return pixels
    import cv2

    if orientation >= 5:
        pixels = cv2.transpose(pixels)  # type: ignore[assignment]
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return pixels if flip is None else cv2.flip(pixels, flip)  # type: ignore[return-value]


def is_file_object(source: object) -> TypeGuard[BinaryIO]:
    """True for what can be read, also if it is no `io.IOBase`, as the files of `tempfile` are not."""
    return hasattr(source, "read") and not hasattr(source, "isOpened")  # a cv2.VideoCapture reads frames


def is_pil(source: object) -> TypeGuard[PILImage]:
    """True of what is a `PIL.Image.Image` as far as it is used."""
    return isinstance(getattr(source, "mode", None), str) and callable(getattr(source, "getexif", None))


def _from_pil(image: PILImage, pixel_limit: int | None, scale: Scale) -> ByteArray:
    from fastsam_onnx.images.tiff import ORIENTATION

    _check_size(*image.size, pixel_limit)
    try:
        image.load()  # Pillow turns a TIFF itself here, and takes the tag away
        orientation = image.getexif().get(ORIENTATION, 1)
        if image.mode.startswith(("I", "F")):  # Pillow's conversion would clip these to 255
            pixels = np.asarray(image)
        else:
            has_alpha = image.mode.endswith(("A", "a")) or "transparency" in image.info
            pixels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    except Exception as error:  # PIL decodes here: OSError, SyntaxError, struct.error and more
        raise ImageError(f"PIL cannot give its pixels: {error}") from error
    return _upright(_from_array(pixels, "rgb", pixel_limit, scale), orientation if orientation in range(1, 9) else 1)


def _from_array(array: NDArray[Any], order: Literal["rgb", "bgr"], pixel_limit: int | None, scale: Scale) -> ByteArray:
    try:
        pixels = array_of(array)
    except ValueError as error:
        raise ImageError(str(error)) from error
    if pixels.ndim not in {2, 3} or (pixels.ndim == 3 and pixels.shape[2] not in {1, 3, 4}):
        hint = ""
        if pixels.ndim == 4:
            hint = "; give one picture at a time"
        elif pixels.ndim == 3 and pixels.shape[0] in {1, 3, 4}:
            hint = "; channels come last: array.transpose(1, 2, 0)"
        raise ImageError(f"its shape must be (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), got {pixels.shape}{hint}")
    if pixels.size == 0:
        raise ImageError("it has no pixels")
    _check_size(pixels.shape[1], pixels.shape[0], pixel_limit)
    return _three_channels(scale.eight_bit(pixels), order, "straight")


def _check_size(width: int, height: int, pixel_limit: int | None) -> None:
    if pixel_limit is not None and width * height > pixel_limit:
        raise ImageError(
            f"it has {width} x {height} = {width * height} pixels, more than the pixel limit of {pixel_limit}; "
            "raise that if you trust the picture"
        )


def _three_channels(samples: ByteArray, order: Literal["rgb", "bgr"], alpha: Alpha) -> ByteArray:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) in the given order to contiguous (H, W, 3) RGB."""
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    if channels == 1:
        return np.repeat(samples.reshape(*samples.shape[:2], 1), 3, axis=2)
    if channels == 4:
        samples = _on_white(samples, alpha)
    samples = np.ascontiguousarray(samples)
    if order == "rgb":
        return samples
    import cv2

    return cv2.cvtColor(samples, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def _on_white(samples: ByteArray, alpha: Alpha) -> ByteArray:
    colours, opacity = samples[..., :3], samples[..., 3:]
    if alpha == "none" or opacity.min() == 255:
        return colours
    result = np.empty(colours.shape, np.uint8)
    for top in range(0, len(result), BLEND_ROWS):
        rows = slice(top, top + BLEND_ROWS)
        result[rows] = _strip_on_white(colours[rows], opacity[rows], premultiplied=alpha == "premultiplied")
    return result


def _strip_on_white(colours: ByteArray, opacity: ByteArray, *, premultiplied: bool) -> NDArray[np.uint16]:
    paper = 255 * (255 - opacity.astype(np.uint16))
    light = colours.astype(np.uint16) * (np.uint16(255) if premultiplied else opacity)
    if premultiplied:  # damaged files hold more colour than opacity
        np.minimum(light, 255 * 255 - paper, out=light)
    return (light + paper + 127) // 255
