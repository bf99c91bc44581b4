"""Videos and raw frames on the command line: what is written, and what is said when that cannot be."""

import argparse
import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image
from support import toy_clip
from support.command_line import POSIX, listing
from support.damage import damaged
from support.terminal import in_a_terminal
from support.tiny_onnx import bright_object

import fastsam_onnx
from fastsam_onnx import FastSAM, Mask, Prompts, Segmentation, draw
from fastsam_onnx.cli import video as video_command
from fastsam_onnx.cli.pace import Pace, overlays
from fastsam_onnx.cli.program import main
from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.formats.registry import WRITTEN
from fastsam_onnx.images import video_writer as video_files
from fastsam_onnx.images.video import Frame, Video, is_video, open_video
from fastsam_onnx.images.video_writer import video_writer

SIZE = (96, 64)  # width, height
FRAMES = 9
COFFEE = Path(__file__).parents[2] / "examples" / "coffee.jpg"


def frame(number):
    """(64, 96, 3) RGB: a disc of radius 10 that moves to the right by 8 a frame."""
    picture = np.full((64, 96, 3), 20, np.uint8)
    cv2.circle(picture, (14 + 8 * number, 32), 10, (255, 240, 180), -1)
    return picture


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    file = tmp_path_factory.mktemp("network") / "bright.onnx"
    file.write_bytes(bright_object())
    return str(file)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
    if not writer.isOpened():
        pytest.skip("this OpenCV writes no video")
    for number in range(FRAMES):
        writer.write(frame(number)[..., ::-1])
    writer.release()
    return path


@pytest.fixture
def run(network, capsys):
    def run_segment(*arguments):
        code = main(["segment", "--model", network, "--imgsz", "96", *map(str, arguments)])
        return code, *capsys.readouterr()

    return run_segment


def program(network, *arguments, stdin=b"", cwd=None):
    command = [sys.executable, "-m", "fastsam_onnx", "segment", "--model", network, "--imgsz", "96", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(fastsam_onnx.__file__).parents[1])}
    return subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=environment, timeout=120, check=False)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def table(path):
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def check_lines(records, fps=10):
    assert [record["frame"] for record in records] == list(range(FRAMES))
    assert [record["source"].rpartition("#")[2] for record in records] == [str(number) for number in range(FRAMES)]
    assert [record["seconds"] for record in records] == [round(number / fps, 3) for number in range(FRAMES)]
    for number, record in enumerate(records):
        [one] = record["objects"]
        left, _, right, _ = one["box"]
        assert abs((left + right) / 2 - (14 + 8 * number)) <= 2
        assert (record["width"], record["height"]) == SIZE


def test_a_clip_that_cannot_be_opened_is_told_before_the_first_frame(run, clip, tmp_path):
    toy_clip.write(tmp_path / "words")
    (tmp_path / "words" / "vision_model.onnx").write_bytes(b"junk")
    code, _, err = run(clip, "--text", "red", "--clip", tmp_path / "words")
    assert (code, "vision_model.onnx" in err) == (2, True), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.avi", "words"]


def test_a_video_gives_an_overlay_video_and_json_lines_beside_it(run, clip):
    code, out, err = run(clip)
    assert code == 0
    assert out == ""
    assert sorted(path.name for path in clip.parent.iterdir()) == ["clip.avi", "clip.jsonl", "clip.overlay.mp4"]
    records = lines((clip.parent / "clip.jsonl").read_text())
    check_lines(records)
    assert records[4]["source"] == "clip.avi#4"
    video = open_video(clip.parent / "clip.overlay.mp4")
    assert video.fps == pytest.approx(10)
    pictures = [each.picture for each in video.frames()]
    assert len(pictures) == FRAMES
    # The background is the same, the disc has the colour of its object.
    for number, picture in enumerate(pictures):
        change = np.abs(picture.astype(int) - frame(number)).mean(axis=2)
        assert change[2:8, 2:90].mean() < 12
        assert change[32, 14 + 8 * number] > 40
    assert f"{FRAMES} frames of 96x64, {FRAMES} objects -> " in err
    assert "1 video, 9 objects" in err


