"""The whole walk: a photo in, objects out; options, threads, processes, closing."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from support import toy_clip
from support.tiny_onnx import bright_object, known, tiny, ultralytics_metadata

from fastsam_onnx import Clip, FastSAM, Mask, ModelError, ModelNotFoundError, OptionError, Segmentation, weights
from fastsam_onnx.images import rows
from fastsam_onnx.images.load import load_image
from fastsam_onnx.masks.redraw import redrawn
from fastsam_onnx.network.network import Network
from fastsam_onnx.tiling import find
from fastsam_onnx.weights import bundled
from fastsam_onnx.weights.bundled import bundled_model

OF_FILE, GRID = rows.FileRows, find.grid
PHOTO = Path(__file__).parents[1] / "examples" / "coffee.jpg"

# One prototype of 16x16: grid columns 0..9 are positive.
LEFT_OF_10 = np.where(np.arange(16) < 10, 1.0, -1.0)[None, None] * np.ones((1, 16, 1))


def photo(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def one_object(**metadata: str) -> bytes:
    """Input 64x64; one object, box x 16..48, y 24..40; its mask ends at grid column 10, input column 40."""
    return known([[32, 32, 32, 16]], [0.8], [[1.0]], LEFT_OF_10, metadata=metadata or None)


def same(a: Segmentation, b: Segmentation) -> bool:
    return (
        np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.scores, b.scores)
        and all(np.array_equal(m.dense(), n.dense()) for m, n in zip(a.masks, b.masks, strict=True))
    )


def test_one_known_object_lands_where_arithmetic_says():
    # A 48x64 (H, W) photo in a 64x64 input: scale 1, 8 rows of padding above. Box rows 24..40 become 16..32.
    # The mask's boundary lies between the centres of grid columns 9 and 10, at input column 40 exactly.
    found = FastSAM(one_object())(photo())
    assert found.boxes.tolist() == [[16, 16, 48, 32]]
    assert found.scores.tolist() == [np.float32(0.8)]
    expected = np.zeros((48, 64), bool)
    expected[16:32, 16:40] = True
    assert np.array_equal(found.masks.dense()[0], expected)
    assert found.areas.tolist() == [16 * 24]
    assert found.image_size == (64, 48)


@pytest.mark.parametrize("tile", [None, 64])
def test_a_call_and_a_stream_take_the_bands_and_the_white_of_photos(tmp_path, tile):
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")
    samples = np.zeros((64, 96, 4), np.uint16)
    samples[20:40, 30:60, 3] = 4000  # of 4095: what the fourth band alone sees
    samples[..., 1] = 2048
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, samples, photometric="minisblack", planarconfig="contig")
    model = FastSAM(bright_object(), imgsz=96)
    options = {"bands": (4, 4, 2), "white": 4095, "tile": tile}
    for found in (model(path, **options), *model.stream([path], **options)):
        assert found.image[30, 40].tolist() == [249, 249, 128]  # 4000 * 255 / 4095 = 249.1, 2048 * 255 / 4095 = 127.5
        assert found.image[0, 0].tolist() == [0, 0, 128]
        [mask] = found.masks
        assert mask.iou(Mask.from_dense(samples[..., 3] > 0)) > 0.8
    assert len(model(path, bands=[4], white=4095, conf=0.1)) == 1
    assert len(model(path, bands=[1], white=4095, conf=0.1)) == 0


@pytest.mark.parametrize("wide", [(), ("bands",), ("white",)])
def test_what_is_read_in_strips_is_seen_by_the_bands_and_the_white_too(tmp_path, monkeypatch, wide):
    """Of 4095, 1000 is dark; of the type's 65535 all is, and the first band has nothing."""
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")
    samples = np.zeros((96, 160, 4), np.uint16)
    samples[20:60, 30:130, 3] = 4000
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, samples, photometric="minisblack", planarconfig="contig", rowsperstrip=8)
    opened = []
    monkeypatch.setattr(rows, "STRIPS_ABOVE", 0)
    monkeypatch.setattr(rows, "FileRows", lambda *given: opened.append(given) or OF_FILE(*given))
    monkeypatch.setattr(rows, "HeldRows", None)  # would hold the whole photo
    options = {name: value for name, value in {"bands": [4], "white": 4095}.items() if name not in wide}
    found = FastSAM(bright_object(), imgsz=64)(path, tile=64, **options)
    assert len(opened) == 1
    assert len(found) == (0 if wide else 1)
    for mask in found.masks:
        assert mask.iou(Mask.from_dense(samples[..., 3] > 0)) > 0.8


