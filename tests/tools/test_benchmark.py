"""tools/benchmark: rounds are fair, figures are what they say, a contender answers from a process of its own."""

import json
import sys
import time
from pathlib import Path

import pytest
from support import tiny_onnx

ROOT = Path(__file__).parents[2]
if sys.platform != "linux":
    pytest.skip("the benchmark reads memory from /proc", allow_module_level=True)

from tools.benchmark import __main__ as command  # noqa: E402
from tools.benchmark import against, installed, machine, peer_exports, photos, report, sections  # noqa: E402
from tools.benchmark.processes import Process, Rounds  # noqa: E402
from tools.benchmark.sections import Setup  # noqa: E402


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


def test_a_ratio_of_many_rounds_says_its_spread():
    assert report.ratio([10, 12, 30, 8], [1, 4, 3, 1]) == "9.0 x (3.0 to 10.0)"  # 10, 3, 10, 8


def test_whole_calls_are_compared_with_each_way_of_ultralytics():
    samples = {
        "ours fp32": [{"ms": 10.0, "cpu_ms": 10.0}, {"ms": 20.0, "cpu_ms": 10.0}],
        "ultralytics .pt": [
            {"ms": 116.0, "cpu_ms": 215.0, "nms": 16.0, "nms_cpu": 16.0},  # 101 and 200
            {"ms": 200.0, "cpu_ms": 200.0, "nms": 0.5},
        ],
        "ultralytics OpenVINO int8": [{"ms": 30.0, "cpu_ms": 50.0}, {"ms": 80.0, "cpu_ms": 50.0}],
    }
    assert sections.whole_ratios("case", samples) == {
        "case, ultralytics .pt by ours fp32": pytest.approx((10.1 + 10) / 2),
        "case, ultralytics .pt by ours fp32, CPU time": 20,
        "case, ultralytics OpenVINO int8 by ours fp32": pytest.approx((3 + 4) / 2),
        "case, ultralytics OpenVINO int8 by ours fp32, CPU time": 5,
    }


class Stub:
    """A contender that answers at once, a `pace` of milliseconds a call."""

    def __init__(self, pace):
        self.pace, self.asked = pace, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def ask(self, job, **options):
        self.asked.append((job, options))
        network = {"network": 1.0, "objects": options.get("max_det", 0)}
        memory = {"process_peak_mb": self.pace, "peak_mb": 1.0, "after_50_mb": 10.0, "after_500_mb": 11.0}
        return {"ms": self.pace, "cpu_ms": self.pace, **network, **memory}


@pytest.fixture
def stub_setup(monkeypatch):
    """A Setup whose contenders are stubs: ours 10 and 5 ms, theirs 100, 90, 40 and 20."""
    paces = {"ours fp32": 10.0, "ours int8": 5.0, "ultralytics .pt": 100.0, "ultralytics .onnx": 90.0}
    exports = [Stub(40.0), Stub(20.0)]
    monkeypatch.setattr(sections.Setup, "contenders", lambda *_: {name: Stub(pace) for name, pace in paces.items()})
    monkeypatch.setattr(sections.Setup, "exports", lambda *_: dict(zip(sections.THEIRS[2:], exports, strict=True)))
    monkeypatch.setattr(sections.Setup, "ours", lambda *_, **__: Stub(10.0))
    rounds = Rounds(2, wait=0)
    return sections.Setup(Path("a.pt"), Path("a.onnx"), Path("b.onnx"), None, None, 1, rounds), exports


def test_the_section_of_whole_calls_compares_everybody(stub_setup):
    setup, exports = stub_setup
    [table] = sections.whole(setup)
    assert len(table.rows) == 3 * 6
    assert table.ratios["imgsz 640, 300 objects, ultralytics .pt by ours int8"] == 20
    assert table.ratios["imgsz 1024, 100 objects, ultralytics OpenVINO by ours fp32"] == 4
    assert len(table.ratios) == 3 * 4 * 2 * 2
    assert exports[0].asked[0] == ("whole", {"photo": (1280, 720), "imgsz": [384, 640], "max_det": 300})


def test_other_sections_have_their_ratios(stub_setup):
    setup, _ = stub_setup
    assert sections.network(setup)[0].ratios["640x384, ours int8 by ours fp32"] == 1  # 1 ms of network each
    assert sections.memory(setup)[0].ratios["ultralytics .pt by ours fp32"] == 10


def test_the_bundled_models_are_compared_photo_by_photo(tmp_path, monkeypatch):
    """A slow photo in one round is not a slow model: means over photos of medians over rounds."""
    times = {
        "fastsam-nano.onnx": [10.0, 20.0],
        "fastsam-small.onnx": [30.0, 60.0],
        "a.onnx": [50.0, 70.0],
        "b.onnx": [5.0, 10.0],
    }

    class Model(Stub):
        def ask(self, job, **options):
            assert job == "calls"
            self.asked.append(job)
            each = [self.pace[0] * (50 if len(self.asked) == 2 else 1), self.pace[1]]  # the first round that counts
            return {"each_ms": each, "ms": sum(each) / 2, "objects": 3.0}

    asked = []
    monkeypatch.setattr(
        sections.Setup, "as_it_comes", lambda _, path, **own: asked.append((path.name, own)) or Model(times[path.name])
    )
    monkeypatch.setattr(sections, "_fresh", lambda *_: {"whole_ms": 250.0})
    onnx, int8 = tmp_path / "a.onnx", tmp_path / "b.onnx"
    onnx.write_bytes(b"0" * 10_000_000)
    int8.write_bytes(b"0" * 2_500_000)
    setup = sections.Setup(Path("a.pt"), onnx, int8, None, None, 1, Rounds(3, wait=0))
    [table] = sections.bundled(setup)
    assert asked[1] == ("fastsam-nano.onnx", {"redraw": False})
    assert asked[-1] == ("b.onnx", {"imgsz": 640, "conf": 0.4, "iou": 0.9})
    assert table.rows[0][2:] == ("3.0", "15.0", "2.00", "250")
    assert table.rows[2][2:] == ("3.0", "45.0", "6.00", "250")
    assert table.rows[-1] == ("FastSAM in int8, at 640", "2.5", "3.0", "7.5", "1.00", "250")
    assert table.ratios["FastSAM in int8, at 640 by fastsam-nano"] == 0.5


