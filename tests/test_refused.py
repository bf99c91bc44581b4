"""docs/refused.md says what the code says: every line of it is an input, the exception that it gives, and its message.

`python tests/test_refused.py` writes the page anew; look at the difference before keeping it.
"""

from __future__ import annotations

import io
import re
import zipfile
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from fastsam_onnx import FastSAM, FastSAMError, Mask, Segmentation, draw, formats
from fastsam_onnx.labels import LabelledBoxes, read_labels
from fastsam_onnx.weights import resolve

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "refused.md"
COFFEE = (ROOT / "examples" / "coffee.jpg").read_bytes()
COMMAND = b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR."
PHOTO = np.zeros((40, 60, 3), np.uint8)
HEAD = ("| what | exception | message |", "| --- | --- | --- |")
OPENING = """\
# What is refused, and why

<!-- Written by tests/test_refused.py, which runs every line: change the cases there, not this page. -->

A library under other people's products may refuse, but must not lie. Every exception is a `FastSAMError` and the
fitting built-in: an `ImageError` is a `ValueError`, an `OutputError` an `OSError`. The message names the thing, what
was found, and what is accepted.

What is no reason to refuse is a warning of the logger `fastsam_onnx`; our code prints nothing. OpenCV may, to standard
error: of fields of a GeoTIFF that it does not know, of damaged files, of cameras that are not there. Its level is one
for the whole process, so it is left to you: `OPENCV_LOG_LEVEL=SILENT` and, for videos, `OPENCV_FFMPEG_LOGLEVEL=-8` in
the environment before OpenCV is loaded, as the command line has them. What libjpeg and libpng in it say of damaged
pixels has no such switch.
"""


def found():
    return Segmentation.from_masks([Mask.from_dense(np.ones((40, 60), bool))])


