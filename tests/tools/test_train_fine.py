"""The head for small objects of tools/train: what it is asked for, and that the file says what it says.

Skipped where PyTorch is not installed: the package itself never needs it.
"""

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
torch = pytest.importorskip("torch", reason="tools/train needs PyTorch, which the package does not")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from tools.train import beside, data, export, graph, models, reopen, train  # noqa: E402
from tools.train.fine import network  # noqa: E402
from tools.train.fine import train as fine_train  # noqa: E402


@pytest.fixture(scope="module")
def whole():
    torch.manual_seed(0)
    return models.make("nano").eval()


@pytest.fixture(scope="module")
def head(whole):
    torch.manual_seed(1)
    return network.Fine(whole.prototypes.predict.in_channels).eval()


def dots_photo(seed: int) -> data.Photo:
    """A photo of four light dots and one large square on a dark ground."""
    rng = np.random.default_rng(seed)
    pixels, masks = np.full((128, 128, 3), 40, np.uint8), []
    for corner in ((12, 12), (60, 8), (100, 40), (90, 100)):
        mask = np.zeros((128, 128), np.uint8)
        cv2.circle(mask, (corner[0] + int(rng.integers(6)), corner[1] + int(rng.integers(6))), 7, 1, -1)
        masks.append(mask)
    square = np.zeros((128, 128), np.uint8)
    square[60:124, 8:72] = 1
    for mask in (*masks, square):
        pixels[mask > 0] = rng.integers(150, 255, 3)
    return data.Photo(f"dots_{seed}.jpg", pixels, 1.0, tuple(data.crop_mask(mask) for mask in (*masks, square)))


def batch_of(count: int) -> data.Batch:
    at = data.Placement(1, 1, 0, 0, 128, 128)
    return data.Batch.of([data.place(dots_photo(seed), at, 1.0) for seed in range(count)])


def test_cells_lie_in_the_middle_of_four_pixels():
    assert network.centres(2, 3, 4).tolist() == [[2, 2], [6, 2], [10, 2], [2, 6], [6, 6], [10, 6]]


def test_large_objects_are_not_asked_for():
    side = fine_train.LARGEST
    boxes = torch.tensor([[4.0, 4.0, 4 + side, 10.0], [4.0, 4.0, 5 + side, 10.0], [4.0, 4.0, 10.0, 5 + side]])
    assert fine_train.small_only(boxes).tolist() == [boxes[0].tolist(), [0] * 4, [0] * 4]


def test_every_small_object_and_no_other_has_cells_that_answer_for_it(head):
    batch = batch_of(2)
    said = network.Answers(
        torch.zeros(2, 32 * 32), network.centres(32, 32, 4).repeat(2, 1, 2).view(2, -1, 4), torch.zeros(2, 32 * 32, 32)
    )
    said.boxes[..., :2] -= 8
    said.boxes[..., 2:] += 8
    objects = fine_train.small_only(batch.boxes.view(2, 5, 4))
    found = fine_train.assigned(said, objects, torch.Size((32, 32)))
    for row in range(2):
        assert set(found.objects[row][found.positive[row]].tolist()) == {0, 1, 2, 3}
        x, y = network.centres(32, 32, 4)[found.positive[row]].T
        x1, y1, x2, y2 = objects[row][found.objects[row][found.positive[row]]].T
        assert ((x > x1) & (x < x2) & (y > y1) & (y < y2)).all()


def test_photos_without_small_objects_teach_that_there_are_none(whole):
    photo = data.Photo("empty.jpg", np.full((128, 128, 3), 90, np.uint8), 1.0, ())
    batch = data.Batch.of([data.place(photo, data.Placement(1, 1, 0, 0, 128, 128), 1.0)])
    training = fine_train.Training(whole, None, 2e-3)
    terms = training.learn(batch, 0.0)
    assert set(terms) == {"score"}
    assert terms["score"] > 0


def test_dots_are_learnt_and_the_network_stays_as_it_is(whole, tmp_path):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    training, batch = fine_train.Training(whole, None, 4e-3), batch_of(2)
    training.step = beside.WARM_UP  # no warm-up
    history = [training.learn(batch, 0.0) for _ in range(60)]
    for name in ("score", "box", "dice"):
        assert history[-1][name] < 0.75 * history[0][name], name
    assert all(torch.equal(value, before[name]) for name, value in whole.state_dict().items())

    train.save(tmp_path / "state.pt", training.state({}))
    again = fine_train.Training(whole, None, 4e-3)
    again.resume(tmp_path / "state.pt")
    assert again.step == training.step


