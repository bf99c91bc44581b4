"""Videos: frames have true numbers and times, and those that are missing are told."""

import json
import logging
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import Counter

import cv2
import numpy as np
import pytest
from support.command_line import POSIX

from fastsam_onnx import Failure, FastSAM, ImageError, OptionError, OutputError
from fastsam_onnx.images import video as reading
from fastsam_onnx.images import video_writer as writing
from fastsam_onnx.images.contents import Contents, is_cut
from fastsam_onnx.images.load import load_image
from fastsam_onnx.images.sources import open_sources
from fastsam_onnx.images.video import open_video
from fastsam_onnx.images.video_writer import check_codec, rate_to_write, video_writer

FRAMES, RATE, SIZE = 40, 10, (96, 64)
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffmpeg and ffprobe, a test-time tool")


def picture(number, width=SIZE[0], height=SIZE[1]):
    image = np.full((height, width, 3), 20, np.uint8)
    cv2.circle(image, (10 + 2 * number, height // 2), 8, (255, 240, 180), -1)
    return image


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """40 frames of MJPEG, 10 a second."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, SIZE)
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for number in range(FRAMES):
        writer.write(picture(number)[..., ::-1])
    writer.release()
    return path


def chunks_of(data):
    """(first byte, end) of the chunk of each frame, its head included."""
    at, places = data.index(b"movi") + 4, []
    for _ in range(FRAMES):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        places.append((at, at + 8 + size + size % 2))
        at = places[-1][1]
    return places


def without(clip, path, numbers):
    """The clip with the bytes of frames zeroed."""
    data = bytearray(clip.read_bytes())
    for number, (start, end) in enumerate(chunks_of(data)):
        if number in numbers:
            data[start + 8 : end] = bytes(end - start - 8)
    path.write_bytes(data)
    return path


def emptied(clip, path, numbers):
    """The clip with no bytes in the chunks of frames, and an index that says so."""
    data = clip.read_bytes()
    start = data.index(b"movi")
    movie, index = b"movi", b""
    for number, (at, end) in enumerate(chunks_of(data)):
        size = 0 if number in numbers else int.from_bytes(data[at + 4 : at + 8], "little")
        index += data[at : at + 4] + struct.pack("<III", 16, len(movie), size)
        movie += data[at : at + 4] + size.to_bytes(4, "little") + (data[at + 8 : end] if size else b"")
    body = data[8 : start - 4] + struct.pack("<I", len(movie)) + movie + b"idx1" + struct.pack("<I", len(index)) + index
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    return path


def encode(clip, path, *options):
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", str(clip), *options, str(path)], check=True)
    return path


def times_of_ffprobe(path):
    entries = ["-show_entries", "frame=best_effort_timestamp_time", "-select_streams", "v", "-of", "json"]
    told = subprocess.run(["ffprobe", "-v", "quiet", *entries, str(path)], capture_output=True, check=False)
    frames = json.loads(told.stdout or b"{}").get("frames", [])
    return [round(float(frame.get("best_effort_timestamp_time", "nan")), 3) for frame in frames]


class TestFrames:
    def test_numbers_times_and_pictures(self, clip):
        frames = list(open_video(clip).frames())
        assert [frame.number for frame in frames] == list(range(FRAMES))
        assert [round(frame.seconds, 3) for frame in frames] == [number / RATE for number in range(FRAMES)]
        assert not any(frame.missing for frame in frames)
        assert np.abs(frames[7].picture.astype(int) - picture(7)).mean() < 3

    @pytest.mark.parametrize("numbers", [{15}, {0}, {39}, {7, 8}])
    def test_a_frame_whose_bytes_were_cut_out_has_its_place_and_the_others_their_own(self, clip, tmp_path, numbers):
        """The next frame lies in its place then, and got its number and time; so did all that followed."""
        data = bytearray(clip.read_bytes())
        for number, (start, end) in reversed(list(enumerate(chunks_of(data)))):
            if number in numbers:
                del data[start:end]
        (tmp_path / "cut.avi").write_bytes(data)
        frames = list(open_video(tmp_path / "cut.avi").frames())
        assert [frame.number for frame in frames] == list(range(FRAMES))
        assert [round(frame.seconds, 3) for frame in frames] == [number / RATE for number in range(FRAMES)]
        assert {frame.number for frame in frames if frame.missing} == numbers
        for frame in frames:
            if not frame.missing:
                apart = [np.abs(frame.picture.astype(int) - picture(frame.number + step)).mean() for step in (-1, 0, 1)]
                assert np.argmin(apart) == 1

    @pytest.mark.parametrize("codec", ["MJPG", pytest.param("MPEG-4", marks=needs_ffmpeg)])
    @pytest.mark.parametrize("held", [{1, 2, 20}, {38, 39}, set(range(1, 39))])
    def test_chunks_without_bytes_show_the_frame_before_for_longer(self, clip, tmp_path, codec, held, caplog):
        """Recorders write them where nothing changed; each was a frame that is lost."""
        if codec == "MPEG-4":
            clip = encode(clip, tmp_path / "m.avi", "-c:v", "mpeg4", "-bf", "0", "-q:v", "2")
        frames = list(open_video(emptied(clip, tmp_path / "held.avi", held)).frames())
        assert not any(frame.missing for frame in frames)
        assert [frame.number for frame in frames] == list(range(FRAMES - len(held)))
        shown = [number / RATE for number in range(FRAMES) if number not in held]
        assert [round(frame.seconds, 3) for frame in frames] == shown
        assert not caplog.messages

    def test_a_lost_frame_beside_chunks_without_bytes(self, clip, tmp_path):
        path = without(clip, tmp_path / "damaged.avi", {15})
        frames = list(open_video(emptied(path, tmp_path / "held.avi", {4, 5, 20})).frames())
        assert [frame.number for frame in frames if frame.missing] == [13]
        assert [round(frame.seconds * RATE) for frame in frames] == [n for n in range(FRAMES) if n not in {4, 5, 20}]

    @pytest.mark.parametrize("numbers", [{15}, {0}, {3, 4, 5, 20}, {1, 38}])
    def test_a_damaged_frame_has_its_place_and_the_others_their_own(self, clip, tmp_path, numbers):
        """The video ended at its first damaged frame, and was called done."""
        frames = list(open_video(without(clip, tmp_path / "damaged.avi", numbers)).frames())
        assert [frame.number for frame in frames] == list(range(FRAMES))
        assert [round(frame.seconds, 3) for frame in frames] == [number / RATE for number in range(FRAMES)]
        assert {frame.number for frame in frames if frame.missing} == numbers
        for frame in frames:
            if frame.missing:
                with pytest.raises(ImageError, match=rf"damaged\.avi#{frame.number}: it cannot be decoded"):
                    load_image(frame.picture)
            else:
                assert np.abs(frame.picture.astype(int) - picture(frame.number)).mean() < 3

    @pytest.mark.parametrize("last", [1, 2, 5])
    def test_a_damaged_end_is_told_like_any_damage(self, clip, tmp_path, last):
        """One or two frames too few were a word in the log, as in files that declare a few too many."""
        path = without(clip, tmp_path / "d.avi", set(range(FRAMES - last, FRAMES)))
        *frames, end = open_video(path).frames()
        assert [frame.number for frame in frames] == list(range(FRAMES - last))
        assert (end.number, end.missing, round(end.seconds, 3)) == (FRAMES - last, last, (FRAMES - last) / RATE)

    @pytest.mark.parametrize("kind", ["zeros", "cut out"])
    def test_a_frame_that_a_reader_does_not_even_meet(self, clip, tmp_path, kind):
        """Readers of AVI count what they meet, so all later frames had the numbers and times of those before."""
        data = bytearray(clip.read_bytes())
        at = data.index(b"movi") + 4
        for _ in range(15):
            size = int.from_bytes(data[at + 4 : at + 8], "little")
            at += 8 + size + size % 2
        data[at : at + 40] = bytes(40) if kind == "zeros" else b""
        (tmp_path / "d.avi").write_bytes(data)
        frames = list(open_video(tmp_path / "d.avi").frames())
        assert [frame.number for frame in frames] == list(range(FRAMES))
        assert [round(frame.seconds, 3) for frame in frames] == [number / RATE for number in range(FRAMES)]
        assert [frame.number for frame in frames if frame.missing] == [15]
        for frame in frames:
            if not frame.missing:
                assert np.abs(frame.picture.astype(int) - picture(frame.number)).mean() < 3

    def test_a_video_that_is_cut_says_how_many_are_missing(self, clip, tmp_path):
        path = tmp_path / "cut.avi"
        data = clip.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        assert is_cut(path)
        assert not is_cut(clip)
        *frames, last = open_video(path).frames()
        assert not any(frame.missing for frame in frames)
        assert last.number == len(frames)
        assert last.missing == FRAMES - len(frames) > 15
        with pytest.raises(ImageError, match=f"{last.missing} of the {FRAMES} frames that the file declares"):
            load_image(last.picture)

    def test_a_video_without_a_frame_is_an_error(self, clip, tmp_path):
        frames = open_video(without(clip, tmp_path / "none.avi", set(range(FRAMES)))).frames()
        with pytest.raises(ImageError, match="no frames that can be decoded"):
            list(frames)

    def test_a_recording_that_was_not_finished_is_refused_by_what_it_lacks(self, tmp_path):
        with video_writer(tmp_path / "a.mp4", RATE) as add:
            for number in range(FRAMES):
                add(picture(number))
        data = (tmp_path / "a.mp4").read_bytes()
        (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") - 4])
        with pytest.raises(ImageError, match=r"cut\.mp4: it has no table of its frames \(moov\)"):
            open_video(tmp_path / "cut.mp4")
        assert len(list(open_video(tmp_path / "a.mp4").frames())) == FRAMES

    def test_streams_give_failures_in_their_place(self, clip, tmp_path, bright):
        path = without(clip, tmp_path / "damaged.avi", {2, 5})
        results = list(bright.stream(path, on_error="yield"))
        assert len(results) == FRAMES
        assert [index for index, result in enumerate(results) if isinstance(result, Failure)] == [2, 5]
        assert (results[5].index, results[5].source) == (5, f"{path}#5")
        assert [result.source for result in results[3:7:3]] == ["damaged.avi#3", "damaged.avi#6"]
        with pytest.raises(ImageError, match="#2: it cannot be decoded"):
            list(bright.stream(path))

    @needs_ffmpeg
    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            (".mp4", ["-c:v", "libx264", "-bf", "2"]),
            (".mkv", ["-c:v", "libx264", "-bf", "2"]),
            (".avi", ["-c:v", "mpeg4", "-bf", "0"]),
            (".webm", ["-c:v", "libvpx"]),
            (".mov", ["-c:v", "mpeg4"]),
        ],
    )
    def test_variable_rate_has_true_times(self, clip, tmp_path, suffix, options):
        """Frames of a phone: 0.2 s apart, then 0.1; by the mean rate they were up to a second wrong."""
        timing = "setpts='if(lt(N,10),N*0.2,2+(N-10)*0.1)/TB'"
        steady = [] if suffix == ".avi" else ["-vf", timing, "-fps_mode", "vfr"]
        path = encode(clip, tmp_path / f"a{suffix}", *steady, *options, "-pix_fmt", "yuv420p")
        frames = [frame for frame in open_video(path).frames() if not frame.missing]
        assert len(frames) == FRAMES
        assert [round(frame.seconds, 3) for frame in frames] == times_of_ffprobe(path)


@pytest.fixture(scope="module")
def bright():
    from support.tiny_onnx import bright_object

    return FastSAM(bright_object(), imgsz=96, threads=1)


def numbered(number):
    """A picture in which bars tell the number, each beside its opposite."""
    image = picture(number)
    for bit in range(6):
        image[:12, 16 * bit : 16 * bit + 16] = 255 * (number >> bit & 1)
        image[12:24, 16 * bit : 16 * bit + 16] = 255 - 255 * (number >> bit & 1)
    return image


def number_in(image):
    """The number that the bars tell; None if they cannot be read."""
    bars = [[image[y : y + 6, 16 * bit + 5 : 16 * bit + 11].mean() for bit in range(6)] for y in (3, 15)]
    if min(abs(one - other) for one, other in zip(*bars, strict=True)) < 100:
        return None
    return sum((one > other) << bit for bit, (one, other) in enumerate(zip(*bars, strict=True)))


@pytest.fixture(scope="module")
def numbered_clips(tmp_path_factory):
    """MJPEG, MPEG-4 and H.264 in each container."""
    folder = tmp_path_factory.mktemp("numbered")
    with video_writer(folder / "source.avi", RATE, "mjpeg") as add:
        for number in range(FRAMES):
            add(numbered(number))
    h264 = ["-c:v", "libx264", "-g", "10", "-bf", "2", "-pix_fmt", "yuv420p"]
    mpeg4 = ["-c:v", "mpeg4", "-g", "10", "-q:v", "4"]
    kinds = {
        "mjpeg.avi": ["-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p"],
        "mpeg4.avi": mpeg4,
        "h264.mp4": [*h264, "-movflags", "+faststart"],
        "mpeg4.mp4": [*mpeg4, "-movflags", "+faststart"],
        "h264.mkv": h264,
        "h264.ts": h264,
    }
    return [encode(folder / "source.avi", folder / name, *options) for name, options in kinds.items()]


def damage(data, draw):
    """Bytes zeroed, cut out, cut off or twice; how, and what is left."""
    at = draw.randrange(200, len(data))
    count = draw.randrange(1, max(2, min(len(data) - at, 4000)))
    kind = draw.choice(["zeros", "cut out", "cut off", "twice"])
    new = {"zeros": bytes(count), "twice": 2 * data[at : at + count]}.get(kind, b"")
    return kind, data[:at] if kind == "cut off" else data[:at] + new + data[at + count :]


@needs_ffmpeg
def test_damaged_at_random_the_frames_are_those_of_ffmpeg_or_it_is_told(numbered_clips, tmp_path, caplog):
    """30 videos. The counts are whole, told, refused; silent is none.

    A number is right if the bars in the picture tell it, or if FFmpeg gives the frame the same time: where a decoder
    hides damage, the picture is one of before; packets of AVI tell no times, so that what is cut out moves the rest.
    """
    draw, outcomes, numbers = random.Random(1), Counter(), Counter()
    for index in range(30):
        source = numbered_clips[index % len(numbered_clips)]
        kind, data = damage(source.read_bytes(), draw)
        path = tmp_path / f"damaged{index}{source.suffix}"
        path.write_bytes(data)
        caplog.clear()
        expected = times_of_ffprobe(path)
        try:
            with caplog.at_level(logging.WARNING, "fastsam_onnx"):
                frames = list(open_video(path).frames())
        except ImageError:
            assert not expected
            outcomes["refused"] += 1
            continue
        given = [frame for frame in frames if not frame.missing]
        assert len(given) == len(expected)  # every frame that ffmpeg decodes
        assert [frame.number for frame in given] == sorted({frame.number for frame in given})
        missing = sum(frame.missing for frame in frames)
        if kind != "twice" and source.suffix != ".ts":  # added frames shift the others; packets tell no numbers
            for frame, seconds in zip(given, expected, strict=True):
                drawn = number_in(frame.picture)
                is_of_before, agrees = drawn is not None and drawn < frame.number, round(seconds * RATE) == frame.number
                is_avi = source.suffix == ".avi"
                right = drawn in (frame.number, None) or (is_of_before and (agrees or is_avi)) or (is_avi and agrees)
                numbers["right" if right else "wrong"] += 1
                assert frame.seconds == pytest.approx(frame.number / RATE, abs=0.002)
        is_shorter = source.suffix == ".ts" and kind == "cut off" and len(data) % 188 == 0  # and valid
        whole = len(given) >= FRAMES or is_shorter
        outcomes["whole" if whole else "told" if missing or caplog.records else "silent"] += 1
    assert outcomes["silent"] == 0, outcomes
    assert outcomes["told"] > 15, outcomes
    assert numbers["wrong"] == 0, numbers
    assert numbers["right"] > 250, numbers


class FakeCapture:
    """A cv2.VideoCapture that gives what it is told to."""

    def __init__(self, *frames):
        self.frames = list(frames)

    def isOpened(self):  # noqa: N802
        return True

    def get(self, _):
        return 0.0

    def read(self):
        return self.frames.pop(0) if self.frames else (False, None)

    def release(self):
        raise AssertionError("it is not ours to close")


class FakeCamera(FakeCapture):
    """One that was opened here."""

    def release(self):
        pass


class TestCaptures:
    @pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.uint8])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_frames_without_opencvs_conversion_are_as_arrays(self, dtype, channels):
        """16 bits were taken modulo 256, floats became black."""
        white = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
        values = np.linspace(0, 1, 6 * 4 * channels).reshape(4, 6, channels) * white
        frame = values.astype(dtype).squeeze()
        [given] = open_video(FakeCapture((True, frame))).frames()
        np.testing.assert_array_equal(given.picture, load_image(frame, channel_order="bgr"))

    def test_what_is_no_picture_is_an_error(self):
        for frame, words in ((None, "got NoneType"), (np.zeros((4, 6, 2), np.uint8), "shape")):
            with pytest.raises(ImageError, match=words):
                list(open_video(FakeCapture((True, frame))).frames())

    @pytest.mark.parametrize("told", [float("nan"), float("inf"), -1.0])
    def test_what_a_capture_cannot_tell_is_nothing(self, told, monkeypatch):
        """NaN for the number of frames, or the time of one, was a ValueError."""
        monkeypatch.setattr(FakeCapture, "get", lambda *_: told)
        video = open_video(FakeCapture((True, picture(0)), (True, picture(1))))
        assert video.frame_count is None
        assert [frame.seconds for frame in video.frames()] == [0, 0.04]

    def test_a_camera_that_gives_nothing_is_an_error(self, monkeypatch):
        """It was a stream without frames, and a camera that was unplugged one that was at its end."""
        monkeypatch.setattr(cv2, "VideoCapture", lambda _: FakeCamera())
        with pytest.raises(ImageError, match="cannot read camera 3: it gives no frames"):
            list(open_video(3).frames())

    def test_a_camera_that_stops_is_told(self, monkeypatch, caplog):
        monkeypatch.setattr(cv2, "VideoCapture", lambda _: FakeCamera((True, picture(0)), (True, picture(1))))
        assert len(list(open_video(3).frames())) == 2
        assert "camera 3: it stopped after 2 frames" in caplog.text

    def test_a_camera_says_its_rate_itself(self, monkeypatch):
        monkeypatch.setattr(cv2, "VideoCapture", lambda _: FakeCamera())
        monkeypatch.setattr(FakeCapture, "get", lambda _, what: 15.0 if what == cv2.CAP_PROP_FPS else 0.0)
        video = open_video(3)
        assert (video.fps, video.copy_fps) == (15, 15)

    def test_frames_are_numbered_from_where_a_capture_stands(self, tmp_path, caplog):
        """They were numbered from 0, at the times that they have, and the others were told to be missing."""
        with video_writer(tmp_path / "a.mp4", 25) as add:
            for number in range(9):
                add(picture(number))
        capture = cv2.VideoCapture(str(tmp_path / "a.mp4"))
        for _ in range(6):
            capture.read()
        frames = list(open_video(capture).frames())
        assert [frame.number for frame in frames] == [6, 7, 8]
        assert [frame.seconds for frame in frames] == pytest.approx([0.24, 0.28, 0.32])
        assert not caplog.text

    @pytest.mark.parametrize(("rate", "count"), [(25.0, 180), (1000.0, 180), (90_000.0, None)])
    def test_a_length_by_the_clock_is_no_number_of_frames(self, monkeypatch, rate, count):
        """The cover of a song of two seconds was the first of 180,000 frames."""
        told = {cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_FRAME_COUNT: 180.0}
        monkeypatch.setattr(FakeCapture, "get", lambda _, what: told.get(what, 0.0))
        assert open_video(FakeCapture()).frame_count == count

    @pytest.mark.parametrize("source", [True, False])
    def test_a_bool_is_no_camera(self, source):
        with pytest.raises(OptionError, match="number of a camera"):
            open_sources(source)


STEADY = np.arange(50) * 0.04
PAUSED = np.where(np.arange(50) < 25, STEADY, STEADY + 90)


@pytest.mark.parametrize(
    ("told", "times", "expected"),
    [
        (25, STEADY, 25),
        (29.97, np.round(np.arange(50) / 29.97, 3), 29.97),  # in milliseconds
        (25, STEADY / 2, 25),  # half frames
        (0.54, PAUSED, 25),
        (23.81, np.delete(np.arange(84) / 25, [40, 41, 60, 61]), 25),  # steady, but for two pauses
        (27.21, STEADY, 25),  # what it says hangs on the last frame, whose duration is odd
        (1000, STEADY, 25),
        (25, STEADY[:1], 25),
        (25, STEADY[:0], 25),
        (1, np.cumsum([0.001, 2] * 20), 60),
        (240, np.arange(50) / 240, 240),
    ],
)
def test_a_copy_of_constant_rate_has_a_place_for_every_frame(monkeypatch, tmp_path, told, times, expected):
    """What browsers record says no rate, and OpenCV the clock's; the average of a recorded screen is of its pauses."""
    monkeypatch.setattr(reading, "read_contents", lambda path: Contents(seconds=times))

    monkeypatch.setattr(FakeCapture, "get", lambda capture, what: told if what == cv2.CAP_PROP_FPS else 0.0)
    video = reading.Video(FakeCapture(), "clip", tmp_path / "clip.webm", ours=True)
    assert video.copy_fps == pytest.approx(expected)


class TestWriting:
    @staticmethod
    def write(path, pictures):
        with video_writer(path, 25) as add:
            for image in pictures:
                add(image)

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".avi"])
    @pytest.mark.parametrize("size", [(321, 241), (320, 241), (321, 240), (96, 64)])
    def test_odd_sizes_are_padded_not_cut(self, tmp_path, suffix, size):
        path = tmp_path / f"a{suffix}"
        with video_writer(path, 25) as add:
            for number in range(3):
                add(picture(number, *size))
        frames = [frame.picture for frame in open_video(path).frames()]
        assert len(frames) == 3
        height, width = frames[0].shape[:2]
        assert (width, height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert np.abs(frames[1][: size[1], : size[0]].astype(int) - picture(1, *size)).mean() < 6

    @pytest.mark.parametrize(
        ("fps", "written"),
        [(25, 25), (29.97, 29.97), (23.976, 23.976), (59.94, 59.94), (239.986, 239.99), (1000, 1000), (0.5, 0.5)],
    )
    def test_odd_rates(self, tmp_path, fps, written):
        """MPEG-4 takes 239.99 = 23999/100; 239986/1000 does not fit into its 16 bits."""
        assert rate_to_write(fps) == pytest.approx(written, abs=1e-9)
        with video_writer(tmp_path / "a.mp4", fps) as add:
            for number in range(5):
                add(picture(number))
        video = open_video(tmp_path / "a.mp4")
        assert video.fps == pytest.approx(fps, rel=1e-4)
        assert len(list(video.frames())) == 5

    @pytest.mark.parametrize("suffix", [".mp4", ".avi"])
    def test_a_full_disk_is_an_error_and_the_old_file_stays(self, tmp_path, suffix):
        """It exited with 0, and a good file was replaced by one that cannot be opened."""
        resource = pytest.importorskip("resource")
        path = tmp_path / f"a{suffix}"
        path.write_bytes(b"the old one")
        noise = np.random.default_rng(0).integers(0, 256, (12, 240, 320, 3), np.uint8)
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(OutputError, match=r"of 12 frames are in the file|cannot write"):
                self.write(path, noise)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert path.read_bytes() == b"the old one"
        assert [each.name for each in tmp_path.iterdir()] == [path.name]

    def test_frames_that_are_not_in_the_file_are_counted(self, tmp_path, monkeypatch):
        monkeypatch.setattr(writing, "_count_frames", lambda _: 2)
        with pytest.raises(OutputError, match="only 2 of 3 frames"):
            self.write(tmp_path / "a.mp4", [picture(number) for number in range(3)])
        assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def h264(clip, tmp_path_factory):
    path = tmp_path_factory.mktemp("h264") / "a.mp4"
    return encode(clip, path, "-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p")


@needs_ffmpeg
class TestHealthy:
    """What people have and is not damaged gives no place for missing frames, at most a word in the log."""

    def test_a_clip_that_was_trimmed_keeps_frames_that_are_not_shown(self, h264, tmp_path):
        path = tmp_path / "trimmed.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-ss", "1.05", "-i", h264, "-c", "copy", path], check=True)
        frames = list(open_video(path).frames())
        assert not any(frame.missing for frame in frames)
        assert len(frames) == len(times_of_ffprobe(path)) < FRAMES

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".mov"])
    def test_sound_that_is_longer(self, h264, tmp_path, suffix):
        path = tmp_path / f"sound{suffix}"
        sound = ["-f", "lavfi", "-i", "sine=duration=9", "-c:v", "copy", "-c:a", "aac"]
        subprocess.run(["ffmpeg", "-v", "error", "-i", h264, *sound, path], check=True)
        frames = list(open_video(path).frames())
        assert len(frames) == FRAMES
        assert not any(frame.missing for frame in frames)

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
    def test_frames_that_a_recorder_left_out(self, clip, tmp_path, suffix, caplog):
        """MP4 and Matroska tell that the others are all there are; of a transport stream it remains a question."""
        left_out = ["-vf", "select='not(eq(n,7)+eq(n,20))'", "-fps_mode", "vfr"]
        path = encode(clip, tmp_path / f"a{suffix}", *left_out, "-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv420p")
        with caplog.at_level(logging.WARNING, "fastsam_onnx"):
            frames = list(open_video(path).frames())
        assert [frame.number for frame in frames] == list(range(FRAMES - 2))
        assert [round(frame.seconds, 1) for frame in frames][6:8] == [0.6, 0.8]
        told = "time jumps 2 times over frames, first after frame 6" in caplog.text
        assert told == (suffix == ".ts")
        assert told or not caplog.records

    @pytest.mark.parametrize(
        ("suffix", "options"),
        [
            (".mp4", ["-c:v", "libx264", "-bf", "2", "-t", "2.55"]),
            (".mp4", ["-c:v", "libx264", "-movflags", "frag_keyframe+empty_moov"]),
            (".mp4", ["-c:v", "libx264", "-flags", "+ilme+ildct"]),
            (".mov", ["-c:v", "mpeg4", "-bf", "2"]),
            (".avi", ["-c:v", "mpeg4", "-bf", "2"]),
            (".avi", ["-c:v", "mjpeg"]),
            (".mkv", ["-c:v", "libx264", "-bf", "2", "-ss", "0.55"]),
            (".mkv", ["-c:v", "libx264", "-live", "1"]),
            (".webm", ["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16"]),
            (".webm", ["-c:v", "libvpx-vp9", "-auto-alt-ref", "1", "-lag-in-frames", "25"]),
            (".ts", ["-c:v", "mpeg2video", "-r", "25"]),
            (".ts", ["-c:v", "libx264", "-bf", "2"]),
        ],
        ids=lambda value: value if isinstance(value, str) else "-".join(value[1::2]),
    )
    def test_every_frame_is_there(self, clip, tmp_path, suffix, options, caplog):
        """Also where a container stores half frames, frames that are only looked into, or no table."""
        path = encode(clip, tmp_path / f"a{suffix}", *options, "-pix_fmt", "yuv420p")
        with caplog.at_level(logging.WARNING, "fastsam_onnx"):
            frames = list(open_video(path).frames())
        assert [frame.number for frame in frames] == list(range(len(times_of_ffprobe(path))))
        assert not any(frame.missing for frame in frames)
        assert suffix == ".ts" or not caplog.records  # which tells a length in time alone

    def test_sound_alone_is_not_a_video(self, tmp_path):
        path = tmp_path / "sound.mp4"
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", path], check=True)
        with pytest.raises(ImageError, match="cannot open it as a video"):
            open_video(path)


