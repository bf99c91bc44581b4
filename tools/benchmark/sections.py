"""What is measured: each function is a section of the report and takes a few minutes at most."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tools.benchmark.contender import CONF, IOU
from tools.benchmark.peer_exports import KINDS, export_name
from tools.benchmark.photos import EXAMPLES
from tools.benchmark.processes import ROOT, Process, Rounds, Samples, environment
from tools.benchmark.report import Table, number, quotient, ratio

WIDE, LARGE, SMALL = (1280, 720), (4000, 3000), (640, 480)
WHOLE_CASES = (640, 300), (1024, 300), (1024, 100)
"""imgsz and the number of objects of whole calls."""
BUNDLED = ROOT / "weights" / "fastsam-nano.onnx"
BUNDLED_SMALL = ROOT / "weights" / "fastsam-small.onnx"
SMALL_PACKAGE = 3_000_000
NMS_MS = 1.0
"""What torchvision's compiled NMS takes for such photos; the Python stand-in of some machines takes 16."""
OURS = "ours fp32", "ours int8"
QUANTIZED = "FastSAM in int8, at 640"
THEIRS = "ultralytics .pt", "ultralytics .onnx", "ultralytics OpenVINO", "ultralytics OpenVINO int8"


@dataclass(frozen=True)
class Setup:
    """What is compared.

    Attributes:
        checkpoint: The weights as ultralytics wrote them (.pt).
        onnx: The same weights as an ONNX file of dynamic size.
        int8: The same, quantized; None if there is none.
        peer_python: An interpreter with ultralytics and PyTorch; None if there is none.
        openvino: A folder with what `peer_exports` writes; None if there is none.
        threads: That compute the network.
        rounds: How samples are taken.
        photos: A folder of photos for the bundled models.
    """

    checkpoint: Path
    onnx: Path
    int8: Path | None
    peer_python: str | None
    openvino: Path | None
    threads: int
    rounds: Rounds
    photos: Path = EXAMPLES

    def ours(self, model: Path, **options: Any) -> Process:
        return Process(**{"kind": "ours", "model": str(model), "threads": self.threads, **options})

    def as_it_comes(self, model: Path, **options: Any) -> Process:
        """One of ours with the model's own options, for the photos."""
        folder = str(self.photos)
        return Process(kind="as it comes", model=str(model), threads=self.threads, folder=folder, size=WIDE, **options)

    def theirs(self, model: Path) -> Process:
        assert self.peer_python is not None
        return Process(self.peer_python, kind="ultralytics", model=str(model), threads=self.threads)

    def contenders(self, stack: ExitStack) -> dict[str, Process]:
        """A process for each way to run these weights; they end with the stack."""
        found = {"ours fp32": self.ours(self.onnx)}
        if self.int8:
            found["ours int8"] = self.ours(self.int8)
        if self.peer_python:
            found |= {THEIRS[0]: self.theirs(self.checkpoint), THEIRS[1]: self.theirs(self.onnx)}
        for process in found.values():
            stack.enter_context(process)
        return found

    def exports(self, stack: ExitStack, size: list[int]) -> dict[str, Process]:
        """A process for each of ultralytics' OpenVINO exports of one (height, width); they end with the stack."""
        if self.openvino is None or not self.peer_python:
            return {}
        folders = [self.openvino / export_name(self.checkpoint.stem, (size[0], size[1]), kind) for kind in KINDS]
        return {name: stack.enter_context(self.theirs(path)) for name, path in zip(THEIRS[2:], folders, strict=True)}


