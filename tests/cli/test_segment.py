"""`segment`: outputs, folders, what exists, and that one bad photo stops nothing else."""

import base64
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import tiny_onnx
from support.command_line import (
    FIRST,
    FIRST_AREA,
    PNG_MAGIC,
    POSIX,
    SECOND,
    SECOND_AREA,
    areas,
    listing,
    names,
    photo,
    read_json,
)

from fastsam_onnx import formats
from fastsam_onnx.cli.program import main
from fastsam_onnx.formats.registry import FORMATS
from fastsam_onnx.model import FastSAM


def test_a_photo_gives_an_overlay_and_json_beside_it(run, tmp_path):
    code, out, err = run(photo(tmp_path / "cat.jpg"))
    assert code == 0
    assert out == ""
    assert names(tmp_path) == ["cat.jpg", "cat.json", "cat.overlay.png"]
    assert (tmp_path / "cat.overlay.png").read_bytes().startswith(PNG_MAGIC)
    found = read_json(tmp_path / "cat.json")
    assert [one["box"] for one in found["objects"]] == [FIRST, SECOND]
    assert [one["area"] for one in found["objects"]] == [FIRST_AREA, SECOND_AREA]
    assert "64x64, 2 objects -> " in err
    assert "1 photo, 2 objects, " in err
    assert "photos/s" in err


def test_tiles_see_what_a_view_of_the_whole_misses(run, tmp_path):
    # The network finds the same two boxes in whatever it sees: a photo of 2 x 2 tiles has them five times.
    path = photo(tmp_path / "large.png", size=(112, 112))
    assert run(path, "--format", "json", "--tile", "64")[0] == 0
    boxes = [one["box"] for one in read_json(tmp_path / "large.json")["objects"]]
    assert FIRST in boxes
    assert [edge + 48 for edge in SECOND] in boxes
    assert len(boxes) == 10
    assert run(path, "--tile", "63", "--overwrite")[0] == 2


OUTLINES = ("labelme", "yolo", "svg", "geojson", "coco-dataset")


@pytest.fixture
def slanting(tmp_path):
    """A network whose only object is half of the box FIRST, below a diagonal; and a photo."""
    rows, columns = np.mgrid[:16, :16]
    file = tmp_path / "slanting.onnx"
    file.write_bytes(tiny_onnx.known([[20, 20, 24, 24]], [0.9], [[1.0]], (rows - columns)[None] + 0.25))
    return file, photo(tmp_path / "a.png")


@pytest.mark.parametrize("form", OUTLINES)
def test_outlines_stray_by_the_tolerance_as_in_python(form, run, slanting, tmp_path):
    network, path = slanting
    tolerance = 0 if form == "labelme" else 3  # its own is 1
    with FastSAM(network) as model:
        found = model(path)
    if form == "coco-dataset":
        expected = formats.dataset_entry(found, tolerance=tolerance)["annotations"][0]["segmentation"]
        assert expected != formats.dataset_entry(found)["annotations"][0]["segmentation"]
    else:
        expected = formats.encode(found, form, tolerance=tolerance)
        assert expected != formats.encode(found, form)
    out = tmp_path / "out"
    assert run(path, "--model", network, "--format", f"{form},json", "--tolerance", tolerance, "-o", f"{out}/")[0] == 0
    if form == "coco-dataset":
        assert read_json(out / "instances.json")["annotations"][0]["segmentation"] == expected
    elif form == "labelme":  # which also says where the photo lies
        assert read_json(out / "a.labelme.json")["shapes"] == json.loads(expected)["shapes"]
    else:
        assert (out / f"a{FORMATS[form].suffixes[0]}").read_bytes() == expected


def test_a_tolerance_without_outlines_is_refused_before_the_work(run, tmp_path):
    path = photo(tmp_path / "a.png")
    for given, without in (((), "overlay, json"), (("--format", "coco"), "coco")):
        code, _, err = run(path, *given, "--tolerance", "1")
        assert code == 2
        assert f"--tolerance is for outlines, and {without} have none; write one of {', '.join(OUTLINES)}" in err
    assert run(path, "--format", "svg", "--tolerance", "-1")[0] == 2
    assert names(tmp_path) == ["a.png"]