def test_a_codec_cannot_be_tried_where_nothing_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(OutputError, match="cannot write a temporary video: No such file"):
        check_codec(tmp_path / "a.mp4", "mpeg4")


@POSIX
class TestNamesThatAreNotUTF8:
    """OpenCV ended the process (SIGSEGV)."""

    @pytest.fixture
    def folder(self, tmp_path):
        path = tmp_path / os.fsdecode(b"caf\xe9")
        try:
            path.mkdir()
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        return path

    def test_reading_is_refused(self, clip, folder):
        path = shutil.copy(clip, folder / "clip.avi")
        with pytest.raises(ImageError, match=r"caf.*clip\.avi.*must be UTF-8"):
            open_video(path)

    def test_writing_is_refused_before_any_frame(self, folder):
        with pytest.raises(OutputError, match=r"caf.*a\.mp4.*must be UTF-8"), video_writer(folder / "a.mp4", 25):
            pytest.fail("it was opened")
        assert list(folder.iterdir()) == []

    def test_a_codec_cannot_be_tried_in_such_a_folder(self, folder, monkeypatch):
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        with pytest.raises(OutputError, match=r"caf.*must be UTF-8"):
            check_codec(folder / "a.mp4", "mpeg4")

    def test_a_file_may_have_such_a_name_in_another_folder(self, folder):
        """It is written under another name first."""
        path = folder.with_name(folder.name + ".avi")
        with video_writer(path, 25) as add:
            add(picture(0))
        assert path.stat().st_size > 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
@pytest.mark.process
def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    script = "import sys; from fastsam_onnx.images import video; print(video.is_video(video.Path(sys.argv[1])))"
    command = [sys.executable, "-c", script, str(tmp_path / "a.jpg")]
    assert subprocess.run(command, capture_output=True, timeout=20, check=True).stdout == b"False\n"
