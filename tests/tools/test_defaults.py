"""The default threshold of a network is chosen by F1 and written into its metadata."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile

import cv2
import numpy as np
import pytest
from support.tiny_onnx import known, tiny, ultralytics_metadata

from fastsam_onnx import FastSAM, Mask

onnx = pytest.importorskip("onnx")
from tools.train import choose_conf, set_defaults  # noqa: E402


def test_other_defaults_and_the_same_weights(tmp_path, monkeypatch):
    path = tmp_path / "small.onnx"
    path.write_bytes(tiny(metadata=ultralytics_metadata(imgsz=(96, 96)) | {"conf": "0.02"}))
    before = onnx.load(path)
    manifest = {"file": "small.onnx", "thresholds": {"conf": 0.02, "iou": 0.7}}
    path.with_suffix(".json").write_text(json.dumps(manifest), encoding="utf-8")
    monkeypatch.setattr(
        sys, "argv", ["set_defaults", str(path), "--conf", "0.3", "--covered", "0.5", "--refine", "--no-redraw"]
    )
    set_defaults.main()
    assert onnx.load(path).graph == before.graph
    model = FastSAM(path)
    options = model.options
    assert model.contract.metadata.covered == 0.5
    assert (options["imgsz"], options["conf"], options["refine"], options["redraw"]) == ((96, 96), 0.3, True, False)
    data, written = path.read_bytes(), json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert written["thresholds"] == {"conf": 0.3, "iou": 0.7, "covered": 0.5, "refine": True, "redraw": False}
    assert (written["bytes"], written["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_of_nearly_equal_thresholds_the_lowest_is_chosen():
    assert choose_conf.choose({0.1: 0.2, 0.2: 0.286, 0.3: 0.3, 0.4: 0.29}) == 0.2
    assert choose_conf.choose({0.1: 0.2, 0.2: 0.284, 0.3: 0.3, 0.4: 0.29}) == 0.3


def test_verdicts_at_every_threshold(tmp_path):
    """The annotated object has score 0.3; a mask at 0.19 lies where nothing is annotated, one at 0.11 is its half."""
    truth = np.zeros((64, 64), bool)
    truth[0:32, 0:32] = True
    lines = {"file": "a.png", "masks": [{"segmentation": Mask.from_dense(truth).rle(), "bbox": [0, 0, 32, 32]}]}
    folder = tmp_path / "train_validation"
    folder.mkdir()
    with gzip.open(folder / "masks.jsonl.gz", "wt") as file:
        file.write(json.dumps(lines) + "\n")
    picture = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    with tarfile.open(folder / "photos-000.tar", "w") as tar:
        member = tarfile.TarInfo("a.png")
        member.size = len(picture)
        tar.addfile(member, io.BytesIO(picture))
    boxes = [[16, 16, 32, 32], [48, 48, 32, 32], [8, 16, 14, 32]]
    network = known(boxes, [0.3, 0.19, 0.11], [[1.0]] * 3, np.ones((1, 16, 16)))
    verdicts, objects = choose_conf.judge(FastSAM(network, threads=1), tmp_path, 5)  # more than there are
    counts = {conf: (each.right, each.wrong, each.missed) for conf, each in verdicts.items()}
    assert counts[0.1] == (1, 1, 0)
    assert counts[0.12] == counts[0.25] == (1, 0, 0)
    assert counts[0.3] == (0, 0, 1)
    assert (objects[0.1], objects[0.12], objects[0.2], objects[0.3]) == (3, 2, 1, 0)
