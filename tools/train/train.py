"""Trains the network; can be stopped and started again at any moment.

    python -m tools.train.train --data ../shared/data --out ../runs/nano --minutes 95

The learning rate follows the larger of two shares: time spent of ``--minutes``, steps done of ``--steps``.
``OUT/state.pt`` holds everything needed to go on; its averaged weights can be exported at any time.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections import defaultdict
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from .data import TAUGHT_SHARE, Batch, load_training, load_validation
from .fine.network import Answers
from .imitate import imitation
from .losses import losses
from .models import NAMES, fill, make, name_of
from .network import Raw, SegmentEverything
from .precision import autocast
from .reopen import reopened
from .sampler import CANVASES, SHORT_SIDES, Sampler
from .validate import examine, figures

WARM_UP = 150  # steps
CLIP = 10.0
EMA_DECAY = 0.999
FINAL_RATE = 0.02  # of the learning rate
LABELS_SHARE = 0.5  # of the losses of labels, beside those of a teacher
SAVE_SECONDS = 180.0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of train_labelled; of train_validation, for figures"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for state.pt and log.jsonl")
    parser.add_argument("--model", choices=NAMES, default="nano")
    parser.add_argument("--weights", type=Path, help="mobile_sam.pt, which the small network begins with")
    parser.add_argument(
        "--start",
        type=Path,
        help="a finished state.pt whose averaged weights a new training starts from, or the network's ONNX file",
    )
    parser.add_argument("--minutes", type=float, default=95.0)
    parser.add_argument("--steps", type=int, default=10**9)
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate")
    parser.add_argument("--backbone-rate", type=float, default=0.3, help="share of the rate for what is pretrained")
    parser.add_argument("--decay", type=float, default=0.03, help="weight decay")
    parser.add_argument(
        "--teacher",
        type=Path,
        help="a state.pt of the small network, or its ONNX file, which is imitated on every picture",
    )
    parser.add_argument("--taught", type=Path, nargs="+", default=[], help="the teacher's labels, from teach.py")
    parser.add_argument(
        "--taught-share", type=float, default=TAUGHT_SHARE, help="of the pictures, photos that only it has labelled"
    )
    parser.add_argument(
        "--freeze",
        choices=("all", "first", "none"),
        default="first",
        help="how much of what is pretrained stays as it is: with all, twice the speed",
    )
    parser.add_argument("--pixels", type=int, default=12 * 320 * 320, help="pixels of a batch")
    parser.add_argument(
        "--canvases",
        type=int,
        nargs="+",
        default=CANVASES,
        choices=SHORT_SIDES,
        help="long sides, one is drawn for each batch",
    )
    parser.add_argument("--limit", type=int, help="train on this many photos only")
    parser.add_argument("--validate", type=int, default=600, help="steps between validation figures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches ahead, for a GPU")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser.parse_args()


def parameter_groups(network: SegmentEverything, decay: float, backbone_rate: float) -> list[dict[str, Any]]:
    """What is pretrained and the rest, with and without weight decay; frozen parameters are left out."""
    pretrained = {id(parameter) for parameter in network.backbone.pretrained().parameters()}
    groups: dict[tuple[float, float], list[Tensor]] = defaultdict(list)
    for parameter in network.parameters():
        if parameter.requires_grad:
            share = backbone_rate if id(parameter) in pretrained else 1.0
            groups[share, decay if parameter.ndim > 1 else 0.0].append(parameter)
    return [{"params": p, "share": share, "weight_decay": d} for (share, d), p in groups.items()]


def rate_at(progress: float, step: int, warm_up: int = WARM_UP) -> float:
    """Share of the learning rate: linear warm-up, then a cosine down to FINAL_RATE."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return min(1.0, (step + 1) / warm_up) * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def candidates(raw: Raw | Answers) -> Tensor:
    """What the exported network calls output0: (B, 37, A), or the part of the head for small objects."""
    near, far = raw.boxes.split(2, -1)
    parts = [(near + far) / 2, far - near, raw.scores.sigmoid()[..., None], raw.coefficients]
    return torch.cat(parts, 2).transpose(1, 2)


