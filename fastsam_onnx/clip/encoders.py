"""The two halves of a CLIP as ONNX Runtime sessions, whatever their export looks like.

The rank and dtype of an input tell its meaning: rank 4 is the picture, rank 2 of integers the ids, or the attention
mask if it is called so. A file that is both halves has all of them; inputs of the other half get zeros and it is not
computed. Outputs have few names in use. Vectors have length 1 here, whether the export makes them so or not.
"""

from __future__ import annotations

import mmap
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import ByteArray, FloatArray
from fastsam_onnx.clip.preprocessing import Preprocessing
from fastsam_onnx.clip.tokens import DEFAULT_CONTEXT_LENGTH, ClipTokenizer, clean
from fastsam_onnx.errors import ModelError
from fastsam_onnx.runtime import failures

if TYPE_CHECKING:
    import onnxruntime as ort

Feed = dict[str, npt.NDArray[Any]]
Half = Literal["image", "text"]

BATCH = 16
"""Most pictures or texts that are embedded together: more would gain little speed and cost much memory."""
LISTS_KEPT, MOST_KEPT = 4, 2048
"""Number of lists of texts whose vectors are kept, and the most texts of such a list: 4 MB of 512 values each."""

FLOATS: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
INTEGERS: dict[str, Any] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
PIXELS: dict[str, Any] = {**FLOATS, "tensor(uint8)": np.uint8}
MASKS: dict[str, Any] = {**INTEGERS, **FLOATS, "tensor(bool)": np.bool_}
VECTOR_OUTPUTS: dict[Half, tuple[str, ...]] = {
    "image": ("image_embeds", "image_features", "image_embedding", "image_embeddings"),
    "text": ("text_embeds", "text_features", "text_embedding", "text_embeddings"),
}
OTHER_OUTPUTS = ("pooler_output", "last_hidden_state", "logits")
"""Beginnings of names of outputs before the projection to the common space, or after the comparison in it."""
SMALLEST_LENGTH = np.float32(1e-30)
"""Vectors are divided by no less, so that a mean of opposite vectors stays 0."""


class ImageEncoder:
    """The half that takes pictures.

    Attributes:
        name: Name in messages.
        preprocessing: Size and colours of the pictures that it takes.
        width: Number of values of a vector.
    """

    def __init__(
        self, session: ort.InferenceSession, name: str, preprocessing: Preprocessing | None, *, alone: bool = False
    ) -> None:
        """Find the picture and the vectors among the inputs and outputs.

        Args:
            session: An open file.
            name: Name in messages.
            preprocessing: Settings beside the file; None if there are none.
            alone: Give it one picture a run; see `has_scales_of_a_run`.

        Raises:
            ModelError: If the file is not an image encoder, has no projection, or contradicts the settings.
        """
        self.name = name
        self._half = _Half(session, name, "image")
        port = self._half.port(lambda each: each.type in PIXELS and len(each.shape) in (0, 4), "a picture (rank 4)")
        shape = list(port.shape) or [None, 3, None, None]
        self._port, self._batch = port, _fixed(shape[0])
        self._alone = alone and self._batch is None
        self._channels_last = shape[3] == 3 and shape[1] != 3
        sides = {side for side in map(_fixed, shape[1:3] if self._channels_last else shape[2:]) if side is not None}
        if preprocessing is None:
            side = min(sides, default=Preprocessing.size)
            preprocessing = Preprocessing(size=side, resize=side)
        if not sides <= {preprocessing.size}:
            raise ModelError(
                f"{name} must take pictures of {preprocessing.size} pixels, as the settings beside it say, "
                f"got {sorted(sides)}"
            )
        self.preprocessing = preprocessing
        grey = np.full((preprocessing.size, preprocessing.size, 3), 128, np.uint8)
        self.width = self._half.width or self.embed([grey]).shape[1]

    def embed(self, squares: Sequence[ByteArray]) -> FloatArray:
        """(n, width) float32 of length 1, of n pictures (size, size, 3) uint8; all in one run if the export can."""
        if self._alone and len(squares) > 1:
            return np.concatenate([self.embed([square]) for square in squares])
        whole = self._port.type == "tensor(uint8)"  # such an export normalises inside
        pixels = np.stack(
            [square.transpose(2, 0, 1) if whole else self.preprocessing.normalise(square) for square in squares]
        )
        if self._channels_last:
            pixels = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
        return self._half.run({self._port.name: pixels.astype(PIXELS[self._port.type], copy=False)}, self._batch)


