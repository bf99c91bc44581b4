"""What commands share of their arguments: how a text becomes a value, and the groups model, prompts and output."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args

from fastsam_onnx.cli.screen import PROGRAM, Screen
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.options import MIN_TILE
from fastsam_onnx.results.rules import Match, Pick

EXIT_CODES = """\
exit codes:
  0    done
  1    some inputs failed: each is named on standard error, the rest is done
  2    wrong usage, or a model that cannot be opened: nothing was done
  130  interrupted (Ctrl-C)
  141  the reader of standard output went away
"""


def add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace, Screen], int], *, usage: str, what: str, epilog: str
) -> argparse.ArgumentParser:
    """Add the parser of a command."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        usage=f"{PROGRAM} {name} {usage}",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run, quiet=False)
    return parser


def add_model(model: Any) -> None:
    """Add the options of `FastSAM`."""
    model.add_argument(
        "--model",
        metavar="FILE",
        help=f"a YOLOv8-seg network, ONNX or .pt, or a name that `{PROGRAM} models` lists (default: the bundled one)",
    )
    model.add_argument(
        "--conf",
        metavar="SCORE",
        type=fraction,
        help="objects need a score above this, 0 to 1 (default: the model's own, else 0.4)",
    )
    model.add_argument(
        "--iou",
        metavar="IOU",
        type=fraction,
        help="of two boxes with an IoU above this, 0 to 1, the weaker goes (default: the model's own, else 0.9)",
    )
    model.add_argument(
        "--imgsz",
        metavar="SIZE",
        type=input_size,
        help="input of the network in pixels, N or WIDTHxHEIGHT (default: the model's own, else 1024); "
        "smaller is faster and sees less",
    )
    model.add_argument("--max-det", metavar="N", type=whole, help="at most so many objects per photo (default: 300)")
    model.add_argument(
        "--refine",
        action=argparse.BooleanOptionalAction,
        help="masks that go on where their box ends, without specks, holes and doubles (default: the model's own, else "
        "no)",
    )
    model.add_argument("--threads", metavar="N", type=whole, help="threads (default: the cores this process may use)")


def add_prompts(group: Any) -> None:
    """Add the prompts; `cli.prompts.read_prompts` reads them."""
    point = partial(coordinates, form="X,Y")
    box = partial(coordinates, form="X1,Y1,X2,Y2")
    group.add_argument(
        "--point", metavar="X,Y", type=point, action="append", default=[], help="the object that lies here; repeatable"
    )
    group.add_argument(
        "--background",
        metavar="X,Y",
        type=point,
        action="append",
        default=[],
        help="but does not cover this; repeatable",
    )
    group.add_argument(
        "--pick",
        choices=get_args(Pick),
        default="candidate",
        help="which object at the points: the likeliest of all that the network offered; or of the objects found the "
        "best balance of score and size, the smallest, the largest, the one of best score, all of them, or, as in the "
        "paper, all merged into one (default: %(default)s)",
    )
    group.add_argument(
        "--box",
        metavar="X1,Y1,X2,Y2",
        type=box,
        action="append",
        default=[],
        help="the object that fits this box best, two corners; repeatable (a negative number: --box=-5,0,90,80)",
    )
    group.add_argument(
        "--match",
        choices=get_args(Match),
        default="candidate",
        help="what is compared with the box: all that the network offered, its mask then cut to the box; the objects' "
        "pixels; or the objects' own boxes (default: %(default)s)",
    )
    group.add_argument(
        "--text",
        metavar="WORDS",
        action="append",
        default=[],
        help='the object that fits these words best, such as "a photo of a dog"; repeatable; needs --clip',
    )
    group.add_argument(
        "--clip",
        metavar="MODEL",
        help="what compares words and objects: a name (clip-vit-b-32-int8: 156 MB, downloaded once) or a folder with "
        "ONNX files of CLIP",
    )
    group.add_argument(
        "--similarity",
        metavar="COSINE",
        type=cosine,
        help="all objects more similar to the words than this, -1 to 1, not only the best one (for ViT-B/32 try 0.25)",
    )
    group.add_argument(
        "--prompts",
        metavar="FILE.json",
        type=Path,
        help='more of them: [{"type": "point", "data": [x, y], "label": 1}, '
        '{"type": "rectangle", "data": [x1, y1, x2, y2]}]; label 0 is background',
    )


def add_output(group: Any) -> None:
    """Add where results go and what is said of them."""
    group.add_argument(
        "--format",
        metavar="NAME",
        dest="formats",
        choices=list(formats.FORMATS),
        action="append",
        help="what to write, see below; repeatable (default: overlay and json; to standard output overlay)",
    )
    group.add_argument(
        "-o",
        "--output",
        metavar="WHERE",
        help="a file, for one photo and one format, known by its suffix (.png, .jpg, .json, .svg, .geojson, ...); "
        "else a folder, made if needed; - is standard output (default: beside each photo; for - standard output)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace results that exist")
    group.add_argument("--quiet", action="store_true", help="say nothing but errors")
    group.add_argument(
        "--json", action="store_true", help="tell on standard output what became of each input: a JSON object a line"
    )


def coordinates(text: str, form: str) -> tuple[float, ...]:
    """An argument type: "620,360" for the form "X,Y"."""
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != form.count(",") + 1 or not all(map(math.isfinite, numbers)):
        raise argparse.ArgumentTypeError(f"{text!r} is not {form}, numbers in image pixels and no spaces")
    return numbers


def fraction(text: str) -> float:
    """An argument type: a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return number


def cosine(text: str) -> float:
    """An argument type: a number from -1 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not -1 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from -1 to 1")
    return number


def whole(text: str) -> int:
    """An argument type: a whole number of at least 1."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def tile_side(text: str) -> int:
    """An argument type: a whole number of at least `MIN_TILE`."""
    number = whole(text)
    if number < MIN_TILE:
        raise argparse.ArgumentTypeError(f"{text!r} is too small; tiles have sides of at least {MIN_TILE} pixels")
    return number


def input_size(text: str) -> int | tuple[int, int]:
    """An argument type: "1024", or "1280x736" for width x height; the value is one number or (height, width)."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})(?:x([1-9][0-9]{0,5}))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of pixels (1024) nor WIDTHxHEIGHT (1280x736)")
    width, height = match.groups()
    return int(width) if height is None else (int(height), int(width))


def frame_size(text: str) -> tuple[int, int]:
    """An argument type: "1280x720", width x height."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT in pixels (1280x720)")
    return int(match[1]), int(match[2])


def frames_per_second(text: str) -> float:
    """An argument type: a number above 0, at most 1000."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of frames per second, above 0 and at most 1000")
    return number
