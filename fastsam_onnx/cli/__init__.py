"""The command line: one module per command."""

from collections.abc import Sequence

__all__ = [
    "main",
]


def main(argv: Sequence[str] | None = None) -> int:
    """`program.main`; Ctrl-C ends it quietly also while it is imported, which takes some tenths of a second."""
    try:
        from fastsam_onnx.blas import import_numpy

        import_numpy()
        from fastsam_onnx.cli.program import main as run
    except KeyboardInterrupt:
        import sys

        if sys.stderr is not None:
            sys.stderr.write("fastsam-onnx: interrupted; nothing was done\n")
        return 130
    return run(argv)