def whole(setup: Setup) -> list[Table]:
    """Whole calls: an array in, every mask made at the photo's size."""
    rows, all_samples = [], {}
    ratios: dict[str, float] = {}
    with ExitStack() as stack:
        contenders = setup.contenders(stack)
        for imgsz, max_det in WHOLE_CASES:
            job = {"photo": WIDE, "max_det": max_det}
            jobs = {name: partial(each.ask, "whole", imgsz=imgsz, **job) for name, each in contenders.items()}
            size = _input_size(imgsz)
            with ExitStack() as of_this_size:
                exports = setup.exports(of_this_size, size)
                jobs |= {name: partial(each.ask, "whole", imgsz=size, **job) for name, each in exports.items()}
                samples = setup.rounds.run(jobs)
            case = f"imgsz {imgsz}, {max_det} objects"
            all_samples[case] = samples
            ratios |= whole_ratios(case, samples)
            for name, taken in samples.items():
                milliseconds = [_fair(sample) for sample in taken]
                faster = [
                    ratio(milliseconds, _milliseconds(samples[mine])) if name in THEIRS and mine in samples else ""
                    for mine in OURS
                ]  # fmt: skip
                network_ms = _median(taken, "network")
                cpu_ms = statistics.median(_fair(sample, "cpu_ms") for sample in taken)
                figures = network_ms, statistics.median(milliseconds), min(milliseconds), cpu_ms
                rows.append((str(imgsz), str(taken[0]["objects"]), name, *map(number, figures), *faster))
    note = (
        "1280x720. Ratios are medians over the rounds: their milliseconds by ours. ultralytics runs with "
        f"`retina_masks=True`; its NMS counts as {NMS_MS:g} ms where a slower stand-in for torchvision's ran. Its "
        "OpenVINO exports are its own, of one size. CPU time is that of all threads, also of those that wait for work; "
        "on a busy machine it tells more than time does, with `--threads 1` on one core (`taskset -c 0`)."
    )
    header = (
        "imgsz",
        "objects",
        "contender",
        "network ms",
        "whole ms",
        "min",
        "CPU ms",
        "ours fp32 is faster",
        "ours int8",
    )
    return [Table("Whole call", header, rows, note, all_samples, ratios)]


def whole_ratios(case: str, samples: Samples) -> dict[str, float]:
    """Their milliseconds by ours, for each of theirs and each of ours; of time, and of the processor's time."""
    return {
        f"{case}, {theirs} by {mine}{what}": quotient(
            [_fair(each, key) for each in samples[theirs]], [each[key] for each in samples[mine]]
        )
        for theirs in THEIRS
        for mine in OURS
        for key, what in (("ms", ""), ("cpu_ms", ", CPU time"))
        if theirs in samples and mine in samples
    }


def network(setup: Setup) -> list[Table]:
    """The network alone, in several guises."""
    rows, all_samples, ratios = [], {}, {}
    for imgsz in (640, 1024):
        size = _input_size(imgsz)
        with ExitStack() as stack:
            contenders = setup.contenders(stack)
            fixed = {"ours fp32, fixed size": setup.onnx, "ours int8, fixed size": setup.int8}
            for name, model in fixed.items():
                if model:
                    contenders[name] = stack.enter_context(setup.ours(model, fixed=size))
            jobs = {
                # A network of fixed size takes no other.
                name: partial(each.ask, "whole", photo=WIDE, imgsz=None if name in fixed else imgsz, max_det=10)
                for name, each in contenders.items()
            }
            samples = setup.rounds.run(jobs)
            all_samples[f"imgsz {imgsz}"] = samples
            base = [sample["network"] for sample in samples["ours fp32"]]
            for name, taken in samples.items():
                times = [sample["network"] for sample in taken]
                ratios[f"{size[1]}x{size[0]}, {name} by ours fp32"] = quotient(base, times)
                figures = number(statistics.median(times)), number(min(times)), ratio(base, times)
                rows.append((f"{size[1]}x{size[0]}", name, *figures))
    header = "input", "contender", "ms", "min", "faster than ours fp32"
    return [Table("Network", header, rows, samples=all_samples, ratios=ratios)]


