"""Input and outputs of networks, for tests that run them."""

import numpy as np
import onnxruntime as ort


def photos(count=1, height=64, width=96, seed=0):
    """Smooth pictures, so that averages over cells differ from cell to cell."""
    coarse = np.random.default_rng(seed).random((count, 3, height // 16, width // 16), dtype=np.float32)
    return np.repeat(np.repeat(coarse, 16, axis=2), 16, axis=3)


def assert_same(results, expected, tolerance=0.0):
    assert len(results) == len(expected)
    for result, wanted in zip(results, expected, strict=True):
        for array, reference in zip(result[:2], wanted[:2], strict=True):
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, reference, rtol=tolerance, atol=tolerance)


def raw(model, tensor):
    """What the file itself answers, by output name."""
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": tensor}), strict=True))
