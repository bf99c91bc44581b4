"""The program `fastsam-onnx`: finds the command and runs it.

Every command is a module beside this one. Results go to files, or to standard output when that was asked for;
everything that is said goes to standard error.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from textwrap import fill
from typing import Any, NoReturn

from fastsam_onnx import __version__, elsewhere
from fastsam_onnx.cli import convert, download, export, info, models, quantize, segment, serve
from fastsam_onnx.cli.arguments import EXIT_CODES, MOST_COLUMNS
from fastsam_onnx.cli.screen import (
    PROGRAM,
    Screen,
    StandardOutputError,
    abandon,
    flush_standard_output,
    logged_to,
    print_line,
)
from fastsam_onnx.cli.signals import EndedBySignal, signals_that_end
from fastsam_onnx.errors import FastSAMError
from fastsam_onnx.files import NO_WORKING_FOLDER, exists, has_working_folder

COMMANDS = (segment, convert, info, models, download, export, quantize, serve)
"""In the order of `--help`; `add(commands)` of each adds its parser, which says what to run."""
FAILED, WRONG_USAGE, SIGNALLED, INTERRUPTED, PIPE_CLOSED = 1, 2, 128, 130, 141
DESCRIPTION = "Segment everything in a photo, and pick objects by point, box or text, on any CPU."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: Arguments without the program's name; `sys.argv[1:]` by default.

    Returns:
        The exit code: 0 done, 1 some inputs failed, 2 wrong usage or no model, 130 interrupted, 129 or 143 ended by
        SIGHUP or SIGTERM, 141 standard output was closed by its reader.
    """
    _fill_closed_streams()
    screen = Screen(sys.stderr)
    try:
        return _run(sys.argv[1:] if argv is None else argv, screen)
    finally:
        screen.flush()


def _run(argv: Sequence[str], screen: Screen) -> int:
    try:
        code = _run_command(argv, screen)
        flush_standard_output()
    except EndedBySignal as stop:
        screen.say("ended by a signal; the files that are there are complete")
        return SIGNALLED + stop.number
    except (KeyboardInterrupt, FastSAMError, ImportError) as error:  # a package that is missing is the last two
        if _comes_from_interrupt(error):
            screen.say("interrupted; the files that are there are complete")
            return INTERRUPTED
        if not isinstance(error, FastSAMError):
            raise
        screen.explain(str(error))
        return WRONG_USAGE
    except BrokenPipeError:
        abandon(sys.stdout)
        return PIPE_CLOSED
    except StandardOutputError as error:
        abandon(sys.stdout)
        screen.say(f"standard output: {error.strerror or error}")
        return FAILED
    except OSError as error:  # a defect, which names its file: all others are FastSAMErrors
        screen.say(str(error) if has_working_folder() else NO_WORKING_FOLDER)
        return FAILED
    return code


def _run_command(argv: Sequence[str], screen: Screen) -> int:
    try:
        arguments = _parse(argv)
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    _silence_opencv()
    with signals_that_end(), logged_to(screen, logging.ERROR if arguments.quiet else logging.WARNING):
        code: int = arguments.run(arguments, screen)
    return code


