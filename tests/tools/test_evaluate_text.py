"""tools/evaluate_text.py with the toy CLIP: what it prints for photos whose answers are known."""

import gzip
import io
import json
import tarfile

import cv2
import numpy as np
import pytest
from support import toy_clip
from support.tiny_onnx import known

from fastsam_onnx import Mask


@pytest.fixture(scope="module")
def evaluate(load_tool):
    return load_tool("evaluate_text")


@pytest.fixture
def run(evaluate, tmp_path, monkeypatch, capsys):
    """Run the tool on a folder; gives the cells of its tables by the first of a row."""
    clip = toy_clip.write(tmp_path / "clip")
    model = tmp_path / "model.onnx"
    # Input 64 x 64; x 0..32 with score 0.9, x 32..64 with 0.8 and x 0..64, y 0..16 with 0.7; all pixels of a box.
    boxes = [[16, 32, 32, 64], [48, 32, 32, 64], [32, 8, 64, 16]]
    model.write_bytes(known(boxes, [0.9, 0.8, 0.7], [[1.0]] * 3, np.ones((1, 16, 16))))

    def run_tool(data, *arguments):
        command = ["evaluate_text", "--clip", clip, "--model", model, "--data", data, *arguments]
        monkeypatch.setattr("sys.argv", list(map(str, command)))
        assert evaluate.main() == 0
        lines = capsys.readouterr().out.splitlines()
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
        return lines[0], {row[0]: row[1:] for row in rows}

    return run_tool


def two_halves(left, right):
    photo = np.zeros((64, 64, 3), np.uint8)
    photo[:, :32], photo[:, 32:] = toy_clip.COLOURS[left], toy_clip.COLOURS[right]
    done, data = cv2.imencode(".png", photo[..., ::-1])
    assert done
    return bytes(data)


def half(right):
    return Mask(np.ones((64, 32), bool), 32 * right, 0, (64, 64))


def write_prompts(folder, prompts):
    """Photos, COCO annotations and prompts.json; a prompt is (left colour, right colour, the right half?, text)."""
    (folder / "set" / "images").mkdir(parents=True)
    (folder / "text_prompts").mkdir()
    entries, annotations = [], []
    for number, (left, right, is_right, text) in enumerate(prompts):
        image = f"set/images/{number}.png"
        (folder / image).write_bytes(two_halves(left, right))
        annotations.append(
            {"id": 7 + number, "image_id": number, "category_id": number, "segmentation": half(is_right).rle()}
        )
        entries.append(
            {"image": image, "image_id": number, "annotations": "set/a.json", "annotation_id": 7 + number}
            | {"category": f"label {number}", "prompt": text}
        )
    categories = [{"id": number, "name": f"label {number}"} for number in range(len(prompts))]
    content = {"annotations": annotations, "categories": categories}
    (folder / "set" / "a.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "text_prompts" / "prompts.json").write_text(json.dumps({"prompts": entries}), encoding="utf-8")
    return folder / "text_prompts"


def test_right_answers_and_what_they_compete_with(run, tmp_path):
    prompts = [("red", "blue", 0, "a photo of a red thing"), ("green", "yellow", 1, "the yellow dog")]
    title, rows = run(write_prompts(tmp_path, prompts))
    assert title.startswith("2 phrases in 2 photos of text_prompts, 3 masks a photo")
    assert rows["default"][:2] == ["1.000", "1.000"]
    # The masks are both halves (IoU 1 and 0) and the upper quarter of both: 512 pixels of 2048, and 512 outside.
    quarter = 512 / (2048 + 512)
    assert rows["a random mask"] == ["0.333", f"{(1 + 0 + quarter) / 3:.3f}"]
    assert rows["the best mask"] == ["1.000", "1.000"]
    # Of equal areas the first, the left half, is the largest.
    assert rows["the largest mask"] == ["0.500", "0.500"]


def test_wrong_answers_count(run, tmp_path):
    _, rows = run(write_prompts(tmp_path, [("red", "blue", 0, "blue"), ("red", "blue", 0, "red")]))
    assert rows["default"][:2] == ["0.500", "0.500"]


def test_absent_objects_are_told_from_present_ones(run, tmp_path):
    prompts = [("red", "blue", 0, "red"), ("green", "yellow", 1, "yellow"), ("white", "black", 0, "white")]
    _, rows = run(write_prompts(tmp_path, prompts), "--styles", "mean", "black")
    assert rows["mean"][2] == "1.000"
    assert set(rows) >= {"mean", "black"}
    _, rows = run(tmp_path / "text_prompts", "--styles", "all", "mean")
    assert set(rows) >= {"default", "mean", "photo, margin 0.3"}


def test_a_packed_set_names_what_occurs_once(run, tmp_path):
    masks = [(half(0), "red"), (half(1), "blue"), (half(0), "twice"), (half(1), "twice")]
    masks.append((Mask(np.ones((4, 4), bool), 0, 0, (64, 64)), "speck"))
    entry = {"file": "a.png", "width": 64, "height": 64}
    entry["masks"] = [{"segmentation": mask.rle(), "area": mask.area, "label": label} for mask, label in masks]
    folder = tmp_path / "packed"
    folder.mkdir()
    with gzip.open(folder / "masks.jsonl.gz", "wt", encoding="utf-8") as lines:
        lines.write(json.dumps(entry) + "\n")
    with tarfile.open(folder / "photos-000.tar", "w") as photos:
        data = two_halves("red", "blue")
        member = tarfile.TarInfo("a.png")
        member.size = len(data)
        photos.addfile(member, io.BytesIO(data))
    title, rows = run(folder)
    assert title.startswith("2 phrases in 1 photos")
    assert rows["default"][:2] == ["1.000", "1.000"]
    title, _ = run(folder, "--labels", "blue")
    assert title.startswith("1 phrases")
    with pytest.raises(SystemExit, match="packed has no photo with a phrase"):
        run(folder, "--labels", "green")


@pytest.mark.parametrize(
    ("present", "absent", "expected"), [([3, 2], [1], 1), ([1, 3], [2], 0.5), ([1], [1], 0.5), ([0], [1], 0)]
)
def test_auc(evaluate, present, absent, expected):
    assert evaluate.auc(present, absent) == expected


def test_the_phrases_that_come_with_the_project(evaluate, shared):
    photos = list(evaluate.photos_of(shared / "data" / "text_prompts", None))
    assert len(photos) == 69
    assert sum(len(photo.phrases) for photo in photos) == 92
    assert all(phrase.label in photo.labels for photo in photos for phrase in photo.phrases)
