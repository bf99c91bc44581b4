"""The teacher of tools/train: which points it is asked about and which of its answers are kept.

Skipped where MobileSAM's code is not installed; its weights are not needed here.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="tools/train needs PyTorch, which the package does not")
pytest.importorskip("mobile_sam", reason="the teacher needs the package mobilesam-mirror")

from mobile_sam.modeling import TinyViT  # noqa: E402

from tools.train import encoder, teach  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # timm's own deprecations


def test_points_lie_in_the_middle_of_even_cells():
    # 8 x 8 cells of 40 x 20 photo pixels, two input pixels each
    points = teach.grid_points(np.zeros((160, 320, 3), np.uint8), 2.0).numpy()
    assert points.shape == (64, 2)
    assert points[[0, 1, 8, 63]].tolist() == [[40, 20], [120, 20], [40, 60], [600, 300]]


def test_the_input_is_padded_on_the_right_and_below():
    # 100 x 200 white pixels at 640 / 200 = 3.2: 320 x 640, multiples of 16 already
    x, scale = teach.prepared(np.full((100, 200, 3), 255, np.uint8))
    assert (tuple(x.shape), scale) == ((1, 3, 320, 640), 3.2)
    x, _ = teach.prepared(np.full((91, 200, 3), 255, np.uint8))  # 291 rows, 13 of padding
    assert x.shape[2] == 304
    assert (x[0, :, 290] == 1).all()
    mean = torch.tensor(encoder.MEAN)[:, None, None] / 255  # nothing, once it is normalised
    assert (x[0, :, 291:] == mean).all()


def test_what_repeats_a_better_or_a_drawn_mask_is_dropped():
    rows = torch.tensor(
        [
            [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0, 0, 0, 0, 0],  # IoU 3/4 with the first
            [1, 1, 0, 0, 0, 0, 0, 0, 0, 0],  # IoU 1/2: something else
            [0, 0, 0, 0, 0, 0, 1, 1, 1, 1],  # drawn already
        ],
        dtype=torch.float32,
    )
    assert teach.distinct(rows, rows[3:]) == [0, 2]
    assert teach.distinct(rows, torch.zeros(0, 10)) == [0, 2, 3]


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "mobile_sam.pt").write_bytes(b"not it")
    with pytest.raises(SystemExit, match="sha256"):
        teach.Teacher(tmp_path / "mobile_sam.pt")


def embedded(encoder: TinyViT, x: torch.Tensor) -> torch.Tensor:
    """MobileSAM's own encoder, which knows squares alone, told of another shape (1, 3, H, W)."""
    height, width = x.shape[2:]
    for index, layer in enumerate(encoder.layers):
        shrink = 4 * 2 ** min(index, 2)
        for module in layer.modules():
            if hasattr(module, "input_resolution"):
                module.input_resolution = (height // shrink, width // shrink)
    y = encoder.layers[0](encoder.patch_embed(x))
    for layer in encoder.layers[1:]:
        y = layer(y)
    return encoder.neck(y.view(1, height // 16, width // 16, -1).permute(0, 3, 1, 2))


def test_our_encoder_is_mobilesams():
    torch.manual_seed(0)
    sizes = {"depths": [2, 2, 6, 2], "num_heads": [2, 4, 5, 10], "window_sizes": [7, 7, 14, 7]}
    theirs = TinyViT(img_size=224, embed_dims=[64, 128, 160, 320], **sizes).eval()
    for name, value in theirs.state_dict().items():  # norms and biases that do something
        if name.endswith(("running_var", "bn.weight")):
            value.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bn.bias", "attention_biases")):
            value.normal_(std=0.1)
    ours = encoder.SamEncoder().eval()
    ours.load_state_dict(encoder.folded(theirs.state_dict()))
    photo = torch.rand(1, 3, 128, 224)  # windows are filled up at the bottom
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) / 255 for v in (encoder.MEAN, encoder.DEVIATION))
    with torch.no_grad():
        wanted = embedded(theirs, (photo - mean) / deviation)
        found = ours(photo)[-1].permute(0, 3, 1, 2)
    assert (found - wanted).abs().max() < 0.03  # of values around 1: random layers enlarge the last bits
