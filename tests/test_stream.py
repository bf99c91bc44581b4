"""Streams: a loop's results in a loop's order, a bounded window, failures in their place, no thread left behind."""

from __future__ import annotations

import gc
import io
import re
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import cv2
import numpy as np
import pytest
from PIL import Image
from support.tiny_onnx import tiny

from fastsam_onnx import Failure, FastSAM, ImageError, OptionError, Segmentation
from fastsam_onnx.images import video
from fastsam_onnx.images.load import MissingPicture
from fastsam_onnx.images.video import Frame
from fastsam_onnx.stream import default_workers, named_frames, ordered_map, stream

ROOT = Path(__file__).parents[1]


def photo(height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> FastSAM:
    return FastSAM(tiny(seed=3), imgsz=96, conf=0.1, iou=0.7, max_det=20, threads=1)


def same(a: Segmentation, b: Segmentation) -> bool:
    return (
        np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.scores, b.scores)
        and np.array_equal(a.image, b.image)
        and all(np.array_equal(m.dense(), n.dense()) for m, n in zip(a.masks, b.masks, strict=True))
    )


def our_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("fastsam-onnx")]


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_a_stream_is_the_loop_in_order(model, workers):
    photos = [photo(40 + index, 90 - index, seed=index) for index in range(20)]
    streamed = list(model.stream(iter(photos), workers=workers))
    assert sum(map(len, streamed)) > 20
    assert all(same(model(one), found) for one, found in zip(photos, streamed, strict=True))
    assert not our_threads()


def test_photos_of_equal_shape_share_a_batch_and_others_do_not(model, monkeypatch):
    sizes = []
    run = model._network.run
    monkeypatch.setattr(model._network, "run", lambda tensor: (sizes.append(tensor.shape), run(tensor))[1])
    photos = [photo(30, 90, seed=0), photo(90, 30, seed=1), photo(30, 90, seed=2), photo(30, 90, seed=3)]
    streamed = list(model.stream(photos, batch=3, workers=1))
    assert sizes == [(2, 3, 32, 96), (1, 3, 96, 32), (1, 3, 32, 96)]
    for one, found in zip(photos, streamed, strict=True):
        assert np.allclose(model(one).scores, found.scores, atol=1e-6)
        assert np.allclose(model(one).boxes, found.boxes, atol=1e-3)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_failure_comes_in_its_place_and_the_rest_goes_on(model, tmp_path, batch):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no more")
    sources = [photo(seed=0), broken, photo(seed=2), np.zeros((2, 2, 7), np.uint8), photo(seed=4)]
    results = list(model.stream(sources, batch=batch, on_error="yield"))
    kinds = [type(result) for result in results]
    assert kinds == [Segmentation, Failure, Segmentation, Failure, Segmentation]
    assert results[1].index == 1
    assert results[1].source == str(broken)
    assert isinstance(results[1].error, ImageError)
    assert str(results[3]).startswith("item 3, array (2, 2, 7) uint8: cannot read")
    assert all(same(model(sources[index]), results[index]) for index in (0, 2, 4))


def test_an_error_is_raised_where_the_result_would_be(model):
    taken = []
    with pytest.raises(ImageError, match="cannot read") as caught:
        taken += model.stream([photo(), photo(), "nowhere.jpg", photo()])
    going_on = 'on_error="yield" gives a Failure in its place, and goes on'
    assert caught.value.__notes__ == [f"item 2 of the stream: nowhere.jpg; {going_on}"]
    assert len(taken) == 2
    assert not our_threads()


def test_photos_in_files_are_read_again_where_another_of_their_batch_fails(model):
    good = cv2.imencode(".png", photo())[1].tobytes()
    first, broken, last = model.stream(map(io.BytesIO, (good, b"x", good)), batch=3, on_error="yield")
    assert same(first, model(good))
    assert isinstance(broken, Failure)
    assert same(last, model(good))


@pytest.mark.parametrize("batch", [1, 4])
def test_an_error_of_the_generator_comes_after_the_photos_before_it(model, batch):
    def broken() -> Iterator[np.ndarray]:
        yield from (photo(seed=index) for index in range(3))
        raise RuntimeError("the disc is gone")

    taken = []
    with pytest.raises(RuntimeError, match="disc"):
        taken += model.stream(broken(), batch=batch)
    assert len(taken) == 3
    assert not our_threads()


def test_leaving_early_ends_the_threads_and_takes_no_more(model):
    drawn = []

    def endless() -> Iterator[np.ndarray]:
        while True:
            drawn.append(None)
            yield photo()

    for index, _ in enumerate(model.stream(endless(), workers=2)):
        assert len(our_threads()) > 0
        if index == 5:
            break
    assert not our_threads()
    assert len(drawn) <= 6 + 2 * 2