def stages(setup: Setup) -> list[Table]:
    """Ours, every stage apart."""
    cases = {
        "640x480, few": (SMALL, 10), "640x480, many": (SMALL, 100), "1280x720, few": (WIDE, 10),
        "1280x720, many": (WIDE, 100), "4000x3000, few": (LARGE, 10), "4000x3000, many": (LARGE, 100),
    }  # fmt: skip
    with setup.ours(setup.onnx) as process:
        jobs = {
            name: partial(process.ask, "stages", photo=photo, imgsz=1024, max_det=max_det)
            for name, (photo, max_det) in cases.items()
        }
        samples = setup.rounds.run(jobs)
    header = "ms", *(f"{name} ({samples[name][0]['objects']})" for name in cases)
    names = list(dict.fromkeys(name for taken in samples.values() for name in taken[0]["times"]))
    medians = {
        name: {case: _median([sample["times"] for sample in samples[case]], name) for case in cases} for name in names
    }
    rows: list[tuple[str, ...]] = [(name, *(number(medians[name][case], 2) for case in cases)) for name in names]
    outside = ("letterbox", "detections", "masks as crops")
    shares = [100 * sum(medians[name][case] for name in outside) / medians["network"][case] for case in cases]
    rows.append(("**letterbox, detections and crops by network**", *(f"**{share:.1f} %**" for share in shares)))
    note = (
        "fp32, imgsz 1024; in brackets the objects. Prompts at 12 places; the first one measures what later ones reuse."
    )
    return [Table("Stages", header, rows, note, samples)]


def post(setup: Setup) -> list[Table]:
    """What comes after the network, at 12 megapixels."""
    job = {"photo": LARGE, "imgsz": 1024, "max_det": 100}
    with ExitStack() as stack:
        contenders = setup.contenders(stack)
        contenders.pop(THEIRS[1], None)  # the same code after the network
        contenders.pop("ours int8", None)
        peaks = {}
        for name, each in contenders.items():
            each.ask("whole", photo=LARGE, imgsz=1024, max_det=1)  # then the network has its memory
            peaks[name] = each.ask("whole", watch_memory=True, **job)["peak_mb"]
        jobs = {name: partial(each.ask, "whole", **job) for name, each in contenders.items()}
        samples = setup.rounds.run(jobs, count=min(setup.rounds.count, 3))
    rows = []
    ours = samples["ours fp32"]
    for name, taken in samples.items():
        times = [_fair(each, "post") for each in taken]
        shares = "", ""
        if name in THEIRS:
            shares = ratio(times, [each["post"] for each in ours]), ratio([peaks[name]], [peaks["ours fp32"]])
        figures = number(statistics.median(times)), shares[0], number(peaks[name], 0), shares[1]
        rows.append((name, str(taken[0]["objects"]), *figures))
    header = "contender", "objects", "after the network ms", "ours is faster", "peak MB", "ours is smaller"
    note = "The peak is that of the first call with 100 objects, above what the process held before."
    return [Table("Post-processing, 4000x3000", header, rows, note, samples)]