@pytest.mark.parametrize("grow", [0, 4])
def test_masks_of_what_is_followed_are_a_video_in_black_and_white(run, clip, tmp_path, grow):
    """The disc that moves by 8 pixels a frame, and nothing else."""
    asked = ["--track", "--point", "14,32", "--codec", "mjpeg", *(["--grow", str(grow)] if grow else [])]
    assert run(clip, *asked, "-o", tmp_path / "disc.mask.avi")[0] == 0
    assert run(clip, *asked, "--format", "mask", "-o", tmp_path / "other.avi")[0] == 0
    assert (tmp_path / "other.avi").read_bytes() == (tmp_path / "disc.mask.avi").read_bytes()
    overlay = run(clip, "--format", "overlay", "-o", tmp_path / "odd.mask.avi")
    assert overlay[0] == 0, "the format that is asked for holds, as it does for photos"
    assert (tmp_path / "odd.mask.avi").read_bytes() != (tmp_path / "disc.mask.avi").read_bytes()
    assert run(clip, *asked, "-o", tmp_path / "lines.jsonl")[0] == 2, "lines have no codec"
    assert run(clip, "--track", "--point", "14,32", "-o", tmp_path / "lines.jsonl")[0] == 0
    records = lines((tmp_path / "lines.jsonl").read_text())
    pictures = [each.picture for each in open_video(tmp_path / "disc.mask.avi").frames()]
    assert len(pictures) == len(records) == FRAMES
    for record, picture in zip(records, pictures, strict=True):
        [one] = record["objects"]
        expected = Mask.from_rle(one["rle"]).grown(grow).dense()
        assert np.mean((picture.min(axis=2) > 128) == expected) > 0.99


@pytest.mark.process
def test_outputs_by_suffix_folder_and_standard_output(run, clip, network, tmp_path):
    assert run(clip, "-o", tmp_path / "a.mp4")[0] == 0
    assert is_video(tmp_path / "a.mp4")
    assert run(clip, "-o", tmp_path / "a.jsonl")[0] == 0
    check_lines(lines((tmp_path / "a.jsonl").read_text()))
    assert run(clip, "-o", tmp_path / "new", "--format", "json", "--json")[0] == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["clip.jsonl"]
    check_lines(lines(program(network, str(clip), "-o", "-").stdout))


def test_a_video_named_like_a_format_that_it_does_not_give_is_refused_unless_its_own_is_said(run, clip, tmp_path):
    """It would be an overlay, as cup.cutout.jpg would."""
    for name in ("a.cutout.mp4", "a.Labels.avi"):
        code, _, err = run(clip, "-o", tmp_path / name)
        assert code == 2
        assert f"{name} is named like the format {name.split('.')[1].lower()}, and a video gives overlay, mask" in err
        assert run(clip, "--format", "overlay", "-o", tmp_path / name)[0] == 0
    assert run(clip, "-o", tmp_path / "clip.v2.mp4")[0] == 0


def test_a_video_without_any_object_tells_the_highest_score(run, clip):
    for more, is_told in (([], True), (["--track"], False)):
        code, _, err = run(clip, "--overwrite", "--conf", "0.99", *more)
        assert (code, "no score is above --conf: the highest is 0.9" in err) == (0, is_told)


@pytest.mark.process
def test_raw_frames_go_in_and_lines_or_frames_come_out(network):
    stdin = b"".join(frame(number).tobytes() for number in range(FRAMES))
    told = program(network, "--raw", "96x64", "--fps", "20", "-", stdin=stdin)
    assert told.returncode == 0
    check_lines(lines(told.stdout), fps=20)
    assert lines(told.stdout)[0]["source"] == "stdin#0"
    drawn = program(network, "--raw", "96x64", "-", "--format", "overlay", "-o", "-", stdin=stdin)
    assert len(drawn.stdout) == len(stdin)
    pictures = np.frombuffer(drawn.stdout, np.uint8).reshape(FRAMES, 64, 96, 3)
    assert np.array_equal(pictures[3][:, :20], frame(3)[:, :20])  # no object there: the frame itself
    assert not np.array_equal(pictures[3], frame(3))


@pytest.mark.process
def test_raw_frames_that_end_early_are_told_after_those_that_were_whole(network):
    stdin = frame(0).tobytes() + frame(1).tobytes() + b"rest"
    told = program(network, "--raw", "96x64", "-", stdin=stdin)
    assert told.returncode == 1
    *whole, last = lines(told.stdout)
    assert [one["frame"] for one in whole] == [0, 1]
    assert (last["frame"], last["missing"]) == (2, 1)
    assert "ends within frame 2, after 4 of 18432 bytes" in last["error"]
    assert b"ends within frame 2, after 4 of 18432 bytes" in told.stderr
    assert b"the results of the others are written" in told.stderr
    none = program(network, "--raw", "96x64", "-")
    assert none.returncode == 1
    assert b"no frames" in none.stderr


def test_results_of_raw_frames_are_kept_when_their_program_dies(run, tmp_path, monkeypatch):
    """Written to a file all were thrown away, which a video's are not."""
    stream = io.BytesIO(frame(0).tobytes() + frame(1).tobytes() + b"rest")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: False, buffer=stream))
    code, _, told = run("--raw", "96x64", "-", "-o", tmp_path / "a.jsonl")
    assert code == 1
    assert "1 of 3 frames are missing" in told
    assert len(lines((tmp_path / "a.jsonl").read_bytes())) == 3


