"""The program: exit codes, wrong usage, streams of a process of its own."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.command_line import (
    FIRST,
    PNG_MAGIC,
    POSIX,
    SECOND,
    environment,
    files_of_at_most,
    listing,
    names,
    photo,
    picture_bytes,
)

import fastsam_onnx
from fastsam_onnx import elsewhere
from fastsam_onnx.cli import program
from fastsam_onnx.cli.program import main
from fastsam_onnx.cli.signals import EndedBySignal
from fastsam_onnx.formats import FORMATS


def failing(error):
    def run(*_):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code"),
    [(EndedBySignal(15), 143), (EndedBySignal(1), 129), (KeyboardInterrupt(), 130), (OSError(5, "a"), 1)],
)
def test_what_ends_the_program_says_how_in_its_exit_code(error, code, monkeypatch, capsys):
    monkeypatch.setattr(program, "_run_command", failing(error))
    assert main([]) == code
    assert "Traceback" not in capsys.readouterr().err


def test_a_file_that_is_called_nearly_as_a_command_does_not_hide_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, hint in (
        ("segmnt", "did you mean segment?"),
        ("photo.jpg", "did you mean `fastsam-onnx segment photo.jpg`?"),
    ):
        Path(name).touch()
        assert main([name]) == 2
        assert hint in capsys.readouterr().err


@pytest.mark.parametrize("link", ["__cause__", "__context__"])
def test_an_import_that_ctrl_c_interrupts_is_an_interrupt(link, monkeypatch, capsys):
    error = ImportError("initialization failed")
    setattr(error, link, KeyboardInterrupt())
    monkeypatch.setattr(program, "_run_command", failing(error))
    assert main([]) == 130
    assert "interrupted" in capsys.readouterr().err
    error = ImportError("no module")
    error.__cause__ = error  # an error may be its own cause
    monkeypatch.setattr(program, "_run_command", failing(error))
    with pytest.raises(ImportError, match="no module"):
        main([])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--nonsense"],
        ["--conf", "1.5"],
        ["--conf", "nan"],
        ["--iou", "-1"],
        ["--imgsz", "0"],
        ["--imgsz", "640x"],
        ["--imgsz", "640"],  # the network's size is fixed at 64
        ["--max-det", "0"],
        ["--threads", "none"],
        ["--point", "1"],
        ["--point", "1,2,3"],
        ["--point", "a,b"],
        ["--point", "1,inf"],
        ["--box", "1,2,3"],
        ["--box", "9,9,1,1"],
        ["--background", "1,2"],
        ["--pick", "nicest"],
        ["--pick", "all"],  # without a point
        ["--pick", "balanced"],
        ["--match", "box", "--point", "9,9"],
        ["--similarity", "0.2", "--box", "1,1,9,9"],
        ["--threads", "1000000000000"],
        ["--fps", "25"],
        ["--output", "mask.bmp"],
        ["--output", "cat.tar.gz", "--format", "json"],
        ["cat.png", "--out", "x"],
        ["--format", "docx"],
        ["--model", "none.onnx"],
        ["--output", "x.png", "--format", "json"],
        ["--output", "x.png", "--format", "overlay", "--format", "labels"],
        ["--output", "-", "--format", "overlay", "--format", "labels"],
        ["--output", "-", "--format", "cutouts"],
        ["--output", "-", "--json"],
    ],
)
def test_wrong_usage_is_2_and_does_nothing(network, capsys, tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "cat.png")
    given = ["segment", "cat.png", "--model", network, *arguments] if arguments else ["segment"]
    assert main(given) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "fastsam-onnx" in err
    assert "Traceback" not in err
    assert names(tmp_path) == ["cat.png"]


@pytest.mark.parametrize(
    ("arguments", "usage", "says"),
    [
        (["segmnt", "cat.png"], "COMMAND", "'segmnt'; did you mean segment?"),
        (["nonsense"], "COMMAND", "commands: segment, "),
        (["predict", "a.jpg"], "COMMAND", "unknown command 'predict'; did you mean `fastsam-onnx segment PHOTO`?"),
        (["track", "a.mp4"], "COMMAND", "did you mean `fastsam-onnx segment CLIP --track`?"),
        ([str(Path(__file__))], "COMMAND", f"did you mean `fastsam-onnx segment {__file__}`?"),
        ([], "COMMAND", "commands: segment, "),
        (["help"], "COMMAND", "did you mean `fastsam-onnx --help`?"),
        (["help", "segment"], "COMMAND", "did you mean `fastsam-onnx segment --help`?"),
        ([], "COMMAND", "a command is missing"),
        (["--versoin"], "COMMAND", "--versoin; did you mean --version?"),
        (["segment", "cat.png", "--out", "x"], "segment", "--out; did you mean --output?"),
        (["segment", "cat.png", "--fromat=json"], "segment", "--fromat; did you mean --format?"),
        (["segment", "cat.png", "--confidence", "1"], "segment", "--confidence; did you mean --conf?"),
        (["segment", "cat.png", "--zzz"], "segment", "--zzz\n"),
        (["segment", "--pont=1,2", "-oout"], "segment", "unknown option --pont; did you mean --point?"),  # no input
        (
            ["segment", "--source", "a.jpg"],
            "segment",
            "unknown option --source; write the file itself",
        ),
        (["segment", "a.jpg", "--point_prompt=[[1,2]]"], "segment", "unknown option --point_prompt; write --point X,Y"),
        (["segment", "a.jpg", "--Device", "0"], "segment", "unknown option --Device; leave it out: it runs on the CPU"),
        (["serve", "--weights", "a.onnx"], "serve", "unknown option --weights; write --model FILE"),
        (["info", "--workers", "2"], "info", "unknown option --workers"),  # it has no --jobs
        pytest.param(
            ["segment", "cat.png", "--point", "-5,3"],
            "segment",
            "--point: expected one argument; if it begins with a minus, write --point=-...",
            marks=pytest.mark.skipif(sys.version_info >= (3, 14), reason="its argparse takes numbers with commas"),
        ),
        (["segment", "cat.png", "-o", "-x"], "segment", "minus, write --output=-..."),
        (["segment", "--point=-5,3", "--similarity", "-0.2"], "segment", "are required: INPUT"),
        (["segment", "cat.png", "--device", "cuda"], "segment", "--device; leave it out"),
        (["segment", "cat.png", "--resume"], "segment", "--resume\n"),
        (["serve", "--prot", "80"], "serve", "--prot; did you mean --port?"),
        (["info", "a.onnx", "b.onnx"], "info", "b.onnx"),
    ],
)
def test_what_is_misspelt_is_reported_by_its_command_with_what_was_meant(capsys, arguments, usage, says):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"usage: fastsam-onnx {usage} ")
    assert says in err


def test_a_file_whose_name_begins_with_a_minus_is_told_from_an_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("-photo.jpg").touch()
    for others in ([], ["cat.png"]):
        assert main(["segment", "-photo.jpg", *others]) == 2
        assert "unknown option -photo.jpg; if the file is meant, write ./-photo.jpg" in capsys.readouterr().err


def test_version_and_help(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fastsam-onnx {fastsam_onnx.__version__}\n"
    for arguments in (["--help"], ["info", "--help"]):
        assert main(arguments) == 0
        assert "exit codes:" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], *([each.__name__.split(".")[-1]] for each in program.COMMANDS)], ids=" ".join)
def test_help_fits_a_screen_of_80_columns(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*command, "--help"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


@pytest.mark.process
class TestProcess:
    def test_stdin_to_stdout(self, shell):
        done = shell("segment", "-", stdin=picture_bytes(".jpg"))
        assert done.returncode == 0
        assert done.stdout.startswith(PNG_MAGIC)
        assert cv2.imdecode(np.frombuffer(done.stdout, np.uint8), cv2.IMREAD_COLOR).shape == (64, 64, 3)
        done = shell("segment", "-", "--format", "json", "--quiet", stdin=picture_bytes(".jpg"))
        assert [one["box"] for one in json.loads(done.stdout)["objects"]] == [FIRST, SECOND]
        assert done.stderr == b""

    def test_stdin_to_a_folder_and_a_photo_to_stdout(self, shell, tmp_path):
        assert shell("segment", "-", "--output", "out", stdin=picture_bytes()).returncode == 0
        assert names(tmp_path) == ["out/stdin.json", "out/stdin.overlay.png"]
        photo(tmp_path / "a.png")
        done = shell("segment", "a.png", "--format", "svg", "--output", "-")
        assert done.stdout.startswith(b"<svg")

    @pytest.mark.parametrize("stdin", [b"", b"no picture at all"])
    def test_stdin_that_is_no_photo(self, shell, stdin):
        done = shell("segment", "-", stdin=stdin)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"fastsam-onnx: -: ")
        assert b"Traceback" not in done.stderr

    def test_a_name_that_begins_with_a_dash(self, network, tmp_path):
        photo(tmp_path / "-a.png")
        command = [sys.executable, "-m", "fastsam_onnx", "segment", "--model", network, "--", "-a.png"]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        assert names(tmp_path) == ["-a.json", "-a.overlay.png", "-a.png"]

    @POSIX
    def test_names_that_are_no_text(self, shell, tmp_path):
        name = os.fsdecode(b"caf\xe9 \xff\n.png")
        try:
            photo(tmp_path / name)
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        done = shell("segment", name, "missing-\udcff.png", ".", "--json", "--format", "json", "--format", "labelme")
        assert done.returncode == 1
        first, second = map(json.loads, done.stdout.decode("ascii").splitlines())
        assert (first["input"], first["status"]) == (name, "done")
        assert (second["input"], second["status"]) == ("missing-\udcff.png", "failed")
        assert b"Traceback" not in done.stderr
        stem = os.fsdecode(b"caf\xe9 \xff\n")
        assert listing(tmp_path) == sorted([name, f"{stem}.json", f"{stem}.labelme.json"])

    def test_names_that_the_terminal_cannot_show(self, network, tmp_path):
        photo(tmp_path / "猫.png")
        command = [sys.executable, "-m", "fastsam_onnx", "segment", "猫.png", "--model", network]
        ascii_only = {**environment(), "PYTHONIOENCODING": "ascii"}
        done = subprocess.run(command, cwd=tmp_path, env=ascii_only, capture_output=True, timeout=120, check=False)
        assert done.returncode == 0
        assert b"\\u732b.png: 64x64, 2 objects" in done.stderr

    @POSIX
    def test_a_reader_that_goes_away_ends_it_without_a_traceback(self, network, tmp_path):
        for number in range(20):
            photo(tmp_path / "in" / f"{number:02}.png")
        for arguments in (["in", "--json", "--format", "json"], ["in/00.png", "--format", "json", "--output", "-"]):
            command = [sys.executable, "-m", "fastsam_onnx", "segment", *arguments, "--model", network]
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(
                command,
                stdout=writer,
                stderr=subprocess.PIPE,
                cwd=tmp_path,
                env=environment(),
                timeout=120,
                check=False,
            )
            os.close(writer)
            assert done.returncode == 141
            assert b"Traceback" not in done.stderr
            assert b"Exception ignored" not in done.stderr

    @POSIX
    @pytest.mark.parametrize("argument", ["--help", "--version"])
    def test_help_that_cannot_be_written(self, argument, tmp_path):
        command = [sys.executable, "-m", "fastsam_onnx", argument]
        with files_of_at_most(0), (tmp_path / "help.txt").open("wb") as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, env=environment(), timeout=120, check=False
            )
        assert (done.returncode, done.stderr) == (1, b"fastsam-onnx: standard output: File too large\n")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
    def test_a_disk_that_is_full(self, network, tmp_path):
        photo(tmp_path / "a.png")
        for arguments in (["--json"], ["--output", "-"]):
            command = [sys.executable, "-m", "fastsam_onnx", "segment", "a.png", "--model", network, *arguments]
            with Path("/dev/full").open("wb") as full:
                done = subprocess.run(
                    command,
                    stdout=full,
                    stderr=subprocess.PIPE,
                    cwd=tmp_path,
                    env=environment(),
                    timeout=120,
                    check=False,
                )
            assert done.returncode == 1
            assert b"standard output: No space left" in done.stderr
            assert b"Traceback" not in done.stderr
            assert b"Exception ignored" not in done.stderr

    def test_help_loads_nothing_heavy_and_a_run_no_foreign_packages(self, network, tmp_path):
        photo(tmp_path / "a.png")
        script = (
            "import sys, json; from fastsam_onnx.cli.program import main; code = main(json.loads(sys.argv[1]));"
            "print('|', code, *sorted({name.split('.')[0] for name in sys.modules}))"
        )
        for arguments, unwanted in (
            (["segment", "--help"], {"onnxruntime", "cv2", "torch", "onnx", "PIL", "tokenizers"}),
            (
                ["segment", "a.png", "--quiet", "--model", network],
                {"torch", "onnx", "PIL", "tokenizers", "ultralytics", "pycocotools"},
            ),
        ):
            command = [sys.executable, "-c", script, json.dumps(arguments)]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120, check=False
            )
            code, *modules = done.stdout.rpartition("|")[2].split()
            assert code == "0", done.stderr
            assert not unwanted & set(modules)

    @POSIX
    def test_closed_streams_stop_nothing_that_goes_to_files(self, network, tmp_path):
        command = f'"{sys.executable}" -m fastsam_onnx'
        segment = f'{command} segment a.png --model "{network}" --overwrite'
        expected = None
        for line in (segment, f"{segment} <&- >&- 2>&-", f"{segment} 2>&-", f"{segment} --json >&-"):
            photo(tmp_path / "a.png")
            done = subprocess.run(
                line, shell=True, cwd=tmp_path, env=environment(), capture_output=True, timeout=120, check=False
            )
            assert done.returncode == 0, line
            assert done.stdout == b"", line
            assert b"Traceback" not in done.stderr, line
            written = {name: (tmp_path / name).read_bytes() for name in listing(tmp_path)}
            assert sorted(written) == ["a.json", "a.overlay.png", "a.png"]
            expected = expected or written
            assert written == expected, line  # what libraries write to the numbers of closed streams is not in a file

    @POSIX
    def test_closed_streams_that_are_needed_are_named(self, network, tmp_path):
        photo(tmp_path / "a.png")
        segment = f'"{sys.executable}" -m fastsam_onnx segment --model "{network}"'
        for line, code, says in (
            (f"{segment} a.png -o - >&-", 2, b"standard output is closed"),
            (f"{segment} - -o b.png <&-", 1, b"standard input is closed"),
            (f'"{sys.executable}" -m fastsam_onnx models >&-', 0, b""),
        ):
            done = subprocess.run(
                line, shell=True, cwd=tmp_path, env=environment(), capture_output=True, timeout=120, check=False
            )
            assert (done.returncode, done.stdout) == (code, b""), line
            assert says in done.stderr
            assert b"Traceback" not in done.stderr
            assert listing(tmp_path) == ["a.png"]

    @POSIX
    def test_standard_error_that_cannot_be_written_stops_nothing(self, network, tmp_path):
        for number in range(3):
            photo(tmp_path / "in" / f"{number}.png")
        command = [sys.executable, "-m", "fastsam_onnx", "segment", "in", "in/none.png", "--model", network]
        for arguments, code in ((command, 1), (command[:5] + command[6:], 0), (command[:4], 2)):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(
                [*arguments, "--overwrite"], stderr=writer, cwd=tmp_path, env=environment(), timeout=120, check=False
            )
            os.close(writer)
            assert done.returncode == code
        assert len(names(tmp_path / "in")) == 9


@pytest.mark.process
@pytest.mark.parametrize("module", ["argparse", "numpy", "fastsam_onnx.model", "fastsam_onnx.cli.serve"])
def test_ctrl_c_while_modules_are_imported_ends_with_130_and_one_line(tmp_path, module):
    picture = Path(__file__).parents[2] / "examples" / "coffee.jpg"
    code = f"""
