"""From what a caller gives as a model to an open network."""

from __future__ import annotations

import os
from typing import Any

from fastsam_onnx.errors import OptionError
from fastsam_onnx.files import absolute, is_file
from fastsam_onnx.network.external import ExternalNetwork
from fastsam_onnx.network.network import Network
from fastsam_onnx.runtime import RuntimeOptions

AnyNetwork = Network | ExternalNetwork


def lasting_source(source: Any) -> Any:
    """What a caller gives as a model, as something that means the same in every working folder.

    None is the bundled model, and the path of a file becomes absolute; names of models and all else stay as they are.

    Raises:
        ModelNotFoundError: If it is the bundled model, and the installation lacks it.
    """
    if source is None:
        from fastsam_onnx.weights.bundled import bundled_model

        return bundled_model()
    return absolute(source) if isinstance(source, str | os.PathLike) and is_file(source) else source


def open_network(source: Any, runtime: RuntimeOptions) -> AnyNetwork:
    """Open a file, its bytes, a model by name, or take what is open already.

    Raises:
        ModelNotFoundError: If there is no such file.
        DownloadError: If the model was asked for by name, is not here, and cannot be downloaded.
        ModelError: If it is not a YOLO segmentation network.
        OptionError: If it is open already, and there are options of ONNX Runtime.
    """
    if not isinstance(source, str | bytes | os.PathLike):
        network = source if isinstance(source, ExternalNetwork) else Network.from_session(source)
        if runtime != RuntimeOptions():
            raise OptionError(
                "threads, providers and session_options are settled already in an InferenceSession, and an "
                "ExternalNetwork has none; leave them out"
            )
        return network
    if isinstance(source, str):
        from fastsam_onnx import weights

        source = weights.resolve(source, task="segment")
    return Network.open(
        source, threads=runtime.threads, providers=runtime.providers, session_options=runtime.session_options
    )
