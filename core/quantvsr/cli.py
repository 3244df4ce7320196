"""The `quantvsr` command: a thin skin over the jobs. Importing it loads no torch.

Exit codes: 0 done, 1 failed, 2 bad input, 3 disk full, 130 cancelled.
"""

import argparse
import contextlib
import dataclasses
import difflib
import json
import shutil
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from quantvsr import __version__
from quantvsr.errors import BadInput, Cancelled, QuantVSRError
from quantvsr.jobs.base import GROUPS, Job, Result, job_types, options_of, run
from quantvsr.jobs.options import SWITCH, Option, flag_of
from quantvsr.progress import Progress

_DESCRIPTION = """\
Turn a diffusion video super-resolution model into a 4 to 8 bit one, see why each layer gets what it gets, and
compare the results. Everything runs on this machine."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence instead of printing the whole usage."""

    def error(self, message: str) -> NoReturn:
        text = message[:1].upper() + message[1:].rstrip(".")
        raise BadInput(f"{text}. See '{self.prog} --help'.")


def build_parser() -> argparse.ArgumentParser:
    """The parser, made from the registered jobs and their settings."""
    kinds = job_types()
    groups = list(GROUPS)
    in_order = sorted(kinds.values(), key=lambda kind: groups.index(kind.group))
    examples = "\n".join(f"  {kind.example}" for kind in in_order)
    parser = _Parser(
        prog="quantvsr",
        usage="quantvsr [-h] [--version] COMMAND ...",
        description=f"{_DESCRIPTION}\n\n{_commands()}",
        epilog=f"examples:\n{examples}\n\n'quantvsr COMMAND --help' explains a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"quantvsr {__version__}")
    # They are listed in the description, by group: argparse lists them all in a row.
    commands = parser.add_subparsers(
        dest="command",
        prog="quantvsr",
        metavar="COMMAND",
        required=True,
        parser_class=_Parser,
        help=argparse.SUPPRESS,
    )
    for name, kind in kinds.items():
        command = commands.add_parser(
            name,
            description=f"{kind.summary}\n\n{textwrap.fill(kind.details, 100)}".strip(),
            epilog=f"example:\n  {kind.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_settings(command, kind)
        shown = command.add_argument_group("output")
        shown.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        shown.add_argument("--quiet", action="store_true", help="show no progress")
        shown.add_argument("--debug", action="store_true", help="show the traceback when something fails")
    return parser


def _commands() -> str:
    """All commands with their summaries, by the step of the work they belong to."""
    kinds = job_types()
    indent = 4 + max(map(len, kinds))
    width = min(max(shutil.get_terminal_size().columns, 60), 110)
    parts = []
    for group, title in GROUPS.items():
        lines = [
            textwrap.fill(
                kind.summary, width, initial_indent=f"  {name:{indent - 2}}", subsequent_indent=" " * indent
            )
            for name, kind in kinds.items()
            if kind.group == group
        ]
        parts.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join(parts)


def _add_settings(parser: argparse.ArgumentParser, kind: type[Job]) -> None:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key, setting in options_of(kind).items():
        default = fields[key].default
        required = default is dataclasses.MISSING
        details: dict[str, Any] = {"help": _help(setting, default)}
        if setting.kind is SWITCH:
            details["action"] = argparse.BooleanOptionalAction
            parser.add_argument(flag_of(key), default=default, **details)
            continue
        choices = "{" + ",".join(setting.choices) + "}"
        details["type"] = _reader(setting.kind.parse)
        details["metavar"] = choices if setting.choices else setting.kind.metavar
        if not required:
            details["default"] = default
        if setting.positional:
            details["metavar"] = key.rstrip("s").upper()
            nargs = "*" if setting.many else None if required else "?"
            parser.add_argument(key, nargs=nargs, **details)
        else:
            nargs = "+" if setting.many else None
            parser.add_argument(flag_of(key), nargs=nargs, required=required, **details)


def _reader(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return parse(text)
        except BadInput as error:
            raise argparse.ArgumentTypeError(str(error).rstrip(".")) from error
        except ValueError as error:
            what = "a whole number" if parse is int else "a number"
            raise argparse.ArgumentTypeError(f"'{text}' is not {what}") from error

    return read


def _help(setting: Option, default: Any) -> str:
    text = setting.help if setting.help.endswith("...") else setting.help.rstrip(".")
    if not text[:2].isupper():
        text = text[:1].lower() + text[1:]
    if default in (None, dataclasses.MISSING, (), False):
        return text.replace("%", "%%")
    shown = " ".join(map(setting.kind.show, default)) if setting.many else default
    shown = "on" if default is True else shown
    return f"{text} (default: {shown})".replace("%", "%%")


def job_from_arguments(arguments: Sequence[str]) -> tuple[Job, argparse.Namespace]:
    """The job that command line arguments ask for, and all that was parsed.

    Raises:
        BadInput: The arguments cannot be parsed, or a setting is outside its limits.
        SystemExit: Help or the version was asked for.
    """
    kinds = job_types()
    name = next((each for each in arguments if not each.startswith("-")), None)
    if name is not None and name not in kinds:
        near = "".join(f" try '{each}', or" for each in difflib.get_close_matches(name, kinds, 1))
        raise BadInput(f"There is no command '{name}';{near} see 'quantvsr --help'.")
    odd = next((each for each in arguments if each.startswith("-") and Path(each).exists()), None)
    if odd is not None and "--" not in arguments:
        raise BadInput(f"{odd} would be an option; write ./{odd} for the file.")
    parsed, unknown = build_parser().parse_known_args(list(arguments))
    if unknown:
        what = unknown[0]
        hint = "" if what.startswith("-") else "put a path with spaces in quotes, or "
        raise BadInput(
            f"'{parsed.command}' does not take {what}; {hint}see 'quantvsr {parsed.command} --help'."
        )
    kind = kinds[parsed.command]
    values = {key: getattr(parsed, key) for key in options_of(kind)}
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return kind(**values), parsed


@contextlib.contextmanager
def _stop_on_signals(progress: Progress) -> Iterator[None]:
    """The first Ctrl-C (or request to end) stops at the next safe point, a second one at once."""

    def stop(number: int, frame: object) -> None:
        if progress.cancelled:
            raise KeyboardInterrupt
        progress.cancel()

    numbers = [signal.SIGINT, signal.SIGTERM]
    try:
        before = {number: signal.signal(number, stop) for number in numbers}
    except ValueError:
        # Not in the main thread: whoever started us handles signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    # Known before parsing: parsing itself may fail.
    as_json, debug = "--json" in given, "--debug" in given
    try:
        job, parsed = job_from_arguments(given)
        result = _run(job, quiet=parsed.quiet or parsed.json)
        _show(result, as_json=parsed.json)
        return 0
    except QuantVSRError as error:
        return _fail(str(error), error.exit_code, as_json, debug)
    except KeyboardInterrupt:
        return _fail(str(Cancelled()), Cancelled.exit_code, as_json, debug)
    except BrokenPipeError:
        # The reader of our output went away (`quantvsr info | head`): nothing is left to say.
        sys.stderr.close()
        return 1
    except Exception as error:  # noqa: BLE001  (the last one to catch it: say so instead of a traceback)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else "no details"
        text = f"The program itself failed ({type(error).__name__}: {reason}); --debug shows where."
        return _fail(text, 1, as_json, debug)


def _run(job: Job, *, quiet: bool) -> Result:
    from quantvsr import console

    display = console.choose(quiet=quiet)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_stop_on_signals(display))
        if isinstance(display, console.Bar):
            stack.enter_context(display)
        return run(job, display)


def _show(result: Result, *, as_json: bool) -> None:
    from quantvsr.console import print_rows

    if as_json:
        print(json.dumps(result.to_json(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        print_rows(result.rows())
    sys.stdout.flush()


def _fail(sentence: str, code: int, as_json: bool, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if as_json:
        print(json.dumps({"error": sentence, "exit_code": code}, ensure_ascii=False), flush=True)
    else:
        print(sentence, file=sys.stderr, flush=True)
    return code
