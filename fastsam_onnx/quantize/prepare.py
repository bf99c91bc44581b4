"""A network made ready for quantizing: float32, constants folded, nodes named, slow parts replaced."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fastsam_onnx.checkpoints.checkpoint import read_checkpoint
from fastsam_onnx.checkpoints.convert import export
from fastsam_onnx.errors import FastSAMError, ModelError, OutputError
from fastsam_onnx.files import output_errors
from fastsam_onnx.network.file import is_checkpoint_file
from fastsam_onnx.quantize.box_decoding import with_fast_decoding
from fastsam_onnx.quantize.links import name_nodes, opset_of
from fastsam_onnx.quantize.subpixel import without_transposed
from fastsam_onnx.runtime import fold_constants

if TYPE_CHECKING:
    import onnx

MINIMUM_OPSET = 13
"""The first with a scale per channel."""


def prepared(source: Path) -> onnx.ModelProto:
    """Read a checkpoint or an ONNX file and prepare it.

    Raises:
        ModelError: If the network is quantized already, too old, has nodes with graphs of their own, or is not a
            network.
        OutputError: If there is no room for temporary files.
    """
    import onnx

    with _temporary_folder(source) as folder:
        whole, folded = folder / "network.onnx", folder / "folded.onnx"
        if is_checkpoint_file(source):
            export(read_checkpoint(source), whole, plain=True)  # sums of two convolutions are rounded once more
        else:
            _write_whole(source, whole)
        fold_constants(whole, folded)
        network = onnx.load(folded)
    _check_flat(network.graph, source.name)
    if any(node.op_type == "QuantizeLinear" for node in network.graph.node):
        raise ModelError(f"{source.name} is quantized already; take the float32 network that it was made of")
    if opset_of(network) < MINIMUM_OPSET:
        raise ModelError(
            f"{source.name} must be of opset {MINIMUM_OPSET} or later, got {opset_of(network)}: export it again"
        )
    used = {node.domain for node in network.graph.node}
    kept = [each for each in network.opset_import if each.domain in used]
    del network.opset_import[:]
    network.opset_import.extend(kept)
    name_nodes(network.graph)
    return with_fast_decoding(without_transposed(network))


def _write_whole(source: Path, path: Path) -> None:
    """Write an ONNX file as one of float32 that has all of its parameters in itself.

    Of those in a file beside it ONNX Runtime would write the name alone, which means nothing in another folder.
    """
    import onnx

    network = onnx.load(source)
    if has_halves(network):
        make_float32(network)
    with output_errors(path):
        onnx.save(network, path)


@contextmanager
def _temporary_folder(source: Path) -> Iterator[Path]:
    """A folder for what is made of a network on the way; where it is full, ONNX Runtime only says that it failed."""
    with output_errors("temporary files"):
        temporary = tempfile.TemporaryDirectory(prefix="fastsam-onnx-", ignore_cleanup_errors=True)
    with temporary as folder:
        try:
            yield Path(folder)
        except FastSAMError as error:
            free, size = shutil.disk_usage(folder).free, source.stat().st_size
            if free > size:
                raise
            raise OutputError(
                f"cannot write temporary files in {Path(folder).parent}: {free:,} bytes are left there, and those of "
                f"{source.name} ({size:,} bytes) may take four times its size; TMPDIR=FOLDER names another folder"
            ) from error


def _check_flat(graph: onnx.GraphProto, name: str) -> None:
    """Refuse a network with branches or loops: what their graphs use of the network's would seem unused."""
    for node in graph.node:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise ModelError(
                f"{name} has the node {node.name!r} ({node.op_type}), which holds a graph of its own, and cannot "
                "become int8; export the network for one size, without NMS inside"
            )


def has_halves(network: onnx.ModelProto) -> bool:
    """True if a network takes, makes or stores float16."""
    from onnx import TensorProto

    graph = network.graph
    ends = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
    return TensorProto.FLOAT16 in ends | {tensor.data_type for tensor in graph.initializer}


def make_float32(network: onnx.ModelProto) -> None:
    """Make float32 of every float16 in a network: inputs, outputs, weights, constants, casts."""
    from onnx import TensorProto

    graph = network.graph
    floats = _names_of_floats(network)
    del graph.value_info[:]  # types between, which ONNX Runtime infers anew
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    for tensor in graph.initializer:
        _widen(tensor)
    for node in graph.node:
        for attribute in node.attribute:
            _widen(attribute.t)
            if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
        if node.op_type == "Cast" and node.input[0] in floats and node.attribute[0].i == TensorProto.FLOAT:
            node.op_type = "Identity"  # which ONNX Runtime takes away
            del node.attribute[:]


def _names_of_floats(network: onnx.ModelProto) -> set[str]:
    """The tensors of float16 or float32."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(network).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)}
    kinds |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    return {name for name, kind in kinds.items() if kind in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)}


def _widen(tensor: onnx.TensorProto) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type == TensorProto.FLOAT16:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
