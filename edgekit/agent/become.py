"""Privileged commands: a fixed list. The agent never escalates by itself.

``become`` is a prefix such as ``sudo -n`` that the user's own configuration on the host gives for this device. What runs behind it
is one of the argument lists below with values that were checked; no shell is involved, and nothing is asked on a terminal.
"""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any, List, Sequence

from .errors import AgentError

TEE = "/usr/bin/tee"
GOVERNOR_FILE = re.compile(r"/sys/devices/system/cpu/(cpufreq/policy[0-9]{1,4}|cpu[0-9]{1,4}/cpufreq)/scaling_governor\Z")
GOVERNOR_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")
MODE_NUMBER = re.compile(r"[0-9]{1,3}\Z")
#: Where jetson_clocks keeps what it found. ``--restore`` writes whatever stands in that file, as root: it must lie where only root
#: can write. A restart empties this folder and frees the clocks alike.
STORED_CLOCKS = "run/edgekit-clocks.conf"
_MAX_WORDS = 8
_MAX_CHARACTERS = 256
_TIMEOUT_S = 5.0
_MODE_TIMEOUT_S = 30.0  # nvpmodel switches cores off and on
_CLOCKS_TIMEOUT_S = 30.0


def checked_prefix(value: Any) -> List[str]:
    """``value`` as a prefix of arguments; empty: nothing is run with other rights.

    Raises:
        AgentError: ``protocol``.
    """
    words: List[str] = [word for word in value if isinstance(word, str) and 0 < len(word) <= _MAX_CHARACTERS]
    if len(words) != len(value) or len(words) > _MAX_WORDS or isinstance(value, (str, dict)):
        raise AgentError("protocol", "become is a list of at most %d words" % _MAX_WORDS)
    return words


def governor_command(path: str, name: str) -> List[str]:
    """Arguments that write their input, ``name``, to a governor's file.

    Raises:
        AgentError: ``protocol`` for any other file or what is no governor's name.
    """
    if not GOVERNOR_FILE.match(path) or not GOVERNOR_NAME.match(name):
        raise AgentError("protocol", "not a governor's file and name: %.200r, %.80r" % (path, name))
    return [TEE, path]


def write_governor(become: Sequence[str], path: str, name: str) -> str:
    """Write ``name`` to ``path`` with the rights that ``become`` gives. Returns why it failed; empty when it did not."""
    command = [*become, *governor_command(path, name)]
    try:
        done = subprocess.run(
            command, input=name.encode(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return "%s: %s" % (" ".join(command), problem)
    said = done.stderr.decode("utf-8", "replace").strip()[-300:]
    return "" if done.returncode == 0 else "%s ended with %d: %s" % (" ".join(command), done.returncode, said)


def set_power_mode(become: Sequence[str], program: str, number: str) -> str:
    """``nvpmodel -m NUMBER`` with the rights that ``become`` gives, with "no" for its question whether to restart the device.

    Returns:
        What it printed.

    Raises:
        AgentError: ``protocol`` for what is no number.
        OSError: it cannot be run.
    """
    if not MODE_NUMBER.match(number):
        raise AgentError("protocol", "not a power mode's number: %.80r" % number)
    try:
        done = subprocess.run(
            [*become, program, "-m", number], input=b"NO\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=_MODE_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as problem:
        raise OSError("nvpmodel -m %s does not end" % number) from problem
    return done.stdout.decode("utf-8", "replace").strip()[-600:]


def clocks_command(action: str, root: str) -> List[str]:
    """Arguments for jetson_clocks: ``store`` what is set now, ``lock`` every clock at its highest, ``restore`` what was stored.

    Raises:
        AgentError: ``protocol`` for anything else.
    """
    stored = os.path.join(root, STORED_CLOCKS)
    known = {"store": ["--store", stored], "lock": [], "restore": ["--restore", stored]}
    if action not in known:
        raise AgentError("protocol", "not an action of jetson_clocks: %.80r" % action)
    return known[action]


def run_clocks(become: Sequence[str], program: str, action: str, root: str) -> str:
    """jetson_clocks with the rights that ``become`` gives, and "yes" for its question whether to replace an old stored file.

    Returns:
        Why it failed; empty when it says that it did not.
    """
    command = [*become, program, *clocks_command(action, root)]
    try:
        done = subprocess.run(
            command, input=b"y\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_CLOCKS_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        return "%s: %s" % (" ".join(command), problem)
    said = done.stdout.decode("utf-8", "replace").strip()[-300:]
    return "" if done.returncode == 0 else "%s ended with %d: %s" % (" ".join(command), done.returncode, said)
