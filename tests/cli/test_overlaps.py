"""--min-area, --no-parts and --disjoint: which objects of photos, videos and results are written."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fastsam_onnx import FastSAM, Segmentation
from fastsam_onnx.cli.program import main
from fastsam_onnx.formats import dataset_entry, encode
from fastsam_onnx.images.video_writer import video_writer

COFFEE = Path(__file__).parents[2] / "examples" / "coffee.jpg"


@pytest.fixture(scope="module")
def found():
    """Objects that overlap."""
    found = FastSAM()(COFFEE)
    assert found.masks.dense().sum(axis=0).max() > 1
    return found


def test_of_a_photo(found, tmp_path):
    target = tmp_path / "coffee.json"
    assert main(["segment", str(COFFEE), "--disjoint", "--quiet", "-o", str(target)]) == 0
    assert target.read_bytes() == encode(found.disjoint(), "json")


def test_without_parts(found, tmp_path):
    wholes = found.without_parts()
    assert len(wholes) < len(found)
    for more, expected in ([], wholes), (["--disjoint"], wholes.disjoint()):
        target = tmp_path / "coffee.json"
        assert main(["segment", str(COFFEE), "--no-parts", *more, "--quiet", "--overwrite", "-o", str(target)]) == 0
        assert target.read_bytes() == encode(expected, "json")


def test_objects_that_share_pixels_are_small_by_what_is_left_of_them(found, tmp_path):
    """--min-area 500 gave one of 213 pixels: what others had left of it."""
    least = int(np.sort(found.disjoint().areas)[-3])
    kept = found[found.areas >= least].disjoint()
    kept = kept[kept.areas >= least]
    assert len(kept) < (found.areas >= least).sum()
    target = tmp_path / "coffee.json"
    options = ["--disjoint", "--min-area", str(least), "--quiet", "-o", str(target)]
    assert main(["segment", str(COFFEE), *options]) == 0
    assert target.read_bytes() == encode(kept, "json")


def test_without_small_ones(found, tmp_path):
    middle = int(np.median(found.areas))
    target = tmp_path / "coffee.json"
    assert main(["segment", str(COFFEE), f"--min-area={middle}", "--quiet", "-o", str(target)]) == 0
    assert target.read_bytes() == encode(found[found.areas >= middle], "json") != encode(found, "json")


def test_of_what_prompts_mean(found, tmp_path):
    points = ["--point", "300,150", "--pick", "all"]
    assert main(["segment", str(COFFEE), *points, "--disjoint", "--quiet", "-o", str(tmp_path / "a.json")]) == 0
    meant = found.point_prompt([(300, 150)], pick="all")
    assert len(meant) > 1
    assert (tmp_path / "a.json").read_bytes() == encode(meant.disjoint(), "json")


@pytest.mark.parametrize("options", [[], ["--track"]])
def test_of_a_video(tmp_path, options):
    picture = cv2.imread(str(COFFEE))[..., ::-1]
    with video_writer(tmp_path / "clip.avi", 10) as add:
        for _ in range(2):
            add(np.ascontiguousarray(picture))
    target = tmp_path / "lines.jsonl"
    assert main(["segment", str(tmp_path / "clip.avi"), *options, "--disjoint", "--quiet", "-o", str(target)]) == 0
    frames = [Segmentation.from_json(line) for line in target.read_text().splitlines()]
    assert len(frames) == 2
    for frame in frames:
        assert len(frame) > 5
        assert frame.masks.dense().sum(axis=0).max() == 1
    assert (
        main(
            ["segment", str(tmp_path / "clip.avi"), *options, "--no-parts", "--quiet", "-o", str(target), "--overwrite"]
        )
        == 0
    )
    for line in target.read_text().splitlines():
        assert (Segmentation.from_json(line).parents() < 0).all()


def test_of_results(found, tmp_path):
    (tmp_path / "coffee.json").write_bytes(encode(found, "json"))
    command = ["convert", str(tmp_path / "coffee.json"), "-o", str(tmp_path / "out")]
    assert main([*command, "--to", "svg", "--no-parts"]) == 0
    assert (tmp_path / "out" / "coffee.svg").read_bytes() == encode(found.without_parts(), "svg")
    command += ["--disjoint", "--overwrite"]
    assert main([*command, "--to", "svg"]) == 0
    assert (tmp_path / "out" / "coffee.svg").read_bytes() == encode(found.disjoint(), "svg")
    assert main([*command, "--to", "coco-dataset"]) == 0
    written = json.loads((tmp_path / "out" / "instances.json").read_text())["annotations"]
    expected = dataset_entry(found.disjoint())["annotations"]
    assert [one["area"] for one in written] == [one["area"] for one in expected]