@dataclass(frozen=True)
class EmbeddedTexts:
    """Texts as vectors.

    Attributes:
        vectors: (n, width) float32 of length 1.
        cut: Those of the texts whose end is cut off.
    """

    vectors: FloatArray
    cut: tuple[str, ...]


class TextEncoder:
    """The half that takes texts.

    Attributes:
        name: Name in messages.
        context_length: Maximum number of ids of a text, start and end included.
        width: Number of values of a vector.
    """

    def __init__(
        self,
        session: ort.InferenceSession,
        name: str,
        tokenizer: ClipTokenizer,
        context_length: int | None,
        *,
        alone: bool = False,
    ) -> None:
        """Find the ids and the vectors among the inputs and outputs, and try it on the shortest text.

        Args:
            session: An open file.
            name: Name in messages.
            tokenizer: Tokenizer of the same CLIP.
            context_length: Context length in the settings beside the file; None if there is none.
            alone: Give it one text a run; see `has_scales_of_a_run`.

        Raises:
            ModelError: If the file is not a text encoder, has no projection, or does not know the tokenizer's ids.
        """
        self.name = name
        self._tokenizer = tokenizer
        self._half = _Half(session, name, "text")
        port = self._half.port(lambda each: _is_ids(each) and not _is_mask(each), "ids (rank 2, integer)")
        masks = [each for each in session.get_inputs() if _is_mask(each)]
        shape = list(port.shape) or [None, None]
        self._port, self._mask = port, masks[0] if masks else None
        self._batch, length = _fixed(shape[0]), _fixed(shape[1])
        self._alone = alone and self._batch is None
        self.context_length = length or context_length or tokenizer.context_length or DEFAULT_CONTEXT_LENGTH
        self._full_length = length is not None
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, ...], EmbeddedTexts] = {}
        self.width = self._try_out().shape[1]

    def embed_list(self, texts: tuple[str, ...]) -> EmbeddedTexts:
        """What `embed` gives for any number of texts; the last lists are kept, for the next photo is asked the same.

        Raises:
            PromptError: If a text is empty.
            ModelError: If ONNX Runtime fails.
        """
        with self._lock:
            known = self._kept.get(texts)
        if known is None:
            known = self._embed_list(texts)
            if len(texts) <= MOST_KEPT:
                with self._lock:
                    self._kept[texts] = known
                    if len(self._kept) > LISTS_KEPT:
                        del self._kept[next(iter(self._kept))]
        return known

    def embed(self, texts: Sequence[str]) -> FloatArray:
        """(n, width) float32 of length 1, of n texts that are computed together.

        Raises:
            PromptError: If a text is empty.
            ModelError: If ONNX Runtime fails.
        """
        if self._alone and len(texts) > 1:
            return np.concatenate([self.embed([text]) for text in texts])
        ids = self._tokenizer.ids(
            texts,
            self.context_length,
            pad_to_length=self._full_length,
            # As the export's own code fills up: transformers with the end token, OpenAI with 0. What follows the first
            # end token changes nothing, as attention looks back only; an export with a mask is told so besides.
            pad_with_end=self._mask is not None,
        )
        feed = {self._port.name: ids.astype(INTEGERS[self._port.type])}
        if self._mask is not None:
            mask = np.arange(ids.shape[1]) < self._tokenizer.lengths(ids)[:, None]
            feed[self._mask.name] = mask.astype(MASKS[self._mask.type])
        return self._half.run(feed, self._batch)

    def _embed_list(self, texts: tuple[str, ...]) -> EmbeddedTexts:
        parts = [self.embed(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        cut = [text for text in texts if len(self._tokenizer.encode(clean(text))) > self.context_length - 2]
        return EmbeddedTexts(np.concatenate(parts), tuple(cut))

    def _try_out(self) -> FloatArray:
        """A short text costs a fraction of a long one; but some exports say any length and mean one."""
        try:
            return self.embed(["a"])
        except ModelError:
            if self._full_length:
                raise
            self._full_length = True
            return self.embed(["a"])


class _Half:
    """A session of which one half is wanted: its output, and zeros for inputs of the other half.

    Attributes:
        width: Number of values of a vector; None if the file does not say it.
    """

    def __init__(self, session: ort.InferenceSession, name: str, half: Half) -> None:
        self._session, self._name, self._kind = session, name, half
        output = self._output(half)
        self._wanted = output.name
        self.width = _fixed(output.shape[1]) if len(output.shape) == 2 else None

    def port(self, fits: Callable[[Any], bool], what: str) -> Any:
        """The one input that fits.

        Raises:
            ModelError: If there is none, or several.
        """
        ports = [each for each in self._session.get_inputs() if fits(each)]
        if len(ports) != 1:
            raise self._error(f"is not the {self._kind} encoder of a CLIP: one input must be {what}, got {len(ports)}")
        return ports[0]

    def run(self, feed: Feed, batch: int | None) -> FloatArray:
        """(n, width) float32 of length 1 for the n rows of the feed.

        Args:
            feed: The inputs of this half.
            batch: Number of rows that a run takes; None for any number.
        """
        count = len(next(iter(feed.values())))
        size = batch or count
        parts = []
        for start in range(0, count, size):
            part = {name: _filled_up(values[start : start + size], size) for name, values in feed.items()}
            parts.append(self._run_batch(part)[: count - start])
        vectors = np.concatenate(parts)
        if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
            raise ModelError(f"{self._name} gave vectors that are infinite, not a number or zero; is the file damaged?")
        return unit_vectors(vectors)

    def _run_batch(self, feed: Feed) -> FloatArray:
        import onnxruntime as ort

        options = ort.RunOptions()
        options.only_execute_path_to_fetches = True  # of a file that is both halves, only this one
        try:
            [values] = self._session.run([self._wanted], self._idle(feed) | feed, options)
        except failures() as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in feed.items())
            raise ModelError(f"{self._name}: ONNX Runtime failed on {shapes}: {error}") from error
        return np.asarray(values, np.float32).reshape(len(next(iter(feed.values()))), -1)

    def _idle(self, feed: Feed) -> Feed:
        """Zeros for the inputs that are not fed, because ONNX Runtime wants all."""
        others = [each for each in self._session.get_inputs() if each.name not in feed]
        kinds = PIXELS | MASKS
        return {
            each.name: np.zeros([_fixed(side) or 1 for side in each.shape], kinds.get(each.type, np.float32))
            for each in others
        }

    def _output(self, half: Half) -> Any:
        """The output that holds the vectors."""
        other = VECTOR_OUTPUTS["text" if half == "image" else "image"]
        vectors = [
            each
            for each in self._session.get_outputs()
            if each.type in FLOATS
            and len(each.shape) in (0, 2)
            and each.name not in other
            and not each.name.startswith(OTHER_OUTPUTS)
        ]
        if not vectors and any(each.name in other for each in self._session.get_outputs()):
            raise self._error(f"is the other half of a CLIP: its {half} encoder is needed, too")
        named = [each for each in vectors if each.name in VECTOR_OUTPUTS[half]]
        if len(named or vectors) != 1:
            raise self._error(
                f"has no output in the space that pictures and texts share: one must be {VECTOR_OUTPUTS[half][0]} "
                "(batch, width). Export it with its projection (SigLIP, which has none, is not taken), or take "
                "clip-vit-b-32 of the catalogue"
            )
        return (named or vectors)[0]

    def _error(self, message: str) -> ModelError:
        inputs, outputs = (
            "; ".join(f"{each.name} {each.type} {list(each.shape)}" for each in each_of)
            for each_of in (self._session.get_inputs(), self._session.get_outputs())
        )
        return ModelError(f"{self._name} {message}\n  inputs: {inputs}\n  outputs: {outputs}")


def has_scales_of_a_run(path: Path) -> bool:
    """True of an int8 file that measures the span of its numbers at every run, over all rows together.

    What stands beside a picture or text in a run then changes its vector: in a ViT-B/32 with random weights cosines by
    0.001, 0.005 at most, where objects differ by 0.015.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"DynamicQuantize") >= 0  # the beginning of the names of such operators


def unit_vectors(vectors: FloatArray) -> FloatArray:
    """Vectors (..., width) divided by their lengths; zeros stay zeros."""
    lengths: FloatArray = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), SMALLEST_LENGTH)
    return vectors / lengths


def _filled_up(rows: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """The last row again and again, where a run takes more than are left."""
    return np.concatenate([rows, np.repeat(rows[-1:], size - len(rows), axis=0)]) if len(rows) < size else rows


def _is_ids(port: Any) -> bool:
    return port.type in INTEGERS and len(port.shape) in (0, 2)


def _is_mask(port: Any) -> bool:
    return "mask" in port.name.lower() and port.type in MASKS and len(port.shape) in (0, 2)


def _fixed(side: Any) -> int | None:
    return side if isinstance(side, int) and side > 0 else None
