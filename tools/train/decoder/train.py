"""Trains the decoder of a finished network; can be stopped and started again at any moment.

    python -m tools.train.decoder.train --model weights/fastsam-nano.onnx --data DATA --out ../runs/decoder

The learning rate follows the time spent. ``OUT/state.pt`` holds everything needed to go on.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader

from fastsam_onnx import FastSAM

from ..beside import Beside
from ..precision import autocast
from ..train import is_network_file, is_still
from .corrections import corrected
from .corrector import Corrections, finished, reopened_corrector, tied
from .data import CLICKS, OBJECTS, Prompts, Scene, load_scenes
from .export import reopened
from .network import Decoder, blocks_of

Scenes = tuple[list[Scene], np.ndarray]

BATCH = 48
CLIP = 5.0
DICE_SMOOTH = 8.0  # cells
PROMISE_WEIGHT = 0.5


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, required=True, help="the network's file")
    parser.add_argument("--data", type=Path, required=True, help="folder of train_labelled")
    parser.add_argument("--taught", type=Path, nargs="+", default=[], help="the teacher's labels, from teach.py")
    parser.add_argument("--out", type=Path, required=True, help="folder for state.pt and log.jsonl")
    parser.add_argument(
        "--start", type=Path, help="state.pt of a decoder to start from, or a network's file that has one"
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--clicks", type=float, default=CLICKS, help="share of the prompts where people drew masks")
    parser.add_argument(
        "--objects",
        type=float,
        default=OBJECTS,
        help="share of the others that are objects to be drawn anew, not boxes",
    )
    parser.add_argument(
        "--scenes",
        type=Path,
        help="file for the photos and what the network finds in them, some 8 GB: the next start reads it in a minute",
    )
    parser.add_argument(
        "--corrector", action="store_true", help="train the decoder's second set of weights, see corrector.py"
    )
    parser.add_argument("--limit", type=int, help="train on this many photos only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def losses(logits: Tensor, promise: Tensor, answer: Tensor, meant: Tensor, outside: Tensor) -> dict[str, Tensor]:
    """Of the mask: cross entropy and dice. Of the promise: cross entropy with the IoU that the mask has."""
    chance = logits.sigmoid()
    dice = 1 - (2 * (chance * answer).sum((1, 2)) + DICE_SMOOTH) / (
        chance.sum((1, 2)) + answer.sum((1, 2)) + DICE_SMOOTH
    )
    with torch.no_grad():
        drawn = (logits > 0).float()
        common = torch.minimum(drawn, meant).sum((1, 2))
        iou = common / (torch.maximum(drawn, meant).sum((1, 2)) + outside).clamp(min=1)
    return {
        "mask": F.binary_cross_entropy_with_logits(logits, answer),
        "dice": dice.mean(),
        "promise": PROMISE_WEIGHT * F.binary_cross_entropy_with_logits(promise, iou),
        "iou": iou.mean().detach(),
    }


def first_decoder(start: Path | None, *, corrector: bool = False) -> Decoder:
    """What a training begins with: a new decoder, the averaged one of a state, or the one of a network's file.

    ``corrector``: a file's corrector, if it has one; the first begins as the decoder.
    """
    if is_network_file(start):
        return (reopened_corrector(start) if corrector else None) or reopened(start)
    if not start:
        return Decoder()
    mean = torch.load(start, map_location="cpu", weights_only=True)["mean"]
    network = Decoder(blocks_of(mean))
    network.load_state_dict(mean)
    return network


class Training(Beside):
    """Everything that changes while a decoder is trained, and one step of it."""

    def __init__(self, network: Decoder, rate: float, *, still: bool = False, first: Decoder | None = None) -> None:
        """``first``: what draws the first answers where only corrections are learned."""
        super().__init__(network, rate, CLIP, still=still)
        self.first = first

    def learn(self, batch: list[Tensor], progress: float) -> dict[str, float]:
        photo, maps, answer, meant, outside, corrections = batch
        self.set_rate(progress)
        maps = corrected(self.mean, photo, maps, answer, corrections, first=self.first)
        photo, maps = (x.contiguous(memory_format=torch.channels_last) for x in (photo, maps))
        with autocast("cpu"):
            logits, promise = self.network(photo, maps)
        terms = losses(logits, promise, answer, meant, outside)
        self.descend(terms["mask"] + terms["dice"] + terms["promise"])
        return {name: float(term.detach()) for name, term in terms.items()}


def scenes_of(options: argparse.Namespace) -> Scenes:
    """The photos with masks, and what the network finds in them."""
    with FastSAM(options.model, threads=options.threads) as model:
        return load_scenes(options.data, model, options.taught, options.limit)


def made_of(options: argparse.Namespace) -> dict[str, Any]:
    """What the scenes depend on; of the network's file the graph alone, for decoders change its metadata."""
    graph = onnx.load(options.model).graph.SerializeToString()
    labels = [path.name for path in options.taught]
    return {"network": hashlib.sha256(graph).hexdigest(), "taught": labels, "limit": options.limit}


def kept(path: Path | None, about: dict[str, Any], make: Callable[[], Scenes]) -> Scenes:
    """What the file holds; without one what is made, which goes into it.

    Raises:
        SystemExit: If the file was made of something else than ``about``.
    """
    if path is None:
        return make()
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            pickle.dump((about, make()), file, protocol=5)
        temporary.replace(path)
    with path.open("rb") as file:
        known, scenes = pickle.load(file)
    if known != about:
        raise SystemExit(f"{path} holds scenes of another network, other labels or another --limit: name another file")
    return scenes


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    scenes, weights = kept(options.scenes, made_of(options), partial(scenes_of, options))
    network, first = first_decoder(options.start, corrector=options.corrector), None
    if options.corrector:
        first = reopened(options.model)
        network = tied(network, first)
    training = Training(network, options.rate, still=is_still(options.start), first=first)
    training.go_on(options.out)
    masks = sum(len(scene.masks) for scene in scenes)
    print(f"{len(scenes)} photos, {masks} masks, from step {training.step}", flush=True)
    of = scenes, weights, BATCH, options.seed + training.step
    if options.corrector:
        prompts: Prompts = Corrections(*of, finished(options.model), clicks=options.clicks)
    else:
        prompts = Prompts(*of, clicks=options.clicks, objects=options.objects)
    loader = DataLoader(prompts, batch_size=None, num_workers=1)
    training.learn_all(loader, options)


if __name__ == "__main__":
    main()
