"""Checkpoints opened by this package against ultralytics on PyTorch in float64, number by number.

    python -m tools.compare_checkpoints [--float32] PHOTO FILE.pt ...

Needs torch and ultralytics (tried with 2.13 and 8.4.190). Prints a line for each file: the number of candidates with a
score above 0.01, and for these the largest differences of boxes in pixels of the input, of scores and of coefficients,
and that of the prototypes as a share of the largest one. Random networks serve as well as trained ones. The
reference computes in float64; with --float32 a second line tells how far PyTorch's own float32 is from that.

The photo is stretched to 640x640 and to 448x320. Networks that answer with the best candidates may rank equal ones
differently, and ultralytics leaves out cells without an object in prompt-free ones: then each of its candidates is
compared with the nearest of ours.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fastsam_onnx.images.load import load_image
from fastsam_onnx.network import Network

SIZES = ((640, 640), (320, 448))
LEAST_SCORE = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photo", metavar="PHOTO", type=Path)
    parser.add_argument("files", metavar="FILE.pt", nargs="+")
    parser.add_argument("--float32", action="store_true", help="PyTorch's own float32 beside ours")
    options = parser.parse_args()
    compare_files(load_image(options.photo), options.files, float32=options.float32)


def compare_files(picture: np.ndarray, files: list[str], *, float32: bool) -> None:
    """Print a line for each file."""
    import torch

    print(f"{'file':36} candidates  box (px)    score  coefficient  prototypes")
    for path in files:
        loaded = torch.load(path, weights_only=False, map_location="cpu")
        reference = ((loaded.get("ema") or loaded["model"]) if isinstance(loaded, dict) else loaded).double().eval()
        network = Network.open(path)
        tensors = [resized(picture, network, size) for size in SIZES]
        expected = [answer_of(reference, torch.from_numpy(tensor).double()) for tensor in tensors]
        tell(Path(path).name, network, expected, [network.run(tensor)[0][:2] for tensor in tensors])
        if float32:
            single = reference.float()
            tell("  PyTorch", network, expected, [answer_of(single, torch.from_numpy(each)) for each in tensors])


def tell(name: str, network: Network, expected: list[Any], answers: list[Any]) -> None:
    """Print the line of a file."""
    found = [compare(network, wanted, answer) for wanted, answer in zip(expected, answers, strict=True)]
    count, worst = sum(each[0] for each in found), np.max([each[1] for each in found], axis=0)
    print(f"{name:36} {count:10}  {worst[0]:8.4f}  {worst[1]:.1e}      {worst[2]:.1e}     {worst[3]:.1e}", flush=True)


def answer_of(reference: Any, tensor: Any) -> tuple[np.ndarray, np.ndarray]:
    """Candidates, (4 + nc + nm, N) whatever their form, and prototypes."""
    import torch

    with torch.no_grad():
        candidates, masks = (each[0].numpy() for each in reference(tensor)[0])
    if getattr(reference.model[-1], "end2end", False):  # x1, y1, x2, y2, score, class, ...
        corners, far, rest = candidates[:, :2], candidates[:, 2:4], candidates[:, 6:]
        candidates = np.concatenate([(corners + far) / 2, far - corners, candidates[:, 4:5], rest], axis=1).T
    return candidates, masks


def resized(picture: np.ndarray, network: Network, size: tuple[int, int]) -> np.ndarray:
    """(1, 3, height, width), the sides raised to multiples of the network's stride."""
    height, width = (-(-side // network.contract.stride) * network.contract.stride for side in size)
    small = cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=cv2.INTER_AREA)
    return small.transpose(2, 0, 1)[None].astype(np.float32) / 255


def compare(
    network: Network, reference: tuple[np.ndarray, np.ndarray], answer: tuple[np.ndarray, np.ndarray]
) -> tuple[int, list[float]]:
    """The number of candidates compared, and the largest differences."""
    (expected, masks), (candidates, prototypes) = reference, answer
    classes = 1 if network.contract.nms_inside else network.contract.class_count
    good = expected[4 : 4 + classes].max(axis=0) > LEAST_SCORE
    expected = expected[:, good]
    if network.contract.nms_inside or len(good) != candidates.shape[1]:
        candidates = candidates[:, [np.abs(candidates - each[:, None]).sum(axis=0).argmin() for each in expected.T]]
    else:
        candidates = candidates[:, good]
    off = np.abs(candidates - expected)
    parts = off[:4], off[4 : 4 + classes], off[4 + classes :]
    share = np.abs(prototypes - masks).max() / np.abs(masks).max()
    return expected.shape[1], [*(float(part.max(initial=0)) for part in parts), float(share)]


if __name__ == "__main__":
    main()
