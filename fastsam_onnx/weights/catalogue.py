"""The weights that exist: names, addresses, sizes, hashes, licences as their publishers state them.

Data, not code. A size or hash that no published source states is None, never a guess. Exports that are known to be
wrong (CLIP with another activation than it was trained with) or that have no provenance are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Task = Literal["segment", "clip"]


@dataclass(frozen=True)
class File:
    """One file of a model.

    Attributes:
        path: Path below the cache folder and below a mirror's address, with forward slashes.
        addresses: Addresses to fetch it from, first choice first.
        size: Size in bytes; None if unknown.
        sha256: SHA-256 in hexadecimal; None if unknown.
    """

    path: str
    addresses: tuple[str, ...]
    size: int | None
    sha256: str | None


@dataclass(frozen=True)
class Entry:
    """A model that can be asked for by name.

    Attributes:
        name: Name that it is asked for by.
        task: "segment" for networks that `FastSAM` opens, "clip" for those of text prompts.
        purpose: Its use, in a few words.
        licence: Licence as its publishers state it, in short.
        licence_details: Statements of each publisher, and their contradictions.
        source: Publisher.
        files: One file, which lies in the cache folder itself; or several, in a folder of the model's name.
    """

    name: str
    task: Task
    purpose: str
    licence: str
    licence_details: str
    source: str
    files: tuple[File, ...]

    @property
    def path(self) -> str:
        """Path below the cache folder of the file, or of the folder that holds the files."""
        return self.files[0].path if len(self.files) == 1 else self.name


def find(name: str) -> Entry | None:
    """The entry of a name, in whatever case; None if there is none."""
    return next((entry for entry in ENTRIES if entry.name.casefold() == name.casefold()), None)


def total_size(files: Iterable[File]) -> int | None:
    """Size of all files together in bytes; None if one is unknown."""
    total = 0
    for file in files:
        if file.size is None:
            return None
        total += file.size
    return total


_FASTSAM_LICENCE = "AGPL-3.0 or Apache-2.0: its publishers contradict each other"
_FASTSAM_LICENCE_DETAILS = (
    "The authors' README, their Hugging Face card and their Space say Apache-2.0; the LICENSE file of their "
    "repository, Apache-2.0 at first, has been AGPL-3.0 since 2023-11-07; ultralytics' copies are AGPL-3.0. "
    "Trained on SA-1B, whose terms are for research only."
)
_ULTRALYTICS = "https://github.com/ultralytics/assets/releases/download"
_SAMGEO = "https://github.com/opengeos/datasets/releases/download/models"
_SPACE = "https://huggingface.co/spaces/An-619/FastSAM/resolve/main/weights"

_CLIP_LICENCE = "MIT"
_CLIP_LICENCE_DETAILS = (
    "OpenAI's repository of the code and the weights is MIT; the card of this export is said to carry no licence tag."
)
_CLIP_SOURCE = "OpenAI's CLIP ViT-B/32, exported by Xenova on Hugging Face"
_XENOVA = "https://huggingface.co/Xenova/clip-vit-base-patch32/resolve"
# The revision whose sizes and hashes are known, then the branch, in case the revision goes away.
_XENOVA_REVISIONS = ("d15189d7028b43f1d3e65039190477f6af591c2a", "main")


def _fastsam(name: str, addresses: tuple[str, ...], size: int, sha256: str) -> tuple[File]:
    releases = tuple(f"{_ULTRALYTICS}/{release}/{name}" for release in ("v8.4.0", "v8.3.0", "v8.2.0"))
    return (File(name, (*releases, f"{_SAMGEO}/{name}", *addresses), size, sha256),)


def _clip(name: str, vision: tuple[str, int, str], text: tuple[str, int, str]) -> tuple[File, ...]:
    def file(path: str, source: str, size: int, sha256: str) -> File:
        return File(
            f"{name}/{path}", tuple(f"{_XENOVA}/{revision}/{source}" for revision in _XENOVA_REVISIONS), size, sha256
        )

    return (
        file("vision_model.onnx", *vision),
        file("text_model.onnx", *text),
        file(
            "tokenizer.json",
            "tokenizer.json",
            2_224_119,
            "f7f3b7af117d467b58374797691a6438d3e6b9e9cef800dfd5dced7f697a90cd",
        ),
        file(
            "preprocessor_config.json",
            "preprocessor_config.json",
            520,
            "6f638fb9401a6d6296feff533ee7efe657b787c49f954f82f5906b36ef2a1b1f",
        ),
    )


ENTRIES: tuple[Entry, ...] = (
    Entry(
        name="FastSAM-s",
        task="segment",
        purpose="segments everything; small and fast (YOLOv8s-seg)",
        licence=_FASTSAM_LICENCE,
        licence_details=_FASTSAM_LICENCE_DETAILS,
        source="CASIA's FastSAM; ultralytics/assets on GitHub has the same file in releases v8.2.0 to v8.4.0",
        files=_fastsam(
            "FastSAM-s.pt",
            (f"{_SPACE}/FastSAM-s.pt",),
            23_851_578,
            "c9f78716a81c7aff0d608ccc73e1b82ab3aaad86005049f6a92106a0be6d0844",
        ),
    ),
    Entry(
        name="FastSAM-x",
        task="segment",
        purpose="segments everything; large and more exact (YOLOv8x-seg), the network of the paper",
        licence=_FASTSAM_LICENCE,
        licence_details=_FASTSAM_LICENCE_DETAILS,
        source="CASIA's FastSAM; ultralytics/assets on GitHub, releases v8.2.0 to v8.4.0",
        files=_fastsam(
            "FastSAM-x.pt",
            (),
            144_972_346,
            "752cadc2828edb1cd4bc4f9eb587100631af06ea2108f4c9ed56df4755701e76",
        ),
    ),
    Entry(
        name="FastSAM",
        task="segment",
        purpose="the authors' own copy of the large model; whether it is FastSAM-x byte for byte is unknown",
        licence=_FASTSAM_LICENCE,
        licence_details=_FASTSAM_LICENCE_DETAILS,
        source="the authors' Space on Hugging Face, which says Apache-2.0",
        files=(File("FastSAM.pt", (f"{_SPACE}/FastSAM.pt",), size=None, sha256=None),),
    ),
    Entry(
        name="clip-vit-b-32",
        task="clip",
        purpose="text prompts; float32",
        licence=_CLIP_LICENCE,
        licence_details=_CLIP_LICENCE_DETAILS,
        source=_CLIP_SOURCE,
        files=_clip(
            "clip-vit-b-32",
            (
                "onnx/vision_model.onnx",
                351_685_709,
                "fd6e1402a588279d1723c7534d4bcba5bc0b14b47dfab0e46f8c47b8270d7d40",
            ),
            (
                "onnx/text_model.onnx",
                254_058_553,
                "3f6571f5bad13a97c469c1622e1cfc4d9aef78b79fdbfcff804ca357bfada8cc",
            ),
        ),
    ),
    Entry(
        name="clip-vit-b-32-int8",
        task="clip",
        purpose="text prompts; a quarter of the size, less exact (8-bit)",
        licence=_CLIP_LICENCE,
        licence_details=_CLIP_LICENCE_DETAILS,
        source=_CLIP_SOURCE,
        files=_clip(
            "clip-vit-b-32-int8",
            (
                "onnx/vision_model_quantized.onnx",
                89_117_001,
                "583fd1110a514667812fee7d684952aaf82a99b959760c8d7dca7e0ab9839299",
            ),
            (
                "onnx/text_model_quantized.onnx",
                64_504_507,
                "73baab855d406190da9faa498cfedf65f15cf309f4cc7385b7b032e6d08e5c3a",
            ),
        ),
    ),
    Entry(
        name="clip-vit-b-32-fp16",
        task="clip",
        purpose="text prompts; float16, reported not to load on the CPU with ONNX Runtime 1.23",
        licence=_CLIP_LICENCE,
        licence_details=_CLIP_LICENCE_DETAILS,
        source=_CLIP_SOURCE,
        files=_clip(
            "clip-vit-b-32-fp16",
            (
                "onnx/vision_model_fp16.onnx",
                176_080_659,
                "35c4e0fb0aeee527dcde1693520b214a34424a786babd530f35366bad5844efd",
            ),
            (
                "onnx/text_model_fp16.onnx",
                127_339_794,
                "df587ffbf248bf20d44fa6e16adc5ebc27ead691860e5333dbdaab5fd6bf3f6e",
            ),
        ),
    ),
)
