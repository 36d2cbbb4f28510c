"""The power mode of a Jetson (nvpmodel) and the lock of its clocks: set only when asked, put back at every end of a session.

The mode says how many cores there are and how high the clocks may go, and outlasts a restart of the device; so does its entry in
the restore journal. A mode that needs a restart is refused: nobody's device is restarted. Locked clocks are free again after one.
"""

from __future__ import annotations

from typing import Dict

from . import clock_lock
from .become import set_power_mode
from .governor import Governor, Refusal
from .jetson import NVPMODEL, current_mode, known_modes
from .journal import UNREAD
from .meters.program import find_program

SETTING = "nvpmodel"  # in the journal, where a governor has its file


class Controls(Governor):
    """All that a session may set on this device: its governor, its power mode and its clocks, in one journal."""

    def set_power_mode(self, name: str) -> Dict[str, str]:
        """Set the mode called ``name`` (or of that number). Returns ``{"before", "after"}``, both by name.

        Raises:
            Refusal: it is what it was then.
            AgentError: ``disk``: the journal cannot be written, so nothing was changed.
        """
        modes = known_modes(self._root)
        before, why = current_mode(self._root)
        if before is None:
            raise Refusal("none", why)
        wanted = {text.lower(): number for number, text in modes.items()}
        number = wanted.get(name.lower()) or (name if name in modes else None)
        if number is None:
            raise Refusal("unknown", "this device has no power mode %.40r" % name, list(modes.values()))
        if number != before:
            with self._lock:
                self._journal.note(SETTING, before, number, outlasts_restart=True)
                problem = self._write(SETTING, number)
                if problem:
                    self._journal.undo(self._read, self._write)
                    raise Refusal("restart" if "restart" in problem else "denied", problem, list(modes.values()))
        return {"before": modes.get(before, before), "after": modes.get(number, number)}

    def lock_clocks(self) -> Dict[str, str]:
        """Lock every clock at the highest that the power mode allows. Returns ``{"before", "after"}``: locked or unlocked.

        Raises:
            Refusal: it is what it was then.
            AgentError: ``disk``: the journal cannot be written, so nothing was changed.
        """
        before, why = clock_lock.lock_state(self._root, self._become)
        if before is None:
            raise Refusal("denied" if clock_lock.is_there(self._root) else "none", why)
        if before == clock_lock.UNLOCKED:  # otherwise what would be stored is the lock, and the way back would be lost
            with self._lock:
                problem = clock_lock.store(self._root, self._become)
                if problem:
                    raise Refusal("denied", problem)
                self._journal.note(clock_lock.SETTING, before, clock_lock.LOCKED)
                problem = self._write(clock_lock.SETTING, clock_lock.LOCKED)
                if problem:
                    clock_lock.change(self._root, self._become, before)  # a half-made lock does not look like one to the journal
                    self._journal.undo(self._read, self._write)
                    raise Refusal("denied", problem)
        return {"before": before, "after": clock_lock.LOCKED}

    def _is_ours(self, path: str) -> bool:
        return path in (SETTING, clock_lock.SETTING) or super()._is_ours(path)

    def _read(self, path: str) -> str:
        if path == clock_lock.SETTING:  # unread they count as locked by us still: the way back is tried, and its failure told
            return clock_lock.lock_state(self._root, self._become)[0] or clock_lock.LOCKED
        return current_mode(self._root)[0] or UNREAD if path == SETTING else super()._read(path)

    def _write(self, path: str, name: str) -> str:
        if path == clock_lock.SETTING:
            return clock_lock.change(self._root, self._become, name)
        if path != SETTING:
            return super()._write(path, name)
        program = find_program(self._root, NVPMODEL)
        if program is None:
            return "there is no nvpmodel on this device"
        try:
            said = set_power_mode(self._become, program, name)
        except OSError as problem:
            return "%s: %s" % (program, problem)
        if self._read(SETTING) == name:
            return ""
        if "reboot required" in said.lower():
            return "power mode %s needs a restart of the device, which edgekit never does" % name
        return "nvpmodel -m %s was refused: %s" % (name, said or "it says nothing")