def test_a_video_that_cannot_be_read_does_not_stop_the_others(run, clip, tmp_path):
    """It was said to be no video beside one, also a file that is not there, and nothing was done."""
    empty = tmp_path / "empty.mp4"
    empty.touch()
    code, _, told = run(empty, clip, tmp_path / "nowhere.mp4", "--format", "json", "-o", tmp_path / "out")
    assert code == 1
    assert (tmp_path / "out" / clip.with_suffix(".jsonl").name).exists()
    assert "empty.mp4" in told
    assert "nowhere.mp4" in told
    code, _, told = run(empty, "--track")
    assert code == 2
    assert "empty.mp4: the file is empty" in told


def test_prompts_choose_in_every_frame(run, clip, tmp_path):
    assert run(clip, "--point", "46,32", "-o", tmp_path / "a.jsonl")[0] == 0
    found = [len(record["objects"]) for record in lines((tmp_path / "a.jsonl").read_text())]
    assert found == [0, 0, 0, 1, 1, 1, 0, 0, 0]  # the disc's centre is at 14 + 8 k, its radius 10


def test_what_exists_is_kept_and_a_broken_video_stops_no_other(run, clip, tmp_path):
    assert run(clip)[0] == 0
    code, _, err = run(clip)
    assert code == 1
    assert "clip.overlay.mp4 exists" in err
    assert "--overwrite" in err
    assert run(clip, "--overwrite")[0] == 0
    broken = tmp_path / "broken.avi"
    broken.write_bytes(clip.read_bytes()[:100])
    code, out, err = run(broken, clip, "-o", tmp_path / "out", "--json")
    assert code == 1
    records = lines(out)
    assert [record["status"] for record in records] == ["failed", "done"]
    assert records[1]["frames"] == FRAMES
    assert "broken.avi: " in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["clip.jsonl", "clip.overlay.mp4"]


def test_a_defect_in_one_video_stops_no_other(run, clip, tmp_path, monkeypatch):
    other = tmp_path / "other.avi"
    shutil.copy(clip, other)
    stream = fastsam_onnx.FastSAM.stream

    def no_memory_at_first(*arguments, **options):
        monkeypatch.setattr(fastsam_onnx.FastSAM, "stream", stream)
        raise MemoryError("too large")

    monkeypatch.setattr(fastsam_onnx.FastSAM, "stream", no_memory_at_first)
    code, out, err = run(clip, other, "--format", "json", "-o", tmp_path / "out", "--json")
    assert code == 1
    assert f"fastsam-onnx: {clip}: unexpected MemoryError: too large\n" in err
    assert [record["status"] for record in lines(out)] == ["failed", "done"]
    assert listing(tmp_path / "out") == ["other.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["CLIP", "photo.jpg"], "got photo.jpg beside a video"),
        (["CLIP", "--format", "svg"], "overlay, mask, json, csv for a video, got svg"),
        (["CLIP", "-o", "a.png"], ".mp4, .mov, .mkv, .avi, .jsonl, .csv"),
        (["CLIP", "-o", "a.mp4", "--format", "json"], "a.mp4: a file of the format json must end with .jsonl"),
        (
            ["CLIP", "-o", "a.jsonl", "--format", "mask"],
            "a file of the format mask must end with .avi, .mkv, .mov, .mp4",
        ),
        (["CLIP", "-o", "a.mp4", "--format", "overlay,json"], "is one file, but there are the formats overlay, json"),
        (["CLIP", "-o", "CLIP"], "this run reads it"),
        (
            ["CLIP", "--grow", "2"],
            "--grow is for masks in black and white, and overlay, json have none; write one of mask",
        ),
        (["CLIP", "-o", "-", "--json"], "standard output takes one"),
        (["CLIP", "CLIP2"], "the same name"),
        (["--raw", "96x64", "CLIP"], "give - as the only input"),
        (["--raw", "96", "-"], "WIDTHxHEIGHT"),
        (["--raw", "96x64", "--pixel-limit", "6143", "-"], "--raw must be of at most 6143 pixels"),
        (["--raw", "99999x99999", "-"], "--raw must be of at most 178956970 pixels (--pixel-limit), got 99999x99999"),
        (["CLIP", "--codec", "mpeg2"], "h264"),
        (["CLIP", "--codec", "vp9", "-o", "a.avi"], "ends with .avi must be mjpeg or mpeg4, got vp9"),
        (["CLIP", "--codec", "vp9", "-o", "-"], "--codec is for videos, and json and csv are none"),
        (["CLIP", "--codec", "vp9", "-o", "-", "--format", "mask"], "--codec is for the file of a video"),
        (
            ["CLIP", "--codec", "vp9", "--format", "json"],
            "--codec is for videos, and json and csv are none; write one of overlay",
        ),
        (["CLIP", "--codec", "vp9", "-o", "-", "--format", "json"], "--codec is for videos, and json and csv are none"),
        (["PHOTO", "--codec", "vp9"], "--codec is for videos, and PHOTO is none"),
        (["nowhere.mp4", "--codec", "vp9"], "nowhere.mp4: there is no such file"),
        (["CLIP", "--fps", "30"], "--fps needs --raw"),
        (["PHOTO", "--track"], "--track is for videos, and PHOTO is none"),
        (["nowhere.mp4", "--track"], "nowhere.mp4: there is no such file"),
        (["*.mp4", "--track"], "the pattern *.mp4 is for photos; give the videos' names"),
        (["CLIP", "--at-frame", "3"], "--at-frame needs --track and a prompt"),
        (["CLIP", "--track", "--at-frame", "3"], "--at-frame needs --track and a prompt"),
        (["CLIP", "--track", "--at-frame", "-3", "--point", "1,1"], "must be an integer >= 0, got -3"),
        (["CLIP", "--track", "--point", "1,1", "--classes", "dog"], "leave one of them out"),
        (["--raw", "96x64", "--fps", "0", "-"], "--fps: the value must be a number from 0.01 to 1000, got 0"),
    ],
)
def test_arguments_that_do_not_fit(run, clip, arguments, reason):
    other = clip.parent / "other" / "clip.avi"
    other.parent.mkdir()
    other.write_bytes(clip.read_bytes())
    names = {"CLIP": str(clip), "CLIP2": str(other), "PHOTO": str(COFFEE)}
    given = [names.get(argument, argument) for argument in arguments]
    code, _, err = run(*given, *(["-o", clip.parent / "out"] if "CLIP2" in arguments else []))
    assert code == 2
    assert reason.replace("PHOTO", str(COFFEE)) in err
    assert sorted(path.name for path in clip.parent.iterdir()) == ["clip.avi", "other"]


