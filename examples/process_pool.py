"""Segment a folder of photos on one machine with a pool of processes, into Parquet.

    python examples/process_pool.py PHOTOS OUTPUT [--workers 4]

Stopped at any moment, it goes on where it was when it is started again; `batch_rows.py` says how. Each process has a
model of its own that computes with one thread: for many photos that is faster than one model with many threads. Needs
pyarrow.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from batch_rows import Count, Folder, at_least_one, plan, work

from fastsam_onnx import FastSAM, FastSAMError
from fastsam_onnx.runtime import default_threads


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; the exit status is 0 unless it stops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="a folder, or an address such as s3://bucket/photos")
    parser.add_argument("output", help="a folder or address for the Parquet files")
    parser.add_argument(
        "--workers", type=at_least_one, default=default_threads(), help="processes; by default the cores"
    )
    parser.add_argument("--shard", type=at_least_one, default=32, help="photos per Parquet file")
    parser.add_argument("--model", help="a path or name, the bundled model by default")
    options = parser.parse_args(arguments)
    photos, output = Folder.of(options.photos), Folder.of(options.output)
    shards = plan(photos, output, options.shard)
    total = Count()
    try:
        FastSAM(options.model, threads=1).close()
    except FastSAMError as error:  # told here, not by every process
        parser.error(str(error))
    # Spawned: threads of the parent, pyarrow's here, do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, context, _open, (options.model,)) as pool:
        for number, count in enumerate(pool.map(partial(_shard, photos, output), shards), 1):
            total += count
            print(f"{number} of {len(shards)} shards: {total}", flush=True)
    print(f"done: {total}")
    return 0


_models: list[FastSAM] = []
"""The model of this process, once it is a worker."""


def _open(model: str | None) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _models.append(FastSAM(model, threads=1))


def _end_with_parent() -> None:
    """A pool's workers outlive a parent that is killed, and wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _shard(photos: Folder, output: Folder, shard: Sequence[str]) -> Count:
    return work(_models[0], photos, output, shard)


if __name__ == "__main__":
    sys.exit(main())