@pytest.mark.parametrize("tile", [64, 160])
def test_the_smaller_view_of_a_large_file_finds_objects_in_the_photos_own_pixels(tmp_path, monkeypatch, tile):
    """A quarter of the photo's size; by it alone where one tile holds the photo, and beside tiles."""
    tifffile = pytest.importorskip("tifffile", reason="needs tifffile, a test-time tool")
    samples = np.zeros((96, 160, 3), np.uint8)
    samples[20:60, 32:128] = 250
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, samples, photometric="rgb", rowsperstrip=8)
    monkeypatch.setattr(rows, "STRIPS_ABOVE", 0)
    monkeypatch.setattr(rows, "OVERVIEW_SIDE", 40)
    found = FastSAM(bright_object(), imgsz=64)(path, tile=tile)
    assert found.image_size == (160, 96)
    [mask] = found.masks
    assert mask.iou(Mask.from_dense(samples[..., 0] > 0)) > 0.9


def test_masks_without_a_pixel_go_with_their_detections():
    boxes = [[32, 32, 32, 16], [56, 32, 8, 8], [8, 8, 0, 0]]  # the second lies right of the mask, the third has no area
    found = FastSAM(known(boxes, [0.8, 0.9, 0.7], [[1.0]] * 3, LEFT_OF_10))(photo())
    assert found.boxes.tolist() == [[16, 16, 48, 32]]


def test_a_candidate_that_overflowed_does_not_refuse_the_photo():
    boxes = [[32, 32, 32, 16], [np.inf, 32, 8, 8], [32, 32, 32, 16]]
    weights = [[1.0], [1.0], [np.nan]]
    found = FastSAM(known(boxes, [0.8, 0.0, 0.0], weights, LEFT_OF_10))(photo(), conf=0)
    assert found.boxes.tolist() == [[16, 16, 48, 32]]
    assert len(found.box_prompt([(16, 16, 40, 32)])) == 1


def test_a_thin_photo_has_enough_candidates_for_a_network_that_chooses_300():
    # 320x32 has 40 * 4 + 20 * 2 + 10 = 210 candidates, 320x320 has 2100, 96x96 has 144 + 36 + 9.
    network = tiny(nms_inside=True, nms_rows=300, metadata={"end2end": "True"})
    model = FastSAM(network, imgsz=320, conf=0.3)
    assert model.contract.min_candidates == 300
    assert model.contract.letterbox((320, 20), (320, 320)).input_size == (320, 320)
    assert model.contract.letterbox((320, 200), (320, 320)).input_size == (320, 224)
    assert model(photo(20, 320)).image_size == (320, 20)
    with pytest.raises(OptionError, match=r"300 best.* 96x96 .*189"):
        model(photo(), imgsz=96)
    assert FastSAM(tiny(), imgsz=320).contract.letterbox((320, 20), (320, 320)).input_size == (320, 32)


def test_yolov5_counts_objectness_times_class():
    # 64x64 pixels have 64 + 16 + 4 = 84 cells. The likeliest class lies where there is no object.
    boxes, scores = np.tile(np.float32([32, 32, 32, 16]), (252, 1)), np.zeros((252, 3), np.float32)
    boxes[9], scores[9] = (8, 8, 8, 8), (0.05, 0.99, 0.5)
    scores[200] = 0.9, 0.3, 0.8
    weights = np.ones((252, 1))
    found = FastSAM(known(boxes, scores, weights, LEFT_OF_10, transposed=True))(photo())
    assert found.boxes.tolist() == [[16, 16, 48, 32]]
    assert found.scores.tolist() == [np.float32(0.9) * np.float32(0.8)]


def test_nothing_found_is_an_empty_result():
    found = FastSAM(one_object())(photo(), conf=0.9)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.masks.dense().shape == (0, 48, 64)
    assert found.union().area == 0
    assert len(found.point_prompt([(1, 1)])) == len(found.box_prompt([(1, 1, 9, 9)])) == 0