def test_no_result_replaces_a_video_of_the_run(run, clip):
    other = clip.with_name("clip.overlay.mp4")
    shutil.copy(clip, other)
    code, _, err = run(clip, other, "--overwrite")
    assert (code, "clip.overlay.mp4" in err, "this run reads it" in err) == (2, True, True)
    assert other.read_bytes() == clip.read_bytes()
    assert listing(clip.parent) == ["clip.avi", "clip.overlay.mp4"]


@POSIX
def test_a_video_by_two_ways_is_refused(run, clip):
    (clip.parent / "here").symlink_to(clip.parent)
    code, _, err = run(clip, clip.parent / "here" / "clip.avi", "--overwrite", "--format", "json")
    assert (code, "the same name" in err) == (2, True)
    assert listing(clip.parent) == ["clip.avi", "here"]


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")
def test_a_terminal_sees_frames_rate_and_time_left(clip, network):
    long = clip.parent / "long.avi"
    writer = cv2.VideoWriter(str(long), cv2.VideoWriter.fourcc(*"MJPG"), 10, SIZE)
    for number in range(150):
        writer.write(frame(number % FRAMES)[..., ::-1])
    writer.release()
    command = [sys.executable, "-m", "fastsam_onnx", "segment", "--model", network, str(long)]
    environment = {**os.environ, "PYTHONPATH": str(Path(fastsam_onnx.__file__).parents[1])}
    code, told = in_a_terminal(command, env=environment)
    assert code == 0
    assert " of 150, " in told
    assert "frames/s, 0:0" in told
    assert " left" in told


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("a.mp4", [], "mpeg4"),
        ("a.mp4", ["--codec", "vp9"], "vp9"),
        ("a.mkv", ["--codec", "vp9"], "vp9"),
        ("a.avi", [], "mjpeg"),
        ("a.avi", ["--codec", "mpeg4"], "mpeg4"),
        ("a.mov", ["--codec", "mpeg4"], "mpeg4"),
        ("a.mp4", ["--codec", "h264"], "h264"),
    ],
)
def test_a_codec_is_the_one_that_was_asked_for(run, clip, name, options, told):
    ffprobe = shutil.which("ffprobe")
    if ffprobe is None:
        pytest.skip("needs ffprobe, a test-time tool")
    code, _, err = run(clip, "-o", clip.parent / name, *options)
    if code == 2:
        assert "no encoder for" in err
        pytest.skip("this OpenCV does not encode it")
    command = [ffprobe, "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", "-of"]
    answer = subprocess.run([*command, "json", clip.parent / name], capture_output=True, check=True).stdout
    [stream] = json.loads(answer)["streams"]
    assert stream == {"codec_name": told, "nb_read_frames": str(FRAMES)}


def test_a_codec_that_this_opencv_lacks_is_refused_before_anything_is_done(run, clip, monkeypatch):
    monkeypatch.setattr(video_files, "_can_write", lambda suffix, codec: codec == "mpeg4")
    code, _, err = run(clip, "--codec", "h264")
    assert code == 2
    assert "has no encoder for h264 here; it can write .mp4 as mpeg4" in err
    assert [path.name for path in clip.parent.iterdir()] == ["clip.avi"]


