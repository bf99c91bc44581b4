"""Run the serverless function as a platform would: read-only disk, no network, one core, 1 GB of memory.

    python -m tools.try_function function.zip --photo examples/coffee.jpg [--photo LARGE.jpg] [--calls 20] [--no-redraw]

Linux with `unshare` and user namespaces. The zip is unpacked; then a process is started in namespaces of its own in
which every file system is read-only but a fresh temporary folder, and no network is there; it may use one core and
1 GiB of address space, which is stricter than 1 GiB of memory. There the function answers each photo, without prompts:
every object.

Prints a row per photo: milliseconds from the start of the process to the model's being open and to the first answer
(cold), the median of the calls after that (warm), the peak of resident memory and of address space, and what the
temporary folder holds at the end. Each photo has a process of its own. Files are in the page cache, so that what the
platform needs to fetch the zip is not in the figures.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

GIB = 2**30

READ_ONLY = """
set -e
mount --make-rprivate /
mount -t tmpfs -o size=512m tmpfs "$TMPDIR"
while read -r _ point _ options _; do
    case "$point,$options" in
        "$TMPDIR",* | *,ro,* | *,ro) ;;
        /proc* | /sys*) ;;
        *) mount -o remount,bind,ro "$(printf '%b' "$point")" ;;
    esac
done < /proc/self/mounts
exec "$@"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zip", type=Path, help="what tools/build_function.py made, or with --inside the folder")
    parser.add_argument("--photo", type=Path, action="append", required=True, help="a photo; more than one is fine")
    parser.add_argument("--calls", type=int, default=20, help="calls after the first")
    parser.add_argument("--no-redraw", dest="redraw", action="store_false", help="as the network has the objects")
    parser.add_argument("--inside", type=float, help=argparse.SUPPRESS)  # when the process was started
    options = parser.parse_args(arguments)
    if options.inside:
        print(json.dumps(inside(options.zip, request(options.photo[0], redraw=options.redraw), options)))
        return 0
    print("| photo | objects | open ms | first answer ms | warm ms | memory MiB | address space MiB | left behind |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as folder:
        zipfile.ZipFile(options.zip).extractall(folder)
        for photo in options.photo:
            print(row(photo, outside(Path(folder), photo.resolve(), options)), flush=True)
    return 0


def outside(tree: Path, photo: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Start the process and wait for its figures. `-S` and `-E`: nothing but the standard library is in its reach."""
    with tempfile.TemporaryDirectory() as place:
        python = [sys.executable, "-S", "-E", __file__, str(tree), "--photo", str(photo)]
        python += ["--calls", str(options.calls), *([] if options.redraw else ["--no-redraw"])]
        command = ["unshare", "--map-root-user", "--mount", "--net", "sh", "-c", READ_ONLY, "sh", *python]
        environment = {"TMPDIR": place, "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        command += ["--inside", repr(time.time())]
        done = subprocess.run(command, env=environment, check=False, stdout=subprocess.PIPE)
        if done.returncode:
            raise SystemExit(done.returncode)  # it has said why
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures


def inside(tree: Path, event: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Limits first, then the function."""
    resource.setrlimit(resource.RLIMIT_AS, (GIB, GIB))
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    check_the_walls(tree)
    sys.path.insert(0, str(tree))
    import handler

    opened = time.time()
    answer = handler.handler(event)
    first = time.time()
    if answer["statusCode"] != 200:
        raise SystemExit(answer["body"])
    times = []
    for _ in range(options.calls):
        began = time.perf_counter()
        again = handler.handler(event)
        times.append(time.perf_counter() - began)
        if again != answer:
            raise SystemExit("another answer than the first time")
    return {
        "objects": len(json.loads(answer["body"])["objects"]),
        "open": 1000 * (opened - options.inside),
        "first": 1000 * (first - options.inside),
        "warm": 1000 * statistics.median(times),
        "resident": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "space": address_space_peak() / 1024,
        "left": sorted(os.listdir(os.environ["TMPDIR"])),  # noqa: PTH208
    }


def check_the_walls(tree: Path) -> None:
    """Stop unless writing and the network really fail here."""
    for folder in (tree, Path.cwd(), Path("/"), Path("/var/tmp"), Path("/dev/shm")):
        try:
            (folder / "try_function.probe").write_bytes(b"")
        except OSError:
            continue
        (folder / "try_function.probe").unlink()
        raise SystemExit(f"{folder} can be written")
    try:
        socket.create_connection(("127.0.0.1", 9), timeout=1)
    except OSError as error:
        if "unreachable" not in str(error):
            raise SystemExit(f"there is a network: {error}") from error


def request(photo: Path, *, redraw: bool) -> dict[str, Any]:
    """An HTTP API's event that asks for every object."""
    fields = {"photo": base64.b64encode(photo.read_bytes()).decode()} | ({} if redraw else {"redraw": False})
    body = json.dumps(fields)
    return {"requestContext": {"http": {"method": "POST"}}, "headers": {}, "body": body, "isBase64Encoded": False}


def address_space_peak() -> int:
    """Kilobytes."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmPeak:"))


def row(photo: Path, figures: dict[str, Any]) -> str:
    cells = [photo.name, str(figures["objects"])]
    cells += [f"{figures[name]:.0f}" for name in ("open", "first", "warm", "resident", "space")]
    return f"| {' | '.join([*cells, ', '.join(figures['left']) or 'nothing'])} |"


if __name__ == "__main__":
    sys.exit(main())
