"""Sessions of ONNX Runtime, with threads and memory as this package wants them, and errors that name the file."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastsam_onnx.errors import ModelError, OptionError
from fastsam_onnx.log import warn
from fastsam_onnx.options import integer, shown
from fastsam_onnx.options import path as checked_path
from fastsam_onnx.runtime.cores import default_threads
from fastsam_onnx.runtime.forks import keep_in_children

if TYPE_CHECKING:
    from pathlib import Path

    import onnxruntime as ort

Provider = str | tuple[str, dict[str, Any]]

CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
QUANTIZATION = "quantization"
"""Key of the metadata of the networks that this package made int8."""
SPIN_MICROSECONDS = 100
"""Time that a thread looks for more work before it sleeps: about as long as the pauses within a run."""
SPIN_BOUNDED_SINCE = (1, 26)
"""The first ONNX Runtime that knows such a limit; with older ones threads sleep at once."""
MOST_THREADS = 1024
"""More than any machine runs at once; ONNX Runtime would try to start as many as it is told."""
ERRORS, FATAL = 3, 4
"""Levels of ONNX Runtime's log."""


@dataclass(frozen=True)
class RuntimeOptions:
    """The options of `create_session` as one value.

    Attributes:
        threads: As there.
        providers: As there.
        session_options: As there.
    """

    threads: int | None = None
    providers: Sequence[Provider] | None = None
    session_options: ort.SessionOptions | None = None

    def create_session(self, model: bytes | str | Path, *, name: str | None = None) -> ort.InferenceSession:
        """See `create_session`."""
        return create_session(
            model, providers=self.providers, threads=self.threads, session_options=self.session_options, name=name
        )

    def create_further_session(self, model: bytes, *, name: str) -> ort.InferenceSession:
        """Open what belongs to a network; `optimized_model_filepath` of the session options stays the network's."""
        options = self.session_options
        if options is None:
            return self.create_session(model, name=name)
        file, options.optimized_model_filepath = options.optimized_model_filepath, ""
        try:
            return self.create_session(model, name=name)
        finally:
            options.optimized_model_filepath = file


def create_session(
    model: bytes | str | Path,
    *,
    providers: Sequence[Provider] | None = None,
    threads: int | None = None,
    session_options: ort.SessionOptions | None = None,
    name: str | None = None,
) -> ort.InferenceSession:
    """Open a network with ONNX Runtime.

    ONNX Runtime's telemetry stays off, unless the program loaded onnxruntime itself before or set ORT_DISABLE_TELEMETRY
    to something else.

    Args:
        model: The path or the bytes of an ONNX file.
        providers: Execution providers, first choice first, each a name or (name, options); the CPU by default.
        threads: Threads that compute one run; `default_threads()` by default.
        session_options: Session options to use as they are, instead of ours: one run at a time per caller, threads
            that sleep soon when there is nothing to do, memory that is kept for the next run, and a silent log.
        name: Name of the model in messages; `model_name` by default.

    Raises:
        ModelError: If ONNX Runtime does not take the file; the message has its reason. If the file is int8 by
            `quantize` and OpenVINO is to compute it, which it does wrongly.
        OptionError: If a provider is malformed or not available here, if `threads` is not an integer from 1 to 1024, if
            `session_options` are something else, or if both are given.
    """
    from fastsam_onnx.files import utf8_path

    if not isinstance(model, bytes):
        checked_path("model", model)
    ort = load_onnxruntime()
    chosen = _checked_providers(providers, ort.get_available_providers())
    if session_options is None:
        session_options = default_options(threads, only_cpu=chosen == [CPU])
    elif not isinstance(session_options, ort.SessionOptions):
        raise OptionError(f"session_options must be an onnxruntime.SessionOptions, got {shown(session_options)}")
    elif threads is not None:
        raise OptionError("threads and session_options were both given; set session_options.intra_op_num_threads")
    chosen = [_with_threads(provider, session_options.intra_op_num_threads) for provider in chosen]
    try:
        source = model if isinstance(model, bytes) else utf8_path(model)
        # Without this, Python's wrapper prints when a provider fails, and goes on with another one.
        session = ort.InferenceSession(source, session_options, providers=chosen, enable_fallback=0)
    except failures() as error:
        reason = _why_no_onnx(model) if "protobuf parsing failed" in str(error).lower() else str(error)
        raise ModelError(f"{name or model_name(model)}: ONNX Runtime cannot open it: {reason}") from error
    keep_in_children(session)
    _check_exact(session, name or model_name(model))
    for provider in chosen:
        wanted = provider if isinstance(provider, str) else provider[0]
        if wanted not in session.get_providers():
            warn("%s could not be started; in use: %s", wanted, ", ".join(session.get_providers()))
    return session


