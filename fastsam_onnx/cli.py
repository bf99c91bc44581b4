"""The command line: `fastsam-onnx segment`, `info`, `models`, `download` and `export`.

Here are the arguments; the other files `cli_*.py` run the commands. Results go to files, or to standard output when
that was asked for; everything that is said goes to standard error.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from fastsam_onnx import __version__, cli_inputs, formats, weights
from fastsam_onnx.cli_export import export
from fastsam_onnx.cli_info import info
from fastsam_onnx.cli_models import download, models
from fastsam_onnx.cli_screen import PROGRAM, Screen, logged_to
from fastsam_onnx.cli_segment import segment
from fastsam_onnx.errors import FastSAMError
from fastsam_onnx.image import DEFAULT_PIXEL_LIMIT
from fastsam_onnx.prompts import Match, Pick

FAILED, WRONG_USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
EXIT_CODES = """\
exit codes:
  0    done
  1    some inputs failed: each is named on standard error, the rest is done
  2    wrong usage, or a model that cannot be opened: nothing was done
  130  interrupted (Ctrl-C)
  141  the reader of standard output went away
"""
SEGMENT_EPILOG = f"""\
formats:
{{formats}}

Results lie beside their photos, or in the folder --output: photo.jpg gives
photo.overlay.png and photo.json. Photos that differ in their suffix alone, or
lie in different folders, get longer names where they would share one.

Nothing that exists is replaced without --overwrite. If it is in the way of a
photo that you named, that photo counts as failed; a photo out of a folder is
skipped, so a run that was broken off can be taken up again. A file appears
when it is complete. In folders, hidden files and earlier results
(*.overlay.png, *.labels.png, *.cutouts) are not taken for photos.

Coordinates are pixels of the upright photo, counted from its upper left
corner. All points together ask for one object, every box for one more. In the
results "prompt_index" counts these: 0 for the points, if there are any, then
the boxes.

examples:
  {PROGRAM} segment photo.jpg
  {PROGRAM} segment photos/ -o results --format coco --format cutouts
  {PROGRAM} segment photo.jpg --point 620,360 --background 9,9 -o dog.png
  {PROGRAM} segment photo.jpg --box 57,20,123,95 --format json -o -
  {PROGRAM} segment - --format svg < photo.jpg > photo.svg
  {PROGRAM} segment --json photos/ | jq .objects
  {PROGRAM} segment -- -photo-with-a-dash.jpg

{EXIT_CODES}"""
DESCRIPTION = "Segment everything in a photo, and pick objects by point or box, on any CPU."
INFO_EPILOG = f"""\
example:
  {PROGRAM} info my-yolov8-seg.onnx

{EXIT_CODES}"""
MODELS_EPILOG = f"""\
A name goes wherever a model's file goes: {PROGRAM} segment --model FastSAM-s
downloads it, once. Nothing else touches the network.

environment:
  {weights.HOME}     where downloads are kept
  {weights.OFFLINE}  1 forbids the network
  {weights.MIRRORS}  addresses, separated by spaces, that are tried first; they
                        serve files as the folder of the downloads has them

{EXIT_CODES}"""

EXPORT_EPILOG = f"""\
A checkpoint opens as it is, so nobody needs this for {PROGRAM} itself: the
file is for other programs. It takes photos of any size in multiples of 32, any
number at once, and has the names, outputs and metadata of ultralytics' exports.

example:
  {PROGRAM} export FastSAM-s.pt -o FastSAM-s.onnx

{EXIT_CODES}"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments, without the program's name; `sys.argv[1:]` by default.

    Returns:
        The exit code: 0 done, 1 some inputs failed, 2 wrong usage or no model, 130 interrupted, 141 standard output
        was closed by its reader.
    """
    screen = Screen(sys.stderr)
    try:
        arguments = _parser().parse_args(argv)
        with logged_to(screen, logging.ERROR if arguments.quiet else logging.WARNING):
            code: int = arguments.run(arguments, screen)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    except KeyboardInterrupt:
        screen.say("interrupted; the files that are there are complete")
        return INTERRUPTED
    except FastSAMError as error:
        screen.say(str(error))
        return WRONG_USAGE
    except OSError as error:  # of standard output: all others are FastSAMErrors
        _abandon_stdout()
        if isinstance(error, BrokenPipeError):
            return PIPE_CLOSED
        screen.say(f"standard output: {error.strerror or error}")
        return FAILED
    return code


def _abandon_stdout() -> None:
    """Let what is still in the buffer go nowhere, or the interpreter complains about it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=f"`{PROGRAM} COMMAND --help` tells more, with examples.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_segment(commands)
    _add_info(commands)
    _add_models(commands)
    _add_download(commands)
    _add_export(commands)
    return parser


