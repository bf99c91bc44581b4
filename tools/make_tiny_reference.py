"""What PyTorch computes from tests/data/tiny.pt, for the tests: tests/data/tiny.reference.npz.

    python -m tools.make_tiny_reference

Needs torch and ultralytics (made with 2.13 and 8.4.190); the package and its tests need neither. Arithmetic is fp32 on
the fp16 parameters, with batch normalisation as layers of its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

DATA = Path(__file__).parents[1] / "tests" / "data"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    network = load_checkpoint(str(DATA / "tiny.pt"))[0].eval()
    rows, columns = np.mgrid[:64, :96]
    picture = [np.sin(rows / 7 + columns / 11), np.cos(rows * columns / 900), np.sin(columns / 3)]
    pictures = np.round(127.5 + 127.5 * np.array([picture, np.flip(picture, axis=2)])).astype(np.uint8)
    with torch.no_grad():
        answer = network(torch.from_numpy(pictures.astype(np.float32) / 255))
    candidates, prototypes = answer[0]
    path = DATA / "tiny.reference.npz"
    np.savez_compressed(
        path, pictures=pictures, candidates=candidates.numpy(), prototypes=prototypes.numpy().astype(np.float16)
    )
    print(f"{path}: {path.stat().st_size:,} bytes, candidates {tuple(candidates.shape)}, {tuple(prototypes.shape)}")


if __name__ == "__main__":
    main()
