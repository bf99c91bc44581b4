"""One contender in a process of its own: reads jobs as lines of JSON, answers each with a line.

    python -m tools.benchmark.contender '{"kind": "ours", "model": "FILE.onnx", "threads": 2}'

The environment of the other contenders needs neither this package nor its dependencies: what a contender needs is
imported by it alone.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tools.benchmark import memory, photos

CONF, IOU = 0.4, 0.9
PROMPTS = 12
Answer = dict[str, Any]


class PeakWatch:
    """What a call needs above what the process holds, and the most that the process ever held since the last watch."""

    def __init__(self) -> None:
        memory.give_back()
        self._before, self._so_far = memory.resident(), memory.peak()
        memory.clear_peak()

    def answer(self) -> Answer:
        return {"peak_mb": memory.peak() - self._before, "process_peak_mb": max(memory.peak(), self._so_far)}


class Ours:
    """This package. Photos are RGB arrays, unless a job says otherwise."""

    def __init__(self, model: str | None, threads: int, fixed: list[int] | None = None) -> None:
        from fastsam_onnx import FastSAM

        if fixed is None:
            self.model = FastSAM(model, conf=CONF, iou=IOU, threads=threads)
        else:
            self.model = FastSAM(model, conf=CONF, iou=IOU, session_options=_fixed_size(threads, fixed))
        self._photos: dict[tuple[int, int], photos.Picture] = {}

    def whole(self, photo: list[int], imgsz: int | None, max_det: int) -> Answer:
        """Array in, every mask made at the photo's size."""
        image = self._photo(photo)
        began, cpu = time.perf_counter(), time.process_time()
        found = self.model(image, imgsz=imgsz, max_det=max_det)
        masks = list(found.masks)
        milliseconds, cpu_ms = 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - cpu)
        made = milliseconds - sum(found.speed.values())
        return {
            "ms": milliseconds,
            "cpu_ms": cpu_ms,
            "network": found.speed["network"],
            "post": found.speed["postprocess"] + made,
            "objects": len(masks),
        }

    def stages(self, photo: list[int], imgsz: int, max_det: int) -> Answer:
        """The milliseconds of every stage apart."""
        from fastsam_onnx.draw import overlay
        from fastsam_onnx.images.load import load_image

        data = photos.jpeg(*photo)
        times: dict[str, float] = {}
        _timed(times, "decode image", lambda: load_image(data))
        image = self._photo(photo)
        found = self.model(image, imgsz=imgsz, max_det=max_det)
        times |= {"letterbox": found.speed["preprocess"], "network": found.speed["network"]}
        times["detections"] = found.speed["postprocess"]
        _timed(times, "masks as crops", lambda: list(found.masks))
        if photo[0] * photo[1] * len(found) < 1 << 30:
            _timed(times, "masks dense", found.masks.dense)
            _timed(times, "masks dense, packed", partial(found.masks.dense, packed=True))
        self._prompts(times, "point", found, lambda x, y: found.point_prompt([(x, y)]))
        w, h = photo[0] / 9, photo[1] / 9
        self._prompts(times, "box", found, lambda x, y: found.box_prompt([(x - w, y - h, x + w, y + h)]))
        _timed(times, "overlay", lambda: overlay(found))
        with tempfile.TemporaryDirectory() as folder:
            for suffix in ("png", "json"):
                _timed(times, f"{suffix.upper()} out", partial(found.save, Path(folder) / f"a.{suffix}"))
        return {"objects": len(found), "times": times}

    def memory_of_many(self, count: int, imgsz: int) -> Answer:
        """Resident memory after 50 photos and after `count`, of five shapes in turn, with every mask made."""
        sizes = [(640, 480), (480, 640), (1280, 720), (500, 333), (600, 600)]
        marks = {}
        for index in range(1, count + 1):
            list(self.model(self._photo(list(sizes[index % len(sizes)])), imgsz=imgsz, max_det=100).masks)
            if index in (50, count):
                marks[f"after_{index}_mb"] = memory.resident()
        return marks

    def throughput(self, photo: list[int], imgsz: int, callers: int, seconds: float) -> Answer:
        """Photos a second, masks made, by so many threads that call the one model."""
        image, counts = self._photo(photo), [0] * callers
        self.model.warmup((photo[0], photo[1]))
        began = time.perf_counter()

        def work(caller: int) -> None:
            while time.perf_counter() < began + seconds:
                list(self.model(image, imgsz=imgsz, max_det=100).masks)
                counts[caller] += 1

        workers = [threading.Thread(target=work, args=(caller,)) for caller in range(callers)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return {"photos_per_second": sum(counts) / (time.perf_counter() - began)}

    def _photo(self, size: list[int]) -> photos.Picture:
        key = (size[0], size[1])
        if key not in self._photos:
            self._photos[key] = photos.photo(*key)[..., ::-1].copy()
        return self._photos[key]

    def _prompts(self, times: dict[str, float], name: str, found: Any, prompt: Callable[[float, float], Any]) -> None:
        """The first prompt, the second, the tenth, and the slowest after the first, at places across the photo."""
        width, height = found.image_size
        taken: dict[str, float] = {}
        for k in range(1, PROMPTS + 1):
            place = width * k / (PROMPTS + 1), height * k / (PROMPTS + 1)
            _timed(taken, str(k), partial(prompt, *place))
        times |= {f"{name}, first": taken["1"], f"{name}, second": taken["2"], f"{name}, tenth": taken["10"]}
        times[f"{name}, slowest after the first"] = max(taken[key] for key in taken if key != "1")


class AsItComes:
    """This package with a model's own options, and those that are named. Photos are RGB arrays."""

    def __init__(self, model: str, threads: int, folder: str, size: list[int], **options: Any) -> None:
        from fastsam_onnx import FastSAM

        self.model = FastSAM(model, threads=threads, **options)
        pictures = photos.photos(Path(folder), *size)
        if not pictures:
            raise FileNotFoundError(f"{folder} has no .jpg")
        self._photos = [picture[:, :, ::-1].copy() for picture in pictures]

    def calls(self) -> Answer:
        """Arrays in, every mask made, photo by photo."""
        milliseconds, objects = [], 0
        for image in self._photos:
            began = time.perf_counter()
            objects += len(list(self.model(image).masks))
            milliseconds.append(1000 * (time.perf_counter() - began))
        return {"each_ms": milliseconds, "ms": statistics.mean(milliseconds), "objects": objects / len(self._photos)}


class Ultralytics:
    """ultralytics, on PyTorch, an ONNX file or an OpenVINO export, as its users call it. Photos are BGR arrays."""

    def __init__(self, model: str, threads: int) -> None:
        import cv2
        import torch
        from ultralytics import FastSAM

        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)
        self.model = FastSAM(model)
        self._photos: dict[tuple[int, int], photos.Picture] = {}
        self._nms_seconds = self._nms_cpu_seconds = 0.0
        self._nms_timed = False

    def whole(self, photo: list[int], imgsz: int | list[int] | None, max_det: int) -> Answer:
        """Array in, every mask made at the photo's size; `imgsz` is [height, width] for exports of one size."""
        key = (photo[0], photo[1])
        image = self._photos.setdefault(key, photos.photo(*key))
        self._time_nms()
        self._nms_seconds = self._nms_cpu_seconds = 0
        began, cpu = time.perf_counter(), time.process_time()
        [result] = self.model(
            image,
            imgsz=imgsz,
            conf=CONF,
            iou=IOU,
            retina_masks=True,
            max_det=max_det,
            device="cpu",
            verbose=False,
        )
        milliseconds, cpu_ms = 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - cpu)
        return {
            "ms": milliseconds,
            "cpu_ms": cpu_ms,
            "network": result.speed["inference"],
            "post": result.speed["postprocess"],
            "nms": 1000 * self._nms_seconds if self._nms_timed else None,
            "nms_cpu": 1000 * self._nms_cpu_seconds if self._nms_timed else None,
            "objects": len(result),
        }

    def _time_nms(self) -> None:
        """Count the time in torchvision's NMS, once torchvision is there (ultralytics loads it when it first runs)."""
        torchvision = sys.modules.get("torchvision")
        if torchvision is None or self._nms_timed:
            return
        kernel = torchvision.ops.nms

        def timed(*arguments: Any, **options: Any) -> Any:
            began, cpu = time.perf_counter(), time.process_time()
            kept = kernel(*arguments, **options)
            self._nms_seconds += time.perf_counter() - began
            self._nms_cpu_seconds += time.process_time() - cpu
            return kept

        torchvision.ops.nms = timed
        self._nms_timed = True


def _fixed_size(threads: int, size: list[int]) -> Any:
    """Our session options with the input's size settled: ONNX Runtime then knows every shape in the network."""
    from fastsam_onnx.runtime import default_options

    options = default_options(threads)
    for name, side in zip(("batch", "height", "width"), (1, *size), strict=True):
        options.add_free_dimension_override_by_name(name, side)
    return options


def _timed(times: dict[str, float], name: str, call: Callable[[], Any]) -> None:
    began = time.perf_counter()
    call()
    times[name] = 1000 * (time.perf_counter() - began)


def main() -> int:
    options = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    kind = {"ours": Ours, "as it comes": AsItComes, "ultralytics": Ultralytics}[options.pop("kind")]
    contender = kind(**options)
    print(json.dumps({"ready": True}), file=answers)
    for line in sys.stdin:
        job = json.loads(line)
        watch = PeakWatch() if job.pop("watch_memory", False) else None
        answer = getattr(contender, job.pop("job"))(**job)
        if watch:
            answer |= watch.answer()
        print(json.dumps(answer), file=answers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