import signal, sys
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            sys.meta_path.remove(self)
            signal.raise_signal(signal.SIGINT)
from fastsam_onnx.cli import main
sys.meta_path.insert(0, Interrupt())
for name in [{module!r}]:
    sys.modules.pop(name, None)
sys.exit(main(["segment", {str(picture)!r}, "-o", {str(tmp_path / "a.json")!r}]))
"""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=environment(), timeout=120, check=False
    )
    assert told.returncode == 130, told.stderr
    assert told.stderr.count(b"\n") == 1
    assert b"interrupted" in told.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_package_itself_imports_next_to_nothing():
    """What is imported before `cli.main` can catch Ctrl-C."""
    code = "import fastsam_onnx.cli, sys; print(*sorted({'numpy', 'cv2', 'argparse', 'logging'} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), timeout=120, check=True)
    assert told.stdout.split() == []


def test_an_interrupt_that_a_compiled_module_made_an_import_error_of(monkeypatch, capsys):
    def run(arguments, screen):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise ImportError("initialization failed") from interrupt

    monkeypatch.setattr("fastsam_onnx.cli.info.run", run)
    assert main(["info"]) == 130
    assert capsys.readouterr().err.count("\n") == 1
    monkeypatch.setattr("fastsam_onnx.cli.info.run", lambda arguments, screen: __import__("no_such_module"))
    with pytest.raises(ImportError, match="no_such_module"):
        main(["info"])


LONG = "x" * 300


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["segment", "PHOTO", "--format", "yolo", "-o", LONG], 2),
        (["segment", "PHOTO", "--clip", LONG, "--text", "a dog"], 2),
        (["segment", "PHOTO", "-o", LONG], 1),
        (["segment", LONG], 1),
        (["segment", "PHOTO", "--prompts", LONG], 2),
        (["convert", LONG, "--to", "svg"], 1),
        (["quantize", "fastsam-nano", "--photos", LONG, "-o", "x.onnx"], 2),
        (["export", LONG, "-o", "x.onnx"], 2),
        (["info", LONG], 2),
    ],
)
def test_a_name_that_is_too_long_is_no_fault_of_standard_output(arguments, code, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    given = [str(photo(tmp_path / "a.png")) if argument == "PHOTO" else argument for argument in arguments]
    assert main(given) == code
    error = capsys.readouterr().err
    assert LONG in error
    assert "standard output" not in error


def test_what_nobody_foresaw_is_no_fault_of_standard_output(monkeypatch, capsys):
    def fail(*_):
        raise PermissionError(13, "Permission denied", "somewhere")

    monkeypatch.setattr("fastsam_onnx.weights.cache_folder", fail)
    assert main(["models"]) == 1
    assert capsys.readouterr().err == "fastsam-onnx: [Errno 13] Permission denied: 'somewhere'\n"


def test_what_is_to_be_written_for_options_of_other_programs_is_there(capsys):
    """Options, formats and commands that the hints name are accepted, and no name of theirs is one of ours."""
    assert main(["segment", "--help"]) == 0
    ours = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    for name, hint in elsewhere.COMMAND_LINE.items():
        option = "--" + name.replace("_", "-")
        assert option not in ours
        assert set(re.findall(r"--[a-z-]+", hint)) <= ours
        assert set(re.findall(r"--format (\w+)", hint)) <= set(FORMATS)
        assert main(["segment", "a.jpg", option]) == 2
        assert f"unknown option {option}; {hint}" in capsys.readouterr().err
    for name, meant in elsewhere.COMMANDS.items():
        assert main([name]) == 2
        assert f"did you mean `fastsam-onnx {meant}`?" in capsys.readouterr().err
        assert set(re.findall(r"--[a-z-]+", meant)) <= ours
        assert meant.startswith("segment ")
