"""Whatever is given where something else belongs: the answer, or one of our errors; never another exception."""

from __future__ import annotations

import numpy as np
import pytest
from support.tensor import Tensor

from fastsam_onnx import draw, formats, options, weights
from fastsam_onnx.clip.clip import Clip
from fastsam_onnx.errors import FastSAMError
from fastsam_onnx.masks.instances import COLUMNS
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.masks.sequence import Masks
from fastsam_onnx.results.crops import CropStyle
from fastsam_onnx.results.prompts import Prompts
from fastsam_onnx.results.segmentation import Segmentation
from fastsam_onnx.runtime import create_session
from fastsam_onnx.serve import Service
from fastsam_onnx.tiling import grid
from fastsam_onnx.tracking import Tracker

ODD = [
    *("a", "", "5", "a\0b", "\ud800"),
    *(b"x", None, True, float("nan"), float("inf"), -1, 0, 1, 2, 1.5, 1e30, 10**400, 10**5000, 1 + 2j, object(), len),
    *([], [1], [[1, 2], [3]], [[1, 2]], (), {"a": 1}, {1}, np.float32(0.5), np.int64(3), np.bool_(True)),
    *(np.array([1, 2]), np.array("a"), np.zeros((2, 2)), np.zeros((2, 2, 2)), np.array([None])),
    *(Tensor(None), np.array(["5"], object), slice(None, None, 0), np.array(1), np.timedelta64(1, "s")),
    *([10**5000, 1], np.ma.array([1, 2], mask=[True, False])),
]
DENSE = np.zeros((20, 30), bool)
DENSE[3:9, 4:9] = True
DENSE[5, 6] = False
MASK = Mask.from_dense(DENSE)
FOUND = Segmentation.from_masks([MASK, MASK], [0.9, 0.8], image=np.zeros((20, 30, 3), np.uint8), source="a.jpg")

