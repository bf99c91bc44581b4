"""Compare `FastSAM.stream` with a plain loop over the same photos: throughput, memory, order and results.

    python -m tools.measure_stream --count 500 PHOTO [PHOTO ...]
    python -m tools.measure_stream --count 500 --draw PHOTO [PHOTO ...]

The photos are repeated until there are so many. They go in blocks, each first through the loop, then through the stream
(every other block the other way round), so that other work on the machine meets both; the ratio is the median over the
blocks. --draw makes an overlay of each result and encodes it as JPEG, in the loop's body, as a caller would.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import statistics
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from fastsam_onnx import FastSAM, Segmentation, formats
from fastsam_onnx.masks.pending import PendingMask
from tools.benchmark import memory

Digest = tuple[bytes, bytes, bytes, str | None]


def main() -> int:
    options = parse_options()
    photos = list(itertools.islice(itertools.cycle(options.photos), options.count))
    model = FastSAM(threads=options.threads)
    for photo in photos[:3]:
        take([model(photo)], draw=options.draw)
    seconds: dict[str, list[float]] = {"loop": [], "stream": []}
    differing = 0
    print("| photos | loop photos/s | stream photos/s | ratio | resident MB |")
    print("| --- | --- | --- | --- | --- |")
    for number, start in enumerate(range(0, len(photos), options.block)):
        block = photos[start : start + options.block]
        results = {}
        for way in sorted(seconds, reverse=number % 2 == 1):
            began = time.perf_counter()
            found = map(model, block) if way == "loop" else model.stream(block, workers=options.workers)
            results[way] = take(found, draw=options.draw)
            seconds[way].append(time.perf_counter() - began)
        differing += sum(a != b for a, b in zip(results["loop"], results["stream"], strict=True))
        loop, stream = (len(block) / seconds[way][-1] for way in ("loop", "stream"))
        done = start + len(block)
        print(f"| {done} | {loop:.2f} | {stream:.2f} | {stream / loop:.2f} | {memory.resident():.0f} |", flush=True)
    ratio = statistics.median(loop / stream for loop, stream in zip(seconds["loop"], seconds["stream"], strict=True))
    print(f"\nmedian ratio {ratio:.2f}; {differing} of {len(photos)} results differ from the loop's")
    return 1 if differing else 0


def take(found: Iterable[Segmentation], *, draw: bool) -> list[Digest]:
    """What each result holds, to compare by."""
    digests = []
    for one in found:
        masks = hashlib.sha256()
        for row in one.masks.lazy:
            assert isinstance(row, PendingMask)  # still to be made: all that it depends on beside its box
            masks.update(row.logits.tobytes())
        digests.append((one.boxes.tobytes(), one.scores.tobytes(), masks.digest(), one.source))
        if draw:
            formats.encode(one, "overlay", suffix=".jpg")
    return digests


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare FastSAM.stream with a plain loop.")
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--block", type=int, default=50)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--threads", type=int, help="of the network")
    parser.add_argument("--draw", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
