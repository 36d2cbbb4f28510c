"""Compiling the wrapper with the JDK that is there, against stubs: neither the Android SDK nor a runtime is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from ...errors import DependencyError, EdgekitError
from ...state import work_folder

TIMEOUT_S = 120


def find_javac() -> str:
    """The Java compiler of ``JAVA_HOME``, or else of the PATH.

    Raises:
        DependencyError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("javac", path=str(Path(home) / "bin")) if home else None
    found = found or shutil.which("javac")
    if found is None:
        raise DependencyError(
            "javac is not found",
            why="an AAR holds compiled classes",
            hint="install a JDK, 11 or newer, or give --sources-only: the source module is compiled by the app's own build",
        )
    return found


def compile_wrapper(sources: Mapping[str, str]) -> dict[str, bytes]:
    """{path of a class file: its bytes} of the Java 8 classes in ``sources``; the same sources and JDK give the same bytes.

    Raises:
        DependencyError: there is no JDK, or it does not answer.
        EdgekitError: generated code does not compile, which is a bug of edgekit's.
    """
    javac = find_javac()
    with work_folder() as scratch, resources.as_file(resources.files(__package__).joinpath("stubs")) as stubs:
        for name, text in sources.items():
            path = scratch / "java" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        (scratch / "classes").mkdir()
        command = [
            javac,
            "-J-XX:TieredStopAtLevel=1",  # it runs for a second: the quick compiler is enough
            "--release", "8",
            "-encoding", "UTF-8",
            "-g:source,lines",
            "-proc:none",
            "-implicit:none",
            "-Xlint:all,-options,-serial",
            "-Werror",
            "-sourcepath", str(stubs),
            "-d", str(scratch / "classes"),
            *sorted(str(scratch / "java" / name) for name in sources),
        ]  # fmt: skip
        _run(command, scratch)
        classes = sorted(path for path in (scratch / "classes").rglob("*.class"))
        return {path.relative_to(scratch / "classes").as_posix(): path.read_bytes() for path in classes}


def _run(command: list[str], scratch: Path) -> None:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("JDK_JAVAC_OPTIONS", "JAVA_TOOL_OPTIONS", "CLASSPATH")
    }
    try:
        done = subprocess.run(
            command,
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise DependencyError("javac does not run", why=str(problem)[:300], hint="try: javac -version") from problem
    if done.returncode != 0:
        text = (done.stderr or done.stdout).replace(f"{scratch}/", "")
        if "release version 8 not supported" in text or "invalid flag: --release" in text:
            raise DependencyError("this JDK does not compile for Java 8", why=text[:300], hint="use JDK 11, 17 or 21")
        raise EdgekitError(
            "the generated wrapper does not compile", why=text[:2000], hint="please report it; --sources-only goes on"
        )
