"""`convert`: results in our JSON written in every format, without the network."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from support.command_line import FIRST_AREA, POSIX, SECOND_AREA, files_of_at_most, listing, names, photo, read_json

from fastsam_onnx import FastSAM, Mask, Segmentation
from fastsam_onnx.cli.convert import read_result
from fastsam_onnx.cli.program import main
from fastsam_onnx.formats import FORMATS, dataset_entry, encode, to_edges, to_json
from fastsam_onnx.formats.registry import OF_THE_PHOTO
from fastsam_onnx.images.load import load_image


@pytest.fixture
def folder(run, tmp_path):
    """Two photos and their results in JSON."""
    for name in ("a", "b"):
        photo(tmp_path / "in" / f"{name}.png")
    assert run(tmp_path / "in", "--format", "json")[0] == 0
    return tmp_path / "in"


def convert(capsys, *arguments):
    code = main(["convert", *map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("form", [name for name in FORMATS if name not in ("json", "edges")])
def test_every_format_is_what_the_network_would_have_given(form, run, folder, tmp_path, capsys):
    assert run(folder / "a.png", "--format", form, "-o", f"{tmp_path / 'direct'}/")[0] == 0
    code, out, _ = convert(capsys, folder / "a.json", "--to", form, "--photos", folder, "-o", tmp_path / "converted")
    assert code == 0
    [written] = set(listing(tmp_path / "converted")) - {"data.yaml"}
    assert out == f"{tmp_path / 'converted' / written}\n"
    direct, converted = (
        [path.read_bytes() for path in sorted((tmp_path / place).rglob("*")) if path.is_file()]
        for place in ("direct", "converted")
    )
    assert converted == direct


def disc() -> Segmentation:
    """One disc, whose outline has a corner at every pixel."""
    y, x = np.mgrid[:64, :64]
    return Segmentation.from_masks([Mask.from_dense((x - 30) ** 2 + (y - 30) ** 2 < 400)])


@pytest.mark.parametrize("form", ["labelme", "yolo", "svg", "geojson", "coco-dataset"])
def test_outlines_stray_by_the_tolerance(form, tmp_path, capsys):
    found, tolerance = replace(disc(), source="a.png"), 4
    (tmp_path / "a.json").write_text(found.to_json())
    code, out, _ = convert(capsys, tmp_path / "a.json", "--to", form, "--tolerance", tolerance, "-o", tmp_path / "out")
    assert code == 0
    if form == "coco-dataset":
        expected = dataset_entry(found, tolerance=tolerance)["annotations"][0]["segmentation"]
        assert read_json(Path(out.strip()))["annotations"][0]["segmentation"] == expected
        assert len(expected[0]) < len(dataset_entry(found)["annotations"][0]["segmentation"][0])
    else:
        expected = encode(found, form, tolerance=tolerance)
        assert Path(out.splitlines()[0]).read_bytes() == expected
        assert len(expected) < len(encode(found, form))


def test_soft_cutouts_are_those_of_segment(run, folder, tmp_path, capsys):
    assert run(folder / "a.png", "--format", "cutouts", "--soft", "-o", f"{tmp_path / 'direct'}/")[0] == 0
    assert convert(capsys, folder / "a.json", "--to", "cutouts", "--soft", "-o", tmp_path / "converted")[0] == 0
    direct, converted = (
        [path.read_bytes() for path in sorted((tmp_path / place).rglob("*.p[ns][gd]"))]
        for place in ("direct", "converted")
    )
    assert len(direct) == 2
    assert converted == direct
    assert convert(capsys, folder / "a.json", "--to", "json", "--soft", "-o", tmp_path / "other")[0] == 2


def test_a_tolerance_without_outlines_is_refused(folder, tmp_path, capsys):
    code, _, err = convert(capsys, folder / "a.json", "--to", "coco", "--tolerance", "2", "-o", tmp_path / "out")
    assert code == 2
    assert "--tolerance is for outlines, and coco have none" in err
    assert not (tmp_path / "out").exists()


def test_a_data_yaml_that_leads_to_no_photos_is_told(folder, tmp_path, capsys):
    """Training found no photos at all in the folder of the JSON files."""
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        (folder / f"{name}.png").rename(tmp_path / "photos" / f"{name}.png")
    arguments = [folder / "a.json", folder / "b.json", "--to", "yolo", "-o", tmp_path / "photos", "--overwrite"]
    assert convert(capsys, *arguments)[2].count("and yolo needs the photos; --photos FOLDER") == 1
    assert convert(capsys, *arguments, "--photos", tmp_path / "photos")[2] == ""


def test_labelme_finds_the_photo_from_where_its_file_lies(folder, tmp_path, capsys):
    place = tmp_path / "labelme"
    assert convert(capsys, folder / "a.json", "--to", "labelme", "-o", place)[0] == 0
    assert read_json(place / "a.json")["imagePath"] == "../in/a.png"
    (tmp_path / "photos").mkdir()
    (folder / "a.png").rename(tmp_path / "photos" / "a.png")
    arguments = [folder / "a.json", "--to", "labelme", "-o", place, "--overwrite"]
    assert convert(capsys, *arguments, "--photos", tmp_path / "photos")[0] == 0
    assert read_json(place / "a.json")["imagePath"] == "../photos/a.png"
    code, _, err = convert(capsys, *arguments)
    assert code == 0  # the photo may be put beside it later
    assert f"there is no {folder / 'a.png'}, and labelme needs the photos; --photos FOLDER" in err
    assert read_json(place / "a.json")["imagePath"] == "a.png"


@pytest.mark.parametrize("source", ["../elsewhere/a.png", "/nowhere/a.png"])
def test_a_photo_is_sought_beside_its_file_wherever_that_says_it_was(folder, tmp_path, capsys, source):
    (folder / "c.json").write_text(json.dumps({**read_json(folder / "a.json"), "source": source}))
    assert convert(capsys, folder / "c.json", "--to", "overlay", "-o", tmp_path / "out")[0] == 0
    assert convert(capsys, folder / "a.json", "--to", "overlay", "-o", tmp_path / "out")[0] == 0
    pictures = [(tmp_path / "out" / f"{name}.overlay.png").read_bytes() for name in "ac"]
    assert pictures[0] == pictures[1]


def test_labels_of_files_that_name_classes_otherwise_are_not_put_together(folder, tmp_path, capsys):
    """Both are of photos of one folder: its data.yaml has one name for class 0."""
    for name, called in (("a", "cat"), ("b", "dog")):
        found = read_result(folder / f"{name}.json")
        found = replace(found, labels=np.zeros(len(found), np.int64), names={0: called})
        (folder / f"{name}.json").write_text(to_json(found))
    code, out, err = convert(capsys, folder / "a.json", folder / "b.json", "--to", "yolo", "-o", tmp_path / "out")
    assert code == 1
    assert out == f"{tmp_path / 'out' / 'a.txt'}\n"
    kept = f"the classes of {tmp_path / 'out' / 'a.txt'} are its own"
    assert f"calls class 0 'cat', this run 'dog', and stays ({kept}); name another folder\n" in err
    assert listing(tmp_path / "out") == ["a.txt", "data.yaml"]
    again = [folder / "a.json", folder / "b.json", "--to", "yolo", "-o", tmp_path / "out", "--overwrite"]
    assert convert(capsys, *again)[0] == 1  # what it was told to do, or not
    assert listing(tmp_path / "out") == ["a.txt", "data.yaml"]


def test_yolos_labels_have_the_names_of_the_files_and_the_folders_of_the_photos(folder, tmp_path, capsys):
    def with_names(path, source, names):
        path.parent.mkdir(exist_ok=True)
        document = read_json(folder / "a.json")
        objects = [{**one, "label": 1, "name": "dog"} for one in document["objects"]]
        path.write_text(json.dumps({**document, "source": source, "names": names, "objects": objects}))
        return path

    both = {"0": "person", "1": "dog"}
    first, second = (
        with_names(tmp_path / "1" / "a.json", "a.png", both),
        with_names(tmp_path / "2" / "b.json", "b.png", both),
    )
    out = tmp_path / "labels"
    for more in ([], ["--overwrite"]):
        assert convert(capsys, first, second, "--to", "yolo", "-o", out, *more)[0] == 0
        lists = 'train: ["../1", "../2"]\nval: ["../1", "../2"]\n'
        assert (out / "data.yaml").read_text() == f'{lists}names:\n  0: "person"\n  1: "dog"\n'
        assert names(out) == ["a.txt", "b.txt", "data.yaml"]
    other = with_names(tmp_path / "2" / "c.json", "c.png", {"0": "cup", "1": "dog"})
    code, _, err = convert(capsys, other, "--to", "yolo", "-o", out)
    assert (code, "data.yaml calls class 0 'person', this run 'cup'" in err) == (1, True)
    assert names(out) == ["a.txt", "b.txt", "data.yaml"]


def test_what_somebodys_data_yaml_lacks_is_told_once(folder, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "data.yaml").write_text("mine")
    code, _, err = convert(capsys, folder / "a.json", folder / "b.json", "--to", "yolo", "-o", out)
    assert (code, err.count("does not list ../in")) == (0, 1)
    assert (out / "data.yaml").read_text() == "mine"


def test_edges_are_those_of_the_objects_alone(network, folder, tmp_path, capsys):
    # The network's own are of all its candidates, and softer than masks: the JSON has the objects' masks alone.
    arguments = [folder / "a.json", "--to", "edges", "--photos", folder, "-o", tmp_path]
    assert convert(capsys, *arguments)[0] == 0
    found = FastSAM(network)(folder / "a.png")
    expected = to_edges(Segmentation.from_masks(list(found.masks), found.scores))
    assert expected.any()
    np.testing.assert_array_equal(load_image(tmp_path / "a.edges.png")[..., 0], expected)


def coco_ids(place):
    return [sorted({one["image_id"] for one in read_json(path)}) for path in sorted(place.rglob("*.coco.json"))]


def test_two_photos_of_one_name_have_two_ids_in_coco_as_segment_gives_them(run, tmp_path, capsys):
    for name in ("1/a.png", "2/a.png", "2/b.png", "2/b.jpg"):
        photo(tmp_path / "in" / name)
    folders = [tmp_path / "in" / "1", tmp_path / "in" / "2"]
    assert run(*folders, "--format", "json", "--format", "coco")[0] == 0
    direct = coco_ids(tmp_path / "in")
    assert len({str(each) for each in direct}) == 4
    results = [path for each in folders for path in sorted(each.glob("*.json")) if ".coco" not in path.name]
    code, _, err = convert(capsys, *results, "--to", "coco", "--overwrite")
    assert (code, "image_id" in err) == (0, False)
    assert coco_ids(tmp_path / "in") == direct


def test_two_results_of_one_photo_have_its_id_in_coco(folder, tmp_path, capsys):
    results = [folder / "a.json", folder / "b.json"]
    for path in results:
        path.write_text(path.read_text().replace(f"{path.stem}.png", "000000000139.png"))
    code, _, err = convert(capsys, *results, "--to", "coco")
    assert (code, coco_ids(folder)) == (0, [[139], [139]])
    assert f"{results[0]} and {results[1]} get one image_id" in err  # the photo is not there: there may be two
    photo(folder / "000000000139.png")
    code, _, err = convert(capsys, *results, "--to", "coco", "--overwrite")
    assert (code, coco_ids(folder), "image_id" in err) == (0, [[139], [139]], False)
    for path in results:
        path.write_text(path.read_text().replace('"000000000139.png"', "null"))
    code, _, err = convert(capsys, *results, "--to", "coco", "--overwrite")
    assert (code, coco_ids(folder), "get one image_id" in err) == (0, [[0], [0]], True)


def test_many_files_become_a_data_set(folder, tmp_path, capsys):
    arguments = [folder / "a.json", folder / "b.json", "--to", "coco-dataset", "-o", tmp_path / "out"]
    code, out, _ = convert(capsys, *arguments)
    assert (code, out) == (0, f"{tmp_path / 'out' / 'instances.json'}\n")
    document = read_json(tmp_path / "out" / "instances.json")
    assert [image["file_name"] for image in document["images"]] == ["a.png", "b.png"]
    assert [one["area"] for one in document["annotations"]] == [FIRST_AREA, SECOND_AREA] * 2
    code, _, err = convert(capsys, *arguments)
    assert code == 1
    assert "instances.json has a.png; pass --overwrite" in err
    assert convert(capsys, *arguments, "--overwrite")[0] == 0
    again = read_json(tmp_path / "out" / "instances.json")
    assert (len(again["images"]), len(again["annotations"])) == (2, 4)
    assert names(tmp_path / "out") == ["instances.json"]


def test_two_files_of_one_photo_in_a_data_set(folder, tmp_path, capsys):
    other = tmp_path / "other" / "a.json"
    other.parent.mkdir()
    shutil.copy(folder / "a.json", other)
    for more in ([], ["--overwrite"]):
        out = tmp_path / f"out{len(more)}"
        code, _, err = convert(capsys, folder / "a.json", other, "--to", "coco-dataset", "-o", out, *more)
        assert code == 1
        assert f"{other}: this run has a.png already, from {folder / 'a.json'}" in err
        assert "--overwrite" not in err
        assert [image["file_name"] for image in read_json(out / "instances.json")["images"]] == ["a.png"]


@POSIX
def test_a_data_set_on_a_full_disk(folder, tmp_path, capsys):
    place = ["--to", "coco-dataset", "-o", tmp_path / "out"]
    assert convert(capsys, folder / "a.json", *place)[0] == 0
    arguments = [folder / "b.json", *place]
    with files_of_at_most(600):  # the journal of one photo has some 420 bytes, the file of both some 800
        code, out, err = convert(capsys, *arguments)
    assert (code, out) == (1, "")
    assert "instances.json: File too large" in err
    convert(capsys, *arguments)
    assert len(read_json(tmp_path / "out" / "instances.json")["images"]) == 2


def test_of_nothing_but_damage_there_is_no_data_set(folder, tmp_path, capsys):
    (folder / "a.json").write_text("{")
    code, out, _ = convert(capsys, folder / "a.json", "--to", "coco-dataset", "-o", tmp_path / "out")
    assert (code, out, names(tmp_path / "out")) == (1, "", [])


def test_results_lie_beside_their_files_and_are_kept(folder, capsys):
    assert convert(capsys, folder / "a.json", folder / "b.json", "--to", "svg")[0] == 0
    assert {"a.svg", "b.svg"} <= set(names(folder))
    code, _, err = convert(capsys, folder / "a.json", "--to", "svg")
    assert code == 1
    assert "a.svg exists; pass --overwrite" in err
    assert convert(capsys, folder / "a.json", "--to", "svg", "--overwrite")[0] == 0


def test_a_file_is_not_replaced_by_its_own_conversion(folder, capsys):
    code, _, err = convert(capsys, folder / "a.json", "--to", "json", "--overwrite")
    assert code == 2
    assert "name another place with --output" in err
    (folder / "more").mkdir()
    shutil.copy(folder / "a.json", folder / "more")
    code, _, err = convert(capsys, folder / "a.json", folder / "more" / "a.json", "--to", "svg", "-o", folder)
    assert code == 2
    assert "same name" in err
    assert convert(capsys, folder / "a.json", "--to", "coco-dataset")[0] == 2


def test_labelme_beside_our_json_has_a_name_of_its_own(folder, capsys):
    ours = (folder / "a.json").read_bytes()
    code, out, _ = convert(capsys, folder / "a.json", folder / "b.json", "--to", "labelme")
    assert (code, out) == (0, f"{folder / 'a.labelme.json'}\n{folder / 'b.labelme.json'}\n")
    assert read_json(folder / "a.labelme.json")["imagePath"] == "a.png"
    assert (folder / "a.json").read_bytes() == ours


def test_a_file_that_is_named_twice_is_converted_once(folder, tmp_path, capsys):
    """Patterns overlap, and `segment` takes each photo once, too."""
    given = (folder / "a.json", folder / "a.json", folder / "[a]*.json")
    code, out, err = convert(capsys, *given, "--to", "svg", "-o", tmp_path / "out")
    assert (code, out, err) == (0, f"{tmp_path / 'out' / 'a.svg'}\n", "")


def test_no_file_is_replaced_by_the_conversion_of_another(folder, capsys):
    other = folder / "a.coco.json"
    shutil.copy(folder / "b.json", other)
    code, _, err = convert(capsys, folder / "a.json", other, "--to", "coco", "--overwrite")
    assert (code, "a.coco.json" in err, "this run reads it" in err) == (2, True, True)
    assert other.read_bytes() == (folder / "b.json").read_bytes()


@POSIX
def test_a_file_is_not_replaced_by_way_of_a_link(folder, tmp_path, capsys):
    before = (folder / "a.json").read_bytes()
    (tmp_path / "link").symlink_to(folder)
    code, _, err = convert(capsys, folder / "a.json", "--to", "json", "-o", tmp_path / "link", "--overwrite")
    assert (code, "this run reads it" in err) == (2, True)
    assert convert(capsys, folder / "a.json", "--to", "labelme", "-o", tmp_path / "link")[0] == 0
    assert (folder / "a.labelme.json").exists()
    assert (folder / "a.json").read_bytes() == before


def test_a_photo_is_not_replaced_by_its_overlay(folder, capsys):
    picture = (folder / "a.png").rename(folder / "a.overlay.png")
    before = picture.read_bytes()
    result = folder / "a.json"
    result.write_text(result.read_text().replace('"a.png"', '"a.overlay.png"'))
    code, _, err = convert(capsys, result, "--to", "overlay", "--overwrite")
    assert (code, "this run reads it" in err) == (1, True)
    assert picture.read_bytes() == before


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"format": "fastsam-onnx", "version": 2}', "cut"])
def test_damaged_files_are_named_and_stop_no_other(damage, folder, capsys):
    whole = (folder / "a.json").read_text()
    (folder / "a.json").write_text(whole[: len(whole) // 2] if damage == "cut" else damage)
    code, out, err = convert(capsys, folder / "a.json", folder / "missing.json", folder / "b.json", "--to", "svg")
    assert code == 1
    assert "a.json: a result must be" in err
    assert "missing.json: there is no such file" in err
    assert out == f"{folder / 'b.svg'}\n"


@pytest.mark.parametrize("form", ["svg", "coco", "coco-dataset"])
def test_a_defect_in_one_file_stops_no_other(form, folder, tmp_path, monkeypatch, capsys):
    def no_memory_at_first(path, pixel_limit):
        if path.name == "a.json":
            raise MemoryError("too large")
        return read_result(path, pixel_limit)

    monkeypatch.setattr("fastsam_onnx.cli.convert.read_result", no_memory_at_first)
    arguments = [folder / "a.json", folder / "b.json", "--to", form, "-o", tmp_path / "out"]
    code, out, err = convert(capsys, *arguments)
    assert code == 1
    assert f"fastsam-onnx: {folder / 'a.json'}: unexpected MemoryError: too large\n" in err
    assert Path(out.strip()).exists()


@pytest.mark.parametrize("form", ["svg", "coco-dataset"])
def test_an_output_that_looks_like_a_file_is_no_folder(form, folder, tmp_path, capsys):
    for name in ("a.svg", "a.json", "a.mp4"):
        code, _, err = convert(capsys, folder / "a.json", "--to", form, "-o", tmp_path / name)
        assert (code, f"--output {tmp_path / name}" in err, f"write {tmp_path / name}{os.sep}" in err) == (
            2,
            True,
            True,
        )
    assert listing(tmp_path) == ["in"]
    assert convert(capsys, folder / "a.json", "--to", form, "-o", f"{tmp_path / 'a.svg'}{os.sep}")[0] == 0
    assert listing(tmp_path) == ["a.svg", "in"]


@pytest.mark.process
def test_what_opencv_does_not_know_of_a_geotiff_is_not_said(shell, tmp_path):
    tags = [(33550, "d", 3, (1.0, 1.0, 0.0), True), (33922, "d", 6, (0.0, 0.0, 0.0, 5e5, 5e6, 0.0), True)]
    tifffile.imwrite(tmp_path / "a.tif", np.full((64, 64, 3), 99, np.uint8), photometric="rgb", extratags=tags)
    assert shell("segment", "a.tif", "--format", "json").returncode == 0
    done = shell("convert", "a.json", "--to", "overlay", model=False)
    assert (done.returncode, done.stdout.decode().strip(), done.stderr) == (0, "a.overlay.png", b"")


def in_two_folders(run, tmp_path):
    """Results of two photos of one name and size, and overlays of both."""
    for name, grey in (("a.png", 40), ("sub/a.png", 200)):
        photo(tmp_path / "in" / name)
        image = cv2.imread(str(tmp_path / "in" / name))
        image[-4:] = grey
        cv2.imwrite(str(tmp_path / "in" / name), image)
    arguments = ["--recursive", "--format", "json,overlay,labelme", "-o", tmp_path / "out"]
    assert run(tmp_path / "in", *arguments)[0] == 0
    return [tmp_path / "out" / "a.json", tmp_path / "out" / "sub" / "a.json"]


@pytest.mark.parametrize("together", [True, False])
def test_photos_of_one_name_are_told_apart_by_the_folders_of_their_results(run, tmp_path, capsys, together):
    """Masks of one photo were shown over the other."""
    results = in_two_folders(run, tmp_path)
    wanted = [path.with_name("a.overlay.png").read_bytes() for path in results]
    for paths in [results] if together else [[path] for path in results]:
        code, _, err = convert(capsys, *paths, "--to", "overlay", "--photos", tmp_path / "in", "--overwrite")
        assert (code, err) == (0, "")
    assert [path.with_name("a.overlay.png").read_bytes() for path in results] == wanted
    assert wanted[0] != wanted[1]
    assert convert(capsys, *results, "--to", "coco", "--photos", tmp_path / "in")[0] == 0
    assert len({str(each) for each in coco_ids(tmp_path / "out")}) == 2
    assert convert(capsys, results[1], "--to", "labelme", "--photos", tmp_path / "in", "--overwrite")[0] == 0
    assert read_json(tmp_path / "out" / "sub" / "a.labelme.json")["imagePath"] == "../../in/sub/a.png"


@pytest.mark.parametrize("form", ["overlay", "labelme", "coco"])
def test_one_photo_for_results_of_two_folders_is_told(run, tmp_path, capsys, form):
    results = in_two_folders(run, tmp_path)
    (tmp_path / "in" / "sub" / "a.png").unlink()
    code, _, err = convert(capsys, *results, "--to", form, "--photos", tmp_path / "in", "--overwrite")
    assert code == 0
    assert f"{results[0]} and {results[1]} {'get one' if form == 'coco' else 'are both taken for results of'}" in err


def test_a_json_file_of_another_program_is_not_replaced(folder, tmp_path, capsys):
    """With --overwrite what somebody had drawn in labelme was."""
    (tmp_path / "out").mkdir()
    drawn = '{"version": "5.4.1", "shapes": []}'
    (tmp_path / "out" / "a.json").write_text(drawn)
    code, _, err = convert(capsys, folder / "a.json", "--to", "json", "-o", tmp_path / "out", "--overwrite")
    assert code == 1
    assert "a.json is no result of the format json, and is not replaced; name another folder" in err
    assert (tmp_path / "out" / "a.json").read_text() == drawn


def test_a_folder_that_is_mistyped_is_not_made(folder, tmp_path, capsys):
    assert convert(capsys, tmp_path / "im" / "a.json", "--to", "svg")[0] == 1
    assert convert(capsys, folder / "b.jsn", "--to", "svg", "-o", tmp_path / "out")[0] == 1
    assert listing(tmp_path) == ["in"]


def test_results_in_other_formats_are_told_apart(folder, tmp_path, capsys):
    (tmp_path / "a.coco.json").write_text("[]")
    code, _, err = convert(capsys, tmp_path / "a.coco.json", "--to", "svg")
    assert (code, "as to_json and `segment --format json` write it; other formats are not read back" in err) == (
        1,
        True,
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "got b'': Expecting value"),
        ("{}", "got an empty object"),
        ("[7]", "got a list of length 1"),
        ("7", "got 7"),
        ('{"images": [], "annotations": []}', "got an object with 'images', 'annotations'"),
        ('{"format": "fastsam-onnx", "version": 2}', 'got "format": \'fastsam-onnx\', "version": 2'),
        ("{}\n{}\n", "of JSON in several lines, such as a video's, give one"),
    ],
)
def test_what_is_no_result_is_told(text, found, tmp_path, capsys):
    (tmp_path / "a.json").write_text(text)
    code, _, err = convert(capsys, tmp_path / "a.json", "--to", "svg")
    assert (code, found in err) == (1, True), err


def test_files_that_are_not_there_are_told_from_folders(folder, capsys):
    for path, found in (
        (folder, f"{folder}: it is a folder; give its files: {folder / '*.json'}"),
        (folder / "c.json", "there is no such file"),
        (folder / "c*.json", "no file matches this pattern"),
    ):
        code, _, err = convert(capsys, path, "--to", "svg")
        assert (code, found in err) == (1, True), err


def test_a_pattern_is_the_files_that_match(folder, capsys):
    """Windows' shells leave it as it is."""
    code, out, _ = convert(capsys, folder / "*.json", "--to", "svg")
    assert (code, out) == (0, f"{folder / 'a.svg'}\n{folder / 'b.svg'}\n")


