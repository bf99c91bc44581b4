"""What is said of a run, and what of it is for programs."""

import json

from support import tiny_onnx
from support.command_line import photo

from fastsam_onnx.cli.program import main


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
