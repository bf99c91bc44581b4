"""Damage to bytes: zeros, noise, one byte, cut off, cut out, twice."""

from __future__ import annotations

import random


def damaged(file: bytes, draw: random.Random, longest: int = 400) -> bytes:
    """The file with one place of it damaged."""
    data = bytearray(file)
    at = draw.randrange(len(data))
    count = draw.randrange(1, max(2, min(longest, len(data) - at)))
    kind = draw.choice(["zeros", "noise", "one byte", "cut off", "cut out", "twice"])
    if kind == "one byte":
        data[at] = draw.randrange(256)
    elif kind == "cut off":
        del data[at:]
    else:
        new = {"zeros": bytes(count), "noise": draw.randbytes(count), "twice": 2 * data[at : at + count]}
        data[at : at + count] = new.get(kind, b"")
    return bytes(data)
