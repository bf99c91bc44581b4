"""The command line: `fastsam-onnx segment`, `info`, `models`, `download`, `export`, `quantize` and `serve`.

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

from fastsam_onnx import __version__
from fastsam_onnx.cli import photos as cli_inputs
from fastsam_onnx.cli.export import export
from fastsam_onnx.cli.info import info
from fastsam_onnx.cli.models import download, models
from fastsam_onnx.cli.quantize import quantize
from fastsam_onnx.cli.screen import PROGRAM, Screen, logged_to
from fastsam_onnx.cli.segment import segment
from fastsam_onnx.cli.serve import TOKEN, serve
from fastsam_onnx.cli.video import holds_frames, segment_frames
from fastsam_onnx.errors import FastSAMError
from fastsam_onnx.formats import registry as formats
from fastsam_onnx.images.load import DEFAULT_PIXEL_LIMIT
from fastsam_onnx.images.video import DEFAULT_FPS
from fastsam_onnx.results.rules import Match, Pick
from fastsam_onnx.stream import default_workers
from fastsam_onnx.weights import lookup as weights

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

A video gives a video with overlays and without sound, clip.overlay.mp4, and
a JSON object a line for each frame, clip.jsonl. --output names a folder, one
of these files by its suffix (.mp4, .mov, .mkv, .avi, .jsonl), or is - for the
lines, or, with --format overlay, for frames as RGB24. With --raw WxH standard
input holds such frames; their results go to standard output by default.

Coordinates are pixels of the upright photo, counted from its upper left
corner. All points together ask for one object, every box and every text for
one more. In the results "prompt_index" counts these: 0 for the points, if
there are any, then the boxes, then the texts.

examples:
  {PROGRAM} segment photo.jpg
  {PROGRAM} segment photos/ -o results --format coco --format cutouts
  {PROGRAM} segment photo.jpg --point 620,360 --background 9,9 -o dog.png
  {PROGRAM} segment photo.jpg --box 57,20,123,95 --format json -o -
  {PROGRAM} segment photo.jpg --text "a yellow dog" --clip clip-vit-b-32-int8
  {PROGRAM} segment - --format svg < photo.jpg > photo.svg
  {PROGRAM} segment --json photos/ | jq .objects
  {PROGRAM} segment clip.mp4 -o clip-objects.mp4
  ffmpeg -i clip.mp4 -f rawvideo -pix_fmt rgb24 - |
    {PROGRAM} segment --raw 1280x720 - > clip.jsonl
  {PROGRAM} segment -- -photo-with-a-dash.jpg

{EXIT_CODES}"""
DESCRIPTION = "Segment everything in a photo, and pick objects by point, box or text, on any CPU."
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
QUANTIZE_EPILOG = f"""\
The network is computed with integers of 8 bits where that keeps its masks, which
is faster. It is calibrated on two thirds of the photos and compared with the
old one on the others; a network that lost too much is not written. Give 30
photos or more of the kind that it will see.

Without --photos it is calibrated on pictures that are drawn for it, which keeps
somewhat less.

Processors of the x86 kind without VNNI (before about 2019) need weights of 7
bits: their sums overflow with 8. The default is right for this machine.

examples:
  {PROGRAM} quantize my-yolov8-seg.onnx --photos photos/
  {PROGRAM} quantize FastSAM-s.pt --photos photos/ --conf 0.25 -o fast.onnx

{EXIT_CODES}"""

