"""examples/process_pool.py and examples/ray_batch.py: every photo once, whatever happened to an earlier run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fastsam_onnx import FastSAM

EXAMPLES = Path(__file__).parents[2] / "examples"
PHOTOS = 12


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Twelve photos, some in folders below, one that is broken, and a file that is no photo."""
    if not (EXAMPLES / "batch_rows.py").exists():
        pytest.skip("examples/ is not in the source distribution")
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(PHOTOS - 1):
        shutil.copy(EXAMPLES / "chelsea.jpg", folder / ("more" if number % 2 else ".") / f"{number}.JPG")
    (folder / "broken.png").write_text("no picture")
    (folder / "notes.txt").write_text("no photo")
    return folder


def command(script: str, photos: Path, output: Path, *options: str) -> list[str]:
    return [sys.executable, str(EXAMPLES / script), str(photos), str(output), "--shard", "2", *options]


def run(script: str, photos: Path, output: Path, *options: str) -> str:
    done = subprocess.run(command(script, photos, output, *options), check=True, capture_output=True, text=True)
    return done.stdout


def rows(output: Path) -> list[dict[str, Any]]:
    dataset = pytest.importorskip("pyarrow.dataset")
    return list(dataset.dataset(str(output)).to_table().to_pylist())


def check_complete(output: Path) -> None:
    """Every photo is there once, with the objects that Python finds, and the broken one with its reason."""
    found = rows(output)
    expected = FastSAM(threads=1)(EXAMPLES / "chelsea.jpg").to_coco()
    assert max(Counter((row["photo"], row["object"]) for row in found).values()) == 1
    assert len(found) == (PHOTOS - 1) * len(expected) + 1
    [broken] = [row for row in found if row["photo"] == "broken.png"]
    assert broken["object"] is None
    assert "not a picture in a known format" in broken["error"]
    of_one = sorted((row for row in found if row["photo"] == "more/3.JPG"), key=lambda row: row["object"])
    for row, record in zip(of_one, expected, strict=True):
        assert row["segmentation"] == record["segmentation"]
        assert (row["area"], row["error"]) == (record["area"], None)


@pytest.mark.process
def test_a_pool_that_was_killed_goes_on_where_it_was(photos, tmp_path):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    output = tmp_path / "rows"
    first = subprocess.Popen(command("process_pool.py", photos, output, "--workers", "1"), stdout=subprocess.PIPE)
    with first:
        while first.poll() is None and not list(output.glob("*.parquet")):
            time.sleep(0.02)
        first.kill()
    (output / ".0123.part").write_bytes(b"what a killed worker leaves")
    before = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    assert len(before) < PHOTOS // 2
    assert run("process_pool.py", photos, output, "--workers", "1").splitlines()[-1].startswith("done: ")
    check_complete(output)
    kept = [path for path, written in before.items() if path.stat().st_mtime_ns == written]
    assert kept == list(before)
    assert f"{PHOTOS} photos done before, 0 to do" in run("process_pool.py", photos, output)


@pytest.mark.process
def test_photos_that_came_later_are_added(photos, tmp_path):
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    output = tmp_path / "rows"
    late = photos / "more" / "3.JPG"
    late.rename(tmp_path / "3.JPG")
    run("process_pool.py", photos, output, "--workers", "1")
    (tmp_path / "3.JPG").rename(late)
    assert f"{PHOTOS - 1} photos done before, 1 to do" in run("process_pool.py", photos, output, "--workers", "1")
    check_complete(output)


def refusal(script: str, photos: Path, output: Path, *options: str) -> str:
    """What a run says that can do nothing."""
    pytest.importorskip("ray" if script == "ray_batch.py" else "pyarrow", reason="needs pyarrow, or ray[data]")
    done = subprocess.run(command(script, photos, output, *options), check=False, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert not output.exists()
    return done.stderr


@pytest.mark.process
@pytest.mark.process
def test_the_block_of_the_readme_reads_the_rows(tmp_path, monkeypatch):
    """The first row may be that of a photo that could not be read, which has no object."""
    pytest.importorskip("pyarrow", reason="needs pyarrow")
    if not (EXAMPLES / "batch_rows.py").exists():
        pytest.skip("examples/ is not in the source distribution")
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "broken.png").write_text("no picture")
    shutil.copy(EXAMPLES / "chelsea.jpg", photos)
    run("process_pool.py", photos, tmp_path / "rows", "--workers", "1")
    [block] = re.findall(
        r"^```python\n(.*?)^```", (EXAMPLES / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(block, "examples/README.md", "exec"), names)
    assert names["mask"].area == FastSAM(threads=1)(EXAMPLES / "chelsea.jpg")[0].mask.area


@pytest.mark.parametrize("script", ["process_pool.py", "ray_batch.py"])
def test_a_folder_that_is_not_there_is_no_success(script, photos, tmp_path):
    for place in (photos / "missing", photos / "0.JPG"):
        assert f"there is no folder of photos {place.as_posix()}" in refusal(script, place, tmp_path / "rows")


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep no such names")
def test_a_name_that_is_not_utf8_is_told(photos, tmp_path):
    (photos / "more" / "caf\udce9.jpg").touch()
    message = "names of files must be UTF-8, got b'" + f"{photos}/more/caf\\xe9.jpg'; rename it"
    assert message in refusal("process_pool.py", photos, tmp_path / "rows")


@pytest.mark.process
def test_a_model_that_is_not_there_is_told_in_a_line(photos, tmp_path):
    told = refusal("process_pool.py", photos, tmp_path / "rows", "--model", "missing.onnx")
    assert "error: " in told
    assert "missing.onnx" in told
    assert "Traceback" not in told


@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "option", "value"),
    [
        ("process_pool.py", "--workers", "0"),
        ("process_pool.py", "--shard", "many"),
        ("ray_batch.py", "--actors", "0"),
        ("ray_batch.py", "--threads", "-1"),
    ],
)
def test_numbers_that_are_none_are_refused_by_name(script, option, value, photos, tmp_path):
    message = f"argument {option}: the value must be an integer of at least 1, got {value!r}"
    assert message in refusal(script, photos, tmp_path / "rows", f"{option}={value}")


@pytest.mark.process
def test_ray_does_every_photo_once(photos, tmp_path):
    pytest.importorskip("ray", reason="needs ray[data]")
    output = tmp_path / "rows"
    assert f"done: {PHOTOS} photos" in run("ray_batch.py", photos, output, "--actors", "1")
    check_complete(output)
    sorted(output.iterdir())[0].unlink()  # as if it had been killed before this one
    assert f"{PHOTOS - 2} photos done before, 2 to do" in run("ray_batch.py", photos, output, "--actors", "1")
    check_complete(output)
