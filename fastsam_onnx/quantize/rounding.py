"""Weights rounded one after the other, so that those still to come make up for the error of those before.

A photo's neighbouring values are alike, so an error in one weight can be taken back by the next one. With the
covariance of what a convolution sees, each error is spread over the weights left such that what it makes changes
least (Frantar et al. 2022, https://arxiv.org/abs/2210.17323). On the bundled model's weights of 7 bits this is worth as
much as six convolutions in float.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

DAMPING = (0.01, 0.1, 1.0)
"""Shares of the mean variance that are added to each, tried in turn, so that the covariance can be inverted."""


class Rounder:
    """Rounds the weights of a network's convolutions, each once."""

    def __init__(self, covariances: Mapping[str, npt.NDArray[np.float64]] | None = None) -> None:
        """Begin.

        Args:
            covariances: (groups, k, k) of the values that convolutions see, by their names; others are rounded alone.
        """
        self._covariances = covariances or {}
        self._known: dict[tuple[str, int, bytes], npt.NDArray[np.int8]] = {}

    def __call__(
        self, name: str, weights: npt.NDArray[Any], step: npt.NDArray[Any], limit: int
    ) -> npt.NDArray[np.int8]:
        """The weights of the convolution `name`, see `rounded`."""
        key = name, limit, step.tobytes()
        if key not in self._known:
            self._known[key] = rounded(weights, step, limit, self._covariances.get(name))
        return self._known[key]


def rounded(
    weights: npt.NDArray[Any], step: npt.NDArray[Any], limit: int, covariance: npt.NDArray[np.float64] | None
) -> npt.NDArray[np.int8]:
    """The weights of a convolution in whole steps.

    Args:
        weights: (o, c / groups, kh, kw).
        step: (o,), the step of each output channel.
        limit: Largest number of steps.
        covariance: (groups, k, k) of the values that the weights are multiplied with; None rounds each alone.
    """
    steps = weights.astype(np.float64) / step.astype(np.float64).reshape(-1, 1, 1, 1)
    if covariance is None:
        return np.clip(np.rint(steps), -limit, limit).astype(np.int8)
    groups, size = covariance.shape[:2]
    order = np.argsort(-covariance.diagonal(axis1=1, axis2=2), axis=1, kind="stable")  # what varies most comes first
    left = np.take_along_axis(steps.reshape(groups, -1, size), order[:, None], axis=2)
    spread = _spread(np.take_along_axis(np.take_along_axis(covariance, order[:, None], 2), order[:, :, None], 1))
    whole = np.empty_like(left)
    for place in range(size):
        whole[:, :, place] = np.clip(np.rint(left[:, :, place]), -limit, limit)
        error = left[:, :, place] - whole[:, :, place]
        left[:, :, place + 1 :] -= error[:, :, None] * spread[:, None, place, place + 1 :]
    np.put_along_axis(left, np.broadcast_to(order[:, None], left.shape), whole, axis=2)
    return left.reshape(weights.shape).astype(np.int8)


def _spread(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(groups, k, k): the share of each weight's error that each later one takes over."""
    size = covariance.shape[1]
    variance = covariance.trace(axis1=1, axis2=2) / size
    variance = np.where(variance > 0, variance, 1.0)  # what never varies
    for share in DAMPING:
        damped = covariance + (share * variance)[:, None, None] * np.eye(size)
        try:
            factor = np.linalg.cholesky(np.linalg.inv(damped)).transpose(0, 2, 1)
        except np.linalg.LinAlgError:
            continue
        return np.asarray(factor / factor.diagonal(axis1=1, axis2=2)[:, :, None])
    return np.zeros_like(covariance)
