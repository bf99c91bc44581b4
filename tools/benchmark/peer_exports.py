"""ultralytics' own OpenVINO exports of a checkpoint, float32 and int8; runs in the environment of ultralytics.

    PEERS/bin/python -m tools.benchmark.peer_exports FastSAM-s.pt FOLDER --photos PHOTOS [--sizes 384x640,576x1024]

One export for each size, height x width, of the input: with its shapes settled OpenVINO is quickest. The int8 ones are
quantized by ultralytics itself (NNCF, which `pip install nncf openvino` brings), calibrated on all the photos.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

KINDS = ("fp32", "int8")
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png")


def export_name(stem: str, size: tuple[int, int], kind: str) -> str:
    """The folder of an export; ultralytics knows OpenVINO by the end of the name."""
    return f"{stem}-{size[0]}x{size[1]}-{kind}_openvino_model"


def export(checkpoint: Path, folder: Path, size: tuple[int, int], kind: str, photos: Path) -> None:
    """Write one export; nothing if it is there already."""
    from ultralytics import FastSAM

    target = folder / export_name(checkpoint.stem, size, kind)
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as made:
        copy = Path(made, target.name.removesuffix("_openvino_model") + ".pt")
        shutil.copy(checkpoint, copy)  # the export appears beside it
        options = {"int8": True, "data": str(_data_set(photos, Path(made)))} if kind == "int8" else {"half": False}
        shutil.move(FastSAM(str(copy)).export(format="openvino", imgsz=size, **options), target)


def _data_set(photos: Path, folder: Path) -> Path:
    """The photos as a data set of ultralytics; its labels are not looked at, but must be there."""
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for photo in sorted(each for each in photos.iterdir() if each.suffix.lower() in PHOTO_SUFFIXES):
        shutil.copy(photo, folder / "images")
        (folder / "labels" / f"{photo.stem}.txt").write_text("0 0.2 0.2 0.6 0.2 0.6 0.6 0.2 0.6\n")
    description = folder / "photos.yaml"
    description.write_text(f"path: {folder}\ntrain: images\nval: images\nnames:\n  0: object\n")
    return description


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=Path, required=True, help="photos to calibrate on, 30 or more")
    parser.add_argument("--sizes", default="384x640,576x1024", help="height x width, separated by commas")
    arguments = parser.parse_args()
    os.environ |= {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for text in arguments.sizes.split(","):
        height, width = (int(side) for side in text.split("x"))
        for kind in KINDS:
            export(arguments.checkpoint.resolve(), arguments.folder, (height, width), kind, arguments.photos)
    return 0


if __name__ == "__main__":
    sys.exit(main())
