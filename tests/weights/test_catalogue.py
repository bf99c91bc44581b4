"""The catalogue: well-formed, and nothing in it that no published source states."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import PurePosixPath

import pytest

from fastsam_onnx.weights import catalogue
from fastsam_onnx.weights.catalogue import ENTRIES, File, find, total_size

FILES = [file for entry in ENTRIES for file in entry.files]
NAMES = [entry.name for entry in ENTRIES]


def test_names_are_found_in_any_case_and_are_unique_in_it():
    assert max(Counter(name.casefold() for name in NAMES).values()) == 1
    for entry in ENTRIES:
        assert find(entry.name) is find(entry.name.upper()) is entry
    assert find("FastSAM-m") is None
    assert {"FastSAM-s", "FastSAM-x", "clip-vit-b-32", "clip-vit-b-32-int8"} <= set(NAMES)


def test_a_name_is_never_the_name_of_its_file():
    """Else a download in the working directory would be taken for the name."""
    assert not {name.casefold() for name in NAMES} & {file.path.casefold() for file in FILES}


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_an_entry_says_all_there_is_to_say(entry):
    assert re.fullmatch(r"[A-Za-z0-9-]+", entry.name)
    assert all((entry.purpose, entry.licence, entry.licence_details, entry.source, entry.files))
    assert "\n" not in entry.purpose + entry.licence + entry.licence_details + entry.source


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_files_stay_in_their_folder_and_do_not_meet(entry):
    for file in entry.files:
        parts = PurePosixPath(file.path).parts
        assert "\\" not in file.path
        assert parts == (file.path,) if len(entry.files) == 1 else parts == (entry.name, parts[-1])
        assert ".." not in parts
    assert entry.path == (entry.files[0].path if len(entry.files) == 1 else entry.name)
    assert len({file.path.casefold() for file in FILES}) == len(FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
def test_addresses_and_figures(file):
    assert file.addresses
    assert len(set(file.addresses)) == len(file.addresses)
    assert all(re.fullmatch(r"https://[\w./-]+", address) for address in file.addresses)
    assert file.size is None or file.size > 0
    assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_what_matters_has_several_addresses_and_is_verified():
    for name in ("FastSAM-s", "FastSAM-x", "clip-vit-b-32", "clip-vit-b-32-int8"):
        for file in find(name).files:
            assert len(file.addresses) >= 2
            assert file.size is not None
            assert file.sha256 is not None


def test_total_size_is_unknown_if_one_is():
    assert total_size([File("a", (), 3, None), File("b", (), 4, None)]) == 7
    assert total_size([File("a", (), 3, None), File("b", (), None, None)]) is None
    assert total_size([]) == 0
    # 351,685,709 + 254,058,553 + 2,224,119 + 520
    assert total_size(find("clip-vit-b-32").files) == 607_968_901


def test_nothing_is_invented(shared):
    """Sizes and hashes stand in one row of the collected public texts; the addresses are built from theirs."""
    text = (shared / "docs" / "peers.md").read_text("utf-8").partition("## E. Weights")[2].partition("## F.")[0]
    rows = text.splitlines()
    for file in FILES:
        if file.sha256 is not None:
            [row] = [row for row in rows if file.sha256 in row and row.startswith("|")]
            assert f"{file.size:,}" in row
            upstream = {PurePosixPath(address).name for address in file.addresses}
            assert all(name in row for name in upstream)
        for address in file.addresses:
            host_and_owner = "/".join(address.split("/")[2:5])
            assert host_and_owner in text
    for known in (catalogue._ULTRALYTICS, catalogue._SAMGEO, catalogue._SPACE, *catalogue._XENOVA_REVISIONS[:1]):
        assert known in text
