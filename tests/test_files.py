"""Files that are complete or not there, and the errors that say why one is not."""

import contextlib
import errno
import os

import pytest

from fastsam_onnx.errors import OptionError, OutputError
from fastsam_onnx.files import output_errors, why_unread, write_file


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
    with pytest.raises(OutputError, match=r"a\.txt: No such file") as caught:
        write_file(tmp_path / "missing" / "a.txt", [b"text"])
    assert isinstance(chain(caught.value)[1], FileNotFoundError)


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