@pytest.mark.parametrize("name", models.NAMES)
def test_the_file_says_what_network_and_head_say(name):
    torch.manual_seed(2)
    net = models.make(name).eval()
    head = network.Fine(net.prototypes.predict.in_channels).eval()
    data = graph.build(net, name, {}, "float32", head).SerializeToString()
    worst_box, worst_rest = (max(values) for values in zip(*export.differences(data, net, head), strict=True))
    assert worst_box < 0.01
    assert worst_rest < 1e-3


def test_small_objects_are_told_later_and_nothing_else_changes(whole, head):
    maps = torch.rand(1, whole.prototypes.predict.in_channels, 8, 8)
    with torch.no_grad():
        learned, exported = head(maps), export.load_fine({"mean": head.state_dict()}, whole)(maps)
    assert torch.allclose(exported.scores, learned.scores - export.SMALL_LOWER)
    assert torch.equal(exported.boxes, learned.boxes)
    assert torch.equal(exported.coefficients, learned.coefficients)


def test_the_heads_candidates_come_after_the_others(whole, head):
    photos = np.random.default_rng(0).random((2, 3, 64, 96), np.float32)
    without, with_head = (
        onnxruntime.InferenceSession(
            graph.build(whole, "nano", {}, "float32", fine).SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, {"images": photos})
        for fine in (None, head)
    )
    count = without[0].shape[2]
    assert with_head[0].shape == (2, 37, count + 16 * 24)
    np.testing.assert_allclose(with_head[0][..., :count], without[0], atol=1e-4)
    np.testing.assert_array_equal(with_head[1], without[1])


def test_network_and_head_come_back_from_their_file(whole, head, tmp_path):
    path = tmp_path / "nano.onnx"
    path.write_bytes(graph.build(whole, "fastsam-nano", {}, "float32", head).SerializeToString())
    photos = torch.rand(1, 3, 64, 96)
    again = export.answers(*reopen.reopened_with_head(path), photos)
    for found, wanted in zip(again, export.answers(whole, head, photos), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_the_bundled_heads_learn_on_with_the_scores_that_they_had(whole, head, tmp_path):
    lowered = copy.deepcopy(head)
    with torch.no_grad():
        lowered.predict.bias[network.SCORE] -= export.SMALL_LOWER  # as export.load_fine does
    path = tmp_path / "nano.onnx"
    path.write_bytes(graph.build(whole, "fastsam-nano", {}, "float32", lowered).SerializeToString())
    again = fine_train.first_head(path)
    torch.testing.assert_close(again.predict.bias, head.predict.bias)
    assert not fine_train.Training(whole, again, 2e-3).network.training  # its norms lie folded in: they stay still


def test_a_network_that_learned_on_gets_the_head_of_its_file_as_it_is(whole, head, tmp_path):
    """Lowered once, not once more with every export."""
    exported = export.load_fine({"mean": head.state_dict()}, whole)
    path = tmp_path / "nano.onnx"
    path.write_bytes(graph.build(whole, "fastsam-nano", {}, "float32", exported).SerializeToString())
    path.with_suffix(".json").write_text('{"recipe": {"fine": {"steps": 7, "minutes": 1.5, "device": "cpu"}}}')
    state = export.read_fine(path)
    assert (state["step"], state["spent"]) == (7, 90)
    again = export.load_fine(state, whole)
    torch.testing.assert_close(again.predict.bias, exported.predict.bias)


def test_a_file_without_a_head_is_named(whole, tmp_path):
    path = tmp_path / "nano.onnx"
    path.write_bytes(graph.build(whole, "fastsam-nano", {}, "float32").SerializeToString())
    with pytest.raises(SystemExit, match=r"nano\.onnx has no head for small objects"):
        fine_train.first_head(path)


def file_of(**weights: list[float]) -> bytes:
    """A file of initializers alone."""
    tensors = [onnx.numpy_helper.from_array(np.array(values, np.int8), name) for name, values in weights.items()]
    return onnx.helper.make_model(onnx.helper.make_graph([], "weights", [], [], tensors)).SerializeToString()


def test_a_head_does_not_change_how_the_others_are_rounded():
    made = export.with_rounding_of(file_of(first=[1, 2]), file_of(first=[1, 3], head=[4]))
    found = {
        each.name: onnx.numpy_helper.to_array(each).tolist() for each in onnx.load_from_string(made).graph.initializer
    }
    assert found == {"first": [1, 2], "head": [4]}


@pytest.mark.parametrize("plain", [{"first": [1, 2, 3]}, {"first": [1, 2], "second": [1]}])
def test_files_of_different_networks_are_not_mixed(plain):
    with pytest.raises(SystemExit):
        export.with_rounding_of(file_of(**plain), file_of(first=[1, 2], head=[4]))
