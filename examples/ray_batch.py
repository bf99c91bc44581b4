"""Segment a folder or bucket of photos with Ray Data, on one machine or a cluster, into Parquet.

    python examples/ray_batch.py PHOTOS OUTPUT --actors 2                      # here
    ray job submit --working-dir examples -- python ray_batch.py s3://bucket/photos s3://bucket/rows --actors 64

Stopped at any moment, it goes on where it was when it is started again; `batch_rows.py` says how. Each actor has a
model of its own. What travels through Ray are names of photos and counts; the actors read the photos and write the
rows, so on a cluster both places must be ones that every machine sees. Needs the package ray[data].
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import ray
from batch_rows import Count, Folder, at_least_one, plan, work

from fastsam_onnx import FastSAM

OBJECT_STORE_BYTES = 100_000_000


class Segmenter:
    """An actor: opens its model once, then works through shards."""

    def __init__(self, photos: str, output: str, model: str | None, threads: int) -> None:
        """Open the model; `photos` and `output` are as on the command line."""
        self.photos, self.output = Folder.of(photos), Folder.of(output)
        self.model = FastSAM(model, threads=threads)

    def __call__(self, row: dict[str, list[str]]) -> dict[str, int]:
        """Work through row["shard"]; the row that comes out has the fields of `Count`."""
        return vars(work(self.model, self.photos, self.output, list(row["shard"])))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job; the exit status is 0 unless it stops."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", help="a folder, or an address such as s3://bucket/photos")
    parser.add_argument("output", help="a folder or address for the Parquet files")
    parser.add_argument("--actors", type=at_least_one, default=2)
    parser.add_argument("--threads", type=at_least_one, default=1, help="cores of each actor")
    parser.add_argument("--shard", type=at_least_one, default=32, help="photos per Parquet file")
    parser.add_argument("--model", help="a path or name, the bundled model by default")
    options = parser.parse_args(arguments)
    shards = plan(Folder.of(options.photos), Folder.of(options.output), options.shard)
    if not shards:
        return 0
    start_ray()
    counts = ray.data.from_items([{"shard": shard} for shard in shards]).map(
        Segmenter,
        fn_constructor_args=(options.photos, options.output, options.model, options.threads),
        compute=ray.data.ActorPoolStrategy(size=options.actors),
        num_cpus=options.threads,
    )
    total = Count()
    for row in counts.iter_rows():
        total += Count(**row)
    print(f"done: {total}")
    return 0


def start_ray() -> None:
    """Join the cluster that RAY_ADDRESS names, as a submitted job does, or start a small one here."""
    if "RAY_ADDRESS" in os.environ:
        ray.init()
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(object_store_memory=OBJECT_STORE_BYTES, include_dashboard=False)


if __name__ == "__main__":
    sys.exit(main())
