"""Time of a click on the server's page: with the photo, and with the key of one that is remembered, in turns.

    python -m tools.measure_clicks PHOTO [PHOTO ...] [--clicks 15] [--cores 0 1]

A click is a point in the middle of the photo, asked for as the page asks. The upload of a photo is that of this
machine to itself: over a line of 10 Mbit/s a megabyte takes 0.8 s more.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastsam_onnx.images.header import read_header

from .measure_server import PATIENCE, Setting, running

BOUNDARY = "boundary-of-the-clicks"
CONF = "0.02"
"""As the page has it: clicks look at objects below the threshold, too."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", metavar="PHOTO", type=Path, nargs="+")
    parser.add_argument("--clicks", metavar="N", type=int, default=15)
    parser.add_argument("--cores", metavar="N", type=int, nargs="+", default=[0, 1], help="numbers of the cores")
    options = parser.parse_args(arguments)
    print("| photo | MB | with the photo, ms | with its key, ms | ratio |\n| --- | --- | --- | --- | --- |")
    with running(Setting(1, 1, len(options.cores)), options.cores, None) as server:
        for path in options.photos:
            sent, named = clicks(server.port, path.read_bytes(), options.clicks)
            size = path.stat().st_size / 1e6
            print(f"| {path.name} | {size:.1f} | {sent:.0f} | {named:.0f} | {named / sent:.2f} |", flush=True)
    print(f"load average {os.getloadavg()[0]:.1f}")
    return 0


def clicks(port: int, photo: bytes, count: int) -> tuple[float, float]:
    """Median milliseconds of a click with a photo, and with its key."""
    header = read_header(photo)
    points = [[header.width // 2, header.height // 2]]
    asked = {"conf": CONF, "prompts": json.dumps({"points": points, "labels": [1], "pick": "alternatives"})}
    key = post(port, {"photo": photo, "remember": "true", "conf": CONF})
    ways: dict[str, dict[str, str | bytes]] = {"photo": {"photo": photo, **asked}, "key": {"photo_key": key, **asked}}
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(count):
        for way, fields in ways.items():
            began = time.perf_counter()
            post(port, fields)
            taken[way].append(time.perf_counter() - began)
    return 1000 * statistics.median(taken["photo"]), 1000 * statistics.median(taken["key"])


def post(port: int, fields: Mapping[str, str | bytes]) -> str:
    """The key of the photo that the answer of /segment to a form tells; empty without one."""
    body = b""
    for name, value in fields.items():
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        body += head + (value.encode() if isinstance(value, str) else value) + b"\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", "/segment", body + f"--{BOUNDARY}--\r\n".encode(), kind)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"the server answered {response.status}: {answer.decode(errors='replace')}")
        return response.getheader("Photo-Key", "")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
