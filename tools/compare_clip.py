"""Compare our CLIP with the originals: pictures with Pillow, tokens with OpenAI's tokenizer, vectors with PyTorch.

    python -m tools.compare_clip pictures tokens
    python -m tools.compare_clip subset --folder tests/data  # clip-tokenizer.json, the part that the tests' texts need
    python -m tools.compare_clip export --folder FOLDER      # random ViT-B/32 of transformers and open_clip, as ONNX
    python -m tools.compare_clip vectors --folder FOLDER     # the same weights in PyTorch and here
    python -m tools.compare_clip times --folder FOLDER       # of text prompts, with the export

Weights are random (seed 0), because the architecture is what is compared; FOLDER is filled by `export` and takes
1.2 GB. Needs Pillow for "pictures", open_clip_torch and ftfy for "tokens", and PyTorch, transformers and
open_clip_torch for "export" and "vectors"; "times" needs this package alone.
"""

from __future__ import annotations

import argparse
import html
import json
import random
import statistics
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from fastsam_onnx import Clip, CropStyle, FastSAM
from fastsam_onnx.clip.preprocessing import Preprocessing, resized_size
from fastsam_onnx.clip.tokens import ClipTokenizer, clean

MEASURES = ("pictures", "tokens", "subset", "export", "vectors", "times")
EXAMPLE = Path(__file__).parents[1] / "examples" / "coffee.jpg"
TEXTS = (
    "a photo of a cup of coffee on a table",
    "a dog",
    "it’s the ﬁrst of 2024 &amp; last!!",
    "一只猫 🐶 " + "long " * 100,
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="+", choices=MEASURES)
    parser.add_argument("--folder", type=Path, help="of the files")
    parser.add_argument("--repeats", type=int, default=5, help="of the timings")
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    if options.folder is None and {"subset", "export", "vectors", "times"} & set(options.measures):
        parser.error("--folder says where the files are")
    for measure in options.measures:
        print(f"## {measure}")
        globals()[measure](options)
    return 0


# ---------------------------------------------------------------------------------------- pictures


def pictures(_options: argparse.Namespace) -> None:
    """100 crops of odd sizes: the square before normalisation in whole levels, and the tensor."""
    import PIL
    from PIL import Image

    rng = np.random.default_rng(0)
    preprocessing = Preprocessing()
    differences, plain, tensor_differences, enlarged = [], [], [], 0
    milliseconds: tuple[list[float], list[float]] = ([], [])
    for number in range(100):
        width, height = (int(side) for side in np.exp(rng.uniform(np.log(9), np.log(2500), 2)))
        if max(width, height) > 20 * min(width, height):
            width = height + number
        image = smooth_noise(rng, height, width) if number % 2 else rng.integers(0, 256, (height, width, 3), np.uint8)
        began = time.perf_counter()
        ours = preprocessing.square(image)
        between = time.perf_counter()
        theirs = pillow_square(Image.fromarray(image), preprocessing.size)
        milliseconds[0].append(1000 * (between - began))
        milliseconds[1].append(1000 * (time.perf_counter() - between))
        plain.append(int(np.abs(ours.astype(int) - theirs).max()))
        theirs = pillow_square(Image.fromarray(image), preprocessing.size, horizontal_first=True)
        differences.append(int(np.abs(ours.astype(int) - theirs).max()))
        tensor = normalised(theirs)
        tensor_differences.append(float(np.abs(preprocessing.normalise(ours) - tensor).max()))
        enlarged += min(width, height) < preprocessing.size
    sizes = f"{enlarged} enlarged, {100 - enlarged} shrunk"
    print(f"100 crops, {sizes}: {differences.count(0)} equal to Pillow's bit by bit, horizontal pass first")
    print(f"largest difference: {max(differences)} levels of 255, {max(tensor_differences):.1e} in the tensor")
    print(f"Pillow {PIL.__version__}'s own order of passes: {plain.count(0)} equal, largest difference {max(plain)}")
    print("median ms: ours {:.2f}, Pillow {:.2f}".format(*map(statistics.median, milliseconds)))


