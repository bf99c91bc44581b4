"""Masks while you click in Label Studio: an ML backend whose model needs no GPU.

    pip install "fastsam-onnx[serve]"
    LABEL_STUDIO_API_KEY=... python examples/label_studio.py http://localhost:8080

docs/annotation.md says what to set in Label Studio. Photos are fetched from that address alone, and the key
is sent to no other.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http.client import HTTPException
from itertools import compress, pairwise
from typing import Any
from urllib.parse import quote, urljoin, urlsplit
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fastsam_onnx import FastSAM, FastSAMError, Instance, Segmentation

Json = dict[str, Any]

PHOTOS = 8
"""Photos of which everything is kept that further clicks ask for."""
PHOTO_BYTES = 200_000_000
SECONDS = 30.0
"""Time in which Label Studio must send a part of a photo."""

URL_MARKS = "%/:?#[]@!$&'()*+,;=~"
"""What stays as it is in an address; Label Studio names local files as they are called, with spaces."""

logger = logging.getLogger("fastsam_onnx.label_studio")


class TaskError(Exception):
    """A task that cannot be answered; the message says why."""


@dataclass(frozen=True)
class Setup:
    """What a project's labelling setup says of its brush.

    Attributes:
        brush: Name of the tag with the brush's labels.
        labels: These labels.
        image: Name of the image that is painted on.
        field: Field of a task's data with the photo's place.
    """

    brush: str
    labels: tuple[str, ...]
    image: str
    field: str

    @classmethod
    def of(cls, xml: str) -> Setup:
        """Of the first BrushLabels."""
        try:
            tags = list(ElementTree.fromstring(xml).iter())
        except ElementTree.ParseError as error:
            raise TaskError(f"the labelling setup must be XML: {error}") from error
        fields = {tag.get("name"): tag.get("value", "").removeprefix("$") for tag in tags if tag.tag == "Image"}
        for tag in tags:
            image = tag.get("toName", "")
            if tag.tag == "BrushLabels" and image in fields:
                labels = tuple(label.get("value", "") for label in tag.iter("Label"))
                return cls(tag.get("name", ""), labels, image, fields[image])
        raise TaskError("the labelling setup must have BrushLabels for an Image")

    def region(self, thing: Instance, label: str, score: float) -> Json:
        """An object as Label Studio's brush has it."""
        width, height = thing.mask.image_size
        return {
            "id": uuid.uuid4().hex[:10],
            "from_name": self.brush,
            "to_name": self.image,
            "type": "brushlabels",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "score": score,
            "value": {"format": "rle", "rle": brush_rle(thing.mask.dense()), "brushlabels": [label]},
        }


def brush_rle(mask: npt.NDArray[np.bool_]) -> list[int]:
    """A (H, W) mask as the bytes of an RGBA picture, all 255 or all 0, in runs: thi.ng's rle-pack.

    Bits: 32 for the number of bytes, 5 for the bits of one less 1, four times 4 for the bits of lengths less 1; then
    for each run a 1, two that say which of the four its length has, its length less 1, and the byte.
    """
    flat = mask.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=~flat[:1], append=~flat[-1:])).tolist()
    longest = 1 << 14  # pixels; their bytes are counted in 16 bits
    runs = [
        (0b111 << 24) + (4 * min(longest, end - at) - 1 << 8) + 255 * int(flat[start])
        for start, end in pairwise(edges)
        for at in range(start, end, longest)
    ]
    head = f"{4 * flat.size:032b}{8 - 1:05b}" + f"{16 - 1:04b}" * 4
    body = np.array(runs)[:, np.newaxis] >> np.arange(26, -1, -1) & 1
    packed: list[int] = np.packbits([*map(int, head), *body.ravel()]).tolist()
    return packed


def answer(found: Segmentation, drawn: Sequence[Mapping[str, Any]]) -> Segmentation:
    """The object that points mean, or a box, or a box and points in it."""
    width, height = found.image_size
    points, signs, boxes = [], [], []
    for each in drawn:
        value = each["value"]
        if each.get("image_rotation") or value.get("rotation"):
            raise TaskError("a photo or a box that is rotated cannot be answered")
        if each["type"] not in ("keypointlabels", "rectanglelabels"):
            raise TaskError(f"smart tools must be points or boxes, got {each['type']}")
        x, y = value["x"] * width / 100, value["y"] * height / 100
        if each["type"] == "keypointlabels":
            points.append((x, y))
            signs.append(int(each.get("is_positive", True)))
        else:
            boxes.append((x, y, x + value["width"] * width / 100, y + value["height"] * height / 100))
    if len(boxes) > 1:
        raise TaskError(f"one box at a time can be answered, got {len(boxes)}: accept an answer before the next box")
    if boxes:
        inside = np.array([boxes[0][:2], boxes[0][2:], *compress(points, signs)])
        wide = [*inside.min(axis=0), *inside.max(axis=0)]  # who clicks beyond it means more
        return found.box_prompt(wide, points or None, signs or None)
    return found.point_prompt(points, signs)