def test_an_object_keeps_its_colour_whatever_its_rank(run):
    """Two discs that move apart change places in the list from frame to frame."""
    given = []
    pace = Pace(given.append, 10, "x.mp4", overlays())
    for number in range(6):
        discs = [np.zeros((64, 200), np.uint8) for _ in range(2)]
        centres = [(20 + 6 * number, 20), (180 - 6 * number, 44)]
        for disc, centre in zip(discs, centres, strict=True):
            cv2.circle(disc, centre, 12, 1, -1)
        order = [0, 1] if number % 2 else [1, 0]
        masks = [Mask.from_dense(discs[index] > 0) for index in order]
        found = Segmentation.from_masks(masks, image=np.zeros((64, 200, 3), np.uint8))
        pace.add(Frame(number, number / 10, found.image), found, {"contours": False, "alpha": 1})
    colours = [
        [picture[y, x].tolist() for x, y in ((20 + 6 * number, 20), (180 - 6 * number, 44))]
        for number, picture in enumerate(given)
    ]
    assert colours == [colours[0]] * 6
    assert colours[0] == draw.palette(2)[::-1].tolist()


def test_a_table_has_a_line_for_each_object_of_each_frame(run, clip, tmp_path):
    """The disc's middle is at 14, 32, and 8 pixels farther right in each frame, of which there are ten a second."""
    assert run(clip, "--track", "-o", tmp_path / "tracks.csv")[0] == 0
    rows = table(tmp_path / "tracks.csv")
    assert [(row["frame"], row["seconds"]) for row in rows] == [(str(n), str(n / 10)) for n in range(FRAMES)]
    assert {row["track_id"] for row in rows} == {"1"}
    assert rows[4]["source"] == "clip.avi#4"
    for number, row in enumerate(rows):
        assert float(row["centroid_x"]) == pytest.approx(14 + 8 * number, abs=1.5)
        assert float(row["centroid_y"]) == pytest.approx(32, abs=1.5)
    assert run(clip, "--format", "csv,json", "--track", "-o", tmp_path / "out")[0] == 0
    assert listing(tmp_path / "out") == ["clip.csv", "clip.jsonl"]
    assert (tmp_path / "out" / "clip.csv").read_bytes() == (tmp_path / "tracks.csv").read_bytes()
    records = lines((tmp_path / "out" / "clip.jsonl").read_text())
    assert [row["area"] for row in rows] == [str(record["objects"][0]["area"]) for record in records]


def test_numbers_go_into_lines_and_overlay(run, clip, tmp_path):
    assert run(clip, "--track", "-o", tmp_path / "out")[0] == 0
    records = lines((tmp_path / "out" / "clip.jsonl").read_text())
    check_lines(records)
    assert [[one["track_id"] for one in record["objects"]] for record in records] == [[1]] * FRAMES
    assert run(clip, "-o", tmp_path / "plain")[0] == 0
    assert "track_id" not in (tmp_path / "plain" / "clip.jsonl").read_text()
    pictures = [
        [each.picture for each in open_video(tmp_path / folder / "clip.overlay.mp4").frames()]
        for folder in ("out", "plain")
    ]
    for number in range(FRAMES):  # the same colours, but for the number beside the disc
        assert np.abs(pictures[0][number].astype(int) - pictures[1][number])[28:36, 14 + 8 * number].mean() < 8
        assert np.abs(pictures[0][number].astype(int) - pictures[1][number]).max() > 100


def test_redraw_is_an_option_of_every_frame_also_of_those_that_are_followed(run, clip, tmp_path, options_used):
    assert run(clip, "--track", "--redraw", "-o", tmp_path / "a.jsonl")[0] == 0
    assert [each.redraw for each in options_used] == [True] * FRAMES
    assert run(clip, "-o", tmp_path / "b.jsonl")[0] == 0
    assert [each.redraw for each in options_used[FRAMES:]] == [False] * FRAMES
    assert run(clip, "--redraw", "--point", "20,32", "-o", tmp_path / "c.jsonl")[0] == 0
    assert [each.redraw for each in options_used[2 * FRAMES :]] == [False] * FRAMES  # nobody sees them
    options_used.clear()
    assert run(clip, "--redraw", "--point", "20,32", "--tile", "64", "-o", tmp_path / "d.jsonl")[0] == 0
    assert all(each.redraw for each in options_used)  # in tiles points choose among the objects
    options_used.clear()
    assert run(clip, "--redraw", "--track", "--point", "20,32", "-o", tmp_path / "e.jsonl")[0] == 0
    assert [each.redraw for each in options_used] == [True] * FRAMES