SERVE_EPILOG = f"""\
Needs: pip install 'fastsam-onnx[serve]'. A page to try it is at /.

  POST /segment  a photo as the body, or a multipart form with a field "photo";
                 prompts, conf, iou, max_det, imgsz, format as fields or in the
                 query. Accept, or format=, says what comes back: application/json
                 (format json, coco, labelme, sam), image/png (overlay, labels),
                 image/jpeg, image/webp, image/svg+xml, application/geo+json
  GET /info      model, limits, whether texts are understood
  GET /healthz   200 while it runs

prompts is JSON: {{"points": [[x, y], ...], "labels": [1, 0, ...], "boxes": [[x1,
y1, x2, y2], ...], "texts": ["a dog", ...]}}. What is refused has a status of 4xx,
or 503 when too much waits, and a reason: {{"error": "..."}}.

The server opens no address and no path that a client names. For the internet
put a proxy with TLS before it.

environment:
  {TOKEN}  the token, where there is no --token-file

examples:
  {PROGRAM} serve
  curl -T photo.jpg -X POST http://127.0.0.1:8000/segment > photo.json
  curl -F photo=@photo.jpg -F 'prompts={{"points": [[620, 360]]}}' \\
       -H 'Accept: image/png' http://127.0.0.1:8000/segment > overlay.png

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


def _segment(arguments: argparse.Namespace, screen: Screen) -> int:
    return segment_frames(arguments, screen) if holds_frames(arguments) else segment(arguments, screen)


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
    _add_quantize(commands)
    _add_serve(commands)
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
        _segment,
        usage="[OPTIONS] INPUT [INPUT ...]",
        what="find the objects of photos and write them to files",
        epilog=SEGMENT_EPILOG.format(formats=listing),
    )
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="a photo, a folder of photos, a pattern such as 'shots/*.jpg', videos, or - for standard input",
    )
    parser.add_argument("--recursive", action="store_true", help="look for photos in the folders of a folder, too")
    parser.add_argument(
        "--pixel-limit",
        metavar="N",
        type=cli_inputs.whole,
        default=DEFAULT_PIXEL_LIMIT,
        help="refuse photos with more pixels (default: %(default)s)",
    )
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=cli_inputs.whole,
        help=f"so many photos at a time, to decode and write beside the network (default here: {default_workers()})",
    )
    parser.add_argument(
        "--raw", metavar="WxH", type=cli_inputs.frame_size, help="- holds frames of this size, RGB24 (see below)"
    )
    parser.add_argument(
        "--fps",
        metavar="N",
        type=cli_inputs.frames_per_second,
        default=DEFAULT_FPS,
        help="frames per second of --raw (default: %(default)g)",
    )
    parser.add_argument(
        "--tile",
        metavar="SIZE",
        type=cli_inputs.tile_side,
        help="for large photos: look at tiles of this side in pixels of the photo, too, and join what they cut",
    )
    _add_model(parser.add_argument_group("model"))
    _add_prompts(parser.add_argument_group("prompts", "Without any, every object is written."))
    _add_output(parser.add_argument_group("output"))


def _add_model(model: Any) -> None:
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
        type=cli_inputs.cosine,
        help="all objects more similar to the words than this, -1 to 1, not only the best one (for ViT-B/32 try 0.25)",
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


def _add_serve(commands: Any) -> None:
    parser = _add_command(
        commands,
        "serve",
        serve,
        usage="[OPTIONS]",
        what="answer over HTTP, with a page to try it in a browser",
        epilog=SERVE_EPILOG,
    )
    parser.add_argument("--host", metavar="HOST", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", metavar="N", type=int, default=8000, help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="clients must send the token that is in it")
    parser.add_argument("--access-log", action="store_true", help="write a line per request to standard output")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    model = parser.add_argument_group("model")
    _add_model(model)
    model.add_argument(
        "--clip", metavar="MODEL", help="what understands texts: a name, or a folder with ONNX files of CLIP"
    )
    load = parser.add_argument_group("load")
    load.add_argument(
        "--workers",
        metavar="N",
        type=cli_inputs.whole,
        help="photos at once, which share the cores (default: cores, up to 4)",
    )
    load.add_argument(
        "--queue",
        metavar="N",
        type=cli_inputs.whole,
        default=32,
        help="requests that may wait; more get 503 (default: %(default)s)",
    )
    load.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=cli_inputs.whole,
        default=30,
        help="requests that have not arrived by then get 408 (default: %(default)s)",
    )
    load.add_argument(
        "--max-megabytes",
        metavar="N",
        type=cli_inputs.whole,
        default=32,
        help="larger requests get 413 (default: %(default)s)",
    )
    load.add_argument(
        "--pixel-limit",
        metavar="N",
        type=cli_inputs.whole,
        default=50_000_000,
        help="photos with more pixels get 413 (default: %(default)s)",
    )
    load.add_argument(
        "--max-prompts",
        metavar="N",
        type=cli_inputs.whole,
        default=200,
        help="requests with more points, boxes and texts get 422 (default: %(default)s)",
    )


def _add_quantize(commands: Any) -> None:
    parser = _add_command(
        commands,
        "quantize",
        quantize,
        usage="[OPTIONS] MODEL",
        what="make an int8 network of a float32 one, faster, and measure what it keeps (needs the package onnx)",
        epilog=QUANTIZE_EPILOG,
    )
    parser.add_argument("model", metavar="MODEL", help=f"ONNX or .pt, or a name that `{PROGRAM} models` lists")
    parser.add_argument("--photos", metavar="FOLDER", help="photos of the kind that the network will see")
    parser.add_argument("-o", "--output", metavar="FILE.onnx", help="where to write it (default: MODEL.int8.onnx here)")
    parser.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    parser.add_argument("--force", action="store_true", help="write the network even if it lost too much")
    parser.add_argument("--conf", metavar="SCORE", type=cli_inputs.fraction, help="as in segment, to compare masks")
    parser.add_argument("--iou", metavar="IOU", type=cli_inputs.fraction, help="as in segment, to compare masks")
    parser.add_argument(
        "--imgsz", metavar="SIZE", type=cli_inputs.input_size, help="as in segment, to calibrate and to compare"
    )
    parser.add_argument(
        "--weight-bits", type=int, choices=(7, 8), help="7 for x86 processors without VNNI (default: for this machine)"
    )
    parser.add_argument(
        "--threads", metavar="N", type=cli_inputs.whole, help="threads (default: the cores this process may use)"
    )
