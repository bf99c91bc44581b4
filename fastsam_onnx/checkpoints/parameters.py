"""The values of parameters as a graph uses them: batch normalisation is part of the convolution before it.

Jacob et al. 2018, https://arxiv.org/abs/1712.05877, section 3.2: in float64, rounded to float32 once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.errors import ModelError

Arrays = Mapping[str, npt.NDArray[Any]]

DEFAULT_EPS = 1e-3
"""Epsilon of batch normalisation in every network that ultralytics trains."""
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def plain(name: str, arrays: Arrays) -> FloatArray:
    """A parameter as it is, in float32.

    Raises:
        ModelError: If it is NaN or infinite.
    """
    return _finite(name, arrays[name].astype(np.float32))


def folded(name: str, arrays: Arrays, eps: float) -> FloatArray:
    """Weight or bias of a convolution, "a.conv.weight", with the batch normalisation "a.bn" in it.

    gamma * (w * x - mean) / sqrt(variance + eps) + beta = (scale * w) * x + (beta - scale * mean)

    Raises:
        ModelError: If it is NaN or infinite.
    """
    prefix, _, kind = name.rpartition(".conv.")
    gamma, beta, mean, variance = (arrays[f"{prefix}.bn.{key}"].astype(np.float64) for key in BATCH_NORM)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = gamma / np.sqrt(variance + eps)
        if kind == "bias":
            made = (beta - scale * mean).astype(np.float32)
        else:
            weight = arrays[name]
            made = np.empty(weight.shape, np.float32)
            # Computed in float64 a buffer at a time: no array of that width.
            np.multiply(weight, scale[:, None, None, None], out=made, dtype=np.float64, casting="same_kind")
    return _finite(name, made)


def _finite(name: str, made: FloatArray) -> FloatArray:
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite(made.sum(dtype=np.float64)):
            raise ModelError(f"{name} is NaN or infinite, or the variances beside it are negative: the file is damaged")
    return made
