"""An open YOLO segmentation network. Whatever the export looks like, `Network.run` answers in one form."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from fastsam_onnx.arrays import FloatArray
from fastsam_onnx.errors import ModelError
from fastsam_onnx.files import absolute
from fastsam_onnx.network.file import is_checkpoint_file
from fastsam_onnx.network.inspection import inspect_network
from fastsam_onnx.network.outputs import Output, to_outputs
from fastsam_onnx.options import shown
from fastsam_onnx.runtime import (
    Provider,
    RuntimeOptions,
    failures,
    keep_in_children,
    load_onnxruntime,
    model_name,
    opening,
)

if TYPE_CHECKING:
    import onnxruntime as ort


class Network:
    """An open network. Any number of threads may run it at once.

    Attributes:
        contract: The form of its input and outputs.
        providers: Execution providers in use, first choice first.
        name: Name in messages.
    """

    def __init__(
        self, session: ort.InferenceSession, name: str, reopen: Callable[[], ort.InferenceSession] | None = None
    ) -> None:
        """Check the contract of a session; `open` and `from_session` are the ways in."""
        self.name = name
        self.providers: list[str] = session.get_providers()
        self.contract, self._outputs = inspect_network(session, name)
        self._session: ort.InferenceSession | None = session
        self._reopen = reopen
        self._process = os.getpid()

    @classmethod
    def open(
        cls,
        source: str | Path | bytes,
        *,
        providers: Sequence[Provider] | None = None,
        threads: int | None = None,
        session_options: ort.SessionOptions | None = None,
    ) -> Network:
        """Open an ONNX file, or a checkpoint of ultralytics (.pt), and check its contract.

        A file of dynamic size, or one that does not state the shapes of its outputs, is run once on a small grey
        picture, because nothing else tells its layout for sure.

        Args:
            source: The path or the bytes of the file.
            providers: As in `runtime.create_session`.
            threads: As in `runtime.create_session`.
            session_options: As in `runtime.create_session`.

        Raises:
            ModelNotFoundError: If there is no such file.
            CheckpointError: If it is a checkpoint that is damaged, or of a kind that is not read.
            ModelError: If it is neither ONNX nor a checkpoint, or not a YOLO segmentation network.
            OptionError: As in `runtime.create_session`.
        """
        runtime = RuntimeOptions(threads, providers, session_options)
        lasting = source if isinstance(source, bytes) else absolute(source)
        return cls(_open_session(source, runtime), model_name(source), partial(_open_session, lasting, runtime))

    @classmethod
    def from_session(cls, session: ort.InferenceSession) -> Network:
        """Use a session that is open already.

        Raises:
            ModelError: If it is not a session, or not a YOLO segmentation network.
        """
        if not isinstance(session, load_onnxruntime().InferenceSession):
            raise ModelError(
                f"a model must be a path, bytes, an onnxruntime.InferenceSession or an ExternalNetwork, "
                f"got {shown(session)}"
            )
        keep_in_children(session)
        return cls(session, "the InferenceSession")

    def run(self, tensor: FloatArray) -> list[Output]:
        """Compute candidates and prototypes of photos.

        Args:
            tensor: (B, 3, h, w) float32, RGB, 0 to 1; h and w are the contract's own or multiples of its stride.

        Returns:
            An `Output` for each photo. Detections of exports with NMS inside come as candidates of one class, and
            their padding has score 0.

        Raises:
            ModelError: If the network is closed, the tensor does not fit, ONNX Runtime fails, or the outputs cannot be
                right; see `outputs.to_outputs`.
        """
        session = self._session_of_this_process()
        self._check_tensor(tensor)
        batch = self.contract.batch or max(1, len(tensor))
        results: list[Output] = []
        for start in range(0, len(tensor), batch):
            part = tensor[start : start + batch]
            missing = batch - len(part)
            full = np.concatenate([part, np.zeros_like(part, shape=(missing, *part.shape[1:]))]) if missing else part
            results += self._run_batch(session, full)[: len(part)]
        return results

    def close(self) -> None:
        """Let go of the session; the memory is free when no run is under way any more."""
        self._session = self._reopen = None

    def __enter__(self) -> Network:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _session_of_this_process(self) -> ort.InferenceSession:
        """The session; opened anew after a fork, because the threads of the old one are not here."""
        if self._process != os.getpid():
            with opening():
                if self._reopen is not None and self._process != os.getpid():
                    self._session, self._process = self._reopen(), os.getpid()
        session = self._session
        if session is None:
            raise ModelError(f"{self.name} is closed; open it again")
        return session

    def _check_tensor(self, tensor: FloatArray) -> None:
        contract = self.contract
        if tensor.dtype == np.float32 and tensor.ndim == 4 and tensor.shape[1] == 3:
            sides = zip(tensor.shape[2:], (contract.height, contract.width), strict=True)
            if all(side == own if own else side > 0 and side % contract.stride == 0 for side, own in sides):
                return
        height, width = contract.height or f"n*{contract.stride}", contract.width or f"n*{contract.stride}"
        raise ModelError(f"{self.name} takes float32 (batch, 3, {height}, {width}), got {tensor.dtype} {tensor.shape}")

    def _run_batch(self, session: ort.InferenceSession, tensor: FloatArray) -> list[Output]:
        contract, outputs = self.contract, self._outputs
        feed = {contract.input_name: tensor.astype(contract.input_dtype, copy=False)}
        try:
            values = session.run(outputs.wanted, feed)
        except failures() as error:
            raise ModelError(f"{self.name}: ONNX Runtime failed on an input {tensor.shape}: {error}") from error
        prototypes, *parts = (value.astype(np.float32, copy=False) for value in values)
        height, width = tensor.shape[2:]
        try:
            return to_outputs(prototypes, parts, outputs, contract, (height, width))
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from error


def _open_session(source: str | Path | bytes, runtime: RuntimeOptions) -> ort.InferenceSession:
    if not is_checkpoint_file(source):
        return runtime.create_session(source)
    from fastsam_onnx.checkpoints.convert import as_onnx

    with as_onnx(source) as model:
        return runtime.create_session(model, name=model_name(source))
