"""`segment --format coco-dataset`: one file of a whole run, also after a kill."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.command_line import (
    FIRST_AREA,
    POSIX,
    SECOND_AREA,
    environment,
    files_of_at_most,
    names,
    photo,
    read_json,
)

from fastsam_onnx.cli.program import main
from fastsam_onnx.formats.yolo import yolo_data

NAMES = [f"{index:03d}.png" for index in range(12)]


@pytest.fixture
def folder(tmp_path):
    for name in NAMES:
        photo(tmp_path / "in" / name)
    return tmp_path / "in"


def counts(path):
    document = read_json(path)
    annotations = document["annotations"]
    assert len({one["id"] for one in annotations}) == len(annotations)
    return sorted(image["file_name"] for image in document["images"]), len(annotations)


def test_a_folder_becomes_one_data_set(run, folder, tmp_path):
    photo(folder / "more" / "a.png")
    out = tmp_path / "out"
    assert run(folder, "--recursive", "--format", "coco-dataset", "-o", out)[0] == 0
    assert names(out) == ["instances.json"]
    assert counts(out / "instances.json") == ([*NAMES, "more/a.png"], 26)
    assert {one["area"] for one in read_json(out / "instances.json")["annotations"]} == {FIRST_AREA, SECOND_AREA}


def test_photos_that_it_has_are_skipped_and_new_ones_added(run, folder, tmp_path):
    out = tmp_path / "out"
    run(folder, "--format", "coco-dataset", "-o", out)
    before = (out / "instances.json").read_bytes()
    code, _, err = run(folder, "--format", "coco-dataset", "-o", out)
    assert code == 0
    assert "12 skipped" in err
    assert (out / "instances.json").read_bytes() == before
    photo(folder / "new.png")
    run(folder, "--format", "coco-dataset", "--format", "json", "-o", out)
    assert counts(out / "instances.json") == ([*NAMES, "new.png"], 26)
    assert len(names(out)) == 1 + 13
    code, _, err = run(folder / "new.png", "--format", "coco-dataset", "-o", out)
    assert code == 1
    assert "instances.json has this photo; pass --overwrite" in err
    assert run(folder / "new.png", "--format", "coco-dataset", "-o", out, "--overwrite")[0] == 0
    assert counts(out / "instances.json") == ([*NAMES, "new.png"], 26)


def test_photos_of_the_same_name_have_their_paths(run, tmp_path):
    one, other = photo(tmp_path / "one" / "a.png"), photo(tmp_path / "other" / "a.png")
    _, _, err = run(one.parent, other.parent, "--format", "coco-dataset", "-o", tmp_path / "out")
    assert counts(tmp_path / "out" / "instances.json") == ([one.as_posix(), other.as_posix()], 4)
    assert f"{one.as_posix()} is its name in the data set" in err


def test_photos_whose_labels_trainers_would_not_tell_apart_are_told(run, tmp_path):
    """dog.jpg and dog.png have dog.jpg.txt and dog.png.txt: trainers took both for photos without objects."""
    images = tmp_path / "images"
    for name in ("a.png", "b.png"):
        photo(images / name)
    arguments = ("--format", "yolo", "-o", tmp_path / "labels")
    assert "warning" not in run(images, *arguments)[2]
    photo(images / "a.bmp")
    assert f"{images / 'a.bmp'} and of {images / 'a.png'} in one file, a.txt" in run(images, *arguments)[2]
    photo(tmp_path / "cases" / "images" / "dog.png")
    photo(tmp_path / "cases" / "images" / "DOG.bmp")  # one file where names have no case
    assert (
        "would find none" in run(tmp_path / "cases" / "images", *arguments[:2], "-o", tmp_path / "cases" / "labels")[2]
    )


def test_photos_of_the_same_name_are_not_added_a_second_time(run, tmp_path):
    one, other = photo(tmp_path / "one" / "a.png"), photo(tmp_path / "other" / "a.png")
    to = ("--format", "coco-dataset", "-o", tmp_path / "out")
    both = [one.as_posix(), other.as_posix()]
    run(one.parent, other.parent, *to)
    assert run(one.parent, *to)[0] == 0
    assert counts(tmp_path / "out" / "instances.json") == (both, 4)  # not a.png besides
    third = photo(tmp_path / "third" / "a.png")
    run(third.parent, *to)
    assert run(one.parent, other.parent, *to)[0] == 0
    assert counts(tmp_path / "out" / "instances.json") == ([*both, "a.png"], 6)
    for overwrite in ([], ["--overwrite"]):
        code, _, err = run(one.parent, third.parent, *to, *overwrite)
        assert code == 2
        assert f"instances.json has a.png, and this run has several photos of that name, such as {third}" in err
    assert counts(tmp_path / "out" / "instances.json") == ([*both, "a.png"], 6)


def test_a_bad_photo_stops_no_other(run, folder, tmp_path):
    (folder / "bad.png").write_bytes(b"nonsense")
    assert run(folder, "--format", "coco-dataset", "-o", tmp_path / "out")[0] == 1
    assert counts(tmp_path / "out" / "instances.json") == (NAMES, 24)


@POSIX
def test_a_full_disk_at_the_end_is_told_and_loses_nothing(run, folder, tmp_path):
    out = tmp_path / "out"
    assert run(folder, "--format", "coco-dataset", "-o", out)[0] == 0
    photo(folder / "new.png")
    with files_of_at_most(3000):  # the journal of one photo has some 420 bytes, the file of all some 5,000
        code, stdout, err = run(folder, "--format", "coco-dataset", "-o", out, "--json")
    assert code == 1
    assert f"instances.json: File too large; {out / 'instances.json.journal'} keeps the photos" in err
    assert "1 photo, 2 objects" in err
    assert json.loads(stdout.splitlines()[-1])["status"] == "failed"
    assert run(folder, "--format", "coco-dataset", "-o", out)[0] == 0
    assert counts(out / "instances.json") == ([*NAMES, "new.png"], 26)


@pytest.mark.parametrize("output", [["-o", "a.json"], ["-o", "-"], []])
def test_a_data_set_needs_a_folder(run, folder, output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = run(folder, "--format", "coco-dataset", *output)
    assert code == 2
    assert "needs --output FOLDER" in err


def test_standard_input_has_no_name(network, tmp_path, capsys):
    assert main(["segment", "--model", network, "-", "--format", "coco-dataset", "-o", str(tmp_path / "out")]) == 2
    assert "needs photos with names" in capsys.readouterr().err


def test_yolos_labels_have_a_data_yaml(run, folder, tmp_path):
    out = tmp_path / "labels"
    assert run(folder, "--format", "yolo", "-o", out)[0] == 0
    assert names(out) == [*(name.replace("png", "txt") for name in NAMES), "data.yaml"]
    assert (out / "data.yaml").read_text() == 'train: ["../in"]\nval: ["../in"]\nnames:\n  0: "object"\n'
    assert (out / "000.txt").read_text().splitlines()[0].startswith("0 0.125000 0.125000 0.500000 0.125000")
    (out / "data.yaml").write_text("mine")
    photo(folder / "new.png")
    run(folder, "--format", "yolo", "-o", out)
    assert (out / "data.yaml").read_text() == "mine"
    assert (out / "new.txt").exists()


@pytest.mark.parametrize(
    ("photos", "output", "sought"),
    [
        ("in", "in", None),
        ("in", "labels", "in"),
        ("set/images", "set/labels", None),
        ("set/images/train", "set/labels/train", None),
        ("set/images", "set/images", "set/labels"),
        ("images/in", "images/in", "labels/in"),
        ("images/images", "images/labels", None),
    ],
)
def test_labels_that_trainers_would_not_find_are_told(run, tmp_path, photos, output, sought):
    for name in ("a.png", "b.png"):
        photo(tmp_path / photos / name)
    code, _, err = run(tmp_path / photos, "--format", "yolo", "-o", tmp_path / output)
    assert code == 0
    assert err.count("trainers of YOLO networks look for") == (sought is not None)
    if sought is not None:
        assert f"such as {tmp_path / photos / 'a.png'} in {tmp_path / sought}, not in {tmp_path / output};" in err


def test_labels_of_photos_in_folders_inside_are_told_by_their_own_folder(run, tmp_path):
    photo(tmp_path / "set" / "images" / "a.png")
    arguments = (tmp_path / "set", "--recursive", "--format", "yolo", "-o", tmp_path / "set")
    assert f"in {tmp_path / 'set' / 'labels'}, not in {tmp_path / 'set' / 'images'};" in run(*arguments)[2]


def test_labels_on_standard_output_have_nothing_beside_them(network, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = names(tmp_path)
    code = main(["segment", "--model", network, str(folder / "000.png"), "--format", "yolo", "-o", "-"])
    told = capsys.readouterr()
    assert (code, told.out[:11], "warning" in told.err) == (0, "0 0.125000 ", False)
    assert names(tmp_path) == before


def test_a_second_folder_joins_the_data_yaml(run, folder, tmp_path):
    out = tmp_path / "labels"
    run(folder, "--format", "yolo", "-o", out)
    photo(tmp_path / "second" / "b.png")
    for _ in range(2):
        assert run(tmp_path / "second", "--format", "yolo", "-o", out)[0] == 0
        lists = 'train: ["../in", "../second"]\nval: ["../in", "../second"]\n'
        assert (out / "data.yaml").read_text() == f'{lists}names:\n  0: "object"\n'


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_joined_data_yaml_keeps_the_classes_that_this_run_has_not(run, folder, tmp_path, mark):
    """Also where an editor has put a byte order mark before it."""
    out = tmp_path / "labels"
    out.mkdir()
    (out / "data.yaml").write_text(mark + yolo_data(["../before"], ["object", "cup"]), encoding="utf-8")
    assert run(folder, "--format", "yolo", "-o", out)[0] == 0
    assert (out / "data.yaml").read_text(encoding="utf-8") == yolo_data(["../before", "../in"], ["object", "cup"])


@pytest.mark.parametrize("entry", ["../my photos", "[../a, '../my photos']", '["{whole}"]', "\n- ../my photos\n- b"])
def test_a_folder_that_somebodys_data_yaml_lists_is_not_missed(run, tmp_path, entry):
    """Of a name with a blank it was told that it is not there."""
    out = tmp_path / "labels"
    out.mkdir()
    photo(tmp_path / "my photos" / "a.png")
    photo(tmp_path / "my" / "b.png")
    (out / "data.yaml").write_text(f"train: {entry.format(whole=(tmp_path / 'my photos').as_posix())}\n")
    assert "does not list" not in run(tmp_path / "my photos", "--format", "yolo", "-o", out)[2]
    assert "does not list ../my:" in run(tmp_path / "my", "--format", "yolo", "-o", out)[2]


def test_what_somebodys_data_yaml_lacks_is_told(run, folder, tmp_path):
    out = tmp_path / "labels"
    out.mkdir()
    photo(tmp_path / "inside" / "b.png")
    (out / "data.yaml").write_text("train: [../inside]  # mine\n")
    code, _, err = run(folder, "--format", "yolo", "-o", out)
    assert code == 0
    assert f"warning: {out / 'data.yaml'} stays as it is, and does not list ../in: add that to it" in err
    assert (out / "data.yaml").read_text() == "train: [../inside]  # mine\n"
    for known in ("train: ../in\n", f"train: ['{folder}']\n"):
        (out / "data.yaml").write_text(known)
        assert "stays as it is" not in run(folder, "--format", "yolo", "-o", out)[2]
    photo(folder / "deeper" / "c.png")  # which is in it
    assert run(folder, "--recursive", "--format", "yolo", "-o", out, "--overwrite", "--quiet") == (0, "", "")
    assert (out / "data.yaml").read_text() == known  # labels are written anew, not what somebody wrote


def test_labels_that_are_written_anew_leave_the_other_folders_and_classes(run, folder, tmp_path):
    """With --overwrite labels that stayed lost their folder, and the names of their classes."""
    out = tmp_path / "labels"
    run(folder, "--format", "yolo", "-o", out)
    photo(tmp_path / "second" / "b.png")
    for _ in range(2):
        assert run(tmp_path / "second", "--format", "yolo", "-o", out, "--overwrite")[0] == 0
        assert (out / "data.yaml").read_text() == yolo_data(["../in", "../second"], ["object"])
    before = yolo_data(["../in", "../second"], ["person", "dog"])
    (out / "data.yaml").write_text(before)
    code, _, err = run(tmp_path / "second", "--format", "yolo", "-o", out, "--overwrite")
    assert code == 2
    assert f"and stays (the classes of {out / '000.txt'} are its own); name another folder\n" in err
    assert (out / "data.yaml").read_text() == before
    for path in out.glob("0*.txt"):
        path.write_text("")  # without objects none has a class
    (out / "b.txt").unlink()
    code, _, err = run(tmp_path / "second", "--format", "yolo", "-o", out)
    assert (code, "and stays; name another folder, or pass --overwrite to replace it\n" in err) == (2, True)
    assert run(tmp_path / "second", "--format", "yolo", "-o", out, "--overwrite")[0] == 0
    assert (out / "data.yaml").read_text() == yolo_data(["../second"], ["object"])


def test_a_photo_of_the_name_of_the_data_set_has_a_longer_one(run, tmp_path):
    """Its JSON took the place of the data set, which could then not be written or read."""
    for name in ("instances.jpg", "b.jpg"):
        photo(tmp_path / "in" / name)
    out = tmp_path / "out"
    assert run(tmp_path / "in", "--format", "json,coco-dataset", "-o", out)[0] == 0
    assert names(out) == ["b.json", "instances.jpg.json", "instances.json"]
    assert counts(out / "instances.json")[0] == ["b.jpg", "instances.jpg"]
    before = (out / "instances.json").read_bytes()
    code, _, err = run(tmp_path / "in", "--format", "labelme", "-o", out, "--overwrite")
    assert code == 1
    assert "instances.json is no result of the format labelme, and is not replaced" in err
    assert (out / "instances.json").read_bytes() == before


@pytest.mark.parametrize("spelling", [" [[person, dog]]\n", "\n  -1: person\n  0: object\n", f"\n  {'9' * 5000}: a\n"])
def test_names_that_are_not_understood_are_told(run, folder, tmp_path, spelling):
    out = tmp_path / "out"
    out.mkdir()
    before = f"train: [../in]\nnames:{spelling}"
    (out / "data.yaml").write_text(before)
    code, _, err = run(folder, "--format", "yolo", "-o", out)
    assert code == 0
    assert f"{out / 'data.yaml'} stays as it is" in err
    assert "see that it calls class 0 'object'" in err
    assert (out / "data.yaml").read_text() == before


@pytest.mark.parametrize(
    "names_there",
    ['  0: "person"\n  1: "dog"\n', "  0: person\n", "    0: 'person' \n", "  ['person', 'dog']\n"],
)
def test_labels_are_not_added_to_those_of_other_classes(run, folder, tmp_path, names_there):
    out = tmp_path / "out"
    out.mkdir()
    before = f"train: [mine]\nnames:\n{names_there}nc: 2\n"
    (out / "data.yaml").write_text(before)
    code, _, err = run(folder, "--format", "yolo", "-o", out)
    assert code == 2
    assert "calls class 0 'person', this run 'object', and stays (somebody wrote it); name another folder\n" in err
    assert names(out) == ["data.yaml"]
    assert (out / "data.yaml").read_text() == before
    (out / "data.yaml").write_text(before.replace("person", "object"))
    assert run(folder, "--format", "yolo", "-o", out)[0] == 0
    assert "mine" in (out / "data.yaml").read_text()


@POSIX
def test_killed_again_and_again_and_resumed(network, folder, tmp_path):
    """Each process is killed as soon as it has added a photo, at no moment of its own choice; the last one ends."""
    journal, path = tmp_path / "out" / "instances.json.journal", tmp_path / "out" / "instances.json"
    command = [sys.executable, "-m", "fastsam_onnx", "segment", str(folder), "--model", network, "--jobs", "1"]
    command += ["--format", "coco-dataset", "-o", str(tmp_path / "out"), "--quiet"]
    rng = np.random.default_rng(1)
    killed = 0
    for _ in range(4):
        before = journal.stat().st_size if journal.exists() else 0
        process = subprocess.Popen(command, env=environment())
        while process.poll() is None and (journal.stat().st_size if journal.exists() else 0) <= before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.01))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
    assert killed
    subprocess.run(command, env=environment(), check=True, timeout=120)
    assert counts(path) == (NAMES, 24)
    assert names(tmp_path / "out") == ["instances.json"]
    subprocess.run([*command[:-2], str(tmp_path / "whole")], env=environment(), check=True, timeout=120)
    assert path.read_bytes() == (tmp_path / "whole" / "instances.json").read_bytes()