def test_prompts_are_drawn_in_the_frame_that_they_are_for():
    prompts = Prompts(points=[(20, 32)])
    for arguments, shown in (
        ({"track": False, "at_frame": None}, [0, 3]),
        ({"track": True, "at_frame": None}, [0]),
        ({"track": True, "at_frame": 3}, [3]),
    ):
        drawn = partial(
            video_command._drawn, prompts, argparse.Namespace(**arguments, **dict.fromkeys(WRITTEN)), "overlay"
        )
        assert [number for number in (0, 3) if "points" in drawn(Frame(number, 0, None))] == shown


def test_objects_that_were_tracked_have_the_colours_of_their_own_numbers():
    picture = np.zeros((8, 8, 3), np.uint8)
    found = Segmentation.from_masks([Mask.from_dense(np.ones((8, 8), bool))], image=picture)
    given = []
    pace = Pace(given.append, 10, "x.mp4", overlays())
    for number, one in enumerate((replace(found, track_ids=np.array([7])), found)):
        pace.add(Frame(number, number / 10, None), one, {"alpha": 1, "contours": False, "names": False})
    assert [one[4, 4].tolist() for one in given] == draw.palette(7)[[6, 0]].tolist()  # by a number of its own


def test_a_video_that_is_named_twice_is_done_once(run, clip, tmp_path):
    assert run(clip, clip, "--format", "json", "-o", tmp_path / "out")[0] == 0
    assert listing(tmp_path / "out") == ["clip.jsonl"]


@pytest.mark.parametrize(
    ("options", "more", "message"),
    [
        ({"classify": ["a"]}, {}, "--classify is not for what --track follows"),
        ({"similar": 0.5}, {}, "--similar is not for what --track follows"),
        ({}, {"classes": ["a"]}, "--classes and a prompt cannot both choose"),
        ({}, {"track": False, "at_frame": 3}, "--at-frame needs --track and a prompt"),
    ],
)
def test_options_that_do_not_fit_what_is_followed(options, more, message):
    arguments = argparse.Namespace(**({"track": True, "at_frame": None, "classes": None} | more))
    with pytest.raises(OptionError, match=message):
        video_command._check_following(arguments, Prompts(points=[(20, 32)], **options))


def test_raw_frames_have_the_times_of_their_rate(monkeypatch):
    for size, count in ((12, 2), (13, 2)):
        stdin = SimpleNamespace(isatty=lambda: False, buffer=io.BytesIO(bytes(range(size))))
        monkeypatch.setattr(sys, "stdin", stdin)
        frames = video_command._raw_frames((2, 1), 4)
        taken = [next(frames) for _ in range(count)]
        assert [(one.number, one.seconds) for one in taken] == [(0, 0), (1, 0.25)]
        assert taken[1].picture.tolist() == [[[6, 7, 8], [9, 10, 11]]]
        if size == 12:
            assert next(frames, None) is None
        else:
            last = next(frames)
            assert (last.number, last.seconds, last.missing) == (2, 0.5, 1)
            assert last.picture.reason == "it ends within frame 2, after 1 of 6 bytes; frames must be RGB24 of 2x1"
            assert next(frames, None) is None


def test_raw_frames_may_have_as_many_pixels_as_the_limit():
    arguments = argparse.Namespace(raw=SIZE, inputs=["-"], pixel_limit=96 * 64, fps=None)
    [source] = video_command._sources(arguments)
    assert (source.raw_size, source.name) == (SIZE, "-")


def test_what_stops_a_video_says_why_and_frames_that_are_missing_have_their_numbers(run, clip, tmp_path):
    code, _, err = run(clip, "--pixel-limit", "6143", "-o", tmp_path / "a.jsonl")
    assert code == 1
    assert "clip.avi: frame 0: it has 96 x 64 = 6144 pixels, more than the pixel limit of 6143" in err
    assert not (tmp_path / "a.jsonl").exists()
    told = video_command._told([Frame(3, 0.3, None, missing=1), Frame(5, 0.5, None, missing=2)], 4)
    assert told.startswith("3 of 7 frames are missing or cannot be decoded (number 3, 5 to 6);")
    assert video_command._told([], 9) == ""
    many = [Frame(2 * number, 0, None, missing=1) for number in range(12)]
    assert "(number 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, ...)" in video_command._told(many, 1)


def test_prompts_of_one_frame_are_followed(run, clip, tmp_path):
    """In test_prompts_choose_in_every_frame the same point gives the disc in three frames alone."""
    assert run(clip, "--track", "--point", "38,32", "--at-frame", "3", "-o", tmp_path / "a.jsonl")[0] == 0
    records = lines((tmp_path / "a.jsonl").read_text())
    assert [len(record["objects"]) for record in records] == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert {one["track_id"] for record in records for one in record["objects"]} == {1}
    assert {one["prompt_index"] for record in records for one in record["objects"]} == {0}


