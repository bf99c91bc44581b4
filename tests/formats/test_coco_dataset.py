"""A COCO data set that grows: what readers see, and that no moment of a kill loses or doubles anything."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.command_line import POSIX, files_of_at_most, listing
from support.samples import ascii_json, make_sample, random_instances

from fastsam_onnx.errors import FastSAMError, OptionError, OutputError
from fastsam_onnx.formats.categories import listed_categories
from fastsam_onnx.formats.coco import to_coco
from fastsam_onnx.formats.coco_dataset import CocoDataset, dataset_entry
from fastsam_onnx.formats.rings import joined, ring_with_holes
from fastsam_onnx.formats.yolo import to_yolo
from fastsam_onnx.masks.mask import Mask
from fastsam_onnx.results.segmentation import Segmentation

RESULTS = {f"{name}.jpg": random_instances(seed) for seed, name in enumerate(("b", "a", "000139", "c"))}


def write(path, names=tuple(RESULTS)):
    with CocoDataset(path) as dataset:
        for name in names:
            if name not in dataset:
                dataset.add(RESULTS[name], name)
    return path.read_bytes()


def check_whole(document, names=tuple(RESULTS)):
    assert sorted(image["file_name"] for image in document["images"]) == sorted(names)
    ids = {image["id"] for image in document["images"]}
    assert len(ids) == len(names)
    assert all(type(number) is int for number in ids)
    annotations = document["annotations"]
    assert len({one["id"] for one in annotations}) == len(annotations) == sum(len(RESULTS[name]) for name in names)
    assert {one["image_id"] for one in annotations} == ids
    assert {one["category_id"] for one in annotations} == {one["id"] for one in document["categories"]}


def test_what_a_data_set_holds(tmp_path):
    with CocoDataset(tmp_path / "d.json") as dataset:
        dataset.add(make_sample())
    document = ascii_json((tmp_path / "d.json").read_bytes())
    assert document["images"] == [{"id": 1, "file_name": "photo.jpg", "width": 48, "height": 36}]
    assert document["categories"] == [{"id": 1, "name": "object", "supercategory": ""}]
    assert [one["id"] for one in document["annotations"]] == [1, 2, 3, 4, 5]
    rectangle = document["annotations"][3]
    assert rectangle["segmentation"] == [[24, 20, 40, 20, 40, 30, 24, 30]]
    assert (rectangle["area"], rectangle["bbox"], rectangle["iscrowd"]) == (160, [24, 20, 16, 10], 0)
    assert (rectangle["image_id"], rectangle["category_id"], rectangle["score"]) == (1, 1, 0.5)
    keys = ["id", "image_id", "category_id", "segmentation", "area", "bbox", "iscrowd", "score"]
    assert list(rectangle) == keys
    assert document["annotations"][1]["bbox"] == [23, 4, 17, 17]  # of the pixels, columns 23 to 39 and rows 4 to 20
    assert listing(tmp_path) == ["d.json"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_the_very_pixels(tmp_path, capsys):
    """Holes and islands, too: with tolerance 0 the masks are those of the result."""
    coco = pytest.importorskip("pycocotools.coco")
    found = make_sample()
    with CocoDataset(tmp_path / "d.json") as dataset:
        dataset.add(found, tolerance=0)
    read = coco.COCO(str(tmp_path / "d.json"))
    capsys.readouterr()
    for annotation, mask in zip(read.loadAnns(read.getAnnIds()), found.masks, strict=True):
        np.testing.assert_array_equal(read.annToMask(annotation).astype(bool), mask.dense())


def test_a_number_in_the_name_is_the_id_unless_it_is_taken(tmp_path):
    with CocoDataset(tmp_path / "d.json") as dataset:
        for name in ("000139.jpg", "a.jpg", "140.jpg", "139.png", "7.png"):
            dataset.add(random_instances(0), name)
    images = ascii_json((tmp_path / "d.json").read_bytes())["images"]
    assert [image["id"] for image in images] == [139, 140, 141, 142, 7]


def test_an_id_that_readers_would_round_is_not_taken_from_a_name(tmp_path):
    """Up to 2**53 every float64 is an integer of its own."""
    with CocoDataset(tmp_path / "d.json") as dataset:
        for name in (f"{2**53}.jpg", f"{2**53 - 1}.jpg"):
            dataset.add(random_instances(0), name)
    images = ascii_json((tmp_path / "d.json").read_bytes())["images"]
    assert [image["id"] for image in images] == [1, 2**53 - 1]


def test_another_photo_of_the_same_name_takes_no_photos_place_without_a_word(sample, tmp_path, caplog):
    """Photos of several folders have names in common; a later run may well have new objects of a photo."""
    other = Segmentation.from_masks([Mask.from_dense(np.ones((5, 7), bool))], source=sample.source)
    with CocoDataset(tmp_path / "d.json") as dataset:
        dataset.add(sample)
        with pytest.raises(
            OptionError, match=r"another photo of the name photo.jpg was added, of 48x36.*has 7x5; give"
        ):
            dataset.add(other)
        dataset.add(other, "second/photo.jpg")
        assert not caplog.records
        dataset.add(sample[:2])
        assert "photo.jpg was added to" in caplog.text
        assert "this takes its place" in caplog.text
    caplog.clear()
    with CocoDataset(tmp_path / "d.json") as dataset:
        dataset.add(sample[:1])
    assert not caplog.records
    images = ascii_json((tmp_path / "d.json").read_bytes())["images"]
    assert sorted(image["file_name"] for image in images) == ["photo.jpg", "second/photo.jpg"]


@pytest.mark.parametrize("name", [Path("a.jpg"), 3, None, b"a.jpg"])
def test_only_a_name_can_be_in_a_data_set(tmp_path, name):
    """A path would never be in it, and every photo be done again."""
    with CocoDataset(tmp_path / "d.json") as dataset, pytest.raises(OptionError, match=r"name"):
        name in dataset  # noqa: B015


def test_ids_that_are_kept_for_others_are_given_to_none(tmp_path):
    with CocoDataset(tmp_path / "d.json", image_ids=[4, 7, 9]) as dataset:
        for name in ("7.jpg", "5.jpg", "a.jpg"):
            dataset.add(random_instances(0), name)
        dataset.add(random_instances(0), "b.jpg", image_id=7)
    images = ascii_json((tmp_path / "d.json").read_bytes())["images"]
    assert [(image["id"], image["file_name"]) for image in images] == [
        (10, "7.jpg"),
        (5, "5.jpg"),
        (11, "a.jpg"),
        (7, "b.jpg"),
    ]
    with pytest.raises(OptionError, match="an id of image_ids must be an integer"):
        CocoDataset(tmp_path / "e.json", image_ids=["a"])


def test_ids_are_given_once_whatever_came_before(tmp_path):
    """A number below the highest, and a photo without objects, do not count back."""
    with CocoDataset(tmp_path / "d.json") as dataset:
        for name, count in (("139.jpg", 2), ("138.jpg", 0), ("a.jpg", 1)):
            dataset.add(random_instances(0, count=count), name)
    document = ascii_json((tmp_path / "d.json").read_bytes())
    assert [image["id"] for image in document["images"]] == [139, 138, 140]
    assert [(one["id"], one["image_id"]) for one in document["annotations"]] == [(1, 139), (2, 139), (3, 140)]


def test_a_run_that_adds_nothing_writes_nothing(tmp_path):
    path = tmp_path / "d.json"
    CocoDataset(path).close()
    assert not listing(tmp_path)
    path.write_text(content := '{"images":[],"annotations":[],"categories":[]}')
    CocoDataset(path).close()
    assert path.read_text() == content


def test_objects_without_pixels_are_left_out_and_photos_without_objects_stay(tmp_path):
    with CocoDataset(tmp_path / "d.json") as dataset:
        dataset.add(Segmentation.from_masks([Mask.empty((8, 6))]), "empty.jpg")
    document = ascii_json((tmp_path / "d.json").read_bytes())
    assert [image["file_name"] for image in document["images"]] == ["empty.jpg"]
    assert document["annotations"] == []
    assert [one["name"] for one in document["categories"]] == ["object"]


def test_a_data_set_is_added_to_and_keeps_what_was_changed_in_it(tmp_path):
    path = tmp_path / "d.json"
    write(path, ("b.jpg", "a.jpg"))
    document = ascii_json(path.read_bytes())
    document["info"] = {"contributor": "somebody"}
    document["categories"].append({"id": 7, "name": "dog", "supercategory": "animal"})
    document["annotations"][0]["category_id"] = 7
    path.write_text(json.dumps(document))
    write(path)
    grown = ascii_json(path.read_bytes())
    check_whole(grown)
    assert grown["info"] == {"contributor": "somebody"}
    assert grown["annotations"][0] == document["annotations"][0]


def test_adding_again_takes_the_place_of_what_was_there(tmp_path):
    path = tmp_path / "d.json"
    write(path)
    before = ascii_json(path.read_bytes())["images"]
    with CocoDataset(path) as dataset:
        for _ in range(2):
            dataset.add(random_instances(9, count=1), "a.jpg")
    document = ascii_json(path.read_bytes())
    [image] = [image for image in document["images"] if image["file_name"] == "a.jpg"]
    assert sum(one["image_id"] == image["id"] for one in document["annotations"]) == 1
    assert sorted(document["images"], key=str) == sorted(before, key=str)  # each with the id that it had
    assert len({one["id"] for one in document["annotations"]}) == len(document["annotations"]) == 3 * 3 + 1


def test_a_kill_at_any_byte_loses_and_doubles_nothing(tmp_path):
    """The journal cut at every length, and the data set from there on: always the bytes of a run without a kill."""
    whole = write(tmp_path / "whole.json")
    dataset = CocoDataset(tmp_path / "killed.json")
    for name, found in RESULTS.items():
        dataset.add(found, name)
    journal = dataset.journal.read_bytes()
    dataset._file.close()  # as the system does for a process that is killed
    for end in [*range(0, len(journal), 97), len(journal) - 1, len(journal)]:
        path = tmp_path / "resumed.json"
        path.unlink(missing_ok=True)
        path.with_name("resumed.json.journal").write_bytes(journal[:end])
        assert write(path) == whole
        assert "resumed.json.journal" not in listing(tmp_path)


def test_what_a_run_had_half_written_when_it_was_killed_is_gone_after_the_next(tmp_path):
    with CocoDataset(tmp_path / "d.json") as dataset:
        dataset.add(make_sample())
        (tmp_path / dataset._part_name).write_bytes(b'{"images": [')
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]
    check = ascii_json((tmp_path / "d.json").read_bytes())
    assert [image["file_name"] for image in check["images"]] == ["photo.jpg"]


def test_a_kill_between_the_file_and_the_journals_end_doubles_nothing(tmp_path):
    path = tmp_path / "d.json"
    dataset = CocoDataset(path)
    for name, found in RESULTS.items():
        dataset.add(found, name)
    journal = dataset.journal.read_bytes()
    dataset.close()
    whole = path.read_bytes()
    dataset.journal.write_bytes(journal)
    assert write(path) == whole


def test_a_write_that_fails_leaves_the_line_before_whole(tmp_path, monkeypatch):
    path = tmp_path / "d.json"
    with CocoDataset(path) as dataset:
        dataset.add(RESULTS["a.jpg"], "a.jpg")

        def full(_):
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(OutputError, match=r"d\.json\.journal: No space left"):
                dataset.add(RESULTS["b.jpg"], "b.jpg")
        assert "b.jpg" not in dataset
        dataset.add(RESULTS["c.jpg"], "c.jpg")
    check_whole(ascii_json(path.read_bytes()), ("a.jpg", "c.jpg"))


@POSIX
def test_a_disk_that_is_full_for_a_while(tmp_path):
    path = tmp_path / "d.json"
    with CocoDataset(path) as dataset:
        dataset.add(RESULTS["a.jpg"], "a.jpg")
        size = dataset.journal.stat().st_size
        for _ in range(2):  # the reason stays the same, and so does the journal
            with (
                files_of_at_most(size + 10),
                pytest.raises(OutputError, match=r"d\.json\.journal: File too large"),
            ):
                dataset.add(RESULTS["b.jpg"], "b.jpg")
            assert dataset.journal.stat().st_size == size
        dataset.add(RESULTS["c.jpg"], "c.jpg")
    check_whole(ascii_json(path.read_bytes()), ("a.jpg", "c.jpg"))


@POSIX
def test_a_disk_that_is_full_at_the_end(tmp_path):
    whole = write(tmp_path / "whole.json")
    dataset = CocoDataset(tmp_path / "d.json")
    for name, found in RESULTS.items():
        dataset.add(found, name)
    with files_of_at_most(1000), pytest.raises(OutputError, match=r"d\.json: File too large"):
        dataset.close()
    assert listing(tmp_path) == ["d.json.journal", "whole.json"]
    assert write(tmp_path / "d.json") == whole


def test_a_second_run_is_told_at_once_and_takes_nothing_from_the_first(tmp_path):
    path = tmp_path / "d.json"
    with CocoDataset(path) as one:
        for _ in range(2):  # while the journal is empty, and while it is not
            with pytest.raises(OutputError, match=r"cannot add to .*d\.json: another run writes to it.*wait"):
                CocoDataset(path)
            one.add(RESULTS["a.jpg"], "a.jpg")
    check_whole(ascii_json(path.read_bytes()), ("a.jpg",))
    with CocoDataset(path) as other:
        other.add(RESULTS["b.jpg"], "b.jpg")
    check_whole(ascii_json(path.read_bytes()), ("a.jpg", "b.jpg"))
    assert listing(tmp_path) == ["d.json"]


@POSIX
def test_a_journal_that_another_run_takes_away_before_it_is_locked_is_not_written(tmp_path, monkeypatch):
    """Its lines would go where nobody looks for them."""

    def too_late(_):
        (tmp_path / "d.json.journal").unlink()
        return True

    monkeypatch.setattr("fastsam_onnx.formats.coco_dataset.try_lock", too_late)
    with pytest.raises(OutputError, match="another run writes to it"):
        CocoDataset(tmp_path / "d.json")


@POSIX
def test_where_there_are_no_locks_the_first_line_tells(tmp_path, monkeypatch):
    monkeypatch.setattr("fastsam_onnx.formats.coco_dataset.try_lock", lambda _: False)
    one, other = CocoDataset(tmp_path / "d.json"), CocoDataset(tmp_path / "d.json")
    one.add(RESULTS["a.jpg"], "a.jpg")
    with pytest.raises(OutputError, match="another run"):
        other.add(RESULTS["b.jpg"], "b.jpg")
    other.close()  # the one that has added nothing does not take the journal away
    one.add(RESULTS["c.jpg"], "c.jpg")
    one.close()
    check_whole(ascii_json((tmp_path / "d.json").read_bytes()), ("a.jpg", "c.jpg"))
    assert listing(tmp_path) == ["d.json"]


@POSIX
def test_a_journal_that_is_removed_is_told_and_what_it_had_is_written(tmp_path):
    path = tmp_path / "d.json"
    with CocoDataset(path) as dataset:
        dataset.add(RESULTS["a.jpg"], "a.jpg")
        dataset.journal.unlink()
        with pytest.raises(OutputError, match=r"d\.json\.journal: it was removed"):
            dataset.add(RESULTS["b.jpg"], "b.jpg")
    check_whole(ascii_json(path.read_bytes()), ("a.jpg",))


def test_threads_may_add_at_once(tmp_path):
    """Their lines would mix, and every later one be refused as after another run's."""
    path, names = tmp_path / "d.json", [f"{number}.jpg" for number in range(1, 41)]
    with CocoDataset(path) as dataset, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: dataset.add(RESULTS["a.jpg"], name), names))
    document = ascii_json(path.read_bytes())
    assert sorted(image["file_name"] for image in document["images"]) == sorted(names)
    assert len({image["id"] for image in document["images"]}) == len(names)
    assert len({one["id"] for one in document["annotations"]}) == len(names) * len(RESULTS["a.jpg"])


