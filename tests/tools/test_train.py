"""The training code of tools/train: losses against arithmetic by hand, batches, the exported graph.

Skipped where PyTorch is not installed: the package itself never needs it.
"""

import copy
import json
import math
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
torch = pytest.importorskip("torch", reason="tools/train needs PyTorch, which the package does not")
onnxruntime = pytest.importorskip("onnxruntime")

from tools.train import (  # noqa: E402
    choose,
    compose,
    data,
    encoder,
    export,
    graph,
    imitate,
    losses,
    models,
    network,
    nodes,
    reopen,
    sampler,
    train,
    validate,
)


@pytest.fixture(scope="module")
def untrained() -> network.SegmentEverything:
    torch.manual_seed(0)
    return models.make("nano").eval()


@pytest.fixture(scope="module")
def small() -> network.SegmentEverything:
    torch.manual_seed(0)
    made = models.make("small").eval()
    for module in made.modules():
        if isinstance(module, encoder.Attention):
            torch.nn.init.normal_(module.attention_biases)
    return made


def test_a_folder_without_photos_is_told(tmp_path):
    with pytest.raises(SystemExit, match=r"train_labelled must hold photos-\*\.tar"):
        data.load_training(tmp_path / "train_labelled")


def boxes(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


# Losses ---------------------------------------------------------------------------------------------------------


def test_pairwise_iou_by_hand():
    # 2x2 boxes shifted by one: 1 / (4 + 4 - 1); apart: 0; equal: 1
    found = losses.pairwise_iou(boxes((0, 0, 2, 2)), boxes((1, 1, 3, 3), (5, 5, 6, 6), (0, 0, 2, 2)))
    assert found.numpy() == pytest.approx(np.array([[1 / 7, 0, 1]]))


def test_complete_iou_of_equal_boxes_is_one():
    box = boxes((3, 4, 10, 9))
    assert losses.complete_iou(box, box).item() == pytest.approx(1)


def test_complete_iou_takes_off_the_distance_of_centres():
    # IoU 1/7, centres (1, 1) and (2, 2): distance squared 2, hull 3x3: diagonal squared 18; same aspect
    found = losses.complete_iou(boxes((0, 0, 2, 2)), boxes((1, 1, 3, 3)))
    assert found.item() == pytest.approx(1 / 7 - 2 / 18)


def test_complete_iou_takes_off_the_difference_of_aspects():
    # 4x2 in a 4x4 box, common centre (2, 2): IoU 8/16, no distance
    aspect = 4 / math.pi**2 * (math.atan(4 / 2) - math.atan(1)) ** 2
    found = losses.complete_iou(boxes((0, 1, 4, 3)), boxes((0, 0, 4, 4)))
    assert found.item() == pytest.approx(0.5 - aspect / (0.5 + aspect) * aspect)


def test_complete_iou_of_boxes_apart_still_pulls_them_together():
    near, far = losses.complete_iou(boxes((0, 0, 1, 1), (0, 0, 1, 1)), boxes((2, 0, 3, 1), (9, 0, 10, 1)))
    assert far < near < 0


def test_distribution_loss_by_hand():
    # even logits: every bin has log(1 / REG_MAX), whatever the two shares are
    even = torch.zeros(1, 4 * network.REG_MAX)
    found = losses.distribution_loss(even, boxes((0.5, 3.25, 7.0, 30.9)))
    assert found.item() == pytest.approx(math.log(network.REG_MAX))


def test_distribution_loss_shares_between_two_bins():
    # bins 2 and 3 hold 1/4 and 3/4 of the probability, which is the very distribution of distance 2.75
    logits = torch.full((4, network.REG_MAX), -100.0)
    logits[:, 2], logits[:, 3] = math.log(0.25), math.log(0.75)
    found = losses.distribution_loss(logits.reshape(1, -1), torch.full((1, 4), 2.75))
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert found.item() == pytest.approx(entropy, rel=1e-5)
    assert network.expected_distances(logits.reshape(1, -1)).numpy() == pytest.approx(2.75)


def test_distribution_loss_beyond_the_last_bin_is_finite():
    found = losses.distribution_loss(torch.zeros(1, 4 * network.REG_MAX), torch.full((1, 4), 1e4))
    assert torch.isfinite(found).all()


def test_dice_and_entropy_by_hand():
    # logit 0 everywhere, 8x8 cells, the box covers all: p = 1/2 in 64 cells, 16 of them foreground
    masks = torch.zeros(1, 8, 8)
    masks[0, :4, :4] = 1
    entropy, dice, iou = losses.mask_losses(torch.zeros(1, 8, 8), masks, boxes((0, 0, 32, 32)))
    assert entropy.item() == pytest.approx(math.log(2))
    assert dice.item() == pytest.approx(1 - (2 * 8 + 1) / (32 + 16 + 1))
    assert iou.item() == 0  # logit 0 is not foreground


def test_mask_losses_vanish_for_the_right_mask():
    masks = torch.zeros(1, 8, 8)
    masks[0, 2:5, 3:7] = 1
    entropy, dice, iou = losses.mask_losses(masks * 40 - 20, masks, boxes((12, 8, 28, 20)))
    assert entropy.item() < 1e-6
    assert dice.item() < 1e-6
    assert iou.item() == 1


def test_mask_losses_ignore_what_is_far_from_the_box():
    # box of 8x8 pixels = 2x2 cells, grown by a tenth and one cell: cells 0 to 3; cells from 4 on do not count
    weights = losses.box_weights(boxes((4, 4, 12, 12)), 8, 8)[0]
    assert weights[:4, :4].all()
    assert weights.sum() == 16


def test_masks_of_large_objects_are_compared_far_beyond_their_boxes():
    # canvas of 64 x 64 cells; boxes of 16 and 32 cells are a quarter and a half of it
    found = losses.margins(boxes((64, 64, 128, 128), (64, 64, 192, 192)), 64, 64)
    assert found[:, 0].numpy() == pytest.approx(np.array([losses.MARGIN, losses.LARGE_MARGIN]))
    wide = losses.box_weights(boxes((64, 64, 192, 192)), 64, 64, 0.5)[0]
    assert wide.sum() == 64 * 64  # 32 cells, half of that and one on either side, as far as there are cells


# Assignment -----------------------------------------------------------------------------------------------------


def test_assignment_only_inside_the_box_and_at_most_top_k():
    points, _ = network.anchor_points(64, 64)
    objects = boxes((0, 0, 64, 64), (20, 20, 28, 28))
    predicted = torch.cat([points - 8, points + 8], 1)
    found = losses.assign(torch.full((1, len(points)), 0.5), predicted[None], points, objects[None])
    for row, box in enumerate(objects):
        mine = points[found.positive[0] & (found.objects[0] == row)]
        assert 1 <= len(mine) <= losses.TOP_K
        assert ((mine > box[:2]) & (mine < box[2:])).all()


def test_assignment_prefers_overlap_and_scores_it():
    # two anchors inside one object; IoU 1 and 1/4, both of score 1: alignments 1 and 4 ** -6
    points = boxes((4, 4), (12, 4))
    predicted = boxes((0, 0, 16, 16), (8, 0, 16, 8))
    found = losses.assign(torch.ones(1, 2), predicted[None], points, boxes((0, 0, 16, 16))[None])
    assert found.positive.tolist() == [[True, True]]
    assert found.targets[0].numpy() == pytest.approx(np.array([1, 4.0**-6]))


def test_assignment_gives_a_contested_anchor_to_the_larger_overlap():
    points = boxes((4, 4))
    objects = boxes((0, 0, 8, 8), (0, 0, 8, 16))
    found = losses.assign(torch.ones(1, 1), boxes((0, 0, 8, 9))[None], points, objects[None])
    assert found.objects.tolist() == [[0]]  # IoU 8/9 against 9/16


def test_pictures_of_a_batch_are_assigned_each_by_itself():
    # one object, none, two: what fills the rows up gets no anchor, and a picture's answers are those it gets alone
    points, _ = network.anchor_points(64, 64)
    rng = torch.Generator().manual_seed(0)
    scores = torch.rand(3, len(points), generator=rng)
    predicted = torch.cat([points - 12, points + 12], 1) + torch.rand(3, len(points), 4, generator=rng)
    objects = [boxes((0, 0, 64, 64)), torch.zeros(0, 4), boxes((8, 8, 40, 32), (20, 20, 44, 44))]
    owners = torch.tensor([0, 2, 2])
    photos, unused = torch.zeros(3, 3, 64, 64), torch.zeros(3)
    batch = data.Batch(photos, torch.cat(objects), unused, unused, owners, torch.zeros(3, 2, 2))
    rows, numbers = losses.padded(batch)
    assert numbers[0, 0] == 0
    assert numbers[2].tolist() == [1, 2]
    found = losses.assign(scores, predicted, points, rows)
    assert not found.positive[1].any()
    for index in (0, 2):
        alone = losses.assign(scores[index][None], predicted[index][None], points, objects[index][None])
        assert torch.equal(found.positive[index], alone.positive[0])
        assert torch.equal(found.objects[index], alone.objects[0])
        assert torch.equal(found.targets[index], alone.targets[0])


def test_anchors_are_drawn_once_and_by_their_shares():
    shares = torch.tensor([[3.0, 1.0, 0.0]]).expand(20000, -1)
    found = losses.drawn(shares, 2, torch.Generator().manual_seed(0))
    assert (found.sort(1).values == torch.tensor([0, 1])).all()  # of share 0 only what is left over
    assert (found[:, 0] == 0).float().mean().item() == pytest.approx(3 / 4, abs=0.01)


def test_anchor_order_and_background_weights_agree():
    # a 64x96 canvas of six 32-px cells; only the last is dense: its anchors, and no others, weigh 1
    background = torch.zeros(1, 2, 3)
    background[0, 1, 2] = 1
    points, _ = network.anchor_points(64, 96)
    inside = (points[:, 0] > 64) & (points[:, 1] > 32)
    assert torch.equal(losses.background_weights(background)[0].bool(), inside)


def test_anchors_of_a_small_canvas():
    points, strides = network.anchor_points(32, 64)
    assert strides.tolist() == [8.0] * 32 + [16.0] * 8 + [32.0] * 2
    assert points[:2].tolist() == [[4, 4], [12, 4]]
    assert points[-1].tolist() == [48, 16]


# Imitation ------------------------------------------------------------------------------------------------------


def raw_answers(seed: int) -> network.Raw:
    """What an untrained network might say of one photo of 64 x 96 pixels."""
    torch.manual_seed(seed)
    points, strides = network.anchor_points(64, 96)
    distances = torch.randn(1, len(points), 4 * network.REG_MAX)
    boxes = network.decode_boxes(distances, points, strides)
    shape = (1, network.COEFFICIENTS, 16, 24)
    return network.Raw(
        distances, torch.randn(1, len(points)), torch.randn(1, len(points), 32), torch.randn(shape), boxes
    )


def test_a_student_that_says_what_its_teacher_says_has_nothing_to_learn():
    teacher = raw_answers(0)
    student = network.Raw(*(part.clone().requires_grad_() for part in teacher))
    terms = imitate.imitation(student, teacher, 64, 96, torch.Generator().manual_seed(0))
    sum(terms.values()).backward()
    assert terms["box"].item() == pytest.approx(0, abs=1e-4)
    assert terms["distribution"].item() == pytest.approx(0, abs=1e-4)
    assert terms["dice"].item() == pytest.approx(0, abs=1e-4)
    for part in (student.distances, student.scores, student.coefficients, student.prototypes):
        assert part.grad.abs().max() < 1e-4


def test_a_student_comes_nearer_to_its_teacher():
    teacher, start = raw_answers(0), raw_answers(1)
    student = network.Raw(*(part.clone().requires_grad_() for part in start))
    optimizer = torch.optim.Adam(student[:4], lr=0.05)
    found = []
    for step in range(30):
        terms = imitate.imitation(student, teacher, 64, 96, torch.Generator().manual_seed(step))
        found.append({name: term.item() for name, term in terms.items()})
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert all(found[-1][name] < found[0][name] for name in imitate.GAINS)


def test_divergence_by_hand():
    # the teacher is sure of bin 3 on every side, the student of nothing: log REG_MAX
    wanted = torch.full((1, 4, network.REG_MAX), -100.0)
    wanted[..., 3] = 0
    found = imitate.divergence(torch.zeros(1, 4 * network.REG_MAX), wanted.flatten(1))
    assert found.item() == pytest.approx(math.log(network.REG_MAX))


# Network and graph ----------------------------------------------------------------------------------------------


def test_folded_norm_is_the_norm():
    torch.manual_seed(1)
    layer = network.ConvNorm(8, 4, 3, 2)
    layer.norm.running_mean.normal_()
    layer.norm.running_var.uniform_(0.5, 2)
    layer.eval()
    x = torch.randn(1, 8, 10, 12)
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1))  # SAME: the odd pixel is after
    wanted = layer.norm(torch.nn.functional.conv2d(padded, layer.conv.weight, stride=2)).relu()
    torch.testing.assert_close(layer(x), wanted, rtol=1e-4, atol=1e-5)


