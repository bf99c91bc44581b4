"""Prompts on the command line: points, boxes, texts and a file of them."""

import argparse
import json

import cv2
import numpy as np
import pytest
from support import toy_clip
from support.command_line import FIRST, FIRST_AREA, SECOND, SECOND_AREA, areas, names, photo, read_json

from fastsam_onnx.cli.arguments import add_prompts
from fastsam_onnx.cli.prompts import read_prompts


class TestPrompts:
    def test_a_point_chooses(self, run, tmp_path):
        run(photo(tmp_path / "cat.png"), "--point", "50,50")
        assert areas(tmp_path / "cat.json") == [SECOND_AREA]

    def test_pick_and_background(self, run, tmp_path):
        source = photo(tmp_path / "cat.png")
        run(source, "--point", "10,10", "--point", "50,50", "--pick", "all", "--overwrite")
        assert sorted(areas(tmp_path / "cat.json")) == sorted([FIRST_AREA, SECOND_AREA])
        run(source, "--point", "10,10", "--point", "50,50", "--background", "52,52", "--pick", "all", "--overwrite")
        assert areas(tmp_path / "cat.json") == [FIRST_AREA]
        run(source, "--point", "10,10", "--point", "50,50", "--pick", "merge", "--overwrite")
        assert areas(tmp_path / "cat.json") == [FIRST_AREA + SECOND_AREA]

    def test_points_come_before_boxes_and_prompt_index_counts_the_answers(self, run, tmp_path):
        code, _, _ = run(
            photo(tmp_path / "cat.png"),
            "--box",
            "35,35,60,60",
            "--box",
            "0,0,30,30",
            "--point",
            "50,50",
            "--match",
            "box",
        )
        assert code == 0
        rows = read_json(tmp_path / "cat.json")["objects"]
        assert [(one["prompt_index"], one["area"]) for one in rows] == [
            (0, SECOND_AREA),
            (1, SECOND_AREA),
            (2, FIRST_AREA),
        ]

    def test_points_in_a_box_correct_its_answer(self, run, tmp_path):
        source = photo(tmp_path / "cat.png")
        asked = [source, "--box", "0,0,64,64", "--match", "mask", "--overwrite"]
        run(*asked, "--box-point", "10,10")
        assert areas(tmp_path / "cat.json") == [FIRST_AREA]
        run(*asked, "--box-background", "10,10")
        assert areas(tmp_path / "cat.json") == [SECOND_AREA]
        code, _, err = run(source, "--box-point", "10,10", "--overwrite")
        assert code == 2
        assert "--box-point needs --box" in err
        code, _, err = run(*asked, "--box", "0,0,9,9", "--box-background", "10,10")
        assert code == 2
        assert "--box-background needs --box, once: " in err
        assert "got 2; for several give box_points with --prompts, a group for each" in err

    def test_points_and_background_points_keep_their_order(self, run, tmp_path):
        """Each corrects the answer to those before it, and of those in one pixel the last says what it is."""
        parser = argparse.ArgumentParser()
        add_prompts(parser)
        for kind in ("", "box-", "mask-"):
            on, off = (f"--{kind}{name}" for name in ("point", "background"))
            parsed = vars(parser.parse_args([off, "1,2", on, "3,4", off, "5,6", on, "1,2"]))
            assert parsed[f"{kind}points".replace("-", "_")] == [(1, 2, 0), (3, 4, 1), (5, 6, 0), (1, 2, 1)]
        source = photo(tmp_path / "cat.png")
        asked = [source, "--box", "0,0,64,64", "--match", "mask", "--overwrite"]
        run(*asked, "--box-background", "10,10", "--box-point", "10,10")
        assert areas(tmp_path / "cat.json") == [FIRST_AREA]
        run(*asked, "--box-point", "10,10", "--box-background", "10,10")
        assert areas(tmp_path / "cat.json") == [SECOND_AREA]

    def test_a_prompt_that_hits_nothing_gives_an_empty_result(self, run, tmp_path):
        code, _, err = run(photo(tmp_path / "cat.png"), "--point", "2,62")
        assert code == 0
        assert areas(tmp_path / "cat.json") == []
        assert "0 objects" in err

    def test_points_correct_what_a_mask_means(self, run, tmp_path):
        sketch = np.full((64, 64), 255, np.uint8)
        sketch[0] = 0
        cv2.imwrite(str(tmp_path / "sketch.png"), sketch)
        source = photo(tmp_path / "in" / "cat.png")
        asked = [source, "--mask", tmp_path / "sketch.png", "--match", "mask", "-o", tmp_path / "cat.json"]
        run(*asked, "--mask-point", "10,10", "--overwrite")
        assert areas(tmp_path / "cat.json") == [FIRST_AREA]
        run(*asked, "--mask-background", "10,10", "--overwrite")
        assert areas(tmp_path / "cat.json") == [SECOND_AREA]
        code, _, err = run(source, "--mask-point", "10,10", "--overwrite")
        assert code == 2
        assert "--mask-point needs --mask" in err
        code, _, err = run(*asked, "--mask", tmp_path / "sketch.png", "--mask-point", "10,10", "--overwrite")
        assert code == 2
        assert "got 2; for several give mask_points with --prompts, a group for each" in err

    def test_a_mask_chooses_the_object_that_fits_it(self, run, tmp_path):
        sketch = np.zeros((64, 64), np.uint8)
        sketch[42:58, 40:58] = 255
        cv2.imwrite(str(tmp_path / "sketch.png"), sketch)
        source = photo(tmp_path / "in" / "cat.png")
        assert run(source, "--mask", tmp_path / "sketch.png", "--match", "mask", "-o", tmp_path / "cat.json")[0] == 0
        assert areas(tmp_path / "cat.json") == [SECOND_AREA]
        code, _, err = run(source, "--mask", source, "-o", tmp_path / "other.json")
        assert code == 2
        assert "two values" in err
        code, _, err = run(photo(tmp_path / "large.png", size=(80, 64)), "--mask", tmp_path / "sketch.png")
        assert code == 1
        assert "size of the photo, 80x64, got 64x64" in err

    def test_no_result_replaces_the_prompts(self, run, tmp_path):
        source = photo(tmp_path / "cat.png")
        asked = tmp_path / "cat.json"
        asked.write_text(text := '{"points": [[50, 50]]}')
        sketch = np.zeros((64, 64), np.uint8)
        sketch[42:58, 40:58] = 255
        cv2.imwrite(str(tmp_path / "cat.labels.png"), sketch)
        drawn = (tmp_path / "cat.labels.png").read_bytes()
        mask = ["--mask", tmp_path / "cat.labels.png"]
        forms = ["--format", "json", "--format", "labels"]
        assert run(source, "--prompts", asked, *mask, *forms, "--overwrite")[0] == 0
        assert asked.read_text() == text
        assert (tmp_path / "cat.labels.png").read_bytes() == drawn
        assert names(tmp_path) == ["cat.json", "cat.labels.png", "cat.png", "cat.png.json", "cat.png.labels.png"]
        code, _, err = run(source, "--prompts", asked, "-o", asked, "--overwrite")
        assert (code, "this run reads it" in err) == (2, True)
        assert asked.read_text() == text

    def test_prompts_are_drawn(self, run, tmp_path):
        source = photo(tmp_path / "cat.png")
        run(source, "--point", "50,50", "--background", "4,60", "--output", tmp_path / "x.png")
        drawn = cv2.imread(str(tmp_path / "x.png"))[..., ::-1].astype(int)
        assert drawn[50, 50, 1] > 150 > drawn[50, 50, 0]  # green
        assert drawn[60, 4, 0] > 150 > drawn[60, 4, 1]  # red

    def test_a_prompts_file_adds_to_the_options(self, run, tmp_path):
        # The list that rembg and samexporter share; some editors put a byte order mark before it.
        entries = [
            {"type": "point", "data": [10, 10.5], "label": 1},
            {"type": "point", "data": [52, 52], "label": 0},
            {"type": "rectangle", "data": [36, 40, 60, 60], "label": 1, "comment": "ignored"},
        ]
        file = tmp_path / "prompts.json"
        file.write_text(json.dumps(entries), encoding="utf-8-sig")
        code, _, _ = run(photo(tmp_path / "cat.png"), "--prompts", file, "--point", "50,50", "--pick", "all")
        assert code == 0
        assert areas(tmp_path / "cat.json") == [FIRST_AREA, SECOND_AREA]

    def test_prompts_files_add_to_one_another(self, run, tmp_path):
        """Of two the last alone was heeded, without a word."""
        for name, box in (("first", FIRST), ("second", SECOND)):
            (tmp_path / f"{name}.json").write_text(json.dumps({"boxes": [box]}))
        files = [part for name in ("first", "second") for part in ("--prompts", tmp_path / f"{name}.json")]
        assert run(photo(tmp_path / "in" / "cat.png"), *files)[0] == 0
        assert areas(tmp_path / "in" / "cat.json") == [FIRST_AREA, SECOND_AREA]
        assert run(tmp_path / "in" / "cat.png", *files, "-o", tmp_path / "first.json", "--overwrite")[0] == 2

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("{", "must be JSON"),
            ("[" * 100_000, "must be JSON"),
            ('{"circles": []}', "'circles'"),
            ('{"pick": "largest"}', "pick is given without points"),
            ("3", "got 3"),
            ("[3]", "entry 0"),
            ('[{"type": "circle"}]', "circle"),
            ('[{"type": "point", "data": [1, 2]}, {"type": "point", "data": [1]}]', "entry 1: data must be [x, y]"),
            ('[{"type": "point", "data": [1, "2"]}]', "data must be a number"),
            ('[{"type": "point", "data": [1, NaN]}]', "data must be a number"),
            ('[{"type": "point", "data": [1, 1e400]}]', "data must be a number"),
            (f'[{{"type": "point", "data": [1, 1{"0" * 400}]}}]', "data must be a number"),
            ('[{"type": "point", "data": [1, true]}]', "data must be a number"),
            (
                '[{"type": "point", "data": [1, 2], "label": 2}]',
                "label must be an integer from 0 to 1, got 2",
            ),
            ('[{"type": "point", "data": [1, 2], "label": 0}]', "background points alone"),
            ('[{"type": "rectangle", "data": [9, 9, 1, 1]}]', "x1 <= x2"),
            ('[{"type": "rectangle"}]', "data must be [x1, y1, x2, y2]"),
            ('{"points": [[1, NaN]]}', "points must be finite numbers"),
            ('{"points": [[1, 2]], "labels": [1, 0]}', "one label for every point"),
            ('{"boxes": [[1, 2, 3, 4]], "box_points": [[[200, 100]]]}', "must lie in its box"),
        ],
    )
    def test_a_malformed_prompts_file_is_wrong_usage(self, run, tmp_path, text, says):
        file = tmp_path / "prompts.json"
        file.write_text(text)
        code, _, err = run(photo(tmp_path / "cat.png"), "--prompts", file)
        assert code == 2
        assert says in err
        assert str(file) in err or "background points alone" in says  # which others may be added to
        assert err.count("\n") == 1
        assert names(tmp_path) == ["cat.png", "prompts.json"]

    def test_a_prompts_file_may_be_what_the_server_takes(self, run, tmp_path):
        file = tmp_path / "prompts.json"
        file.write_text(json.dumps({"points": [[50, 50], [10, 10]], "labels": [1, 1], "pick": "all"}))
        source = photo(tmp_path / "cat.png")
        assert run(source, "--prompts", file, "--format", "json")[0] == 0
        assert sorted(areas(tmp_path / "cat.json")) == sorted([FIRST_AREA, SECOND_AREA])
        code, _, err = run(source, "--prompts", file, "--pick", "largest", "--overwrite")
        assert code == 2
        assert "'largest' and 'all'" in err

    def test_a_prompts_file_that_is_missing_or_no_text(self, run, tmp_path):
        source = photo(tmp_path / "cat.png")
        code, _, err = run(source, "--prompts", tmp_path / "none.json")
        assert (code, "cannot read the prompts file" in err) == (2, True)
        code, _, err = run(source, "--prompts", source)
        assert (code, "must be JSON" in err) == (2, True)