@dataclass(frozen=True)
class Server:
    """A Label Studio server, from which photos are read.

    Attributes:
        address: Its address.
        key: A user's access token; None if photos can be read without.
    """

    address: str
    key: str | None = None

    def photo(self, place: str) -> bytes:
        """The photo that a task names."""
        address = quote(urljoin(self.address, place), safe=URL_MARKS)
        if urlsplit(address)[:2] != urlsplit(self.address)[:2]:
            raise TaskError(f"photos must lie at {self.address}, got {place}")
        return self._read(urllib.request.Request(address), self._authorization())

    def _authorization(self) -> str | None:
        """A legacy token says itself who asks, a personal one what it is exchanged for, which is good for minutes."""
        if self.key is None or self.key.count(".") != 2:
            return self.key and f"Token {self.key}"
        body = json.dumps({"refresh": self.key}).encode()
        address = f"{self.address.rstrip('/')}/api/token/refresh"
        reply = self._read(urllib.request.Request(address, body, {"Content-Type": "application/json"}))
        try:
            return f"Bearer {json.loads(reply)['access']}"
        except (ValueError, LookupError, TypeError) as error:
            raise TaskError(f"{address} must answer with an access token, got {reply[:80]!r}") from error

    def _read(self, request: urllib.request.Request, authorization: str | None = None) -> bytes:
        if authorization:
            request.add_unredirected_header("Authorization", authorization)  # a bucket's address is no place for it
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:
                data: bytes = response.read(PHOTO_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()
            hint = "; LABEL_STUDIO_API_KEY must be a token of a user who may see it" if error.code in (401, 403) else ""
            raise TaskError(f"Label Studio answers {error.code} for {request.full_url}{hint}") from error
        except (OSError, HTTPException) as error:
            raise TaskError(f"cannot read {request.full_url}: {error}") from error
        if len(data) > PHOTO_BYTES:
            raise TaskError(f"{request.full_url} must have at most {PHOTO_BYTES} bytes")
        return data


class Backend:
    """Answers Label Studio's requests."""

    def __init__(self, model: FastSAM, version: str, server: Server) -> None:
        """`version` is what Label Studio calls the model."""
        self._model, self._version, self._server = model, version, server
        self._found = lru_cache(maxsize=PHOTOS)(lambda place: self._model(self._server.photo(place)))

    @property
    def app(self) -> Starlette:
        """The routes that Label Studio asks."""
        routes = [Route("/predict", self._predict, methods=["POST"])]
        for path, method, fact in (
            ("/health", "GET", {"status": "UP", "model_class": self._version}),
            ("/setup", "POST", {"model_version": self._version}),
            ("/versions", "GET", {"versions": [self._version]}),
            ("/webhook", "POST", {}),  # tells of annotations; nothing is learned from them
        ):
            routes.append(Route(path, lambda _, fact=fact: JSONResponse(fact), methods=[method]))
        return Starlette(routes=routes)

    async def _predict(self, request: Request) -> JSONResponse:
        try:
            return JSONResponse({"results": await run_in_threadpool(self._results, await request.json())})
        except (TaskError, FastSAMError) as error:
            status, reason = 422, str(error)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            status, reason = 400, f"not a request of Label Studio: {error!r}"
        logger.warning("%s", reason)
        return JSONResponse({"error": reason}, status)

    def _results(self, request: Json) -> list[Json]:
        setup = Setup.of(request["label_config"])
        context = request["params"].get("context") or {}
        return [self._result(setup, task["data"][setup.field], context.get("result")) for task in request["tasks"]]

    def _result(self, setup: Setup, place: str, drawn: Sequence[Json] | None) -> Json:
        """What is drawn means; before anything is, the objects that are called like a label of the brush.

        The score of what is drawn means is the IoU that the model expects of it, if it has a decoder.
        """
        found = self._found(place)
        if drawn:
            label = drawn[-1]["value"][drawn[-1]["type"]][0]
            if label not in setup.labels:
                raise TaskError(f"BrushLabels must have the label {label!r}, too, got {', '.join(setup.labels)}")
            labelled = [(each, label, each.predicted_iou or each.score) for each in answer(found, drawn)]
        else:
            named = [(each, each.name or "object") for each in found]
            labelled = [(each, name, each.score) for each, name in named if name in setup.labels]
        return {
            "result": [setup.region(*each) for each in labelled],
            "score": max((score for *_, score in labelled), default=0.0),
            "model_version": self._version,
        }


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="Label Studio's, such as http://localhost:8080")
    parser.add_argument("--model", default="fastsam-nano", help="a path or name, by default %(default)s")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen, by default for this machine alone")
    parser.add_argument("--port", type=int, default=9090, help="by default %(default)s")
    options = parser.parse_args(arguments)
    if not options.address.startswith(("http://", "https://")):
        parser.error(f"the address must start with http:// or https://, got {options.address}")
    server = Server(options.address, os.environ.get("LABEL_STUDIO_API_KEY", "").strip() or None)
    try:
        model = FastSAM(options.model)
    except FastSAMError as error:
        parser.error(str(error))
    app = Backend(model, options.model, server).app
    print(f"for Label Studio: http://{options.host}:{options.port}", file=sys.stderr)
    uvicorn.run(app, host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
