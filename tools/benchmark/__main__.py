"""How fast and how large this package is, and beside it ultralytics on the same weights.

    python -m tools.benchmark --checkpoint FastSAM-s.pt [--int8 FILE] [--peer-python PYTHON] [--json OUT.json]

One process for each contender; in every round each of them is measured once, another one first each time, so that a
slow spell of the machine hits all. Medians, and ratios as medians over the rounds. With `--only` a part is measured;
with the same `--json` the parts add up to one report, which is printed as Markdown. Linux only: memory is read
from /proc.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

from tools.benchmark import machine
from tools.benchmark.processes import Rounds
from tools.benchmark.report import markdown
from tools.benchmark.sections import SECTIONS, Setup


def main() -> int:
    arguments = parsed()
    report = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {"sections": {}}
    report["machine"] = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        onnx = arguments.onnx or exported(arguments.checkpoint, Path(folder))
        for name in arguments.only:
            rounds = Rounds(arguments.rounds, arguments.wait)
            setup = Setup(
                checkpoint=arguments.checkpoint.resolve(),
                onnx=onnx.resolve(),
                int8=arguments.int8.resolve() if arguments.int8 else None,
                peer_python=arguments.peer_python,
                threads=arguments.threads,
                rounds=rounds,
            )
            began, load = time.monotonic(), os.getloadavg()[0]
            tables = SECTIONS[name](setup)
            report["sections"][name] = {
                "tables": [dataclasses.asdict(table) for table in tables],
                "about": f"{rounds.count} rounds, {arguments.threads} threads, {time.monotonic() - began:.0f} s; "
                f"{rounds.idle} of {rounds.taken} samples began on an idle machine, load average {load:.1f} before. "
                f"{shlex.join(['python', '-m', 'tools.benchmark', '--only', name])}",
            }
            if arguments.json:
                arguments.json.write_text(json.dumps(report, indent=1))
    print(markdown(report["machine"], report["sections"]))
    return 0


def exported(checkpoint: Path, folder: Path) -> Path:
    """The checkpoint as ONNX, by this package."""
    from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
    from fastsam_onnx.checkpoints.convert import export

    target = folder / checkpoint.with_suffix(".onnx").name
    export(read_checkpoint(checkpoint), target)
    return target


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoint", type=Path, required=True, help="FastSAM weights as ultralytics wrote them (.pt)"
    )
    parser.add_argument("--onnx", type=Path, help="the same weights as ONNX of dynamic size; by default exported")
    parser.add_argument("--int8", type=Path, help="the same weights, quantized")
    parser.add_argument("--peer-python", help="an interpreter with ultralytics and PyTorch")
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SECTIONS), metavar="A,B",
                        help=f"of {', '.join(SECTIONS)}; all by default")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for an idle machine before a sample")
    parser.add_argument("--json", type=Path, help="where the report is kept, and added to")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.only) - set(SECTIONS))
    if unknown:
        parser.error(f"--only takes {', '.join(SECTIONS)}; found {', '.join(unknown)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