CALLS = {
    "Mask.crop": lambda odd: Mask(odd, 0, 0, (5, 5)),
    "Mask.left": lambda odd: Mask(DENSE, odd, 0, (30, 20)),
    "Mask.image_size": lambda odd: Mask(DENSE, 0, 0, odd),
    "Mask.empty": Mask.empty,
    "Masks.lazy": lambda odd: Masks(odd, (30, 20)),
    "Masks.image_size": lambda odd: Masks([MASK], odd),
    "Mask.from_dense": Mask.from_dense,
    "Mask.from_rle": Mask.from_rle,
    "rle.size": lambda odd: Mask.from_rle({"size": odd, "counts": [4]}),
    "rle.counts": lambda odd: Mask.from_rle({"size": [2, 2], "counts": odd}),
    "mask.polygons": MASK.polygons,
    "mask.contains": lambda odd: MASK.contains(odd, 1),
    "mask.union": MASK.union,
    "mask.iou": MASK.iou,
    "found[]": lambda odd: FOUND[odd],
    "found.masks[]": lambda odd: FOUND.masks[odd],
    "found.take": FOUND.take,
    "found.masks.take": FOUND.masks.take,
    "found.disjoint.min_area": lambda odd: FOUND.disjoint(min_area=odd),
    "found.smooth.min_area": lambda odd: FOUND.smooth(min_area=odd),
    "found.smooth.radius": lambda odd: FOUND.smooth(radius=odd),
    "found.save.path": lambda odd: FOUND.save(odd, format="cutouts", image="refused before anything is written"),
    "found.save.format": lambda odd: FOUND.save("a.png", format=odd, none=1),
    "points": FOUND.point_prompt,
    "labels": lambda odd: FOUND.point_prompt([[1, 2]], odd),
    "pick": lambda odd: FOUND.point_prompt((1, 2), pick=odd),
    "boxes": FOUND.box_prompt,
    "match": lambda odd: FOUND.box_prompt((1, 2, 3, 4), match=odd),
    "concatenate": Segmentation.concatenate,
    "cutout": lambda odd: draw.cutout(FOUND[0], odd),
    "palette": lambda odd: draw.palette(3, odd),
    "palette.count": draw.palette,
    "prompt": FOUND.prompt,
    **{
        f"Prompts.{name}": lambda odd, name=name: (
            Prompts(**{"points": [(1, 2)], "boxes": [(1, 2, 3, 4)], name: odd}).count
        )
        for name in ("labels", "pick", "match", "texts", "classify")
    },
    **{
        f"Prompts.{name} in needs_objects": lambda odd, name=name: Prompts(points=[(1, 2)], **{name: odd}).needs_objects
        for name in ("pick", "match")
    },
    "Prompts.classes": lambda odd: Prompts(classes=odd).joined(Prompts(classes=["c"])).choose(FOUND),
    "Prompts.joined": Prompts().joined,
    "masks": FOUND.mask_prompt,
    "weights.resolve": weights.resolve,
    "weights.names": weights.names,
    "weights.fetch": weights.fetch,
    "weights.is_here": weights.is_here,
    "weights.verify": weights.verify,
    "encode.found": lambda odd: formats.encode(odd, "json"),
    "save.found": lambda odd: formats.save(odd, "a.json"),
    "overlay.found": draw.overlay,
    "label_map": draw.label_map,
    **{f"{name}.found": lambda odd, kind=kind: list(kind.make(odd)) for name, kind in formats.FORMATS.items()},
    "to_json.found": formats.to_json,
    "to_supervision.found": formats.to_supervision,
    "dataset_entry.found": formats.dataset_entry,
    "format_of_suffix": formats.format_of_suffix,
    "image_id_of": formats.image_id_of,
    "yolo_data.folders": lambda odd: formats.yolo_data(odd, ["cat"]),
    "yolo_data.names": lambda odd: formats.yolo_data(["photos"], odd),
    "Prompts.choose": Prompts().choose,
    "Tracker.update": lambda odd: Tracker().update(odd),
    **{
        f"Tracker.number.{name}": lambda odd, name=name: Tracker().number(FOUND, **{name: odd})
        for name in ("asked", "allowed", "offers")
    },
    "grid.image_size": lambda odd: grid(odd, 64, 0.25),
    "create_session": create_session,
    **{
        f"Service.{name}": lambda odd, name=name: Service(**{"model": len, "workers": 1, name: odd})
        for name in ("model", "limits", "token", "origins")
    },
    **{
        f"Segmentation.{name}": lambda odd, name=name: Segmentation(
            **{"boxes": FOUND.boxes, "scores": FOUND.scores, "masks": FOUND.masks, name: odd}
        )
        for name in ("boxes", "scores", "masks", *COLUMNS)
    },
    "cutout.instance": lambda odd: draw.cutout(odd, np.zeros((20, 30, 3), np.uint8)),
    "CocoDataset": lambda odd: formats.CocoDataset(odd).close(),
    "Clip.model": Clip,
    "Clip.image": lambda odd: Clip(image=odd, text="nowhere.onnx"),
    "Clip.tokenizer": lambda odd: Clip(image=__file__, text=__file__, tokenizer=odd),
    "suffix": lambda odd: formats.encode(FOUND, "overlay", suffix=odd),
    **{
        f"from_masks.{name}": lambda odd, name=name: Segmentation.from_masks(**{"masks": [MASK], name: odd})
        for name in ("masks", "scores", "boxes", "image_size", "image", "source", "prompt_index", "labels", "clip")
    },
    "from_masks.names": lambda odd: Segmentation.from_masks([MASK], labels=[0], names=odd),
    **{
        f"CropStyle.{name}": lambda odd, name=name: CropStyle(**{name: odd})
        for name in ("backgrounds", "margin", "square")
    },
    **{
        f"{name}.{option}": lambda odd, kind=kind, option=option: list(kind.make(FOUND, **{option: odd}))
        for name, kind in formats.FORMATS.items()
        for option in kind.options
    },
}


@pytest.mark.parametrize("call", CALLS)
def test_an_odd_value_gives_an_answer_or_our_error(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for odd in ODD:
        try:
            CALLS[call](odd)
        except FastSAMError:
            continue
        except Exception as error:
            raise AssertionError(f"{call} of {options.shown(odd)}") from error