def test_a_data_set_that_is_closed_says_so(tmp_path, caplog):
    with CocoDataset(tmp_path / "d.json") as dataset:
        dataset.add(RESULTS["a.jpg"], "a.jpg")
    with pytest.raises(OutputError, match=r"cannot add to .*d\.json: the data set is closed; open it again"):
        dataset.add(RESULTS["a.jpg"], "a.jpg")
    assert not caplog.messages, "nothing took the place of what was added"


def test_json_that_is_no_object_is_told_as_such(tmp_path):
    (tmp_path / "d.json").write_text("[]")
    with pytest.raises(OutputError, match=r"it must be an object with images, annotations, categories, got \[\]"):
        CocoDataset(tmp_path / "d.json")


@POSIX
def test_a_folder_that_goes_is_told_and_nothing_is_promised(tmp_path):
    path = tmp_path / "out" / "d.json"
    path.parent.mkdir()
    dataset = CocoDataset(path)
    dataset.add(RESULTS["a.jpg"], "a.jpg")
    shutil.rmtree(path.parent)
    with pytest.raises(OutputError, match=r"cannot write .*; .*d\.json\.journal is gone, too: .* must be done again"):
        dataset.close()


@pytest.mark.parametrize(
    "content",
    [
        '{"images": [{"id": "a", "file_name": "a.jpg"}], "annotations": [], "categories": []}',
        "",
        "{",
        "[]",
        '{"images": []}',
        '{"images": [{}], "annotations": [], "categories": []}',
        "[" * 100_000,
        '{"images": [], "annotations": [{"id": 1, "score": NaN}], "categories": []}',
    ],
)
def test_a_file_that_is_no_data_set_is_not_touched(content, tmp_path):
    path = tmp_path / "d.json"
    path.write_text(content)
    with pytest.raises(OutputError, match=r"d\.json.*not a COCO data set"):
        CocoDataset(path)
    assert path.read_text() == content
    assert listing(tmp_path) == ["d.json"]


