"""``devices.toml``: the devices that this user has named, in the user's own configuration folder and nowhere else.

``python`` and ``become`` are programs that will be run, so a file that another user could have written is refused, and so is text
that could be more than the name of a program. The file is read by people, but edgekit writes it: comments in it are not kept.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DependencyError, UnknownNameError, UsageError
from ..state import config_dir, locked, private_dir, write_file

SCHEMA = 1
FILE_NAME = "devices.toml"
LOCAL = "local"
MAX_BYTES = 1 << 20
_HEADER = "# The devices of `edgekit devices`. It rewrites this file: comments are not kept.\n"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PROFILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_PYTHON = re.compile(r"[A-Za-z0-9_./-]{1,256}")
_WORD = re.compile(r"[A-Za-z0-9_./:@%+=-]{1,256}")
_SSH = re.compile(
    r"ssh://(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?(?:\[[0-9A-Fa-f:.%A-Za-z]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*)(?::(?P<port>[0-9]{1,5}))?/?"
)
_MAX_WORDS = 8


@dataclass(frozen=True)
class DeviceEntry:
    """What ``devices.toml`` says of one device; every value has been checked.

    Attributes:
        address: ``ssh://[user@]host[:port]`` or ``local``.
        profile: name or alias of the device profile that stands for it; ``None``: the closest one to what its probe says.
        python: interpreter of the agent there; ``None``: ``python3``, on this machine the one that runs edgekit.
        labels: what ``--device label:key=value`` selects by.
        meter: an energy meter that the agent cannot find by itself, such as a plug's address.
        become: put before a privileged command of the agent's fixed list, for example ``("sudo", "-n")``; empty: none is run.
    """

    address: str
    profile: str | None = None
    python: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    meter: str | None = None
    become: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_address(self.address)
        if self.profile is not None:
            _require(_PROFILE, self.profile, "profile", "the name of a device profile; `edgekit targets` lists them")
        if self.python is not None:
            _require(_PYTHON, self.python, "python", "a program's name or path of letters, digits and _ . / -")
        for key, value in self.labels.items():
            for text in (key, value):
                _require(_LABEL, text, "label", "key=value, both of letters, digits and _ . -")
        if self.meter is not None and not (self.meter.isprintable() and 0 < len(self.meter) <= 200):
            raise UsageError(f"meter {self.meter!r} cannot be kept", hint="give one line of at most 200 characters")
        if len(self.become) > _MAX_WORDS:
            raise UsageError(f"become has {len(self.become)} words", hint='give a program with its options, such as "sudo -n"')
        for word in self.become:
            _require(_WORD, word, "become", 'a program with its options, such as "sudo -n": no shell, no quotes')


def _require(pattern: re.Pattern[str], text: object, what: str, hint: str) -> None:
    if not isinstance(text, str) or pattern.fullmatch(text) is None:
        raise UsageError(f"{what} {text!r} is not understood", hint=f"give {hint}")


def check_name(name: str, address: str) -> None:
    """Refuses what could not be told from an address, a list or a label, and another device under this machine's name.

    Raises:
        UsageError: it is not a name for a device with that address.
    """
    _require(_NAME, name, "device name", "letters, digits and _ . -, such as lab-pi5")
    if name == LOCAL and address != LOCAL:
        raise UsageError(f"the name {LOCAL!r} is this machine's", hint="choose another name")


def check_address(address: object) -> None:
    """Whether a device can be reached by such an address at all; nothing is contacted.

    Raises:
        DependencyError: a kind of address that this version cannot reach yet.
        UsageError: it is no address; a password has no place in one.
    """
    if isinstance(address, str) and address.partition(":")[0] == "adb":
        raise DependencyError(
            "devices over adb are not supported yet",
            why=f"{address} needs a transport that does not exist yet",
            hint="run edgekit on the device itself with --device local, or leave --device out to build only",
        )
    found = _SSH.fullmatch(address) if isinstance(address, str) else None
    if address != LOCAL and (found is None or not 0 < int(found["port"] or 22) < 1 << 16):
        raise UsageError(
            f"{address!r} is not the address of a device",
            hint="write ssh://[user@]host[:port], host being a name, a number or an alias of ~/.ssh/config",
        )


def store_path() -> Path:
    """Where ``devices.toml`` lies; a link of the user's to somewhere else is followed."""
    return (config_dir() / FILE_NAME).resolve()


