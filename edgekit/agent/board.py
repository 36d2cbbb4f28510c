"""Which board this is, and whether it stands in for another one. Readers of a root folder, so that tests build any board's tree."""

from __future__ import annotations

import os
import subprocess
from typing import Callable, Dict, List, NamedTuple, Optional

from .memory import read_text

STAND_IN_FILE = "etc/edgekit-stand-in"
STAND_IN_VARIABLE = "EDGEKIT_STAND_IN"
GETPROP = "/system/bin/getprop"
_MAX_CHARACTERS = 200
_MAX_IDS = 16
_NO_NAMES = ("", "default string", "system product name", "to be filled by o.e.m.", "none", "not specified", "unknown")


class Board(NamedTuple):
    """``name`` for people, ``None`` where nothing tells it; ``ids`` are what drivers go by, most special first."""

    name: Optional[str]
    ids: List[str]


def read_board(root: str = "/", getprop: Optional[Callable[[str], str]] = None) -> Board:
    """The board's name from the first source that has one: the device tree (ARM), Android's properties, DMI (PCs).

    Args:
        root: where ``/`` is.
        getprop: reads one Android property; ``None``: not Android.
    """
    for found in (_device_tree(root), _android(getprop), _dmi(root)):
        if found.name or found.ids:
            return found
    return Board(None, [])


def _device_tree(root: str) -> Board:
    """``model`` is one text, ``compatible`` several; both end with NUL (Devicetree Specification, 2.3)."""
    folder = os.path.join(root, "proc/device-tree")
    name = read_text(os.path.join(folder, "model"), 4096).strip("\0\n ")
    ids = [text.strip() for text in read_text(os.path.join(folder, "compatible"), 4096).split("\0")]
    return Board(name[:_MAX_CHARACTERS] or None, [text[:_MAX_CHARACTERS] for text in ids if text][:_MAX_IDS])


def _android(getprop: Optional[Callable[[str], str]]) -> Board:
    if getprop is None:
        return Board(None, [])
    maker, model = getprop("ro.product.manufacturer"), getprop("ro.product.model")
    name = model if model.lower().startswith(maker.lower()) else "%s %s" % (maker, model)
    ids = [getprop(key) for key in ("ro.product.device", "ro.soc.model", "ro.board.platform")]
    return Board(name.strip()[:_MAX_CHARACTERS] or None, [text[:_MAX_CHARACTERS] for text in ids if text])


def android_property(name: str) -> str:
    """One property of Android's; empty where there is none. Its files are not for users, so the system's own program reads it."""
    try:
        done = subprocess.run([GETPROP, name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[:1024].decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def _dmi(root: str) -> Board:
    folder = os.path.join(root, "sys/class/dmi/id")
    texts: Dict[str, str] = {}
    for key in ("sys_vendor", "product_name", "board_vendor", "board_name"):
        text = read_text(os.path.join(folder, key), _MAX_CHARACTERS).strip()
        texts[key] = "" if text.lower() in _NO_NAMES else text
    product = ("%s %s" % (texts["sys_vendor"], texts["product_name"])).strip() if texts["product_name"] else ""
    board = ("%s %s" % (texts["board_vendor"], texts["board_name"])).strip() if texts["board_name"] else ""
    return Board(product or board or None, [text for text in (product, board) if text])


def facts_root() -> str:
    """Where ``/`` is for a board's facts: elsewhere only on a stand-in, whose variable names a folder with that board's files."""
    folder = os.environ.get(STAND_IN_VARIABLE, "")
    return folder if folder.startswith("/") and os.path.isdir(folder) else "/"


def stand_in_sign(root: str = "/") -> Optional[str]:
    """What says that this device stands in for another one: a file that its owner made, or the environment of the agent."""
    if os.environ.get(STAND_IN_VARIABLE, "") not in ("", "0"):
        return "%s is set" % STAND_IN_VARIABLE
    path = os.path.join(root, STAND_IN_FILE)
    return "there is a file /%s" % STAND_IN_FILE if os.path.lexists(path) else None
