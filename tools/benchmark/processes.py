"""Contenders from outside: starting them, asking them in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.benchmark import machine

ROOT = Path(__file__).parents[2]
Samples = dict[str, list[dict[str, Any]]]


def environment() -> dict[str, str]:
    """This process's, with the checkout in front, byte code kept, and nothing for ultralytics to download."""
    own = {"PYTHONPATH": str(ROOT), "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "PYTHONDONTWRITEBYTECODE": ""}
    return {**os.environ, **own}


class Process:
    """A contender at work; as a context manager it ends with the block."""

    def __init__(self, python: str = sys.executable, **options: Any) -> None:
        command = [python, "-m", "tools.benchmark.contender", json.dumps(options)]
        self._name = f"{options.get('kind')} {options.get('model')}"
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT
        )
        self.answer()

    def ask(self, job: str, **options: Any) -> dict[str, Any]:
        """Have a job done; wait for its answer."""
        self.tell(job, **options)
        return self.answer()

    def tell(self, job: str, **options: Any) -> None:
        """Have a job begun; `answer` waits for it."""
        assert self._process.stdin is not None
        print(json.dumps({"job": job, **options}), file=self._process.stdin, flush=True)

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer.

        Raises:
            RuntimeError: If the process has ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.close()
            raise RuntimeError(f"{self._name} ended with {self._process.returncode}; what it said is above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass
class Rounds:
    """How often and when samples are taken.

    Attributes:
        count: Rounds; in each, every job once, another one first each time.
        wait: Seconds to wait for an idle machine before a sample.
        taken: Samples so far.
        idle: Of these, how many began on an idle machine.
    """

    count: int
    wait: float
    taken: int = 0
    idle: int = 0

    def run(self, jobs: Mapping[str, Callable[[], dict[str, Any]]], count: int | None = None) -> Samples:
        """The samples of each job. Every job runs once before, which does not count."""
        samples: Samples = {name: [] for name in jobs}
        names = list(jobs)
        for name in names:
            jobs[name]()
        for index in range(count or self.count):
            first = index % len(names)
            for name in names[first:] + names[:first]:
                self.idle += machine.wait_until_idle(self.wait)
                self.taken += 1
                samples[name].append(jobs[name]())
        return samples
