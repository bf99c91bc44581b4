"""Model names to files: the catalogue, the cache folder, the downloads."""

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
