"""Photos a second, latency and memory of `fastsam-onnx serve`: processes against threads.

    python -m tools.measure_server 1x1x1 1x2x1 1x2x2 2x1x1 --cores 0 1 --photos FOLDER [--clients 4] [--seconds 10]

A setting is PROCESSESxWORKERSxTHREADS: servers, each with `--workers` and `--threads`; clients take the servers in
turn, as a balancer would. All servers may use the given cores only (`taskset`, Linux). The clients send one photo after
the other and run on the same cores, so their work (about 1 ms a photo) is in the figures. Settings are measured in
turns, every round in another order; rows are medians of the rounds. CPU is that of the servers, a photo: cores by CPU
is what the setting can do at most, and hardly depends on other work on the machine, as photos a second does.
Memory is the sum of what each server holds for itself and its share of the rest (PSS), after the last round.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
PATIENCE = 60.0
COLUMNS = ("processes", "workers", "threads", "photos/s", "CPU ms a photo", "median ms", "p95 ms", "MB", "refused")


@dataclass(frozen=True)
class Setting:
    """How servers are started."""

    processes: int
    workers: int
    threads: int

    @classmethod
    def read(cls, text: str) -> Setting:
        found = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
        if not found:
            raise argparse.ArgumentTypeError(f"a setting is PROCESSESxWORKERSxTHREADS, got {text!r}")
        return cls(*(int(number) for number in found.groups()))


@dataclass(frozen=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    port: int

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def megabytes(self) -> float:
        lines = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


@dataclass
class Round:
    """What the clients saw in one round, and what it cost."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def row(self) -> tuple[float, float, float, float]:
        ordered = sorted(self.latencies)
        count = len(ordered)
        if not count:
            raise SystemExit(f"no photo was answered in {self.seconds:.0f} s, {self.refused} were refused")
        return (
            count / self.seconds,
            1000 * self.cpu_seconds / count,
            1000 * statistics.median(ordered),
            1000 * ordered[min(count - 1, int(0.95 * count))],
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", metavar="PxWxT", type=Setting.read, nargs="+")
    parser.add_argument("--cores", metavar="N", type=int, nargs="+", required=True, help="numbers of the cores")
    parser.add_argument("--photos", metavar="FOLDER", type=Path, required=True, help="JPEG files")
    parser.add_argument("--clients", metavar="N", type=int, default=4)
    parser.add_argument("--seconds", metavar="S", type=float, default=10, help="of a round")
    parser.add_argument("--rounds", metavar="N", type=int, default=3)
    parser.add_argument("--model", metavar="MODEL", help="the bundled model by default")
    options = parser.parse_args(arguments)
    photos = [path.read_bytes() for path in sorted(options.photos.glob("*.jpg"))]
    if not photos:
        parser.error(f"no *.jpg in {options.photos}")
    os.sched_setaffinity(0, options.cores)
    rounds: dict[Setting, list[Round]] = {setting: [] for setting in options.settings}
    memory: dict[Setting, float] = {}
    print(f"cores {options.cores}, {options.clients} clients, load average {os.getloadavg()[0]:.1f}", flush=True)
    for number in range(options.rounds):
        first = number % len(options.settings)
        for setting in options.settings[first:] + options.settings[:first]:
            with ExitStack() as stack:
                servers = [
                    stack.enter_context(running(setting, options.cores, options.model))
                    for _ in range(setting.processes)
                ]
                load(servers, photos, options.clients, 2.0)  # the first photos wait for memory
                rounds[setting].append(load(servers, photos, options.clients, options.seconds))
                memory[setting] = sum(server.megabytes for server in servers)
    print(f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}")
    for setting, seen in rounds.items():
        cells = [f"{statistics.median(column):.1f}" for column in zip(*(each.row for each in seen), strict=True)]
        refused = sum(each.refused for each in seen)
        cells = [str(setting.processes), str(setting.workers), str(setting.threads), *cells]
        print(f"| {' | '.join(cells)} | {memory[setting]:.0f} | {refused} |")
    print(f"load average {os.getloadavg()[0]:.1f}")
    return 0


@contextmanager
def running(setting: Setting, cores: Sequence[int], model: str | None) -> Iterator[Server]:
    """A server on a free port."""
    command = ["taskset", "-c", ",".join(map(str, cores)), sys.executable, "-m", "fastsam_onnx", "serve", "--port", "0"]
    command += ["--workers", str(setting.workers), "--threads", str(setting.threads)]
    command += ["--model", model] if model else []
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if "listening at" in line:
                break
        found = re.search(r"listening at .*:(\d+)/", "".join(said))
        if not found:
            raise SystemExit(f"the server did not start: {''.join(said)}")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield Server(process, int(found[1]))
    finally:
        process.terminate()
        process.wait(PATIENCE)


def load(servers: Sequence[Server], photos: Sequence[bytes], clients: int, seconds: float) -> Round:
    """Clients that send one photo after the other, each to the servers in turn."""
    seen, lock = Round(), threading.Lock()
    before, began = sum(server.cpu_seconds for server in servers), time.monotonic()

    def client(number: int) -> None:
        ports = cycle([servers[(number + turn) % len(servers)].port for turn in range(len(servers))])
        for turn, port in enumerate(ports):
            started = time.monotonic()
            if started - began > seconds:
                return
            status = send(port, photos[(number + turn) % len(photos)])
            with lock:
                seen.refused += status != 200
                if status == 200:
                    seen.latencies.append(time.monotonic() - started)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.seconds = time.monotonic() - began
    seen.cpu_seconds = sum(server.cpu_seconds for server in servers) - before
    return seen


def send(port: int, photo: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/segment", photo, {"Content-Type": "image/jpeg"})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
