"""tools/train/pack.py: what is sent in parts arrives whole, and so does what comes back."""

import sys

import pytest

from tools.train import pack


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["pack", *map(str, arguments)])
    pack.main()


def test_data_travel_in_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "PART", 7_000)
    for name in pack.FOLDERS:
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "photos-000.tar").write_bytes(name.encode() * 200)
    (tmp_path / "mobile_sam.pt").write_bytes(b"weights")
    run(monkeypatch, "make", "--data", tmp_path / "data", "--out", tmp_path / "parts", tmp_path / "mobile_sam.pt")
    parts = sorted((tmp_path / "parts").iterdir())
    assert len(parts) > 2
    assert all(part.stat().st_size <= 7_000 for part in parts)
    run(monkeypatch, "open", tmp_path / "parts", "--into", tmp_path / "there")
    for name in pack.FOLDERS:
        assert (tmp_path / "there" / "data" / name / "photos-000.tar").read_bytes() == name.encode() * 200
    assert (tmp_path / "there" / "mobile_sam.pt").read_bytes() == b"weights"


def test_a_missing_part_is_noticed(tmp_path, monkeypatch):
    (tmp_path / "whole").write_bytes(bytes(range(100)))
    pieces = pack.cut(tmp_path / "whole", tmp_path / "pieces", 30, "part")
    assert [piece.name for piece in pieces] == [f"part-0{index}-of-04" for index in range(4)]
    pieces[2].unlink()
    with pytest.raises(SystemExit, match="3 of 4"):
        run(monkeypatch, "open", tmp_path / "pieces", "--into", tmp_path / "there")


def test_what_lies_at_the_path_stays_if_a_piece_is_missing(tmp_path):
    (tmp_path / "whole").write_bytes(bytes(range(100)))
    pack.cut(tmp_path / "whole", tmp_path / "pieces", 30, "state")[1].unlink()
    (tmp_path / "state.pt").write_bytes(b"hours of training")
    with pytest.raises(SystemExit, match="3 of 4"):
        pack.join(tmp_path / "pieces", tmp_path / "state.pt")
    assert (tmp_path / "state.pt").read_bytes() == b"hours of training"


def test_pieces_of_two_files_are_not_joined(tmp_path):
    (tmp_path / "whole").write_bytes(b"0123")
    for name in ("part", "state"):
        pack.cut(tmp_path / "whole", tmp_path / "pieces", 2, name)[1 if name == "part" else 0].unlink()
    with pytest.raises(SystemExit, match="some of part, state"):
        pack.join(tmp_path / "pieces", tmp_path / "again")


def test_a_missing_set_is_noticed(tmp_path, monkeypatch):
    """A misspelt --data made an archive without photos."""
    with pytest.raises(SystemExit, match="has no folder train_labelled"):
        run(monkeypatch, "make", "--data", tmp_path, "--out", tmp_path / "parts")


def test_pieces_of_an_earlier_cut_go(tmp_path):
    (tmp_path / "whole").write_bytes(b"0123456789")
    pack.cut(tmp_path / "whole", tmp_path / "pieces", 2, "part")
    pack.cut(tmp_path / "whole", tmp_path / "pieces", 4, "part")
    pack.join(tmp_path / "pieces", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"0123456789"


def test_averaged_weights_come_back_in_pieces(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch", reason="states are PyTorch's")
    monkeypatch.setattr(pack, "PIECE", 1_000)
    rest = {"step": 3, "spent": 1.5, "still": True, "options": {}}
    state = {"mean": {"a": torch.arange(500.0)}, "network": {}, "optimizer": {}, **rest}
    torch.save(state, tmp_path / "state.pt")
    run(monkeypatch, "slim", tmp_path / "state.pt", "--out", tmp_path / "pieces")
    run(monkeypatch, "join", tmp_path / "pieces", "--out", tmp_path / "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)
    assert set(back) == {"mean", "step", "spent", "still", "options"}
    assert torch.equal(back["mean"]["a"], torch.arange(500.0))


def test_what_was_learned_beside_a_frozen_encoder_can_be_kept_alone(tmp_path):
    torch = pytest.importorskip("torch", reason="states are PyTorch's")
    from tools.train import models, train

    small = models.make("small")
    mean = {**small.state_dict()}
    state = {"mean": mean, "step": 3, "spent": 1.5, "still": True, "options": {}}
    torch.save(state, tmp_path / "state.pt")
    pack.slimmed(tmp_path / "state.pt", tmp_path / "learned.pt", learned=True, half=True)
    assert (tmp_path / "learned.pt").stat().st_size < 4_700_000
    other = models.make("small")
    encoder = other.backbone.encoder.neck[0].weight.clone()
    train.take_over(other, torch.load(tmp_path / "learned.pt", weights_only=True)["mean"])
    assert torch.equal(other.backbone.encoder.neck[0].weight, encoder)
    found, wanted = other.prototypes.refine.conv.weight, small.prototypes.refine.conv.weight
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
