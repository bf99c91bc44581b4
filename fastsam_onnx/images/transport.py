"""The packets of an MPEG transport stream: whether some are damaged or missing."""

from __future__ import annotations

import numpy as np

PACKET = 188
SYNC = 0x47
AT_ONCE = 1 << 20
"""Packets looked at together."""


def is_whole(data: memoryview) -> bool:
    """True if every packet begins as it should, the last one is complete, and none is missing between two of a stream.

    Packets are numbered modulo 16 within their stream; one may come twice, and a number may be announced to jump.

    Args:
        data: The whole file.
    """
    if len(data) % PACKET:
        return False
    packets = np.frombuffer(data, np.uint8).reshape(-1, PACKET)
    last: dict[int, int] = {}
    for first in range(0, len(packets), AT_ONCE):
        heads = packets[first : first + AT_ONCE, :6].astype(np.int64)
        if (heads[:, 0] != SYNC).any() or (heads[:, 1] & 0x80).any():
            return False
        streams = (heads[:, 1] & 0x1F) << 8 | heads[:, 2]
        numbers, carries = heads[:, 3] & 15, (heads[:, 3] & 0x10) > 0
        announced = ((heads[:, 3] & 0x20) > 0) & (heads[:, 4] > 0) & ((heads[:, 5] & 0x80) > 0)
        for stream in np.unique(streams[carries]).tolist():
            mine = np.flatnonzero((streams == stream) & carries)
            own = numbers[mine]
            before = np.concatenate([[last.get(stream, (own[0] - 1) % 16)], own[:-1]])
            follows = ((own - before) % 16 <= 1) | announced[mine]
            if stream != 0x1FFF and not follows.all():
                return False
            last[stream] = int(own[-1])
    return True
