"""Files that are complete or not there, and the errors that say why one is not."""

import contextlib
import errno
import os
from pathlib import Path

import pytest

from fastsam_onnx import FastSAM
from fastsam_onnx.errors import ImageError, ModelNotFoundError, OptionError, OutputError
from fastsam_onnx.files import (
    absolute,
    complete_file,
    is_address,
    is_special,
    output_errors,
    try_lock,
    why_unread,
    write_file,
)
from fastsam_onnx.images.load import load_image
from fastsam_onnx.images.sources import open_sources

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX system")


def chain(error):
    """An error and those behind it, as loggers follow them: one that is its own cause has no end."""
    found = []
    while error is not None:
        assert error not in found, "an error is behind itself"
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def test_an_error_of_ours_passes_as_it_is_and_is_not_its_own_cause(tmp_path):
    refused = OptionError("tolerance must be a number")  # a ValueError, as what Python says is
    with pytest.raises(OptionError) as caught, output_errors(tmp_path):
        raise refused
    assert chain(caught.value) == [refused]


def test_a_folder_in_the_place_of_a_file_is_refused_with_an_error_that_has_an_end(tmp_path):
    with pytest.raises(OutputError, match="not a regular file") as caught:
        write_file(tmp_path, [b"text"])
    assert chain(caught.value) == [caught.value]


def test_what_the_system_says_is_named_and_kept_as_the_cause(tmp_path):
    with pytest.raises(OutputError, match=r"a\.txt: there is no folder .*missing; make it first$") as caught:
        write_file(tmp_path / "missing" / "a.txt", [b"text"])
    assert isinstance(chain(caught.value)[1], FileNotFoundError)
    with pytest.raises(OutputError, match=r"cannot write a\.txt: No space left"), output_errors("a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_bytes_are_on_the_disk_before_the_file_takes_its_name(tmp_path, monkeypatch):
    """Without that a power cut leaves an empty file, which the next run takes for a result."""
    path, sizes = tmp_path / "a.txt", []
    monkeypatch.setattr("os.fsync", lambda descriptor: sizes.append((os.fstat(descriptor).st_size, path.exists())))
    write_file(path, [b"some", b"text"])
    assert sizes == [(8, False)]


@pytest.mark.parametrize(("number", "is_error"), [(errno.EINVAL, False), (errno.ENOSPC, True)])
def test_a_file_system_that_cannot_sync_is_written_to_and_a_full_one_is_told(tmp_path, monkeypatch, number, is_error):
    def failing(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", failing)
    with pytest.raises(OutputError) if is_error else contextlib.nullcontext():
        write_file(tmp_path / "a.txt", [b"text"])
    assert [path.name for path in tmp_path.iterdir()] == ([] if is_error else ["a.txt"])


def test_a_folder_is_told_whatever_the_system_says_of_it(tmp_path):
    assert why_unread(tmp_path, PermissionError(errno.EACCES, "Permission denied")) == "it is a folder"
    assert why_unread(tmp_path / "a", FileNotFoundError(errno.ENOENT, "No such file")) == "there is no such file"
    assert why_unread(tmp_path / "a", PermissionError(errno.EACCES, "Permission denied")) == "Permission denied"
    assert why_unread("\0", ValueError("embedded null byte")) == "embedded null byte"


def test_a_home_that_no_shell_expanded_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = r"~ is not expanded: write the home folder in its place, in Python by os\.path\.expanduser\(path\)"
    with pytest.raises(ImageError, match=f"no such file; {told}"):
        load_image("~/photo.jpg")
    with pytest.raises(ImageError, match=f"no such folder, picture or video; {told}"):
        open_sources("~/photos")
    with pytest.raises(ModelNotFoundError, match=told):
        FastSAM(Path("~/network.onnx"))
    with pytest.raises(OutputError, match=f"there is no folder ~; make it first; {told}"):
        write_file("~/a.txt", [b"text"])


@POSIX
def test_a_working_folder_that_was_deleted_is_told(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    told = "the working folder was deleted or moved"
    with pytest.raises(ModelNotFoundError, match=told):
        FastSAM("network.onnx")
    with pytest.raises(ModelNotFoundError, match=told):
        FastSAM(Path("network.onnx"))
    with pytest.raises(ImageError, match=f"no such file; {told}"):
        load_image("photo.jpg")
    with pytest.raises(ImageError, match=told):
        open_sources("photos")
    for path in ("a.txt", "folder/a.txt"):
        with pytest.raises(OutputError, match=told):
            write_file(path, [b"text"])
    write_file(tmp_path / "a.txt", [b"text"])


@POSIX
def test_a_path_is_kept_for_whatever_working_folder_is_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute("a/b.onnx") == tmp_path / "a/b.onnx"
    assert absolute(Path("/a/b.onnx")) == Path("/a/b.onnx")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert absolute("b.onnx") == Path("b.onnx")


@POSIX
def test_what_is_neither_a_file_nor_a_folder_is_special(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_text("")
    places = (tmp_path / "fifo", tmp_path / "file", tmp_path, tmp_path / "none", "x" * 5000)
    assert [is_special(place) for place in places] == [True, False, False, False, False]


def test_addresses_are_told_from_paths():
    addresses = (
        "https://example.org/a.jpg",
        "https:/example.org/a.jpg",
        "s3://bucket/a",
        "data:image/png;base64,AA",
        b"ftp://a",
    )
    assert all(map(is_address, addresses))
    assert not any(map(is_address, ("a.jpg", "C:/a.jpg", "C:\\a.jpg", "x/https://a", "/data:a", "database.db", "a:b")))


@POSIX
def test_a_lock_is_ours_or_of_another_or_not_to_be_had(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "lock"
    with path.open("ab") as one, path.open("ab") as other:
        assert try_lock(one.fileno()) is True
        assert try_lock(other.fileno()) is None
    with path.open("ab") as again:
        assert try_lock(again.fileno()) is True

        def none(*_):
            raise OSError(errno.ENOTSUP, "no locks here")

        monkeypatch.setattr(fcntl, "flock", none)
        assert try_lock(again.fileno()) is False


@POSIX
def test_behind_a_link_its_target_is_replaced(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a.txt")
    write_file(tmp_path / "link", [b"some", memoryview(b"text")])
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_bytes() == b"sometext"


def test_the_temporary_name_ends_as_asked_and_goes_when_writing_fails(tmp_path):
    with complete_file(tmp_path / "a.mp4", ".mp4") as part:
        assert (part.parent, part.suffix) == (tmp_path, ".mp4")
        part.write_bytes(b"frames")

    def parts():
        yield b"half"
        raise MemoryError

    with pytest.raises(MemoryError):
        write_file(tmp_path / "b.mp4", parts())
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_a_name_that_no_file_can_have_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*null"):
        write_file(f"{tmp_path}/a\0b", [b"text"])
