"""`segment --boxes-from`: boxes that people have drawn become masks, with their classes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.command_line import FIRST, FIRST_AREA, SECOND, SECOND_AREA, listing, names, photo, read_json

from fastsam_onnx.cli.program import main

COFFEE = Path(__file__).parents[2] / "examples" / "coffee.jpg"
FIRST_SHARES = "0.3125 0.3125 0.375 0.375"  # (8 + 32) / 2 / 64, (32 - 8) / 64
SECOND_SHARES = "0.75 0.78125 0.375 0.3125"


def xywh(box):
    return [box[0], box[1], box[2] - box[0], box[3] - box[1]]


@pytest.fixture
def yolo(tmp_path):
    """Two photos with two boxes and one, and a third one without labels."""
    for name in ("a.png", "b.png", "c.png"):
        photo(tmp_path / "set" / "images" / name)
    labels = tmp_path / "set" / "labels"
    labels.mkdir()
    (labels / "a.txt").write_text(f"1 {SECOND_SHARES}\n0 {FIRST_SHARES}\n")
    (labels / "b.txt").write_text(f"1 {FIRST_SHARES}\n")
    (tmp_path / "set" / "data.yaml").write_text("train: images\nnames: ['cat', \"dog\"]\n")
    return tmp_path / "set"


@pytest.fixture
def coco(tmp_path):
    """The same photos and boxes as a COCO file, with ids of its own."""
    document = {
        "images": [
            {"id": k, "file_name": f"{name}.png", "width": 64, "height": 64} for k, name in ((30, "a"), (20, "b"))
        ],
        "annotations": [
            {"id": 1, "image_id": 30, "category_id": 18, "bbox": xywh(SECOND), "iscrowd": 0},
            {"id": 2, "image_id": 30, "category_id": 7, "bbox": xywh(FIRST), "iscrowd": 0},
            {"id": 3, "image_id": 20, "category_id": 18, "bbox": xywh(FIRST), "iscrowd": 0},
        ],
        "categories": [{"id": 18, "name": "dog"}, {"id": 7, "name": "cat"}],
    }
    (tmp_path / "instances.json").write_text(json.dumps(document))
    return tmp_path / "instances.json"


def test_each_box_is_a_mask_with_the_class_of_its_label(run, yolo, tmp_path):
    out = tmp_path / "out"
    code, _, err = run(yolo / "images", "--boxes-from", yolo / "labels", "--format", "json,yolo", "-o", out)
    assert code == 0
    assert f"photos without labels get no objects: 1 of 3; the first is {yolo / 'images' / 'c.png'}" in err
    assert "3 photos, 3 objects" in err
    found = read_json(out / "a.json")
    told = [(one["name"], one["label"], one["area"], one["prompt_index"]) for one in found["objects"]]
    assert told == [("dog", 1, SECOND_AREA, 0), ("cat", 0, FIRST_AREA, 1)]
    assert [line[:2] for line in (out / "a.txt").read_text().splitlines()] == ["1 ", "0 "]
    assert [one["name"] for one in read_json(out / "b.json")["objects"]] == ["dog"]
    assert read_json(out / "c.json")["objects"] == []
    assert 'names:\n  0: "cat"\n  1: "dog"\n' in (out / "data.yaml").read_text()


def test_ids_of_coco_stay_in_results_and_data_set(run, yolo, coco, tmp_path):
    out = tmp_path / "out"
    code, _, _ = run(yolo / "images", "--boxes-from", coco, "--format", "coco,coco-dataset,overlay", "-o", out)
    assert code == 0
    assert [(one["image_id"], one["category_id"]) for one in read_json(out / "a.coco.json")] == [(30, 18), (30, 7)]
    document = read_json(out / "instances.json")
    assert [(one["id"], one["name"]) for one in document["categories"]] == [(7, "cat"), (18, "dog")]
    assert [(one["category_id"], one["bbox"]) for one in document["annotations"]] == [
        (18, xywh(SECOND)),
        (7, xywh(FIRST)),
        (18, xywh(FIRST)),
    ]
    images = [(one["id"], one["file_name"]) for one in document["images"]]
    assert images == [(30, "a.png"), (20, "b.png"), (31, "c.png")]
    assert (out / "a.overlay.png").is_file()
    assert "instances.json.journal" not in listing(out)


def test_no_photo_without_labels_takes_the_id_of_one_with(run, yolo, tmp_path):
    """It comes first, and the labels have 1 and 2: it was added as 1, and photo b.png was lost."""
    labels = {
        "images": [{"id": 1, "file_name": "b.png"}, {"id": 2, "file_name": "c.png"}],
        "annotations": [],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    out = tmp_path / "out"
    code, _, err = run(yolo / "images", "--boxes-from", tmp_path / "labels.json", "--format", "coco-dataset", "-o", out)
    assert code == 0, err
    ids = {one["file_name"]: one["id"] for one in read_json(out / "instances.json")["images"]}
    assert ids == {"a.png": 3, "b.png": 1, "c.png": 2}


def test_a_run_goes_on_where_it_stopped(run, yolo, coco, tmp_path):
    """Photos that are there are skipped, and ids stay those of the labels."""
    out = tmp_path / "out"
    options = ("--boxes-from", coco, "--format", "coco-dataset", "-o", out)
    assert run(yolo / "images" / "b.png", *options)[0] == 0
    code, _, err = run(yolo / "images", *options)
    assert code == 0
    assert "1 skipped" in err
    document = read_json(out / "instances.json")
    assert [(one["id"], one["name"]) for one in document["categories"]] == [(7, "cat"), (18, "dog")]
    assert [one["category_id"] for one in document["annotations"]] == [18, 18, 7]


def test_a_data_set_with_other_ids_is_not_added_to(run, yolo, coco, tmp_path):
    out = tmp_path / "out"
    run(yolo / "images", "--boxes-from", yolo / "labels", "--format", "coco-dataset", "-o", out)
    before = (out / "instances.json").read_bytes()
    code, _, err = run(yolo / "images", "--boxes-from", coco, "--format", "coco-dataset", "-o", out)
    assert code == 2
    assert f"{out / 'instances.json'} has 'cat' as 1, and 7 must be 'cat'; name another folder" in err
    assert (out / "instances.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "file"),
    [
        (["--format", "yolo", "-o", "set/labels"], "set/labels/a.txt"),
        (["--format", "yolo", "-o", "set/labels", "--overwrite"], "set/labels/a.txt"),
        (["--format", "yolo", "-o", "set", "--overwrite"], "set/data.yaml"),
    ],
)
def test_labels_are_read_and_never_written(run, yolo, monkeypatch, options, file):
    tmp_path = yolo.parent
    monkeypatch.chdir(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    code, _, err = run("set/images", "--boxes-from", "set/labels", *options)
    assert code == 2
    assert f"{Path(file)} would be replaced by a result, but this run reads it; name another place with --output" in err
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_a_coco_file_is_not_the_data_set_that_is_written(run, yolo, coco, tmp_path):
    before = coco.read_bytes()
    code, _, err = run(yolo / "images", "--boxes-from", coco, "--format", "coco-dataset", "-o", tmp_path)
    assert code == 2
    assert "instances.json would be replaced by a result" in err
    assert (coco.read_bytes(), listing(tmp_path)) == (before, ["instances.json", "set"])


def test_labels_of_other_photos_are_refused_before_anything_is_written(run, yolo, tmp_path):
    other = photo(tmp_path / "in" / "z.png")
    code, _, err = run(other, "--boxes-from", yolo / "labels", "-o", tmp_path / "out")
    assert code == 2
    assert f"of 2 photos with names such as 'a', and the photos are 1 such as {other}" in err
    assert not (tmp_path / "out").exists()


def test_a_photo_of_another_size_fails_and_the_others_do_not(run, yolo, coco, tmp_path):
    photo(yolo / "images" / "a.png", (48, 64))
    code, _, err = run(yolo / "images", "--boxes-from", coco, "--format", "json", "-o", tmp_path / "out")
    assert code == 1
    assert (
        f"{yolo / 'images' / 'a.png'}: {coco}: the boxes are of a photo of 64x64 pixels, and this one has 48x64" in err
    )
    assert listing(tmp_path / "out") == ["b.json", "c.json"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--point", "3,3"),
        ("--background", "3,3"),
        ("--box", "1,1,9,9"),
        ("--similarity", "0"),
        ("--text", "cat"),
        ("--classify", "cat"),
        ("--match", "mask"),
        ("--pick", "all"),
        ("--classes", "cat"),
    ],
)
def test_it_stands_alone(run, yolo, option, value):
    code, _, err = run(yolo / "images", "--boxes-from", yolo / "labels", option, value)
    assert code == 2
    assert "--boxes-from asks for the object in each box of the labels; leave out " in err
    assert option in err


def test_it_is_for_photos_with_names(run, yolo, tmp_path):
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"\0\0\0\x18ftypmp42")
    code, _, err = run("-", "--boxes-from", yolo / "labels")
    assert (code, "--boxes-from needs photos with names, got standard input" in err) == (2, True)
    for frames in ([clip], ["--raw", "64x64", "-"], [clip, "--track"]):
        code, _, err = run(*frames, "--boxes-from", yolo / "labels")
        assert (code, "--boxes-from is for photos; the frames of a video have no labels" in err) == (2, True)


def test_tiles_are_refused(run, yolo, tmp_path):
    """They have no candidates: any object that overlaps a box would be its mask (mean IoU 0.46 in place of 0.73)."""
    code, _, err = run(yolo / "images", "--boxes-from", yolo / "labels", "--tile", "64", "-o", tmp_path / "out")
    assert (code, "--boxes-from takes no --tile: each mask is drawn from the photo's own pixels" in err) == (2, True)
    assert not (tmp_path / "out").exists()


def test_what_others_take_away_is_told_and_the_rest_is_called_by_its_place(capsys, tmp_path):
    """Of two labels of one box the first has all pixels; the doubtful slice behind them is the second object then."""
    same = "0 0.4875 0.39625 0.408 0.7325\n"
    (tmp_path / "coffee.txt").write_text(f"{same}{same}0 0.25 0.5 0.1666 1\n")
    (tmp_path / "classes.txt").write_text("cup\n")
    arguments = ["segment", str(COFFEE), "--boxes-from", str(tmp_path), "--format", "json", "-o", f"{tmp_path}/out/"]
    assert main([*arguments, "--disjoint"]) == 0
    told = capsys.readouterr().err
    assert "coffee.jpg: 1 of 3 masks are left out by --disjoint" in told
    assert "coffee.jpg, object 1 (0." in told
    assert [one["prompt_index"] for one in read_json(tmp_path / "out" / "coffee.json")["objects"]] == [0, 2]


def test_trainers_need_the_folders_renamed_not_the_labels_replaced(run, yolo):
    """That results should go to X/labels was said here, too, where it is refused."""
    options = ("--boxes-from", yolo / "labels", "--format", "yolo", "-o", yolo / "labels-segment")
    _, _, err = run(yolo / "images", *options)
    assert "there lie those that this run reads: rename the folders when you like the results" in err


def test_what_is_likely_to_be_wrong_is_told(capsys, tmp_path):
    """Of a slice of the photo from top to bottom the bundled model's decoder expects nothing good."""
    (tmp_path / "coffee.txt").write_text("0 0.25 0.5 0.1666 1\n0 0.4875 0.39625 0.408 0.7325\n")
    (tmp_path / "classes.txt").write_text("cup\n")
    arguments = ["segment", str(COFFEE), "--overwrite", "-o", f"{tmp_path}/out/"]
    for more in ([], ["--disjoint"]):
        assert main([*arguments, "--boxes-from", str(tmp_path), *more]) == 0
        told = capsys.readouterr().err
        assert "worth a look: 1 of 2 masks" in told
        assert "coffee.jpg, object 0 (0." in told
    assert main([*arguments, "--box=100,0,200,400"]) == 0
    assert "worth a look" not in capsys.readouterr().err, "who asks for one box looks at it"