def line_of(**annotation):
    image = {"id": 1, "file_name": "a.jpg", "width": 8, "height": 6}
    return json.dumps({"image": image, "annotations": [{"id": 1, "image_id": 1, "category": "cup", **annotation}]})


@pytest.mark.parametrize(
    "line",
    [
        *("nonsense", "{}", "[]", '{"image": 1}', "[" * 100_000),
        '{"image": {"id": 1, "file_name": "a.jpg"}, "annotations": [{"foo": 1, "id": 1}]}',
        '{"image": {"id": 1, "file_name": "a.jpg"}, "annotations": [1]}',
        '{"image": {"id": 1.5, "file_name": "a.jpg"}, "annotations": []}',
        '{"image": {"id": 1, "file_name": ["a.jpg"]}, "annotations": []}',
        '{"image": {"id": 1, "file_name": 7}, "annotations": []}',
        *(line_of(category=None), line_of(category=["cup"]), line_of(id="1"), line_of(id=1.5), line_of(image_id=2)),
        line_of(score=float("nan")),
        line_of()[:-1] + ', "categories": ["cup", 7]}',
    ],
    ids=lambda line: line[:99],
)
def test_a_journal_that_is_damaged_within_is_refused(line, tmp_path):
    (tmp_path / "d.json.journal").write_text(line + "\n")
    with pytest.raises(OutputError, match=r"d\.json\.journal is damaged"):
        CocoDataset(tmp_path / "d.json")


