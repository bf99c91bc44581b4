"""What became of the inputs of a run: a line or a record for each, and the counts at the end."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fastsam_onnx.cli.screen import Screen, print_line


class Report:
    """Tells what became of each input, and counts."""

    def __init__(self, screen: Screen, total: int, *, quiet: bool, as_json: bool, noun: str = "photo") -> None:
        self.counts: Counter[str] = Counter()
        self._screen, self._total, self._quiet, self._as_json = screen, total, quiet, as_json
        self._objects, self._noun = 0, noun
        self._began: float | None = None
        self._settled = 0

    def start(self) -> None:
        """The model is open, the clock runs; what needed none is settled."""
        self._began = time.perf_counter()
        self._settled = self.counts.total()
        self._progress()

    def done(
        self,
        name: str,
        *,
        objects: int,
        image_size: tuple[int, int],
        outputs: dict[str, Path],
        milliseconds: dict[str, float],
        frames: int | None = None,
    ) -> None:
        """The results of a photo, or of the frames of a video, are written."""
        self._objects += objects
        width, height = image_size
        files = {form: str(path) for form, path in outputs.items()}
        if self._total == 1 and not self._quiet:
            where = ", ".join("standard output" if path == "-" else path for path in files.values())
            what = f"{width}x{height}" if frames is None else f"{count(frames, 'frame')} of {width}x{height}"
            self._screen.write(f"{name}: {what}, {count(objects, 'object')} -> {where}")
        self._record(
            name,
            "done",
            objects=objects,
            width=width,
            height=height,
            **({} if frames is None else {"frames": frames}),
            outputs=files,
            milliseconds={stage: round(value, 1) for stage, value in milliseconds.items()},
        )

    def skipped(self, name: str, outputs: dict[str, Path]) -> None:
        """The results of a photo exist."""
        self._record(name, "skipped", outputs={form: str(path) for form, path in outputs.items()})

    def failed(self, name: str, reason: str) -> None:
        """An input gave no result, or not all."""
        self._screen.say(f"{name}: {reason}")
        self._record(name, "failed", error=reason)

    def end(self) -> None:
        """Speed and counts."""
        self._screen.clear()
        if self._quiet:
            return
        done, failed, skipped = (self.counts[status] for status in ("done", "failed", "skipped"))
        parts = [count(done, self._noun), count(self._objects, "object")]
        if done and self._began is not None:
            parts.append(rate(done, time.perf_counter() - self._began, f"{self._noun}s"))
        others = [f"{number} {status}" for number, status in ((failed, "failed"), (skipped, "skipped")) if number]
        self._screen.write("; ".join([", ".join(parts), *filter(None, [", ".join(others)])]))

    def _record(self, name: str, status: str, **details: Any) -> None:
        self.counts[status] += 1
        if self._as_json:
            self._screen.clear()
            print_line(json.dumps({"input": name, "status": status, **details}))
        self._progress()

    def _progress(self) -> None:
        if self._began is None or self._total == 1 or self._quiet:
            return
        told = self.counts.total()
        new = told - self._settled
        if not new:
            self._screen.progress(told / self._total, f"{told} of {self._total}", None)
            return
        seconds = time.perf_counter() - self._began
        text = f"{told} of {self._total}, {rate(new, seconds, f'{self._noun}s')}"
        self._screen.progress(told / self._total, text, seconds / new * (self._total - told))


def rate(number: int, seconds: float, noun: str) -> str:
    """How fast it goes, in words."""
    value = number / max(seconds, 1e-9)
    return f"{value:.2g} {noun}/s" if value < 10 else f"{value:.0f} {noun}/s"


def count(number: int, noun: str) -> str:
    """A number and its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