def test_every_video_has_its_own_numbers(run, clip, tmp_path):
    other = tmp_path / "other.avi"
    other.write_bytes(clip.read_bytes())
    assert run(clip, other, "--track", "-o", tmp_path / "out", "--format", "json")[0] == 0
    for name in ("clip", "other"):
        records = lines((tmp_path / "out" / f"{name}.jsonl").read_text())
        assert {one["track_id"] for record in records for one in record["objects"]} == {1}


def test_a_prompt_that_means_nothing_in_its_frame_fails_the_video_and_leaves_nothing(run, clip, tmp_path):
    code, _, err = run(clip, "--track", "--point", "90,2", "-o", tmp_path / "out")
    assert code == 1
    assert "prompt 0 means nothing in frame 0" in err
    assert list((tmp_path / "out").iterdir()) == []
    code, _, err = run(clip, "--track", "--point", "90,2", "--at-frame", "50", "-o", tmp_path / "out")
    assert code == 1
    assert "the frame that the prompts are for must be one of 0 to 8, got 50" in err


def test_a_video_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match=r"\.mp4"), video_writer(tmp_path / "a.gif", 10):
        pass
    with pytest.raises(OutputError, match="no frames"), video_writer(tmp_path / "a.mp4", 10):
        pass

    def broken_off():
        with video_writer(tmp_path / "a.mp4", 10) as add:
            add(frame(0))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken_off()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\0\0\0\x20ftypisom", True),
        (b"\0\0\0\x20ftypavif", False),
        (b"\0\0\0\x20ftypheic", False),
        (b"\x1a\x45\xdf\xa3", True),
        (b"RIFF....AVI LIST", True),
        (b"RIFF....WEBPVP8 ", False),
        (b"#EXTM3U\nhttp://example.org/a.ts", False),
        (b"\xff\xd8\xff", False),
        (b"", False),
    ],
)
def test_a_video_is_known_by_its_first_bytes(tmp_path, head, expected):
    (tmp_path / "file").write_bytes(head)
    assert is_video(tmp_path / "file") is expected
    assert not is_video(tmp_path / "nowhere")
    assert not is_video(tmp_path)


def test_a_damaged_video_goes_on_and_ends_with_1(run, clip, tmp_path):
    """Its first damaged frame was its end, and it was called done."""
    data = bytearray(clip.read_bytes())
    at = data.index(b"movi") + 4
    for number in range(FRAMES):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if number in (3, 4):
            data[at + 8 : at + 8 + size] = bytes(size)
        at += 8 + size + size % 2
    damaged = tmp_path / "damaged.avi"
    damaged.write_bytes(data)
    code, _, err = run(damaged, "-o", tmp_path / "out")
    assert code == 1
    assert "damaged.avi: 2 of 9 frames are missing or cannot be decoded (number 3, 4)" in err
    records = lines((tmp_path / "out" / "damaged.jsonl").read_text())
    assert run(damaged, "-o", tmp_path / "a.csv")[0] == 1
    rows = table(tmp_path / "a.csv")
    assert [int(row["frame"]) for row in rows] == [record["frame"] for record in records if "objects" in record]
    assert [record["frame"] for record in records] == list(range(FRAMES))
    assert [record["seconds"] for record in records] == [number / 10 for number in range(FRAMES)]
    assert [number for number, record in enumerate(records) if "error" in record] == [3, 4]
    assert all(len(record["objects"]) == 1 for record in records if "error" not in record)
    # Frame 2 stays in the place of the two, so that what follows comes at its time.
    pictures = [each.picture for each in open_video(tmp_path / "out" / "damaged.overlay.mp4").frames()]
    assert len(pictures) == FRAMES
    assert np.abs(pictures[4].astype(int) - pictures[2]).mean() < 2
    assert np.abs(pictures[5].astype(int) - pictures[4]).mean() > 2


