"""Arguments that commands share: types, which read text; options of several commands; the groups of `segment`."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import Any, TypeVar, get_args

from fastsam_onnx import options
from fastsam_onnx.cli.screen import PROGRAM, Screen
from fastsam_onnx.errors import FastSAMError
from fastsam_onnx.files import exists, hint_of_missing
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.formats.coco_dataset import COCO_DATASET
from fastsam_onnx.masks.smoothing import MAX_RADIUS
from fastsam_onnx.results.prompts import coordinates
from fastsam_onnx.results.rules import Match, Pick
from fastsam_onnx.runtime import MOST_THREADS

T = TypeVar("T")

MOST_COLUMNS = 80
"""Width of what argparse does not wrap."""

EXIT_CODES = """\
exit codes:
  0    done
  1    some inputs failed: each is named on standard error, the others are done
  2    wrong usage, or a model that cannot be opened: nothing was done
  130  interrupted (Ctrl-C); 129 or 143 ended by SIGHUP or SIGTERM (serve: 0)
  141  the reader of standard output went away
"""


def argument_type(read: Callable[[str], T]) -> Callable[[str], T]:
    """An argument type from a function that reads text: argparse reports what it refuses, with the option's name."""

    def convert(text: str) -> T:
        try:
            return read(text)
        except FastSAMError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


VALUE = "the value"


def not_empty(text: str) -> str:
    """An argument type: any text but the empty one, which a shell's unset variable gives."""
    if not text:
        raise argparse.ArgumentTypeError(f"{VALUE} must not be empty")
    return text


def not_empty_path(text: str) -> Path:
    """An argument type: a path."""
    return Path(not_empty(text))


def no_pipe(text: str) -> str:
    """An argument type: a path; - is one in no other command than `segment`, where it is a pipe."""
    if not_empty(text) == "-":
        raise argparse.ArgumentTypeError(f"{VALUE} must be a file or folder, got -; only `segment` has pipes")
    return text


def output_place(text: str) -> str:
    """An argument type: a path to write to; in ~, which no shell expanded, it would make a folder of that name."""
    first = "".join(Path(not_empty(text)).parts[:1])
    if os.path.expanduser(first) != first and not exists(first):  # noqa: PTH111 (pathlib raises where there is no user)
        raise argparse.ArgumentTypeError(f"there is no folder {first}, got {text}{hint_of_missing(text)}")
    return text


def no_pipe_output(text: str) -> str:
    """An argument type: a path to write to, as in `no_pipe`."""
    return output_place(no_pipe(text))


def no_pipe_path(text: str) -> Path:
    """An argument type: a path as in `no_pipe`."""
    return Path(no_pipe(text))


integer = argument_type(partial(options.integer_from_text, VALUE))
count = argument_type(partial(options.integer_from_text, VALUE, minimum=0))
threads = argument_type(partial(options.integer_from_text, VALUE, maximum=MOST_THREADS))
port = argument_type(partial(options.integer_from_text, VALUE, minimum=0, maximum=65535))
fraction = argument_type(partial(options.number_from_text, VALUE, minimum=0, maximum=1))
cosine = argument_type(partial(options.number_from_text, VALUE, minimum=-1, maximum=1))
bands = argument_type(partial(options.bands_from_text, VALUE))
white = argument_type(partial(options.number_from_text, VALUE, minimum=options.MIN_WHITE))
input_size = argument_type(partial(options.input_size_from_text, VALUE))
foreground = argument_type(lambda text: (*coordinates(text, "X,Y"), 1.0))
background = argument_type(lambda text: (*coordinates(text, "X,Y"), 0.0))
"""Types of points x, y, label: both kinds are kept in one list, for their order counts."""
box = argument_type(partial(coordinates, form="X1,Y1,X2,Y2"))