def test_soft_cutouts_are_those_of_python(run, network, tmp_path):
    path = photo(tmp_path / "a.png")
    with FastSAM(network) as model:
        found = model(path)
    assert run(path, "--format", "cutouts", "--soft", "--whole", "-o", f"{tmp_path / 'out'}/")[0] == 0
    for name, expected in formats.to_cutouts(found, soft=True, whole=True):
        written = cv2.imread(str(tmp_path / "out" / "a.cutouts" / name), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(written[..., [2, 1, 0, 3]], expected)
    assert run(path, "--soft", "-o", tmp_path / "both.cutout.png")[0] == 0
    written = cv2.imread(str(tmp_path / "both.cutout.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written[..., [2, 1, 0, 3]], formats.to_cutout(found, soft=True))
    code, _, err = run(path, "--format", "svg", "--soft", "--overwrite")
    assert (code, "--soft is for cut-outs and layers, and svg have none; write one of cutout, cutouts, psd" in err) == (
        2,
        True,
    )


def test_a_mask_grows_as_in_python(run, network, tmp_path):
    path = photo(tmp_path / "a.png")
    with FastSAM(network) as model:
        found = model(path)
    for options, expected in (((), found.union()), (("--grow", "3"), found.union().grown(3))):
        assert run(path, "-o", tmp_path / "a.mask.png", *options, "--overwrite")[0] == 0
        written = cv2.imread(str(tmp_path / "a.mask.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(written, 255 * expected.dense())
    for options, reason in (
        (
            ("--format", "svg", "--grow", "3"),
            "--grow is for masks in black and white, and svg have none; write one of mask",
        ),
        (("--format", "mask", "--grow", "1001"), "must be an integer from 0 to 1000, got 1001"),
        (("--format", "mask", "--grow", "1.5"), "must be an integer from 0 to 1000, got '1.5'"),
    ):
        code, _, err = run(path, *options)
        assert (code, reason in err) == (2, True)


@pytest.fixture
def with_decoder(tmp_path):
    """The network of `run` with a decoder, which sees what is red."""
    file = tmp_path / "decoder.onnx"
    prototypes = np.stack([np.full((16, 16), -1.0), np.zeros((16, 16))])
    prototypes[0, 2:8, 2:8] = 1  # pixels 8 to 32, as the box
    metadata = {"refine": "True", "decoder": base64.b64encode(tiny_onnx.toy_decoder(2 + 5)).decode()}
    file.write_bytes(tiny_onnx.known([[20, 20, 24, 24]], [0.9], [[5.0, 0.0]], prototypes, metadata=metadata))
    return file


def test_redrawn_objects_follow_the_photo(run, tmp_path, with_decoder):
    """Red is 22 x 20 pixels; the network's mask 24 x 24 less its four corners."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[10:30, 9:31, 2] = 255
    cv2.imwrite(str(tmp_path / "red.png"), image)
    for options, area in (([], 24 * 24 - 4), (["--redraw"], 22 * 20)):
        assert run(tmp_path / "red.png", "--model", with_decoder, "--format", "json", "--overwrite", *options)[0] == 0
        assert areas(tmp_path / "red.json") == [area]


@pytest.mark.parametrize("option", ["refine", "redraw"])
def test_refine_and_redraw_are_those_of_python(run, tmp_path, options_used, option):
    file = tmp_path / "own.onnx"
    file.write_bytes(tiny_onnx.tiny(metadata=tiny_onnx.ultralytics_metadata() | {option: "True"}))
    path = photo(tmp_path / "cat.png")
    for arguments in ([f"--{option}"], [], ["--model", file], ["--model", file, f"--no-{option}"]):
        assert run(path, "--format", "json", "--overwrite", *arguments)[0] == 0
    assert [getattr(each, option) for each in options_used] == [True, False, True, False]


def test_objects_that_nobody_sees_are_not_drawn_anew(run, tmp_path, with_decoder, options_used):
    path = photo(tmp_path / "cat.png")
    point = ["--point", "20,20"]
    for more, expected in (
        ([], True),
        (point, False),
        ([*point, "--pick", "alternatives"], False),
        ([*point, "--pick", "all"], True),
        ([*point, "--tile", "64"], True),  # points choose among the objects there, as in Python
    ):
        assert run(path, "--model", with_decoder, "--redraw", "--format", "json", "--overwrite", *more)[0] == 0
        assert options_used[-1].redraw is expected


def test_formats_and_a_folder_that_is_made(run, tmp_path):
    formats = [argument for name in FORMATS for argument in ("--format", name)]
    code, _, _ = run(photo(tmp_path / "cat.png"), *formats, "--output", tmp_path / "new" / "results")
    assert code == 0
    assert names(tmp_path / "new" / "results") == [
        "cat.coco.json",
        "cat.colours.png",
        "cat.csv",
        "cat.cutout.png",
        "cat.cutouts/object-0000.png",
        "cat.cutouts/object-0001.png",
        "cat.edges.png",
        "cat.geojson",
        "cat.json",
        "cat.labelme.json",
        "cat.labels.png",
        "cat.layers.psd",
        "cat.mask.png",
        "cat.masks/mask-0000.png",
        "cat.masks/mask-0001.png",
        "cat.overlay.png",
        "cat.sam.json",
        "cat.svg",
        "cat.txt",
        "cat.voc.png",
        "data.yaml",
    ]


def test_labelme_finds_the_photo_and_coco_has_its_id(run, tmp_path):
    source = photo(tmp_path / "photos" / "000139.png")
    run(source, "--format", "labelme,coco", "--output", tmp_path / "out")
    assert read_json(tmp_path / "out" / "000139.json")["imagePath"] == "../photos/000139.png"
    records = read_json(tmp_path / "out" / "000139.coco.json")
    assert [(one["image_id"], one["file_name"]) for one in records] == [(139, "000139.png")] * 2


def test_labelme_finds_its_file_beside_the_photo_unless_json_is_wanted_too(run, tmp_path):
    photo(tmp_path / "in" / "a.png")
    run(tmp_path / "in", "--format", "labelme")
    assert read_json(tmp_path / "in" / "a.json")["imagePath"] == "a.png"
    out = tmp_path / "out"
    run(tmp_path / "in", "--format", "labelme", "--format", "json", "--output", out)
    assert read_json(out / "a.json")["format"] == "fastsam-onnx"
    assert read_json(out / "a.labelme.json")["imagePath"] == "../in/a.png"


@pytest.mark.parametrize("inputs", [["in"], ["in/a.png"], ["in", "--overwrite"], ["in/a.png", "--overwrite"]])
@pytest.mark.parametrize("theirs", ['{"version": "5.4.1", "shapes": []}', "{}", "[1]", '{"title": "photo"}'])
def test_a_json_file_of_another_program_is_never_replaced(run, tmp_path, monkeypatch, inputs, theirs):
    """The files of labelme have the same name, and somebody has drawn them."""
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "a.json").write_text(theirs)
    code, _, said = run(*inputs)
    assert code == 1
    assert "a.json is no result of the format json, and is not replaced; name another folder with --output" in said
    assert listing(tmp_path / "in") == ["a.json", "a.png"]
    assert (tmp_path / "in" / "a.json").read_text() == theirs


def test_our_json_is_not_taken_for_labelmes(run, tmp_path):
    """The photo was skipped, and with another format beside it nothing was said at all."""
    photo(tmp_path / "in" / "a.png")
    run(tmp_path / "in", "--format", "json")
    ours = read_json(tmp_path / "in" / "a.json")
    for asked in ("labelme", "labelme,svg"):
        code, _, said = run(tmp_path / "in", "--format", asked)
        assert code == 1
        assert "a.json is a result of the format json, which has the same name as labelme's; name another" in said
        assert read_json(tmp_path / "in" / "a.json") == ours
        assert listing(tmp_path / "in") == ["a.json", "a.png"]
    assert run(tmp_path / "in", "--format", "labelme", "--overwrite")[0] == 0
    assert "shapes" in read_json(tmp_path / "in" / "a.json")


def test_results_that_are_kept_beside_new_ones_are_counted(run, tmp_path):
    for name in ("a", "b", "c"):
        photo(tmp_path / "in" / f"{name}.png")
    run(tmp_path / "in" / "a.png", "--format", "json,svg")
    run(tmp_path / "in" / "b.png", "--format", "json")
    code, _, said = run(tmp_path / "in", "--format", "json,svg")
    assert code == 0
    assert "1 skipped, for results of their names exist (--overwrite replaces them), 1 of their results kept" in said
    assert "kept as they were (--overwrite replaces them); results beside the photos" in said
    assert "kept" not in run(tmp_path / "in", "--format", "json,svg", "--overwrite")[2]


def test_what_needs_all_of_a_large_photo_is_refused_before_its_tiles(run, tmp_path, monkeypatch):
    """Of more than 64 megapixels a few rows are in memory at a time; all tiles were computed, and nothing written."""
    monkeypatch.setattr("fastsam_onnx.images.rows.STRIPS_ABOVE", 1000)
    source = tmp_path / "a.pgm"
    source.write_bytes(b"P5\n64 64\n255\n" + bytes(64 * 64))
    monkeypatch.setattr("fastsam_onnx.model.FastSAM.__call__", None)  # would fail if asked
    for forms, told in (("overlay,json", "overlay needs"), ("cutout,psd", "cutout, psd need")):
        code, _, said = run(source, "--format", forms, "--tile", "64")
        assert code == 1
        assert f"a few rows at a time, and {told} all of it; leave out --tile, or say --format json" in said
    monkeypatch.undo()
    monkeypatch.setattr("fastsam_onnx.images.rows.STRIPS_ABOVE", 1000)
    assert run(source, "--format", "json", "--tile", "64")[0] == 0


def test_photos_of_one_run_have_ids_of_their_own(run, tmp_path):
    for name in ("a/1.png", "b/1.png", "001.png", "a/dog.png", "2.png"):
        photo(tmp_path / "in" / name)
    run(tmp_path / "in", "--recursive", "--format", "coco", "--output", tmp_path / "out")
    files = [read_json(path) for path in sorted((tmp_path / "out").rglob("*.coco.json"))]
    ids = {one["image_id"]: one["file_name"] for records in files for one in records}
    assert ids == {"a/1.png": "a/1.png", "b/1.png": "b/1.png", "001.png": "001.png", "dog": "a/dog.png", 2: "2.png"}


def test_photos_of_the_same_name_in_two_folders_have_ids_of_their_own(run, tmp_path):
    first, second = photo(tmp_path / "a" / "1.png"), photo(tmp_path / "b" / "1.png")
    run(first.parent, second.parent, "--format", "coco", "--output", tmp_path / "out")
    ids = [read_json(path)[0]["image_id"] for path in sorted((tmp_path / "out").rglob("*.coco.json"))]
    assert ids == [first.as_posix(), second.as_posix()]


@pytest.mark.parametrize(
    ("output", "formats", "starts"),
    [
        ("x.png", [], PNG_MAGIC),
        ("x.JPG", [], b"\xff\xd8"),
        ("x.json", [], b"{"),
        ("x.coco.json", [], b"["),
        ("x.json", ["--format", "coco"], b"["),
        ("x.png", ["--format", "labels"], PNG_MAGIC),
        ("x.svg", [], b"<svg"),
    ],
)
def test_output_can_be_a_file(run, tmp_path, output, formats, starts):
    source = photo(tmp_path / "in" / "cat.png")
    code, _, _ = run(source, *formats, "--output", tmp_path / "out" / output)
    assert code == 0
    assert names(tmp_path / "out") == [output]
    assert (tmp_path / "out" / output).read_bytes().startswith(starts)


def test_output_can_be_a_folder_of_cutouts(run, tmp_path):
    for _ in range(2):  # the second time it exists
        code, _, _ = run(photo(tmp_path / "cat.png"), "--output", tmp_path / "x.cutouts", "--overwrite")
        assert code == 0
        assert names(tmp_path / "x.cutouts") == ["object-0000.png", "object-0001.png"]


def test_an_existing_folder_or_a_slash_at_the_end_is_a_folder_whatever_its_name(run, tmp_path):
    (tmp_path / "run.png").mkdir()
    source = photo(tmp_path / "cat.png")
    assert run(source, "--format", "json", "--output", tmp_path / "run.png")[0] == 0
    assert run(source, "--format", "json", "--output", f"{tmp_path / 'new.png'}/")[0] == 0
    assert (tmp_path / "run.png" / "cat.json").is_file()
    assert (tmp_path / "new.png" / "cat.json").is_file()


def test_outputs_that_cannot_be_are_wrong_usage(run, tmp_path):
    source = photo(tmp_path / "in" / "cat.png")
    (tmp_path / "file").write_text("mine")
    for inputs, output in [
        ([source], tmp_path / "file"),  # a file without a suffix that says a format
        ([source, photo(tmp_path / "in" / "dog.png")], tmp_path / "x.png"),
        ([tmp_path / "in"], tmp_path / "x.png"),  # a folder may hold many
        ([tmp_path / "in"], "-"),
        (["-", source], tmp_path / "out"),
        ([source, ""], tmp_path / "out"),  # not the current folder: a shell's variable was unset
    ]:
        assert run(*inputs, "--output", output)[0] == 2
    assert names(tmp_path) == ["file", "in/cat.png", "in/dog.png"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_photo_is_never_overwritten(run, tmp_path):
    source = photo(tmp_path / "cat.png")
    before = source.read_bytes()
    code, _, err = run(source, "--output", source, "--overwrite")
    assert (code, "this run reads it" in err) == (2, True)
    # cat.overlay.png is a photo here too: the result of cat.png gets another name
    other = photo(tmp_path / "cat.overlay.png")
    assert run(source, other, "--overwrite", "--format", "overlay")[0] == 0
    assert source.read_bytes() == other.read_bytes() == before
    assert names(tmp_path) == ["cat.overlay.overlay.png", "cat.overlay.png", "cat.png", "cat.png.overlay.png"]


class TestFolders:
    def test_all_pictures_sorted_and_nothing_else(self, run, tmp_path):
        for name in ("b.jpg", "a.PNG", ".hidden.png", "old.overlay.png", "old.labels.png", "deeper/c.png"):
            photo(tmp_path / name)
        (tmp_path / "notes.txt").write_text("no picture")
        code, out, err = run(tmp_path, "--output", tmp_path / "out", "--json", "--format", "json")
        assert code == 0
        assert [Path(json.loads(line)["input"]).name for line in out.splitlines()] == ["a.PNG", "b.jpg"]
        assert names(tmp_path / "out") == ["a.json", "b.json"]
        assert "2 photos, 4 objects" in err

    def test_recursive_keeps_the_folders(self, run, tmp_path):
        for name in ("photos/a.png", "photos/x/a.png", "photos/x/y/a.png", "photos/x/a.cutouts/object-0000.png"):
            photo(tmp_path / name)
        code, _, _ = run(tmp_path / "photos", "--recursive", "--output", tmp_path / "out", "--format", "json")
        assert code == 0
        assert names(tmp_path / "out") == ["a.json", "x/a.json", "x/y/a.json"]

    def test_patterns_are_looked_up_where_the_shell_has_not(self, run, tmp_path):
        for name in ("in/a1.png", "in/a2.jpg", "in/b1.png", "in/x/a3.png", "in/a1.overlay.png", "in/c[1].png"):
            photo(tmp_path / name)
        (tmp_path / "in" / "a4.txt").write_text("no picture")
        out = tmp_path / "out"
        code, _, err = run(tmp_path / "in" / "**" / "a*", tmp_path / "none*", "--output", out, "--format", "json")
        assert code == 1
        assert "none*: no picture matches" in err
        assert names(out) == ["a1.json", "a2.json", "x/a3.json"]
        assert run(tmp_path / "in" / "a*", "--output", out, "--format", "json")[0] == 0  # found, not named: skipped
        assert run(tmp_path / "in" / "c[1].png", "--output", out / "c.json")[0] == 0  # a file's own name
        assert names(out) == ["a1.json", "a2.json", "c.json", "x/a3.json"]

    @pytest.mark.parametrize("jobs", [1, 2, 5])
    def test_several_photos_at_a_time_give_the_same_in_the_same_order(self, run, tmp_path, jobs):
        for index in range(7):
            photo(tmp_path / "in" / f"{index}.png", size=(60 + index, 64))
        (tmp_path / "in" / "3.png").write_bytes(b"broken")
        code, out, _ = run(tmp_path / "in", "--jobs", jobs, "--json", "--output", tmp_path / "out", "--format", "json")
        assert code == 1
        records = [json.loads(line) for line in out.splitlines()]
        assert [Path(record["input"]).name for record in records] == [f"{index}.png" for index in range(7)]
        assert [record["status"] for record in records] == ["done"] * 3 + ["failed"] + ["done"] * 3
        assert [record["width"] for record in records if "width" in record] == [60, 61, 62, 64, 65, 66]
        assert names(tmp_path / "out") == [f"{index}.json" for index in range(7) if index != 3]

    def test_a_second_run_beside_the_photos_finds_only_the_photos(self, run, tmp_path):
        photo(tmp_path / "a.png")
        assert run(tmp_path)[0] == 0
        code, _, err = run(tmp_path)
        assert code == 0
        assert "0 photos, 0 objects; 1 skipped" in err

    def test_existing_results_are_skipped_and_missing_ones_made(self, run, tmp_path):
        for name in ("a.png", "b.png", "c.png"):
            photo(tmp_path / "in" / name)
        out = tmp_path / "out"
        out.mkdir()
        ours = b'{"format": "fastsam-onnx", "old": 1}'
        for name in ("a.json", "a.overlay.png", "b.json"):
            (out / name).write_bytes(ours)
        code, printed, err = run(tmp_path / "in", "--output", out, "--json")
        assert code == 0
        assert [json.loads(line)["status"] for line in printed.splitlines()] == ["skipped", "done", "done"]
        assert "2 photos, 4 objects" in err
        assert "; 1 skipped" in err
        assert [name for name in names(out) if (out / name).read_bytes() == ours] == [
            "a.json",
            "a.overlay.png",
            "b.json",
        ]
        assert len(names(out)) == 6
        assert run(tmp_path / "in", "--output", out, "--overwrite")[0] == 0
        assert areas(out / "a.json") == [FIRST_AREA, SECOND_AREA]

    def test_nothing_to_do_opens_no_model(self, capsys, tmp_path):
        photo(tmp_path / "a.png")
        (tmp_path / "a.json").write_text('{"format": "fastsam-onnx"}')
        assert main(["segment", str(tmp_path), "--format", "json", "--model", "none.onnx"]) == 0

    def test_a_named_photo_whose_result_exists_fails_and_the_result_stays(self, run, tmp_path):
        source = photo(tmp_path / "a.png")
        (tmp_path / "a.svg").write_text("mine")
        code, _, err = run(source, "--format", "overlay,svg")
        assert code == 1
        assert "a.svg exists" in err
        assert "--overwrite" in err
        assert (tmp_path / "a.svg").read_text() == "mine"
        assert names(tmp_path) == ["a.png", "a.svg"]

    def test_bad_inputs_are_named_and_the_rest_is_done(self, run, tmp_path):
        photo(tmp_path / "in" / "a.png")
        (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 that was it")
        (tmp_path / "in" / "empty.png").touch()
        photo(tmp_path / "in" / "z.png")
        (tmp_path / "bare").mkdir()
        inputs = [tmp_path / "in", tmp_path / "missing.jpg", tmp_path / "bare"]
        code, out, err = run(*inputs, "--output", tmp_path / "out", "--json", "--format", "json")
        assert code == 1
        records = [json.loads(line) for line in out.splitlines()]
        assert {Path(one["input"]).name: one["status"] for one in records} == {
            "bare": "failed",
            "a.png": "done",
            "broken.jpg": "failed",
            "empty.png": "failed",
            "z.png": "done",
            "missing.jpg": "failed",
        }
        assert names(tmp_path / "out") == ["a.json", "z.json"]
        lines = [line for line in err.splitlines() if line.startswith("fastsam-onnx: ")]
        assert len(lines) == 4
        assert f"fastsam-onnx: {tmp_path / 'missing.jpg'}: there is no such file" in lines
        assert any(str(tmp_path / "bare") in line and "--recursive" in line for line in lines)
        assert "2 photos, 4 objects" in err
        assert "; 4 failed" in err

    def test_an_address_is_told_to_be_fetched(self, run):
        for address in ("https://example.org/a.jpg", "https://example.org/a.jpg?size=large"):
            code, _, err = run(address)
            assert code == 1
            assert f"fastsam-onnx: {Path(address)}: pictures are not downloaded; fetch it" in err

    def test_a_defect_in_one_photo_stops_no_other(self, run, tmp_path, monkeypatch):
        def call(self, source, real=FastSAM.__call__, **options):
            if source.name == "a.png":
                raise MemoryError("too\nlarge")
            return real(self, source, **options)

        monkeypatch.setattr(FastSAM, "__call__", call)
        code, _, err = run(photo(tmp_path / "a.png"), photo(tmp_path / "b.png"), "--format", "json")
        assert code == 1
        assert f"fastsam-onnx: {tmp_path / 'a.png'}: unexpected MemoryError: too large\n" in err
        assert names(tmp_path) == ["a.png", "b.json", "b.png"]

    def test_a_photo_above_the_limit_fails(self, run, tmp_path):
        source = photo(tmp_path / "a.png")
        code, _, err = run(source, "--pixel-limit", 64 * 64 - 1)
        assert (code, "more than the pixel limit of 4095" in err) == (1, True)
        assert run(source, "--pixel-limit", 64 * 64)[0] == 0

    def test_bands_and_white_choose_what_is_seen(self, run, tmp_path):
        tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")
        samples = np.full((64, 64, 4), (0, 1000, 2048, 4095), np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", samples, photometric="minisblack", planarconfig="contig")
        run(tmp_path / "a.tif", "--bands", "4,3,2", "--white", "4095", "--format", "cutouts")
        piece = cv2.imread(str(tmp_path / "a.cutouts" / "object-0000.png"), cv2.IMREAD_UNCHANGED)
        assert piece[piece[..., 3] > 0][0].tolist() == [62, 128, 255, 255]  # BGRA; 1000 * 255 / 4095 = 62.3
        code, _, err = run(tmp_path / "a.tif", "--bands", "5", "--overwrite")
        assert (code, "from 1 to 4, got 5" in err) == (1, True)
        code, _, err = run(photo(tmp_path / "b.png"), "--bands", "3,2,1", "--white", "200")
        assert (code, "only those of TIFF files can be chosen" in err) == (1, True)
        for wrong in (("--bands", "1,2"), ("--white", "0")):
            assert run(tmp_path / "a.tif", *wrong)[0] == 2

    @pytest.mark.parametrize("option", [("--bands", "3,2,1"), ("--white", "4095")])
    def test_bands_and_white_of_a_video_are_refused(self, run, option):
        code, _, err = run("--raw", "64x64", "-", *option)
        assert (code, f"{option[0]} is for photos" in err) == (2, True)

    @pytest.mark.parametrize("option", [("--tolerance", "1"), ("--soft",), ("--whole",)])
    def test_outlines_and_cutouts_of_a_video_are_refused(self, run, option):
        code, _, err = run("--raw", "64x64", "-", *option)
        assert (code, "are for outlines and cut-outs; a video gives none" in err) == (2, True)

    def test_a_photo_named_twice_is_done_once(self, run, tmp_path):
        source = photo(tmp_path / "a.png")
        code, out, _ = run(source, tmp_path / "x" / ".." / "a.png", tmp_path, "--json")
        assert code == 0
        assert len(out.splitlines()) == 1


class TestWriting:
    def test_a_file_that_cannot_be_written_fails_alone_and_leaves_nothing(self, run, tmp_path):
        source = photo(tmp_path / "in" / "a.png")
        (tmp_path / "out" / "a.json").mkdir(parents=True)  # a folder is in the way
        code, _, err = run(source, photo(tmp_path / "in" / "b.png"), "--output", tmp_path / "out", "--overwrite")
        assert code == 1
        assert "in/a.png: cannot write" in err.replace("\\", "/")
        assert listing(tmp_path / "out") == ["a.json", "a.overlay.png", "b.json", "b.overlay.png"]

    def test_no_temporary_file_is_left(self, run, tmp_path):
        run(photo(tmp_path / "a.png"), "--overwrite")
        run(tmp_path / "a.png", "--overwrite")
        assert listing(tmp_path) == ["a.json", "a.overlay.png", "a.png"]

    def test_a_file_where_the_folder_should_be(self, run, tmp_path):
        (tmp_path / "file").touch()
        code, _, err = run(photo(tmp_path / "a.png"), "--output", tmp_path / "file" / "results")
        assert code == 1
        assert "cannot make the folder" in err

    @POSIX
    def test_a_folder_that_may_not_be_written(self, run, tmp_path):
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        source = photo(tmp_path / "a.png")
        (tmp_path / "out").mkdir(mode=0o500)
        code, _, err = run(source, "--output", tmp_path / "out")
        assert code == 1
        assert "cannot write" in err

    def test_interrupted(self, run, tmp_path, monkeypatch):
        def call(_self, _source, **_options):
            raise KeyboardInterrupt

        monkeypatch.setattr(FastSAM, "__call__", call)
        code, _, err = run(photo(tmp_path / "a.png"))
        assert code == 130
        assert "interrupted" in err
        assert names(tmp_path) == ["a.png"]


def test_videos_among_photos_are_passed_over_and_that_is_said(run, tmp_path):
    """A run takes either; overlays and masks that an earlier run wrote are no videos of the folder."""
    photo(tmp_path / "in" / "a.png")
    for name in ("one.avi", "two.mp4", "one.overlay.mp4", "one.Mask.mov", "sound.m4a", ".hidden.avi"):
        (tmp_path / "in" / name).write_bytes(b"RIFF\0\0\0\0AVI LIST")
    (tmp_path / "in" / "no.mpg").write_bytes(b"notes")
    for given in (tmp_path / "in", tmp_path / "in" / "*"):
        code, _, err = run(given, "--format", "json", "-o", tmp_path / "out", "--overwrite")
        assert (code, names(tmp_path / "out")) == (0, ["a.json"])
        assert f"warning: {given}: 2 videos are passed over (one.avi, two.mp4); give a video by its own name" in err


def test_raw_files_among_photos_are_passed_over_and_that_is_said(run, tmp_path):
    photo(tmp_path / "in" / "a.png")
    photo(tmp_path / "in" / "more" / "b.png")
    for name in ("a.NEF", "b.dng", "more/c.dng"):
        (tmp_path / "in" / name).write_bytes(b"II*\0")
    out = ("--format", "json", "-o", tmp_path / "out", "--overwrite")
    for given, counted in (
        ([tmp_path / "in"], "2 pictures are passed over (1 .dng, 1 .nef)"),
        ([tmp_path / "in" / "*"], "2 pictures are passed over (1 .dng, 1 .nef)"),
        ([tmp_path / "in", "--recursive"], "3 pictures are passed over (2 .dng, 1 .nef)"),
    ):
        code, _, err = run(*given, *out)
        assert code == 0
        assert f"warning: {given[0]}: {counted}: raw files of cameras are not read; convert them" in err
        assert err.count("warning") == 1
    assert run(tmp_path / "in" / "*.dng", *out)[0] == 1
    assert "passed over" not in run(tmp_path / "in", *out, "--quiet")[2]


@POSIX
def test_a_link_to_a_folder_is_not_searched_and_that_is_said(run, tmp_path):
    photo(tmp_path / "elsewhere" / "b.png")
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "in" / "more").symlink_to(tmp_path / "elsewhere")
    code, _, err = run(tmp_path / "in", "--recursive", "--format", "json", "-o", tmp_path / "out")
    assert (code, names(tmp_path / "out")) == (0, ["a.json"])
    assert f"warning: {tmp_path / 'in' / 'more'} is a link to a folder and is not searched; name it, too" in err
    code, _, err = run(tmp_path / "in", "--format", "json", "-o", tmp_path / "out")
    assert (code, "link" in err) == (0, False)
