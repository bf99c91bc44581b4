"""Photos that a client asked to be remembered, so that it need not send them again with every click.

They are in memory alone, under a key that nobody can guess, for a while.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from starlette.exceptions import HTTPException

from fastsam_onnx.arrays import ByteArray
from fastsam_onnx.results.segmentation import Segmentation

MOST_SECRET = hashlib.blake2b.MAX_KEY_SIZE
MOST_RESULTS = 2
"""Of one photo, by what the model was asked: a page asks for more objects for clicks than for texts."""


@dataclass(frozen=True)
class Seen:
    """A photo that was sent.

    Attributes:
        photo: Bytes of a picture file.
        source: File name of the photo, if it came with one.
        results: What was found in it, with the options of each call, that of the last one first; one at least.
        used: Time of the last use, of `time.monotonic`.
    """

    photo: bytes
    source: str | None
    results: tuple[tuple[Mapping[str, Any], Segmentation], ...]
    used: float = 0.0

    def found(self, options: Mapping[str, Any], *, is_seen: bool) -> Segmentation | None:
        """What a call with these options finds, if it was made.

        Args:
            options: Of the call.
            is_seen: False if nobody sees the objects, so that it does not matter whether they are redrawn.
        """
        left_out = () if is_seen else ("redraw",)
        wanted = _without(options, left_out)
        return next((found for given, found in self.results if _without(given, left_out) == wanted), None)

    @property
    def image(self) -> ByteArray | None:
        """(H, W, 3) uint8 RGB, as the last answer had it."""
        return self.results[0][1].image

    @property
    def pixels(self) -> int:
        """Of all decoded photos that it holds."""
        return sum(found.image_size[0] * found.image_size[1] for _, found in self.results)


class Memory:
    """The last few photos; used from several threads."""

    def __init__(self, photos: int, pixels: int, seconds: float, secret: bytes) -> None:
        """Begin with none.

        Args:
            photos: Maximum number of photos.
            pixels: Maximum of their pixels together; one photo is remembered whatever it has.
            seconds: Time for which a photo that nobody uses is remembered.
            secret: At most 64 bytes; without them nobody can say the key of a photo.
        """
        self._photos, self._pixels, self._seconds = photos, pixels, seconds
        self._seen: OrderedDict[str, Seen] = OrderedDict()
        self._lock = threading.Lock()
        self._secret = secret

    def keep(self, seen: Seen) -> str | None:
        """Remember a photo, or what another call found in one that is remembered.

        Returns:
            Its key, the same for the same file; None if nothing is remembered here.
        """
        if not self._photos:
            return None
        named = repr(seen.source).encode() + b"\0"
        key = hashlib.blake2b(named + seen.photo, key=self._secret, digest_size=16).hexdigest()
        with self._lock:
            before = self._seen[key].results if key in self._seen else ()
            others = [(options, found) for options, found in before if options != seen.results[0][0]]
            results = (*seen.results, *others)[:MOST_RESULTS]
            self._seen[key] = replace(seen, results=results, used=time.monotonic())
            self._seen.move_to_end(key)
            while len(self._seen) > self._photos or (len(self._seen) > 1 and self._held() > self._pixels):
                self._seen.popitem(last=False)
        return key

    def recall(self, key: str, options: Mapping[str, Any] | None = None, *, is_seen: bool = True) -> Seen:
        """What was remembered.

        Args:
            key: Of the photo.
            options: Of a call that is made now; as in `Seen.found`.
            is_seen: As in `Seen.found`.

        Raises:
            HTTPException: 410, if there is nothing, or no longer.
        """
        self.forget()
        with self._lock:
            seen = self._seen.get(key)
            if seen is None:
                raise HTTPException(410, "this photo is not remembered, or no longer; send it again")
            known = None if options is None else seen.found(options, is_seen=is_seen)
            results = tuple(sorted(seen.results, key=lambda result: result[1] is not known))
            self._seen[key] = seen = replace(seen, results=results, used=time.monotonic())
            self._seen.move_to_end(key)
        return seen

    def forget(self) -> None:
        """Forget what was not used for too long."""
        latest = time.monotonic() - self._seconds
        with self._lock:
            while self._seen and next(iter(self._seen.values())).used < latest:
                self._seen.popitem(last=False)

    def _held(self) -> int:
        return sum(seen.pixels for seen in self._seen.values())


def _without(options: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in names}
