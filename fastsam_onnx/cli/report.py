"""The report of a run: a line or a record for each input, and the counts at the end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastsam_onnx.cli.screen import Progress, Screen, print_line
from fastsam_onnx.errors import FastSAMError

if TYPE_CHECKING:
    from fastsam_onnx.results.segmentation import Segmentation

DOUBTFUL_IOU = 0.6
"""Of answers to boxes of which the decoder expects a lower IoU four in ten have one below 0.5, of the others one in
twenty (docs/prompts.md)."""

MOST_NAMED = 3
"""Maximum number of doubtful masks that are named."""


class RunReport:
    """Tells what became of each input, and counts.

    Args:
        screen: Shows lines and the progress.
        total: Number of inputs.
        quiet: Says nothing but errors.
        as_json: Writes a JSON record for each input to standard output.
        noun: One input.
        located: True if the objects that are asked for are those at points or in boxes.
    """

    def __init__(
        self, screen: Screen, total: int, *, quiet: bool, as_json: bool, noun: str = "photo", located: bool = False
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._screen, self._total, self._quiet, self._as_json = screen, total, quiet, as_json
        self._objects, self._noun, self._kept = 0, noun, 0
        self._highest, self._located = 0.0, located
        self._doubtful: list[tuple[float, str, int]] = []
        self._progress: Progress | None = None
        self._settled = 0

    def start(self) -> None:
        """The model is open, the clock runs; inputs that needed none are settled."""
        self._progress = Progress(self._screen, every_s=0)
        self._settled = self.counts.total()
        self._show()

    def done(
        self,
        name: str,
        *,
        objects: int,
        image_size: tuple[int, int],
        outputs: dict[str, Path],
        milliseconds: dict[str, float],
        frames: int | None = None,
        highest: float = 0.0,
        doubtful: Mapping[int, float] | None = None,
    ) -> None:
        """The results of a photo, or of the frames of a video, are written.

        `highest` as `score_below` gives it, `doubtful` as `doubtful_masks` does.
        """
        self._objects += objects
        self._doubtful += [(expected, name, index) for index, expected in (doubtful or {}).items()]
        self._highest = max(self._highest, highest)
        width, height = image_size
        files = {form: str(path) for form, path in outputs.items()}
        if self._total == 1 and not self._quiet:
            where = ", ".join("standard output" if path == "-" else path for path in files.values())
            what = f"{width}x{height}" if frames is None else f"{_count(frames, 'frame')} of {width}x{height}"
            self._screen.write(f"{name}: {what}, {_count(objects, 'object')} -> {where}")
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

    def keeps(self, number: int) -> None:
        """So many results of a photo exist and stay; its others are written."""
        self._kept += number

    def failed(self, name: str, reason: str) -> None:
        """An input gave no result, or not all."""
        self._screen.say(f"{name}: {reason}")
        self._record(name, "failed", error=reason)

    def end(self, output: str | None = None) -> None:
        """Say speed and counts, and where the results of several inputs are.

        Args:
            output: Folder of the results; None if they lie beside their inputs.
        """
        self._screen.clear()
        if self._quiet:
            return
        done, failed, skipped = (self.counts[status] for status in ("done", "failed", "skipped"))
        parts = [_count(done, self._noun), _count(self._objects, "object")]
        if done and self._progress is not None:
            parts.append(self._progress.rate(done, f"{self._noun}s"))
        why = "skipped, for results of their names exist (--overwrite replaces them)"
        kept = "of their results kept as they were (--overwrite replaces them)"
        counts = ((failed, "failed"), (skipped, why), (self._kept, kept))
        others = [f"{number} {status}" for number, status in counts if number]
        place = f"beside the {self._noun}s" if output is None else f"in {output}"
        where = [f"results {place}"] if self._total > 1 and (done or skipped) else []
        nothing = [self._why_nothing()] if done and not self._objects else []
        self._screen.write("; ".join([", ".join(parts), *filter(None, [*nothing, ", ".join(others)]), *where]))
        if self._doubtful:
            self._screen.write(self._what_to_look_at())

    def _what_to_look_at(self) -> str:
        """Which masks are likely to be wrong, those first of which least is expected."""
        rounded_down = [(int(iou * 100 + 1e-6) / 100, *rest) for iou, *rest in sorted(self._doubtful)]
        worst = [f"{name}, object {index} ({iou:.2f})" for iou, name, index in rounded_down]  # 0.597 is below 0.6
        more = len(worst) - MOST_NAMED
        named = [*worst[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]
        return (
            f"worth a look: {len(worst)} of {_count(self._objects, 'mask')}, of which an IoU below {DOUBTFUL_IOU} is "
            f"expected (predicted_iou in JSON, CSV and COCO): {'; '.join(named)}"
        )

    def _why_nothing(self) -> str:
        """Why no input has an object, as far as it is known."""
        if self._located:
            return "no object answers the points and boxes, which are in pixels of the upright photo"
        return f"no score is above --conf: the highest is {self._highest:.3g}" if self._highest else ""

    def _record(self, name: str, status: str, **details: Any) -> None:
        self.counts[status] += 1
        if self._as_json:
            self._screen.clear()
            print_line(json.dumps({"input": name, "status": status, **details}))
        self._show()

    def _show(self) -> None:
        if self._progress is None or self._total == 1 or self._quiet:
            return
        told = self.counts.total()
        new = told - self._settled
        pace = f", {self._progress.rate(new, f'{self._noun}s')}" if new else ""
        self._progress.show(told, self._total, f"{told} of {self._total}{pace}", before=self._settled)


def doubtful_masks(answers: Segmentation, written: Segmentation) -> dict[int, float]:
    """The IoU that the decoder expects of the mask of each answer to a box, where that is low.

    By the index among those that are written: with --min-area, --no-parts and --disjoint some are not, and of what
    others cut nothing is expected.
    """
    assert answers.prompt_index is not None  # answers have it
    assert written.prompt_index is not None
    expected = dict(zip(answers.prompt_index.tolist(), answers.predicted_iou.tolist(), strict=True))
    of_written = enumerate(expected[box] for box in written.prompt_index.tolist())
    return {index: iou for index, iou in of_written if iou < DOUBTFUL_IOU}


def score_below(found: Segmentation, conf: float) -> float:
    """The highest score of what the network offered, if there are no objects because it is not above `conf`; else 0.

    In a picture of one colour nothing is shown whatever its score; tiles and tracks keep no scores.
    """
    if len(found) or found.candidates is None or found.image is None:
        return 0.0
    from fastsam_onnx.results.finding import is_plain

    highest = float(found.candidates.scores.max(initial=0))
    return 0.0 if highest > conf or is_plain(found.image) else highest


def why_it_failed(error: Exception) -> str:
    """Why one input failed. What is no error of ours is a defect, or memory ran out: the other inputs can be done."""
    return str(error) if isinstance(error, FastSAMError) else f"unexpected {type(error).__name__}: {error}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