@pytest.mark.parametrize(("image_size", "shape"), [(None, (1, 3, 64, 96)), ((640, 160), (1, 3, 32, 96))])
def test_warming_up_runs_the_network_at_its_size_or_the_photos(monkeypatch, image_size, shape):
    model = FastSAM(tiny(), imgsz=(64, 96))
    shapes = []
    run = Network.run
    monkeypatch.setattr(Network, "run", lambda self, tensor: shapes.append(tensor.shape) or run(self, tensor))
    model.warmup(image_size)
    assert shapes == [shape]


def test_border_snap_can_be_switched_off():
    # A 64x64 photo; 20 of 1024 is 1.25 of 64: the box edge at 1 goes to the border, that at 2 stays.
    model = FastSAM(known([[16.5, 17, 31, 30]], [0.8], [[1.0]], LEFT_OF_10))
    assert model(photo(64, 64)).boxes.tolist() == [[0, 2, 32, 32]]
    assert model(photo(64, 64), border_snap=False).boxes.tolist() == [[1, 2, 32, 32]]


def test_refined_masks_are_not_cut_where_the_box_ends():
    """The region goes on to the left, above and below; the box follows, to x 40 where the mask ends."""
    model = FastSAM(one_object(refine="True"))
    found = model(photo())
    assert found.boxes.tolist() == found.mask_boxes.tolist() == [[0, 0, 40, 48]]
    assert found.candidates.refine
    assert same(model(photo(), refine=False), FastSAM(one_object())(photo()))


def test_a_refined_mask_that_a_better_one_has_goes():
    boxes = [[32, 32, 32, 16], [24, 32, 16, 24]]  # both are cut out of one region
    model = FastSAM(known(boxes, [0.8, 0.9], [[1.0]] * 2, LEFT_OF_10), refine=True)
    assert model(photo()).scores.tolist() == [np.float32(0.9)]
    assert len(model(photo(), refine=False)) == 2
    assert len(model(photo(), iou=1.0)) == 2, "the limit is that of NMS"


def test_refine_comes_from_the_call_then_the_constructor_then_the_file_then_is_off():
    plain, own = one_object(), one_object(refine="True")
    assert FastSAM(plain).options["refine"] is False
    assert FastSAM(own).options["refine"] is True
    assert FastSAM(own, refine=False).options["refine"] is False
    assert FastSAM(own, refine=False)(photo(), refine=True).boxes[0, 0] == 0
    with pytest.raises(OptionError, match="refine must be True or False, got 1"):
        FastSAM(plain, refine=1)
    with pytest.raises(OptionError, match="refine must be True or False, got 'yes'"):
        FastSAM(plain)(photo(), refine="yes")


def test_redraw_comes_from_the_call_then_the_constructor_then_the_file_then_is_off(options_used):
    plain, own = one_object(), one_object(redraw="True")
    assert FastSAM(plain).options["redraw"] is False
    assert FastSAM(own).options["redraw"] is True
    assert FastSAM(own, redraw=False).options["redraw"] is False
    assert pickle.loads(pickle.dumps(FastSAM(plain, redraw=True))).options["redraw"] is True
    FastSAM(own)(photo())
    FastSAM(own, redraw=False)(photo())
    FastSAM(own)(photo(), redraw=False)
    FastSAM(plain)(photo(), redraw=True)
    list(FastSAM(plain).stream([photo()], redraw=True))
    FastSAM(plain, redraw=True)(photo(), redraw=False)
    assert [each.redraw for each in options_used] == [True, False, False, True, True, False]
    options_used.clear()
    for model, given in ((FastSAM(own), {}), (FastSAM(plain, redraw=True), {}), (FastSAM(own), {"redraw": True})):
        list(model.stream([photo()], track=True, **given))  # the file's own does not count where objects are tracked
    assert [each.redraw for each in options_used] == [False, True, True]
    list(FastSAM(own, redraw=True).stream([photo()], track=True, redraw=False))
    assert options_used.pop().redraw is False
    assert [each.conf for each in options_used] == pytest.approx([0.3 * 0.4] * 3)


def test_what_a_call_says_comes_before_what_the_constructor_was_told(options_used):
    told, said = {"conf": 0.1, "iou": 0.2, "max_det": 3}, {"conf": 0.3, "iou": 0.4, "max_det": 5}
    model = FastSAM(one_object(), **told)
    model(photo(), **said)
    model(photo())
    assert [{name: getattr(used, name) for name in told} for used in options_used] == [said, told]