@torch.no_grad()
def run_network(network: SegmentEverything, device: str, photo: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exported network's two outputs for (1, 3, H, W) RGB / 255."""
    tensor = torch.from_numpy(photo).to(device).contiguous(memory_format=torch.channels_last)
    with autocast(device):
        raw = network(tensor)
    return candidates(raw).cpu().numpy(), raw.prototypes.cpu().numpy()


def save(path: Path, state: dict[str, Any]) -> None:
    """Writes beside and renames: whatever happens, a whole file lies at ``path``."""
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def is_network_file(start: Path | None) -> TypeGuard[Path]:
    """True if a training starts from an ONNX file, not from another training's state."""
    return start is not None and start.suffix == ".onnx"


def is_still(start: Path | None) -> bool:
    """True if batch norms must keep their statistics: a file has them folded in, and so has what began with one."""
    if start is None or is_network_file(start):
        return start is not None
    return bool(torch.load(start, map_location="cpu", weights_only=True)["still"])


def new_network(
    name: str, device: str, weights: Path | None = None, start: Path | None = None, freeze: str = "first"
) -> SegmentEverything:
    """A network with a pretrained backbone, with the averaged weights of ``start``, or both; a part does not learn.

    Raises:
        SystemExit: If ``start`` is the file of another network, as which its training could not be exported.
    """
    network = reopened(start) if is_network_file(start) else make(name)
    if (found := name_of(network)) != name:
        raise SystemExit(f"{start} holds the {found} network: --model {found}, not {name}")
    if start is None or weights is not None:
        fill(network, weights)
    if start is not None and not is_network_file(start):
        take_over(network, torch.load(start, map_location="cpu", weights_only=True)["mean"])
    frozen = {"all": [network.backbone.pretrained()], "first": network.backbone.frozen(), "none": []}
    for module in frozen[freeze]:
        module.requires_grad_(False)
    return network.to(device, memory_format=torch.channels_last)


def load_teacher(path: Path, device: str) -> SegmentEverything:
    """The small network of a file, or the averaged one of a state; it does not learn."""
    if is_network_file(path):
        network = reopened(path)
    else:
        network = make("small")
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["mean"])
    return network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


@torch.no_grad()
def take_over(network: SegmentEverything, source: dict[str, Tensor]) -> None:
    """Copies an earlier network's parameters; of one whose shape has changed, the part that both have.

    What the earlier one lacks stays: a frozen encoder need not be kept with what was learned beside it.
    """
    for name, own in network.state_dict().items():
        other = source.get(name, own)
        common = tuple(slice(min(pair)) for pair in zip(own.shape, other.shape, strict=True))
        own[common] = other[common]


class Learner:
    """A network that learns, its averaged weights, and what is needed to go on another time."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        clip: float,
        device: str = "cpu",
        *,
        still: bool = False,
    ) -> None:
        """``clip``: largest length of the gradient; ``still``: batch norms keep their statistics, see ``is_still``."""
        self.still = still
        self.network = network.train(not still)
        self.device = device
        self.mean = copy.deepcopy(network).eval()  # the averaged weights: what is exported
        self.optimizer = optimizer
        self.clip = clip
        self.step = 0
        self.spent = 0.0  # seconds

    def state(self, options: dict[str, str]) -> dict[str, Any]:
        """What ``save`` writes; ``options`` are for the manifest."""
        return {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "spent": self.spent,
            "still": self.still,
            "options": options,
        }

    def resume(self, path: Path) -> None:
        """Goes on where the state was saved."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.spent, self.still = state["step"], state["spent"], state["still"]
        self.network.train(not self.still)

    def descend(self, loss: Tensor) -> Tensor:
        """One step down; returns the length of the gradient."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        if torch.isfinite(norm):
            self.optimizer.step()
            self.average()
        else:
            print(f"step {self.step}: gradient is not finite, step left out", flush=True)
        self.step += 1
        return norm

    @torch.no_grad()
    def average(self) -> None:
        """Moves the averaged weights towards the network's; slower as training goes on."""
        decay = EMA_DECAY * (1 - math.exp(-(self.step + 1) / 400))
        means, news = self.mean.state_dict().values(), self.network.state_dict().values()
        pairs = [(a, b) for a, b in zip(means, news, strict=True) if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in pairs], [b for _, b in pairs], 1 - decay)


