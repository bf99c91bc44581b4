"""What a program tells a terminal."""

import contextlib
import os
import subprocess


def in_a_terminal(command, **options):
    """Run a command on a pseudo terminal: its exit code, and all that the terminal was told."""
    import pty

    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, **options) as process:
        os.close(theirs)
        pieces = []
        with contextlib.suppress(OSError):  # Linux: the other end is closed
            while piece := os.read(ours, 4096):
                pieces.append(piece)
        os.close(ours)
        code = process.wait(timeout=120)
    return code, b"".join(pieces).decode()