def test_redraw_is_true_or_false():
    with pytest.raises(OptionError, match="redraw must be True or False, got 1"):
        FastSAM(tiny(), redraw=1)
    for call in (FastSAM(tiny()), FastSAM(tiny()).stream):
        with pytest.raises(OptionError, match="redraw must be True or False, got 'yes'"):
            call("nowhere.png", redraw="yes")


@pytest.mark.parametrize("metadata", [{}, {"refine": "True"}])
def test_redraw_has_no_effect_without_a_decoder(metadata):
    model = FastSAM(one_object(**metadata))
    assert same(model(photo(), redraw=True), model(photo(), redraw=False))


def test_options_come_from_the_call_then_the_constructor_then_the_file_then_ours():
    plain, own = one_object(), one_object(conf="0.85", iou="0.6")
    assert FastSAM(plain).options["conf"] == 0.4
    assert FastSAM(plain).options["iou"] == 0.9
    assert FastSAM(own).options["conf"] == 0.85
    assert FastSAM(own).options["iou"] == 0.6
    assert FastSAM(own, iou=0.5).options["iou"] == 0.5
    assert FastSAM(own, conf=0.1).options["conf"] == 0.1
    assert len(FastSAM(own)(photo())) == 0
    assert len(FastSAM(own, conf=0.1)(photo())) == 1
    assert len(FastSAM(own, conf=0.1)(photo(), conf=0.81)) == 0


def test_what_counts_against_covered_objects_is_the_files(options_used):
    for metadata, covered in (({}, 0), ({"covered": "0.6"}, 0.6)):
        FastSAM(one_object(**metadata))(photo())
        assert options_used[-1].covered == covered


def test_a_network_whose_options_do_not_fit_is_closed_again(monkeypatch):
    closed = []

    def close(network):
        closed.append(network)

    monkeypatch.setattr(Network, "close", close)
    with pytest.raises(OptionError, match="imgsz"):
        FastSAM(one_object(), imgsz=96)
    assert len(closed) == 1


def test_overlap_and_classes_count_between_tiles(monkeypatch):
    looked = []
    monkeypatch.setattr(find, "grid", lambda *given: looked.append(given) or GRID(*given))
    together = find.put_together
    monkeypatch.setattr(
        find, "put_together", lambda *given, **more: looked.append(more["agnostic"]) or together(*given, **more)
    )
    model = FastSAM(one_object())
    model(photo(64, 94), tile=64, overlap=0.5, agnostic=False)
    model(photo(64, 94), tile=64)
    assert looked == [((94, 64), 64, 0.5), False, ((94, 64), 64, 0.25), True]


def test_tiles_are_told_from_the_view_of_the_whole(options_used):
    """What fills a tile may go on beyond it; what fills the photo tells nothing apart."""
    model = FastSAM(one_object())
    model(photo(64, 94), tile=64)
    model(photo())
    assert [each.is_tile for each in options_used] == [True, True, False, False]


def test_photos_that_share_a_run_share_its_time_but_for_decoding(monkeypatch):
    """By a clock that goes on by a second whenever it is read."""
    model, seconds = FastSAM(one_object()), count()
    monkeypatch.setattr("time.perf_counter", lambda: float(next(seconds)))
    alone = model(photo())
    pair = list(model.stream([photo(), photo()], batch=2, workers=1))
    for stage in ("preprocess", "network"):
        assert alone.speed[stage] == 1000
        assert [found.speed[stage] for found in pair] == [500, 500]
    assert [found.speed["decode"] for found in (alone, *pair, model(photo(), tile=64))] == [1000] * 4


def test_photos_that_fill_one_size_of_the_network_share_a_run(monkeypatch):
    """A photo of twice the size does; an upright one fills another."""
    model, run, shapes = FastSAM(tiny(), imgsz=96), Network.run, []
    monkeypatch.setattr(Network, "run", lambda self, tensor: shapes.append(tensor.shape) or run(self, tensor))
    photos = [photo(64, 96), photo(96, 64), photo(128, 192)]
    found = list(model.stream(photos, batch=3, workers=1))
    assert shapes == [(2, 3, 64, 96), (1, 3, 96, 64)]
    assert [each.image_size for each in found] == [(96, 64), (64, 96), (192, 128)]


