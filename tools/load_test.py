"""Loads `fastsam-onnx serve` with good photos and with all that can go wrong, and checks every answer.

    python -m tools.load_test --hostile ../shared/data/hostile_images --photos examples --seconds 60 --clients 4 16 64

Starts a server as a process of its own on a free port of localhost, and plays so many clients at once against it for
so many seconds each. A client takes turns at random between: photos, clicks on a photo that is remembered, and results
to convert, whose answers must be the Python API's, to the byte; hostile files; requests that are too large; senders
that are slow or never end; connections that are cut; requests that make no sense. Ends with 1 if an answer was
wrong, a refusal was unclear, or the server crashed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastsam_onnx import FastSAM, Prompts, Segmentation
from fastsam_onnx.formats import encode

BODY_SECONDS = 10
PATIENCE = 60.0
TOO_LARGE = 40_000_000
FORMS = ("json", "json", "json", "coco", "labels", "overlay")
CONVERTED = ("coco", "labels", "svg")


@dataclass(frozen=True)
class Photo:
    content: bytes
    answers: dict[str, bytes]  # by format
    converted: dict[str, bytes]  # its JSON in other formats
    clicks: dict[str, bytes]  # by the JSON of a prompt


@dataclass(frozen=True)
class Hostile:
    name: str
    content: bytes
    expected: str  # "decodes", "error", or anything else: either


@dataclass
class Tally:
    outcomes: Counter[tuple[str, Any]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)  # of the photos that were answered
    wrong: list[str] = field(default_factory=list)

    def note(self, kind: str, status: int, body: bytes, allowed: Sequence[int]) -> None:
        self.outcomes[kind, status] += 1
        if status not in allowed:
            self.wrong.append(f"{kind}: status {status}, {body[:200]!r}")
        elif status >= 400 and not _reason(body) and kind != "junk":  # what is no HTTP is refused by uvicorn
            self.wrong.append(f"{kind}: status {status} without a reason, {body[:200]!r}")


class Clients:
    """Plays clients against one server."""

    def __init__(self, port: int, photos: Sequence[Photo], hostile: Sequence[Hostile]) -> None:
        self._port, self._photos, self._hostile = port, photos, hostile
        self.tally = Tally()

    async def play(self, count: int, seconds: float) -> None:
        self.tally = Tally()
        end = time.monotonic() + seconds
        await asyncio.gather(*(self._client(random.Random(number), end) for number in range(count)))

    async def _client(self, rng: random.Random, end: float) -> None:
        kinds: dict[Callable[[random.Random], Awaitable[None]], int] = {
            self._photo: 60,
            self._clicks: 15,
            self._result: 15,
            self._hostile_file: 15,
            self._nonsense: 6,
            self._cut: 8,
            self._trickle: 4,
            self._never_ends: 2,
            self._too_large: 3,
            self._junk: 2,
            self._silent: 1,
        }
        while time.monotonic() < end:
            [kind] = rng.choices(list(kinds), list(kinds.values()))
            try:
                async with asyncio.timeout(PATIENCE):
                    await kind(rng)
            except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
                self.tally.wrong.append(f"{kind.__name__}: no clear answer, {type(error).__name__} {error}")

    async def _photo(self, rng: random.Random) -> None:
        photo, form = rng.choice(self._photos), rng.choice(FORMS)
        began = time.perf_counter()
        status, body = await self._ask(head(f"/segment?format={form}", len(photo.content)), photo.content)
        self._judge("photo", status, body, photo.answers[form])
        if status == 200:
            self.tally.seconds.append(time.perf_counter() - began)
        elif status == 503:
            await asyncio.sleep(rng.uniform(0.5, 1.5))  # as Retry-After asks

    async def _clicks(self, rng: random.Random) -> None:
        """A photo with remember=true, and clicks by its key; the server may have forgotten it by then."""
        photo = rng.choice(self._photos)
        lines, body = await self._exchange(head("/segment?remember=true", len(photo.content)), photo.content)
        self._judge("remembered", _status(lines), body, photo.answers["json"])
        if key := re.search(rb"photo-key: (\w+)", lines):
            for prompts, expected in photo.clicks.items():
                status, body = await self._ask(head(f"/segment?photo_key={key[1].decode()}&prompts={prompts}", 0))
                self._judge("click", status, body, expected, (200, 410, 503))

    async def _result(self, rng: random.Random) -> None:
        photo, form = rng.choice(self._photos), rng.choice(CONVERTED)
        result = photo.answers["json"]
        status, body = await self._ask(head(f"/convert?format={form}", len(result)), result)
        self._judge("convert", status, body, photo.converted[form])

    async def _trickle(self, rng: random.Random) -> None:
        photo = rng.choice(self._photos)
        size = len(photo.content) // 10 + 1
        pieces = [photo.content[at : at + size] for at in range(0, len(photo.content), size)]
        status, body = await self._ask(head("/segment", len(photo.content)), *pieces, pause=0.2)
        self._judge("trickle", status, body, photo.answers["json"])

    async def _hostile_file(self, rng: random.Random) -> None:
        file = rng.choice(self._hostile)
        allowed = {"decodes": (200, 503), "error": (413, 422, 503)}.get(file.expected, (200, 413, 422, 503))
        status, body = await self._ask(head("/segment", len(file.content)), file.content)
        self.tally.note(f"hostile, expected {file.expected}", status, body, allowed)

    async def _too_large(self, rng: random.Random) -> None:
        if rng.random() < 0.5:
            status, body = await self._ask(head("/segment", TOO_LARGE), bytes(TOO_LARGE))
        else:
            piece = b"100000\r\n" + bytes(1 << 20) + b"\r\n"
            status, body = await self._ask(head("/segment", None), *[piece] * (TOO_LARGE >> 20), b"0\r\n\r\n")
        self.tally.note("too large", status, body, (413, 503))

    async def _never_ends(self, _rng: random.Random) -> None:
        status, body = await self._ask(head("/segment", 1000), b"abc")
        self.tally.note("never ends", status, body, (408, 503))

    async def _cut(self, rng: random.Random) -> None:
        photo = rng.choice(self._photos)
        whole = head("/segment", len(photo.content)) + photo.content
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(whole[: rng.choice((0, 30, len(whole) // 2, len(whole)))])
        await writer.drain()
        await asyncio.sleep(rng.uniform(0, 0.2))
        writer.transport.abort()
        self.tally.outcomes["cut", "-"] += 1

    async def _nonsense(self, rng: random.Random) -> None:
        content = rng.choice(self._photos).content
        path, status_wanted = rng.choice(
            (
                ("/segment?prompts={", 422),
                ("/segment?prompts=7", 422),
                ('/segment?prompts={"points":[[1]]}', 422),
                ("/segment?imgsz=99999", 422),
                ("/segment?format=exe", 422),
                ("/nothing", 404),
                ("/healthz", 405),
            )
        )
        status, body = await self._ask(head(path, len(content)), content)
        self.tally.note(f"nonsense, expected {status_wanted}", status, body, (status_wanted, 503))

    async def _junk(self, rng: random.Random) -> None:
        status, body = await self._ask(rng.randbytes(200) + b"\r\n\r\n")
        self.tally.note("junk", status, body, (400,))

    async def _silent(self, _rng: random.Random) -> None:
        answer = await self._ask(head("/segment", 1000)[:40])
        self.tally.outcomes["head never ends", "closed" if answer == (0, b"") else answer[0]] += 1

    def _judge(self, kind: str, status: int, body: bytes, expected: bytes, allowed: Sequence[int] = (200, 503)) -> None:
        self.tally.note(kind, status, body, allowed)
        if status == 200 and body != expected:
            self.tally.wrong.append(f"{kind}: the answer is not the Python API's, {body[:80]!r}")

    async def _ask(self, *pieces: bytes, pause: float = 0) -> tuple[int, bytes]:
        """Status and body."""
        lines, body = await self._exchange(*pieces, pause=pause)
        return _status(lines), body

    async def _exchange(self, *pieces: bytes, pause: float = 0) -> tuple[bytes, bytes]:
        """Status line and headers, and body; the connection is this request's alone."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if pause:
                    await asyncio.sleep(pause)
            answer = await reader.read()
        finally:
            writer.transport.abort()
        lines, _, body = answer.partition(b"\r\n\r\n")
        return lines, body


