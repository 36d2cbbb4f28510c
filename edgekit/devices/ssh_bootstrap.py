"""The first words with a device over SSH: from one constant command to a running agent.

``COMMAND`` reads the bootstrap's own text (edgekit/agent/bootstrap.py) from standard input, so that nothing of it depends on how
the user's login shell quotes. The agent itself is sent only where it is not there yet.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from ..errors import DeviceRunError, DeviceUnavailableError, EdgekitError, IntegrityError
from .ssh_pipes import SshPipes
from .text import clean

# Understood by Python 2 as well, by any login shell (no "!", no line end, no backslash), and the same every time.
COMMAND = (
    "exec {python} -c 'import sys; "
    'sys.version_info >= (3, 8) or sys.exit("edgekit needs Python 3.8 or later, this is %d.%d" % sys.version_info[:2]); '
    "exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))'"
)
_TOO_OLD = "edgekit needs Python 3.8 or later, this is "
_MAX_NOISE_BYTES = 1 << 20
_LAST_WORDS_BYTES = 4000
_EXIT_WAIT_S = 5.0


def start_agent(
    pipes: SshPipes, zipapp: Path, *, place: str, python: str, remote: Callable[[str], str], answer_s: float, stall_s: float
) -> None:  # fmt: skip
    """Make the remote interpreter become the agent; its banner comes next.

    Args:
        pipes: of ``COMMAND``.
        place: for messages.
        remote: the command line that runs a command there, for hints.
        answer_s, stall_s: longest wait for the first word, and for the word after the agent was sent.

    Raises:
        DeviceUnavailableError: no Python, one too old, or no answer.
        DeviceRunError: no room for the agent.
        IntegrityError: what lies in its place there is not this user's, or it arrived damaged.
    """
    agent = zipapp.read_bytes()
    text = (resources.files("edgekit") / "agent" / "bootstrap.py").read_bytes() + b"\nmain()\n"
    nonce = secrets.token_hex(16)
    request = json.dumps({"nonce": nonce, "sha256": hashlib.sha256(agent).hexdigest(), "size": len(agent)}).encode()
    listener = _Listener(pipes, nonce)
    try:
        _send(pipes, b"%d\n%s%s\n" % (len(text), text, request))
        word, rest = listener.answer(answer_s)
        if word == "need":
            _send(pipes, agent)
            word, rest = listener.answer(stall_s)
    except TimeoutError as problem:
        raise DeviceUnavailableError(
            f"{python} on {place} did not answer in time",
            why="the connection stands, but the command gives no sign",
            hint=f"see what it does: {remote(f'{python} --version')}",
        ) from problem
    except EOFError as problem:
        raise _no_python(pipes, listener.noise, place, python, remote) from problem
    if word == "failed":
        raise _failed(rest, place)


def _send(pipes: SshPipes, data: bytes) -> None:
    view = memoryview(data)
    try:
        while view:
            view = view[pipes.stdin.write(view) :]
    except BrokenPipeError:
        return  # what the other side said before it went is read next


class _Listener:
    """Finds the bootstrap's answers among what login scripts print."""

    def __init__(self, pipes: SshPipes, nonce: str) -> None:
        self.noise = b""
        self._pipes = pipes
        self._mark = b"edgekit-bootstrap %s " % nonce.encode()

    def answer(self, timeout_s: float) -> tuple[str, str]:
        """The next answer: its word and the rest.

        Raises:
            TimeoutError: none came.
            EOFError: none will come.
        """
        give_up = time.monotonic() + timeout_s
        line = b""
        while len(self.noise) < _MAX_NOISE_BYTES:
            some = self._pipes.read_some(1, max(0.0, give_up - time.monotonic()))  # no byte of what follows the answer is taken
            if not some:
                break
            line += some
            if some != b"\n":
                continue
            if line.startswith(self._mark):
                word, _, rest = line[len(self._mark) :].decode("utf-8", "replace").strip().partition(" ")
                return word, rest
            self.noise += line
            line = b""
        self.noise += line
        raise EOFError


def _failed(rest: str, place: str) -> EdgekitError:
    kind, _, message = rest.partition(" ")
    try:
        why = clean(json.loads(message), 500)
    except ValueError:
        why = clean(message, 500)
    if kind == "integrity":
        return IntegrityError(f"the agent cannot be kept on {place}", why=why)
    hint = "free some space there" if "available" in why else ""
    return DeviceRunError(f"the agent cannot be stored on {place}", why=why, hint=hint)


def _no_python(pipes: SshPipes, noise: bytes, place: str, python: str, remote: Callable[[str], str]) -> DeviceUnavailableError:
    """What the end of the command, its exit status and its last words mean."""
    status = pipes.wait(_EXIT_WAIT_S)
    said = ""
    while len(said) < _LAST_WORDS_BYTES and (some := pipes.stderr.read(_LAST_WORDS_BYTES)):
        said += some.decode("utf-8", "replace")
    name = python.rpartition("/")[2]
    if _TOO_OLD in said:
        version = clean(said.partition(_TOO_OLD)[2].split("\n")[0], 20)
        return DeviceUnavailableError(
            f"{python} on {place} is Python {version}; edgekit's agent needs 3.8 or later",
            hint=f'install one beside it: {remote("sudo apt-get install -y python3.8")}; then name it: python = "python3.8"',
        )
    if status in (126, 127) or "not found" in said.lower() or "no such file" in said.lower():
        return DeviceUnavailableError(
            f"there is no {python} on {place}",
            why=clean(said.strip()[-300:], 300),
            hint=f"install it: {remote('sudo apt-get install -y python3')}, or name the one to use (its `python` setting)"
            if name.startswith("python")
            else "name a Python 3.8 or later that is there (its `python` setting)",
        )
    last = clean((said.strip() or noise.decode("utf-8", "replace").strip())[-400:], 400)
    return DeviceUnavailableError(
        f"the agent did not start on {place}",
        why=f"the command ended with exit status {status}" + (f" and had printed: {last}" if last else ""),
        hint=f"see what it does: {remote(f'{python} --version')}",
    )