def smooth_noise(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width][..., None]
    waves = np.sin(x * rng.uniform(0.01, 2, 3) + y * rng.uniform(0.01, 2, 3))
    return (127.5 + 127.5 * waves).astype(np.uint8)


def pillow_square(image: Any, size: int, *, horizontal_first: bool = False) -> np.ndarray:
    """CLIP's crop by Pillow; `horizontal_first` as Pillow 12 and before always do it, and 13 mostly."""
    from PIL import Image

    wide, high = resized_size(image.size, size)
    left, top = round((wide - size) / 2), round((high - size) / 2)
    if horizontal_first:
        image = image.resize((wide, image.size[1]), Image.Resampling.BICUBIC)
    resized = image.resize((wide, high), Image.Resampling.BICUBIC)
    return np.asarray(resized.crop((left, top, left + size, top + size)))


def normalised(square: np.ndarray) -> np.ndarray:
    """(3, H, W) float32, as CLIP takes it."""
    mean, deviation = (np.array(values, np.float32) for values in (Preprocessing.mean, Preprocessing.std))
    return np.asarray((square.astype(np.float32) / 255 - mean) / deviation).transpose(2, 0, 1)


# ---------------------------------------------------------------------------------------- tokens

RANGES = {
    "ascii": (0x20, 0x7E),
    "latin": (0xA0, 0x24F),
    "combining marks": (0x300, 0x36F),
    "greek, cyrillic": (0x370, 0x52F),
    "right to left": (0x590, 0x6FF),
    "indic": (0x900, 0xDFF),
    "chinese": (0x4E00, 0x9FFF),
    "japanese": (0x3000, 0x30FF),
    "korean": (0xAC00, 0xD7A3),
    "emoji": (0x1F300, 0x1FAFF),
    "control characters": (0, 0x9F),
    "punctuation": (0x2000, 0x206F),
    "full and half width": (0xFF00, 0xFFEF),
    "ligatures": (0xFB00, 0xFB06),
    "symbols": (0x2100, 0x2BFF),
    "arabic forms": (0xFB1D, 0xFDFF),
    "other planes": (0x10000, 0x1FFFF),
    "private use": (0xE000, 0xF8FF),
    "surrogates": (0xD800, 0xDFFF),
}
ANYTHING = ("private use", "surrogates", "control characters")
WORDS = (
    "a", "photo", "of", "the", "yellow", "dog", "cat's", "it's", "don't", "we'll", "I've", "RUNNING", "2024",
    "blue-green", "snake_case", "Café", "naïve", "façade", "&amp;", "&lt;3", "&quot;x&quot;", "&amp;amp;", "&rsquo;",
    "&#39;", "&#x27;", "&nbsp;", "&eacute;", "“quoted”", "‘single’", "it’s", "ﬁsh", "ﬂat", "Ａ", "ＤＯＧ", "１２",
    "...", "!!!", "<b>", "100%", "#tag", "@me", "👍🏽", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "🇩🇪",
    "कुत्ता", "כלב", "كلب", "一只猫", "いぬ", "개", "собака", "é", "\u200b", "\ufeff",
)  # fmt: skip


