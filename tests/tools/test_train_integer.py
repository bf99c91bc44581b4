"""The small network's file with integer products and convolutions: near what it was, and what learns on from it.

Skipped where PyTorch is not installed: the package itself never needs it.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest

ROOT = Path(__file__).parents[2]
torch = pytest.importorskip("torch", reason="tools/train needs PyTorch, which the package does not")
onnxruntime = pytest.importorskip("onnxruntime")

from fastsam_onnx.runtime import QUANTIZATION  # noqa: E402
from tools.train import graph, integer, models, reopen  # noqa: E402


@pytest.fixture(scope="module")
def stored() -> onnx.ModelProto:
    torch.manual_seed(0)
    return graph.build(models.make("small").eval(), "fastsam-small", {"kept": "yes"}, "int8")


@pytest.fixture(scope="module")
def photos() -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"images": rng.random((1, 3, 96, 128), np.float32)} for _ in range(4)]


@pytest.fixture(scope="module")
def made(stored, photos) -> onnx.ModelProto:
    return integer.integer(stored, photos[:3])


def run(model: onnx.ModelProto | bytes, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, inputs)


def test_it_says_nearly_what_it_said(stored, made, photos):
    """Untrained, so the numbers are small: their distance against how much they vary."""
    for found, wanted in zip(run(made, photos[3]), run(stored, photos[3]), strict=True):
        varies = wanted.std(axis=(0, -1), keepdims=True)
        assert np.mean(np.abs(found - wanted) / np.maximum(varies, 1e-6)) < 0.1


def test_every_photo_of_a_batch_is_what_it_is_alone(made, photos):
    together = run(made, {"images": np.concatenate([photo["images"] for photo in photos[:2]])})
    for index, photo in enumerate(photos[:2]):
        for found, wanted in zip(together, run(made, photo), strict=True):
            np.testing.assert_allclose(found[index], wanted[0], rtol=1e-4, atol=1e-4)


def test_onnxruntime_computes_integers(made, tmp_path):
    """What is not fused is a float product and a conversion, slower than before."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    fused = [node.op_type for node in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert fused.count("QGemm") == 60  # 10 blocks of queries, keys, values, their projection, and two of the MLP
    assert "Gemm" not in fused
    assert fused.count("Conv") == 28 + 3 * 3 + 1, "the encoder's, and what says boxes and prototypes"


def test_weights_that_levels_share_are_stored_once(made):
    """Two convolutions each of the branches for boxes, scores and masks, on three levels."""
    taken = [node.input[0] for node in made.graph.node if node.name.endswith("_weights_dequantize")]
    assert len(taken) - len(set(taken)) == 3 * 2 * (3 - 1)


def test_an_encoder_that_did_not_learn_on_keeps_its_integers(made, photos, tmp_path):
    """Rounded once more one in ten changed, by up to four steps."""
    path = tmp_path / "small.onnx"
    path.write_bytes(made.SerializeToString())
    further = graph.build(reopen.reopened(path), "fastsam-small", {}, "int8")
    again = integer.integer(further, photos[:3], made.graph)
    before, after = integer.rounded_products(made.graph), integer.rounded_products(again.graph)
    assert before.keys() == after.keys()
    for name, pair in before.items():
        for wanted, found in zip(pair, after[name], strict=True):
            np.testing.assert_array_equal(found, wanted)
    other = models.make("small").eval()
    with pytest.raises(SystemExit, match="has learned on, or belongs to another network"):
        integer.integer(graph.build(other, "fastsam-small", {}, "int8"), photos[:1], made.graph)


def test_what_else_the_file_holds_stays(made):
    props = {prop.key: prop.value for prop in made.metadata_props}
    assert props["kept"] == "yes"
    assert "7-bit" in props[QUANTIZATION]
    assert [value.name for value in made.graph.output] == ["output0", "output1"]


def test_its_weights_come_back_to_learn_on(stored, made, tmp_path):
    """As the integers say; batch norms lie in them."""
    for name, model in (("stored", stored), ("made", made)):
        (tmp_path / f"{name}.onnx").write_bytes(model.SerializeToString())
    wanted, found = (
        reopen.reopened(tmp_path / f"{name}.onnx").backbone.encoder.layers[1].blocks[0].mlp.fc1.weight
        for name in ("stored", "made")
    )
    found, wanted = found.detach(), wanted.detach()
    step = wanted.abs().amax(dim=1, keepdim=True) / 63
    assert float((found - wanted).abs().div(step).median()) < 0.5


def test_a_file_that_is_integer_already_is_named(made, photos):
    with pytest.raises(SystemExit, match="integer already"):
        integer.integer(made, photos[:1])
