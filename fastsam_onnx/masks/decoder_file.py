"""The decoder and the corrector as they stand in the metadata of their network's file: as text.

A file stays one file. Most weights of the corrector are the decoder's, so it stands there as what it differs in.
"""

from __future__ import annotations

import base64
import zlib

import numpy as np

KEY = "decoder"
"""Key of the metadata under which the decoder stands."""
CORRECTOR_KEY = "corrector"
"""The same of the corrector."""
ZLIB = b"\x78"
"""First byte of what is compressed; an ONNX file begins with another."""
CRC_BYTES = 4
MOST_BYTES = 2**26
"""Of what is decompressed: a decoder has a million."""


def file_of(text: str) -> bytes:
    """The ONNX file of a decoder from Base64, where it may be compressed by zlib.

    Raises:
        ValueError: If it is not Base64, cut off or too large.
        zlib.error: If it is damaged.
    """
    data = base64.b64decode(text, validate=True)
    if not data.startswith(ZLIB):
        return data
    reader = zlib.decompressobj()
    file = reader.decompress(data, MOST_BYTES)
    if not reader.eof:
        raise ValueError(f"it is cut off, or larger than {MOST_BYTES:,} bytes")
    return file


def text_of(file: bytes) -> str:
    """What `file_of` reads, compressed."""
    return base64.b64encode(zlib.compress(file, 9)).decode()


def changed(file: bytes, change: str) -> bytes:
    """The corrector's ONNX file from the decoder's, both of the same length, and what is added to its bytes modulo 256.

    Most weights are the same in both, so that the change is small when it is compressed. Its last four bytes are the
    CRC-32 of the corrector.

    Raises:
        ValueError: If it is not Base64, or was made for another decoder.
        zlib.error: If it is damaged.
    """
    change_bytes = file_of(change)
    added, check = np.frombuffer(change_bytes[:-CRC_BYTES], np.uint8), change_bytes[-CRC_BYTES:]
    if added.size == len(file):
        made = (np.frombuffer(file, np.uint8) + added).tobytes()
        if zlib.crc32(made).to_bytes(CRC_BYTES, "little") == check:
            return made
    raise ValueError("it was made for another decoder")


def change_of(file: bytes, corrector: bytes) -> str:
    """What `changed` reads. Both files must have the same length, as those of one network's weights do."""
    added = np.frombuffer(corrector, np.uint8) - np.frombuffer(file, np.uint8)
    return text_of(added.tobytes() + zlib.crc32(corrector).to_bytes(CRC_BYTES, "little"))
