"""The corrector's training: what it shares with the decoder, what it is asked, and how it lies in the file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from support.tiny_onnx import tiny, ultralytics_metadata

torch = pytest.importorskip("torch", reason="PyTorch, of the train group, is not installed")

from fastsam_onnx import FastSAM  # noqa: E402
from fastsam_onnx.masks.decoder_file import change_of, changed, file_of  # noqa: E402
from fastsam_onnx.masks.pending import PendingMask  # noqa: E402
from fastsam_onnx.masks.views import COARSE, SIDE, SURE_LOGIT, View  # noqa: E402
from tools.train.decoder import carry, corrections, corrector, export, sketches, train  # noqa: E402
from tools.train.decoder.data import CLICKS  # noqa: E402
from tools.train.decoder.network import MAPS  # noqa: E402

from .test_train_decoder import LETTERBOX, learned, scene, square  # noqa: E402


def drawn(low, high):
    """A square as the decoder draws it in the view of the whole photo."""
    view = View((0, 192), (0, 192), LETTERBOX)
    logits = np.where(square(low, high).dense()[::2, ::2], 5, -5).astype(np.float32)
    x, y = view.places()
    return PendingMask(logits, 0, 0, view.columns, view.rows, x, y, LETTERBOX.image_size, 1.0).tight()


@pytest.fixture
def path(tmp_path):
    """A network's file with a decoder that draws everything."""
    network = export.fold_levels(learned())
    network.mask.bias.data += 100
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny(metadata=ultralytics_metadata() | {"conf": "0.05", "refine": "True"}))
    export.put(path, export.build(network).SerializeToString())
    return path


def test_coarse_weights_are_the_decoders_and_do_not_learn():
    decoder = learned(0)
    network = corrector.tied(learned(1), decoder)
    theirs, fine = dict(decoder.named_parameters()), dict(learned(1).named_parameters())
    names = corrector.shared(decoder)
    assert {name.split(".")[0] for name in names} == {"stages", "downs"}
    assert sum(theirs[name].numel() for name in names) > sum(value.numel() for value in theirs.values()) / 2
    training = train.Training(network, 1e-2, still=True, first=decoder)
    photo, maps = torch.rand(2, 3, SIDE, SIDE), torch.rand(2, MAPS, COARSE, COARSE)
    answer, outside = torch.zeros(2, SIDE, SIDE), torch.zeros(2)
    training.learn([photo, maps, answer, answer, outside, torch.tensor([1, 0])], 0.0)
    for name, value in training.network.named_parameters():
        if name in names:
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=0)
        elif name.startswith(("join.conv", "ups.2.block.first.conv", "stages.3.0.first.norm")):
            assert not torch.equal(value, fine[name]), name


def test_first_answers_to_boxes_are_the_decoders_all_others_the_correctors():
    """The decoder draws nothing, the corrector everything. Prompts: a box corrected once, one twice, a click, masks."""
    nothing, everything = learned(), learned()
    for network, bias in ((nothing, -1), (everything, 1)):
        network.mask.weight.data.zero_()
        network.mask.bias.data.fill_(bias)
    count = 43
    photo, maps = torch.zeros(count, 3, SIDE, SIDE), torch.zeros(count, MAPS, COARSE, COARSE)
    answer = torch.zeros(count, SIDE, SIDE)
    answer[:, 30:60, 30:60] = 1
    maps[:2, corrections.BOX] = 1
    maps[2, corrections.POINTS, 20, 20] = 1
    often = torch.tensor([1, 2, *[1] * (count - 2)])
    told = corrections.corrected(everything, photo, maps, answer, often, first=nothing)
    seen = told[:, corrections.FIRST]
    assert (seen[0] == -SURE_LOGIT).all()
    assert (seen[1:3] == SURE_LOGIT).all()
    assert (told[1:, corrections.POINTS].amin((1, 2)) < -0.9).all(), "outside of the square, where everything was drawn"
    kept = (seen[3:] == 0).all(2).all(1)
    assert ((seen[3:] == SURE_LOGIT).all(2).all(1) | kept).all()
    assert 0.2 < kept.float().mean() < 0.8, "of rough masks half are shown as they are beside the point"


