"""The program as a process: exit codes, what goes to which stream, signals, what is imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.small_models import classifier

from edgekit.cli.main import COMMANDS

HEAVY = (
    "numpy",
    "onnx",
    "onnxruntime",
    "asyncssh",
    "rich",
    "cattrs",
    "PIL",
    "attr",
    "platformdirs",
    "logging",
    "importlib.metadata",
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


def run(*arguments: str, code: str = "from edgekit.cli.main import main", **more: object) -> subprocess.CompletedProcess[str]:
    """`edgekit ARGUMENTS` in its own process; ``code`` may prepare that process."""
    program = f"import sys\n{textwrap.dedent(code)}\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, check=False, **more
    )  # type: ignore[call-overload,no-any-return]


def raising(exception: str) -> str:
    """Code that makes `edgekit doctor` raise."""
    return f"""
        from edgekit.cli.main import main
        from edgekit.errors import *
        import edgekit.doctor
        def broken():
            raise {exception}
        edgekit.doctor.diagnose = broken
    """


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["deploy", "--help"], ["inspect", "-h"]])
def test_help_imports_nothing_heavy(home: Path, arguments: list[str]) -> None:
    allowed = {"importlib.metadata", "logging"} if arguments == ["--version"] else set()
    code = f"""
        import atexit
        from edgekit.cli.main import main
        loaded = lambda: print("HEAVY", sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
        atexit.register(loaded)
    """
    done = run(*arguments, code=code)
    assert done.returncode == 0, done.stderr
    heavy = done.stderr.partition("HEAVY ")[2].strip()
    assert set(eval(heavy)) <= allowed, heavy
    assert not home.exists()  # help leaves no log and no folder


def test_help_lists_every_command_with_its_summary() -> None:
    done = run("--help", env={**os.environ, "COLUMNS": "200"})
    for name, lazy in COMMANDS.items():
        assert name in done.stdout
        assert lazy.summary.split(";")[0] in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_examples(name: str, home: Path) -> None:
    done = run(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Examples:" in done.stdout
    assert f"edgekit {name}" in done.stdout.partition("Examples:")[2]


@pytest.mark.parametrize("arguments", [[], ["devices"], ["cache"], ["toolchain"]])
def test_without_a_command_the_help_is_shown_as_it_is(home: Path, arguments: list[str]) -> None:
    done = run(*arguments)
    shown = done.stderr or done.stdout  # click before 8.2 has it on stdout and ends with 0
    assert shown == run(*arguments, "--help").stdout
    assert (done.returncode == 2) == bool(done.stderr)


def test_a_mistyped_command_names_the_nearest(home: Path) -> None:
    done = run("deplpy", "model.onnx")
    assert done.returncode == 2
    assert "Did you mean deploy" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "arguments", [["depoly"], ["deploy", "--targt", "onnx"], ["deploy", "m.onnx", "--precision", "int3"], ["check"]]
)
def test_a_usage_error_is_one_document_under_json(home: Path, arguments: list[str]) -> None:
    done = run(*arguments, "--json")
    assert done.returncode == 2
    document = json.loads(done.stdout)
    assert document["schema"] == "edgekit.error/1"
    assert document["exit_code"] == 2
    assert document["what"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("exception", "exit_code"),
    [
        ("UsageError('w', why='y', hint='h')", 2),
        ("DependencyError('w', why='y', hint='h')", 3),
        ("ModelError('w', why='y', hint='h')", 4),
        ("BudgetError('w', why='y', hint='h')", 5),
        ("DeviceUnavailableError('w', why='y', hint='h')", 6),
        ("DeviceRunError('w', why='y', hint='h')", 7),
        ("IntegrityError('w', why='y', hint='h')", 8),
    ],
)
def test_errors_say_what_why_and_hint_without_a_traceback(home: Path, exception: str, exit_code: int) -> None:
    done = run("doctor", code=raising(exception))
    assert done.returncode == exit_code
    assert done.stderr == "edgekit: w\n  why: y\n  hint: h\n"
    assert done.stdout == ""
    done = run("doctor", "--json", code=raising(exception))
    assert done.returncode == exit_code
    assert json.loads(done.stdout) == {"schema": "edgekit.error/1", "exit_code": exit_code, "what": "w", "why": "y", "hint": "h"}


def test_text_of_an_error_cannot_steer_the_terminal(home: Path) -> None:
    done = run("doctor", code=raising(r"ModelError('a\x1b[2Jb\nc')"))
    assert done.stderr == "edgekit: a\ufffd[2Jb c\n"


def test_a_bug_shows_its_traceback_and_how_to_report_it(home: Path) -> None:
    done = run("doctor", "--json", code=raising("ZeroDivisionError('unexpected')"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "this is a bug in edgekit" in done.stderr
    log = next((home / "state" / "logs").glob("*.log"))
    assert str(log) in done.stderr
    assert "ZeroDivisionError" in log.read_text()
    assert json.loads(done.stdout)["exit_code"] == 1


def test_interrupts_end_with_130_and_one_line(home: Path) -> None:
    done = run("doctor", code=raising("KeyboardInterrupt"))
    assert done.returncode == 130
    assert done.stderr.strip() == "edgekit: interrupted"
    done = run("doctor", "--json", code=raising("KeyboardInterrupt"))
    assert json.loads(done.stdout)["exit_code"] == 130


@pytest.mark.usefixtures("signals_as_in_a_terminal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_unwind_like_ctrl_c(home: Path, number: int) -> None:
    code = """
        import time
        from edgekit.cli.main import main
        import edgekit.doctor, edgekit.state
        def wait():
            with edgekit.state.work_folder() as folder:
                print(folder, flush=True)
                time.sleep(60)
        edgekit.doctor.diagnose = wait
    """
    program = f"import sys\n{textwrap.dedent(code)}\nsys.exit(main())"
    with subprocess.Popen(
        [sys.executable, "-c", program, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        folder = Path(child.stdout.readline().strip())
        assert folder.is_dir()
        child.send_signal(number)
        _, stderr = child.communicate(timeout=30)
    assert child.returncode == 130
    assert stderr.strip() == "edgekit: interrupted"
    assert not folder.exists()


@pytest.mark.usefixtures("signals_as_in_a_terminal")
@pytest.mark.parametrize("becomes", ["ImportError('initialization failed')", "OSError(5, 'no')", "ModelError('w')"])
def test_an_interrupt_stays_one_when_the_interrupted_code_makes_another_error_of_it(home: Path, becomes: str) -> None:
    code = f"""
        import os, signal
        from edgekit.cli.main import main
        from edgekit.errors import ModelError
        import edgekit.doctor
        def load():
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt as error:
                raise {becomes} from error
        edgekit.doctor.diagnose = load
    """
    program = f"import sys\n{textwrap.dedent(code)}\nsys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, "doctor"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.strip()) == (130, "edgekit: interrupted")


def test_a_closed_pipe_is_quiet(home: Path) -> None:
    code = """
        import os
        from edgekit.cli.main import main
        read, write = os.pipe()
        os.dup2(write, 1)
        os.close(read)
    """
    done = run("doctor", code=code)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


def test_native_and_python_logs_go_to_the_log_file(home: Path) -> None:
    code = """
        import logging, os, warnings
        from edgekit.cli.main import main
        import edgekit.doctor
        def chatter():
            os.write(2, b"vendor chatter\\n")
            logging.getLogger("vendor").warning("python chatter")
            warnings.warn("deprecated chatter")
            return [edgekit.doctor.Finding("ok", "a", "b")]
        edgekit.doctor.diagnose = chatter
    """
    done = run("doctor", code=code)
    assert done.stderr == ""
    log = next((home / "state" / "logs").glob("*.log"))
    assert log.stat().st_mode & 0o077 == 0
    text = log.read_text()
    assert "vendor chatter" in text
    assert "python chatter" in text
    assert "deprecated chatter" in text

    for arguments in (["doctor", "-v"], ["-v", "doctor"]):
        done = run(*arguments, code=code)
        assert done.stderr.startswith(f"log: {home / 'state' / 'logs'}")
        assert "vendor chatter" in done.stderr
        assert "python chatter" in done.stderr


def test_a_state_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("targets", env={**os.environ, "EDGEKIT_HOME": str(tmp_path / "file")})
    assert done.returncode == 0
    assert "no log file" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("exception", ["DataError('odd data')", None])
def test_a_log_file_on_a_full_disk_changes_nothing(home: Path, exception: str | None) -> None:
    code = raising(exception) if exception else "from edgekit.cli.main import main"
    full = """
        import logging, pathlib
        from edgekit import log
        log.open_log = lambda: pathlib.Path("/dev/full")
        logging.getLogger("vendor").warning("is kept back until the end")
    """
    done = run("doctor", "--json", code=textwrap.dedent(code) + textwrap.dedent(full))
    assert done.returncode == (4 if exception else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert "Logging error" not in done.stderr
    assert json.loads(done.stdout)["schema"] == ("edgekit.error/1" if exception else "edgekit.doctor/1")


def test_a_line_that_cannot_be_made_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    from edgekit.log import _LogFile

    handler = _LogFile(tmp_path / "run.log")
    handler.handle(logging.LogRecord("edgekit", logging.INFO, "run.py", 1, "%d operators", ("many",), None))
    handler.close()
    assert "Logging error" in capsys.readouterr().err


def test_only_the_newest_logs_are_kept(home: Path) -> None:
    from edgekit import log

    logs = home / "state" / "logs"
    logs.mkdir(parents=True)
    for i in range(log.KEPT_LOGS + 5):
        (logs / f"20000101-0000{i:02}-1.log").touch()
    newest = log.open_log()
    left = sorted(logs.glob("*.log"))
    assert len(left) == log.KEPT_LOGS
    assert left[-1] == newest


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_calls_back(home: Path, shell: str) -> None:
    done = run("completion", shell)
    assert done.returncode == 0
    assert "_EDGEKIT_COMPLETE" in done.stdout


def test_completion_knows_commands_and_targets(home: Path) -> None:
    def complete(*words: str) -> str:
        env = {**os.environ, "_EDGEKIT_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        return run(env=env).stdout

    assert "plain,deploy" in complete("edgekit", "dep")
    assert "plain,onnx,jetson\n" in complete("edgekit", "deploy", "--target", "onnx,jets")


PRINTS = """
import os, subprocess
def shout():
    print("CHATTER print")
    os.write(1, b"CHATTER write\\n")
    subprocess.run(["echo", "CHATTER child"], check=True)
shout()
"""


@pytest.fixture
def noisy(home: Path, tmp_path: Path) -> list[str]:
    """The arguments of a deploy whose user code writes to stdout in every way there is."""
    (tmp_path / "data.py").write_text(
        PRINTS
        + "import atexit\natexit.register(shout)\nimport numpy as np\ndef feeds():\n    shout()\n    for seed in range(50):\n"
        "        yield {'x': np.random.default_rng(seed).random((1, 1, 8, 8), np.float32)}\n"
    )
    (tmp_path / "ev.py").write_text(PRINTS + "def score(predict):\n    shout()\n    return 0.5\n")
    model = classifier(tmp_path / "model.onnx")
    return ["deploy", str(model), "--target", "onnx", "--calib", "data.py:feeds", "--eval", "ev.py:score", "-o", "out"]


def assert_chatter_on_stderr(done: subprocess.CompletedProcess[str]) -> None:
    for way in ("print", "write", "child"):
        assert f"CHATTER {way}" in done.stderr


def test_what_user_code_prints_does_not_touch_the_document(noisy: list[str]) -> None:
    done = run(*noisy, "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["target"] == "onnx"
    assert_chatter_on_stderr(done)
    Path("edgekit.toml").write_text("[deploy]\njson = true\nverbose = true\n")
    done = run(*noisy, "--dry-run")
    assert json.loads(done.stdout)["target"] == "onnx"
    assert_chatter_on_stderr(done)


def test_the_document_goes_to_a_file_too(noisy: list[str], tmp_path: Path) -> None:
    program = "import sys\nfrom edgekit.cli.main import main\nsys.exit(main())"
    with (tmp_path / "verdict.json").open("wb") as file:
        subprocess.run(
            [sys.executable, "-c", program, *noisy, "--dry-run", "--json"],
            stdout=file,
            stderr=subprocess.PIPE,
            timeout=60,
            check=True,
        )
    assert json.loads((tmp_path / "verdict.json").read_text())["target"] == "onnx"


def test_what_user_code_prints_does_not_touch_an_error_document(noisy: list[str]) -> None:
    done = run(*noisy, "--json")
    assert done.returncode == 4, done.stderr
    document = json.loads(done.stdout)
    assert "score(predict) returned no dict" in document["what"]
    assert_chatter_on_stderr(done)


def test_stdout_stays_empty_without_json(noisy: list[str]) -> None:
    done = run(*noisy, "--dry-run")
    assert (done.returncode, done.stdout) == (0, "")
    assert_chatter_on_stderr(done)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["targets"], ["targets", "--json"], ["--help"], ["completion", "bash"]])
def test_a_full_stdout_is_an_output_error(home: Path, arguments: list[str]) -> None:
    program = "import sys\nfrom edgekit.cli.main import main\nsys.exit(main())"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert done.returncode == 4
    assert done.stderr.splitlines()[:2] == ["edgekit: the output cannot be written", "  why: No space left on device"]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("arguments", [["targets"], ["targets", "--json"]])
@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_is_no_failure(home: Path, arguments: list[str], closed: str) -> None:
    shell = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", shell, "sh", sys.executable, "-m", "edgekit", *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == ("1>" not in closed)
    for log in (home / "state" / "logs").glob("*.log"):
        assert log.read_text() == ""  # it did not get the number of a closed stream


def test_a_file_that_looks_like_an_option_is_recognised(home: Path, tmp_path: Path) -> None:
    (tmp_path / "-dash.onnx").write_text("")
    done = run("deploy", "-dash.onnx")
    assert done.returncode == 2
    assert "./-dash.onnx" in done.stderr
    assert "./-dash.onnx" in json.loads(run("deploy", "-dash.onnx", "--json").stdout)["hint"]
    assert "./" not in run("deploy", "-dish.onnx").stderr