def test_imgsz_is_rounded_up_and_the_smallest_rectangle_is_taken():
    model = FastSAM(tiny(metadata=ultralytics_metadata(imgsz=(96, 96))))
    assert model.options["imgsz"] == (96, 96)
    assert FastSAM(tiny()).options["imgsz"] == (1024, 1024)
    letterbox = model.contract.letterbox((90, 30), (96, 96))
    assert letterbox.input_size == (96, 32)
    assert FastSAM(tiny(), imgsz=100).options["imgsz"] == (128, 128)
    assert FastSAM(tiny(), imgsz=(64, 100)).options["imgsz"] == (64, 128)


def test_a_fixed_network_takes_its_own_size_and_refuses_another():
    model = FastSAM(tiny(height=64, width=96))
    assert model.options["imgsz"] == (64, 96)
    assert model.contract.letterbox((200, 10), (64, 96)).input_size == (96, 64)
    assert FastSAM(tiny(height=64, width=96), imgsz=(64, 96))(photo()).image_size == (64, 48)
    with pytest.raises(OptionError, match=r"96x64.*fixed.*128"):
        model(photo(), imgsz=128)


@pytest.mark.parametrize("tile", [None, 64])
def test_what_a_result_and_a_model_know_of_themselves_goes_through_json_and_processes(tile):
    """Views of dicts could be neither written nor pickled, and dataclasses.asdict failed on a result."""
    model = FastSAM(tiny(3, metadata=ultralytics_metadata(3) | {"names": str({0: "a", 1: "b", 2: "c"})}), conf=0.3)
    found = model(np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8), tile=tile)
    assert set(found.speed) == {"decode", "preprocess", "network", "postprocess"}
    for facts in (found.speed, found.names, model.options):
        assert json.loads(json.dumps(facts)).keys() == {str(key) for key in facts}
        assert pickle.loads(pickle.dumps(facts)) == facts
    assert asdict(found)["speed"] == found.speed
    found.names[0] = "mine"
    assert model.contract.names[0] == "a"


@pytest.mark.parametrize(
    "options",
    [
        *({"conf": value} for value in (-0.1, 1.1, "0.4", True)),
        *({"iou": value} for value in (2, float("nan"))),
        *({"max_det": value} for value in (0, 1.5)),
        *({"imgsz": value} for value in (0, (64,), "640", (64, -1), True)),
    ],
)
def test_options_outside_their_range_are_refused_at_once(options):
    with pytest.raises(OptionError, match=next(iter(options))):
        FastSAM(tiny(), **options)
    with pytest.raises(OptionError, match=next(iter(options))):
        FastSAM(tiny())(photo(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"channel_order": "rbg"},
        {"pixel_limit": 0},
        {"bands": (1, 2)},
        {"white": 0},
        {"tile": 63},
        {"tile": 64, "overlap": 0.6},
    ],
)
def test_options_of_a_call_are_checked_before_the_photo_is_read(options):
    for call in (FastSAM(tiny()), FastSAM(tiny()).stream):
        with pytest.raises(OptionError, match=list(options)[-1]):
            call("nowhere.png", **options)


def test_numbers_of_numpy_count_like_pythons():
    one, half = np.int64(1), np.float32(0.5)
    model = FastSAM(one_object(), threads=one, max_det=one, conf=half, imgsz=np.int64(64))
    thresholds = {"imgsz": (64, 64), "conf": 0.5, "iou": 0.9, "max_det": 1}
    assert model.options == thresholds | {"refine": False, "redraw": False}
    [found] = model.stream([photo()], batch=one, workers=one, pixel_limit=np.int64(48 * 64))
    assert len(found) == len(model(photo(), tile=np.int64(64), overlap=np.float32(0.25))) == 1


@pytest.mark.parametrize("image_size", [0, (64, 0), (64,), "64x64", (64.0, 64)])
def test_warming_up_for_a_size_that_no_photo_has(image_size):
    with pytest.raises(OptionError, match="image_size"):
        FastSAM(one_object()).warmup(image_size)


def test_a_file_that_is_not_there():
    with pytest.raises(ModelNotFoundError, match=r"nowhere\.onnx"):
        FastSAM("nowhere.onnx")
    with pytest.raises(FileNotFoundError):
        FastSAM(Path("nowhere.onnx"))


