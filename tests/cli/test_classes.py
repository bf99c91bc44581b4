"""--classes and --no-agnostic."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from support import tiny_onnx
from support.command_line import photo, read_json

from fastsam_onnx.cli.program import main

PERSON, DOG = "person", "dog"


@pytest.fixture
def model(tmp_path):
    """Finds a person, a dog elsewhere, and the person's place again as a dog."""
    boxes = [[20, 20, 24, 24], [48, 50, 24, 20], [20, 20, 24, 24]]
    scores = [[0.9, 0.1], [0.1, 0.8], [0.0, 0.7]]
    metadata = {"names": str({0: PERSON, 1: DOG})}
    file = tmp_path / "model" / "classes.onnx"
    file.parent.mkdir()
    file.write_bytes(tiny_onnx.known(boxes, scores, [[5.0]] * 3, np.ones((1, 16, 16)), metadata=metadata))
    return str(file)


def names(path):
    return [one["name"] for one in read_json(path)["objects"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [PERSON, DOG]),
        (("--no-agnostic",), [PERSON, DOG, DOG]),
        (("--classes", "dog"), [DOG]),
        (("--classes", "dog, person"), [PERSON, DOG]),
        (("--classes", "dog", "--classes", "person"), [PERSON, DOG]),
        (("--classes", "0"), [PERSON]),
        (("--classes", "dog", "--point", "20,20"), []),
        (("--classes", "dog", "--point", "48,50"), [DOG]),
    ],
)
def test_objects_of_classes(model, tmp_path, arguments, expected):
    path = photo(tmp_path / "a.png")
    assert main(["segment", "--model", model, str(path), "--format", "json", *arguments]) == 0
    assert names(tmp_path / "a.json") == expected


def test_prompts_among_objects_of_classes_have_them_drawn_anew(model, tmp_path, options_used):
    """There points choose among the objects, so somebody sees them."""
    path = photo(tmp_path / "a.png")
    arguments = [
        "segment",
        "--model",
        model,
        str(path),
        "--redraw",
        "--point",
        "48,50",
        "--format",
        "json",
        "--overwrite",
    ]
    for more, expected in ((["--classes", "dog"], True), ([], False)):
        assert main([*arguments, *more]) == 0
        assert options_used[-1].redraw is expected


def test_objects_of_classes_in_frames(model, tmp_path, options_used):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 64))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    writer.write(np.full((64, 64, 3), 90, np.uint8))
    writer.release()
    lines = tmp_path / "clip.jsonl"
    assert main(["segment", "--model", model, str(path), "-o", str(lines), "--classes", "dog", "--no-agnostic"]) == 0
    [frame] = map(json.loads, lines.read_text().splitlines())
    assert [one["name"] for one in frame["objects"]] == [DOG, DOG]
    assert main(["segment", "--model", model, str(path), "-o", str(lines), "--classes", "cat", "--overwrite"]) == 2
    chosen = ["--classes", "dog", "--point", "48,50", "--redraw", "--overwrite"]
    assert main(["segment", "--model", model, str(path), "-o", str(lines), *chosen]) == 0
    assert options_used[-1].redraw is True


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("dgo", "got 'dgo' (did you mean 'dog'?); it knows 0 'person', 1 'dog'"),
        ("2", "got 2; it knows"),
        ("dog,", "names of classes with commas between, got 'dog,'"),
    ],
)
def test_classes_that_the_model_does_not_know_are_told_before_anything_is_done(
    model, tmp_path, capsys, classes, message
):
    assert main(["segment", "--model", model, str(photo(tmp_path / "a.png")), "--classes", classes]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "a.json").exists()


@pytest.mark.parametrize("classes", ['"dgo"', '["dog", "dgo"]'])
def test_so_are_those_of_a_file_of_prompts_not_once_for_every_photo(model, tmp_path, capsys, classes):
    file = tmp_path / "prompts.json"
    file.write_text(f'{{"classes": {classes}}}')
    photo(tmp_path / "in" / "a.png")
    assert main(["segment", "--model", model, str(tmp_path / "in"), "--prompts", str(file)]) == 2
    assert "got 'dgo' (did you mean 'dog'?)" in capsys.readouterr().err
    file.write_text('{"classes": "dog"}')
    assert main(["segment", "--model", model, str(tmp_path / "in"), "--prompts", str(file)]) == 0


def test_classes_of_a_model_that_has_none(run, tmp_path):
    code, _, err = run(photo(tmp_path / "a.png"), "--classes", "dog")
    assert code == 2
    assert "no classes to choose" in " ".join(err.split())


def test_the_data_file_of_yolo_labels_names_the_classes(model, tmp_path):
    photo(tmp_path / "photos" / "a.png")
    out = tmp_path / "out"
    assert main(["segment", "--model", model, str(tmp_path / "photos"), "-o", str(out), "--format", "yolo"]) == 0
    assert 'names:\n  0: "person"\n  1: "dog"\n' in (out / "data.yaml").read_text()
    [labels] = out.rglob("*.txt")
    assert [line[0] for line in labels.read_text().splitlines()] == ["0", "1"]
