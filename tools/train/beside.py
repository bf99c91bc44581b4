"""What is trained beside a finished network, on the CPU: its decoder, its head for small objects.

The learning rate follows the time spent. ``OUT/state.pt`` holds everything needed to go on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from .train import Learner, rate_at, save

WARM_UP = 200  # steps
DECAY = 0.02
SAVE_SECONDS = 120.0
LOGGED = 100  # steps between lines of the log
LONGEST_STEP = 5.0  # seconds that count: a training that is stopped for a measurement has them later


class Beside(Learner):
    """A small network that learns while a finished one stays as it is."""

    def __init__(self, network: nn.Module, rate: float, clip: float, *, still: bool = False) -> None:
        """``rate``: the largest learning rate; ``clip``: the largest length of the gradient.

        ``still``: batch norms keep their statistics, see ``is_still``.
        """
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim <= 1]
        groups = [{"params": decayed, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}]
        network = network.to(memory_format=torch.channels_last)
        super().__init__(network, torch.optim.AdamW(groups, lr=rate, fused=True), clip, still=still)
        self.rate = rate

    def set_rate(self, progress: float) -> None:
        """The learning rate of this step; ``progress``: share of the time that is spent."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * rate_at(progress, self.step, WARM_UP)

    def learn(self, batch: Any, progress: float) -> dict[str, float]:
        """One step; returns the losses."""
        raise NotImplementedError

    def go_on(self, out: Path) -> None:
        """Goes on from the state in a folder, if there is one."""
        if (out / "state.pt").exists():
            self.resume(out / "state.pt")

    def learn_all(self, batches: Iterable[Any], options: argparse.Namespace) -> None:
        """Learns until ``options.minutes`` are spent; log and state go into ``options.out``."""
        state, named = options.out / "state.pt", {name: str(value) for name, value in vars(options).items()}
        log = (options.out / "log.jsonl").open("a", buffering=1)
        since: list[dict[str, float]] = []
        before = saved = time.monotonic()
        for batch in batches:
            self.spent += min(time.monotonic() - before, LONGEST_STEP)
            before = time.monotonic()
            progress = self.spent / 60 / options.minutes
            if progress >= 1:
                break
            since.append(self.learn(batch, progress))
            if self.step % LOGGED == 0:
                line = json.dumps({"step": self.step, "minutes": round(self.spent / 60, 2), **means(since)})
                print(line, flush=True)
                log.write(line + "\n")
                since = []
            if time.monotonic() - saved > SAVE_SECONDS:
                save(state, self.state(named))
                saved = time.monotonic()
        save(state, self.state(named))
        print(f"done: {self.step} steps", flush=True)


def means(steps: list[dict[str, float]]) -> dict[str, float]:
    """Of each loss, over the steps that have it."""
    names = dict.fromkeys(name for terms in steps for name in terms)
    return {name: round(float(np.mean([terms[name] for terms in steps if name in terms])), 4) for name in names}
