"""Every hostile file through `segment`, in one process: no crash, no hang, the expected outcome, memory as before."""

from __future__ import annotations

import gc
import json
import time
import zipfile
from pathlib import Path

import pytest
from support.tiny_onnx import tiny

from fastsam_onnx import FastSAM
from fastsam_onnx.cli.program import main

GIF_SINCE = (4, 12)  # older wheels of OpenCV lack the decoders of GIF and animated WebP, and say so


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 300 files, those with odd names unpacked among them."""
    original = Path(__file__).parents[3] / "shared" / "data" / "hostile_images"
    if not original.is_dir():
        pytest.skip("needs ../shared/data/hostile_images, which is for development")
    copy = tmp_path_factory.mktemp("hostile")
    for path in original.iterdir():
        if path.suffix != ".zip":
            (copy / path.name).write_bytes(path.read_bytes())
    with zipfile.ZipFile(original / "odd-names.zip") as names:
        names.extractall(copy)
    return copy


def entries(folder: Path) -> list[dict]:
    listed = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    assert len(listed) == 300
    return listed


def resident_kilobytes() -> int:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("resident memory is read from /proc")
    [line] = [line for line in status.read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])


def run(
    folder: Path, names: list[str], output: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> dict[str, dict]:
    """What became of each input, by file name."""
    inputs = [str(folder / name) for name in names]
    code = main(
        [
            "segment",
            "--json",
            "--quiet",
            "--model",
            str(model),
            "--imgsz",
            "160",
            "-o",
            str(output),
            "--format",
            "json",
            *inputs,
        ]
    )
    assert code == 1  # some inputs failed, and the rest is done
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    return {Path(line["input"]).name: line for line in lines}


def test_every_file_has_its_outcome_and_memory_comes_back(folder, tmp_path, capfd):
    import cv2

    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny())
    listed = entries(folder)
    names = [entry["file"] for entry in listed]
    began = time.monotonic()
    outcomes = run(folder, names, tmp_path / "first", model, capfd)
    assert time.monotonic() - began < 10 * len(names)  # no hang; the slowest takes well under a second
    assert set(outcomes) == set(names)
    old = tuple(map(int, cv2.__version__.split(".")[:2])) < GIF_SINCE
    for entry in listed:
        outcome = outcomes[entry["file"]]
        if entry["expected"] == "error":
            assert outcome["status"] == "failed", entry
        elif entry["expected"] == "decodes" and not (old and "4.12" in outcome.get("error", "")):
            assert outcome["status"] == "done", (entry, outcome)
            assert [outcome["width"], outcome["height"]] == entry["size"], entry
    gc.collect()
    before = resident_kilobytes()
    run(folder, names, tmp_path / "second", model, capfd)
    gc.collect()
    assert resident_kilobytes() - before < 20_000


def test_all_orientations_give_the_same_upright_masks(folder):
    # Lossless files: equal pixels, so equal masks. JPEGs turned before compression differ a little: see test_load.py.
    group = [entry["file"] for entry in entries(folder) if entry.get("group") == "same-pixels:exif-lossless"]
    assert len(group) > 8
    model = FastSAM(conf=0.2)
    first, *others = ([mask.rle() for mask in model(folder / name).masks] for name in group)
    assert first
    assert all(other == first for other in others)
