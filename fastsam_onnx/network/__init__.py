"""The network file: its contract, the photo's place in its input, its runs."""

from fastsam_onnx.network.contract import Contract
from fastsam_onnx.network.external import ExternalNetwork
from fastsam_onnx.network.letterbox import Letterbox
from fastsam_onnx.network.network import Network
from fastsam_onnx.network.outputs import Output

__all__ = [
    "Contract",
    "ExternalNetwork",
    "Letterbox",
    "Network",
    "Output",
]
