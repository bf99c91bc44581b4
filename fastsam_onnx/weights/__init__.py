"""Model names to files: the catalogue, the cache folder, the downloads."""

from fastsam_onnx.weights.lookup import (
    HOME,
    MIRRORS,
    OFFLINE,
    Progress,
    cache_folder,
    fetch,
    is_here,
    names,
    resolve,
    verify,
)

__all__ = [
    "HOME",
    "MIRRORS",
    "OFFLINE",
    "Progress",
    "cache_folder",
    "fetch",
    "is_here",
    "names",
    "resolve",
    "verify",
]