def test_what_cannot_be_written_again_leaves_file_and_journal(tmp_path):
    path = tmp_path / "d.json"
    path.write_text(content := '{"images": [], "annotations": [{"id": 1, "score": 1e999}], "categories": []}')
    dataset = CocoDataset(path)
    dataset.add(RESULTS["a.jpg"], "a.jpg")
    with pytest.raises(OutputError, match=r"cannot write .*d\.json.*JSON.*keeps the photos"):
        dataset.close()
    assert path.read_text() == content
    assert listing(tmp_path) == ["d.json", "d.json.journal"]


def test_a_journal_that_is_whole_is_taken(tmp_path):
    (tmp_path / "d.json.journal").write_text(line_of() + "\n")
    with CocoDataset(tmp_path / "d.json") as dataset:
        assert "a.jpg" in dataset


def test_a_photo_needs_a_name(tmp_path):
    with pytest.raises(OptionError, match="file_name="):
        dataset_entry(random_instances(0))
    with pytest.raises(FastSAMError, match="missing"):
        CocoDataset(tmp_path / "missing" / "d.json")


def test_rings_are_joined_by_cuts_of_no_width():
    """A square of 8 with a hole of 4: the shoelace area is 64 - 16, and every corner is on the one ring."""
    dense = np.zeros((10, 10), bool)
    dense[1:9, 1:9], dense[3:7, 3:7] = True, False
    [polygon] = Mask.from_dense(dense).polygons()
    ring = ring_with_holes(polygon)
    x, y = ring.T
    assert abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2 == 48
    assert {tuple(corner) for corner in ring} == {
        (a, b) for low, high in ((1, 9), (3, 7)) for a in (low, high) for b in (low, high)
    }
    assert len(ring) == 4 + 4 + 2
    np.testing.assert_array_equal(joined([polygon.exterior]), polygon.exterior)


