"""What is said of a run, and what of it is for programs."""

import json
from pathlib import Path

import cv2
import numpy as np
from support import tiny_onnx
from support.command_line import photo
from support.screens import Clock, Terminal

from fastsam_onnx.cli.program import main
from fastsam_onnx.cli.report import RunReport
from fastsam_onnx.cli.screen import Screen


def done(report, name="a.png", **more):
    report.done(name, objects=2, image_size=(8, 6), outputs={"json": Path("a.json")}, milliseconds={}, **more)


def test_one_input_has_a_line_and_no_bar(monkeypatch):
    Clock(monkeypatch)
    terminal = Terminal()
    report = RunReport(Screen(terminal), 1, quiet=False, as_json=False)
    report.start()
    done(report)
    assert terminal.taken() == "a.png: 8x6, 2 objects -> a.json\n"
    done(report, "clip.mp4", frames=1)
    assert terminal.taken() == "clip.mp4: 1 frame of 8x6, 2 objects -> a.json\n"
    report = RunReport(Screen(terminal), 1, quiet=True, as_json=False)
    report.start()
    done(report)
    report.end()
    assert terminal.taken() == ""


def test_masks_of_which_little_is_expected_are_named_those_first_of_which_least():
    terminal = Terminal()
    report = RunReport(Screen(terminal), 3, quiet=False, as_json=False)
    report.start()
    done(report, "a.png", doubtful={1: 0.5999})
    done(report, "b.png", doubtful={0: 0.25, 1: 0.5})
    terminal.taken()
    report.end()
    line = terminal.taken().splitlines()[-1]
    assert line.startswith("worth a look: 3 of 4 masks, of which an IoU below 0.6 is expected")
    assert line.endswith(": b.png, object 0 (0.25); b.png, object 1 (0.50); a.png, object 1 (0.59)"), (
        "0.60 is not below 0.6"
    )
    done(report, "c.png", doubtful={0: 0.1})
    report.end()
    assert terminal.taken().endswith(
        ": c.png, object 0 (0.10); b.png, object 0 (0.25); b.png, object 1 (0.50); and 1 more\n"
    )


def test_several_inputs_have_a_bar_whose_pace_is_that_of_this_run(monkeypatch):
    """Two of five were there; one took two seconds, so two more take four."""
    clock, terminal = Clock(monkeypatch), Terminal()
    report = RunReport(Screen(terminal), 5, quiet=False, as_json=False)
    for name in ("a.png", "b.png"):
        report.skipped(name, {})
    assert terminal.taken() == ""
    report.start()
    assert terminal.taken() == "\r[#########...............] 2 of 5"
    clock.seconds += 2
    done(report)
    assert terminal.taken() == "\r[##############..........] 3 of 5, 0.5 photos/s, 0:04 left"
    clock.seconds += 2
    report.failed("d.png", "it is empty")
    line, bar = terminal.taken().rsplit("\n", 1)
    assert line.endswith("\rfastsam-onnx: d.png: it is empty")
    assert bar == "\r[###################.....] 4 of 5, 0.5 photos/s, 0:02 left"
    report.end("out")
    why = "skipped, for results of their names exist (--overwrite replaces them)"
    counts = f"1 photo, 2 objects, 0.25 photos/s; 1 failed, 2 {why}"
    assert terminal.taken().endswith(f"\r{counts}; results in out\n")


def test_the_end_says_what_there_is_to_say(monkeypatch):
    Clock(monkeypatch)
    terminal = Terminal()
    for total, call, told in (
        (1, "skipped", "0 photos, 0 objects; 1 skipped, for results of their names exist (--overwrite replaces them)"),
        (2, "failed", "0 photos, 0 objects; 1 failed"),
    ):
        report = RunReport(Screen(terminal), total, quiet=False, as_json=False)
        report.start()
        getattr(report, call)("a.png", {} if call == "skipped" else "no")
        terminal.taken()
        report.end()
        assert terminal.taken().rpartition("\r")[2] == f"{told}\n"