def start(setup: Setup) -> list[Table]:
    """Imports, and from the start of a process to the first mask."""
    imports = {
        "fastsam_onnx alone": (sys.executable, _import("time", "import fastsam_onnx")),
        OWN_IMPORT: (sys.executable, _import("numpy, cv2, onnxruntime", "from fastsam_onnx import FastSAM")),
        "numpy, cv2, onnxruntime": (sys.executable, _import("time", "import numpy, cv2, onnxruntime")),
    }
    colds = {
        "ours, bundled model": (sys.executable, _cold(BUNDLED)),
        "ours, .pt": (sys.executable, _cold(setup.checkpoint)),
        "ours, .onnx": (sys.executable, _cold(setup.onnx)),
    }
    if setup.int8:
        colds["ours, int8"] = (sys.executable, _cold(setup.int8))
    if setup.peer_python:
        imports["ultralytics beside numpy, cv2, torch"] = (
            setup.peer_python, _import("numpy, cv2, torch", "from ultralytics import FastSAM"))  # fmt: skip
        imports["numpy, cv2, torch"] = (setup.peer_python, _import("time", "import numpy, cv2, torch"))
        colds["ultralytics, .pt"] = (setup.peer_python, _their_cold(setup.checkpoint))
        colds["ultralytics, .onnx"] = (setup.peer_python, _their_cold(setup.onnx))
    tables = []
    # What a start is compared with, so that ratios say how much of it is ours.
    bases = {"Import": "numpy, cv2, onnxruntime", "Cold start": "ultralytics, .pt"}
    for title, commands in (("Import", imports), ("Cold start", colds)):
        jobs = {name: partial(_fresh, *command) for name, command in commands.items()}
        samples = setup.rounds.run(jobs)
        key = "ms" if title == "Import" else "whole_ms"
        rows = [
            (name, number(_median(taken, key)), number(min(each[key] for each in taken)))
            for name, taken in samples.items()
        ]
        times = {name: [each[key] for each in taken] for name, taken in samples.items()}
        mine = [name for name in times if "ours" in name or name == OWN_IMPORT]
        base = bases[title]
        ratios = {f"{base} by {name}": quotient(times[base], times[name]) for name in mine if base in times}
        tables.append(Table(title, ("what", "ms", "min"), rows, NOTES[title], samples, ratios))
    return tables


OWN_IMPORT = "FastSAM beside numpy, cv2, onnxruntime"
NOTES = {
    "Import": "Byte code is there already, as after an installation.",
    "Cold start": "Start of the interpreter to the first mask of examples/coffee.jpg, from disk, at imgsz 640.",
}


def bundled(setup: Setup) -> list[Table]:
    """The bundled models with their own options, every mask made; beside them the weights with FastSAM's."""
    ways: dict[str, tuple[Path, dict[str, Any]]] = {
        "fastsam-nano": (BUNDLED, {}),
        "fastsam-nano, redraw=False": (BUNDLED, {"redraw": False}),
        "fastsam-small": (BUNDLED_SMALL, {}),
        "fastsam-small, redraw=False": (BUNDLED_SMALL, {"redraw": False}),
        "FastSAM in float32, at 1024": (setup.onnx, {"imgsz": 1024, "conf": CONF, "iou": IOU}),
    }
    if setup.int8:
        ways[QUANTIZED] = setup.int8, {"imgsz": 640, "conf": CONF, "iou": IOU}
    with ExitStack() as stack:
        jobs = {
            name: partial(stack.enter_context(setup.as_it_comes(path, **own)).ask, "calls")
            for name, (path, own) in ways.items()
        }
        calls = setup.rounds.run(jobs)
    starts = {name: partial(_fresh, sys.executable, _cold(path, **own)) for name, (path, own) in ways.items()}
    colds = setup.rounds.run(starts)
    sizes = {name: path.stat().st_size for name, (path, _) in ways.items()}
    note = (
        f"Photos of {setup.photos.name}, cut to 1280x720: means over them of medians over the rounds. Ratios are "
        "medians over the rounds. Cold start: interpreter to the first mask of examples/coffee.jpg."
    )
    base = _milliseconds(calls.get(QUANTIZED, []))
    ratios = {f"{QUANTIZED} by {name}": quotient(base, _milliseconds(taken)) for name, taken in calls.items() if base}
    header = "model", "MB", "masks", "ms", f"by {QUANTIZED}", "cold start, ms"
    rows = [
        (
            name,
            number(sizes[name] / 1e6),
            number(taken[0]["objects"]),
            number(_photo_by_photo(taken)),
            number(quotient(_milliseconds(taken), base), 2) if base else "-",
            number(_median(colds[name], "whole_ms"), 0),
        )
        for name, taken in calls.items()
    ]
    return [Table("Bundled models", header, rows, note, {"calls": calls, "cold": colds}, ratios)]