CLASSES = {0: "cat", 1: "dog", 2: "cow"}


def categories_of(path):
    return {one["name"]: one["id"] for one in ascii_json(path.read_bytes())["categories"]}


def test_a_class_has_one_id_whatever_was_found_first(sample, tmp_path):
    """Ids in the order of finding made the dog of one data set the cat of another, for all that compares ids."""
    for label in CLASSES:
        names = dict(sorted(CLASSES.items(), reverse=True))  # a file may list them in any order
        found = replace(sample, labels=np.full(5, label), names=names)
        with CocoDataset(tmp_path / f"{label}.json") as dataset:
            dataset.add(found)
        document = ascii_json((tmp_path / f"{label}.json").read_bytes())
        results = to_coco(found, category_id=[1, 2, 3])
        assert [one["category_id"] for one in document["annotations"]] == [one["category_id"] for one in results]
        assert categories_of(tmp_path / f"{label}.json") == {"cat": 1, "dog": 2, "cow": 3}


def test_classes_keep_the_ids_that_a_file_gives_them(sample, tmp_path):
    path = tmp_path / "d.json"
    path.write_text('{"images": [], "annotations": [], "categories": [{"id": 7, "name": "dog"}]}')
    with CocoDataset(path) as dataset:
        dataset.add(replace(sample, labels=np.array([2, 1, 0, 2, 1]), names=CLASSES))
    assert categories_of(path) == {"dog": 7, "cat": 8, "cow": 9}
    assert [one["category_id"] for one in ascii_json(path.read_bytes())["annotations"]] == [9, 7, 8, 9, 7]


