"""Names that users know from other packages: who types one is told what it is called here (docs/migrating.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fastsam_onnx.errors import OptionError

_Class = TypeVar("_Class", bound=type)
P = ParamSpec("P")
R = TypeVar("R")

A_CALL = "a call"
"""What has the options of a call, in messages."""

MODEL = {
    "predict": "call it: model(photo), or model.stream(photos)",
    "generate": "call it: model(photo); what Segment Anything generates is model(photo).to_sam()",
    "set_image": "found = model(photo, redraw=False), and prompts are put to that: found.point_prompt(points)",
    "track": "model.stream(video, track=True)",
    "export": "`fastsam-onnx export FILE.pt` writes ONNX",
    "names": "model.contract.names",
    **dict.fromkeys(("train", "val"), "networks are trained elsewhere, and their files opened here"),
    **dict.fromkeys(
        ("to", "cpu", "cuda", "half", "float", "eval", "fuse"),
        "leave it out: it runs on the CPU as it is; FastSAM(providers=) names other devices",
    ),
    **{name: f"model.options[{name!r}]" for name in ("imgsz", "conf", "iou", "max_det", "refine", "redraw")},
    **{
        name: f"the result has it: model(photo).{name}(...)"
        for name in ("prompt", "point_prompt", "box_prompt", "mask_prompt", "text_prompt")
    },
}
"""For `FastSAM`: names of ultralytics, Segment Anything and PyTorch."""

OPTIONS = {
    **{
        name: f"found = model(photo), and found.{name[:-1]}_prompt(...)"
        for name in ("points", "boxes", "masks", "texts")
    },
    "bboxes": "found = model(photo), and found.box_prompt(boxes)",
    "labels": "found = model(photo), and found.point_prompt(points, labels)",
    "classes": 'model(photo).of_class("dog", "cat")',
    "agnostic_nms": "agnostic=",
    "device": "leave it out: it runs on the CPU as it is; FastSAM(providers=) names other devices",
    "retina_masks": "leave it out: masks have the photo's size as they are",
    "verbose": "leave it out: nothing is printed",
    "save": "model(photo).save(path)",
    "save_txt": 'model(photo).save("photo.txt")',
    "show": "model(photo).show()",
    "stream": "model.stream(photos)",
    **dict.fromkeys(("batch", "workers"), "model.stream(photos) takes it"),
    **dict.fromkeys(("tracker", "persist"), "model.stream(video, track=True)"),
    **dict.fromkeys(("half", "augment", "dnn", "task"), "leave it out"),
}
"""For calls and `FastSAM` itself: options of ultralytics, and prompts, which are put to results here."""

RESULT = {
    "plot": "found.overlay() is an array, found.save(path) writes it",
    "everything_prompt": "found holds everything as it is",
    "orig_img": "found.image, RGB",
    "orig_shape": "found.image_size, (width, height)",
    "path": "found.source",
    "save_txt": 'found.save("photo.txt")',
    "save_crop": 'found.save("crops", format="cutouts")',
    "summary": 'found.to_dict()["objects"]',
    "to_df": 'found.save("objects.csv"), which pandas.read_csv reads',
    **dict.fromkeys(("xyxy", "xywh"), "found.boxes, x1, y1, x2, y2"),
    **dict.fromkeys(("mask", "segmentation"), "found.masks"),
    **dict.fromkeys(("conf", "confidence"), "found.scores"),
    "iou_predictions": "found.predicted_iou",
    "obb": "found.masks[0].rotated_box, (4, 2) in pixels of the photo",
    "area": "found.areas",
    "merge": "Segmentation.concatenate([found, other])",
    **dict.fromkeys(("grown", "dilated"), "found.masks[0].grown(3), of one mask"),
    "label_map": 'found.save("photo.labels.png"), or draw.label_map(found)',
    "to_yolo": 'found.save("photo.txt"), or formats.to_yolo(found)',
    **dict.fromkeys(("cls", "class_id"), "found.labels"),
    **dict.fromkeys(("id", "tracker_id"), "found.track_ids"),
    **dict.fromkeys(("cpu", "numpy"), "leave it out: its arrays are NumPy's"),
}
"""For `Segmentation`: names of ultralytics and supervision."""

OBJECT = {
    **dict.fromkeys(("masks", "segmentation"), "one.mask"),
    **dict.fromkeys(("bbox", "xyxy", "xywh"), "one.box, x1, y1, x2, y2"),
    **dict.fromkeys(("conf", "confidence", "stability_score"), "one.score"),
    **dict.fromkeys(("cls", "class_id"), "one.label"),
    **dict.fromkeys(("id", "tracker_id"), "one.track_id"),
    "area": "one.mask.area",
    **{name: f"one.mask.{name}()" for name in ("dense", "polygons", "rle")},
    **{
        name: f"a result has it, also one of a single object: found[[0]].{name}(...)"
        for name in ("save", "show", "overlay", "cutout", "smooth")
    },
    "plot": "found[[0]].overlay()",
    "crop": "found[[0]].cutout()",
}
"""For `Instance`: names of ultralytics, supervision and Segment Anything, and of a result."""

MASKS = {
    **dict.fromkeys(("data", "shape", "numpy"), "found.masks.dense() is the array, (n, H, W) bool"),
    **dict.fromkeys(("xy", "xyn"), "found.masks[0].polygons(), in pixels of the photo"),
}
"""For `Masks`: names of ultralytics and of arrays."""

MASK = {
    **dict.fromkeys(("data", "shape", "numpy", "sum", "astype"), "mask.dense() is the array, (H, W) bool"),
    **dict.fromkeys(("counts", "size", "segmentation"), "mask.rle()"),
    **dict.fromkeys(("bbox", "xyxy"), "mask.box, x1, y1, x2, y2"),
    "intersection": "mask.difference(mask.difference(other)), or its pixels alone: mask.intersection_area(other)",
    "centroid": "mask.inner_point lies inside; the centroid is in found.to_csv()",
    **dict.fromkeys(("xy", "xyn"), "mask.polygons(), in pixels of the photo"),
    **dict.fromkeys(("xyxyxyxy", "xywhr", "obb"), "mask.rotated_box, (4, 2) in pixels of the photo"),
}
"""For `Mask`: names of arrays, run lengths and ultralytics."""


COMMANDS = {
    **dict.fromkeys(("predict", "detect", "run", "everything", "i", "p"), "segment PHOTO"),
    "track": "segment CLIP --track",
}
"""Commands of ultralytics, Segment Anything and rembg, and what to write in their place."""

_FILE = "write the file itself, without an option"
_AS_IT_IS = "leave it out: it runs on the CPU as it is"
_ONE_PASS = "leave it out: one pass finds all objects; --conf and --iou say which are kept"
COMMAND_LINE = {
    **dict.fromkeys(("source", "input", "image", "images", "img", "img_path", "image_path", "folder"), _FILE),
    **dict.fromkeys(("device", "half", "fp16", "int8", "dnn", "retina", "retina_masks", "better_quality"), _AS_IT_IS),
    **dict.fromkeys(("weights", "checkpoint", "onnx"), "write --model FILE"),
    "model_type": "write --model NAME",
    **dict.fromkeys(("project", "name", "out_dir", "dest", "destination"), "write --output FOLDER"),
    **dict.fromkeys(("show", "view", "plot", "display"), "leave it out: pictures of results are files"),
    "save": "leave it out: results are files",
    "save_txt": "write --format yolo",
    "save_crop": "write --format cutouts",
    **dict.fromkeys(
        ("cutout", "cutouts", "remove_background", "rembg", "transparent", "alpha", "alpha_matting"),
        "write --format cutout, with --soft for soft edges",
    ),
    **dict.fromkeys(("label_map", "labels"), "write --format labels"),
    **dict.fromkeys(("binary", "binary_mask"), "write --format mask"),
    **{name: f"write --format {name}" for name in ("coco", "labelme", "svg", "geojson", "yolo", "csv", "psd")},
    **dict.fromkeys(("min_mask_region_area", "min_size", "minimum_area"), "write --min-area PIXELS"),
    **dict.fromkeys(("wholes", "only_wholes", "without_parts", "top_level"), "write --no-parts"),
    **dict.fromkeys(("points_per_side", "points_per_batch", "pred_iou_thresh", "stability_score_thresh"), _ONE_PASS),
    **dict.fromkeys(("box_prompt", "bbox", "bboxes"), "write --box X1,Y1,X2,Y2: two corners, not width and height"),
    "point_prompt": "write --point X,Y, and --background X,Y for points labelled 0",
    "point_label": "write --point X,Y for foreground, --background X,Y for the rest",
    "text_prompt": "write --text WORDS",
    "agnostic_nms": "leave it out: one thing is found once, whatever its class",
    **dict.fromkeys(("batch", "batch_size"), "leave it out; --jobs N processes so many photos at the same time"),
    **dict.fromkeys(("workers", "num_workers"), "write --jobs N"),
    **dict.fromkeys(("vid_stride", "stride"), "leave it out: every frame is processed"),
    **dict.fromkeys(("tracker", "persist"), "write --track"),
    **dict.fromkeys(("force", "yes"), "write --overwrite"),
    **dict.fromkeys(("silent", "no_verbose"), "write --quiet"),
    "verbose": "leave it out: --quiet says less, --json more",
}
"""For the command line: options of ultralytics, the official FastSAM, Segment Anything and rembg."""


def telling(hints: Mapping[str, str]) -> Callable[[_Class], _Class]:
    """Class decorator: an AttributeError of one of these names says what to write in its place.

    Args:
        hints: What to write, by the name that is missing.
    """

    def missing(self: object, name: str) -> Any:
        if hasattr(type(self), name):  # a property that failed so by itself
            return object.__getattribute__(self, name)
        hint = f"; {hints[name]}" if name in hints else ""
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}", name=name, obj=self)

    def decorated(kind: _Class) -> _Class:
        kind.__getattr__ = missing  # type: ignore[attr-defined]  # type checkers go on refusing the name
        return kind

    return decorated


def telling_options(what: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorator: an option that a function does not have is an OptionError that says what to write in its place.

    Args:
        what: What has no such option, in words.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        by_place, by_name = names[: code.co_argcount], names[code.co_argcount :]

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            check_names(what, [name for name in kwargs if name not in by_place], by_name)
            return function(*args, **kwargs)

        return checked

    return decorated


def check_names(what: str, given: Iterable[str], accepted: Sequence[str]) -> None:
    """OptionError if an option is not known; it says what is accepted, and what `OPTIONS` are called here."""
    if unknown := [name for name in given if name not in accepted]:
        hints = [f"; in place of {name}: {OPTIONS[name]}" for name in unknown if name in OPTIONS]
        raise OptionError(
            f"{what} has no option {', '.join(unknown)}; it accepts: {', '.join(accepted)}{''.join(hints)}"
        )
