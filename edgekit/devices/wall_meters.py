"""Plugs that measure what a whole device takes at the wall, read over the network by this machine, never by the device.

Shelly (generation 2 and later, https://shelly-api-docs.shelly.cloud/gen2/ComponentsAndServices/Switch): ``apower`` in W of
``/rpc/Switch.GetStatus?id=0``. Tasmota (https://tasmota.github.io/docs/Commands): ``Power`` in W of ``/cm?cmnd=status%208``. Both
are renewed about once a second. The address comes from the user's own ``devices.toml`` and must be of a private network; nothing
follows a redirection or a proxy.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import math
import socket
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from ..agent.meters import Meter, MeterError, Rail

_PERIOD_S = 1.0
_RESOLUTION_W = 0.1
_TIMEOUT_S = 2.0
_MAX_BYTES = 1 << 16
_SCOPE = "whole device at the wall"


def shelly_watts(text: str) -> float:
    """The power in the answer of ``Switch.GetStatus``.

    Raises:
        MeterError: it is not such an answer, or the plug does not measure.
    """
    return _number(_object(text).get("apower"), "apower")


def tasmota_watts(text: str) -> float:
    """The power in the answer of ``status 8``; of several outlets, their sum.

    Raises:
        MeterError: it is not such an answer, or the plug does not measure.
    """
    found: Any = _object(text)
    for name in ("StatusSNS", "ENERGY"):
        found = found.get(name) if isinstance(found, dict) else None
    power = found.get("Power") if isinstance(found, dict) else None
    if isinstance(power, list) and power:
        return sum(_number(each, "Power") for each in power[:16])
    return _number(power, "StatusSNS.ENERGY.Power")


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise MeterError(f"the plug's answer is not JSON: {text[:60]!r}") from problem
    if not isinstance(value, dict):
        raise MeterError(f"the plug's answer is not an object: {text[:60]!r}")
    return value


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 1e6:
        raise MeterError(f"the plug gives no {name}: {str(value)[:60]!r}")
    return float(value)


KINDS: dict[str, tuple[str, Callable[[str], float]]] = {
    "shelly": ("/rpc/Switch.GetStatus?id=0", shelly_watts),
    "tasmota": ("/cm?cmnd=status%208", tasmota_watts),
}


class WallMeter(Meter):
    """One plug. ``url``: ``http://HOST[:PORT]``, checked by :func:`edgekit.devices.meters.parse_meter`."""

    def __init__(self, kind: str, url: str) -> None:
        super().__init__([Rail("wall", "device")], ["wall"], _SCOPE, period_s=_PERIOD_S, resolution=_RESOLUTION_W)
        self.name = kind
        path, self._parse = KINDS[kind]
        self._host = urllib.parse.urlsplit(url).hostname or ""
        self._url = url.rstrip("/") + path
        self._opener = _plain_http()

    def start(self) -> None:
        """Checks where the name leads, and that the plug answers.

        Raises:
            MeterError: not to a private network, or it does not answer.
        """
        try:
            found = {str(each[4][0]) for each in socket.getaddrinfo(self._host, None)}
        except OSError as problem:
            raise MeterError(f"{self._host} is not known: {problem}") from problem
        for address in found:
            if not is_private(address):
                raise MeterError(f"{self._host} is {address}, which is not an address of a private network")
        self.read()

    def read(self) -> dict[str, float]:
        try:
            with self._opener.open(self._url, timeout=_TIMEOUT_S) as answer:
                text = answer.read(_MAX_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError, http.client.HTTPException) as problem:  # URLError is an OSError
            raise MeterError(f"{self._url}: {problem}") from problem
        return {"wall": self._parse(text)}


def is_private(address: str) -> bool:
    """Whether an IP address is of a private or link-local network, or of this machine."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return parsed.is_private or parsed.is_link_local or parsed.is_loopback


def _plain_http() -> urllib.request.OpenerDirector:
    """HTTP and nothing else: no redirection, no proxy of the environment, no other scheme."""
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.HTTPHandler(), urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    return opener
