"""Where the parts of a CLIP export lie: the image encoder, the text encoder, the tokenizer, the settings.

Exporters name and place them differently; `EXPECTED_FILES` says it in words.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fastsam_onnx import options
from fastsam_onnx.clip.preprocessing import BICUBIC, BILINEAR, MEAN, STD, Kernel, Preprocessing
from fastsam_onnx.errors import ModelError, ModelNotFoundError, OptionError
from fastsam_onnx.files import absolute, is_file, is_folder

Colour = tuple[float, float, float]
"""Red, green, blue, 0 to 1."""

IMAGE_WORDS, TEXT_WORDS = ("vision", "visual", "image"), ("text",)
SUBFOLDERS = ("", "onnx", "visual", "vision", "image", "textual", "text")
TOKENIZERS = ("tokenizer.json", "bpe_simple_vocab_16e6.txt.gz", "bpe_simple_vocab_16e6.txt")
SETTINGS = ("preprocessor_config.json", "preprocess_cfg.json")
EXPECTED_FILES = (
    "a CLIP must be a folder with an image encoder (vision_model.onnx, visual.onnx, visual/model.onnx, ...), a text "
    "encoder (text_model.onnx, textual.onnx, textual/model.onnx, ...) or one model.onnx that is both, and "
    "tokenizer.json; the files may also lie in a folder onnx, and image=, text= and tokenizer= name them one by one"
)


@dataclass(frozen=True)
class ClipFiles:
    """The files of a CLIP.

    Attributes:
        image: The image encoder.
        text: The text encoder; the same file where one is both.
        tokenizer: `tokenizer.json`, or OpenAI's list of merges.
        preprocessing: Settings beside the image encoder; None if there are none.
        context_length: Context length in `config.json`; None if there is none.
    """

    image: Path
    text: Path
    tokenizer: Path
    preprocessing: Preprocessing | None
    context_length: int | None

    def absolute(self) -> ClipFiles:
        """The same files, also in another working folder."""
        return replace(self, image=absolute(self.image), text=absolute(self.text), tokenizer=absolute(self.tokenizer))

    def __reduce__(self) -> tuple[Any, ...]:
        # As texts, because paths that were pickled by Python 3.13 are not read by 3.12.
        paths = [os.fspath(path) for path in (self.image, self.text, self.tokenizer)]
        return _of_texts, (*paths, self.preprocessing, self.context_length)

    @classmethod
    def find(
        cls,
        model: str | os.PathLike[str] | None = None,
        *,
        image: str | os.PathLike[str] | None = None,
        text: str | os.PathLike[str] | None = None,
        tokenizer: str | os.PathLike[str] | None = None,
    ) -> ClipFiles:
        """Look for the files.

        Args:
            model: A folder, or a file that is both encoders.
            image: The image encoder, or a folder with one ONNX file; goes with `text`, instead of `model`.
            text: The text encoder, likewise.
            tokenizer: By default what lies beside the text encoder, or in the folder above.

        Raises:
            OptionError: If neither a model nor both encoders are given, or all, or one is not a path.
            ModelNotFoundError: If a file is missing.
            ModelError: If there are several that could be meant, or the settings cannot be understood.
        """
        if model is not None and image is None and text is None:
            image_file, text_file = _both(options.path("model", model))
        elif model is None and image is not None and text is not None:
            image_file = _single(options.path("image", image), "image encoder")
            text_file = _single(options.path("text", text), "text encoder")
        else:
            raise OptionError("give either the folder or file of a CLIP, or image= and text= together")
        given = None if tokenizer is None else options.path("tokenizer", tokenizer)
        found = given or _beside(text_file, TOKENIZERS)
        if found is None or not is_file(found):
            where = found or f"beside {text_file}, nor in the folder above"
            raise ModelNotFoundError(f"there is no tokenizer {where}; {EXPECTED_FILES}")
        settings, config = _beside(image_file, SETTINGS), _beside(text_file, ("config.json",))
        preprocessing = None if settings is None else _preprocessing(settings)
        return cls(image_file, text_file, found, preprocessing, None if config is None else _context_length(config))


def _of_texts(image: str, text: str, tokenizer: str, *rest: Any) -> ClipFiles:
    return ClipFiles(Path(image), Path(text), Path(tokenizer), *rest)


def _both(path: Path) -> tuple[Path, Path]:
    if is_file(path):
        return path, path
    if not is_folder(path):
        raise ModelNotFoundError(f"there is no CLIP at {path}; {EXPECTED_FILES}")
    files = _onnx_files(path, SUBFOLDERS)
    image = [file for file in files if _is_called(file, path, IMAGE_WORDS)]
    text = [file for file in files if _is_called(file, path, TEXT_WORDS)]
    if image and text:
        return _plain(image, "image encoder"), _plain(text, "text encoder")
    if len(files) == 1 and not image and not text:
        return files[0], files[0]
    if files and not image and not text:
        plain = _plain(files, "model")
        return plain, plain
    missing = " and ".join(what for what, found in (("an image encoder", image), ("a text encoder", text)) if not found)
    names = ", ".join(str(file.relative_to(path)) for file in files) or "no .onnx file"
    raise ModelNotFoundError(f"{path} lacks {missing}: found {names}; {EXPECTED_FILES}")


def _onnx_files(path: Path, folders: Iterable[str]) -> list[Path]:
    """The ONNX files in folders of a folder; a FIFO is none, for opening it could wait for ever."""
    return sorted({file for folder in folders for file in (path / folder).glob("*.onnx") if is_file(file)})


def _is_called(file: Path, folder: Path, words: tuple[str, ...]) -> bool:
    return any(word in str(file.relative_to(folder)).lower() for word in words)


def _plain(files: list[Path], what: str) -> Path:
    """The file whose name is the beginning of all: vision_model.onnx before vision_model_fp16.onnx."""
    shortest = sorted(files, key=lambda file: len(file.stem))
    if len(files) > 1 and not all(file.stem.startswith(shortest[0].stem) for file in files):
        raise ModelError(
            f"which {what} is meant? Found {', '.join(map(str, files))}; leave one in the folder, or name it "
            "with image= and text="
        )
    return shortest[0]


def _single(path: Path, what: str) -> Path:
    if is_folder(path):
        files = _onnx_files(path, ("", "onnx"))
        if not files:
            raise ModelNotFoundError(f"the folder {path} holds no .onnx file; the {what} should be there")
        return _plain(files, what)
    if not is_file(path):
        raise ModelNotFoundError(f"there is no {what} {path}")
    return path


def _beside(file: Path, names: tuple[str, ...]) -> Path | None:
    paths = [folder / name for folder in (file.parent, file.parent.parent) for name in names]
    return next((path for path in paths if is_file(path)), None)


# --- Settings ---


def _preprocessing(path: Path) -> Preprocessing:
    """Read transformers' preprocessor_config.json, or open_clip's preprocess_cfg.json as immich has it."""
    settings = _read_json(path)
    try:
        crop = _side(settings.get("crop_size", settings.get("size", 224)))
        resize = _side(settings.get("size", crop))
        if resize < crop:
            raise ValueError(f"size must not be less than crop_size, {crop}, got {resize}")
        kernel = _kernel(settings)
        mean, std = _normalisation(settings)
    except (TypeError, ValueError, KeyError) as error:
        raise ModelError(f"the settings {path} cannot be understood: {error}") from error
    return Preprocessing(crop, resize, mean, std, kernel)


def _kernel(settings: dict[str, Any]) -> Kernel:
    """The kernel of the resize to the shorter side, before the middle is cut out."""
    for name, accepted in (("do_resize", True), ("do_center_crop", True), ("resize_mode", "shortest")):
        if settings.get(name) not in (None, accepted):
            raise ValueError(f"{name} must be {json.dumps(accepted)}, got {options.shown(settings[name])}")
    name = "interpolation" if settings.get("resample") is None else "resample"
    kind = settings.get(name)
    for kernel, kinds in ((BICUBIC, (3, "bicubic", None)), (BILINEAR, (2, "bilinear"))):
        if kind in kinds:
            return kernel
    raise ValueError(f"{name} must be 3 or bicubic, 2 or bilinear, got {options.shown(kind)}")


def _normalisation(settings: dict[str, Any]) -> tuple[Colour, Colour]:
    """Means and standard deviations of samples from 0 to 1."""
    if settings.get("do_rescale") is False or round(settings.get("rescale_factor", 1 / 255) * 255, 3) != 1:
        raise ValueError("samples must be scaled to 0 to 1 (do_rescale, and rescale_factor 1/255)")
    if settings.get("do_normalize") is False:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean = _colour(settings.get("image_mean", settings.get("mean", MEAN)))
    std = _colour(settings.get("image_std", settings.get("std", STD)))
    if not (all(0 <= value <= 1 for value in mean) and all(0 < value <= 1 for value in std)):
        raise ValueError(f"mean and std must be of samples from 0 to 1, got {list(mean)} and {list(std)}")
    return mean, std


def _colour(values: Any) -> Colour:
    numbers = [float(value) for value in values]
    if len(numbers) != 3:
        raise ValueError(f"mean and std must be three numbers, got {options.shown(values)}")
    return numbers[0], numbers[1], numbers[2]


def _side(size: Any) -> int:
    """224, [224, 224], {"shortest_edge": 224}, {"height": 224, "width": 224}."""
    if isinstance(size, dict):
        sides = [size["shortest_edge"]] if "shortest_edge" in size else [size["height"], size["width"]]
    else:
        sides = size if isinstance(size, list) else [size]
    if len({*sides}) != 1 or not isinstance(sides[0], int) or not 1 <= sides[0] <= 4096:
        raise ValueError(f"size must be that of a square, 1 to 4096, got {options.shown(size)}")
    return int(sides[0])


def _context_length(path: Path) -> int | None:
    config = _read_json(path)
    text = config.get("text_config", config)
    length = text.get("max_position_embeddings") if isinstance(text, dict) else None
    return length if isinstance(length, int) and length > 2 else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read the settings {path}: {error}") from error
    if not isinstance(content, dict):
        raise ModelError(f"the settings {path} must be a JSON object, got {type(content).__name__}")
    return content
