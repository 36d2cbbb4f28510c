"""Names of supply rails on NVIDIA Jetson boards, shared by the three ways to read them.

The totals are those that NVIDIA names as the input of the module or of the board (Jetson Linux Developer Guide, "Platform Power and
Performance"): VDD_IN on Orin Nano, Orin NX and Xavier NX, POM_5V_IN on Nano, VIN on Thor. AGX Orin and AGX Xavier have no such
rail, and which of theirs feed one another is not the same on every board, so nothing is added up there unless the user says what.
"""

from __future__ import annotations

from typing import List, Sequence, Tuple

from .base import Rail, names_of

TOTALS = {"VDD_IN": "module", "POM_5V_IN": "module", "VIN": "board"}


def rail(name: str) -> Rail:
    return Rail(name, TOTALS.get(name, "rail"))


def total_of(rails: Sequence[Rail]) -> Tuple[List[str], str]:
    """The rail that holds all others, and its scope; nothing where there is none."""
    for name, scope in TOTALS.items():
        if name in names_of(rails):
            return [name], "%s (%s)" % (scope, name)
    return [], ""