def _silence_opencv() -> None:
    """Let OpenCV say nothing: what it cannot do is said once, by us. It reads these when it is loaded, later."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def _comes_from_interrupt(error: BaseException | None) -> bool:
    """True if Ctrl-C is behind an error: compiled modules make ImportErrors of what interrupts their initialization."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:  # an error may be its own cause
        chain.append(error)
        error = error.__cause__ or error.__context__
    return any(isinstance(one, KeyboardInterrupt) for one in chain)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments; what is misspelt is reported with what was probably meant, by the parser that it is for."""
    parser, commands = _parser()
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        meant = elsewhere.COMMANDS.get(argv[0])
        hint = f"; did you mean `{PROGRAM} {meant}`?" if meant else _suggestion(argv[0], commands)
        if not hint and exists(argv[0]):
            hint = f"; did you mean `{PROGRAM} segment {argv[0]}`?"
        elif argv[0] == "help":
            hint = f"; did you mean `{' '.join([PROGRAM, *argv[1:2], '--help'])}`?"
        parser.error(f"unknown command {argv[0]!r}{hint or '; commands: ' + ', '.join(commands)}")
    arguments, unknown = parser.parse_known_args(argv)
    reader: argparse.ArgumentParser = arguments.parser
    if options := [text for text in unknown if text.startswith("-") and text != "-"]:
        reader.error(_about_unknown(options[0], _options_of(reader)))
    if unknown:
        reader.error(f"too many arguments: {' '.join(unknown)}")
    if reader is parser:
        parser.error(f"a command is missing; commands: {', '.join(commands)}; `{PROGRAM} --help` tells more")
    return arguments


class _Parser(argparse.ArgumentParser):
    """A parser that says what to do about a minus, and whose help is not lost where standard output cannot be written.

    Names of files and coordinates may begin with a minus, which argparse takes for options.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it; the words are kept for messages."""
        self._words = list(args or ())
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """End the program with what is wrong."""
        if message.endswith("expected one argument"):
            option = re.split("[ /:]", message.partition(": ")[0])[-1]
            message += f"; if it begins with a minus, write {option}=-..."
        elif "are required" in message:
            accepted = _options_of(self)
            unknown = [word for word in self._words if _is_unknown(word, accepted)]
            message = _about_unknown(unknown[0], accepted) if unknown else message
        super().error(message)

    def _print_message(self, message: str, file: Any = None) -> None:
        if file is not None and file is sys.stdout:
            print_line(message.removesuffix("\n"))
        else:
            super()._print_message(message, file)


def _parser() -> tuple[argparse.ArgumentParser, dict[str, Any]]:
    """The parser of the program, and those of its commands by their names."""
    parser = _Parser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND [ARGUMENTS]",
        description=fill(DESCRIPTION, MOST_COLUMNS),
        epilog=f"`{PROGRAM} COMMAND --help` tells more, with examples.\n\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.set_defaults(parser=parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", prog=PROGRAM)
    for command in COMMANDS:
        command.add(commands)
    return parser, dict(commands.choices)


def _options_of(parser: argparse.ArgumentParser) -> list[str]:
    return re.findall(r"(?<!\S)--?[a-z][a-z-]*", parser.format_help())


def _is_unknown(word: str, accepted: Sequence[str]) -> bool:
    """True for what looks like an option, and is neither one, nor one with its value (-oout), nor a number."""
    own = word[:2] if word[1:2] != "-" else word.partition("=")[0]
    return re.match("--?[^-0-9.]", word) is not None and own not in accepted


def _about_unknown(word: str, accepted: Iterable[str]) -> str:
    option = word.partition("=")[0]
    if exists(word):
        hint = f"; if the file is meant, write ./{word}"
    elif meant := _meant(option, accepted):
        hint = f"; {meant}"
    else:
        hint = _suggestion(option, accepted)
    return f"unknown option {option}{hint}"


def _meant(option: str, accepted: Iterable[str]) -> str | None:
    """What to write in place of an option of another program, if the command has it; None of other words."""
    meant = elsewhere.COMMAND_LINE.get(option.lstrip("-").replace("-", "_").lower())
    if meant is None or not set(re.findall(r"--[a-z-]+", meant)) <= set(accepted):
        return None
    return meant


def _suggestion(given: str, accepted: Iterable[str]) -> str:
    words = {name.lstrip("-"): name for name in accepted}  # dashes would make short names alike
    asked = given.lstrip("-")
    begun = [word for word in words if word.startswith(asked) or (len(word) > 1 and asked.startswith(word))]
    close = begun or get_close_matches(asked, words, n=1)
    return f"; did you mean {words[close[0]]}?" if close else ""


def _fill_closed_streams() -> None:
    """Open something in the place of closed standard streams.

    A file that is opened next would get the number of such a stream, and libraries that write to that number would
    write into the file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