@pytest.mark.parametrize(("low", "high", "inside"), [(80, 110, True), (40, 150, False)])
def test_a_point_goes_where_a_drawing_is_wrong(low, high, inside):
    """Too small a drawing of a square from 60 to 130 lacks what lies around it; of too large a one that is too much."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        place = corrector.wrong_place(drawn(low, high), square(60, 130), LETTERBOX, rng)
        assert square(60, 130).contains(*place) == inside
        assert square(low, high).contains(*place) != inside
    assert corrector.wrong_place(drawn(60, 130), square(60, 130), LETTERBOX, rng) is None


def test_the_corrector_is_asked_as_the_package_asks_it():
    """About the drawing and the point together, or with a margin of half of the sides at most."""
    rng, photo, before = np.random.default_rng(0), scene(), drawn(80, 110)
    widths = set()
    for _ in range(20):
        one = corrector.corrected_once(photo, before, square(60, 130), (95, 95), rng)
        shown = one.maps[corrections.FIRST]
        assert {shown.min(), shown.max()} == {-SURE_LOGIT, SURE_LOGIT}
        assert one.maps[corrections.BOX].max() == 0
        widths.add(round(30 / np.sqrt((shown > 0).mean())))
        spot = 2 * np.pi * 1.5**2
        assert 1 <= one.maps[corrections.POINTS].sum() / spot <= 2.1, "two points, the second perhaps at the edge"
    assert min(widths) >= 30
    assert max(widths) <= 71 * 2.5
    assert len(widths) > 5


def test_prompts_are_corrected_at_least_once(path):
    """The decoder draws all of each view; boxes are corrected first while the corrector learns."""
    maker = corrector.Corrections([scene()], np.ones(1), 4, 0, corrector.finished(path), clicks=CLICKS)
    made = [maker.make(scene(), np.random.default_rng(seed)) for seed in range(40)]
    asked = [corrections.BOX, corrections.POINTS]
    made = [one for one in made if one is not None and one.maps[asked].any()]
    clicks = [one for one in made if one.maps[corrections.BOX].max() == 0]
    boxes = [one for one in made if one.maps[corrections.BOX].max() > 0]
    assert {int(one.corrections) for one in boxes} == {1, 2, 3}
    assert {int(one.corrections) for one in clicks} <= {0, 1, 2}
    assert clicks
    assert all(one.maps[corrections.FIRST].max() == SURE_LOGIT for one in clicks)
    assert len(boxes) + len(clicks) < 40 * (1 - corrector.SKETCHES / 2), "the others are rough masks"


@pytest.mark.parametrize("kind", ["hull", "larger", "smaller", "blocky", "middle", "stroke", "box"])
def test_rough_masks_are_like_what_they_mean(kind):
    """A square of 70 with a notch, so that its hull and its box are larger; side is the root of its area."""
    rng = np.random.default_rng(0)
    mask = square(60, 130).difference(square(60, 90))
    cells, left, top = sketches.framed(mask, 20)
    assert (left, top, cells.shape) == (40, 40, (110, 110))
    areas = [int(getattr(sketches, kind)(cells, mask.area**0.5, rng).sum()) for _ in range(20)]
    smallest, largest = {
        "hull": (mask.area + 1, 80 * 80),
        "larger": (mask.area, 110 * 110),
        "smaller": (mask.area // 3, mask.area),
        "blocky": (mask.area // 2, 80 * 80),
        "middle": (1, mask.area - 1),
        "stroke": (1, mask.area),
        "box": (70 * 70, 70 * 70),
    }[kind]
    assert smallest <= min(areas)
    assert max(areas) <= largest


def test_a_rough_mask_is_shown_without_points(path):
    """It stands where the answer so far does, and the whole object is what is wanted."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        one = corrector.sketch_prompt(scene(), square(60, 130), rng)
        assert one.maps[corrections.FIRST].max() > 0
        assert one.maps[corrections.FIRST].min() >= -SURE_LOGIT
        assert not one.maps[[corrections.BOX, corrections.POINTS]].any()
        assert one.corrections == 0
        assert one.answer.any()


def test_a_rough_mask_of_what_is_tiny_or_fills_the_photo_stays_in_the_photo():
    rng, photo = np.random.default_rng(0), scene()
    for mask in (square(0, 192), square(0, 1), square(191, 192)):
        for _ in range(30):
            sketch = sketches.sketched(mask, rng)
            assert sketch is None or (sketch.area and sketch.image_size == mask.image_size)
            corrector.sketch_prompt(photo, mask, rng)