def frame_size(text: str) -> tuple[int, int]:
    """An argument type: "1280x720" is (width, height)."""
    match = re.fullmatch(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{VALUE} must be WIDTHxHEIGHT in pixels (1280x720), got {text!r}")
    return int(match[1]), int(match[2])


def class_names(text: str) -> list[str]:
    """An argument type: "person,dog" is two names."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{VALUE} must be names of classes with commas between, got {text!r}")
    return names


def format_names(text: str) -> list[str]:
    """An argument type: "overlay,json" is two formats."""
    names, known = [name.strip() for name in text.split(",")], (*formats.FORMATS, COCO_DATASET)
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(
                f"{VALUE} must be one of {', '.join(known)}, or several with commas between, got {name!r}"
            )
    return names


SHARED: dict[str, dict[str, Any]] = {
    "--model": {
        "metavar": "FILE",
        "help": "FastSAM or any YOLO segmentation network, .onnx or .pt, or a name that "
        f"`{PROGRAM} models` lists (default: the bundled model)",
    },
    "--conf": {
        "metavar": "SCORE",
        "type": fraction,
        "help": "keep objects with a score above this, 0 to 1 (default: the model's own, else 0.4)",
    },
    "--iou": {
        "metavar": "IOU",
        "type": fraction,
        "help": "of two boxes whose IoU is above this, 0 to 1, the one with the lower score is dropped; with --refine "
        "only if the masks overlap as much, else its score is halved (default: the model's own, else 0.9)",
    },
    "--imgsz": {
        "metavar": "SIZE",
        "type": input_size,
        "help": "input size of the network in pixels, N or WIDTHxHEIGHT (default: the model's own, else 1024); "
        "smaller is faster and misses small objects",
    },
    "--max-det": {"metavar": "N", "type": integer, "help": "maximum number of objects per photo (default: 300)"},
    "--refine": {
        "action": argparse.BooleanOptionalAction,
        "help": "let masks go on where their box ends, drop specks, holes and doubles, and draw answers to points and "
        "boxes anew if the model can (default: the model's own, else no)",
    },
    "--redraw": {
        "action": argparse.BooleanOptionalAction,
        "help": "draw every object anew from a closer look at the photo, some 2 ms for each; no effect where masks "
        "are not refined or the model has no decoder (default: the model's own, else no)",
    },
    "--threads": {
        "metavar": "N",
        "type": threads,
        "help": "number of threads used for inference (default: the cores that this process may use)",
    },
    "--clip": {
        "metavar": "MODEL",
        "help": "CLIP, which compares texts and objects: a name (clip-vit-b-32-int8: 156 MB, downloaded once) "
        "or a folder with its ONNX files",
    },
    "--pixel-limit": {
        "metavar": "N",
        "type": integer,
        "default": options.DEFAULT_PIXEL_LIMIT,
        "help": "refuse photos with more pixels (default: %(default)s)",
    },
    "--bands": {
        "metavar": "R,G,B",
        "type": bands,
        "help": "bands of a TIFF that are red, green and blue, or one for grey, counted from 1 (default: 1,2,3)",
    },
    "--white": {
        "metavar": "VALUE",
        "type": white,
        "help": "sample value of white, such as 4095 for 12 bits (default: the largest of the type, or the file's own)",
    },
    "--min-area": {
        "metavar": "PIXELS",
        "type": argument_type(partial(options.integer_from_text, VALUE, minimum=0)),
        "default": 0,
        "help": "leave out objects of fewer pixels (default: 0)",
    },
    "--no-parts": {
        "dest": "parts",
        "action": "store_false",
        "help": "leave out what lies in a larger object, by nine tenths: faces without their noses",
    },
    "--disjoint": {
        "action": "store_true",
        "help": "let each pixel be in one object at most, the smallest that has it; objects that keep none go",
    },
    "--tolerance": {
        "metavar": "PIXELS",
        "type": argument_type(partial(options.number_from_text, VALUE, minimum=0)),
        "help": f"let outlines ({', '.join(formats.OUTLINES)}, {COCO_DATASET}) stray so far to save points; 0 is "
        "exact, pixel by pixel (default: 0 in svg and geojson, 0.5 in yolo and the data set, 1 in labelme)",
    },
    "--soft": {
        "action": "store_true",
        "help": "give cut-outs and layers soft edges that follow those of the photo, without the colours of what is "
        "behind",
    },
    "--whole": {"action": "store_true", "help": "give cut-outs the size of the photo, each where it lay"},
    "--grow": {
        "metavar": "PIXELS",
        "type": argument_type(partial(options.integer_from_text, VALUE, minimum=0, maximum=MAX_RADIUS)),
        "help": "let the white of masks reach so far beyond the objects, for what is painted over them",
    },
    "--overwrite": {"action": "store_true", "help": "replace files that exist"},
    "--quiet": {"action": "store_true", "help": "print errors only"},
}
"""Options of several commands, with the same meaning in each."""
WRITING = ("--min-area", "--no-parts", "--disjoint", "--tolerance", "--soft", "--whole", "--grow", "--overwrite")
"""Those that say what of a result is written, and how."""


def add_shared(group: Any, *names: str) -> None:
    """Add options of `SHARED` to a parser or a group."""
    for name in names:
        group.add_argument(name, **SHARED[name])


def add_model(group: Any) -> None:
    """Add the options that `open_model` reads, but for --clip."""
    add_shared(group, "--model", "--conf", "--iou", "--imgsz", "--max-det", "--refine", "--redraw", "--threads")


def add_command(
    commands: Any,
    name: str,
    run: Callable[[argparse.Namespace, Screen], int],
    *,
    usage: str,
    summary: str,
    epilog: str,
) -> argparse.ArgumentParser:
    """Add the parser of a command.

    Args:
        commands: Subparsers of the program.
        name: Its name.
        run: Function that is called with the arguments and the screen; gives the exit code.
        usage: Its arguments, in short.
        summary: One line for the list of commands, without a full stop.
        epilog: Text below the arguments.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=fill(f"{summary[0].upper()}{summary[1:]}.", MOST_COLUMNS),
        usage=f"{PROGRAM} {name} {usage}",
        epilog=f"{epilog.rstrip()}\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.register("type", None, not_empty)  # of arguments that name no type
    parser.register("type", Path, not_empty_path)
    parser.set_defaults(run=run, parser=parser, quiet=False)
    return parser


def add_prompts(group: Any) -> None:
    """Add the prompts; `cli.prompts.read_prompts` reads them."""
    many = {"action": "append", "default": []}
    group.add_argument(
        "--point", metavar="X,Y", type=foreground, dest="points", **many, help="a point on the object; repeatable"
    )
    group.add_argument(
        "--background",
        metavar="X,Y",
        type=background,
        dest="points",
        **many,
        help="a point that the object must not cover; repeatable",
    )
    group.add_argument(
        "--pick",
        choices=get_args(Pick),
        help="which object at the points: the likeliest of the network's candidates; or that and others that they may "
        "mean, three at most; or, of the objects found, the best balance of score and size, the smallest, the largest, "
        "the one with the best score, all of them, or all merged into one, as in the paper (default: candidate)",
    )
    _add_box_prompts(group)
    group.add_argument(
        "--boxes-from",
        metavar="LABELS",
        type=Path,
        help="labels that you have: a folder of YOLO's .txt, labelme's .json or Pascal VOC's .xml, or COCO's .json; "
        "gives the object in each box, with its class",
    )
    _add_mask_prompts(group)
    _add_text_prompts(group)
    group.add_argument(
        "--prompts",
        metavar="FILE.json",
        type=Path,
        **many,
        help='more prompts: [{"type": "point", "data": [x, y], "label": 1}, '
        '{"type": "rectangle", "data": [x1, y1, x2, y2]}], where label 0 is background; '
        'or {"points": [[x, y], ...], "labels": [1, ...], "boxes": [[x1, y1, x2, y2], ...], "texts": [...]}; '
        "repeatable",
    )


def _add_box_prompts(group: Any) -> None:
    many = {"action": "append", "default": []}
    group.add_argument(
        "--box",
        metavar="X1,Y1,X2,Y2",
        type=box,
        **many,
        help="two corners of a box around one object; repeatable (if it begins with a minus: --box=-5,0,90,80)",
    )
    group.add_argument(
        "--box-point",
        metavar="X,Y",
        type=foreground,
        dest="box_points",
        **many,
        help="a point in the only box, on its object; repeatable",
    )
    group.add_argument(
        "--box-background",
        metavar="X,Y",
        type=background,
        dest="box_points",
        **many,
        help="a point in it that is not on its object; repeatable",
    )
    group.add_argument(
        "--match",
        choices=get_args(Match),
        help="what is compared with a box or a mask: every candidate of the network; the objects' "
        "masks; or the objects' boxes (default: candidate)",
    )


def _add_mask_prompts(group: Any) -> None:
    many = {"action": "append", "default": []}
    group.add_argument(
        "--mask",
        metavar="FILE.png",
        type=Path,
        **many,
        help="a picture of the photo's size, black but for a scribble over one object, a lasso or a mask; gives the "
        "object that it means; repeatable",
    )
    group.add_argument(
        "--mask-point",
        metavar="X,Y",
        type=foreground,
        dest="mask_points",
        **many,
        help="a point on the object of the only mask, where its answer lacks it; repeatable",
    )
    group.add_argument(
        "--mask-background",
        metavar="X,Y",
        type=background,
        dest="mask_points",
        **many,
        help="a point that it must not cover; repeatable",
    )


def _add_text_prompts(group: Any) -> None:
    """Add what CLIP answers."""
    many = {"action": "append", "default": []}
    group.add_argument(
        "--text",
        metavar="WORDS",
        **many,
        help='a description of one object, such as "a photo of a dog"; repeatable; needs --clip',
    )
    group.add_argument(
        "--negative",
        metavar="WORDS",
        **many,
        help="with --text: a description that an object must fit less than the text; repeatable",
    )
    add_shared(group, "--clip")
    group.add_argument(
        "--similarity",
        metavar="COSINE",
        type=cosine,
        help="with --text: every object whose similarity to the text is above this, -1 to 1, instead of the best one "
        "(try 0.25 with ViT-B/32); with --classify: how similar an object must be to its class",
    )
    group.add_argument(
        "--classify",
        metavar="NAMES",
        type=class_names,
        action="extend",
        help="give every chosen object the name that fits it best as its class, such as dog,cup; repeatable; needs "
        "--clip",
    )
    group.add_argument(
        "--other",
        metavar="NAME",
        help="with --classify and --similarity: class of objects that fit no name (default: they are left out)",
    )
    group.add_argument(
        "--similar",
        metavar="COSINE",
        type=cosine,
        help="all objects that are more similar than this, -1 to 1, to what the prompts mean; needs --clip",
    )


def add_output(group: Any) -> None:
    """Add where results go and what is said about them."""
    group.add_argument(
        "--format",
        metavar="NAME",
        dest="formats",
        type=format_names,
        action="extend",
        help="format to write, see below; repeatable, or several with commas between (default: overlay and json; on "
        "standard output overlay)",
    )
    group.add_argument(
        "-o",
        "--output",
        metavar="WHERE",
        type=output_place,
        help="a file, for one photo and one format, whose suffix names the format (.png, .jpg, .json, .svg, "
        ".geojson, ...); otherwise a folder, made if needed; or - for standard output "
        "(default: beside each photo; standard output if the input is -)",
    )
    add_shared(group, *WRITING, "--quiet")
    group.add_argument(
        "--json",
        action="store_true",
        help="write a JSON object a line to standard output about each input: status (done, skipped, failed), and the "
        "number of objects and the outputs, or the error",
    )
