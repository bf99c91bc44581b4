"""The command line: exit codes, names of outputs, prompts, streams, and that one bad photo stops nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support import tiny_onnx, toy_clip
from support.terminal import in_a_terminal

import fastsam_onnx
from fastsam_onnx.cli import arguments as cli_inputs
from fastsam_onnx.cli.photos import Photo, plan
from fastsam_onnx.cli.program import main
from fastsam_onnx.cli.screen import Screen
from fastsam_onnx.errors import OptionError
from fastsam_onnx.formats.registry import FORMATS
from fastsam_onnx.model import FastSAM
from fastsam_onnx.options import DEFAULT_CONF, DEFAULT_IMGSZ, DEFAULT_IOU, DEFAULT_MAX_DET

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# What the tests' network finds in every 64 x 64 photo: the pixels of these two boxes, and no others.
FIRST, SECOND = [8, 8, 32, 32], [36, 40, 60, 60]
FIRST_AREA, SECOND_AREA = 24 * 24, 24 * 20


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    """An ONNX file that finds FIRST with score 0.9 and SECOND with 0.8; the logit is 5 in all of a box."""
    file = tmp_path_factory.mktemp("network") / "known.onnx"
    boxes = [[20, 20, 24, 24], [48, 50, 24, 20]]  # cx, cy, w, h
    file.write_bytes(
        tiny_onnx.known(boxes, [0.9, 0.8], [[5.0, 0.0], [5.0, 0.0]], np.stack([np.ones((16, 16)), np.zeros((16, 16))]))
    )
    return str(file)


@pytest.fixture
def run(network, capsys):
    """Run `segment` in this process; gives exit code, standard output, standard error."""

    def run_segment(*arguments):
        code = main(["segment", "--model", network, *map(str, arguments)])
        return code, *capsys.readouterr()

    return run_segment


@pytest.fixture
def shell(network, tmp_path):
    """Run the program as a process of its own, in tmp_path, by default with the tests' network."""

    def run_program(*arguments, model=True, stdin=b"", **options):
        command = [sys.executable, "-m", "fastsam_onnx", *arguments]
        if model:
            command += ["--model", network]
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment(),
            timeout=120,
            check=False,
            **options,
        )

    return run_program


def environment():
    return {**os.environ, "PYTHONPATH": str(Path(fastsam_onnx.__file__).parents[1])}


def picture_bytes(suffix=".png", size=(64, 64)):
    grey = np.arange(size[0] * size[1] * 3, dtype=np.uint32).reshape(size[1], size[0], 3) % 251
    done, data = cv2.imencode(suffix, grey.astype(np.uint8))
    assert done
    return bytes(data)


def photo(path, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture_bytes(path.suffix or ".png", size))
    return path


def read_json(path):
    return json.loads(path.read_text())


def areas(path):
    return [one["area"] for one in read_json(path)["objects"]]


