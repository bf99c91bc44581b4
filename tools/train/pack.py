"""Everything that a training elsewhere needs, in parts small enough to be sent one after the other; and the way back.

For a machine with a GPU and without a network, to which a session may send some 60 MB at a time.

    python -m tools.train.pack make --out ../runs/parts --data DATA --state ../runs/small/state.pt mobile_sam.pt
    python -m tools.train.pack open PARTS --into FOLDER        there, when all parts have come
    python -m tools.train.pack slim FOLDER/small/state.pt --out $OUT        there, after training
    python -m tools.train.pack join PIECES --out ../runs/gpu/state.pt       here

Needs nothing but Python, but for ``--state`` and ``slim`` PyTorch.
"""

from __future__ import annotations

import argparse
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ..sets import folder_of

PART = 56_000_000  # bytes; what is sent may have 60 MB
PIECE = 15_000_000  # bytes; what comes back may have 16 MB a file
FOLDERS = ("train_labelled", "train_unlabelled", "train_photos640", "train_validation")
ENCODER = "backbone.encoder."
START = "start.pt"  # averaged weights: what a new training starts from


def cut(path: Path, folder: Path, size: int, name: str) -> list[Path]:
    """The file in pieces NAME-00-of-07, ...; older pieces of the name go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}-*-of-*"):
        old.unlink()
    count = -(-path.stat().st_size // size)
    pieces = [folder / f"{name}-{index:02d}-of-{count:02d}" for index in range(count)]
    with path.open("rb") as source:
        for piece in pieces:
            piece.write_bytes(source.read(size))
    return pieces


def pieces_of(folder: Path) -> list[Path]:
    """All pieces of the one file that lies cut in a folder."""
    found = sorted(folder.glob("*-*-of-*"))
    wanted = int(found[0].name.rsplit("-", 1)[1]) if found else 0
    if not found or len(found) != wanted:
        raise SystemExit(f"{folder} holds {len(found)} of {wanted or 'unknown many'} pieces")
    if len(names := {piece.name.rsplit("-", 3)[0] for piece in found}) > 1:
        raise SystemExit(f"{folder} must hold the pieces of one file, and holds some of {', '.join(sorted(names))}")
    return found


def join(folder: Path, path: Path) -> None:
    """The file that lies cut in a folder."""
    pieces = pieces_of(folder)  # if one is missing, what lies at the path stays
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as target:
        for piece in pieces:
            with piece.open("rb") as source:
                shutil.copyfileobj(source, target)


def slimmed(state: Path, path: Path, learned: bool = False, half: bool = False) -> None:
    """A training state with its averaged weights alone: to start from, or to export.

    ``learned``: only what a training of the small network with --freeze all has learned; ``half``: in float16.
    """
    import torch

    whole = torch.load(state, map_location="cpu", weights_only=True)
    kept = {name: whole[name] for name in ("mean", "step", "spent", "still", "options")}
    if learned:
        kept["mean"] = {name: value for name, value in kept["mean"].items() if not name.startswith(ENCODER)}
    if half:
        kept["mean"] = {n: value.half() if value.is_floating_point() else value for n, value in kept["mean"].items()}
    torch.save(kept, path)


def contents(data: Path, others: list[Path]) -> Iterator[tuple[Path, str]]:
    """Files and their names in the archive."""
    for name in FOLDERS:
        for path in sorted(folder_of(data, name).rglob("*")):
            if path.is_file():
                yield path, f"data/{name}/{path.relative_to(data / name)}"
    for path in others:
        yield path, path.name


def make(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        whole = Path(temporary) / "whole.tar"
        others = list(options.others)
        if options.state:
            others.append(Path(temporary) / START)
            slimmed(options.state, others[-1])
        with tarfile.open(whole, "w") as archive:  # photos do not shrink
            for path, name in contents(options.data, others):
                archive.add(path, name)
        for part in cut(whole, options.out, PART, "part"):
            print(part, part.stat().st_size)


def unpack(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=options.parts) as temporary:
        whole = Path(temporary) / "whole.tar"
        join(options.parts, whole)
        with tarfile.open(whole) as archive:
            archive.extractall(options.into, filter="data")


def slim(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        small = Path(temporary) / "state.pt"
        slimmed(options.state, small, options.learned, options.half)
        for piece in cut(small, options.out, PIECE, "state"):
            print(piece, piece.stat().st_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("make", help="write the parts")
    one.add_argument("others", type=Path, nargs="*", help="more files: mobile_sam.pt, wheels")
    one.add_argument("--data", type=Path, required=True, help="folder of train_labelled and its like")
    one.add_argument("--state", type=Path, help="a training state to start from")
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(run=make)
    one = commands.add_parser("open", help="put the parts together and unpack them")
    one.add_argument("parts", type=Path, help="folder with all of them")
    one.add_argument("--into", type=Path, required=True)
    one.set_defaults(run=unpack)
    one = commands.add_parser("slim", help="the averaged weights of a state, in pieces")
    one.add_argument("state", type=Path)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--learned", action="store_true", help="without the frozen encoder")
    one.add_argument("--half", action="store_true", help="in float16")
    one.set_defaults(run=slim)
    one = commands.add_parser("join", help="pieces to the file they were")
    one.add_argument("pieces", type=Path, help="folder with all of them")
    one.add_argument("--out", type=Path, required=True)
    one.set_defaults(run=lambda options: join(options.pieces, options.out))
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