def tokens(_options: argparse.Namespace) -> None:
    """10,000 strings of 23 kinds; where ids differ, whether the cleaning or the splitting is the reason."""
    import ftfy
    import open_clip.tokenizer as theirs_module

    theirs = theirs_module.SimpleTokenizer()
    ours = ClipTokenizer.open(Path(theirs_module.__file__).with_name("bpe_simple_vocab_16e6.txt.gz"))
    total: Counter[str] = Counter()
    equal: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for kind, text in strings(10_000):
        total[kind] += 1
        expected = theirs.encode(text)
        if ours.encode(clean(text)) == expected:
            equal[kind] += 1
            continue
        cleaned = clean_as_theirs(ftfy.fix_text(text))
        without_mojibake = clean_as_theirs(ftfy.fix_text(text, fix_encoding=False))
        if clean(text) == cleaned:
            reasons[
                "split into other words (characters that are letters in one Unicode version and not in the other)"
            ] += 1
        elif clean(text) == without_mojibake:
            reasons["the repair of mojibake, which we leave out"] += 1
        else:
            reasons["other cleaning"] += 1
            print(f"  {kind}: {ascii(text)[:100]}")
    print(
        f"{sum(equal.values())} of {sum(total.values())} strings have the ids of OpenAI's tokenizer (open_clip's copy)"
    )
    print("by kind:", ", ".join(f"{kind} {equal[kind]}/{total[kind]}" for kind in total))
    for reason, count in reasons.items():
        print(f"{count} differ by {reason}")


def clean_as_theirs(fixed: str) -> str:
    return " ".join(html.unescape(html.unescape(fixed)).split()).lower()


def strings(count: int) -> Iterator[tuple[str, str]]:
    rng = random.Random(1)
    kinds = [*RANGES, "words", "mixed", "empty", "10,000 characters"]
    for number in range(count):
        kind = kinds[number % len(kinds)]
        if kind == "words":
            text = " ".join(rng.choice(WORDS) for _ in range(rng.randrange(1, 30)))
        elif kind == "mixed":
            pick = [lambda: character(rng, rng.choice(list(RANGES))), lambda: rng.choice(WORDS) + " "]
            text = "".join(rng.choice(pick)() for _ in range(rng.randrange(1, 40)))
        elif kind == "empty":
            text = "".join(rng.choice(" \t\n\r\x0b\x0c\u3000\xa0") for _ in range(rng.randrange(4)))
        elif kind == "10,000 characters":
            text = " ".join(rng.choice(WORDS) for _ in range(3000))[:10_000]
        else:
            text = "".join(
                character(rng, kind) if rng.random() < 0.8 else rng.choice(" ab") for _ in range(rng.randrange(1, 30))
            )
        yield kind, text


def character(rng: random.Random, kind: str) -> str:
    """One of the range; unassigned ones only where these are the point."""
    while True:
        found = chr(rng.randint(*RANGES[kind]))
        if kind in ANYTHING or unicodedata.category(found) != "Cn":
            return found