def coloured_photo(path):
    """Red where the network finds FIRST, blue where it finds SECOND."""
    bgr = np.full((64, 64, 3), 128, np.uint8)
    for (x1, y1, x2, y2), colour in ((FIRST, "red"), (SECOND, "blue")):
        bgr[y1:y2, x1:x2] = toy_clip.COLOURS[colour][::-1]
    assert cv2.imwrite(str(path), bgr)
    return path


def test_texts_choose_objects(run, tmp_path, clip_folder):
    photo = coloured_photo(tmp_path / "a.png")
    code, _, said = run(photo, "--clip", clip_folder, "--text", "a blue dog", "--text", "red", "--format", "json")
    assert code == 0, said
    objects = read_json(tmp_path / "a.json")["objects"]
    assert [one["area"] for one in objects] == [SECOND_AREA, FIRST_AREA]
    assert [one["prompt_index"] for one in objects] == [0, 1]
    assert all(one["similarity"] > 0.9 for one in objects)


@pytest.mark.parametrize(
    ("prompts", "damaged"),
    [
        (["--text", "red"], "text_model.onnx"),
        (["--classify", "red,blue"], "text_model.onnx"),
        (["--point", "10,10", "--similar", "0.9"], "vision_model.onnx"),
    ],
)
def test_a_clip_that_cannot_be_opened_is_told_before_the_first_photo(run, tmp_path, clip_folder, prompts, damaged):
    photos = [coloured_photo(tmp_path / name) for name in ("a.png", "b.png")]
    (clip_folder / damaged).write_bytes(b"junk")
    code, _, said = run(*photos, "--clip", clip_folder, *prompts, "--format", "yolo", "-o", tmp_path / "out")
    assert (code, said.count(damaged) > 0, said.count("fastsam-onnx: ")) == (2, True, 1), said
    assert not (tmp_path / "out").exists()
    code, _, said = run(photos[0], "--clip", clip_folder, "--format", "json")  # nobody asks it
    assert code == 0, said


