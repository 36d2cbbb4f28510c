"""What a host may change on a device while it measures: the CPU governor, and a Jetson's power mode and clocks.

The agent puts back what was set before at every end: of the block, of the connection, and, when it is killed itself, at the next
connect.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import DeviceRunError, DeviceUnavailableError, UnknownNameError
from .connection import SETTINGS_S, Connection
from .text import clean


@dataclass(frozen=True)
class Setting:
    """A setting, and how to speak of it.

    Attributes:
        op: the agent's operation.
        thing, deed: what is changed, and what is done to it.
        option: of the command line, which asked for it.
        command: what the user there must be allowed to run for it.
    """

    op: str
    thing: str
    deed: str
    option: str
    command: str


GOVERNOR = Setting("governor", "governor", "be set to", "--governor", "run tee on that file")
POWER_MODE = Setting("power-mode", "power mode", "be set to", "--power-mode", "run nvpmodel")
CLOCKS = Setting("lock-clocks", "clocks", "be locked", "--lock-clocks", "run jetson_clocks")


@contextlib.contextmanager
def changed(connection: Connection, setting: Setting, name: str | None = None) -> Iterator[None]:
    """``setting`` changed while the block runs, under the lease; all that was set is put back at the end of the first such block.

    Args:
        name: what to set it to, where there is a choice.

    Raises:
        UnknownNameError: the device knows no such value; nothing has been changed then.
        DeviceRunError: it was refused, and nothing has been changed; or it could not be put back.
    """
    with connection.lease():
        fields = {} if name is None else {"name": name}
        answer = connection.ask(setting.op, fields, silence_s=SETTINGS_S)
        if "refused" in answer.fields:
            raise _refusal(connection.address, setting, name, answer.fields["refused"])
        try:
            yield
        except BaseException:
            if connection.usable:
                with contextlib.suppress(DeviceRunError, DeviceUnavailableError):  # the first problem is the one to tell
                    _put_back(connection)
            raise
        _put_back(connection)


def _put_back(connection: Connection) -> None:
    answer = connection.ask("governor", {"name": None}, silence_s=SETTINGS_S)  # puts back the other settings as well
    problems = [clean(line, 400) for line in list(answer.fields.get("problems") or [])[:10]]
    if problems:
        raise DeviceRunError(
            f"what was set on {connection.address} could not be put back",
            why="; ".join(problems),
            hint="the agent tries again at the next connect",
        )


def _refusal(
    address: str, setting: Setting, name: str | None, refused: Mapping[str, Any]
) -> DeviceRunError | UnknownNameError:  # fmt: skip
    kind = refused.get("kind")
    if kind == "unknown" and name is not None:
        return UnknownNameError(setting.thing, name, [clean(known, 40) for known in list(refused.get("available") or [])[:64]])
    hint = f"leave {setting.option} out"
    if kind == "denied":
        hint = f'let the user there {setting.command} by sudo, and give this device become = ["sudo", "-n"]; or {hint}'
    elif kind == "restart":
        hint = f"set it by hand and restart the device, then deploy without {setting.option}"
    deed = setting.deed if name is None else f"{setting.deed} {name}"
    return DeviceRunError(f"the {setting.thing} of {address} cannot {deed}", why=clean(refused.get("message"), 400), hint=hint)
