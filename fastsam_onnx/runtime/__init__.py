"""ONNX Runtime: the sessions of networks, and the cores that they may use."""

from fastsam_onnx.runtime.cores import cgroup_quota, default_threads, usable_cores
from fastsam_onnx.runtime.forks import keep_in_children, opening
from fastsam_onnx.runtime.sessions import (
    MOST_THREADS,
    QUANTIZATION,
    Provider,
    RuntimeOptions,
    check_utf8,
    create_session,
    default_options,
    failures,
    fold_constants,
    load_onnxruntime,
    model_name,
)

__all__ = [
    "MOST_THREADS",
    "QUANTIZATION",
    "Provider",
    "RuntimeOptions",
    "cgroup_quota",
    "check_utf8",
    "create_session",
    "default_options",
    "default_threads",
    "failures",
    "fold_constants",
    "keep_in_children",
    "load_onnxruntime",
    "model_name",
    "opening",
    "usable_cores",
]
