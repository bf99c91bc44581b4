"""What ultralytics computes from the networks of tests/support/pt_families.py: tests/data/families.reference.npz.

    python -m tools.make_family_reference

Needs torch and ultralytics (made with 2.13 and 8.4.190); the package and its tests need neither. Arithmetic is fp64 on
the fp16 parameters, with batch normalisation as layers of its own. The photo is that of tiny.reference.npz, 64 rows
and 128 columns of it at stride 64. Of the answer every fifth candidate is kept (all rows of networks that choose the
best), and every fourth row and column of every second prototype.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    import torch
    from ultralytics.nn.tasks import load_checkpoint

    sys.path.insert(0, str(ROOT / "tests"))
    from support.pt_families import NETWORKS, head_of
    from support.pt_writer import checkpoint, official

    with np.load(DATA / "tiny.reference.npz") as file:
        photo = file["pictures"][:1].astype(np.float64) / 255
    photo = np.concatenate([photo, photo[..., :32]], axis=3)  # 64 x 128
    kept = {}
    for name, make in NETWORKS.items():
        tree = make()
        print(name, type(head_of(tree)).__name__)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.pt"
            path.write_bytes(checkpoint(official(tree)))
            network = load_checkpoint(str(path))[0].eval().double()
        with torch.no_grad():
            answer = network(torch.from_numpy(photo))
        candidates, prototypes = answer[0]
        rows = candidates[0].numpy().astype(np.float32)
        kept[f"{name}/candidates"] = rows if rows.shape[1] == 38 else rows[:, ::5]
        kept[f"{name}/prototypes"] = prototypes[0, ::2, ::4, ::4].numpy().astype(np.float32)
        scores = rows[:, 4] if rows.shape[1] == 38 else rows[4:-32]
        print("   ", rows.shape, "scores", scores.min(), scores.mean(), scores.max())
    path = DATA / "families.reference.npz"
    np.savez_compressed(path, **kept)
    print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