def pickle_of(code):
    """A file as PyTorch writes it, holding this pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("best/data.pkl", code)
        archive.writestr("best/byteorder", b"little")
        archive.writestr("best/version", b"3\n")
    return buffer.getvalue()


def stream_of(model, content):
    with TemporaryDirectory() as folder, chdir(folder):
        Path("clip.mp4").write_bytes(content)
        return model.stream("clip.mp4")


def labels_of(name, text):
    with TemporaryDirectory() as folder, chdir(folder):
        Path("classes.txt").write_text("cat\n")
        Path(name).write_text(text)
        return read_labels(".")


CASES = {
    "Photos": {
        "nothing": lambda model: model(b""),
        "a text": lambda model: model(b"not a picture, but long enough to be one"),
        "a JPEG that is cut short": lambda model: model(COFFEE[:5000]),
        "a JPEG of more pixels than allowed": lambda model: model(COFFEE, pixel_limit=1000),
        "a JPEG 2000": lambda model: model(b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40)),
        "a HEIC": lambda model: model(b"\x00\x00\x00\x18ftypheic" + bytes(40)),
        "a page in place of a photo": lambda model: model(b"<!DOCTYPE html><title>404</title>"),
        "an array of two channels": lambda model: model(np.zeros((40, 60, 2), np.uint8)),
        "an array of floats beyond 1": lambda model: model(np.full((40, 60, 3), 7.0)),
        "an array of int64": lambda model: model(np.zeros((40, 60, 3), np.int64)),
        "an array without pixels": lambda model: model(np.zeros((0, 60, 3), np.uint8)),
    },
    "Streams and videos": {
        "a recording that was not finished": lambda model: stream_of(model, b"\0\0\0\x08ftyp\0\0\0\x10mdat12345678"),
        "an address": lambda model: model.stream("rtsp://camera/1"),
        "a pattern": lambda model: model.stream("photos/*.jpg"),
        "one photo": lambda model: model.stream(PHOTO),
    },
    "Prompts": {
        "a point of three numbers": lambda model: model(PHOTO).point_prompt([(1, 2, 3)]),
        "a point that is nowhere": lambda model: model(PHOTO).point_prompt([(float("nan"), 2)]),
        "one label for two points": lambda model: model(PHOTO).point_prompt([(1, 2), (3, 4)], [1]),
        "a label that is neither 0 nor 1": lambda model: model(PHOTO).point_prompt([(1, 2)], [2]),
        "a box as x, y, width, height": lambda model: model(PHOTO).box_prompt([(50, 30, 10, 10)]),
        "a text without CLIP": lambda model: model(PHOTO).text_prompt("a dog"),
    },
    "Labels": {
        "a line in pixels": lambda _: labels_of("a.txt", "0 320 240 100 80\n"),
        "a line of keypoints": lambda _: labels_of("a.txt", "0 0.5 0.5 0.2 0.2 0.4 0.4 2\n"),
        "a class without a name": lambda _: labels_of("a.txt", "7 0.5 0.5 0.2 0.2\n"),
        "an annotation with entities": lambda _: labels_of("a.xml", "<!DOCTYPE a><annotation/>"),
        "a folder without labels": lambda _: labels_of("a.md", ""),
        "boxes of the photo before it was turned upright": lambda model: model(PHOTO).prompt(
            LabelledBoxes([(1, 2, 9, 9)], [0], {0: "cat"}, (40, 60), "a.json")
        ),
    },
    "Options": {
        "a threshold above 1": lambda model: model(PHOTO, conf=25),
        "a bool for a number": lambda model: model(PHOTO, conf=True),
        "a misspelt choice": lambda model: model(PHOTO).point_prompt([(1, 2)], pick="bset"),
        "no objects at most": lambda model: model(PHOTO, max_det=0),
        "tiles too small": lambda model: model(PHOTO, tile=8),
        "a size of three sides": lambda model: model(PHOTO, imgsz=(640, 640, 3)),
        "an alpha that is a word": lambda _: draw.overlay(found(), image=PHOTO, alpha="half"),
        "a tolerance that is not a number": lambda _: found()[0].mask.polygons(tolerance=float("nan")),
    },
    "Networks": {
        "a name that nobody knows": lambda _: resolve("FastSAM-q"),
        "a safetensors file without a network": lambda _: FastSAM((2).to_bytes(8, "little") + b"{}"),
        "a TensorFlow Lite file": lambda _: FastSAM(b"\x1c\x00\x00\x00TFL3" + bytes(40)),
        "a checkpoint that would run a command": lambda _: FastSAM(
            pickle_of(b"\x80\x02cos\nsystem\n(X\x04\x00\x00\x00truetR.")
        ),
    },
    "Results": {
        "an unknown suffix": lambda _: found().save("objects.xyz"),
        "a cut-out as JPEG": lambda _: found().save("cup.cutout.jpg"),
        "an unknown format": lambda _: found().save("objects.json", format="cooc"),
        "an overlay without a photo": lambda _: found().save("overlay.png"),
        "a photo of another size": lambda _: draw.overlay(found(), image=np.zeros((9, 9, 3), np.uint8)),
        "run lengths that do not add up": lambda _: Mask.from_rle({"size": [2, 2], "counts": [1, 9]}),
        "a format asked for what it has not": lambda _: formats.encode(found(), "svg", depth=3),
    },
}


def refusal(case, model):
    try:
        case(model)
    except FastSAMError as error:
        return type(error).__name__, " ".join(str(error).split())
    raise AssertionError("nothing was refused")


def as_markdown(message):
    """The text as a page shows it: a bar would end its cell, stars and angles would vanish."""
    return re.sub(r"[|*<]", lambda found: f"&#{ord(found[0])};", message)


def page():
    model = FastSAM()
    parts = [OPENING]
    for group, cases in CASES.items():
        rows = [(name, *refusal(case, model)) for name, case in cases.items()]
        lines = [f"| {name} | `{error}` | {as_markdown(message)} |" for name, error, message in rows]
        parts.append(
            "\n".join([f"## {group}", "", "| what | exception | message |", "| --- | --- | --- |", *lines, ""])
        )
    return "\n".join(parts)


@pytest.mark.skipif(not PAGE.is_file(), reason="docs/ is not in the source distribution")
def test_the_page_says_what_the_code_says():
    assert PAGE.read_text("utf-8") == page()


def test_a_message_is_shown_as_it_is():
    assert as_markdown("give photos/*.jpg | <file>") == "give photos/&#42;.jpg &#124; &#60;file>"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
