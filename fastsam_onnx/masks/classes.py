"""The classes that objects are told apart by: indices, and the names that a network's file gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fastsam_onnx import options
from fastsam_onnx.arrays import IntArray
from fastsam_onnx.errors import OptionError

MOST_LISTED = 100
"""Maximum number of names that a message lists."""


def class_name(label: int, names: Mapping[int, str]) -> str:
    """The name of a class; its index as text where there is none."""
    return names.get(label, str(label))


def class_indices(asked: Sequence[str | int], names: Mapping[int, str] | None) -> list[int]:
    """The indices of classes that are asked for by name or by index.

    Args:
        asked: At least one. All classes of a name are meant.
        names: Names by index; None if there are no classes.

    Raises:
        OptionError: If there are no classes, none is asked for, or one is not known; the message lists what is there.
    """
    if names is None:
        raise OptionError("there are no classes to choose: this network finds objects without telling what they are")
    if not asked:
        raise OptionError("give the name of at least one class")
    return [index for one in asked for index in _indices_of(one, names)]


def joined_classes(
    named: Sequence[Mapping[int, str]], labels: Sequence[IntArray]
) -> tuple[IntArray, Mapping[int, str]]:
    """The classes of the objects of several results, one after another, and the names of them all.

    Where the results' names differ, classes of one name become one class, and other classes stay apart: an index that
    another name has already gives way to the next free one. A class without a name is named by its index.

    Args:
        named: Names by index, of each result.
        labels: (n,) indices of the classes of the objects of each result.
    """
    if all(names == named[0] for names in named):
        return np.concatenate(labels), named[0]
    joined: dict[int, str] = {}
    renumbered = []
    for names, own in zip(named, labels, strict=True):
        places = _places({index: class_name(index, names) for index in (*names, *np.unique(own).tolist())}, joined)
        renumbered.append(np.array([places[index] for index in own.tolist()], np.int64))
    return np.concatenate(renumbered), joined


def _places(names: Mapping[int, str], joined: dict[int, str]) -> dict[int, int]:
    """The index among the joined names of each class; those that are not there yet are added."""
    known = {name: index for index, name in reversed(joined.items())}
    for index, name in names.items():
        if name not in known:
            known[name] = index if index not in joined else max((*joined, *names)) + 1
            joined[known[name]] = name
    return {index: known[name] for index, name in names.items()}


def _indices_of(asked: str | int, names: Mapping[int, str]) -> list[int]:
    if isinstance(asked, list | tuple | set):
        raise OptionError(
            f"a class must be a name or an index, got {options.shown(asked)}; give each as an argument of its own: "
            'of_class("cat", "dog")'
        )
    if isinstance(asked, str):
        known = [index for index, name in names.items() if name == asked]
    else:
        index = options.integer("the index of a class", asked, 0, options.MOST_INDEX)
        known = [index] if index in names or not names else []
    if not known:
        from difflib import get_close_matches

        close = get_close_matches(str(asked).casefold(), list(dict.fromkeys(names.values())), 3)
        hint = f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""
        raise OptionError(
            f"a class must be one that the network knows, got {options.shown(asked)}{hint}; {_listed(names)}"
        )
    return known


def _listed(names: Mapping[int, str]) -> str:
    if not names:
        return "its file gives no names: give indices"
    first = [f"{index} {name!r}" for index, name in list(names.items())[:MOST_LISTED]]
    more = len(names) - len(first)
    return f"it knows {', '.join(first)}" + (f" and {more} more" if more else "")