def written(path, **ratios):
    table = report.Table("Whole call", ("what",), [], ratios=ratios)
    path.write_text(json.dumps({"sections": {"whole": {"tables": [vars(table)], "about": ""}}}))
    return path


def compared(monkeypatch, now, before):
    monkeypatch.setattr(sys, "argv", ["benchmark", "--json", str(now), "--against", str(before)])
    return command.main()


def test_a_ratio_that_fell_by_more_than_a_tenth_fails(tmp_path, monkeypatch, capsys):
    before = written(tmp_path / "before.json", a=10.0, b=4.0, gone=3.0)
    assert compared(monkeypatch, written(tmp_path / "same.json", a=9.01, b=40.0, new=1.0), before) == 0
    said = capsys.readouterr().out
    assert "Whole call: gone" in said
    assert "FELL" not in said
    assert compared(monkeypatch, written(tmp_path / "slow.json", a=8.99, b=4.0), before) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "FELL" in line] == ["   10.00 ->     8.99   -10.1 %  Whole call: a  FELL"]


def test_reports_that_have_nothing_in_common_are_not_a_success(tmp_path, monkeypatch, capsys):
    before = written(tmp_path / "before.json", a=10.0)
    assert compared(monkeypatch, written(tmp_path / "now.json", b=10.0), before) == 2
    assert "no ratio in common: 1 before, 1 now" in capsys.readouterr().err
    assert against.ratios({"sections": {"old": {"tables": [{"title": "Before there were ratios"}]}}}) == {}


def test_a_benchmark_without_anything_to_do_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["benchmark"])
    with pytest.raises(SystemExit):
        command.main()
    assert "--checkpoint is needed" in capsys.readouterr().err


def test_names_of_exports_are_those_that_ultralytics_knows():
    assert peer_exports.export_name("FastSAM-s", (384, 640), "int8") == "FastSAM-s-384x640-int8_openvino_model"
    assert sections._input_size(640) == [384, 640]  # 360 rows, rounded up to the stride
    assert sections._input_size(1024) == [576, 1024]


def test_a_slow_stand_in_for_nms_is_not_held_against_ultralytics():
    assert sections._fair({"ms": 100.0, "nms": 16.0}) == 85  # 16 ms count as 1
    assert sections._fair({"ms": 100.0, "nms": 0.4}) == 100
    assert sections._fair({"ms": 300.0, "cpu_ms": 100.0, "nms": 200.0, "nms_cpu": 20.0}, "cpu_ms") == 81
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


def test_a_contender_goes_through_the_photos_of_a_folder(tmp_path):
    model = tmp_path / "tiny.onnx"
    model.write_bytes(tiny_onnx.tiny())
    for name in ("b.jpg", "a.jpg"):
        (tmp_path / name).write_bytes(photos.jpeg(64, 48))
    common = {"kind": "as it comes", "model": str(model), "threads": 1, "size": [64, 48], "imgsz": 64}
    with Process(folder=str(tmp_path), **common) as process:
        answer = process.ask("calls")
    assert len(answer["each_ms"]) == 2
    assert answer["objects"] > 0
    assert answer["ms"] == pytest.approx(sum(answer["each_ms"]) / 2)
    (tmp_path / "none").mkdir()
    with pytest.raises(RuntimeError, match="ended with 1"):
        Process(folder=str(tmp_path / "none"), **common)


def test_a_contender_that_fails_says_so(tmp_path):
    with pytest.raises(RuntimeError, match=r"missing\.onnx ended with 1"):
        Process(kind="ours", model=str(tmp_path / "missing.onnx"), threads=1)


def test_a_start_ends_with_the_mask_not_with_the_process():
    began = time.perf_counter()
    answer = sections._fresh(sys.executable, f"{sections.SAY_WHEN}\ntime.sleep(1)")
    assert 0 < answer["whole_ms"] < 1000 * (time.perf_counter() - began) - 1000


def test_the_installed_size_has_both_models(monkeypatch):
    """The wheel holds weights/ and the photo of the page; the figure once had one model and the sources alone."""
    monkeypatch.setattr(sections, "_fresh_json", lambda python, packages: {})
    [table] = sections.size(Setup(ROOT, ROOT, None, None, None, 1, Rounds(1, 0)))
    [(name, megabytes), _] = table.rows
    assert name == "fastsam-onnx, with its models"
    models = sum(path.stat().st_size for path in (ROOT / "weights").glob("*.onnx"))
    assert float(megabytes) > models / 1e6 + 0.5


def test_figures_of_two_machines_are_not_one_report(tmp_path, monkeypatch):
    """The later machine would stand above the earlier one's figures."""
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"machine": machine.describe() | {"cores": 1000}, "sections": {}}))
    monkeypatch.setattr(
        sys, "argv", ["benchmark", "--checkpoint", "FastSAM-s.pt", "--only", "size", "--json", str(report)]
    )
    with pytest.raises(SystemExit, match="another machine"):
        command.main()
