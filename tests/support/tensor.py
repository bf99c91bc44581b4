"""What NumPy sees of a tensor of PyTorch: an array on demand, or the reason why there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class Tensor:
    """Becomes an array; without values it raises as tensors with a gradient do, which is no ValueError."""

    def __init__(self, values: npt.ArrayLike | None) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if self.values is None:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        return np.asarray(self.values, dtype)
