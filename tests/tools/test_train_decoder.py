"""The decoder's training: what it is asked, what it loses, and the file that it becomes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.tiny_onnx import tiny, ultralytics_metadata

torch = pytest.importorskip("torch", reason="PyTorch, of the train group, is not installed")

from fastsam_onnx import FastSAM, Mask  # noqa: E402
from fastsam_onnx.masks.views import COARSE, SIDE, SURE_LOGIT, View  # noqa: E402
from fastsam_onnx.network.letterbox import Letterbox  # noqa: E402
from tools.train import manifest  # noqa: E402
from tools.train.decoder import corrections, data, export, train  # noqa: E402
from tools.train.decoder.network import BLOCKS, MAPS, Decoder  # noqa: E402
from tools.train.train import is_still  # noqa: E402

LETTERBOX = Letterbox.fit((192, 192), (192, 192), stride=32)


def learned(seed=0, blocks=BLOCKS):
    """A decoder whose norms and levels are those of some inputs."""
    torch.manual_seed(seed)
    network = Decoder(blocks).train()
    for _ in range(3):
        network(torch.rand(4, 3, SIDE, SIDE), 3 * torch.randn(4, MAPS, COARSE, COARSE) + 1)
    return network.eval()


def square(low, high):
    dense = np.zeros((192, 192), bool)
    dense[low:high, low:high] = True
    return Mask.from_dense(dense)


def scene():
    """A photo with two nested squares that people drew, and what a tiny network says of it."""
    image = np.zeros((192, 192, 3), np.uint8)
    image[60:130, 60:130] = 200
    with FastSAM(tiny(metadata=ultralytics_metadata(imgsz=(192, 192)))) as model:
        found = data.slim(model(image, conf=0.9).candidates)
    return data.Scene(image, found, [square(60, 130), square(40, 150)], 2)


def test_the_graph_is_the_network():
    network = learned()
    graph = export.build(export.fold_levels(learned())).SerializeToString()
    assert export.apart(graph, network) < 1e-4


def test_a_decoder_may_have_more_blocks_or_fewer(tmp_path):
    path, state, blocks = tmp_path / "tiny.onnx", tmp_path / "state.pt", (1, 0, 2, 1)
    path.write_bytes(tiny(metadata=ultralytics_metadata()))
    export.put(path, export.build(export.fold_levels(learned(blocks=blocks))).SerializeToString())
    torch.save({"mean": learned(blocks=blocks).state_dict()}, state)
    for network in (train.first_decoder(path), train.first_decoder(state)):
        assert network.blocks == blocks
    mean = export.load_mean([torch.load(state, weights_only=True)])
    torch.testing.assert_close(mean.state_dict(), learned(blocks=blocks).state_dict())


def test_a_file_of_before_is_refused(tmp_path):
    """Its graph was another, and did not say how many blocks it has."""
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny(metadata=ultralytics_metadata()))
    decoder = export.build(export.fold_levels(learned()))
    del decoder.metadata_props[:]
    export.put(path, decoder.SerializeToString())
    with pytest.raises(SystemExit, match="does not state its blocks"):
        export.reopened(path)


def test_of_several_states_the_mean_is_taken():
    states = [{"mean": learned(seed).state_dict()} for seed in (0, 1)]
    mean = export.load_mean(states)
    wanted = (learned(0).mask.weight + learned(1).mask.weight) / 2
    torch.testing.assert_close(mean.mask.weight, wanted)
    torch.testing.assert_close(export.load_mean(states[:1]).mask.weight, learned(0).mask.weight)


def test_the_decoder_in_bytes_draws_what_the_exact_one_draws():
    """A decoder of random weights, on random questions: calibrated on some, compared on others."""
    exact, rng = export.build(export.fold_levels(learned())), np.random.default_rng(0)
    shapes = {"photo": (1, 3, SIDE, SIDE), "maps": (1, MAPS, COARSE, COARSE)}
    asked = [{name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(12)]
    made = export.integer(exact, asked[:8])
    overlap, apart = export.agreement(exact.SerializeToString(), made, asked[8:])
    assert len(made) < 0.4 * len(exact.SerializeToString())
    assert overlap > 0.9
    assert apart < 0.01


def test_the_file_keeps_its_network_and_gets_the_decoder(tmp_path):
    path, image = tmp_path / "tiny.onnx", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path.write_bytes(tiny(metadata=ultralytics_metadata() | {"conf": "0.05", "refine": "True"}))
    with FastSAM(path) as model:
        before = model(image)
    network = export.fold_levels(learned())
    network.mask.bias.data += 100  # it draws everything
    export.put(path, export.build(network).SerializeToString())
    with FastSAM(path) as model:
        after = model(image)
        assert model.contract.metadata.decoder is not None
    np.testing.assert_array_equal(after.masks.dense(), before.masks.dense())
    assert len(before)
    box = before.boxes[0].round()
    assert after.box_prompt(box).areas.tolist() == [(box[2] - box[0]) * (box[3] - box[1])]


@pytest.mark.parametrize("in_bytes", [False, True])
def test_a_decoder_comes_back_from_its_networks_file(in_bytes, tmp_path):
    exact, rng = export.build(export.fold_levels(learned())), np.random.default_rng(0)
    shapes = {"photo": (1, 3, SIDE, SIDE), "maps": (1, MAPS, COARSE, COARSE)}
    asked = [{name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(8)]
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny(metadata=ultralytics_metadata()))
    export.put(path, export.integer(exact, asked) if in_bytes else exact.SerializeToString())
    again = export.build(export.reopened(path)).SerializeToString()
    overlap, apart = export.agreement(exact.SerializeToString(), again, asked)
    assert overlap > (0.9 if in_bytes else 0.9999)
    assert apart < (0.01 if in_bytes else 1e-5)


def test_what_began_with_a_networks_file_keeps_its_norms_still_for_good(tmp_path):
    """They lie folded in: with statistics of its own a further training would begin with another network."""
    path, state = tmp_path / "tiny.onnx", tmp_path / "state.pt"
    path.write_bytes(tiny(metadata=ultralytics_metadata()))
    export.put(path, export.build(export.fold_levels(learned())).SerializeToString())
    for start, still in ((None, False), (path, True)):
        assert is_still(start) == still
        first = train.Training(train.first_decoder(start), 1e-3, still=still)
        torch.save(first.state({}), state)
        assert is_still(state) == still
        gone_on = train.Training(Decoder(), 1e-3, still=not still)
        gone_on.resume(state)
        assert [gone_on.still, gone_on.network.training] == [still, not still]


def test_a_networks_file_is_a_state_with_the_trainings_behind_it(tmp_path):
    path, state = tmp_path / "tiny.onnx", tmp_path / "state.pt"
    path.write_bytes(tiny(metadata=ultralytics_metadata()))
    data = export.put(path, export.build(export.fold_levels(learned())).SerializeToString())
    path.with_suffix(".json").write_text("{}")
    went_on = {"start": "weights/other.onnx"}
    manifest.note(path.with_suffix(".json"), data, decoder={"trainings": [{"steps": 7, "minutes": 0.5}]})
    torch.save({"mean": export.reopened(path).state_dict(), "step": 3, "spent": 60.0, "options": went_on}, state)
    states = [export.read_state(each) for each in (path, state)]
    assert [one["trainings"] for one in states] == [
        [{"steps": 7, "minutes": 0.5}],
        [{"steps": 3, "minutes": 1.0, "start": "other.onnx"}],
    ]
    mean = export.load_mean(states)
    torch.testing.assert_close(mean.mask.weight, learned().mask.weight, msg="of two equal ones")


def test_a_file_without_a_decoder_is_named(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny(metadata=ultralytics_metadata()))
    with pytest.raises(SystemExit, match=r"tiny\.onnx has no decoder"):
        export.reopened(path)


def test_a_box_is_answered_by_its_mask():
    one = data.prompt(scene(), np.array([60.0, 60, 130, 130]), square(60, 130), square(60, 130))
    view = View.around((60, 60, 130, 130), LETTERBOX)
    assert one.answer.sum() * (view.columns[1] - view.columns[0]) ** 2 / SIDE**2 == pytest.approx(70 * 70, rel=0.01)
    assert one.outside == 0
    assert one.maps.shape == (MAPS, COARSE, COARSE)
    assert one.maps[-1].max() == 0, "no point"


def test_a_click_promises_the_mask_that_was_clicked():
    """The candidate shows the smaller square; of the larger one, which was meant, most lies outside the view."""
    one = data.prompt(scene(), np.array([60.0, 60, 130, 130]), square(60, 130), square(40, 150), point=(95, 95))
    view = View.around((60, 60, 130, 130), LETTERBOX)
    side = view.columns[1] - view.columns[0]
    assert one.outside * side**2 / SIDE**2 == pytest.approx(110**2 - side**2)
    assert one.meant.min() == 1
    assert one.maps[-2].max() == 0, "no box was asked for"
    assert one.maps[-1].max() > 0.8


def test_boxes_are_around_masks_that_people_drew(monkeypatch):
    """The second mask is the teacher's, so it is no box's; where there is none of people, all prompts are objects."""
    one, rng, asked = replace(scene(), drawn=1), np.random.default_rng(0), []
    monkeypatch.setattr(data, "prompt", lambda _, box, answer, *__, **___: asked.append(answer))
    prompts = data.Prompts([one], np.ones(1), 1, 0, clicks=0, objects=0)
    for _ in range(20):
        prompts.make(one, rng)
    assert [answer is one.masks[0] for answer in asked] == [True] * 20
    monkeypatch.setattr(data, "object_prompt", lambda *_: "object")
    assert prompts.make(replace(one, drawn=0), rng) == "object"


def test_half_of_the_boxes_are_moved_inside_the_photo():
    rng, box = np.random.default_rng(0), np.array([5, 40, 100, 98], np.float32)
    boxes = np.array([data.shaken(box, (100, 120), rng) for _ in range(400)])
    exact = (boxes == box).all(axis=1)
    assert 0.4 < exact.mean() < 0.6
    assert boxes.min() >= 0
    assert (boxes[:, 2:] <= (100, 120)).all()
    assert (boxes[:, 2:] - boxes[:, :2] > 30).all()
    assert 1 < np.abs(boxes[~exact] - box).mean() < 8  # up to 8 % of 95 and 58 pixels


def test_an_object_is_asked_about_as_the_package_asks_when_it_draws_anew(monkeypatch):
    """The candidate is the smaller square, nearly: the answer is that square, the click lies in its middle."""
    monkeypatch.setattr(data, "EXACT", 1)
    known = scene()
    box = np.array([[95, 95, 68, 68]], np.float32)
    candidates = replace(
        known.candidates,
        boxes_xywh=box,
        scores=np.ones(1, np.float32),
        labels=np.zeros(1, np.int64),
        coefficients=known.candidates.coefficients[:1] * 0 + 1,
        prototypes=np.ones_like(known.candidates.prototypes),
    )
    one = data.object_prompt(replace(known, candidates=candidates), np.random.default_rng(0))
    wanted = data.prompt(known, np.array([61.0, 61, 129, 129]), square(60, 130), square(60, 130), point=(95, 95))
    np.testing.assert_array_equal(one.answer, wanted.answer)
    np.testing.assert_allclose(one.maps[-1], wanted.maps[-1], atol=0.2)  # a pixel beside
    assert one.maps[-2].max() == 0, "no box was asked for"
    unlikely = replace(candidates, scores=np.full(1, 0.01, np.float32))
    assert data.object_prompt(replace(known, candidates=unlikely), np.random.default_rng(0)) is None
    elsewhere = replace(known, candidates=candidates, masks=[square(0, 40)])
    assert data.object_prompt(elsewhere, np.random.default_rng(0)) is None, "nothing is known of it"


def test_prompts_of_a_visit_fit_the_network():
    prompts = data.Prompts([scene()], np.ones(1), 4, 0, objects=0.5)
    batch = next(iter(prompts))
    logits, promise = learned()(*batch[:2])
    assert (logits.shape, promise.shape) == ((4, SIDE, SIDE), (4,))


def test_a_correction_lies_where_the_decoder_is_most_wrong(monkeypatch):
    """The right half of a square, 12 cells wide, is missing; 3 columns left of it are too many."""
    monkeypatch.setattr(corrections, "MIDDLES", 1)
    answer, drawn = np.zeros((2, SIDE, SIDE), bool)
    answer[30:54, 30:54] = True
    drawn[30:54, 27:42] = True
    rng, nowhere = np.random.default_rng(0), np.zeros((COARSE, COARSE), np.float32)
    missing = corrections.point(drawn, answer, nowhere, rng)
    assert missing.max() == pytest.approx(1, abs=0.1)
    assert missing.min() >= 0
    row, column = (np.array(np.unravel_index(missing.argmax(), missing.shape)) + 0.5) * SIDE / COARSE
    assert 35 <= row <= 49, "as deep as that in the rows from 36 to 48"
    assert 47 <= column <= 49, "deepest in the columns from 42 to 54"
    box = nowhere.copy()
    box[:, :21] = 1  # the fine columns up to 42: what is missing lies outside
    too_much = corrections.point(drawn, answer, box, rng)
    assert too_much.min() == pytest.approx(-1, abs=0.1)
    assert abs(np.unravel_index(too_much.argmin(), too_much.shape)[1] * SIDE / COARSE - 28) <= 2
    assert not corrections.point(answer, answer, nowhere, rng).any()


def test_points_anywhere_lie_in_what_is_wrong(monkeypatch):
    monkeypatch.setattr(corrections, "MIDDLES", 0)
    answer, drawn = np.zeros((2, SIDE, SIDE), bool)
    drawn[10:20, 60:80] = True
    rng, nowhere = np.random.default_rng(0), np.zeros((COARSE, COARSE), np.float32)
    for _ in range(20):
        row, column = np.unravel_index(corrections.point(drawn, answer, nowhere, rng).argmin(), nowhere.shape)
        assert 5 <= row < 10
        assert 30 <= column < 40


@pytest.mark.parametrize("seen", [0, 1])
def test_each_prompt_gets_its_number_of_corrections(monkeypatch, seen):
    """Nothing is ever drawn, so each correction lies in the square, whatever was said before."""
    monkeypatch.setattr(corrections, "SEEN", seen)
    blank = learned()
    blank.mask.weight.data.zero_()
    blank.mask.bias.data.fill_(-1)
    photo, maps = torch.zeros(4, 3, SIDE, SIDE), torch.zeros(4, MAPS, COARSE, COARSE)
    answer = torch.zeros(4, SIDE, SIDE)
    answer[:, 30:60, 30:60] = 1
    told = corrections.corrected(blank, photo, maps, answer, torch.tensor([0, 1, 3, 2]))
    spot = 2 * np.pi * 1.5**2  # the volume of a spot
    volumes = told[:, corrections.POINTS].sum((1, 2)).numpy()
    np.testing.assert_allclose(volumes, spot * np.array([0, 1, 3, 2]), rtol=0.01)
    assert not maps.any(), "the batch stays as it was"
    assert (told[1:, corrections.FIRST] == -SURE_LOGIT * seen).all(), "nothing, in place of the best candidate"
    assert not told[0].any()
    others = [index for index in range(MAPS) if index - MAPS not in (corrections.FIRST, corrections.POINTS)]
    assert not told[:, others].any()


def test_objects_are_not_corrected_boxes_and_clicks_half_of_the_time():
    one, rng = scene(), np.random.default_rng(0)
    boxes = [data.box_prompt(one, rng).corrections for _ in range(60)]
    assert 0.3 < np.mean(np.array(boxes) > 0) < 0.7
    assert set(boxes) == {0, 1, 2, 3}
    assert data.prompt(one, np.array([60.0, 60, 130, 130]), one.masks[0], one.masks[0]).corrections == 0


def test_scenes_are_made_once_and_read_from_their_file_after_that(tmp_path):
    made = []

    def make():
        made.append(scene())
        return made, np.ones(1)

    about = {"network": "one"}
    assert train.kept(None, about, make)[0] is made
    for _ in range(2):
        scenes, weights = train.kept(tmp_path / "scenes.pkl", about, make)
    assert len(made) == 2
    np.testing.assert_array_equal(scenes[0].candidates.boxes_xywh, made[0].candidates.boxes_xywh)
    assert weights.tolist() == [1]
    assert [path.name for path in tmp_path.iterdir()] == ["scenes.pkl"]
    with pytest.raises(SystemExit, match="scenes of another network"):
        train.kept(tmp_path / "scenes.pkl", {"network": "other"}, make)


def test_scenes_are_those_of_a_network_whatever_decoder_its_file_has(tmp_path):
    paths = [tmp_path / f"{name}.onnx" for name in ("plain", "with-decoder", "other")]
    for path, metadata, height in zip(paths, ({}, {"decoder": "x"}, {}), (64, 64, 96), strict=True):
        path.write_bytes(tiny(metadata=ultralytics_metadata() | metadata, height=height, width=96))
    plain, decoded, other = (
        train.made_of(argparse.Namespace(model=path, taught=[Path("a/taught.gz")], limit=None)) for path in paths
    )
    assert plain == decoded != other
    assert plain["taught"] == ["taught.gz"]


def test_losses_of_a_right_answer():
    answer = torch.zeros(1, SIDE, SIDE)
    answer[:, 20:60, 20:60] = 1
    right = 20 * (answer - 0.5)
    terms = train.losses(right, torch.zeros(1), answer, answer, torch.zeros(1))
    assert terms["mask"] < 1e-3
    assert terms["dice"] < 1e-3
    assert terms["iou"] == 1
    half = train.losses(right, torch.zeros(1), answer, answer, torch.full((1,), 1600.0))
    assert half["iou"] == pytest.approx(0.5), "as much of what was meant lies outside"
