"""tools/benchmark: rounds are fair, figures are what they say, a contender answers from a process of its own."""

import json
import sys
from pathlib import Path

import pytest
from support import tiny_onnx

ROOT = Path(__file__).parents[2]
if not (ROOT / "tools" / "benchmark").is_dir():
    pytest.skip("tools/ is not in the source distribution", allow_module_level=True)
if sys.platform != "linux":
    pytest.skip("the benchmark reads memory from /proc", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from tools.benchmark import installed, machine, photos, report, sections  # noqa: E402
from tools.benchmark.processes import Process, Rounds  # noqa: E402


def test_every_round_asks_everybody_once_another_first_each_time():
    asked = []

    def job(name):
        return lambda: asked.append(name) or {"place": len(asked)}

    samples = Rounds(3, wait=0).run({name: job(name) for name in "abc"})
    assert "".join(asked) == "abc" + "abc" + "bca" + "cab", "first of all once without counting"
    assert [sample["place"] for sample in samples["a"]] == [4, 9, 11]


def test_a_ratio_is_the_median_of_the_rounds_not_of_the_samples():
    # 10/1, 12/4, 30/3: the median is 10; the ratio of the medians, 12/3, would be 4.
    assert report.ratio([10, 12, 30], [1, 4, 3]) == "10.0 x"


def test_a_slow_stand_in_for_nms_is_not_held_against_ultralytics():
    assert sections._fair({"ms": 100.0, "nms": 16.0}) == 85  # 16 ms count as 1
    assert sections._fair({"ms": 100.0, "nms": 0.4}) == 100
    assert sections._fair({"ms": 100.0, "nms": None}) == sections._fair({"ms": 100.0}) == 100


def test_tables_become_markdown():
    table = report.Table(
        "Times", ("what", "ms"), [("network", report.number(1.25)), ("point", report.number(float("nan")))]
    )
    assert table.markdown() == "### Times\n\n| what | ms |\n| --- | --- |\n| network | 1.2 |\n| point | - |\n"


def test_the_photo_has_the_size_that_is_asked_for():
    assert photos.photo(320, 180).shape == (180, 320, 3)
    assert photos.photo(90, 200).shape == (200, 90, 3)
    assert photos.jpeg(64, 48).startswith(b"\xff\xd8")


def test_the_machine_is_described():
    described = machine.describe()
    assert described["cores"] >= 1
    assert described["packages"]["numpy"]
    assert "Python" in report.markdown(described, {})


def test_installed_sizes_follow_requirements():
    found = installed.closure(["pooch", "no-such-package"])
    assert {"pooch", "requests", "platformdirs"} <= set(found)
    assert "no-such-package" not in found
    assert installed.size(found["pooch"]) > 10_000


def test_a_contender_answers_from_a_process_of_its_own(tmp_path):
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_onnx.tiny())
    with Process(kind="ours", model=str(model), threads=1) as process:
        answer = process.ask("whole", photo=[64, 48], imgsz=64, max_det=7)
        assert answer["objects"] == 7
        assert answer["ms"] >= answer["network"] > 0
        assert "peak_mb" not in answer
        watched = process.ask("whole", photo=[64, 48], imgsz=64, max_det=7, watch_memory=True)
        assert watched["process_peak_mb"] > watched["peak_mb"] >= 0
        stages = process.ask("stages", photo=[64, 48], imgsz=64, max_det=7)
        assert {"decode image", "letterbox", "masks as crops", "point, tenth", "PNG out"} <= set(stages["times"])
        assert json.dumps(stages)


def test_a_contender_that_fails_says_so(tmp_path):
    with pytest.raises(RuntimeError, match=r"missing\.onnx ended with 1"):
        Process(kind="ours", model=str(tmp_path / "missing.onnx"), threads=1)