def test_the_window_is_bounded_however_slow_the_taker_is():
    started, taken = [], 0
    for _ in ordered_map(started.append, range(50), workers=2):
        taken += 1
        time.sleep(0.001)
        assert len(started) <= taken + 4
    assert taken == 50


def test_results_keep_their_order_when_the_first_takes_longest():
    def slow_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number

    assert list(ordered_map(slow_first, range(9), workers=3)) == list(range(9))


def test_what_changes_when_the_generator_goes_on_is_kept_as_it_was(model):
    def reused() -> Iterator[np.ndarray]:
        buffer = np.empty((48, 64, 3), np.uint8)
        for seed in range(6):
            buffer[:] = photo(seed=seed)
            yield buffer

    def closed() -> Iterator[Image.Image]:
        for seed in range(3):
            file = io.BytesIO()
            Image.fromarray(photo(seed=seed)).save(file, "PNG")
            with Image.open(file) as image:
                yield image

    def files() -> Iterator[io.BytesIO]:
        for seed in range(3):
            _, data = cv2.imencode(".png", photo(seed=seed)[..., ::-1])
            with io.BytesIO(bytes(data)) as file:
                yield file

    def temporary_files() -> Iterator[BinaryIO]:
        for seed in range(3):
            _, data = cv2.imencode(".png", photo(seed=seed)[..., ::-1])
            with tempfile.NamedTemporaryFile() as file:  # which is no io.IOBase
                file.write(bytes(data))
                file.seek(0)
                yield file

    for sources, count in ((reused(), 6), (closed(), 3), (files(), 3), (temporary_files(), 3)):
        streamed = list(model.stream(sources))
        assert len(streamed) == count
        assert all(same(model(photo(seed=seed)), found) for seed, found in enumerate(streamed))


def test_a_file_that_is_open_as_text_is_told_as_such(model):
    with tempfile.NamedTemporaryFile("w+") as file, io.StringIO("text") as text:
        file.write("text")
        file.seek(0)
        for one in (file, text):
            with pytest.raises(ImageError, match="'rb'"):
                list(model.stream([one]))


def test_a_folder_gives_its_pictures_sorted(model, tmp_path):
    for name in ("b.png", "a.jpg", "a.overlay.png", ".hidden.png", "notes.txt"):
        assert cv2.imwrite(str(tmp_path / name), photo()) if name != "notes.txt" else (tmp_path / name).write_text("x")
    (tmp_path / "folder.png").mkdir()
    assert [found.source for found in model.stream(tmp_path)] == ["a.jpg", "b.png"]
    assert [found.source for found in model.stream(str(tmp_path / "b.png"))] == ["b.png"]