def test_threads_get_the_results_of_a_single_thread():
    # The main job's issue asks for 8 threads x 50 photos; the shapes differ, so that runs overlap in every stage.
    model = FastSAM(tiny(seed=3), imgsz=96, conf=0.1, iou=0.7, max_det=20, threads=1)
    photos = [photo(40 + index, 90 - index, seed=index) for index in range(50)]
    single = [model(each) for each in photos]
    assert sum(map(len, single)) > 50
    with ThreadPoolExecutor(8) as pool:
        rounds = [pool.submit(lambda: [model(each) for each in photos]) for _ in range(8)]
        for finished in rounds:
            assert all(same(a, b) for a, b in zip(single, finished.result(), strict=True))


def _work(model: FastSAM) -> tuple[int, float]:
    found = model(photo())
    return len(found), float(found.areas.sum())


@pytest.mark.process
def test_a_model_travels_to_worker_processes(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny(seed=3))
    model = FastSAM(path, imgsz=96, conf=0.1, threads=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_work, (model,)) == _work(model)
    again = pickle.loads(pickle.dumps(FastSAM(one_object(), conf=0.2)))
    assert again.options["conf"] == 0.2
    assert len(again(photo())) == 1


def test_relative_paths_survive_pickling_into_another_working_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tiny.onnx").write_bytes(one_object())
    toy_clip.write(tmp_path / "clip")
    monkeypatch.chdir(tmp_path)
    models = [FastSAM("tiny.onnx", clip="clip"), FastSAM(Path("tiny.onnx"), clip=Clip("clip"))]
    texts = models[0].clip.embed_texts(["red"])
    pickles = [pickle.dumps(model) for model in models]
    assert not any(b"pathlib" in each for each in pickles)  # Python 3.12 does not find the module that 3.13 writes
    monkeypatch.chdir("elsewhere")
    for pickled in pickles:
        again = pickle.loads(pickled)
        assert len(again(photo())) == 1
        assert np.array_equal(again.clip.embed_texts(["red"]), texts)
        assert repr(again).startswith("FastSAM(tiny.onnx,")


def test_the_bundled_model_travels_to_where_the_package_lies_elsewhere(tmp_path, monkeypatch):
    pickled = pickle.dumps(FastSAM(conf=0.2))
    again = pickle.loads(pickled)
    (tmp_path / "there.onnx").write_bytes(one_object())
    monkeypatch.setattr(bundled, "bundled_model", lambda: tmp_path / "there.onnx")
    for each in (pickled, pickle.dumps(again)):
        there = pickle.loads(each)
        assert repr(there).startswith("FastSAM(there.onnx,")
        assert there.options["conf"] == 0.2


def test_a_folder_named_like_a_model_hides_no_model(tmp_path, monkeypatch):
    (tmp_path / "FastSAM-s").mkdir()
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr(weights, "resolve", lambda source, **_: asked.append(source) or bundled_model())
    FastSAM("FastSAM-s")
    assert asked == ["FastSAM-s"]


def test_a_session_is_used_as_it_is_and_does_not_pickle():
    session = ort.InferenceSession(one_object(), providers=["CPUExecutionProvider"])
    model = FastSAM(session)
    assert len(model(photo())) == 1
    assert model.providers == ["CPUExecutionProvider"]
    for unfit in (model, FastSAM(one_object(), session_options=ort.SessionOptions())):
        with pytest.raises(ModelError, match="pickled"):
            pickle.dumps(unfit)
    with pytest.raises(OptionError, match="InferenceSession"):
        FastSAM(session, threads=2)


def test_what_a_subclass_knows_of_itself_travels_too():
    class Named(FastSAM):
        """A model with a name for its place."""

    model = Named(one_object())
    model.place = "the left camera"
    assert copy(model).place == "the left camera"
    assert same(copy(model)(photo()), model(photo()))


@pytest.mark.parametrize("name", ["conf", "iou", "max_det", "imgsz", "agnostic"])
def test_an_option_that_is_set_as_an_attribute_is_refused(name):
    """As one sets those of YOLOv5: it would change nothing, without a word."""
    model = FastSAM(one_object())
    with pytest.raises(OptionError, match=rf"give {name}= to a call"):
        setattr(model, name, 0.5)
    assert not hasattr(model, name)


