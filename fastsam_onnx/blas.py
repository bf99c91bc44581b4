"""NumPy and OpenCV imported such that the other cores are free afterwards.

Each brings an OpenBLAS, which starts a thread for every core, and these look for work for 2**28 ticks, a tenth of a
second, before they sleep: just while a network opens and takes its first photo. With 2**20 ticks, less than a
millisecond, first masks come a tenth earlier, and nothing else changes: not the number of threads, and no result.
"""

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager

VARIABLE = "OPENBLAS_THREAD_TIMEOUT"
TICKS = "20"
"""A power of two."""


@contextmanager
def short_waits() -> Generator[None, None, None]:
    """Have threads of an OpenBLAS that is loaded in the block sleep soon, unless the variable is set already."""
    if VARIABLE in os.environ:
        yield
        return
    os.environ[VARIABLE] = TICKS
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)  # another thread may have been here


def import_numpy() -> None:
    """Import NumPy so, unless it is there already."""
    if "numpy" not in sys.modules:
        with short_waits():
            import numpy  # noqa: F401
