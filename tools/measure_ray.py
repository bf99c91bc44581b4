"""Two actors of Ray against two plain processes on the same cores: photos a second, and what Ray costs beside.

    python -m tools.measure_ray PHOTOS --cores 0 1 --photos 200 --task 1 --rounds 3

Both take names of photos and give counts of objects; every worker has a model of its own with one thread, and is warm
before the clock starts. Rounds are interleaved. CPU is that of all processes on either side, Ray's own included, a
photo; it hardly depends on other work on the machine, as photos a second does. Needs Linux, and the package ray.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, islice
from pathlib import Path

from fastsam_onnx import FastSAM

TICKS = os.sysconf("SC_CLK_TCK")
OBJECT_STORE_BYTES = 100_000_000


class Segmenter:
    """A worker's model."""

    def __init__(self) -> None:
        self.model = FastSAM(threads=1)
        self.model.warmup()

    def count(self, paths: Sequence[str]) -> int:
        return sum(len(self.model(path)) for path in paths)


_models: list[Segmenter] = []
"""The model of a plain process."""


def _open() -> None:
    _models.append(Segmenter())


def _count(paths: Sequence[str]) -> int:
    return _models[0].count(paths)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="PHOTOS", type=Path)
    parser.add_argument("--cores", metavar="N", type=int, nargs="+", required=True, help="numbers of the cores")
    parser.add_argument("--photos", metavar="N", type=int, default=200, help="photos of a round; names repeat")
    parser.add_argument("--task", metavar="N", type=int, default=1, help="photos that are handed out at once")
    parser.add_argument("--rounds", metavar="N", type=int, default=3)
    options = parser.parse_args(arguments)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray  # after the help

    os.sched_setaffinity(0, options.cores)  # what is started from here inherits it
    paths = list(islice(cycle(sorted(str(path.resolve()) for path in options.folder.glob("*.jpg"))), options.photos))
    if not paths:
        parser.error(f"no *.jpg in {options.folder}")
    tasks = [paths[first : first + options.task] for first in range(0, len(paths), options.task)]
    count = len(options.cores)
    print(f"cores {options.cores}, load average {os.getloadavg()[0]:.1f}", flush=True)
    began = time.monotonic()
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _open)
    list(pool.map(_count, [paths[:4]] * 2 * count))
    started = {"processes": time.monotonic() - began}
    own = tree(os.getpid()) - {os.getpid()}
    began = time.monotonic()
    ray.init(num_cpus=count, object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False, log_to_driver=False)
    remote = ray.remote(num_cpus=1)(Segmenter)
    actors = ray.util.ActorPool([remote.remote() for _ in range(count)])

    def by_ray(work: Sequence[Sequence[str]]) -> list[int]:
        return list(actors.map(lambda actor, task: actor.count.remote(task), work))

    by_ray([paths[:4]] * 2 * count)
    started["ray"] = time.monotonic() - began
    sides: dict[str, Callable[[Sequence[Sequence[str]]], list[int]]] = {
        "processes": lambda work: list(pool.map(_count, work)),
        "ray": by_ray,
    }
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    answers = set()
    for number in range(options.rounds):
        for name in list(sides)[:: 1 if number % 2 else -1]:
            before, began = cpu(own), time.monotonic()
            answers.add(sum(sides[name](tasks)))
            seconds, after = time.monotonic() - began, cpu(own)
            side = 0 if name == "processes" else 1
            seen[name].append((len(paths) / seconds, 1000 * (after[side] - before[side]) / len(paths)))
    assert len(answers) == 1, "different objects"
    tell(started, seen)
    pool.shutdown()
    return 0


def tell(started: dict[str, float], seen: dict[str, list[tuple[float, float]]]) -> None:
    """Print the table: medians of the rounds."""
    print("| | start s | photos/s | CPU ms a photo |\n| --- | --- | --- | --- |")
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in seen.items()}
    for name, (rate, cost) in medians.items():
        print(f"| {name} | {started[name]:.1f} | {rate:.1f} | {cost:.1f} |")
    slower, dearer = (medians["ray"][column] / medians["processes"][column] - 1 for column in (0, 1))
    print(f"ray: {100 * slower:+.1f} % photos a second, {100 * dearer:+.1f} % CPU; load {os.getloadavg()[0]:.1f}")


def cpu(own: set[int]) -> tuple[float, float]:
    """CPU seconds of the plain processes, and of all else that was started from here; of this process in both."""
    here = os.getpid()
    return sum(map(cpu_seconds, own | {here})), sum(map(cpu_seconds, tree(here) - own))


def tree(root: int) -> set[int]:
    """A process and all that descend from it; Ray's own daemons do."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text("ascii", "replace").rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # it has ended
    found = {root}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def cpu_seconds(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text("ascii", "replace").rsplit(")", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    sys.exit(main())
