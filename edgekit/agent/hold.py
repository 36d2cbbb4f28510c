"""Holding the device: the lease, and what is changed on the device while it is held."""

from __future__ import annotations

import sys
from typing import Any, Callable, Dict, List, Optional

from .board import facts_root
from .errors import AgentError
from .files import guest_home
from .frames import Frame
from .governor import Refusal
from .host import Answer
from .lease import Lease
from .power_mode import Controls


class Hold:
    """One session's hold on the device.

    Args:
        name: of the session, for the restore journal.
    """

    def __init__(self, name: str) -> None:
        self.become: List[str] = []
        self._name = name
        self._lease = Lease()
        self._controls: Optional[Controls] = None

    def may_run(self, become: List[str]) -> List[str]:
        """Settings may be changed from now on, with ``become`` before the commands. Returns what was repaired."""
        self.become = become
        self._controls = Controls(guest_home(), self._name, become, facts_root())
        return self._repair(self._controls)

    def need(self) -> None:
        """Raises AgentError unless the lease is held."""
        if not self._lease.held:
            raise AgentError("no-lease", "take the lease first")

    def restore(self) -> None:
        """Put back what was set. What cannot be put back stays in the journal, for the next guardian."""
        if self._controls is None:
            return
        for problem in self._controls.restore():
            print("edgekit agent: not restored: %s" % problem, file=sys.stderr)

    def release(self) -> None:
        self._lease.release()

    def _repair(self, controls: Controls) -> List[str]:
        """Put back what killed guardians have left changed; later, when the lease is taken, if somebody measures now."""
        if not controls.has_leftovers:
            return []
        was_held = self._lease.held
        try:
            self._lease.acquire("putting back what a broken-off session had changed")
        except AgentError:
            return []
        try:
            said = controls.repair()
        except AgentError as problem:  # the journal's folder is not what it should be: no reason not to serve
            said = [str(problem)]
        finally:
            if not was_held:
                self._lease.release()
        for line in said:
            print("edgekit agent: %s" % line, file=sys.stderr)
        return said

    # ------------------------------------------------------------ operations
    def lease(self, frame: Frame) -> Answer:
        if frame.fields["hold"]:
            self._lease.acquire(str(frame.fields.get("purpose", "")))
            if self._controls is not None:
                self._repair(self._controls)
        else:
            self.restore()
            self._lease.release()
        return {"held": self._lease.held}, b""

    def set_governor(self, frame: Frame) -> Answer:
        """Set the governor until the lease is released, whichever way that happens; ``null`` puts all that was set back now."""
        name = frame.fields["name"]
        if name is None:
            return {"problems": self._needed_controls().restore()}, b""
        return self._changed(lambda controls: {"before": controls.set(str(name))})

    def set_power_mode(self, frame: Frame) -> Answer:
        """Set the power mode until the lease is released, whichever way that happens."""
        return self._changed(lambda controls: controls.set_power_mode(str(frame.fields["name"])))

    def lock_clocks(self, _: Frame) -> Answer:
        """Lock a Jetson's clocks until the lease is released, whichever way that happens."""
        return self._changed(lambda controls: controls.lock_clocks())

    def _needed_controls(self) -> Controls:
        self.need()
        if self._controls is None:
            raise AgentError("protocol", "say hello first")
        return self._controls

    def _changed(self, change: Callable[[Controls], Dict[str, Any]]) -> Answer:
        try:
            return change(self._needed_controls()), b""
        except Refusal as refusal:
            return {"refused": refusal.to_json()}, b""
