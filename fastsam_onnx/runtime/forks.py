"""Sessions in forked processes (gunicorn --preload, multiprocessing's "fork").

A session's threads do not live on in a child, and ONNX Runtime waits for them for ever when the session is closed, at
the latest when the interpreter ends. So inherited sessions are never closed there, and who uses them opens anew.
(Where the program imports onnxruntime before this package, it needs ORT_DISABLE_TELEMETRY=1: the thread that newer
releases start for their reports makes children hang as well.)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from threading import Lock

    import onnxruntime as ort

_open: WeakSet[ort.InferenceSession] = WeakSet()
_locks: dict[int, Lock] = {}


def keep_in_children(session: ort.InferenceSession) -> None:
    """Have the children of this process never close a session that they inherit."""
    _open.add(session)


def opening() -> Lock:
    """The lock of who opens anew in this process, so that threads that come at once wait for the first of them.

    Each process has its own: a thread of the parent may have held that of the parent when it was forked.
    """
    from threading import Lock

    return _locks.setdefault(os.getpid(), Lock())


def _in_child() -> None:
    inherited = list(_open)
    if inherited:
        import ctypes

        for session in inherited:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))  # for good: even the interpreter's end lets it be
        _open.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_in_child)