def test_what_shows_the_photo_needs_it(folder, tmp_path, capsys):
    code, _, err = convert(capsys, folder / "a.json", "--to", "overlay", "--photos", tmp_path / "none")
    assert code == 1
    assert f"overlay needs the photo, and there is no {tmp_path / 'none' / 'a.png'}; --photos FOLDER" in err
    assert convert(capsys, folder / "a.json", "--to", "overlay")[0] == 0
    assert (folder / "a.overlay.png").exists()


@pytest.mark.parametrize("form", OF_THE_PHOTO)
def test_the_photo_is_read_as_segment_read_it(form, run, tmp_path, capsys):
    samples = np.full((64, 64, 4), (0, 1000, 2048, 4095), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="minisblack", planarconfig="contig")
    reading = ("--bands", "4,3,2", "--white", "4095")
    assert run(tmp_path / "a.tif", *reading, "--format", f"json,{form}", "-o", f"{tmp_path / 'direct'}/")[0] == 0
    arguments = (tmp_path / "direct" / "a.json", "--to", form, "--photos", tmp_path, "-o", tmp_path / "converted")
    assert convert(capsys, *arguments, *reading)[0] == 0
    direct, converted = (
        [path.read_bytes() for path in sorted((tmp_path / place).rglob("*.p[ns][gd]"))]
        for place in ("direct", "converted")
    )
    assert direct
    assert converted == direct


def test_options_of_the_photo_are_for_what_shows_it(folder, capsys):
    code, _, err = convert(capsys, folder / "a.json", "--to", "svg", "--white", "4095")
    assert code == 2
    assert "--white is for formats that show the photo (overlay, cutout, cutouts, psd), and svg does not" in err
    for form in ("svg", "coco", "overlay"):
        code, _, err = convert(capsys, folder / "a.json", "--to", form, "--pixel-limit", 64 * 64 - 1)
        assert (code, "of at most 4095 pixels, got 64 x 64" in err) == (1, True)
        assert convert(capsys, folder / "a.json", "--to", form, "--pixel-limit", 64 * 64)[0] == 0


def test_a_photo_of_another_size_is_told(folder, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    cv2.imwrite(str(tmp_path / "other" / "a.png"), np.zeros((5, 7, 3), np.uint8))
    size = "{width} x {height}".format_map(read_json(folder / "a.json"))
    code, _, err = convert(capsys, folder / "a.json", "--to", "cutout", "--photos", tmp_path / "other")
    assert code == 1
    assert (
        f"a.json: the photo {tmp_path / 'other' / 'a.png'} must be that of the result, {size} pixels, got 7 x 5" in err
    )