def _add_command(
    commands: Any, name: str, run: Callable[[argparse.Namespace, Screen], int], *, usage: str, what: str, epilog: str
) -> argparse.ArgumentParser:
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


def _add_segment(commands: Any) -> None:
    listing = "\n".join(f"  {name:9}{kind.suffixes[0]:15}{kind.what}" for name, kind in formats.FORMATS.items())
    parser = _add_command(
        commands,
        "segment",
        segment,
        usage="[OPTIONS] INPUT [INPUT ...]",
        what="find the objects of photos and write them to files",
        epilog=SEGMENT_EPILOG.format(formats=listing),
    )
    parser.add_argument(
        "inputs", metavar="INPUT", nargs="+", help="a photo, a folder of photos, or - for a photo on standard input"
    )
    parser.add_argument("--recursive", action="store_true", help="look for photos in the folders of a folder, too")
    parser.add_argument(
        "--pixel-limit",
        metavar="N",
        type=cli_inputs.whole,
        default=DEFAULT_PIXEL_LIMIT,
        help="refuse photos with more pixels (default: %(default)s)",
    )
    model = parser.add_argument_group("model")
    model.add_argument(
        "--model",
        metavar="FILE",
        help=f"a YOLOv8-seg network, ONNX or .pt, or a name that `{PROGRAM} models` lists (default: the bundled one)",
    )
    model.add_argument(
        "--conf",
        metavar="SCORE",
        type=cli_inputs.fraction,
        help="objects need a score above this, 0 to 1 (default: the model's own, else 0.4)",
    )
    model.add_argument(
        "--iou",
        metavar="IOU",
        type=cli_inputs.fraction,
        help="of two boxes with an IoU above this, 0 to 1, the weaker goes (default: the model's own, else 0.9)",
    )
    model.add_argument(
        "--imgsz",
        metavar="SIZE",
        type=cli_inputs.input_size,
        help="input of the network in pixels, N or WIDTHxHEIGHT (default: the model's own, else 1024); "
        "smaller is faster and sees less",
    )
    model.add_argument(
        "--max-det", metavar="N", type=cli_inputs.whole, help="at most so many objects per photo (default: 300)"
    )
    model.add_argument(
        "--threads", metavar="N", type=cli_inputs.whole, help="threads (default: the cores this process may use)"
    )
    _add_prompts(parser.add_argument_group("prompts", "Without any, every object is written."))
    _add_output(parser.add_argument_group("output"))


def _add_prompts(group: Any) -> None:
    point = partial(cli_inputs.coordinates, form="X,Y")
    box = partial(cli_inputs.coordinates, form="X1,Y1,X2,Y2")
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
        default="balanced",
        help="which of the objects at the points: the best balance of score and size, the smallest, the largest, "
        "the one of best score, all of them, or, as in the paper, all merged into one (default: %(default)s)",
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
        "--prompts",
        metavar="FILE.json",
        type=Path,
        help='more of them: [{"type": "point", "data": [x, y], "label": 1}, '
        '{"type": "rectangle", "data": [x1, y1, x2, y2]}]; label 0 is background',
    )


def _add_output(group: Any) -> None:
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


def _add_info(commands: Any) -> None:
    parser = _add_command(
        commands,
        "info",
        info,
        usage="[--json] [MODEL]",
        what="tell what a model file is and what it takes and gives",
        epilog=INFO_EPILOG,
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        nargs="?",
        help=f"a file, or a name that `{PROGRAM} models` lists (default: the bundled model)",
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def _add_models(commands: Any) -> None:
    parser = _add_command(
        commands,
        "models",
        models,
        usage="[--json]",
        what="list the models that have a name: size, licence, purpose, whether it is here",
        epilog=MODELS_EPILOG,
    )
    parser.add_argument("--json", action="store_true", help="a JSON object a line, with addresses and SHA-256")


def _add_download(commands: Any) -> None:
    parser = _add_command(
        commands,
        "download",
        download,
        usage="[--unverified] NAME [NAME ...]",
        what="fetch models by name, or check those that are here, and tell their paths",
        epilog=MODELS_EPILOG,
    )
    parser.add_argument("names", metavar="NAME", nargs="+", help=f"one of {', '.join(weights.names())}")
    parser.add_argument("--unverified", action="store_true", help="take a file whose SHA-256 is unknown as it comes")


def _add_export(commands: Any) -> None:
    parser = _add_command(
        commands,
        "export",
        export,
        usage="[--overwrite] MODEL -o FILE.onnx",
        what="write a checkpoint as an ONNX file, without PyTorch",
        epilog=EXPORT_EPILOG,
    )
    parser.add_argument(
        "model", metavar="MODEL", help=f"a YOLOv8-seg checkpoint (.pt), or a name that `{PROGRAM} models` lists"
    )
    parser.add_argument("-o", "--output", metavar="FILE.onnx", required=True, help="where to write it")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
