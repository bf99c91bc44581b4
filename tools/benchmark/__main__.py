"""How fast and how large this package is, and beside it ultralytics on the same weights.

    python -m tools.benchmark --checkpoint FastSAM-s.pt [--int8 FILE] [--peer-python PYTHON] [--json OUT.json]
    python -m tools.benchmark ... --json now.json --against before.json

One process for each contender; in every round each of them is measured once, another one first each time, so that a
slow spell of the machine hits all. Medians, and ratios as medians over the rounds. With `--only` a part is measured;
with the same `--json` the parts add up to one report, which is printed as Markdown. With `--against` the ratios are
compared with those of an earlier report, and the command fails if one fell by more than 10 %; without `--checkpoint`
nothing is measured, and the report in `--json` is compared as it is. Linux only: memory is read from /proc.
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
from typing import Any

from tools.benchmark import machine
from tools.benchmark.against import compare
from tools.benchmark.photos import EXAMPLES
from tools.benchmark.processes import Rounds
from tools.benchmark.report import markdown
from tools.benchmark.sections import SECTIONS, Setup


def main() -> int:
    arguments = parsed()
    report = json.loads(arguments.json.read_text()) if arguments.json and arguments.json.exists() else {"sections": {}}
    if arguments.checkpoint:
        measure(arguments, report)
        print(markdown(report["machine"], report["sections"]))
    if arguments.against is None:
        return 0
    try:
        lines, fallen = compare(json.loads(arguments.against.read_text()), report)
    except ValueError as error:
        print(f"{arguments.against}: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 1 if fallen else 0


def measure(arguments: argparse.Namespace, report: dict[str, Any]) -> None:
    """Measure the sections that are asked for, into the report and its file.

    Raises:
        SystemExit: If the report is of another machine, or of other versions.
    """
    here = machine.describe()
    if report.setdefault("machine", here) != here:
        raise SystemExit(f"{arguments.json} has figures of another machine or of other versions: name another file")
    with tempfile.TemporaryDirectory() as folder:
        onnx = arguments.onnx or exported(arguments.checkpoint, Path(folder))
        for name in arguments.only:
            rounds = Rounds(arguments.rounds, arguments.wait)
            setup = Setup(
                checkpoint=arguments.checkpoint.resolve(),
                onnx=onnx.resolve(),
                int8=arguments.int8.resolve() if arguments.int8 else None,
                peer_python=arguments.peer_python,
                openvino=arguments.openvino.resolve() if arguments.openvino else None,
                threads=arguments.threads,
                rounds=rounds,
                photos=arguments.photos.resolve(),
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


def exported(checkpoint: Path, folder: Path) -> Path:
    """The checkpoint as ONNX, by this package."""
    from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
    from fastsam_onnx.checkpoints.convert import export

    target = folder / checkpoint.with_suffix(".onnx").name
    export(read_checkpoint(checkpoint), target)
    return target


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, help="FastSAM weights as ultralytics wrote them (.pt)")
    parser.add_argument("--onnx", type=Path, help="the same weights as ONNX of dynamic size; by default exported")
    parser.add_argument("--int8", type=Path, help="the same weights, quantized")
    parser.add_argument("--peer-python", help="an interpreter with ultralytics and PyTorch")
    parser.add_argument("--openvino", type=Path, help="ultralytics' OpenVINO exports, as tools.benchmark.peer_exports "
                        "writes them")  # fmt: skip
    parser.add_argument("--photos", type=Path, default=EXAMPLES, help="a folder of JPEGs for the bundled models; by "
                        "default examples")  # fmt: skip
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SECTIONS), metavar="A,B",
                        help=f"of {', '.join(SECTIONS)}; all by default")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for an idle machine before a sample")
    parser.add_argument("--json", type=Path, help="where the report is kept, and added to")
    parser.add_argument("--against", type=Path, help="an earlier report; fail if a ratio fell by more than 10 %%")
    arguments = parser.parse_args()
    if not arguments.checkpoint and not (arguments.against and arguments.json and arguments.json.exists()):
        parser.error("--checkpoint is needed to measure; --json and --against compare two reports without it")
    unknown = sorted(set(arguments.only) - set(SECTIONS))
    if unknown:
        parser.error(f"--only takes {', '.join(SECTIONS)}; found {', '.join(unknown)}")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