def load_entries() -> dict[str, DeviceEntry]:
    """All devices of ``devices.toml`` by name, in the order of the file; empty where there is no file.

    Raises:
        UsageError: unreadable, not TOML, an unknown key, a value that is not what it should be, or a file that others may write.
    """
    path = store_path()
    document = _read(path)
    if document is None:
        return {}
    for key in document:
        if key not in ("schema", "devices"):
            raise UnknownNameError(f"key in {path}", key, ["schema", "devices"])
    if document.get("schema") != SCHEMA:
        raise UsageError(f"{path} has schema {document.get('schema')!r}", why=f"this edgekit reads schema {SCHEMA}")
    tables = document.get("devices", {})
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise UsageError(f"devices in {path} are not sections", hint="write [devices.NAME] on a line of its own")
    entries = {}
    for name, table in tables.items():
        try:
            entries[name] = _entry(table)
            check_name(name, entries[name].address)
        except (UsageError, DependencyError) as problem:
            raise UsageError(f"device {name!r} in {path}: {problem.what}", why=problem.why, hint=problem.hint) from problem
    return entries


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as stream:
            there = os.fstat(stream.fileno())
            if there.st_uid not in (os.getuid(), 0) or stat.S_IMODE(there.st_mode) & 0o022:
                raise UsageError(
                    f"{path} could have been written by others",
                    why="it names programs that edgekit runs",
                    hint=f"read it, then: chown {os.getuid()} {path}; chmod 600 {path}",
                )
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise UsageError(f"cannot read {path}", why=problem.strerror or str(problem)) from problem
    if len(data) > MAX_BYTES:
        raise UsageError(f"{path} is over {MAX_BYTES} bytes")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as problem:
        raise UsageError(f"{path} is not valid TOML", why=str(problem)) from problem


_KEYS: dict[str, type] = {"address": str, "profile": str, "python": str, "labels": dict, "meter": str, "become": list}


def _entry(table: dict[str, Any]) -> DeviceEntry:
    for key, value in table.items():
        if key not in _KEYS:
            raise UnknownNameError("key", key, list(_KEYS))
        if not isinstance(value, _KEYS[key]):
            raise UsageError(f"{key} has the wrong type", why=f"it is {value!r}")
    if "address" not in table:
        raise UsageError("there is no address", hint='write address = "ssh://user@host"')
    return DeviceEntry(**{**table, "become": tuple(table.get("become", ()))})


def save_entry(name: str, entry: DeviceEntry, *, replace: bool = False) -> None:
    """Keep ``entry`` under ``name``.

    Raises:
        UsageError: no name for a device, or it is taken and ``replace`` was not asked for.
        OutputError: the file cannot be written.
    """
    check_name(name, entry.address)
    with locked(_lock_path()):
        entries = load_entries()
        if name in entries and not replace:
            raise UsageError(
                f"there is a device {name!r} already",
                why=f"it is {entries[name].address}",
                hint="--update changes what is given and keeps the rest",
            )
        _write({**entries, name: entry})


def remove_entry(name: str) -> DeviceEntry:
    """Forget the device called ``name``; returns what was kept of it.

    Raises:
        UnknownNameError: there is none.
        OutputError: the file cannot be written.
    """
    with locked(_lock_path()):
        entries = load_entries()
        if name not in entries:
            raise UnknownNameError("device", name, list(entries))
        removed = entries.pop(name)
        _write(entries)
    return removed


def _lock_path() -> Path:
    return private_dir(config_dir()) / f".{FILE_NAME}.lock"


def _write(entries: Mapping[str, DeviceEntry]) -> None:
    write_file(store_path(), to_toml(entries).encode(), mode=0o600)


def to_toml(entries: Mapping[str, DeviceEntry]) -> str:
    """The text of ``devices.toml``. JSON's texts and lists of texts are TOML's too: no value holds a control character."""
    lines = [_HEADER, f"schema = {SCHEMA}\n"]
    for name, entry in entries.items():
        lines.append(f"\n[devices.{json.dumps(name)}]\n")
        values = {"address": entry.address, "profile": entry.profile, "python": entry.python, "meter": entry.meter}
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items() if value is not None]
        if entry.become:
            lines.append(f"become = {json.dumps(entry.become)}\n")
        if entry.labels:
            labels = ", ".join(f"{json.dumps(key)} = {json.dumps(value)}" for key, value in entry.labels.items())
            lines.append(f"labels = {{ {labels} }}\n")
    return "".join(lines)