def test_an_overlay_keeps_the_times_of_a_video_of_variable_rate():
    """At 10 a second: frames at 0, 0.1, 0.4 and 0.5 s; the second stays until the third is due, then some are fast."""
    given = []
    pace = Pace(given.append, 10, "x.mp4", overlays())
    for number, seconds in enumerate((2.0, 2.1, 2.4, 2.5, 2.52, 2.54, 2.56)):
        image = np.full((8, 8, 3), 10 * number, np.uint8)
        found = Segmentation.from_masks([], image_size=(8, 8), image=image)
        pace.add(Frame(number, seconds, image), found, {})
    # Due at 0, 1, 4, 5, 5, 5, 6: the fifth may be one too early, the sixth would be two.
    assert [int(picture[0, 0, 0]) // 10 for picture in given] == [0, 1, 1, 1, 2, 3, 4, 6]
    assert pace.left_out == 1


def test_the_overlay_of_an_unsteady_clip_has_the_rate_of_its_fastest_frames(run, clip, monkeypatch):
    """A pause of 90 s in a clip of 30 frames left four pictures; a pipe is told the rate by the user, so it stays."""
    monkeypatch.setattr(Video, "copy_fps", 20.0)
    assert run(clip, "-o", clip.parent / "a.mp4")[0] == 0
    capture = cv2.VideoCapture(str(clip.parent / "a.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(20)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 2 * FRAMES - 1
    capture.release()
    given = []
    monkeypatch.setattr(video_command, "write_stdout", given.append)
    assert run(clip, "--format", "overlay", "-o", "-")[0] == 0
    assert len(given) == FRAMES


def test_a_damaged_time_does_not_fill_the_disk(caplog):
    """A jump of 600 s wrote 15,000 pictures; the clock of a transport stream allows 26 hours."""
    given = []
    pace = Pace(given.append, 10, "x.mp4", overlays())
    for number, seconds in enumerate((0.0, 0.1, 60.0, 90_000.0, 90_000.1, 90_000.3)):
        image = np.full((8, 8, 3), 10 * number, np.uint8)
        found = Segmentation.from_masks([], image_size=(8, 8), image=image)
        pace.add(Frame(number, seconds, image), found, {})
    # Due at 0, 1 and 600; the fourth at once, the others as after it.
    assert [int(picture[0, 0, 0]) // 10 for picture in given] == [0, *[1] * 599, 2, 3, 4, 4, 5]
    assert "x.mp4: 89939.900 s between frames 2 and 3 are not in the video" in caplog.text


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_nothing_half_written(network, tmp_path, ending):
    """Hidden .part files stayed for good."""
    command = [sys.executable, "-m", "fastsam_onnx", "segment", "--model", network, "--imgsz", "96"]
    command += ["--raw", "96x64", "-", "-o", str(tmp_path / "out"), "--format", "overlay", "--format", "json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(fastsam_onnx.__file__).parents[1])}
    here = signal.signal(ending, lambda *_: None)  # tests under nohup ignore SIGHUP, and so would the program then
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        signal.signal(ending, here)
        process.stdin.write(b"".join(frame(number).tobytes() for number in range(FRAMES)))
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while len(list(tmp_path.glob("out/.*.part*"))) < 2 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(list(tmp_path.glob("out/.*.part*"))) == 2  # it has begun, and waits for more frames
        process.send_signal(ending)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + ending
    assert err.startswith(b"fastsam-onnx: ")
    assert len(err.splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


class _Pipe(io.RawIOBase):
    """Gives its bytes in pieces of random length, as pipes do."""

    def __init__(self, data, draw):
        self._data, self._draw = data, draw

    def readable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), self._draw.randrange(1, 50), len(self._data))
        buffer[:count], self._data = self._data[:count], self._data[count:]
        return count


def test_damage_to_raw_frames_is_told_or_gives_the_bytes_as_they_came(monkeypatch):
    whole = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8).tobytes()
    draw = random.Random(2)
    outcomes = Counter()
    for _ in range(500):
        data = damaged(whole, draw)
        stdin = io.TextIOWrapper(io.BufferedReader(_Pipe(data, draw)))
        monkeypatch.setattr(sys, "stdin", stdin)
        frames, told = list(video_command._raw_frames((6, 4), 25)), ""
        if frames and frames[-1].missing:
            told = frames.pop().picture.reason
        assert b"".join(each.picture.tobytes() for each in frames) == data[: len(data) // 72 * 72]
        assert [each.number for each in frames] == list(range(len(data) // 72))
        rest = len(data) % 72
        assert bool(told) == bool(rest)
        assert not rest or f"within frame {len(frames)}, after {rest} of 72 bytes" in told
        outcomes["told" if told else "right"] += 1
    assert min(outcomes["told"], outcomes["right"]) > 50


def test_a_gif_is_a_photo_and_with_track_a_video(run, tmp_path):
    """It was refused: nobody could follow objects in what people have most clips of."""
    first, *others = [Image.fromarray(frame(number)) for number in range(FRAMES)]
    first.save(tmp_path / "clip.gif", save_all=True, append_images=others, duration=100)
    if cv2.haveImageReader(str(tmp_path / "clip.gif")):  # OpenCV 4.10 reads GIF as video alone
        code, _, err = run(tmp_path / "clip.gif", "--format", "json", "-o", tmp_path / "photo.json")
        assert (code, "1 photo" in err) == (0, True)
    code, _, err = run(tmp_path / "clip.gif", "--track", "-o", tmp_path / "lines.jsonl")
    assert (code, f"{FRAMES} frames of 96x64" in err, "warning" in err) == (0, True, False)
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    assert [round(line["seconds"], 3) for line in lines] == [number / 10 for number in range(FRAMES)]
    assert {one["track_id"] for line in lines for one in line["objects"]} == {1}
    found = list(FastSAM(bright_object(), imgsz=96).stream(tmp_path / "clip.gif", track=True))
    assert [one.source for one in found] == [f"clip.gif#{number}" for number in range(FRAMES)]