def make_video(path: Path, frames: int = 7) -> list[np.ndarray]:
    """A video of plain frames, each brighter than the one before, blue higher than red; and the frames as RGB."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    pictures = [np.full((48, 64, 3), (20 * index, 20 * index, 20 * index + 60), np.uint8) for index in range(frames)]
    for picture in pictures:
        writer.write(picture[..., ::-1])
    writer.release()
    return pictures


def test_a_video_gives_its_frames_by_path_or_open_capture(model, tmp_path):
    pictures = make_video(tmp_path / "clip.avi")
    capture = cv2.VideoCapture(str(tmp_path / "clip.avi"))
    for source, name in ((tmp_path / "clip.avi", "clip.avi"), (capture, "video")):
        found = list(model.stream(source, channel_order="bgr"))  # which is for arrays: frames know their order
        assert [one.source for one in found] == [f"{name}#{number}" for number in range(7)]
        assert [one.image_size for one in found] == [(64, 48)] * 7
        for one, picture in zip(found, pictures, strict=True):
            assert np.abs(one.image.astype(int) - picture).mean() < 4  # JPEG
    assert capture.isOpened()
    capture.release()


@pytest.mark.parametrize(("workers", "batch"), [(1, 1), (3, 1), (2, 4)])
def test_frames_are_named_by_their_numbers_not_by_counting(model, monkeypatch, tmp_path, workers, batch):
    """A place of several missing frames is one item: what follows fell behind."""
    missing = Frame(2, 0.2, MissingPicture("clip.mp4#2", "3 frames are missing"), 3)
    frames = [Frame(0, 0, photo()), Frame(1, 0.1, photo()), missing, *(Frame(n, n / 10, photo()) for n in range(5, 12))]
    monkeypatch.setattr(video, "is_video", lambda _, or_gif=False: True)
    opened = SimpleNamespace(name_of="clip.mp4#{}".format, frames=lambda: iter(frames))
    monkeypatch.setattr(video, "open_video", lambda _: opened)
    (tmp_path / "clip.mp4").write_bytes(b"a video")
    results = list(model.stream(tmp_path / "clip.mp4", workers=workers, batch=batch, on_error="yield"))
    assert isinstance(results[2], Failure)
    assert [found.source for found in results] == [f"clip.mp4#{number}" for number in (0, 1, 2, *range(5, 12))]


def test_an_error_of_a_frame_names_the_file_and_the_frame(model, tmp_path):
    make_video(tmp_path / "clip.avi", frames=2)
    name = f"{tmp_path / 'clip.avi'}#0"
    with pytest.raises(ImageError, match=re.escape(f"cannot read {name}: it has 64 x 48 = 3072 pixels")) as caught:
        list(model.stream(tmp_path / "clip.avi", pixel_limit=10))
    assert [note.split("; ")[0] for note in caught.value.__notes__] == [f"item 0 of the stream: {name}"]
    _, failure = model.stream(tmp_path / "clip.avi", pixel_limit=10, on_error="yield")
    assert isinstance(failure, Failure)
    assert failure.source == name[:-1] + "1"
    with pytest.raises(OptionError, match=re.escape(f"bands are not for {name}; only")):
        list(model.stream(tmp_path / "clip.avi", bands=(1, 2, 3)))


@pytest.mark.parametrize(
    "sources",
    [photo(), photo()[..., 0], b"bytes", bytearray(b"bytes"), io.BytesIO(b"file"), 1.5, Image.new("L", (9, 9))],
)
def test_a_single_photo_is_no_stream(model, sources):
    with pytest.raises(OptionError, match="iterable of photos"):
        model.stream(sources)


def test_what_cannot_be_is_said_at_once(model, tmp_path):
    (tmp_path / "no.avi").write_bytes(b"RIFF\0\0\0\0AVI nothing")
    for source in (tmp_path / "nowhere", tmp_path / "no.avi", 97):
        with pytest.raises(ImageError, match="cannot read"):
            model.stream(source)
    for options in ({"batch": 0}, {"workers": 0}, {"workers": True}, {"on_error": "skip"}, {"conf": 2}, {"imgsz": 0}):
        with pytest.raises(OptionError, match=next(iter(options))):
            model.stream([photo()], **options)
    for options in ({"pixel_limit": 0}, {"channel_order": "rbg"}):
        with pytest.raises(OptionError, match=next(iter(options))):
            list(model.stream([photo()], on_error="yield", **options))


@pytest.mark.parametrize(
    ("source", "way"),
    [
        ("photos/*.jpg", r"sorted\(glob\.glob\('photos/\*\.jpg'\)\)"),
        ("photos/[ab].jpg", "glob"),
        ("rtsp://camera/1", r"cv2\.VideoCapture\('rtsp://camera/1'\)"),
        ("https://example.org/a.mp4", "VideoCapture"),
        ("nowhere", "no such folder, picture or video"),
    ],
)
def test_what_is_not_there_names_the_way_that_works(model, source, way):
    with pytest.raises(ImageError, match=way):
        model.stream(source)


def test_a_folder_of_folders_is_not_passed_over_in_silence(model, tmp_path):
    assert list(model.stream(tmp_path)) == []
    (tmp_path / "monday").mkdir()
    assert cv2.imwrite(str(tmp_path / "monday" / "a.png"), photo())
    with pytest.raises(ImageError, match=r"folders, but no pictures.*rglob"):
        model.stream(tmp_path)
    assert len(list(model.stream(sorted(tmp_path.rglob("*.png"))))) == 1
    assert cv2.imwrite(str(tmp_path / "b.png"), photo())
    assert [found.source for found in model.stream(tmp_path)] == ["b.png"]


def test_videos_in_a_folder_are_passed_over_and_that_is_said(model, tmp_path, caplog):
    assert cv2.imwrite(str(tmp_path / "a.png"), photo())
    (tmp_path / "clip.avi").write_bytes(b"RIFF\0\0\0\0AVI LIST")
    assert [found.source for found in model.stream(tmp_path)] == ["a.png"]
    assert "a video is passed over (clip.avi)" in caplog.text


def test_an_array_of_frames_and_nothing_at_all(model):
    assert len(list(model.stream(np.stack([photo(), photo(seed=1)])))) == 2
    assert list(model.stream([])) == []


def test_an_unknown_option_is_told_at_once(model):
    with pytest.raises(OptionError, match="no option errors; it accepts: imgsz"):
        model.stream([], errors="yield")


def test_two_streams_at_once_share_a_model(model):
    photos = [photo(seed=seed) for seed in range(6)]
    first, second = model.stream(photos), model.stream(photos[::-1])
    pairs = list(zip(first, second, strict=True))
    assert all(same(pairs[index][0], pairs[5 - index][1]) for index in range(6))


def test_what_its_maker_uses_again_is_taken_as_it_was(tmp_path):
    """Pages of one PIL image, and one buffer that is filled again, wait in a stream while their maker goes on."""
    pages = [Image.new("RGB", (64, 48), (shade, 0, 0)) for shade in range(10, 250, 30)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])

    def seeking() -> Iterator[Image.Image]:
        with Image.open(tmp_path / "pages.tif") as opened:
            for index in range(len(pages)):
                opened.seek(index)
                yield opened

    def refilled() -> Iterator[memoryview]:
        buffer = bytearray(100_000)
        for page in pages:
            file = io.BytesIO()
            page.save(file, "PNG")
            buffer[: file.tell()] = file.getvalue()
            yield memoryview(buffer)[: file.tell()]

    model = FastSAM(tiny())
    for maker in (seeking, refilled):
        reds = [int(found.image[0, 0, 0]) for found in model.stream(maker(), workers=2)]
        assert reds == list(range(10, 250, 30))


def test_a_copied_pil_image_keeps_its_name(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as opened:
        [found] = FastSAM(tiny()).stream([opened], pixel_limit=10, on_error="yield")
    assert "one.png" in found.source


@pytest.mark.parametrize("camera", [-1, 2**40, np.int64(-1)])
def test_a_number_that_no_camera_has_is_refused(camera):
    """OpenCV would crash, or raise an error of its own."""
    with pytest.raises(OptionError, match="the number of a camera must be an integer from 0"):
        next(FastSAM(tiny()).stream(camera))


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 2), (16, 2)])
def test_there_are_as_many_workers_as_cores_and_never_more_than_two(cores, workers, monkeypatch):
    monkeypatch.setattr("fastsam_onnx.stream.default_threads", lambda: cores)
    assert default_workers() == workers


@pytest.mark.parametrize("workers", [1, 3])
def test_twice_as_many_items_as_workers_are_under_way(workers):
    taken = []
    results = ordered_map(lambda item: item, (taken.append(item) or item for item in range(99)), workers=workers)
    for count in range(3):
        assert next(results) == count
        assert len(taken) == 2 * workers + count
    results.close()


def test_what_waits_when_the_taker_leaves_is_dropped():
    """Two workers have the first three of four; the last waits for one of them."""
    done, begun, go = [], threading.Semaphore(0), threading.Event()

    def work(item: int) -> int:
        if item:
            begun.release()
            go.wait(30)
        done.append(item)
        return item

    results = ordered_map(work, range(99), workers=2)
    assert next(results) == 0
    assert all(begun.acquire(timeout=30) for _ in range(2))
    threading.Timer(0.3, go.set).start()
    results.close()
    assert sorted(done) == [0, 1, 2]


def test_a_batch_of_two_is_one_run():
    runs = []

    def find(sources: list) -> list:
        runs.append(len(sources))
        return list(sources)

    assert list(stream(find, ["a", "b", "c"], batch=2, workers=1, on_error="raise")) == ["a", "b", "c"]
    assert runs == [2, 1]


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_photo_that_an_option_does_not_fit_fails_in_its_place(model, tmp_path, batch):
    """Bands 3, 2, 1 of a TIFF that has one: it ended the stream, and with it the results of its batch were lost."""
    for name, pixels in {"1": photo(), "2": photo(), "3": photo()[..., 0], "4": photo()}.items():
        cv2.imwrite(str(tmp_path / f"{name}.tif"), pixels)
    results = list(model.stream(tmp_path, bands=(3, 2, 1), batch=batch, on_error="yield"))
    assert [type(result) for result in results] == [Segmentation, Segmentation, Failure, Segmentation]
    assert isinstance(results[2].error, OptionError)
    taken = []
    with pytest.raises(OptionError, match="from 1 to 1, got 3") as caught:
        taken += model.stream(tmp_path, bands=(3, 2, 1), batch=batch)
    assert len(taken) == 2
    assert "item 2 of the stream" in caught.value.__notes__[0]


def test_a_frame_that_failed_keeps_its_words():
    failure = Failure(0, "array (2, 2, 7) uint8", ImageError("no"))
    assert list(named_frames((one for one in [failure]), "clip.mp4", deque([12]))) == [failure]


def test_an_iterator_that_one_of_its_threads_collects_says_nothing(monkeypatch):
    """A traceback that somebody kept holds it in a circle; a thread cannot wait for its own end."""
    said, collected, go = [], threading.Event(), threading.Event()
    monkeypatch.setattr(sys, "unraisablehook", said.append)

    def work(item: int) -> int:
        if item == 2 and go.wait(30):
            gc.collect()
            collected.set()
        return item

    held = SimpleNamespace(results=ordered_map(work, range(9), workers=2))
    held.itself = held
    assert [next(held.results), next(held.results)] == [0, 1]
    del held
    go.set()
    assert collected.wait(30)
    for _ in range(100):
        if not our_threads():
            break
        time.sleep(0.05)
    assert not our_threads()
    assert said == []