def test_a_closed_model_says_so():
    with FastSAM(one_object()) as model:
        model(photo())
    with pytest.raises(ModelError, match="closed"):
        model(photo())


def test_the_result_knows_its_photo(tmp_path):
    import cv2

    path = tmp_path / "shot.png"
    assert cv2.imwrite(str(path), photo())
    model = FastSAM(one_object())
    found = model(path)
    assert found.source == "shot.png"
    assert np.array_equal(found.image, photo()[..., ::-1])
    assert set(found.speed) == {"decode", "preprocess", "network", "postprocess"}
    assert model(photo()).source is None
    assert "1 object in 64x48 of shot.png" in repr(found)
    assert repr(model).startswith("FastSAM(bytes, imgsz 64x64")


def test_channel_order():
    model = FastSAM(tiny(seed=3), imgsz=96, conf=0.1)
    assert same(model(photo()), model(photo()[..., ::-1], channel_order="bgr"))


def test_the_bundled_model_finds_objects_of_a_real_photo():
    found = FastSAM()(Path(__file__).parents[1] / "examples" / "coffee.jpg")
    assert bundled_model().stat().st_size <= 8_000_000
    assert len(found) >= 5
    # The cup with its saucer lies in the middle of the photo, 600x400: some object there covers 3 to 60 % of it.
    middle = found.point_prompt([(300, 150)], pick="all")
    assert any(0.03 < area / (600 * 400) < 0.6 for area in middle.areas)


def test_a_result_does_not_change_with_the_callers_array():
    """A camera's buffer is filled with the next frame; prompts read the photo of the call."""
    photo = load_image(PHOTO)
    found = FastSAM()(photo)
    before = found.box_prompt((170, 12, 420, 225)).masks[0]
    photo[:] = 0
    assert found.image.any()
    assert found.box_prompt((170, 12, 420, 225)).masks[0].iou(before) == 1


def test_the_box_of_an_object_is_the_callers_own():
    found = FastSAM()(PHOTO)
    box = found[0].box
    box += 5
    np.testing.assert_array_equal(found.boxes[0], found[0].box)
    assert not np.array_equal(found.boxes[0], box)


def test_no_answer_to_points_holds_a_background_point():
    """Where no drawing of the decoder agrees, the candidate itself answers: grown only if that leaves the point out."""
    found = FastSAM()(PHOTO)
    pairs = np.random.default_rng(0).uniform((0, 0), found.image_size, (25, 2, 2)).tolist()
    pairs.append([(509.43, 242.27), (483.62, 252.13)])
    answered = 0
    for wanted, unwanted in pairs:
        for answer in found.point_prompt([wanted, unwanted], [1, 0]):
            answered += 1
            assert not answer.mask.contains(*unwanted)
    assert answered > 10


def test_an_object_that_no_candidate_overlaps_stays_as_it_is():
    """A tiny score leaves no candidate to ask the decoder with: so it was of thin photos at conf=0."""
    found = FastSAM()(PHOTO, redraw=False)
    known = found.candidates
    none = replace(
        known,
        **{name: getattr(known, name)[:0] for name in ("boxes_xywh", "scores", "labels", "coefficients")},
    )
    boxes, masks = redrawn(found.boxes, found.masks.lazy, none, known.closer)
    np.testing.assert_array_equal(boxes, found.boxes)
    assert list(masks) == list(found.masks.lazy)


def test_the_file_of_the_optimized_graph_is_the_networks_and_not_the_decoders(tmp_path):
    """The decoder, which is opened at the first prompt, was written over it."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    model = FastSAM(session_options=options)
    written = (tmp_path / "optimized.onnx").read_bytes()
    assert len(model(PHOTO).box_prompt((5, 5, 30, 30))) == 1
    assert (tmp_path / "optimized.onnx").read_bytes() == written
    assert options.optimized_model_filepath == str(tmp_path / "optimized.onnx")


@pytest.mark.parametrize("wrong", [{"threads": 10**12}, {"threads": 1025}, {"session_options": 5}])
def test_options_of_a_session_are_checked_before_onnx_runtime_sees_them(wrong):
    with pytest.raises(OptionError, match=f"^{next(iter(wrong))} must be an "):
        FastSAM(tiny(), **wrong)