def subset(options: argparse.Namespace) -> None:
    """Write OpenAI's tokenizer without the merges that the reference vectors' texts do not use; ids are the true ones.

    A merge that is applied while a text is encoded is the first in the list of those that could be; so without the
    others the same are applied.
    """
    data = options.folder / "reference-vectors.json"
    vectors = json.loads(data.read_text(encoding="utf-8"))["vectors"]
    [texts] = [vector["input"].values() for vector in vectors if vector["id"] == "CLIP-texts"]
    whole = json.loads(merges_of_open_clip().to_str())
    ranks = {tuple(pair): rank for rank, pair in enumerate(whole["model"]["merges"])}
    used: set[tuple[str, str]] = set()
    pieces = merges_of_open_clip().pre_tokenizer
    for text in [*texts, *(clean(text) for text in texts)]:
        normal = " ".join(unicodedata.normalize("NFC", text).split()).lower()
        for word, _ in pieces.pre_tokenize_str(normal):
            used |= merges_applied(word, ranks)
    kept = {symbol for symbol in whole["model"]["vocab"] if len(symbol.removesuffix("</w>")) == 1}
    kept |= {left + right for left, right in used} | {token["content"] for token in whole["added_tokens"]}
    whole["model"]["merges"] = sorted(map(list, used), key=lambda pair: ranks[tuple(pair)])
    whole["model"]["vocab"] = {symbol: number for symbol, number in whole["model"]["vocab"].items() if symbol in kept}
    target = options.folder / "clip-tokenizer.json"
    target.write_text(json.dumps(whole, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"{target}: {len(kept)} of 49408 symbols, {target.stat().st_size} bytes")


def merges_applied(word: str, ranks: dict[tuple[str, str], int]) -> set[tuple[str, str]]:
    symbols, applied = [*word[:-1], word[-1] + "</w>"], set()
    while pairs := [pair for pair in pairwise(symbols) if pair in ranks]:
        first = min(pairs, key=ranks.__getitem__)
        applied.add(first)
        joined: list[str] = []
        for symbol in symbols:
            if joined and (joined[-1], symbol) == first:
                joined[-1] += symbol
            else:
                joined.append(symbol)
        symbols = joined
    return applied


# ---------------------------------------------------------------------------------------- networks


def export(options: argparse.Namespace) -> None:
    """As transformers lays it out, with texts of any length, and as open_clip (OpenAI), with 77 ids."""
    import torch

    for name, model, fixed in (("transformers", transformers_model(), False), ("open_clip", open_clip_model(), True)):
        folder = options.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        ids = torch.full((2, 77 if fixed else 7), 49407)
        ids[:, :3] = torch.tensor([49406, 320, 1929])
        axes = {0: "batch"} if fixed else {0: "batch", 1: "length"}
        for half, inputs, dynamic in (
            ("vision", ("pixel_values", torch.zeros(2, 3, 224, 224)), {0: "batch"}),
            ("text", ("input_ids", ids), axes),
        ):
            output = "image_embeds" if half == "vision" else "text_embeds"
            torch.onnx.export(
                halves(model)[half],
                (inputs[1],),
                str(folder / f"{half}_model.onnx"),
                input_names=[inputs[0]],
                output_names=[output],
                dynamic_axes={inputs[0]: dynamic, output: {0: "batch"}},
                opset_version=17,
                dynamo=False,
            )
        merges_of_open_clip().save(str(folder / "tokenizer.json"))
        print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")


def transformers_model() -> Any:
    import torch
    from transformers import CLIPConfig, CLIPModel

    torch.manual_seed(0)
    return CLIPModel(
        CLIPConfig(text_config={"eos_token_id": 49407, "bos_token_id": 49406, "pad_token_id": 49407})
    ).eval()


def open_clip_model() -> Any:
    import open_clip
    import torch

    torch.manual_seed(0)
    return open_clip.create_model("ViT-B-32-quickgelu", pretrained=None).eval()


def halves(model: Any) -> dict[str, Any]:
    """Modules from pixels and from ids to vectors."""
    import torch

    class Half(torch.nn.Module):
        def __init__(self, function: Callable[[Any], Any]) -> None:
            super().__init__()
            self.model, self.function = model, function

        def forward(self, values: Any) -> Any:
            return self.function(values)

    if hasattr(model, "encode_image"):
        return {"vision": Half(model.encode_image), "text": Half(model.encode_text)}

    def image(pixels: Any) -> Any:
        return model.visual_projection(model.vision_model(pixel_values=pixels).pooler_output)

    def text(ids: Any) -> Any:
        return model.text_projection(model.text_model(input_ids=ids).pooler_output)

    return {"vision": Half(image), "text": Half(text)}


def merges_of_open_clip() -> Any:
    import open_clip.tokenizer as module

    from fastsam_onnx.clip.tokens import read_merges, tokenizer_of_merges

    return tokenizer_of_merges(read_merges(Path(module.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")))


def vectors(options: argparse.Namespace) -> None:
    """Texts and crops through both; theirs with their own preprocessing and tokens."""
    import open_clip
    import torch
    from PIL import Image

    photo = np.asarray(Image.open(EXAMPLE).convert("RGB"))
    height, width = photo.shape[:2]
    crops = [photo[: height // k, : width // (5 - k)] for k in range(1, 5)] + [photo[10:60, 20:50], photo[:, :90]]
    ids = open_clip.get_tokenizer("ViT-B-32")(list(TEXTS)).long()
    tensors = [normalised(pillow_square(Image.fromarray(crop), 224)) for crop in crops]
    for name, model in (("transformers", transformers_model()), ("open_clip", open_clip_model())):
        with torch.no_grad():
            theirs = {
                "image": unit(halves(model)["vision"](torch.from_numpy(np.stack(tensors))).numpy()),
                "text": unit(halves(model)["text"](ids).numpy()),
            }
        clip = Clip(options.folder / name, threads=options.threads)
        ours = {
            "image": (clip.embed_images(crops), np.concatenate([clip.embed_images(crop) for crop in crops])),
            "text": (clip.embed_texts(TEXTS), np.concatenate([clip.embed_texts(text) for text in TEXTS])),
        }
        for half, (batch, single) in ours.items():
            cosine = float((batch * theirs[half]).sum(axis=1).min())
            print(
                f"{name}, {half}, {len(batch)}: largest difference {np.abs(batch - theirs[half]).max():.1e}, "
                f"least cosine {cosine:.7f}; one by one {np.abs(single - theirs[half]).max():.1e}; "
                f"batch against one by one {np.abs(batch - single).max():.1e}"
            )


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=1, keepdims=True)


# ---------------------------------------------------------------------------------------- times


def times(options: argparse.Namespace) -> None:
    """A photo with 50 masks: the first text, the crops one by one, the second text, one run of the text encoder."""
    clip = Clip(options.folder / "transformers", threads=options.threads)
    with FastSAM(conf=0.001, iou=0.9, clip=clip, threads=options.threads) as model:
        everything = model(EXAMPLE)
    found = everything[np.flatnonzero(everything.areas > 100)[:50]]
    text = "a photo of a cup"
    encoder, session = clip.text_encoder(), clip._session(clip.files.text)
    ids, full = (
        encoder._tokenizer.ids([text], 77, pad_to_length=pad_to_length, pad_with_end=False)
        for pad_to_length in (False, True)
    )
    style, mean = CropStyle(), clip.image_encoder().preprocessing.mean_colour
    assert found.image is not None
    image = found.image

    def one_by_one() -> None:
        for mask in found.masks:
            [(crop, pad)] = style.views(image, mask, mean)
            clip.embed_images(crop, pad=pad)
        clip.embed_texts(text)

    warm = fresh(found, clip)
    slow: dict[str, Callable[[], Any]] = {
        "first text, 50 masks": lambda: fresh(found, clip).text_prompt(text),
        "crops one by one and the text": one_by_one,
    }
    quick: dict[str, Callable[[], Any]] = {
        "second text": lambda: warm.text_prompt(text),
        "one run of the text encoder, the same ids": lambda: session.run(None, {"input_ids": ids}),
        "one run of the text encoder, 77 ids": lambda: session.run(None, {"input_ids": full}),
    }
    first, single = interleaved(slow, options.repeats)
    second, run, _ = interleaved(quick, 20 * options.repeats)
    print(
        f"one by one / first text: {single / first:.2f}; second text / one run of the text encoder: {second / run:.2f}"
    )


def interleaved(contenders: dict[str, Callable[[], Any]], rounds: int) -> list[float]:
    """The medians in ms, printed; in every round each runs once, after one that does not count."""
    milliseconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 1):
        for name, run in contenders.items():
            began = time.perf_counter()
            run()
            if number:
                milliseconds[name].append(1000 * (time.perf_counter() - began))
    for name, values in milliseconds.items():
        print(f"{name}: median {statistics.median(values):.1f} ms of {rounds}")
    return [statistics.median(values) for values in milliseconds.values()]


def fresh(found: Any, clip: Clip) -> Any:
    """The same objects, of which nothing is embedded."""
    import dataclasses

    from fastsam_onnx.results.text_prompts import CropEmbeddings

    return dataclasses.replace(found, embeddings=CropEmbeddings(clip))


if __name__ == "__main__":
    sys.exit(main())