class Training(Learner):
    """Everything that changes while a network that finds everything is trained, and one step of it."""

    def __init__(
        self,
        network: SegmentEverything,
        rate: float,
        decay: float,
        device: str,
        *,
        teacher: SegmentEverything | None = None,
        backbone_rate: float = 0.3,
        still: bool = False,
    ) -> None:
        groups = parameter_groups(network, decay, backbone_rate)
        super().__init__(network, torch.optim.AdamW(groups, lr=rate, fused=True), CLIP, device, still=still)
        self.teacher = teacher
        self.rate = rate

    def learn(self, batch: Batch, progress: float) -> dict[str, Tensor]:
        """One step; returns the losses and the length of the gradient, which nobody waits for here."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group["share"] * rate_at(progress, self.step)
        batch = batch.to(self.device)
        photos = (batch.photos.float() / 255).contiguous(memory_format=torch.channels_last)
        with autocast(self.device):
            raw = self.network(photos)
        terms = losses(raw, batch, self.generator())
        if self.teacher:
            terms = self.taught(self.teacher, terms, raw, photos)
        norm = self.descend(sum(terms.values()))
        return {name: term.detach() for name, term in terms.items()} | {"gradient": norm}

    def generator(self) -> torch.Generator:
        """Chance of this step."""
        return torch.Generator(self.device).manual_seed(self.step)

    def taught(
        self, teacher: SegmentEverything, terms: dict[str, Tensor], raw: Raw, photos: Tensor
    ) -> dict[str, Tensor]:
        """The losses, less of those of labels, and how far the network is from its teacher."""
        with torch.no_grad(), autocast(self.device):
            wanted = teacher(photos)
        height, width = photos.shape[2:]
        apart = imitation(raw, wanted, height, width, self.generator())
        own = {name: LABELS_SHARE * term for name, term in terms.items()}
        return own | {f"teacher's {name}": term for name, term in apart.items()}


class Steps(Dataset[Batch]):
    """The batches of all steps, for processes that make them ahead."""

    def __init__(self, sampler: Sampler, steps: int) -> None:
        self.sampler = sampler
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        return self.sampler.batch(step)


def batches(sampler: Sampler, first: int, last: int, workers: int) -> Iterable[Batch]:
    """The batches of the steps from ``first`` to before ``last``; the same whatever ``workers`` are."""
    order = range(first, last)
    if not workers:
        return map(sampler.batch, order)
    cv2.setNumThreads(1)  # before the processes are forked: threads would be missing there, and waited for
    torch.multiprocessing.set_sharing_strategy("file_system")  # a batch has more tensors than a process may open files
    return DataLoader(
        Steps(sampler, last),
        batch_size=None,
        sampler=order,
        num_workers=workers,
        prefetch_factor=4,
        pin_memory=torch.cuda.is_available(),
    )


def described(options: argparse.Namespace) -> dict[str, str]:
    """The options for the manifest."""
    named = {name: str(value) for name, value in vars(options).items()}
    return named | {"canvases": str(list(options.canvases)), "taught": " ".join(path.name for path in options.taught)}


class Log:
    """Means of the losses, on the screen and in log.jsonl."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", buffering=1)
        self.restart()

    def restart(self) -> None:
        self.sums: dict[str, float | Tensor] = defaultdict(float)
        self.steps, self.photos, self.since = 0, 0, time.monotonic()

    def add(self, terms: dict[str, Tensor], photos: int) -> None:
        for name, term in terms.items():
            self.sums[name] += term
        self.steps += 1
        self.photos += photos

    def losses(self, step: int, spent: float) -> None:
        """Writes the means since the last call."""
        speed = self.photos / (time.monotonic() - self.since)
        means = {name: round(float(total) / self.steps, 3) for name, total in self.sums.items()}
        self.write({"step": step, "minutes": round(spent / 60, 2), "photos_per_s": round(speed, 1), **means})
        self.restart()

    def write(self, line: dict[str, float]) -> None:
        print(line, flush=True)
        self.file.write(json.dumps(line) + "\n")


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    photos = load_training(options.data / "train_labelled", options.limit, options.taught, options.workers)
    judged = options.data / "train_validation"
    validation = load_validation(judged)[:60] if judged.is_dir() else []
    sampler = Sampler(
        photos,
        options.seed,
        pixels=options.pixels,
        canvases=options.canvases,
        taught_share=options.taught_share,
    )
    network = new_network(options.model, options.device, options.weights, options.start, options.freeze)
    teacher = load_teacher(options.teacher, options.device) if options.teacher else None
    training = Training(
        network,
        options.rate,
        options.decay,
        options.device,
        teacher=teacher,
        backbone_rate=options.backbone_rate,
        still=is_still(options.start),
    )
    state_path = options.out / "state.pt"
    if state_path.exists():
        training.resume(state_path)
    print(f"{len(photos)} photos, {sum(len(p.masks) for p in photos)} masks, from step {training.step}", flush=True)

    log = Log(options.out / "log.jsonl")
    named = described(options)
    started, saved = time.monotonic() - training.spent, time.monotonic()
    for batch in batches(sampler, training.step, options.steps, options.workers):
        training.spent = time.monotonic() - started
        progress = max(training.spent / 60 / options.minutes, training.step / options.steps)
        if progress >= 1:
            break
        log.add(training.learn(batch, progress), len(batch.photos))
        if training.step % 100 == 0:
            log.losses(training.step, training.spent)
        if validation and training.step % options.validate == 0:
            run = partial(run_network, training.mean, options.device)
            found = figures(examine(run, validation, 384, most=100))
            log.write({"step": training.step} | {name: round(value, 2) for name, value in found.items()})
        if time.monotonic() - saved > SAVE_SECONDS:
            save(state_path, training.state(named))
            saved = time.monotonic()
    save(state_path, training.state(named))
    print(f"done: {training.step} steps in {training.spent / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