def memory(setup: Setup) -> list[Table]:
    """Peak of a process, and whether it grows with the number of photos."""
    rows, peaks = [], {}
    with ExitStack() as stack:
        for name, process in setup.contenders(stack).items():
            job = {"photo": WIDE, "imgsz": 1024, "max_det": 100, "watch_memory": True}
            calls = [process.ask("whole", **job) for _ in range(3)]
            peaks[name] = whole_process = max(call["process_peak_mb"] for call in calls)
            rows.append((name, number(whole_process, 0), number(max(call["peak_mb"] for call in calls[1:]), 0)))
    tables = [
        Table(
            "Memory of a process",
            ("contender", "peak MB", "of it for one call"),
            rows,
            "1280x720, imgsz 1024, 100 masks.",
            ratios={
                f"{theirs} by {mine}": peaks[theirs] / peaks[mine]
                for theirs in THEIRS
                for mine in OURS
                if theirs in peaks and mine in peaks
            },
        )
    ]
    with setup.ours(setup.onnx) as process:
        marks = process.ask("memory_of_many", count=500, imgsz=640)
    growth = 100 * (marks["after_500_mb"] / marks["after_50_mb"] - 1)
    row = number(marks["after_50_mb"]), number(marks["after_500_mb"]), f"{growth:+.1f} %"
    header = "after 50 photos, MB", "after 500", "growth"
    return [*tables, Table("Memory after many photos", header, [row], "fp32, imgsz 640, five shapes, all masks made.")]


def throughput(setup: Setup) -> list[Table]:
    """Photos a second, by threads and processes."""
    job: dict[str, Any] = {"photo": WIDE, "imgsz": 640, "seconds": 6}
    model = setup.int8 or setup.onnx
    with ExitStack() as stack:
        single = [stack.enter_context(setup.ours(model, threads=1)) for _ in range(2)]
        several = {n: stack.enter_context(setup.ours(model, threads=n)) for n in (2, 4)}
        cases: dict[str, Callable[[], dict[str, Any]]] = {
            "1 process, 1 thread": partial(single[0].ask, "throughput", callers=1, **job),
            "2 processes, 1 thread each": partial(_together, single, callers=1, **job),
            "1 process, 2 threads for a photo": partial(several[2].ask, "throughput", callers=1, **job),
            "1 process, 4 threads for a photo": partial(several[4].ask, "throughput", callers=1, **job),
            "1 process, 2 callers, 1 thread each": partial(single[0].ask, "throughput", callers=2, **job),
        }
        samples = setup.rounds.run(cases, count=min(setup.rounds.count, 4))
    base = [each["photos_per_second"] for each in samples["1 process, 1 thread"]]
    rows = []
    for name, taken in samples.items():
        rates = [each["photos_per_second"] for each in taken]
        rows.append((name, number(statistics.median(rates), 2), ratio(rates, base)))
    note = f"{model.name}, 1280x720, imgsz 640, 100 masks made, on {os.cpu_count()} cores."
    return [Table("Throughput", ("how", "photos a second", "by one thread"), rows, note, samples)]


def size(setup: Setup) -> list[Table]:
    """Installed size, package by package."""
    ours = _fresh_json(sys.executable, ["numpy", "onnxruntime", "opencv-python-headless", "pooch", "tokenizers"])
    ours["fastsam-onnx, with its models"] = _own_bytes()
    tables = [_size_table("Installed size", ours)]
    if setup.peer_python:
        tables.append(_size_table("Installed size of ultralytics", _fresh_json(setup.peer_python, ["ultralytics"])))
    return tables


SECTIONS: dict[str, Callable[[Setup], list[Table]]] = {
    "whole": whole, "network": network, "stages": stages, "post": post, "start": start, "memory": memory,
    "throughput": throughput, "size": size, "bundled": bundled,
}  # fmt: skip


