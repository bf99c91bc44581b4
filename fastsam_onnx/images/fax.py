"""Fax codes of one bit a pixel (ITU-T T.4 and T.6, TIFF 6.0 sections 10 and 11): whether the rows of a strip are whole.

libtiff goes on over a code that it does not know, with white or black to the end of the row. Here a row is right if its
runs fill it exactly.
"""

from __future__ import annotations

from bisect import bisect_right

from fastsam_onnx.errors import ImageError

_WHITE = """
00110101 000111 0111 1000 1011 1100 1110 1111 10011 10100 00111 01000 001000 000011 110100 110101 101010 101011
0100111 0001100 0001000 0010111 0000011 0000100 0101000 0101011 0010011 0100100 0011000 00000010 00000011
00011010 00011011 00010010 00010011 00010100 00010101 00010110 00010111 00101000 00101001 00101010 00101011
00101100 00101101 00000100 00000101 00001010 00001011 01010010 01010011 01010100 01010101 00100100 00100101
01011000 01011001 01011010 01011011 01001010 01001011 00110010 00110011 00110100
"""
_BLACK = """
0000110111 010 11 10 011 0011 0010 00011 000101 000100 0000100 0000101 0000111 00000100 00000111 000011000
0000010111 0000011000 0000001000 00001100111 00001101000 00001101100 00000110111 00000101000 00000010111
00000011000 000011001010 000011001011 000011001100 000011001101 000001101000 000001101001 000001101010
000001101011 000011010010 000011010011 000011010100 000011010101 000011010110 000011010111 000001101100
000001101101 000011011010 000011011011 000001010100 000001010101 000001010110 000001010111 000001100100
000001100101 000001010010 000001010011 000000100100 000000110111 000000111000 000000100111 000000101000
000001011000 000001011001 000000101011 000000101100 000001011010 000001100110 000001100111
"""
_MANY_WHITE = """
11011 10010 010111 0110111 00110110 00110111 01100100 01100101 01101000 01100111 011001100 011001101 011010010
011010011 011010100 011010101 011010110 011010111 011011000 011011001 011011010 011011011 010011000 010011001
010011010 011000 010011011
"""
_MANY_BLACK = """
0000001111 000011001000 000011001001 000001011011 000000110011 000000110100 000000110101 0000001101100
0000001101101 0000001001010 0000001001011 0000001001100 0000001001101 0000001110010 0000001110011 0000001110100
0000001110101 0000001110110 0000001110111 0000001010010 0000001010011 0000001010100 0000001010101 0000001011010
0000001011011 0000001100100 0000001100101
"""
_MANY_MORE = """
00000001000 00000001100 00000001101 000000010010 000000010011 000000010100 000000010101 000000010110
000000010111 000000011100 000000011101 000000011110 000000011111
"""
"""Codes of runs in order of length (T.4, tables 2 and 3): 0 to 63, then multiples of 64, up to 1728 by colour."""


def _table(ending: str, many: str) -> dict[str, int]:
    """Lengths of runs by code: 0 to 63 end a run, multiples of 64 go on."""
    lengths = {code: length for length, code in enumerate(ending.split())}
    return lengths | {code: 64 * (index + 1) for index, code in enumerate(f"{many} {_MANY_MORE}".split())}


_RUNS = (_table(_WHITE, _MANY_WHITE), _table(_BLACK, _MANY_BLACK))
_SHORTEST, _LONGEST = 2, 13
_PASS, _HORIZONTAL = "pass", "horizontal"
_MODES: dict[str, str | int] = {
    "1": 0,
    "011": 1,
    "010": -1,
    "001": _HORIZONTAL,
    "0001": _PASS,
    "000011": 2,
    "000010": -2,
    "0000011": 3,
    "0000010": -3,
}
"""By code: how far a change lies from the one above it, or another way to go on (T.4, table 4)."""
_END_OF_LINE = "0" * 11


def check_rows_alone(packed: bytes, width: int, height: int) -> None:
    """Check rows that begin with a byte each (compression 2).

    Raises:
        ImageError: If the runs of a row do not fill it.
    """
    bits, at = _bits(packed), 0
    for _ in range(height):
        _, at = _row_alone(bits, at, width)
        at += -at % 8


def check_group_3(packed: bytes, width: int, height: int, *, two_dimensional: bool) -> None:
    """Check rows that begin with an end of line, which tells in the second case how each is coded (compression 3).

    Raises:
        ImageError: If the runs of a row do not fill it.
    """
    bits, at, above = _bits(packed), 0, list[int]()
    for _ in range(height):
        begins = bits.startswith(_END_OF_LINE, at)
        if begins:
            at = bits.find("1", at) + 1 or len(bits)
        alone = True
        if begins and two_dimensional:
            alone, at = bits[at : at + 1] == "1", at + 1
        above, at = _row_alone(bits, at, width) if alone else _row_below(bits, at, width, above)


def check_group_4(packed: bytes, width: int, height: int) -> None:
    """Check rows that are told by what is above them (compression 4).

    Raises:
        ImageError: If the runs of a row do not fill it.
    """
    bits, at, above = _bits(packed), 0, list[int]()
    for _ in range(height):
        above, at = _row_below(bits, at, width, above)


def _bits(packed: bytes) -> str:
    return f"{int.from_bytes(packed):0{8 * len(packed)}b}" if packed else ""


def _row_alone(bits: str, at: int, width: int) -> tuple[list[int], int]:
    """The columns where the colour changes, and where the row ends."""
    changes: list[int] = []
    column, colour = 0, 0
    while column < width:
        length, at = _run(bits, at, colour)
        column, colour = column + length, 1 - colour
        changes.append(column)
    if column > width:
        raise ImageError("a row of fax codes is too long")
    return _without_empty(changes), at


def _row_below(bits: str, at: int, width: int, above: list[int]) -> tuple[list[int], int]:
    """The same of a row that is told by the changes of the one above."""
    changes: list[int] = []
    column, colour = -1, 0
    while column < width:
        mode, at = _mode(bits, at)
        index = bisect_right(above, column)
        index += index % 2 != colour
        upper, next_upper = (above[each] if each < len(above) else width for each in (index, index + 1))
        if mode == _PASS:
            column = next_upper
        elif mode == _HORIZONTAL:
            first, at = _run(bits, at, colour)
            second, at = _run(bits, at, 1 - colour)
            changes += [max(column, 0) + first, max(column, 0) + first + second]
            column = changes[-1]
        else:
            change = upper + int(mode)
            if change < max(column, 0):
                raise ImageError("a row of fax codes runs backwards")
            changes.append(change)
            column, colour = change, 1 - colour
    if column > width:
        raise ImageError("a row of fax codes is too long")
    return _without_empty(changes), at


def _without_empty(changes: list[int]) -> list[int]:
    """Without runs of no pixels, whose two changes are none."""
    kept: list[int] = []
    for change in changes:
        if kept and kept[-1] == change:
            kept.pop()
        else:
            kept.append(change)
    return kept


def _run(bits: str, at: int, colour: int) -> tuple[int, int]:
    """The length of a run, and where its codes end."""
    total, table = 0, _RUNS[colour]
    while True:
        for end in range(at + _SHORTEST, at + _LONGEST + 1):
            length = table.get(bits[at:end])
            if length is not None:
                break
        else:
            raise ImageError("a fax code is unknown")
        total, at = total + length, end
        if length < 64:
            return total, at


def _mode(bits: str, at: int) -> tuple[str | int, int]:
    for end in range(at + 1, at + 8):
        mode = _MODES.get(bits[at:end])
        if mode is not None:
            return mode, end
    raise ImageError("a fax code is unknown")