def test_a_text_that_clip_does_not_take_to_its_end_is_told_once(run, tmp_path, clip_folder):
    """77 ids, start and end among them: 75 words fit, what follows them changed nothing, without a word."""
    for name in ("a.png", "b.png"):
        coloured_photo(tmp_path / name)
    given = (tmp_path / "a.png", tmp_path / "b.png", "--clip", clip_folder, "--overwrite")
    told = "is too long for CLIP: its end is not compared"
    long = "red " * 75
    assert told not in run(*given, "--text", long)[2]
    for option in (["--text", f"{long} dog"], ["--text", "red", "--negative", f"{long} dog"]):
        code, _, err = run(*given, *option)
        assert (code, err.count(told)) == (0, 1)


def test_texts_come_after_points_and_boxes(run, tmp_path, clip_folder):
    photo = coloured_photo(tmp_path / "a.png")
    prompts = ["--point", "10,10", "--box", "36,40,60,60", "--clip", clip_folder, "--text", "blue"]
    code, _, said = run(photo, *prompts, "--format", "json")
    assert code == 0, said
    assert [one["prompt_index"] for one in read_json(tmp_path / "a.json")["objects"]] == [0, 1, 2]


def test_similarity_gives_all_that_are_alike_or_none(run, tmp_path, clip_folder):
    photo = coloured_photo(tmp_path / "a.png")
    arguments = ["--clip", clip_folder, "--text", "green", "--format", "json", "--overwrite"]
    for threshold, count in ((0.9, 0), (-1, 2)):
        code, _, said = run(photo, *arguments, f"--similarity={threshold}")
        assert code == 0, said
        assert len(areas(tmp_path / "a.json")) == count