def test_the_file_gets_the_corrector_and_loses_it_with_its_decoder(path):
    decoder = file_of(export.stored(path))
    other = export.fold_levels(learned())
    other.mask.bias.data -= 100
    nothing = export.build(other).SerializeToString()
    change = change_of(decoder, nothing)
    assert changed(decoder, change) == nothing
    export.put(path, decoder, change)
    with FastSAM(path) as model:
        assert model.contract.metadata.corrector == change
    export.put(path, nothing)
    with FastSAM(path) as model:
        assert model.contract.metadata.corrector is None


def test_a_network_that_learned_on_gets_the_decoder_and_the_corrector_of_another_file(path, tmp_path):
    decoder = file_of(export.stored(path))
    other = export.fold_levels(learned())
    other.mask.bias.data -= 100
    change = change_of(decoder, export.build(other).SerializeToString())
    export.put(path, decoder, change)
    about = {"decoder": {"trainings": []}, "corrector": {"bytes": len(change)}}
    path.with_suffix(".json").write_text(json.dumps({"date": "2026-11-28"} | about))
    target = tmp_path / "further.onnx"
    target.write_bytes(tiny(metadata=ultralytics_metadata() | {"conf": "0.25", "refine": "True"}))
    target.with_suffix(".json").write_text(json.dumps({"date": "2026-12-01"}))
    size = carry.carry(path, target)
    with FastSAM(target) as model:
        metadata = model.contract.metadata
    assert (metadata.corrector, file_of(export.stored(target)), metadata.conf) == (change, decoder, 0.25)
    manifest = json.loads(target.with_suffix(".json").read_text())
    assert manifest.items() > ({"date": "2026-12-01", "bytes": size} | about).items()


def in_bytes(path):
    """Puts the decoder into the file, in int8; returns it, one whose norms and fine weights differ, and questions."""
    shapes, rng = {"photo": (1, 3, SIDE, SIDE), "maps": (1, MAPS, COARSE, COARSE)}, np.random.default_rng(0)
    asked = [{name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(12)]
    decoder = export.integer(export.build(export.fold_levels(learned())), asked[:8])
    export.put(path, decoder)
    other, theirs = export.reopened(path), corrector.shared(learned())
    with torch.no_grad():
        for name, value in other.named_parameters():
            if name.endswith("norm.weight"):
                value.mul_(1.1)
            elif name not in theirs:
                value.add_(0.01 * torch.randn_like(value))
    made = export.integer(export.build(export.fold_levels(corrector.tied(other, export.reopened(path)))), asked[4:])
    return decoder, made, asked


def test_weights_that_are_shared_take_no_room(path):
    """What is a multiple of the decoder's integers becomes the same integers, whatever was seen while rounding."""
    decoder, made, _ = in_bytes(path)
    assert len(made) == len(decoder)
    assert np.mean(np.frombuffer(made, np.uint8) == np.frombuffer(decoder, np.uint8)) > 0.5
    assert len(change_of(decoder, made)) < 0.6 * len(decoder)


def test_a_corrector_comes_back_from_its_networks_file(path):
    """With the decoder's weights where it shares them: its norms there are 1.1 times the decoder's."""
    decoder, made, asked = in_bytes(path)
    assert corrector.reopened_corrector(path) is None
    first = train.first_decoder(path, corrector=True).state_dict()
    torch.testing.assert_close(first, export.reopened(path).state_dict(), msg="the first one begins as the decoder")
    export.put(path, decoder, change_of(decoder, made))
    again = train.first_decoder(path, corrector=True)
    ours, theirs = dict(again.named_parameters()), dict(export.reopened(path).named_parameters())
    for name in corrector.shared(again):
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)
        norm = ours[name.replace("conv.weight", "norm.weight")]
        torch.testing.assert_close(norm, torch.full_like(norm, 1.1), rtol=0.02, atol=0)
    drawings = [export.build(each).SerializeToString() for each in (export.of_file(made, path), again)]
    assert export.agreement(*drawings, asked)[0] > 0.99
    torch.testing.assert_close(train.first_decoder(path).state_dict(), export.reopened(path).state_dict())
