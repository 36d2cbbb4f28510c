"""The entry point: commands by name, errors to messages and exit codes, signals.

Importing this module imports click and the standard library alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ..errors import EdgekitError, OutputError
from .common import Run, print_json, stdout_broken, verbose_option
from .lazy import Lazy, LazyGroup

COMMANDS = {
    "deploy": Lazy(
        "edgekit.cli.deploy:deploy", "Find the fastest artifact that is still right on a target; write it with its evidence."
    ),
    "build": Lazy("edgekit.cli.build:build", "Build every candidate for a target, without measuring."),
    "profile": Lazy("edgekit.cli.profile:profile", "Measure a model or bundle as it is: latency, memory, load time."),
    "inspect": Lazy("edgekit.cli.inspect:inspect", "Say what is in a model, and how it was compressed."),
    "check": Lazy("edgekit.cli.check:check", "Verify a bundle: every hash, every file, nothing extra."),
    "sign": Lazy("edgekit.cli.sign:sign", "Sign a bundle with an SSH key."),
    "package": Lazy("edgekit.cli.package:package", "Make a bundle a package for an Android, iOS, React Native or web app."),
    "demo": Lazy("edgekit.cli.demo:demo", "Deploy the two built-in models, offline, and show both verdicts."),
    "init": Lazy("edgekit.cli.init:init", "Write a commented edgekit.toml for a model."),
    "targets": Lazy("edgekit.cli.targets:targets", "List targets, device profiles and aliases."),
    "devices": Lazy("edgekit.cli.devices:devices", "Add, list, probe, check and set up devices."),
    "toolchain": Lazy("edgekit.cli.toolchain:toolchain", "List, install and remove converters that live on their own."),
    "cache": Lazy("edgekit.cli.cache:cache", "Show or clear built candidates kept for reuse."),
    "doctor": Lazy("edgekit.cli.doctor:doctor", "Check this installation and this machine."),
    "completion": Lazy("edgekit.cli.completion:completion", "Print the completion script of a shell."),
}

COMPLETE = "_EDGEKIT_COMPLETE"  # set by the shell's completion script
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # what a disk says that takes no more
_NO_ARGUMENTS: type[click.UsageError] | tuple[()] = getattr(click.exceptions, "NoArgsIsHelpError", ())  # new in click 8.2
INTERRUPTED = 130  # what shells report for a process ended by Ctrl-C
EXIT_CODES = """\b
Exit codes:
  0 done                      5 the budget was not met
  1 a bug in edgekit          6 device unreachable or busy
  2 usage                     7 failed on the device
  3 a dependency is missing   8 integrity
  4 the model or data is bad, or the output cannot be written
  130 interrupted"""


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    epilog=EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@verbose_option
@click.version_option(package_name="edgekit-sdk", prog_name="edgekit")
def cli() -> None:
    """Find the fastest artifact that is still right on your hardware.

    Give edgekit a compressed model and the name of a piece of hardware; it hands back the fastest artifact that is still right on
    that hardware, with the evidence.
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    run = Run(as_json="--json" in arguments)  # known also where the command line cannot be parsed
    _end_by_signal(run)
    try:
        with run.cleanup:
            return _outcome(arguments, run)
    except OSError as problem:
        if problem.errno != errno.EPIPE:
            raise
        return _quiet_exit()
    except KeyboardInterrupt:  # a second Ctrl-C while the first one was being cleaned up
        return INTERRUPTED


def _outcome(arguments: list[str], run: Run) -> int:
    try:
        if COMPLETE in os.environ:
            cli.main(arguments, prog_name="edgekit", complete_var=COMPLETE)
        # Not cli.main(): it ends with exit code 1, a bug's, when the reader of our output is gone.
        with cli.make_context("edgekit", arguments, obj=run) as context:
            cli.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _show_interrupt(run)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise
        if run.interrupted:  # what is loaded while the signal comes may make another error of it (an extension module: ImportError)
            return _show_interrupt(run)
        return _show_problem(error, run, arguments)
    return 0


def _show_problem(error: Exception, run: Run, arguments: Sequence[str]) -> int:
    if isinstance(error, EdgekitError):
        _show(error, run)
        return error.exit_code
    if isinstance(error, _NO_ARGUMENTS):  # its message is the whole help
        error.show()
        return error.exit_code
    if isinstance(error, click.ClickException):
        return _show_usage(error, run, arguments)
    if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:  # of a write
        _discard_stdout()
        problem = stdout_broken(error)
        _show(problem, run)
        return problem.exit_code
    return _show_bug(error, run)


def _end_by_signal(run: Run) -> None:
    """SIGTERM and a closed terminal end a run as Ctrl-C does: children stopped, scratch files gone. What is ignored stays so."""

    def interrupt(number: int, _: object) -> None:
        run.interrupted = True
        if number != signal.SIGINT:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupt)


def _quiet_exit() -> int:
    """The reader of our stdout is gone (``edgekit targets | head -1``). What shells report for a process ended by SIGPIPE."""
    _discard_stdout()
    return 128 + signal.SIGPIPE


def _discard_stdout() -> None:
    """What Python still holds back for a stdout that takes nothing is written at its end, and must not fail once more."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def _open_closed_streams() -> None:
    """A stream closed by the caller (``>&-``) becomes /dev/null: else the next file that is opened gets its number and our text."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _show(error: EdgekitError, run: Run) -> None:
    from ..report.text import one_line

    click.echo(f"edgekit: {one_line(error.what)}", err=True)
    if error.why:
        click.echo(f"  why: {one_line(error.why)}", err=True)
    if error.hint:
        click.echo(f"  hint: {one_line(error.hint)}", err=True)
    if run.log_file is not None:
        import logging

        logging.getLogger("edgekit").info("failed with exit code %d", error.exit_code, exc_info=error)
    if run.as_json:
        with contextlib.suppress(OutputError):  # stdout is full: the error has been said on stderr, and its exit code stays
            print_json(error.to_json(), run)


def _show_interrupt(run: Run) -> int:
    # CPython remembers a KeyboardInterrupt that was raised inside exec("..."), as dataclasses use it, and would end this process by
    # signal although it was handled. Running any such string anew makes it forget.
    exec("")  # noqa: S102
    click.echo("edgekit: interrupted", err=True)
    if run.as_json:
        with contextlib.suppress(OutputError):
            print_json({**EdgekitError("interrupted").to_json(), "exit_code": INTERRUPTED}, run)
    return INTERRUPTED


def _show_usage(error: click.ClickException, run: Run, arguments: Sequence[str]) -> int:
    from ..errors import UsageError

    usage = UsageError(error.format_message())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        usage.hint = f"see: {error.ctx.command_path} --help"
        if not run.as_json:
            click.echo(error.ctx.get_usage(), err=True)
    if isinstance(error, click.NoSuchOption):
        files = [argument for argument in arguments if argument.startswith("-") and Path(argument).exists()]
        if files:
            usage.hint = f"for the file of that name write ./{files[0]}"
    _show(usage, run)
    return usage.exit_code


def _show_bug(error: Exception, run: Run) -> int:
    import traceback

    click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    report = EdgekitError(
        "this is a bug in edgekit",
        why=f"{type(error).__name__}: {error}",
        hint="please report it with the lines above" + (f" and the log file {run.log_file}" if run.log_file else ""),
    )
    _show(report, run)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
