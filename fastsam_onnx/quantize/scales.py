"""Scales and zero points of activations that are kept as bytes, such that every processor adds them to the same bytes.

ONNX Runtime adds bytes in float32: each byte times the ratio of its scale to the sum's, all together, rounded. Its
kernels for x86 and for ARM take these steps in different orders, and where a sum was close to the middle between two
bytes, one was rounded up and the other down: one of 107,520 in the first sums of the bundled network. The convolutions
after it spread that over a third of the bytes of the deepest maps, and masks had 0.99 of their area in common.
Everything else that is computed with bytes was equal, so scales are made a little larger until no sum of two bytes is
close to the middle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastsam_onnx.quantize.calibration import Activation

if TYPE_CHECKING:
    import onnx

    from fastsam_onnx.quantize.links import Links

STEPS = 255
"""Steps between the lowest and the highest byte."""
MARGIN = 2e-5
"""Distance from the middle, in bytes, that is enough where ratios are small: twice what kernels were seen to miss."""
TRIES, GROWTH = 500, 2e-5
"""Scales that are tried, each larger than the one before by this share of the first: 1 % in all."""
NOTHING = np.zeros(1)
"""What is added to the first part while the second is not chosen: parts may be 0, so it must be clear alone."""

ScaleAndZero = tuple[float, int]
Parts = npt.NDArray[np.float64]


def choose_scales(
    links: Links,
    chosen: frozenset[str],
    tensors: Collection[str],
    seen: Mapping[str, Activation],
    *,
    shared: Mapping[str, str],
    clamped: Mapping[str, str],
) -> dict[str, ScaleAndZero]:
    """Scale and zero point of activations.

    Args:
        links: The network's.
        chosen: Names of the nodes that are computed with bytes.
        tensors: Names of the activations that are kept as bytes, in the order of the graph.
        seen: The values of every activation.
        shared: For an activation that has the scale of another one, that other one.
        clamped: For the result of a convolution or a sum that goes into a clamp alone, the result of the clamp.
    """
    sums = _sums(links, chosen, tensors, clamped)
    seen = _that_count(links, sums, shared, seen)
    own = {name: _with_zero(scale_of(seen[name].low, seen[name].high), seen[name]) for name in tensors}
    settled: set[str] = set()
    for node, result in reversed(sums):  # a sum before what it is made of, which may be sums
        of_sum = own[_owner(result, shared)]
        added = NOTHING
        for name in sorted((_owner(each, shared) for each in node.input), key=lambda each: each not in settled):
            if name not in settled:
                own[name] = _clear(own[name], seen[name], added, of_sum)
            added = parts(own[name], of_sum)
            settled.add(name)
    return {name: own[_owner(name, shared)] for name in own}


def scale_of(low: float, high: float) -> float:
    """Scale of a byte that reaches from `low` to `high` and has 0."""
    return float(np.float32(max(max(high, 0.0) - min(low, 0.0), 1e-6) / STEPS))


def zero_of(low: float, scale: float) -> int:
    """Zero point of a byte that reaches down to `low`: 0 is always a whole step."""
    return int(np.clip(round(-min(low, 0.0) / scale), 0, STEPS))


def parts(each: ScaleAndZero, of_sum: ScaleAndZero) -> Parts:
    """(256,) float64: what each byte adds to a sum, in bytes of the sum."""
    scale, zero = each
    return np.asarray((np.arange(STEPS + 1) - zero) * (scale / of_sum[0]))


def clearance(one: Parts, other: Parts, zero: int) -> float:
    """Distance from the middle between two bytes of that sum of two parts which is closest to one.

    In units of what is enough, which grows with the parts: from 1 on every kernel rounds every sum to the same byte.

    Args:
        one: Part of each byte, as `parts` gives it.
        other: Part of each byte of the other.
        zero: Zero point of the sum.
    """
    sums = one[:, None] + other + zero
    sums = sums[(sums > 0) & (sums < STEPS)]  # beyond they become the last byte, however they are rounded
    distance = np.abs(sums - np.floor(sums) - 0.5).min(initial=0.5)
    return float(distance / (MARGIN * (1 + (np.ptp(one) + np.ptp(other)) / STEPS)))


def _clear(start: ScaleAndZero, seen: Activation, added: Parts, of_sum: ScaleAndZero) -> ScaleAndZero:
    """The first scale from one on with which no sum with what is added is close to the middle, or the best one."""
    best, highest = start, 0.0
    for step in range(TRIES):
        tried = _with_zero(float(np.float32(start[0] * (1 + step * GROWTH))), seen)
        found = clearance(parts(tried, of_sum), added, of_sum[1])
        if found > highest:
            best, highest = tried, found
        if found >= 1:
            break
    return best


def _sums(
    links: Links, chosen: frozenset[str], tensors: Collection[str], clamped: Mapping[str, str]
) -> list[tuple[onnx.NodeProto, str]]:
    """The sums of bytes in the order of the graph, each with the name of what it makes, or of what its clamp makes."""
    sums = [node for node in links.nodes if node.op_type == "Add" and node.name in chosen]
    made = [(node, clamped.get(node.output[0], node.output[0])) for node in sums]
    return [(node, result) for node, result in made if {*node.input, result} <= set(tensors)]


def _that_count(
    links: Links, sums: Sequence[tuple[onnx.NodeProto, str]], shared: Mapping[str, str], seen: Mapping[str, Activation]
) -> dict[str, Activation]:
    """The values of every activation without those that no result tells apart.

    Where a sum is clamped at 0, what one part has below 0 counts as far as the other part reaches above it: the sum of
    both is 0 then, and is so for everything lower. Such parts are often several times as wide below as above.
    """
    counted = dict(seen)
    for node, result in sums:
        if result in node.output or seen[result].low < 0:
            continue
        for part, other in (node.input, reversed(node.input)):
            if links.only_consumer(part) is not None and part not in shared:
                high = max(seen[_owner(other, shared)].high, 0.0)
                counted[part] = replace(counted[part], low=max(counted[part].low, -high))
    return counted


def _with_zero(scale: float, seen: Activation) -> ScaleAndZero:
    return scale, zero_of(seen.low, scale)


def _owner(name: str, shared: Mapping[str, str]) -> str:
    while name in shared:
        name = shared[name]
    return name