def names(folder):
    """All files below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def listing(folder):
    """All that is in a folder, hidden or not."""
    return sorted(path.name for path in folder.iterdir())


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


def test_formats_and_a_folder_that_is_made(run, tmp_path):
    formats = [argument for name in FORMATS for argument in ("--format", name)]
    code, _, _ = run(photo(tmp_path / "cat.png"), *formats, "--output", tmp_path / "new" / "results")
    assert code == 0
    assert names(tmp_path / "new" / "results") == [
        "cat.coco.json",
        "cat.cutouts/object-0000.png",
        "cat.cutouts/object-0001.png",
        "cat.geojson",
        "cat.json",
        "cat.labelme.json",
        "cat.labels.png",
        "cat.overlay.png",
        "cat.sam.json",
        "cat.svg",
    ]


def test_labelme_finds_the_photo_and_coco_has_its_id(run, tmp_path):
    source = photo(tmp_path / "photos" / "000139.png")
    run(source, "--format", "labelme", "--format", "coco", "--output", tmp_path / "out")
    assert read_json(tmp_path / "out" / "000139.labelme.json")["imagePath"] == "../photos/000139.png"
    assert [one["image_id"] for one in read_json(tmp_path / "out" / "000139.coco.json")] == [139, 139]


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

    def test_a_prompt_that_hits_nothing_gives_an_empty_result(self, run, tmp_path):
        code, _, err = run(photo(tmp_path / "cat.png"), "--point", "2,62")
        assert code == 0
        assert areas(tmp_path / "cat.json") == []
        assert "0 objects" in err

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

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("{", "is no JSON"),
            ("[" * 100_000, "is no JSON"),
            ("{}", "holds no list"),
            ("3", "holds no list"),
            ("[3]", "entry 0: accepted are"),
            ('[{"type": "circle"}]', '"circle"'),
            ('[{"type": "point", "data": [1, 2]}, {"type": "point", "data": [1]}]', 'entry 1: "data" is [x, y]'),
            ('[{"type": "point", "data": [1, "2"]}]', "numbers"),
            ('[{"type": "point", "data": [1, NaN]}]', "numbers"),
            ('[{"type": "point", "data": [1, 1e400]}]', "numbers"),
            (f'[{{"type": "point", "data": [1, 1{"0" * 400}]}}]', "numbers"),
            ('[{"type": "point", "data": [1, true]}]', "numbers"),
            ('[{"type": "point", "data": [1, 2], "label": 2}]', "1 for foreground or 0"),
            ('[{"type": "point", "data": [1, 2], "label": 0}]', "background points alone"),
            ('[{"type": "rectangle", "data": [9, 9, 1, 1]}]', "x1 <= x2"),
            ('[{"type": "rectangle"}]', '"data" is [x1, y1, x2, y2]'),
        ],
    )
    def test_a_malformed_prompts_file_is_wrong_usage(self, run, tmp_path, text, says):
        file = tmp_path / "prompts.json"
        file.write_text(text)
        code, _, err = run(photo(tmp_path / "cat.png"), "--prompts", file)
        assert code == 2
        assert says in err
        assert err.count("\n") == 1
        assert names(tmp_path) == ["cat.png", "prompts.json"]

    def test_a_prompts_file_that_is_missing_or_no_text(self, run, tmp_path):
        source = photo(tmp_path / "cat.png")
        code, _, err = run(source, "--prompts", tmp_path / "none.json")
        assert (code, "cannot read the prompts file" in err) == (2, True)
        code, _, err = run(source, "--prompts", source)
        assert (code, "is no JSON" in err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--nonsense"],
        ["--conf", "1.5"],
        ["--conf", "nan"],
        ["--iou", "-1"],
        ["--imgsz", "0"],
        ["--imgsz", "640x"],
        ["--imgsz", "640"],  # the network's size is fixed at 64
        ["--max-det", "0"],
        ["--threads", "none"],
        ["--point", "1"],
        ["--point", "1,2,3"],
        ["--point", "a,b"],
        ["--point", "1,inf"],
        ["--box", "1,2,3"],
        ["--box", "9,9,1,1"],
        ["--background", "1,2"],
        ["--pick", "nicest"],
        ["--format", "docx"],
        ["--model", "none.onnx"],
        ["--output", "x.png", "--format", "json"],
        ["--output", "x.png", "--format", "overlay", "--format", "labels"],
        ["--output", "-", "--format", "overlay", "--format", "labels"],
        ["--output", "-", "--format", "cutouts"],
        ["--output", "-", "--json"],
    ],
)
def test_wrong_usage_is_2_and_does_nothing(network, capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "cat.png")
    given = ["segment", "cat.png", "--model", network, *arguments] if arguments else ["segment"]
    assert main(given) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "fastsam-onnx" in err
    assert "Traceback" not in err
    assert names(tmp_path) == ["cat.png"]


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
    assert (code, "is the photo itself" in err) == (2, True)
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
        assert "none*: no pictures match this pattern" in err
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
        for name in ("a.json", "a.overlay.png", "b.json"):
            (out / name).write_text("mine")
        code, printed, err = run(tmp_path / "in", "--output", out, "--json")
        assert code == 0
        assert [json.loads(line)["status"] for line in printed.splitlines()] == ["skipped", "done", "done"]
        assert "2 photos, 4 objects" in err
        assert "; 1 skipped" in err
        assert [name for name in names(out) if (out / name).read_bytes() == b"mine"] == [
            "a.json",
            "a.overlay.png",
            "b.json",
        ]
        assert len(names(out)) == 6
        assert run(tmp_path / "in", "--output", out, "--overwrite")[0] == 0
        assert areas(out / "a.json") == [FIRST_AREA, SECOND_AREA]

    def test_nothing_to_do_opens_no_model(self, capsys, tmp_path):
        photo(tmp_path / "a.png")
        (tmp_path / "a.json").write_text("{}")
        assert main(["segment", str(tmp_path), "--format", "json", "--model", "none.onnx"]) == 0

    def test_a_named_photo_whose_result_exists_fails_and_the_result_stays(self, run, tmp_path):
        # It may be hand-made: labelme keeps its annotations beside the photo under this name.
        source = photo(tmp_path / "a.png")
        (tmp_path / "a.json").write_text("mine")
        code, _, err = run(source)
        assert code == 1
        assert "a.json exists; --overwrite replaces it" in err
        assert (tmp_path / "a.json").read_text() == "mine"
        assert names(tmp_path) == ["a.json", "a.png"]

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
        assert f"fastsam-onnx: {tmp_path / 'bare'}: no pictures in this folder (--recursive looks deeper)" in lines
        assert "2 photos, 4 objects" in err
        assert "; 4 failed" in err

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
        assert (code, "pixel_limit accepts 4095" in err) == (1, True)
        assert run(source, "--pixel-limit", 64 * 64)[0] == 0

    def test_a_photo_named_twice_is_done_once(self, run, tmp_path):
        source = photo(tmp_path / "a.png")
        code, out, _ = run(source, tmp_path / "x" / ".." / "a.png", tmp_path, "--json")
        assert code == 0
        assert len(out.splitlines()) == 1


class TestNames:
    """No two results of a run share a name."""

    def outputs(self, photos, formats=("json",), output="out"):
        jobs = plan([one if isinstance(one, Photo) else Photo(Path(one)) for one in photos], formats, output)
        return [path.as_posix() for job in jobs for path in job.outputs.values()]

    def test_the_stem_where_it_is_unique(self):
        assert self.outputs(["a.jpg", "in/b.png", "c"]) == ["out/a.json", "out/b.json", "out/c.json"]
        assert self.outputs(["a.jpg", "in/b.png"], output=None) == ["a.json", "in/b.json"]
        assert self.outputs(["x/a.jpg", "y/a.jpg"], output=None) == ["x/a.json", "y/a.json"]

    def test_same_stem(self):
        assert self.outputs(["a.jpg", "a.png", "b.png"]) == ["out/a.jpg.json", "out/a.png.json", "out/b.json"]
        assert self.outputs(["a.jpg", "A.png"]) == ["out/a.jpg.json", "out/A.png.json"]  # for macOS and Windows
        assert self.outputs(["i/a.jpg", "i/a.png"], output=None) == ["i/a.jpg.json", "i/a.png.json"]

    def test_a_long_name_that_is_the_short_name_of_another(self):
        names = self.outputs(["a.jpg", "a.png", "a.jpg.png"])
        assert len(set(names)) == 3
        assert names[1:] == ["out/a.png.json", "out/a.jpg.png.json"]

    def test_suffixes_of_different_formats(self):
        names = self.outputs(["a.jpg", "a.coco.jpg"], formats=("json", "coco"))
        assert len(set(names)) == 4

    def test_folders(self):
        found = [Photo(Path("2023/x/a.jpg"), Path("2023")), Photo(Path("2024/x/a.jpg"), Path("2024"))]
        assert self.outputs(found) == ["out/2023/x/a.jpg.json", "out/2024/x/a.jpg.json"]
        assert self.outputs(["x/a.jpg", "../a.jpg", "x/b.jpg"])[::2] == ["out/x/a.jpg.json", "out/b.json"]
        assert all(name.startswith("out/") and ".." not in name for name in self.outputs(["x/a.jpg", "../a.jpg"]))

    def test_where_only_the_case_differs(self):
        assert self.outputs(["a.jpg", "A.jpg"], output=None) == ["a.jpg.json", "A.jpg.json"]

    def test_what_stays_the_same_is_refused(self):
        with pytest.raises(OptionError, match="twice or over an input"):
            self.outputs(["a", "a.coco"], formats=("json", "coco"), output=None)

    def test_in_a_run(self, run, tmp_path):
        for name in ("p/a.jpg", "p/a.png", "q/a.png"):
            photo(tmp_path / name)
        assert run(tmp_path / "p", tmp_path / "q", "--output", tmp_path / "out", "--format", "json")[0] == 0
        assert names(tmp_path / "out") == ["a.jpg.json", "p/a.png.json", "q/a.png.json"]


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


class TestWhatIsSaid:
    def test_json_lines(self, run, tmp_path):
        source = photo(tmp_path / "a.png", size=(64, 48))
        code, out, _ = run(source, "--json", "--format", "json", "--output", tmp_path / "out")
        [record] = map(json.loads, out.splitlines())
        stages = record.pop("milliseconds")
        assert code == 0
        assert record == {
            "input": str(source),
            "status": "done",
            "objects": 2,
            "width": 64,
            "height": 48,
            "outputs": {"json": str(tmp_path / "out" / "a.json")},
        }
        assert set(stages) == {"decode", "preprocess", "network", "postprocess", "output"}
        assert all(value >= 0 for value in stages.values())

    def test_quiet_says_errors_only(self, run, tmp_path):
        source = photo(tmp_path / "a.png")
        assert run(source, "--quiet") == (0, "", "")
        assert run(tmp_path, "--quiet", "--json", "--overwrite")[2] == ""
        code, out, err = run(source, tmp_path / "none.png", "--quiet", "--overwrite")
        assert (code, out) == (1, "")
        assert err == f"fastsam-onnx: {tmp_path / 'none.png'}: there is no such file\n"

    def test_warnings_of_the_package_are_shown_unless_quiet(self, network, tmp_path, capsys):
        file = tmp_path / "odd.onnx"
        file.write_bytes(tiny_onnx.tiny(metadata={"stride": "nonsense"}))
        source = str(photo(tmp_path / "a.png"))
        assert main(["segment", source, "--model", str(file), "--imgsz", "64"]) == 0
        assert "fastsam-onnx: warning: " in capsys.readouterr().err
        assert main(["segment", source, "--model", str(file), "--imgsz", "64", "--overwrite", "--quiet"]) == 0
        assert capsys.readouterr().err == ""

    def test_help_agrees_with_the_defaults(self, capsys):
        assert main(["segment", "--help"]) == 0
        text = " ".join(capsys.readouterr().out.split())
        for default in (f"own, else {DEFAULT_CONF}", f"own, else {DEFAULT_IOU}", f"own, else {DEFAULT_IMGSZ}"):
            assert default in text
        assert f"(default: {DEFAULT_MAX_DET})" in text
        assert all(kind.what in text for kind in FORMATS.values())

    def test_version_and_help(self, capsys):
        assert main(["--version"]) == 0
        assert capsys.readouterr().out == f"fastsam-onnx {fastsam_onnx.__version__}\n"
        for arguments in (["--help"], ["info", "--help"]):
            assert main(arguments) == 0
            assert "exit codes:" in capsys.readouterr().out

    def test_what_is_not_printable_is_escaped(self, capsys):
        Screen(sys.stderr).say("a\x1b[31m \udcff\nb")
        assert capsys.readouterr().err == "fastsam-onnx: a\\x1b[31m \\udcff b\n"


class TestInfo:
    def test_text(self, network, capsys):
        assert main(["info", network]) == 0
        out, err = capsys.readouterr()
        lines = dict(line.split(":", 1) for line in out.splitlines())
        assert err == ""
        assert lines["model"].strip() == network
        assert f"{Path(network).stat().st_size:,}" in lines["bytes"]
        assert "imgsz 64x64 (the file's own), conf 0.4 (ours), iou 0.9 (ours)" in lines["defaults"]
        assert "CPUExecutionProvider" in lines["providers"]

    def test_json(self, tmp_path, capsys):
        file = tmp_path / "tiny.onnx"
        file.write_bytes(tiny_onnx.tiny(nc=3, nm=4, metadata=tiny_onnx.ultralytics_metadata(3, (96, 64))))
        assert main(["info", "--json", str(file)]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["bytes"] == file.stat().st_size
        assert facts["input"] == {
            "name": "images",
            "dtype": "float32",
            "batch": None,
            "height": None,
            "width": None,
            "stride": 32,
        }
        assert (facts["classes"], facts["coefficients"], facts["nms_inside"]) == (3, 4, False)
        assert facts["names"] == {"0": "class 0", "1": "class 1", "2": "class 2"}
        assert facts["metadata"]["imgsz"] == [96, 64]
        assert facts["defaults"] == {"imgsz": [96, 64], "conf": 0.4, "iou": 0.9, "max_det": 300, "refine": False}

    def test_no_model(self, tmp_path, capsys):
        (tmp_path / "text.onnx").write_text("no network")
        for name in ("none.onnx", "text.onnx"):
            assert main(["info", str(tmp_path / name)]) == 2
            out, err = capsys.readouterr()
            assert (out, err.count("\n")) == ("", 1)
            assert name in err


class TestProcess:
    def test_stdin_to_stdout(self, shell):
        done = shell("segment", "-", stdin=picture_bytes(".jpg"))
        assert done.returncode == 0
        assert done.stdout.startswith(PNG_MAGIC)
        assert cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR).shape == (64, 64, 3)
        done = shell("segment", "-", "--format", "json", "--quiet", stdin=picture_bytes(".jpg"))
        assert [one["box"] for one in json.loads(done.stdout)["objects"]] == [FIRST, SECOND]
        assert done.stderr == b""

    def test_stdin_to_a_folder_and_a_photo_to_stdout(self, shell, tmp_path):
        assert shell("segment", "-", "--output", "out", stdin=picture_bytes()).returncode == 0
        assert names(tmp_path) == ["out/stdin.json", "out/stdin.overlay.png"]
        photo(tmp_path / "a.png")
        done = shell("segment", "a.png", "--format", "svg", "--output", "-")
        assert done.stdout.startswith(b"<svg")

    @pytest.mark.parametrize("stdin", [b"", b"no picture at all"])
    def test_stdin_that_is_no_photo(self, shell, stdin):
        done = shell("segment", "-", stdin=stdin)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"fastsam-onnx: -: ")
        assert b"Traceback" not in done.stderr

    def test_a_name_that_begins_with_a_dash(self, network, tmp_path):
        photo(tmp_path / "-a.png")
        command = [sys.executable, "-m", "fastsam_onnx", "segment", "--model", network, "--", "-a.png"]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert names(tmp_path) == ["-a.json", "-a.overlay.png", "-a.png"]

    @POSIX
    def test_names_that_are_no_text(self, shell, tmp_path):
        name = os.fsdecode(b"caf\xe9 \xff\n.png")
        try:
            photo(tmp_path / name)
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        done = shell("segment", name, "missing-\udcff.png", ".", "--json", "--format", "json", "--format", "labelme")
        assert done.returncode == 1
        first, second = map(json.loads, done.stdout.decode("ascii").splitlines())
        assert (first["input"], first["status"]) == (name, "done")
        assert (second["input"], second["status"]) == ("missing-\udcff.png", "failed")
        assert b"Traceback" not in done.stderr
        stem = os.fsdecode(b"caf\xe9 \xff\n")
        assert listing(tmp_path) == sorted([name, f"{stem}.json", f"{stem}.labelme.json"])

    def test_names_that_the_terminal_cannot_show(self, network, tmp_path):
        photo(tmp_path / "猫.png")
        command = [sys.executable, "-m", "fastsam_onnx", "segment", "猫.png", "--model", network]
        ascii_only = {**environment(), "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(command, cwd=tmp_path, env=ascii_only, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0
        assert b"\\u732b.png: 64x64, 2 objects" in done.stderr

    @POSIX
    def test_a_reader_that_goes_away_ends_it_without_a_traceback(self, network, tmp_path):
        for number in range(20):
            photo(tmp_path / "in" / f"{number:02}.png")
        for arguments in (["in", "--json", "--format", "json"], ["in/00.png", "--format", "json", "--output", "-"]):
            command = [sys.executable, "-m", "fastsam_onnx", "segment", *arguments, "--model", network]
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(
                command,
                stdout=writer,
                stderr=subprocess.PIPE,
                cwd=tmp_path,
                env=environment(),
                timeout=120,
                check=False,
            )
            os.close(writer)
            assert done.returncode == 141
            assert b"Traceback" not in done.stderr
            assert b"Exception ignored" not in done.stderr

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_disk_that_is_full(self, network, tmp_path):
        photo(tmp_path / "a.png")
        for arguments in (["--json"], ["--output", "-"]):
            command = [sys.executable, "-m", "fastsam_onnx", "segment", "a.png", "--model", network, *arguments]
            with Path("/dev/full").open("wb") as full:
                done = subprocess.run(
                    command,
                    stdout=full,
                    stderr=subprocess.PIPE,
                    cwd=tmp_path,
                    env=environment(),
                    timeout=120,
                    check=False,
                )
            assert done.returncode == 1
            assert b"standard output: No space left" in done.stderr
            assert b"Traceback" not in done.stderr
            assert b"Exception ignored" not in done.stderr

    @POSIX
    def test_a_terminal_gets_a_progress_bar_and_no_pictures(self, network, tmp_path):
        photo(tmp_path / "in" / "a.png")
        photo(tmp_path / "in" / "b.png")
        program = [sys.executable, "-m", "fastsam_onnx"]
        code, text = in_a_terminal([*program, "segment", "in", "--model", network], cwd=tmp_path, env=environment())
        assert code == 0
        assert "[############............] 1 of 2" in text
        assert "1 of 2, " in text
        assert "photos/s, 0:00 left" in text
        assert text.split("\r")[-2].endswith("photos/s")
        code, text = in_a_terminal(
            [*program, "segment", "in/a.png", "--output", "-", "--model", network], cwd=tmp_path, env=environment()
        )
        assert code == 2
        assert "a picture is no text for a terminal" in text
        code, text = in_a_terminal(
            [*program, "segment", "-", "--format", "json", "--model", network], cwd=tmp_path, env=environment()
        )
        assert code == 1
        assert "a terminal gives no photo" in text

    def test_help_loads_nothing_heavy_and_a_run_no_foreign_packages(self, network, tmp_path):
        photo(tmp_path / "a.png")
        script = (
            "import sys, json; from fastsam_onnx.cli.program import main; code = main(json.loads(sys.argv[1]));"
            "print('|', code, *sorted({name.split('.')[0] for name in sys.modules}))"
        )
        for arguments, unwanted in (
            (["segment", "--help"], {"onnxruntime", "cv2", "torch", "onnx", "PIL", "tokenizers"}),
            (
                ["segment", "a.png", "--quiet", "--model", network],
                {"torch", "onnx", "PIL", "tokenizers", "ultralytics", "pycocotools"},
            ),
        ):
            command = [sys.executable, "-c", script, json.dumps(arguments)]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120, check=False
            )
            code, *modules = done.stdout.rpartition("|")[2].split()
            assert code == "0", done.stderr
            assert not unwanted & set(modules)


def test_numbers_of_options():
    assert cli_inputs.coordinates("620,360.5", "X,Y") == (620, 360.5)
    assert cli_inputs.coordinates("-5,0,90,80", "X1,Y1,X2,Y2") == (-5, 0, 90, 80)
    assert cli_inputs.input_size("1024") == 1024
    assert cli_inputs.input_size("1280x736") == (736, 1280)  # (height, width)
    assert cli_inputs.whole("300") == 300
    assert cli_inputs.fraction("1") == 1


# ---------------------------------------------------------------- texts


@pytest.fixture
def clip_folder(tmp_path):
    return toy_clip.write(tmp_path / "clip")


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--text", "red"], "--clip clip-vit-b-32-int8"),
        (["--text", " ", "--clip", "x"], "text prompt"),
        (["--text", "red", "--clip", "nothing/here"], "there is no CLIP at"),
        (["--text", "red", "--clip", "x", "--similarity", "2"], "from -1 to 1"),
    ],
)
def test_texts_that_cannot_be_answered_are_wrong_usage(run, tmp_path, arguments, message):
    code, _, said = run(photo(tmp_path / "a.png"), *arguments)
    assert code == 2
    assert message in said
    assert names(tmp_path) == ["a.png"]