def test_ellipses_follow_their_boxes_wherever_these_lie():
    # 1 - u^2 - v^2 is an ellipse that touches the box's sides; u v and u + 2 v tell the axes apart
    box, height, width = boxes((40, 8, 104, 40)), 64, 128
    kinds = torch.tensor([[1.0, 0, 0, -1, 0, -1], [0, 0, 0, 0, 1, 0], [0, 1, 2, 0, 0, 0]])
    placed = network.placed_ellipses(kinds, box.expand(3, 4), height, width)
    fields = (placed @ network.ellipse_prototypes(height // 4, width // 4).flatten(1)).unflatten(1, (16, 32))
    v, u = ((np.arange(16) * 4 + 2 - 24) / 16)[:, None], ((np.arange(32) * 4 + 2 - 72) / 32)[None]
    for field, wanted in zip(fields.numpy(), (1 - u**2 - v**2, u * v, u + 2 * v), strict=True):
        assert field == pytest.approx(wanted, abs=1e-4)


def test_boxes_are_exact_under_autocast():
    logits = torch.randn(50, 4 * network.REG_MAX, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        found = network.expected_distances(logits)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, network.expected_distances(logits), rtol=1e-6, atol=1e-5)


def test_a_new_training_takes_over_what_still_fits(untrained):
    source = {name: value.clone() for name, value in untrained.state_dict().items()}
    source["prototypes.predict.weight"] = torch.ones(32, 80, 1, 1)  # more rows than today's
    source["heads.0.mask.predict.weight"] = torch.ones(32, 48, 1, 1)  # fewer columns
    other = models.make("nano")
    more = other.heads[0].mask.predict.weight[:, 48:].clone()
    train.take_over(other, source)
    assert (other.prototypes.predict.weight == 1).all()
    assert (other.heads[0].mask.predict.weight[:, :48] == 1).all()
    assert torch.equal(other.heads[0].mask.predict.weight[:, 48:], more)
    assert torch.equal(other.pyramid.up5.squeeze.conv.weight, untrained.pyramid.up5.squeeze.conv.weight)


def test_a_network_comes_back_from_its_file(untrained, tmp_path):
    net = copy.deepcopy(untrained)
    for head in net.heads:  # levels that share convolutions have norms of their own
        torch.nn.init.uniform_(head.box.first.norm.weight, 0.5, 2)
        torch.nn.init.normal_(head.box.first.norm.running_mean)
    (tmp_path / "nano.onnx").write_bytes(
        graph.build(net, "fastsam-nano", export.metadata("nano", 640, 0.25, None), "float32").SerializeToString()
    )
    again = reopen.reopened(tmp_path / "nano.onnx")
    photos = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for found, wanted in zip(again(photos), net(photos), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "far"), [("nano", 0.03), ("small", 0.01)])  # both files compute in int8
def test_the_bundled_files_can_learn_on(name, far):
    path = ROOT / "weights" / f"fastsam-{name}.onnx"
    photo = cv2.imread(str(ROOT / "examples" / "coffee.jpg"))[:384, :576, ::-1]
    batch = np.ascontiguousarray(photo.transpose(2, 0, 1)[None], np.float32) / 255
    said = choose.open_network(path, 1)(batch)[0][0]
    network, head = reopen.reopened_with_head(path)
    again = export.answers(network, head, torch.from_numpy(batch))[0][0]
    sure = said[4] > 0.2
    assert sure.sum() > 50
    assert np.abs(again[4] - said[4])[sure].mean() < far


def test_a_training_has_the_name_of_the_network_that_it_begins_with():
    """The file decided, the name went into the state: hours later there was nothing to export."""
    with pytest.raises(SystemExit, match="holds the small network: --model small, not nano"):
        train.new_network("nano", "cpu", start=ROOT / "weights" / "fastsam-small.onnx")


@pytest.mark.parametrize("stored", ["float32", "float16", "int8"])
def test_the_small_network_comes_back_from_its_file(small, stored, tmp_path):
    (tmp_path / "small.onnx").write_bytes(graph.build(small, "fastsam-small", {}, stored).SerializeToString())
    again = reopen.reopened(tmp_path / "small.onnx")
    once_more = graph.build(again, "fastsam-small", {}, stored)
    (tmp_path / "again.onnx").write_bytes(once_more.SerializeToString())
    photos = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    for found, wanted in zip(
        *(choose.open_network(tmp_path / name, 1)(photos) for name in ("again.onnx", "small.onnx")), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=2e-3)


def test_a_file_of_another_network_is_named(tmp_path):
    with pytest.raises(SystemExit, match="holds 'decoder'; tools/train draws nano, small"):
        reopen.reopened(other_file(tmp_path, "decoder"))
    with pytest.raises(SystemExit, match="is not the nano network that this code draws"):
        reopen.reopened(other_file(tmp_path, "fastsam-nano"))


def other_file(folder: Path, name: str) -> Path:
    path = folder / f"{name}.onnx"
    values = nodes.Graph(name, "float32")
    values.rename(values.add("Relu", "x"), "y")
    path.write_bytes(values.model({"x": [1]}, {"y": [1]}, {}).SerializeToString())
    return path


def test_frozen_blocks_get_no_gradient_and_the_others_do(untrained):
    net = models.make("nano").train()
    for module in net.backbone.frozen():
        module.requires_grad_(False)
    raw = net(torch.rand(2, 3, 64, 64))
    (raw.scores.sum() + raw.distances.sum() + raw.coefficients.sum() + raw.prototypes.sum()).backward()
    frozen = {id(p) for module in net.backbone.frozen() for p in module.parameters()}
    for name, parameter in net.named_parameters():
        assert (parameter.grad is None) == (id(parameter) in frozen), name


@pytest.mark.parametrize(("stored", "box", "rest"), [("float32", 0.01, 1e-4), ("float16", 0.5, 0.02)])
def test_graph_says_what_pytorch_says(untrained, stored, box, rest):
    model = graph.build(untrained, "fastsam-nano", export.metadata("nano", 640, 0.25, None), stored)
    found = export.differences(model.SerializeToString(), untrained)
    worst_box, worst_rest = (max(values) for values in zip(*found, strict=True))
    assert worst_box < box
    assert worst_rest < rest


@pytest.mark.parametrize(("stored", "box", "rest"), [("float32", 0.01, 1e-4), ("int8", 1.0, 0.2)])
def test_graph_of_the_small_network_says_what_pytorch_says(small, stored, box, rest):
    model = graph.build(small, "fastsam-small", export.metadata("small", 640, None, None), stored)
    found = export.differences(model.SerializeToString(), small)
    worst_box, worst_rest = (max(values) for values in zip(*found, strict=True))
    assert worst_box < box
    assert worst_rest < rest


def test_a_file_of_int8_weights_stores_shared_ones_once(small):
    # three heads have one set of 3 x 3 convolutions, each with norms of its own: 230,000 weights that are not repeated
    parameters = sum(parameter.numel() for parameter in small.parameters())
    size = len(graph.build(small, "fastsam-small", {}, "int8").SerializeToString())
    assert parameters < size < parameters + 450_000


def test_distances_of_a_window_are_those_of_rows_and_columns():
    # tokens (0,0), (0,1), (1,0), (1,1); number 2 |dy| + |dx|
    assert encoder.window_distances(2).tolist() == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


def test_windows_do_not_see_each_other():
    torch.manual_seed(0)
    block = encoder.Block(64, 7).eval()
    x = torch.randn(1, 10, 16, 64)  # 2 x 3 windows, the lower and the right ones filled up
    with torch.no_grad():
        whole = block.attended(x)
        alone = block.attended(x[:, :7, 7:14])
        filled = block.attended(torch.nn.functional.pad(x[:, 7:, 14:], (0, 0, 0, 5, 0, 4)))
    torch.testing.assert_close(whole[:, :7, 7:14], alone)
    torch.testing.assert_close(whole[:, 7:, 14:], filled[:, :3, :2])


def test_choosing_and_exporting_lift_masks_alike(untrained):
    photo = np.random.default_rng(0).random((1, 3, 64, 96), np.float32)
    state = {"mean": untrained.state_dict()}

    def logits(net: network.SegmentEverything, lift: tuple[float, float]) -> np.ndarray:
        with torch.no_grad():
            raw = net(torch.from_numpy(photo))
        outputs = train.candidates(raw).numpy(), raw.prototypes.numpy()
        candidates, prototypes = choose.lifted(lambda _: outputs, *lift)(photo)
        return np.einsum("ka,khw->ahw", candidates[0, 5:], prototypes[0])

    plain, chosen, exported = (
        logits(export.load_mean(state, *baked), added)
        for baked, added in (((0, 0), (0, 0)), ((0, 0), (0.3, 0.7)), ((0.3, 0.7), (0, 0)))
    )
    assert chosen == pytest.approx(exported, abs=0.01)
    assert (chosen - plain).max() == pytest.approx(0.3 + 0.7, abs=0.1)  # in the middle of a box


def test_graph_keeps_the_contract(untrained):
    model = graph.build(untrained, "fastsam-nano", export.metadata("nano", 512, 0.25, None), "int8").SerializeToString()
    assert len(model) <= export.LARGEST_FILE
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (images,) = session.get_inputs()
    assert (images.name, images.shape, images.type) == (
        "images",
        ["batch", 3, "height", "width"],
        "tensor(float)",
    )
    output0, output1 = session.run(None, {"images": np.zeros((2, 3, 64, 96), np.float32)})
    assert output0.shape == (2, 37, 8 * 12 + 4 * 6 + 2 * 3)
    assert output1.shape == (2, 32, 16, 24)
    assert ((output0[:, 4] >= 0) & (output0[:, 4] <= 1)).all()
    props = session.get_modelmeta().custom_metadata_map
    assert props["task"] == "segment"
    assert props["stride"] == "32"
    assert props["names"] == "{0: 'object'}"
    assert json.loads(props["imgsz"]) == [512, 512]
    assert props["conf"] == "0.25"
    assert "iou" not in props


def test_the_same_network_gives_the_same_bytes(untrained):
    one, two = (
        graph.build(untrained, "fastsam-nano", export.metadata("nano", 640, None, None), "float16").SerializeToString()
        for _ in range(2)
    )
    assert one == two


# Data -----------------------------------------------------------------------------------------------------------


def test_run_lengths_of_coco():
    # 3x4 with runs 1, 2, 3, 6 down the columns. Runs from the third on are stored as the difference to the one
    # two before: 1, 2, 3, 6 - 2 = 4; each below 16, so one character of 48 + value
    wanted = np.array([0, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1, 1], np.uint8).reshape(4, 3).T
    assert (data.decode_rle([3, 4], "1234") == wanted).all()


def test_run_lengths_of_coco_with_long_and_negative_values():
    # runs 40, 50, 3, 7: 40 = 8 + 32 * 1 -> chr(48 + 8 + 32) + chr(48 + 1); 50 -> 18, 1; 3; 7 - 50 = -43:
    # -43 & 31 = 21 with more to come, then -43 >> 5 = -2 -> & 31 = 30 (sign bit 16 set)
    text = "".join(map(chr, (48 + 8 + 32, 49, 48 + 18 + 32, 49, 51, 48 + 21 + 32, 48 + 30)))
    flat = data.decode_rle([10, 10], text).T.ravel()
    assert np.flatnonzero(np.diff(flat.astype(int))).tolist() == [39, 89, 92]


def square_photo() -> data.Photo:
    """A grey photo 64 wide, 48 high with a white square at x 16..32, y 8..24 that is its one object."""
    pixels = np.full((48, 64, 3), 60, np.uint8)
    pixels[8:24, 16:32] = 255
    mask = np.zeros((48, 64), np.uint8)
    mask[8:24, 16:32] = 1
    return data.Photo("square_1.jpg", pixels, background=1.0, masks=(data.crop_mask(mask),))


@pytest.mark.parametrize("mirror", [False, True])
def test_photo_box_and_mask_stay_together(mirror):
    # scale 2 and a shift of (4, 12); mirrored: x -> 132 - 2x
    at = data.Placement(-2.0 if mirror else 2.0, 2.0, 132.0 if mirror else 4.0, 12.0, 128, 160)
    example = data.place(square_photo(), at, 1.0)
    x1, x2 = (68, 100) if mirror else (36, 68)
    assert example.boxes.tolist() == [[x1, 28, x2, 60]]
    white = example.pixels[..., 0] > 157
    assert np.flatnonzero(white.any(0))[[0, -1]].tolist() == [x1, x2 - 1]
    assert np.flatnonzero(white.any(1))[[0, -1]].tolist() == [28, 59]
    mask = example.masks[0] > 127
    assert np.flatnonzero(mask.any(0))[[0, -1]].tolist() == [x1 // 4, x2 // 4 - 1]
    assert np.flatnonzero(mask.any(1))[[0, -1]].tolist() == [7, 14]


def test_an_object_cut_by_the_canvas_has_a_tight_box():
    # shifted left by 24 photo pixels: only x 24..32 of the square is left, at 0..8 of the canvas
    example = data.place(square_photo(), data.Placement(1.0, 1.0, -24.0, 0.0, 32, 32), 1.0)
    assert example.boxes.tolist() == [[0, 8, 8, 24]]


def test_a_mosaic_puts_objects_and_backgrounds_in_their_tiles():
    at = data.Placement(1.0, 1.0, 0.0, 0.0, 32, 64)
    tiles = [data.place(square_photo(), at, weight) for weight in (1.0, 0.1, 0.2, 0.3)]
    whole = data.mosaic(tiles, 32, 64)
    assert whole.pixels.shape == (64, 128, 3)
    assert whole.boxes[:, :2].tolist() == [[16, 8], [80, 8], [16, 40], [80, 40]]
    assert whole.background == pytest.approx(np.array([[1, 1, 0.1, 0.1], [0.2, 0.2, 0.3, 0.3]]))
    centres = [np.argwhere(mask > 127).mean(0).tolist() for mask in whole.masks]
    assert centres == [[3.5, 5.5], [3.5, 21.5], [11.5, 5.5], [11.5, 21.5]]


def test_a_batch_is_a_function_of_seed_and_step():
    photos = [square_photo()] * 3
    one, two, other = (
        sampler.Sampler(photos, seed, pixels=2 * 256 * 256, canvases=(256,)).batch(7) for seed in (0, 0, 1)
    )
    assert torch.equal(one.photos, two.photos)
    assert torch.equal(one.boxes, two.boxes)
    assert one.photos.shape != other.photos.shape or not torch.equal(one.photos, other.photos)


def test_a_canvas_without_a_short_side_is_refused_before_anything_is_read(monkeypatch, capsys):
    """It ended the training with a bare KeyError, at a random step."""
    monkeypatch.setattr(sys, "argv", ["train", "--data", "data", "--out", "out", "--canvases", "640", "600"])
    with pytest.raises(SystemExit):
        train.arguments()
    assert "--canvases" in capsys.readouterr().err


def test_batches_made_ahead_are_the_same():
    maker = sampler.Sampler([square_photo()] * 3, 0, pixels=2 * 256 * 256, canvases=(256,))
    here, ahead = (list(train.batches(maker, 5, 8, workers)) for workers in (0, 2))
    assert len(here) == len(ahead) == 3
    assert all(torch.equal(a.photos, b.photos) for a, b in zip(here, ahead, strict=True))
    assert all(torch.equal(a.masks, b.masks) for a, b in zip(here, ahead, strict=True))
    assert all(torch.equal(a.owners, b.owners) for a, b in zip(here, ahead, strict=True))


def test_sampling_honours_the_weights_of_prefixes():
    names = ["bsds_1.jpg"] * 3 + ["ccp_1.jpg", "ccp2_1.jpg"] + ["wh_1.jpg"]
    photos = [data.Photo(name, np.zeros((1, 1, 3), np.uint8), True, ()) for name in names]
    # bsds 3, ccp (both copies) 1, others 2, of 6
    wanted = np.array([1 / 6] * 3 + [1 / 12] * 2 + [2 / 6])
    assert data.sampling_weights(photos) == pytest.approx(wanted)


def test_photos_that_only_the_teacher_labelled_have_shares_of_their_own():
    blank = np.zeros((1, 1, 3), np.uint8)
    folders = ["train_labelled", "train_unlabelled", "train_photos640", "train_photos640"]
    photos = [data.Photo(f"ade_{n}.jpg", blank, 1.0, (), folder) for n, folder in enumerate(folders)]
    # three quarters are people's; of the rest two and three fifths
    assert data.sampling_weights(photos, 0.25) == pytest.approx(np.array([0.75, 0.1, 0.075, 0.075]))


# Validation -----------------------------------------------------------------------------------------------------


def test_recall_matches_each_object_once():
    # both detections fit object 0 best; the second may take object 1 only where it overlaps it enough
    overlaps = np.array([[0.92, 0.0], [0.81, 0.62]])
    counts = validate.recall(overlaps)
    # at 0.50 and 0.55, 0.60: both objects; up to 0.90: one; at 0.95: none
    assert counts.tolist() == [2, 2, 2, 1, 1, 1, 1, 1, 1, 0]


def test_figures_by_hand():
    # three detections, two objects; above 0.15 only the first two count
    photo = validate.Examined(
        scores=np.array([0.9, 0.2, 0.1]),
        masks=np.array([[0.92, 0.0], [0.0, 0.52], [0.0, 0.97]]),
        boxes=np.array([[0.9, 0.1], [0.2, 0.6], [0.1, 0.7]]),
    )
    all_three, two = validate.figures([photo]), validate.figures([photo], conf=0.15)
    # object 0 is found at 9 of 10 thresholds, object 1 at all 10, without the third at 1
    assert all_three["AR@100"] == pytest.approx(100 * (9 + 10) / 20)
    assert two["AR@100"] == pytest.approx(100 * (9 + 1) / 20)
    assert all_three["box"] == pytest.approx(100 * (0.92 + 0.97) / 2)
    assert two["box"] == pytest.approx(100 * (0.92 + 0.52) / 2)
    assert (all_three["found"], two["found"]) == (3, 2)
    nothing = validate.figures([photo], conf=0.95)
    assert nothing["AR@10"] == nothing["box"] == nothing["found"] == 0


def test_detect_finds_the_photo_again_under_letterbox():
    # a network that says one box (in canvas pixels) whose prototypes are positive in its left half
    photo = np.zeros((60, 100, 3), np.uint8)  # at size 128: scale 1.28, 77x128 padded to 96x128, top 9

    def run(canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert canvas.shape == (1, 3, 96, 128)
        candidates = np.zeros((1, 37, 2), np.float32)
        candidates[0, :5, 0] = [64, 48, 64, 32, 0.9]
        candidates[0, 5, 0] = 1
        prototypes = np.full((1, 32, 24, 32), -1, np.float32)
        prototypes[0, 0, :, :16] = 1
        return candidates, prototypes

    found = validate.detect(run, photo, 128, conf=0.5, iou=0.9, most=10)
    assert found.boxes[0] == pytest.approx(np.array([32, 32 - 9, 96, 64 - 9]) / 1.28)
    left, top, mask = found.crops[0]
    assert (left, top) == (25, 18)
    assert mask.shape == (43 - 18, 75 - 25)
    assert np.flatnonzero(mask.any(0))[-1] + left == 49  # the left half of the canvas is the left half of the photo


# Training -------------------------------------------------------------------------------------------------------


def shapes_photo(seed: int) -> data.Photo:
    """A photo of three plain shapes on a plain ground."""
    rng = np.random.default_rng(seed)
    pixels = np.full((128, 128, 3), rng.integers(0, 90, 3), np.uint8)
    masks = []
    for corner in ((8, 8), (70, 10), (30, 70)):
        mask = np.zeros((128, 128), np.uint8)
        size = int(rng.integers(30, 50))
        cv2.ellipse(mask, ((corner[0] + size / 2, corner[1] + size / 2), (size, size * 0.7), 30), 1, -1)
        pixels[mask > 0] = rng.integers(120, 255, 3)
        masks.append(data.crop_mask(mask))
    return data.Photo(f"shapes_{seed}.jpg", pixels, 1.0, tuple(masks))


def floats(terms: dict[str, torch.Tensor]) -> dict[str, float]:
    """What a step says, as numbers."""
    return {name: float(value) for name, value in terms.items()}


def test_eight_pictures_are_learnt_and_training_can_go_on(tmp_path):
    torch.set_num_threads(1)  # two threads that wait for each other on a busy machine are ten times slower
    torch.manual_seed(0)
    examples = [data.place(shapes_photo(k), data.Placement(0.5, 0.5, 0, 0, 64, 64), 1.0) for k in range(8)]
    batch = data.Batch.of(examples)
    training = train.Training(models.make("nano"), 2e-3, 0.0, "cpu")
    training.step = train.WARM_UP  # no warm-up
    history = [floats(training.learn(batch, 0.0)) for _ in range(30)]
    for name in ("score", "box", "distribution", "mask", "dice"):
        assert history[-1][name] < 0.75 * history[0][name], name

    path = tmp_path / "state.pt"
    train.save(path, training.state({"rate": "0.002"}))
    again = train.Training(models.make("nano"), 2e-3, 0.0, "cpu")
    again.resume(path)
    assert again.step == training.step
    assert floats(again.learn(batch, 0.5)) == pytest.approx(floats(training.learn(batch, 0.5)), rel=0.05)


def test_learning_rate_warms_up_and_ends_low():
    assert train.rate_at(0, 0) == pytest.approx(1 / train.WARM_UP)
    assert train.rate_at(0, train.WARM_UP) == pytest.approx(1)
    assert train.rate_at(0.5, 10**6) == pytest.approx((1 + train.FINAL_RATE) / 2)
    assert train.rate_at(1, 10**6) == pytest.approx(train.FINAL_RATE)


# ---------------------------------------------------------------- composition


def plain(boxes, height=64, width=96):
    """A grey example whose objects are rectangles on whole prototype cells (4 pixels)."""
    masks = np.zeros((len(boxes), height // 4, width // 4), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[y1 // 4 : y2 // 4, x1 // 4 : x2 // 4] = 255
    pixels = np.full((height, width, 3), 114, np.uint8)
    trusts = np.ones(len(boxes), np.float32)
    return data.Example(pixels, np.array(boxes, np.float32), masks, trusts, np.ones((2, 3), np.float32))


def test_what_is_pasted_hides_what_lies_beneath():
    """32 x 32 pixels on the right half of 64 x 32 leave the left half; the other object is untouched."""
    example = plain([(8, 8, 72, 40), (8, 44, 40, 60)])
    what = compose.CutOut(np.full((32, 32, 3), 200, np.uint8), np.full((32, 32), 255, np.uint8), trust=0.5)
    pasted = compose.covered(example, what, 40, 8)
    assert pasted.trusts.tolist() == [1, 1, 0.5]
    assert pasted.boxes.tolist() == [[8, 8, 40, 40], [8, 44, 40, 60], [40, 8, 72, 40]]
    assert [int((mask > 127).sum()) for mask in pasted.masks] == [64, 32, 64]
    assert not (pasted.masks[0] & pasted.masks[2]).any()
    assert (pasted.pixels[8:40, 40:72] == 200).all()
    assert int((pasted.pixels == 200).sum()) == 32 * 32 * 3
    assert (example.pixels == 114).all(), "the example itself stays as it is"


def test_objects_of_which_little_is_left_are_no_longer_asked_for():
    """24 of 32 columns are covered: a quarter is left, less than LEAST_LEFT."""
    example = plain([(8, 8, 40, 40)])
    what = compose.CutOut(np.zeros((32, 24, 3), np.uint8), np.full((32, 24), 255, np.uint8))
    pasted = compose.covered(example, what, 16, 8)
    assert pasted.trusts.tolist() == [1]
    assert pasted.boxes.tolist() == [[16, 8, 40, 40]]


def test_a_cut_out_is_the_object_of_the_photo():
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 20:50] = 1
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[10:30, 20:50] = 90
    photo = data.Photo("a", pixels, 1.0, (data.crop_mask(mask),))
    what = compose.cut_out(photo, photo.masks[0])
    assert what.alpha.shape == (20, 30)
    assert (what.alpha == 255).all()
    assert (what.pixels == 90).all()


@pytest.mark.parametrize("seed", range(20))
def test_pasted_pictures_have_boxes_around_their_masks(seed):
    """A box on the canvas for each mask, at most two cells (8 px) larger: slim ends fill less than half a cell."""
    rng = np.random.default_rng(seed)
    example = plain([(8, 8, 72, 40), (8, 44, 40, 60)])
    photo = data.Photo("a", rng.integers(0, 256, (80, 100, 3), np.uint8), 1.0, ())
    for _ in range(6):
        example = compose.paste(example, compose.textured_shape(photo, rng), rng)
    assert len(example.boxes) == len(example.masks)
    for box, mask in zip(example.boxes, example.masks, strict=True):
        assert box.min() >= 0
        assert (box[2:] <= (96, 64)).all()
        np.testing.assert_allclose(compose.extent(mask) * 4, box, atol=9)