def test_what_a_negative_text_fits_better_does_not_answer(run, tmp_path, clip_folder):
    photo = coloured_photo(tmp_path / "a.png")
    arguments = ["--clip", clip_folder, "--similarity=-1", "--format", "json", "--overwrite"]
    (tmp_path / "p.json").write_text('{"texts": "red", "negative": "blue"}', encoding="utf-8")
    for more, expected in (
        (["--text", "red"], [FIRST_AREA, SECOND_AREA]),
        (["--text", "red", "--negative", "blue"], [FIRST_AREA]),
        (["--text", "red", "--negative", "blue", "--negative", "a red dog"], []),
        (["--prompts", tmp_path / "p.json"], [FIRST_AREA]),
    ):
        code, _, said = run(photo, *arguments, *more)
        assert code == 0, said
        assert [one["area"] for one in read_json(tmp_path / "a.json")["objects"]] == expected


@pytest.mark.parametrize(("more", "expected"), [({"top_k": 3}, 3), ({"top_k": None}, None), ({}, None)])
def test_a_files_number_of_objects_holds_beside_similarity(tmp_path, more, expected):
    """Without one all that are alike answer."""
    (tmp_path / "p.json").write_text(json.dumps({"texts": ["green"], **more}), encoding="utf-8")
    parser = argparse.ArgumentParser()
    add_prompts(parser)
    given = parser.parse_args(["--clip", "x", "--similarity=-1", "--prompts", str(tmp_path / "p.json")])
    assert read_prompts(given).top_k == expected


