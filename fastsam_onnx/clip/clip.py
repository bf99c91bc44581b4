"""CLIP: pictures and texts become vectors that can be compared."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsam_onnx import weights
from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.clip.files import ClipFiles
from fastsam_onnx.errors import ModelError, OptionError, PromptError
from fastsam_onnx.images.load import ImageSource, load_image
from fastsam_onnx.log import warn
from fastsam_onnx.options import CountProgress, function, integer, shown

if TYPE_CHECKING:
    import onnxruntime as ort

    from fastsam_onnx.clip.encoders import ImageEncoder, TextEncoder
    from fastsam_onnx.runtime import Provider


MOST_SHOWN = 60
"""Characters of a text that a warning shows."""


class Clip:
    """An image encoder and a text encoder that share a space.

    The files are looked for at once and opened at the first use. One object serves many threads at once, and pickles
    by path.

    Attributes:
        files: Paths and settings of its parts.
    """

    files: ClipFiles
    _runtime: dict[str, Any]
    _lock: threading.Lock
    _sessions: dict[Path, ort.InferenceSession]
    _image_encoder: ImageEncoder | None
    _text_encoder: TextEncoder | None

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        *,
        image: str | os.PathLike[str] | None = None,
        text: str | os.PathLike[str] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        providers: Sequence[Provider] | None = None,
    ) -> None:
        """Find the files of a CLIP.

        Args:
            model: A name such as "clip-vit-b-32-int8", which is downloaded once (see `weights.resolve`), a folder, or
                an ONNX file that is both encoders.
            image: The ONNX file of the image encoder, or its folder; with `text`, instead of `model`.
            text: The text encoder, likewise.
            tokenizer: The `tokenizer.json`, or OpenAI's list of merges; by default what lies beside the text encoder.
            threads: As in `FastSAM`.
            providers: As in `FastSAM`.

        Raises:
            ModelNotFoundError: If a file is missing.
            ModelError: If it is not clear which files are meant, or the settings beside them cannot be understood.
            DownloadError: If the files of a name are not here and cannot be downloaded.
            OptionError: If neither a model nor both encoders are given.
        """
        if not isinstance(model, str | os.PathLike | None):
            raise OptionError(f"model must be a name, a folder or a file, got {shown(model)}")
        found = None if model is None else weights.resolve(model, task="clip")
        self.files = ClipFiles.find(found, image=image, text=text, tokenizer=tokenizer).absolute()
        self._runtime = {"threads": threads, "providers": providers}
        self._forget()

    def embed_images(
        self,
        images: ImageSource | Sequence[ImageSource],
        *,
        pad: tuple[int, int, int] | None = None,
        progress: CountProgress | None = None,
    ) -> FloatArray:
        """The vectors of pictures.

        Args:
            images: One, or a list or tuple of them, as `FastSAM` takes photos.
            pad: Red, green, blue, 0 to 255: a picture is put whole on a square of this colour. By default its middle
                square is cut out, as CLIP was trained.
            progress: Called after every batch.

        Returns:
            (n, width) float32, each of length 1.

        Raises:
            ImageError: If a picture cannot be read.
            OptionError: If `pad` or `progress` is something else.
            ModelError: If the file is not an image encoder, or has another width than the text encoder.
        """
        sources: Sequence[Any] = images if isinstance(images, list | tuple) else [images]
        pad = None if pad is None else _colour(pad)
        function("progress", progress)
        from fastsam_onnx.clip.encoders import BATCH

        encoder = self.image_encoder()
        vectors = [np.zeros((0, encoder.width), np.float32)]
        for start in range(0, len(sources), BATCH):
            part = sources[start : start + BATCH]
            vectors.append(encoder.embed([encoder.preprocessing.square(load_image(source), pad) for source in part]))
            if progress is not None:
                progress(start + len(part), len(sources))
        return np.concatenate(vectors)

    def embed_texts(self, texts: str | Sequence[str]) -> FloatArray:
        """The vectors of texts.

        Args:
            texts: One or several. They are cleaned as OpenAI does; what is too long for the context (77 ids, start and
                end included) is cut off, which is warned of.

        Returns:
            (n, width) float32, each of length 1.

        Raises:
            PromptError: If there is no text, one is not a string, or one has no word.
            ModelError: If the text encoder or the tokenizer cannot be used, or the widths differ.
        """
        listed = check_texts(texts)
        embedded = self.text_encoder().embed_list(tuple(listed))
        for text in embedded.cut:
            warn("%r... is too long for CLIP: its end is not compared", text[:MOST_SHOWN])
        return embedded.vectors.copy()

    def image_encoder(self) -> ImageEncoder:
        """The image encoder, opened at the first call; raises as `embed_images` does."""
        from fastsam_onnx.clip.encoders import ImageEncoder, has_scales_of_a_run

        self._forget_what_was_forked()
        with self._lock:
            if self._image_encoder is None:
                path = self.files.image
                session, alone = self._session(path), has_scales_of_a_run(path)
                encoder = ImageEncoder(session, path.name, self.files.preprocessing, alone=alone)
                _check_widths(encoder, self._text_encoder)
                self._image_encoder = encoder
            return self._image_encoder

    def text_encoder(self) -> TextEncoder:
        """The text encoder, opened at the first call; raises as `embed_texts` does."""
        from fastsam_onnx.clip.encoders import TextEncoder, has_scales_of_a_run
        from fastsam_onnx.clip.tokens import ClipTokenizer

        self._forget_what_was_forked()
        with self._lock:
            if self._text_encoder is None:
                path = self.files.text
                tokenizer = ClipTokenizer.open(self.files.tokenizer)
                session, alone = self._session(path), has_scales_of_a_run(path)
                encoder = TextEncoder(session, path.name, tokenizer, self.files.context_length, alone=alone)
                _check_widths(self._image_encoder, encoder)
                self._text_encoder = encoder
            return self._text_encoder

    def __repr__(self) -> str:
        names = dict.fromkeys((self.files.image.name, self.files.text.name))
        return f"Clip({', '.join(names)} in {self.files.text.parent})"

    def __getstate__(self) -> dict[str, Any]:
        return {"files": self.files, "_runtime": self._runtime}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _forget(self) -> None:
        """Begin with nothing open."""
        self._lock = threading.Lock()
        self._sessions = {}
        self._image_encoder = self._text_encoder = None
        self._process = os.getpid()  # last: another thread goes by it

    def _forget_what_was_forked(self) -> None:
        """Open anew in a child process, where the threads of the sessions are not."""
        if self._process != os.getpid():
            from fastsam_onnx.runtime import opening

            with opening():
                if self._process != os.getpid():
                    self._forget()

    def _session(self, path: Path) -> ort.InferenceSession:
        """One session for each file: some are both encoders."""
        from fastsam_onnx.runtime import check_utf8, create_session

        if path not in self._sessions:
            session = create_session(path, name=path.name, **self._runtime)
            check_utf8(session, path.name)
            self._sessions[path] = session
        return self._sessions[path]


def clip_of(given: Clip | str | os.PathLike[str], **runtime: Any) -> Clip:
    """A Clip as it is, or one of the name, folder or file that is given.

    Args:
        given: A Clip, or what it is made of.
        runtime: `threads` and `providers` of one that is made.

    Raises:
        OptionError: If it is something else.
        ModelError: As `Clip` raises it, and DownloadError.
    """
    return given if isinstance(given, Clip) else Clip(given, **runtime)


def check_texts(texts: str | Sequence[str], name: str = "text prompt") -> list[str]:
    """One text or several as a list; ``name``: what one is called in messages.

    Raises:
        PromptError: If there is no text, one is not a string, or one has no word.
    """
    from fastsam_onnx.clip.tokens import clean

    listed = [texts] if isinstance(texts, str) else texts
    if not isinstance(listed, Sequence) or isinstance(listed, bytes) or not len(listed):
        raise PromptError(f"{name}s must be a text or a list of at least one, got {shown(texts)}")
    for index, text in enumerate(listed):
        if not isinstance(text, str):
            raise PromptError(f"{name} {index} must be a string, got {shown(text)}")
        if not clean(text):
            raise PromptError(f"{name} {index} must have at least one word, got {text[:80]!r}")
    return list(listed)


def _colour(pad: Sequence[int]) -> tuple[int, int, int]:
    """Red, green and blue; OptionError if it is something else."""
    if not isinstance(pad, list | tuple | np.ndarray) or len(pad) != 3:
        raise OptionError(f"pad must be a colour (red, green, blue), each from 0 to 255, got {shown(pad)}")
    red, green, blue = (integer("a colour in pad", each, 0, 255) for each in pad)
    return red, green, blue


def _check_widths(image: ImageEncoder | None, text: TextEncoder | None) -> None:
    if image is not None and text is not None and image.width != text.width:
        raise ModelError(
            f"the vectors of {image.name} have {image.width} values and those of {text.name} {text.width}: "
            "take both encoders from one CLIP"
        )
