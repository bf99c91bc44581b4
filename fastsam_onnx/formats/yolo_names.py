"""The names of classes in a data.yaml of YOLO: the spellings of YAML that people and programs use there."""

from __future__ import annotations

import re
from itertools import takewhile

_KEY = "names:"
_QUOTED = r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\n]|'')*'"""
_NAMES = re.compile(r"names: *(?:#.*)?")
_NAME = re.compile(
    rf""" *(?:([0-9]{{1,15}}):|-) +({_QUOTED}|[^ \t"'#](?:[^ \t]|[ \t]++(?=[^#]))*)(?:[ \t]+#.*)?[ \t]*"""
)
"""A line of a class: its index, or a dash; its name; a remark."""
_GAP = re.compile(r"(?:\s|(?<=\s)#[^\n]*)*")
"""Spaces, ends of lines and remarks between two names in brackets."""
_PLAIN = r"""[^\s,\[\]{}#&*!|>%@`"':?-][^,\[\]{}#:\n]*"""
_ITEM = re.compile(rf"(?P<name>{_QUOTED}|{_PLAIN})")
_PAIR = re.compile(rf"(?P<index>[0-9]{{1,15}}) *: +(?P<name>{_QUOTED}|{_PLAIN})")
_END = re.compile(r"[}\]] *(?: #[^\n]*)?(?:\n|$)")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))")
_ESCAPES = {
    **{each: each for each in ' "/\\'},
    **{"0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b"},
    **{"N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029"},
}
"""The characters of YAML's short escapes, 5.7 of its specification."""


def names_of_data(text: str) -> dict[int, str] | None:
    """The names of classes in a data.yaml, by index.

    Returns:
        The names, where each has a line, with its index or a dash before it, or all are in brackets, ['cat', 'dog'] or
        {0: cat, 1: dog}; {} if there are none; None if they are written in another way, or two have one index.
    """
    lines = text.split("\n")
    head = next((number for number, line in enumerate(lines) if line.startswith(_KEY)), None)
    if head is None:
        return {}
    try:
        value = "\n".join(lines[head:])[len(_KEY) :]
        start = _begin(value)
        return _of_lines(lines[head:]) if start is None else _in_brackets(value, start)
    except (ValueError, KeyError):  # an escape that YAML has not
        return None


def _begin(value: str) -> int | None:
    """Where the bracket stands that a value begins with; None if it begins with something else."""
    gap = _GAP.match(value)
    assert gap is not None  # it may be empty
    return gap.end() if gap.end() and value[gap.end() : gap.end() + 1] in ("[", "{") else None


def _of_lines(lines: list[str]) -> dict[int, str] | None:
    """Names that have a line each, below the key."""
    block = takewhile(lambda line: not line or line[0] in " -#", lines[1:])
    matches = [_NAME.fullmatch(line) for line in block if line.strip() and not line.lstrip().startswith("#")]
    if not matches or not all(matches) or not _NAMES.fullmatch(lines[0]):
        return None
    names = {int(match[1] or place): _unquoted(match[2]) for place, match in enumerate(matches) if match}
    return names if len(names) == len(matches) else None


def _in_brackets(value: str, start: int) -> dict[int, str] | None:
    """Names in brackets with commas between them, YAML's flow style."""
    form, close = (_PAIR, "}") if value[start] == "{" else (_ITEM, "]")
    names: dict[int, str] = {}
    at = _behind_gap(value, start + 1)
    while not value.startswith(close, at):
        match = form.match(value, at)
        if match is None:
            return None
        index = int(match.groupdict().get("index", len(names)))
        if index in names:
            return None
        names[index] = _unquoted(match["name"].rstrip())
        at = _behind_gap(value, match.end())
        if value.startswith(",", at):
            at = _behind_gap(value, at + 1)
        elif not value.startswith(close, at):
            return None
    return names if _END.match(value, at) else None


def _behind_gap(value: str, at: int) -> int:
    gap = _GAP.match(value, at)
    return at if gap is None else gap.end()


def _unquoted(name: str) -> str:
    if name.startswith("'"):
        return name[1:-1].replace("''", "'")
    return _ESCAPE.sub(_escaped, name[1:-1]) if name.startswith('"') else name


def _escaped(match: re.Match[str]) -> str:
    """The character of an escape; KeyError or ValueError if there is none."""
    digits = match[1] or match[2] or match[3]
    return chr(int(digits, 16)) if digits else _ESCAPES[match[4]]
