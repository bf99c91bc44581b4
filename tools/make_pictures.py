"""Makes the pictures of README and docs with the bundled model: docs/everything.jpg and others.

    python -m tools.make_pictures

Look at them before you commit them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from fastsam_onnx import FastSAM, Mask, Prompts, Segmentation, draw
from fastsam_onnx.images.load import load_image
from fastsam_onnx.results.rules import Pick

ROOT = Path(__file__).parents[1]
HEIGHT, GAP = 340, 8
PAPER = (40, 160, 110)

Picture = NDArray[np.uint8]


def everything() -> Picture:
    """Two photos with all their objects; one object by a box, two by points."""
    model = FastSAM()
    coffee = model(ROOT / "examples" / "coffee.jpg")
    cat = model(ROOT / "examples" / "chelsea.jpg")
    cup, spoon, eye = (170, 12, 415, 305), (335, 280), (173, 115)
    first = [coffee.overlay(), coffee.box_prompt(cup).overlay(boxes=[cup])]
    second = [cat.overlay(), cat.point_prompt(eye).overlay(points=[eye])]
    return _stacked([_joined(first), _joined([*second, coffee.point_prompt(spoon).overlay(points=[spoon])])])


def picks() -> Picture:
    """One click into the coffee, answered by each pick."""
    click = (300, 150)
    found = FastSAM()(ROOT / "examples" / "coffee.jpg")
    tiles = [_named(found[:0].overlay(points=[click]), "the click")]
    for pick in get_args(Pick):
        answer = found.point_prompt(click, pick=pick)
        if pick == "alternatives":  # the first is "candidate"
            tiles += [
                _named(answer[[place]].overlay(points=[click]), name)
                for place, name in ((1, "the second"), (2, "the third"))
            ]
        else:
            tiles.append(_named(answer.overlay(points=[click]), pick))
    half = (len(tiles) + 1) // 2
    return _stacked([_joined(tiles[:half], 180), _joined(tiles[half:], 180)])


def redrawn() -> Picture:
    """Two photos with their objects, as the network has them and drawn anew."""
    model = FastSAM()
    photos = [ROOT / "examples" / name for name in ("coffee.jpg", "chelsea.jpg")]
    rows = [
        [_named(model(photo, redraw=redraw).overlay(), f"redraw={redraw}") for redraw in (False, True)]
        for photo in photos
    ]
    return _stacked([_joined(row, 300) for row in rows])


def wholes() -> Picture:
    """Three photos with their objects, below without those that lie in larger ones."""
    model = FastSAM()
    photos = [model(ROOT / "examples" / name) for name in ("coffee.jpg", "chelsea.jpg", "astronaut.jpg")]
    all_objects = [found.overlay() for found in photos]
    return _stacked([_joined(all_objects, 240), _joined([found.without_parts().overlay() for found in photos], 240)])


def edges() -> Picture:
    """A photo and its soft edges, dark on white, the faint ones fainter than they are."""
    found = FastSAM()(ROOT / "examples" / "coffee.jpg")
    assert found.image is not None
    ink = np.rint(255 * (1 - found.edges() ** 1.5)).astype(np.uint8)
    return _joined([found.image, np.repeat(ink[..., None], 3, axis=2)], len(ink))


def track() -> Picture:
    """Four of 34 frames of a window that moves over a photo: all objects, below one that was clicked."""
    photo = load_image(ROOT / "examples" / "coffee.jpg")
    corners = [(round(170 + 80 * np.sin(step / 10)), round(40 - 35 * np.cos(step / 13))) for step in range(34)]
    frames = [photo[y : y + 320, x : x + 340].copy() for x, y in corners]
    click, model = (195, 270), FastSAM()
    shown = (0, 11, 22, 33)
    every = list(model.stream(frames, track=True))
    one = list(model.stream(frames, track=True, prompts=Prompts(points=[click])))
    rows = [[_named(found[index].overlay(), f"frame {index}") for index in shown] for found in (every, one)]
    rows[1][0] = _named(one[0].overlay(points=[click]), "the click")
    return _stacked([_joined(row, 240) for row in rows])


def mask_prompt() -> Picture:
    """A stroke over the cup, the answer to it, and that corrected by a point."""
    found = FastSAM()(ROOT / "examples" / "coffee.jpg")
    stroke = Mask.from_dense(cv2.line(np.zeros((400, 600), np.uint8), (215, 60), (230, 190), 1, 9))
    drawn = Segmentation.from_masks([stroke], image=found.image)
    point = (350, 250)
    corrected = found.mask_prompt(stroke, point).overlay(points=[point])
    return _joined([drawn.overlay(), found.mask_prompt(stroke).overlay(), corrected], 240)


def pieces() -> Picture:
    """Two clicks, each of which means a piece of the saucer, and what both pieces mean as a mask."""
    found = FastSAM()(ROOT / "examples" / "coffee.jpg")
    clicks = [(100, 250), (420, 250)]
    answers = found.point_prompt(np.array(clicks)[:, None])
    return _joined([answers.overlay(points=clicks), found.mask_prompt(answers.union()).overlay()], 240)


def cutouts() -> Picture:
    """A cup and a head pasted onto one colour, cut out at pixels and softly; parts of both enlarged."""
    model = FastSAM()
    rows = []
    for name, box, part in (
        ("coffee", (170, 12, 415, 305), (172, 14, 72)),
        ("astronaut", (60, 0, 400, 512), (150, 4, 120)),
    ):
        found = model(ROOT / "examples" / f"{name}.jpg").box_prompt(box)
        assert found.image is not None
        hard, soft = (_pasted(draw.cutout(found[0], found.image, soft=soft, whole=True)) for soft in (False, True))
        left, top, side = part
        zoomed = [each[top : top + side, left : left + side].repeat(4, 0).repeat(4, 1) for each in (hard, soft)]
        rows.append(_joined([soft, *map(_named, zoomed, ("pixels", "soft"))], 240))
    return _stacked(rows)


def _pasted(cut: Picture) -> Picture:
    shares = cut[..., 3:] / 255
    return np.rint(cut[..., :3] * shares + np.array(PAPER) * (1 - shares)).astype(np.uint8)


def _named(tile: Picture, name: str) -> Picture:
    for colour, width in (((0, 0, 0), 8), ((255, 255, 255), 2)):
        cv2.putText(tile, name, (12, 46), cv2.FONT_HERSHEY_SIMPLEX, 1.5, colour, width, cv2.LINE_AA)
    return tile


def _joined(pictures: list[Picture], height: int = HEIGHT) -> Picture:
    """Side by side at one height, with a white gap between."""
    gap = np.full((height, GAP, 3), 255, np.uint8)
    scaled = [cv2.resize(each, (round(each.shape[1] * height / each.shape[0]), height), interpolation=cv2.INTER_AREA)
              for each in pictures]  # fmt: skip
    return np.hstack([part for each in scaled for part in (each, gap)][:-1]).astype(np.uint8)


def _stacked(pictures: list[Picture]) -> Picture:
    """One above the other at the width of the narrowest."""
    width = min(each.shape[1] for each in pictures)
    gap = np.full((GAP, width, 3), 255, np.uint8)
    scaled = [cv2.resize(each, (width, round(each.shape[0] * width / each.shape[1])), interpolation=cv2.INTER_AREA)
              for each in pictures]  # fmt: skip
    return np.vstack([part for each in scaled for part in (each, gap)][:-1]).astype(np.uint8)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    makers = (everything, picks, redrawn, wholes, edges, track, mask_prompt, pieces, cutouts)
    for name, make in ((make.__name__.replace("_", "-"), make) for make in makers):
        cv2.imwrite(str(ROOT / "docs" / f"{name}.jpg"), make()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    main()