def _input_size(imgsz: int) -> list[int]:
    """[height, width] of the network's input for the photo of the whole call."""
    return [-(-imgsz * WIDE[1] // WIDE[0] // 32) * 32, imgsz]


def _milliseconds(samples: list[dict[str, Any]]) -> list[float]:
    return [each["ms"] for each in samples]


def _photo_by_photo(samples: list[dict[str, Any]]) -> float:
    """The mean over the photos of their medians over the rounds."""
    rounds: list[list[float]] = [sample["each_ms"] for sample in samples]
    return float(statistics.mean(statistics.median(times) for times in zip(*rounds, strict=True)))


def _fair(sample: dict[str, Any], key: str = "ms") -> float:
    """Milliseconds, with ultralytics' NMS at what the compiled kernel takes if it ran a slower one."""
    slow = max((sample.get("nms_cpu" if key == "cpu_ms" else "nms") or 0) - NMS_MS, 0)
    return float(sample[key]) - slow


def _median(samples: list[dict[str, Any]], key: str) -> float:
    """NaN if no sample has it."""
    values = [each[key] for each in samples if key in each]
    return statistics.median(values) if values else float("nan")


def _together(processes: list[Process], **job: Any) -> dict[str, Any]:
    for process in processes:
        process.tell("throughput", **job)
    return {"photos_per_second": sum(process.answer()["photos_per_second"] for process in processes)}


def _import(before: str, what: str) -> str:
    code = f"import json, time\nimport {before}\nbegan = time.perf_counter()\n{what}\n"
    return code + "print(json.dumps({'ms': 1000 * (time.perf_counter() - began)}))"


SAY_WHEN = "import time\nprint('{\"at\": %r}' % time.perf_counter(), flush=True)"
"""Python that prints when it runs, by a clock that all processes share."""


def _cold(model: Path, **options: Any) -> str:
    return (
        "from fastsam_onnx import FastSAM\n"
        f"found = FastSAM({str(model)!r}, **{ {'imgsz': 640, **options} })({str(ROOT / 'examples' / 'coffee.jpg')!r})\n"
        f"found.masks[0]\n{SAY_WHEN}"
    )


def _their_cold(model: Path) -> str:
    return (
        "import os, sys\nanswers = os.fdopen(os.dup(1), 'w')\nos.dup2(2, 1)\nfrom ultralytics import FastSAM\n"
        f"found = FastSAM({str(model)!r})({str(ROOT / 'examples' / 'coffee.jpg')!r}, imgsz=640, conf=0.4, iou=0.9,"
        f" retina_masks=True, device='cpu', verbose=False)[0]\nfound.masks.data[0]\nsys.stdout = answers\n{SAY_WHEN}"
    )


def _fresh(python: str, code: str) -> dict[str, Any]:
    """What a new interpreter prints, a JSON object, and the milliseconds from its start until its "at", or its end."""
    began = time.perf_counter()
    answer: dict[str, Any] = json.loads(_printed(python, "-c", code))
    return {**answer, "whole_ms": 1000 * (answer.get("at", time.perf_counter()) - began)}


def _fresh_json(python: str, packages: list[str]) -> dict[str, int]:
    sizes: dict[str, int] = json.loads(_printed(python, "-m", "tools.benchmark.installed", *packages))
    return sizes


def _printed(python: str, *arguments: str) -> str:
    command = [python, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT).stdout


def _own_bytes() -> int:
    """What the wheel holds: the package, and what pyproject.toml puts into it, the models among it."""
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    places = [ROOT / name for name in (*wheel["packages"], *wheel["force-include"])]
    files = [path for place in places for path in (place.rglob("*") if place.is_dir() else [place])]
    return sum(path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc")


def _size_table(title: str, sizes: dict[str, int]) -> Table:
    ordered = sorted(sizes.items(), key=lambda item: -item[1])
    large = [(name, count) for name, count in ordered if count >= SMALL_PACKAGE]
    rest = [count for name, count in ordered if count < SMALL_PACKAGE]
    large += [(f"{len(rest)} smaller ones", sum(rest))] if rest else []
    rows = [(name, number(count / 1e6)) for name, count in large]
    return Table(title, ("package", "MB"), [*rows, ("**together**", f"**{sum(sizes.values()) / 1e6:.0f}**")])