def test_the_journal_has_the_classes_once_and_a_killed_run_loses_none(sample, tmp_path):
    found = replace(sample, labels=np.ones(5, int), names=CLASSES)
    dataset = CocoDataset(tmp_path / "d.json")
    for name in ("a.jpg", "b.jpg", "a.jpg"):  # the photo that brought them is replaced
        dataset.add(found, name)
    shutil.copy(dataset.journal, tmp_path / "killed.json.journal")
    assert dataset.journal.read_text().count("cow") == 1
    dataset.close()
    with CocoDataset(tmp_path / "killed.json") as again:
        assert len(again) == 2
    assert (
        categories_of(tmp_path / "d.json") == categories_of(tmp_path / "killed.json") == {"cat": 1, "dog": 2, "cow": 3}
    )


def test_classes_that_a_network_tells_apart_are_categories(sample, tmp_path):
    labels, classes = np.array([1, 0, 1, 5, 0]), {0: "cat", 1: "dog"}
    found = replace(sample, labels=labels, names=classes)
    with CocoDataset(tmp_path / "d.json") as dataset:
        dataset.add(found)
    document = ascii_json((tmp_path / "d.json").read_bytes())
    by_id = {one["id"]: one["name"] for one in document["categories"]}
    assert [by_id[one["category_id"]] for one in document["annotations"]] == ["dog", "cat", "dog", "5", "cat"]
    assert [line[0] for line in to_yolo(found).splitlines()] == ["1", "0", "1", "5", "0"]
    assert listed_categories({0: "cat", 2: "dog"}) == ["cat", "1", "dog"]
    assert listed_categories(None) == listed_categories({}) == ["object"]


