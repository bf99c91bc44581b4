"""tools/compare_machines.py and tools/try_arm64.py, as far as they can be tried on one machine."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
from support import tiny_onnx

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool(load_tool):
    return load_tool("compare_machines")


@pytest.fixture
def files(tool, tmp_path, monkeypatch):
    """What this machine answers to one photo; and the same, changed."""
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_onnx.tiny(height=64, width=96))
    monkeypatch.setattr(tool, "bundled_model", lambda _: model)
    monkeypatch.setattr(tool, "bundled_names", lambda: ["tiny"])
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "coffee.jpg").write_bytes((ROOT / "examples" / "coffee.jpg").read_bytes())
    assert tool.main(["write", str(tmp_path / "here.npz"), "--photos", str(photos), "--conf", "0.6"]) == 0
    return tmp_path


def cells(printed, table=0):
    """The last row of a table."""
    rows = printed.strip().split("\n\n")[1 + table].splitlines()
    return [cell.strip() for cell in rows[-1].strip("|").split("|")]


def test_a_machine_agrees_with_itself(tool, files, capsys):
    tool.main(["compare", str(files / "here.npz"), str(files / "here.npz")])
    printed = capsys.readouterr().out
    name, photos, masks, there, pairs, mean, least, same, *differences = cells(printed)
    assert (name, photos, mean, least) == ("tiny.onnx", "1", "1.00000", "1.0000")
    assert masks == there == pairs == same
    assert int(masks) > 1
    assert [float(each) for each in differences] == [0, 0, 0, 0]
    assert cells(printed, 1) == ["tiny.onnx", "strokes", "4", "4", "1.00000", "1.0000", "4", "0.0e+00"]


def test_differences_are_seen(tool, files, capsys):
    with np.load(files / "here.npz") as file:
        arrays = dict(file)
    key = "tiny.onnx/coffee.jpg/"
    arrays[key + "scores"] = arrays[key + "scores"] - np.float32(0.25)
    arrays[key + "boxes"] = arrays[key + "boxes"] + np.float32(2)
    arrays[key + "prototypes"] = arrays[key + "prototypes"] * np.float32(1.5)
    arrays[key + "masks"][0] = 0
    np.savez(files / "there.npz", **arrays)
    tool.main(["compare", str(files / "here.npz"), str(files / "there.npz")])
    _, _, masks, _, pairs, *_, same, scores, boxes, raw, prototypes = cells(capsys.readouterr().out)
    assert int(pairs) == int(same) == int(masks) - 1
    assert [float(each) for each in (scores, boxes, raw, prototypes)] == [0.25, 2, 0, 0.5]


def test_other_photos_are_not_left_out_in_silence(tool, files):
    with np.load(files / "here.npz") as file:
        more = {name.replace("coffee", "cat"): file[name] for name in file.files}
        np.savez(files / "there.npz", **dict(file), **{name: each for name, each in more.items() if "/" in name})
    for pair in (("here.npz", "there.npz"), ("there.npz", "here.npz")):
        with pytest.raises(SystemExit, match=r"only one has tiny\.onnx/cat\.jpg"):
            tool.main(["compare", *(str(files / name) for name in pair)])


def test_models_of_one_name_are_refused(tool, files, capsys):
    """The later one's answers would stand in the place of the earlier one's."""
    options = ["--photos", str(files / "photos"), "--model", str(files / "tiny.onnx")]
    with pytest.raises(SystemExit):
        tool.main(["write", str(files / "twice.npz"), *options])
    assert "different names" in capsys.readouterr().err


def test_answers_are_compared_prompt_by_prompt(tool, files, capsys):
    with np.load(files / "here.npz") as file:
        arrays = dict(file)
    key = "tiny.onnx/coffee.jpg/strokes."
    arrays |= {key + what: arrays[key + what][1:] for what in ("index", "masks", "scores")}  # the first is missing
    arrays[key + "masks"][0] = ~arrays[key + "masks"][0]
    arrays[key + "scores"][1] += np.float32(0.25)
    np.savez(files / "there.npz", **arrays)
    tool.main(["compare", str(files / "here.npz"), str(files / "there.npz")])
    *_, answers, there, mean, least, same, scores = cells(capsys.readouterr().out, 1)
    assert (answers, there, mean, least, same, scores) == ("4", "3", "0.50000", "0.0000", "2", "2.5e-01")


def test_arm64_takes_the_readmes_commands_and_the_projects_packages(load_tool):
    tool = load_tool("try_arm64")
    assert "segment examples/coffee.jpg" in tool.readme_command("main job")
    assert tool.readme_command("tests").endswith("-m pytest")
    packages = set(tool.group(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8")), "test"))
    assert any(each.startswith("pytest>") for each in packages)
    assert any(each.startswith("starlette") for each in packages)  # of a group that it includes
    features, part = tool.CPUS["cortex-a72"]
    assert "asimddp" not in features  # the dot product
    assert tool.CPUINFO.format(core=1, features=features, part=part).startswith("processor\t: 1\n")