def test_objects_get_the_name_that_fits_them(run, tmp_path, clip_folder):
    photo = coloured_photo(tmp_path / "a.png")
    arguments = ["--clip", clip_folder, "--format", "json", "--format", "yolo", "-o", tmp_path / "out", "--overwrite"]
    for more, expected in (
        (["--classify", "blue,red"], {FIRST_AREA: "red", SECOND_AREA: "blue"}),
        (["--classify", "blue", "--classify", "red"], {FIRST_AREA: "red", SECOND_AREA: "blue"}),
        (["--classify", "blue", "--similarity=0.9"], {SECOND_AREA: "blue"}),
        (["--classify", "blue", "--similarity=0.9", "--other", "thing"], {FIRST_AREA: "thing", SECOND_AREA: "blue"}),
        (["--classify", "blue,red", "--point", "40,44"], {SECOND_AREA: "blue"}),
    ):
        code, _, said = run(photo, *arguments, *more)
        assert code == 0, said
        objects = read_json(tmp_path / "out" / "a.json")["objects"]
        assert {one["area"]: one["name"] for one in objects} == expected
    assert (tmp_path / "out" / "data.yaml").read_text().endswith('0: "blue"\n  1: "red"\n')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classify", "red"], "--classify needs --clip: --clip clip-vit-b-32-int8"),
        (["--other", "red"], "--other needs --classify"),
        (["--classify", "red,red", "--clip", "x"], "'red' twice"),
        (["--classify", "red", "--classify", "blue,red", "--clip", "x"], "'red' twice"),
        (["--classify", "red", "--other", " ", "--clip", "x"], "other must be the name of a class, got ' '"),
        (["--negative", "red", "--point", "1,1", "--clip", "x"], "--negative needs --text"),
        (["--text", "red", "--negative", " ", "--clip", "x"], "negative text 0 must have"),
        (["--text", "red"], "--clip clip-vit-b-32-int8"),
        (["--text", " ", "--clip", "x"], "text prompt"),
        (["--text", "red", "--clip", "nothing/here"], "there is no CLIP at"),
        (["--text", "red", "--clip", "x", "--similarity", "2"], "from -1 to 1"),
        (
            ["--classify", "red", "--other", "rest", "--clip", "x"],
            "--other needs --similarity: without it every object",
        ),
    ],
)
def test_texts_that_cannot_be_answered_are_wrong_usage(run, tmp_path, arguments, message):
    code, _, said = run(photo(tmp_path / "a.png"), *arguments)
    assert code == 2
    assert message in said
    assert names(tmp_path) == ["a.png"]