def test_ids_of_categories_are_those_that_are_given(sample, tmp_path):
    """Also after a kill: the file has them before the journal has a photo."""
    path = tmp_path / "instances.json"
    given = {90: "cup", 4: "object"}
    killed = CocoDataset(path, given)
    assert not path.exists()
    killed.add(sample)
    categories = [(one["id"], one["name"]) for one in json.loads(path.read_text())["categories"]]
    assert categories == [(4, "object"), (90, "cup")]
    killed._file.close()
    with CocoDataset(path) as dataset:
        assert len(dataset) == 1
    document = json.loads(path.read_text())
    assert [(one["id"], one["name"]) for one in document["categories"]] == categories
    assert {one["category_id"] for one in document["annotations"]} == {4}
    with CocoDataset(path, {**given, 7: "dog"}) as dataset:
        dataset.add(sample, "b.jpg")
    document = json.loads(path.read_text())
    assert [(one["id"], one["name"]) for one in document["categories"]] == [*categories, (7, "dog")]
    assert [image["file_name"] for image in document["images"]] == ["photo.jpg", "b.jpg"]


def test_other_ids_than_those_that_are_there_are_refused(sample, tmp_path):
    path = tmp_path / "instances.json"
    with CocoDataset(path) as dataset:
        dataset.add(sample)
    before = path.read_bytes()
    for given, told in (
        ({2: "object"}, "has 'object' as 1, and 2 must be 'object'"),
        ({1: "cat"}, "has 1 for 'object'"),
    ):
        with pytest.raises(OutputError, match=told):
            CocoDataset(path, given)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["instances.json"]


@pytest.mark.parametrize(
    ("categories", "told"),
    [
        (["cat"], "categories must be names by ids, such as"),
        ({1: "cat", 2: "cat"}, "each of categories must have a name of its own"),
        ({-1: "cat"}, "an id of categories must be an integer"),
        ({1: 2}, "the name of a category must be a text, got 2"),
    ],
)
def test_categories_that_are_no_names_by_ids_are_refused(tmp_path, categories, told):
    with pytest.raises(OptionError, match=told):
        CocoDataset(tmp_path / "instances.json", categories)
    assert list(tmp_path.iterdir()) == []


def test_a_photo_has_the_id_that_is_given(sample, tmp_path):
    path = tmp_path / "instances.json"
    with CocoDataset(path) as dataset:
        dataset.add(sample, "7.jpg", image_id=30)
        dataset.add(sample, "b.jpg")
        dataset.add(sample, "7.jpg", image_id=30)
        dataset.add(sample, "7.jpg")
        with pytest.raises(OutputError, match=r"7\.jpg with the id 4 .*: it has the id 30; name another folder"):
            dataset.add(sample, "7.jpg", image_id=4)
        with pytest.raises(OutputError, match=r"c\.jpg with the id 31 .*: another photo has the id 31"):
            dataset.add(sample, "c.jpg", image_id=31)
        with pytest.raises(OptionError, match="image_id must be an integer"):
            dataset.add(sample, "c.jpg", image_id="c")
    document = json.loads(path.read_text())
    assert sorted((image["id"], image["file_name"]) for image in document["images"]) == [(30, "7.jpg"), (31, "b.jpg")]
    assert {one["image_id"] for one in document["annotations"]} == {30, 31}
