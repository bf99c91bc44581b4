"""`models`: the bundled models are listed first, and their names open them."""

import hashlib
import json
from pathlib import Path

from support.command_line import names, photo

from fastsam_onnx.cli.program import main
from fastsam_onnx.weights import catalogue


def test_the_bundled_models_come_first(capsys):
    assert main(["models", "--json"]) == 0
    nano, small, *others = map(json.loads, capsys.readouterr().out.splitlines())
    assert (nano["name"], small["name"]) == ("fastsam-nano", "fastsam-small")
    for one in (nano, small):
        assert one["state"] == "included"
        assert one["bytes"] == Path(one["path"]).stat().st_size
        assert one["files"][0]["sha256"] == hashlib.sha256(Path(one["path"]).read_bytes()).hexdigest()
    assert [one["name"] for one in others] == [entry.name for entry in catalogue.ENTRIES]
    assert all(one.keys() == nano.keys() for one in others)
    assert main(["models"]) == 0
    assert capsys.readouterr().out.startswith("fastsam-nano ")


def test_its_name_opens_it(capsys, tmp_path):
    assert main(["info", "FastSAM-nano"]) == 0
    named = capsys.readouterr().out
    assert main(["info"]) == 0
    assert capsys.readouterr().out == named
    arguments = [str(photo(tmp_path / "a.png")), "--format", "json", "--model", "fastsam-nano"]
    assert main(["segment", *arguments]) == 0
    assert names(tmp_path) == ["a.json", "a.png"]