def test_a_record_takes_the_bar_away(monkeypatch, capsys):
    """Both may go to one terminal."""
    Clock(monkeypatch)
    terminal = Terminal()
    report = RunReport(Screen(terminal), 3, quiet=False, as_json=True)
    report.start()
    terminal.taken()
    done(report)
    assert terminal.taken().startswith("\r" + " " * 33 + "\r")  # a bar of 24 in brackets, a blank, "0 of 3"
    assert json.loads(capsys.readouterr().out)["status"] == "done"


def test_json_lines(run, tmp_path):
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


def test_a_run_without_any_object_tells_the_highest_score(run, tmp_path):
    """Scores of detectors are higher: by a --conf of theirs the bundled model finds nothing in most photos."""
    source, told = photo(tmp_path / "a.png"), "no score is above --conf: the highest is 0.9"
    several = ("--json", "--output", tmp_path / "out", "--conf", "0.95")
    assert told in run(source, photo(tmp_path / "b.png"), *several)[2]
    for given in (
        ("--conf", "0.85"),  # the best one is shown
        ("--conf", "0.95", "--point", "20,20"),  # a point looks below the threshold
        ("--conf", "0.95", "--point", "2,62"),
        ("--conf", "0.95", "--quiet"),
    ):
        code, _, err = run(source, "--overwrite", *given)
        assert (code, told in err) == (0, False)
    (tmp_path / "flat.png").write_bytes(cv2.imencode(".png", np.full((64, 64, 3), 90, np.uint8))[1].tobytes())
    assert told not in run(tmp_path / "flat.png", "--conf", "0.95")[2]  # nobody sees anything there


def test_points_that_hit_nothing_are_told_what_they_are_measured_in(run, tmp_path):
    for given in (("--point", "620,360"), ("--box", "620,360,640,380")):
        code, _, err = run(photo(tmp_path / "a.png"), *given, "--format", "mask", "--overwrite")
        assert (code, "1 photo, 0 objects" in err) == (0, True)
        assert "; no object answers the points and boxes, which are in pixels of the upright photo\n" in err
    assert "answers" not in run(tmp_path / "a.png", "--point", "620,360", "--box", "8,8,32,32", "--overwrite")[2]


def test_quiet_says_errors_only(run, tmp_path):
    source = photo(tmp_path / "a.png")
    assert run(source, "--quiet") == (0, "", "")
    assert run(tmp_path, "--quiet", "--json", "--overwrite")[2] == ""
    code, out, err = run(source, tmp_path / "none.png", "--quiet", "--overwrite")
    assert (code, out) == (1, "")
    assert err == f"fastsam-onnx: {tmp_path / 'none.png'}: there is no such file\n"


def test_warnings_of_the_package_are_shown_unless_quiet(network, tmp_path, capsys):
    file = tmp_path / "odd.onnx"
    file.write_bytes(tiny_onnx.tiny(metadata={"stride": "nonsense"}))
    source = str(photo(tmp_path / "a.png"))
    assert main(["segment", source, "--model", str(file), "--imgsz", "64"]) == 0
    assert "fastsam-onnx: warning: " in capsys.readouterr().err
    assert main(["segment", source, "--model", str(file), "--imgsz", "64", "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_run_of_several_photos_says_where_its_results_are(run, tmp_path):
    for name in ("a.png", "b.png"):
        photo(tmp_path / "in" / name)
    out = tmp_path / "out"
    assert f"photos/s; results in {out}\n" in run(tmp_path / "in", "--output", out)[2]
    assert (
        f"2 skipped, for results of their names exist (--overwrite replaces them); results in {out}\n"
        in run(tmp_path / "in", "--output", out)[2]
    )
    assert "photos/s; results beside the photos\n" in run(tmp_path / "in")[2]
    assert "results" not in run(tmp_path / "none.png", tmp_path / "no.png")[2]  # nothing was written