def _status(lines: bytes) -> int:
    return int(lines.split(b" ", 2)[1]) if lines else 0


def head(path: str, length: int | None) -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    quoted = path.replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
    return f"POST {quoted} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{size}\r\n\r\n".encode()


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""


def prepare(folder: Path, model: FastSAM) -> list[Photo]:
    photos = []
    for path in sorted(folder.glob("*.jpg")):
        found = model(path.read_bytes())
        answers = {form: encode(found, form) for form in set(FORMS)}
        again = Segmentation.from_json(answers["json"])
        converted = {form: encode(again, form) for form in CONVERTED}
        photos.append(Photo(path.read_bytes(), answers, converted, clicks_on(found)))
    return photos


def clicks_on(found: Segmentation) -> dict[str, bytes]:
    """A click into the middle and one that corrects it, as JSON of prompts, and their answers."""
    width, height = found.image_size
    middle, corner = f"[{width // 2},{height // 2}]", f"[{width // 8},{height // 8}]"
    texts = f'{{"points":[{middle}]}}', f'{{"points":[{middle},{corner}],"labels":[1,0]}}'
    return {text: encode(found.prompt(Prompts.from_json(text)), "json") for text in texts}


def read_hostile(folder: Path) -> list[Hostile]:
    listed = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["files"]
    present = [entry for entry in listed if (folder / entry["file"]).is_file()]
    return [Hostile(entry["file"], (folder / entry["file"]).read_bytes(), entry["expected"]) for entry in present]


def resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


def report(count: int, seconds: float, tally: Tally, before: float, after: float) -> None:
    times = sorted(tally.seconds)
    cuts = statistics.quantiles(times, n=100) if len(times) > 1 else [float("nan")] * 99
    print(
        f"{count} clients, {seconds:g} s: {sum(tally.outcomes.values())} requests, {len(times)} photos answered "
        f"({len(times) / seconds:.1f}/s), p50 {1000 * cuts[49]:.0f} ms, p95 {1000 * cuts[94]:.0f} ms, "
        f"RSS {before:.0f} -> {after:.0f} MB, {len(tally.wrong)} wrong"
    )
    for (kind, status), number in sorted(tally.outcomes.items(), key=str):
        print(f"    {kind:28} {status}  {number}")
    for line in tally.wrong[:20]:
        print(f"    WRONG {line}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("examples"), help="folder of sound .jpg files")
    parser.add_argument("--hostile", type=Path, required=True, help="folder of hostile files with a manifest.json")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, nargs="+", default=[4, 16, 64])
    parser.add_argument("server", nargs="*", help="more arguments for the server, after --")
    arguments = parser.parse_args()
    with FastSAM(threads=1) as model:
        photos = prepare(arguments.photos, model)
    if not photos:
        parser.error(f"no *.jpg in {arguments.photos}")
    if not (arguments.hostile / "manifest.json").is_file():
        parser.error(f"no manifest.json in {arguments.hostile}")
    hostile = read_hostile(arguments.hostile)
    print(f"{len(photos)} photos, {len(hostile)} hostile files")
    command = [sys.executable, "-m", "fastsam_onnx", "serve", "--port", "0", "--timeout", str(BODY_SECONDS)]
    with (
        subprocess.Popen([*command, *arguments.server], stderr=subprocess.PIPE, text=True) as server,
        ExitStack() as end,
    ):
        end.callback(server.kill)  # whatever happens here
        assert server.stderr is not None
        line = server.stderr.readline()
        match = re.search(r":(\d+)/", line)
        if match is None:
            print(line, server.stderr.read())
            return 1
        clients = Clients(int(match[1]), photos, hostile)
        asyncio.run(clients.play(2, 5))  # warm
        failures = len(clients.tally.wrong)
        for count in arguments.clients:
            before = resident_megabytes(server.pid)
            asyncio.run(clients.play(count, arguments.seconds))
            time.sleep(2)
            report(count, arguments.seconds, clients.tally, before, resident_megabytes(server.pid))
            failures += len(clients.tally.wrong)
        alive = server.poll() is None
        server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=60)[1]
    print(f"server: alive to the end {alive}, exit code {server.returncode}, said: {said.strip()!r}")
    return 1 if failures or not alive or server.returncode or "unexpected" in said else 0


if __name__ == "__main__":
    sys.exit(main())