def failures() -> tuple[type[Exception], ...]:
    """The exceptions of ONNX Runtime, to be caught around its calls.

    Whatever else comes out of one of its calls is the program's own, raised by a handler of a signal, such as a time
    limit: it must pass as it is.
    """
    from onnxruntime.capi import onnxruntime_pybind11_state as compiled

    kinds = [kind for kind in vars(compiled).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    # What its layer of Python and the bindings make of C++'s own.
    return (*kinds, RuntimeError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError)


def fold_constants(model: str | Path, folded: str | Path) -> None:
    """Write a network as ONNX Runtime simplifies it: constants computed, norms folded, operators of the standard.

    Raises:
        ModelError: If ONNX Runtime does not take the file.
    """
    ort = load_onnxruntime()
    options = default_options(1)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = os.fspath(folded)
    create_session(model, session_options=options)


def default_options(threads: int | None = None, *, only_cpu: bool = True) -> ort.SessionOptions:
    """Our session options, to change one of them and give the rest to `create_session` as they are.

    Args:
        threads: Threads that compute one run; `default_threads()` by default.
        only_cpu: True if no other provider is asked for, so that the log has nothing to add.

    Raises:
        OptionError: If `threads` is not an integer from 1 to 1024.
    """
    ort = load_onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = (
        default_threads() if threads is None else integer("threads", threads, 1, MOST_THREADS)
    )
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    spins = _version(ort.__version__) >= SPIN_BOUNDED_SINCE
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spins)))
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(SPIN_MICROSECONDS))
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Patterns are kept for every input size that ever came, save no time, and take memory.
    options.enable_mem_pattern = False
    # A failure on the CPU arrives as an exception; why another provider did not start is only in the log.
    options.log_severity_level = FATAL if only_cpu else ERRORS
    return options


def model_name(model: bytes | str | Path) -> str:
    """The name of a model in messages: its file name."""
    from pathlib import Path

    return f"the model ({len(model)} bytes)" if isinstance(model, bytes) else Path(model).name


def _why_no_onnx(model: bytes | str | Path) -> str:
    """What a file is that does not parse: a picture, a page to log in, a pointer of Git LFS, half a download."""
    from fastsam_onnx.files import beginning

    with io.BytesIO(model) if isinstance(model, bytes) else open(model, "rb") as file:  # noqa: PTH123 - a str, too
        return f"it is not an ONNX file, or was cut short: {beginning(file)}"


def load_onnxruntime() -> Any:
    """The module. Newer releases (seen in 1.32) else write an identifier to the user's folder and report their use."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def _with_threads(provider: Provider, threads: int) -> Provider:
    """A provider with the number of threads among its options, where those of the session do not count for it."""
    name, options = (provider, {}) if isinstance(provider, str) else provider
    if name != OPENVINO or threads < 1:
        return provider
    return name, {"num_of_threads": str(threads), **options}


def check_utf8(session: ort.InferenceSession, name: str) -> None:
    """Look whether what the file calls things is UTF-8: ONNX Runtime opens it anyway, and decodes when it is asked.

    Raises:
        ModelError: If it is not.
    """
    try:
        for port in (*session.get_inputs(), *session.get_outputs()):
            _ = port.name, port.shape, port.type
        _ = session.get_modelmeta().custom_metadata_map
    except UnicodeDecodeError as error:
        raise ModelError(f"{name}: its names or its metadata are not UTF-8; is the file damaged?") from error


def _check_exact(session: ort.InferenceSession, name: str) -> None:
    """Refuse an int8 network on OpenVINO: with onnxruntime-openvino 1.24.1 half of the bundled model's masks differ."""
    if OPENVINO in session.get_providers() and QUANTIZATION in session.get_modelmeta().custom_metadata_map:
        raise ModelError(
            f"{name} is int8, which {OPENVINO} computes wrongly; give it a float32 network, or leave providers out"
        )


def _version(text: str) -> tuple[int, ...]:
    """(1, 26) of "1.26.0" or "1.26.0.dev2"."""
    return tuple(int(part) for part in text.split(".")[:2])


def _checked_providers(providers: Sequence[Provider] | None, available: Sequence[str]) -> list[Provider]:
    if providers is None:
        return [CPU]
    if not isinstance(providers, Sequence) or isinstance(providers, str | bytes) or not providers:
        raise OptionError(f"providers must be a list of one provider or more, got {shown(providers)}")
    for provider in providers:
        is_pair = isinstance(provider, tuple) and len(provider) == 2 and isinstance(provider[1], dict)
        name = provider[0] if is_pair else provider
        if not isinstance(name, str):
            raise OptionError(f"a provider must be a name or a tuple (name, options), got {shown(provider)}")
        if name not in available:
            hint = "; it needs the package onnxruntime-openvino in place of onnxruntime" if name == OPENVINO else ""
            raise OptionError(f"the provider {name!r} is not available here; available: {', '.join(available)}{hint}")
    return list(providers)
