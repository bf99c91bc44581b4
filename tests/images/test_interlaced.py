"""Interlaced videos, of which OpenCV from 4.13 on gives whatever was in memory and says that it read them."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest

from fastsam_onnx import FastSAM
from fastsam_onnx.errors import ImageError
from fastsam_onnx.images import interlaced


class Capture:
    """Gives what it holds, one after another."""

    def __init__(self, given):
        self._given = iter(given)

    def read(self):
        one = next(self._given, None)
        return one is not None, one

    def release(self):
        pass


def given(monkeypatch, frames, packets):
    monkeypatch.setattr(interlaced, "_opened", lambda path, options: Capture(packets if options else frames))
    return interlaced.gives_no_pictures("clip.mp4")


SAME = [np.full((120, 160, 3), 7, np.uint8)] * 20
OTHER = [*SAME[:11], SAME[0] + np.uint8(1)]
STILL = [np.zeros(size, np.uint8) for size in (4000, 155, 27, 23, 18, 82, 19, 18, 18, 54, 19, 18)]
MOVING = [np.full(size, size % 251, np.uint8) for size in (4633, 3365, 1813, 37, 57, 2400, 1822, 52, 47, 2397, 50, 42)]
TWICE = [np.zeros(3000, np.uint8)] * 12


@pytest.mark.parametrize(
    ("frames", "packets", "expected"),
    [
        (SAME, MOVING, True),
        (SAME, STILL, False),  # a video that stands still
        (SAME, TWICE, False),  # the same, by a codec without memory
        (OTHER, MOVING, False),
        (SAME[:11], MOVING, False),  # too few to tell, or the next one is damaged
        ([], [], False),
        (SAME, [], False),  # OpenCV does not give them
    ],
)
def test_frames_are_no_pictures_if_they_are_alike_and_their_packets_are_not(monkeypatch, frames, packets, expected):
    assert given(monkeypatch, frames, packets) is expected


def test_such_a_video_is_refused_and_told_the_way(monkeypatch, tmp_path):
    import cv2

    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in range(5):
        writer.write(np.full((48, 64, 3), 40 * level, np.uint8))
    writer.release()
    model = FastSAM(threads=1)
    assert len(list(model.stream(path))) == 5
    monkeypatch.setattr("fastsam_onnx.images.video.gives_no_pictures", lambda path: True)
    with pytest.raises(ImageError, match=r"cannot read .*clip\.avi: OpenCV .*interlaced.*yadif"):
        list(model.stream(path))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg makes the clip")
def test_an_interlaced_video_is_read_or_refused(tmp_path):
    path = tmp_path / "clip.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=2", "-vf", "tinterlace=4,fps=10"]
    codec = ["-c:v", "libx264", "-flags", "+ilme+ildct", "-pix_fmt", "yuv420p", str(path)]
    made = subprocess.run(["ffmpeg", "-v", "error", *source, *codec], check=False, stdin=subprocess.DEVNULL)
    if made.returncode:
        pytest.skip("ffmpeg has no encoder of such clips")
    frames, told = [], ""
    try:
        frames = list(FastSAM(threads=1).stream(path))
    except ImageError as error:
        told = str(error)
    if told:
        assert "interlaced" in told
    else:
        assert (frames[0].image != frames[-1].image).any()
        assert frames[0].image.std() > 30, "a test card"
