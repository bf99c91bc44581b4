"""What containers say of their frames: true of healthy files, and never an error, however they are damaged."""

import random
import shutil
import subprocess

import numpy as np
import pytest
from support.damage import damaged

from fastsam_onnx.images import avi, matroska, mp4, transport
from fastsam_onnx.images.contents import is_cut, movie_seconds, read_contents

pytestmark = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg, a test-time tool")

SOURCE = ["-f", "lavfi", "-i", "testsrc2=size=64x48:rate=10:duration=2"]
H264 = ["-c:v", "libx264", "-bf", "2", "-pix_fmt", "yuv420p"]
VARIES = ["-vf", "setpts='if(lt(N,5),N*0.2,1+(N-5)*0.1)/TB'", "-fps_mode", "vfr"]


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """`encoded(name, *options)` gives a video of 20 frames, or as the options say."""
    folder = tmp_path_factory.mktemp("contents")

    def encode(name, *options):
        path = folder / name
        if not path.exists():
            subprocess.run(["ffmpeg", "-v", "error", "-y", *SOURCE, *options, path], check=True)
        return path

    return encode


@pytest.mark.parametrize(
    ("name", "options", "seconds"),
    [
        ("a.mp4", H264, np.arange(20) / 10),
        ("b.mp4", [*VARIES, *H264], [*np.arange(5) / 5, *(1 + np.arange(15) / 10)]),
        ("c.mov", ["-c:v", "mpeg4"], np.arange(20) / 10),
        ("d.mkv", H264, np.arange(20) / 10),
        ("e.mkv", [*VARIES, *H264], [*np.arange(5) / 5, *(1 + np.arange(15) / 10)]),
        ("f.webm", ["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16"], np.arange(20) / 10),
        ("g.avi", ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"], np.arange(20) / 10),
        ("h.mp4", [*H264, "-movflags", "frag_keyframe+empty_moov"], []),  # the table is in pieces
        ("i.avi", ["-c:v", "mpeg4", "-bf", "2"], []),  # times do not tell the chunks
        ("j.ts", H264, []),
    ],
)
def test_healthy_files(encoded, name, options, seconds):
    path = encoded(name, *options)
    contents = read_contents(path)
    assert contents.is_whole
    assert not is_cut(path)
    np.testing.assert_allclose(contents.seconds, seconds, atol=0.0011)
    assert [contents.number_at(time) for time in contents.times] == list(range(len(seconds)))
    assert contents.number_at(-1) is None
    assert contents.number_at(99) is None


def test_of_a_trimmed_clip_the_frames_that_are_shown(encoded, tmp_path):
    path = tmp_path / "t.mp4"
    subprocess.run(
        ["ffmpeg", "-v", "error", "-ss", "0.55", "-i", encoded("a.mp4", *H264), "-t", "1", "-c", "copy", path],
        check=True,
    )
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames", "-of", "csv=p=0", path],
        check=True,
        capture_output=True,
    )
    assert len(read_contents(path).seconds) == int(shown.stdout) < 20


def test_the_length_of_a_movie(encoded):
    assert movie_seconds(encoded("a.mp4", *H264)) == 2.0
    assert movie_seconds(encoded("d.mkv", *H264)) is None


@pytest.mark.parametrize("name", ["a.mp4", "d.mkv", "g.avi", "j.ts", "k.gif"])
def test_a_file_that_is_cut_off_or_goes_on(encoded, tmp_path, name):
    options = {"g.avi": ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"], "k.gif": []}.get(name, H264)
    data = encoded(name, *options).read_bytes()
    assert not is_cut(encoded(name, *options))
    for length in (-1, -100, -len(data) // 3):
        (tmp_path / name).write_bytes(data[:length])
        assert is_cut(tmp_path / name) == (name != "g.avi" or length < -1)  # there a byte that makes it even may lack
    (tmp_path / name).write_bytes(data + b"more than it says")
    assert is_cut(tmp_path / name)


def test_a_missing_packet_of_a_transport_stream(encoded):
    data = encoded("j.ts", *H264).read_bytes()
    assert transport.is_whole(memoryview(data))
    assert transport.is_whole(memoryview(data[: 188 * 20]))
    assert not transport.is_whole(memoryview(data[: 188 * 9] + data[188 * 10 :]))
    assert not transport.is_whole(memoryview(data[: 188 * 9] + bytes(188) + data[188 * 10 :]))


@pytest.mark.parametrize(
    ("name", "options", "read"),
    [
        ("a.mp4", H264, mp4.frame_times),
        ("a.mp4", H264, mp4.movie_seconds),
        ("b.mp4", [*VARIES, *H264], mp4.has_wrong_length),
        ("d.mkv", H264, matroska.frame_times),
        ("d.mkv", H264, matroska.has_wrong_length),
        ("g.avi", ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"], avi.read_chunks),
        ("g.avi", ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"], avi.has_its_frames),
        ("j.ts", H264, transport.is_whole),
    ],
)
def test_damage_is_no_error(encoded, name, options, read):
    data, draw = encoded(name, *options).read_bytes(), random.Random(1)
    part = slice(data.find(b"moov") - 4, None) if name.endswith("mp4") else slice(0, 6000)
    for _ in range(300):
        hurt = damaged(data[part], draw)
        read(memoryview(data[: part.start] + hurt + (data[part.stop :] if part.stop else b"")))


def test_a_file_that_cannot_be_read_says_nothing(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    for path in (tmp_path / "empty.mp4", tmp_path / "none.mp4"):
        assert read_contents(path).is_whole
        assert not is_cut(path)
