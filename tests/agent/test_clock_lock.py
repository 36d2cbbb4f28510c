"""A Jetson's clocks are locked only when asked and always freed: at the end, after half a lock, by the next agent after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.stand_in_jetson import StandIn, stand_in

from edgekit.agent import become, clock_lock
from edgekit.agent import journal as journal_module
from edgekit.agent.errors import AgentError
from edgekit.agent.governor import Refusal
from edgekit.agent.power_mode import Controls

ALL = {"cpu", "gpu", "emc"}


@pytest.fixture
def jetson(tmp_path: Path) -> StandIn:
    return stand_in(tmp_path / "jetson", "6.2")


def controls(jetson: StandIn, tmp_path: Path, name: str = "one", *, root: bool = True) -> Controls:
    return Controls(str(tmp_path / "guest"), name, jetson.become if root else (), str(jetson.root))


def killed(made: Controls) -> None:
    """Its lock on the journal goes, its file stays."""
    assert made._journal._fd is not None
    os.close(made._journal._fd)


def test_lock_and_put_back(jetson: StandIn, tmp_path: Path) -> None:
    made = controls(jetson, tmp_path)
    assert made.lock_clocks() == {"before": "unlocked", "after": "locked"}
    assert jetson.locked_clocks == ALL
    assert made.restore() == []
    assert jetson.locked_clocks == set()
    assert not made.has_leftovers


def test_the_lock_of_somebody_else_stays(jetson: StandIn, tmp_path: Path) -> None:
    """And is never stored: what is stored is the way back."""
    assert become.run_clocks(jetson.become, f"{jetson.root}/usr/bin/jetson_clocks", "lock", str(jetson.root)) == ""
    made = controls(jetson, tmp_path)
    assert made.lock_clocks() == {"before": "locked", "after": "locked"}
    assert not (jetson.root / become.STORED_CLOCKS).exists()
    assert made.restore() == []
    assert jetson.locked_clocks == ALL


def test_an_old_stored_file_is_replaced(jetson: StandIn, tmp_path: Path) -> None:
    (jetson.root / become.STORED_CLOCKS).write_text('{"cpu": 1, "gpu": 2, "emc": 0}')
    made = controls(jetson, tmp_path)
    made.lock_clocks()
    made.restore()
    assert jetson.locked_clocks == set()
    assert '"cpu": 729600' in (jetson.root / "clocks.json").read_text()


def test_mode_and_clocks_are_put_back_together(jetson: StandIn, tmp_path: Path) -> None:
    made = controls(jetson, tmp_path)
    made.set_power_mode("25W")
    made.lock_clocks()
    assert made.restore() == []
    assert (jetson.power_mode, jetson.locked_clocks) == ("0", set())


def test_a_half_made_lock_is_undone_and_refused(jetson: StandIn, tmp_path: Path) -> None:
    jetson.behave(gpu_clock_stays=True)
    made = controls(jetson, tmp_path)
    with pytest.raises(Refusal, match="the clocks are unlocked after jetson_clocks ran") as caught:
        made.lock_clocks()
    assert caught.value.kind == "denied"
    assert jetson.locked_clocks == set()
    assert not made.has_leftovers


def test_refusals_say_why(jetson: StandIn, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="needs root") as denied:
        controls(jetson, tmp_path, root=False).lock_clocks()
    assert denied.value.kind == "denied"
    without = stand_in(tmp_path / "other", "6.2", jetson_clocks=False)
    with pytest.raises(Refusal, match="there is no jetson_clocks") as none:
        controls(without, tmp_path).lock_clocks()
    assert none.value.kind == "none"
    assert jetson.locked_clocks == set()


def test_a_killed_session_is_repaired(jetson: StandIn, tmp_path: Path) -> None:
    made = controls(jetson, tmp_path)
    made.lock_clocks()
    killed(made)
    [said] = controls(jetson, tmp_path, "two").repair()
    assert said == "jetson_clocks was put back from locked to unlocked"
    assert jetson.locked_clocks == set()


def test_without_the_rights_the_journal_stays_for_who_has_them(jetson: StandIn, tmp_path: Path) -> None:
    """Clocks that may not even be read are not taken for put back."""
    made = controls(jetson, tmp_path)
    made.lock_clocks()
    killed(made)
    helpless = controls(jetson, tmp_path, "two", root=False)
    [said] = helpless.repair()
    assert "could not be put back" in said
    assert helpless.has_leftovers
    controls(jetson, tmp_path, "three").repair()
    assert jetson.locked_clocks == set()


def test_a_restart_frees_the_clocks_by_itself(jetson: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = controls(jetson, tmp_path)
    made.lock_clocks()
    killed(made)
    monkeypatch.setattr(journal_module, "boot_id", lambda: "another start")
    after = controls(jetson, tmp_path, "two")
    assert after.repair() == []
    assert not after.has_leftovers


def test_only_three_commands_and_a_file_of_roots(jetson: StandIn) -> None:
    with pytest.raises(AgentError, match="not an action"):
        become.clocks_command("--restore /home/edge/mine", "/")
    assert become.clocks_command("lock", "/") == []
    assert become.clocks_command("restore", "/") == ["--restore", "/run/edgekit-clocks.conf"]
    assert clock_lock.lock_state(str(jetson.root), jetson.become) == ("unlocked", "")
