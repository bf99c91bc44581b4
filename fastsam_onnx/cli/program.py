"""The command line: `fastsam-onnx segment`, `info`, `models`, `download`, `export`, `quantize` and `serve`.

Every command is a module beside this one. Results go to files, or to standard output when that was asked for;
everything that is said goes to standard error.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from fastsam_onnx import __version__
from fastsam_onnx.cli import download, export, info, models, quantize, segment, serve
from fastsam_onnx.cli.arguments import EXIT_CODES
from fastsam_onnx.cli.screen import PROGRAM, Screen, logged_to
from fastsam_onnx.errors import FastSAMError

COMMANDS = (segment, info, models, download, export, quantize, serve)
"""In the order of `--help`; `add(commands)` of each adds its parser, which says what to run."""
FAILED, WRONG_USAGE, INTERRUPTED, PIPE_CLOSED = 1, 2, 130, 141
DESCRIPTION = "Segment everything in a photo, and pick objects by point, box or text, on any CPU."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: The arguments, without the program's name; `sys.argv[1:]` by default.

    Returns:
        The exit code: 0 done, 1 some inputs failed, 2 wrong usage or no model, 130 interrupted, 141 standard output
        was closed by its reader.
    """
    screen = Screen(sys.stderr)
    try:
        arguments = _parser().parse_args(argv)
        with logged_to(screen, logging.ERROR if arguments.quiet else logging.WARNING):
            code: int = arguments.run(arguments, screen)
        sys.stdout.flush()
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    except KeyboardInterrupt:
        screen.say("interrupted; the files that are there are complete")
        return INTERRUPTED
    except FastSAMError as error:
        screen.say(str(error))
        return WRONG_USAGE
    except OSError as error:  # of standard output: all others are FastSAMErrors
        _abandon_stdout()
        if isinstance(error, BrokenPipeError):
            return PIPE_CLOSED
        screen.say(f"standard output: {error.strerror or error}")
        return FAILED
    return code


def _abandon_stdout() -> None:
    """Let what is still in the buffer go nowhere, or the interpreter complains about it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=f"`{PROGRAM} COMMAND --help` tells more, with examples.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add(commands)
    return parser
