"""Model names to files: the catalogue, the cache folder, the downloads."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsam_onnx.weights.cache import HOME, cache_folder
    from fastsam_onnx.weights.lookup import MIRRORS, OFFLINE, fetch, is_here, names, resolve, verify

__all__ = [
    "HOME",
    "MIRRORS",
    "OFFLINE",
    "cache_folder",
    "fetch",
    "is_here",
    "names",
    "resolve",
    "verify",
]

_IN_CACHE = ("HOME", "cache_folder")


def __getattr__(name: str) -> Any:
    """Import what is asked for (PEP 562): the bundled model needs none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "cache" if name in _IN_CACHE else "lookup"
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value
