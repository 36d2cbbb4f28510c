"""The power mode is set only when asked and always put back: at the end, after a refusal, and by the next agent after a kill."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.stand_in_jetson import StandIn, stand_in

from edgekit.agent import journal as journal_module
from edgekit.agent.governor import Refusal
from edgekit.agent.power_mode import Controls


@pytest.fixture
def jetson(tmp_path: Path) -> StandIn:
    return stand_in(tmp_path / "jetson", "6.2")


def controls(jetson: StandIn, tmp_path: Path, name: str = "one", *, root: bool = True) -> Controls:
    return Controls(str(tmp_path / "guest"), name, jetson.become if root else (), str(jetson.root))


@pytest.mark.parametrize("wanted", ["MAXN_SUPER", "maxn_super", "2"])
def test_set_and_put_back(wanted: str, jetson: StandIn, tmp_path: Path) -> None:
    made = controls(jetson, tmp_path)
    assert made.set_power_mode(wanted) == {"before": "15W", "after": "MAXN_SUPER"}
    assert jetson.power_mode == "2"
    assert made.restore() == []
    assert jetson.power_mode == "0"
    assert not made.has_leftovers


def test_the_mode_in_force_is_not_set_again(jetson: StandIn, tmp_path: Path) -> None:
    made = controls(jetson, tmp_path, root=False)
    assert made.set_power_mode("15W") == {"before": "15W", "after": "15W"}
    assert not made.has_leftovers


def test_governor_and_power_mode_share_a_journal(jetson: StandIn, tmp_path: Path) -> None:
    policy = jetson.root / "sys/devices/system/cpu/cpufreq/policy0"
    policy.mkdir(parents=True)
    (policy / "scaling_governor").write_text("schedutil\n")
    made = controls(jetson, tmp_path)
    made.set_power_mode("25W")
    made.set("performance")
    assert made.restore() == []
    assert (jetson.power_mode, (policy / "scaling_governor").read_text().strip()) == ("0", "schedutil")


@pytest.mark.parametrize(
    ("wanted", "kind", "words"),
    [("60W", "unknown", "no power mode '60W'"), ("25W", "denied", "Permission denied"), ("-m 2", "unknown", "no power mode")],
)
def test_refusals_change_nothing(wanted: str, kind: str, words: str, jetson: StandIn, tmp_path: Path) -> None:
    made = controls(jetson, tmp_path, root=False)
    with pytest.raises(Refusal, match=words) as caught:
        made.set_power_mode(wanted)
    assert caught.value.kind == kind
    assert jetson.power_mode == "0"
    assert not made.has_leftovers


def test_nobodys_device_is_restarted(jetson: StandIn, tmp_path: Path) -> None:
    jetson.behave(needs_reboot=["2"])
    made = controls(jetson, tmp_path)
    with pytest.raises(Refusal, match="needs a restart of the device") as caught:
        made.set_power_mode("MAXN_SUPER")
    assert caught.value.kind == "restart"
    assert jetson.power_mode == "0"


def test_a_killed_session_is_repaired_also_after_a_restart(
    jetson: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A governor is the kernel's and has its default after a restart; a power mode is on the disk."""
    made = controls(jetson, tmp_path)
    made.set_power_mode("25W")
    journal = made._journal  # killed: its lock goes, its file stays

    assert journal._fd is not None
    os.close(journal._fd)
    monkeypatch.setattr(journal_module, "boot_id", lambda: "another start")
    [said] = controls(jetson, tmp_path, "two").repair()
    assert said == "nvpmodel was put back from 1 to 0"
    assert jetson.power_mode == "0"


def test_a_mode_that_somebody_else_has_set_since_stays(jetson: StandIn, tmp_path: Path) -> None:
    made = controls(jetson, tmp_path)
    made.set_power_mode("25W")
    (jetson.root / "var/lib/nvpmodel/status").write_text("pmode:0002 fmode:quiet\n")
    assert made.restore() == []
    assert jetson.power_mode == "2"


def test_no_nvpmodel(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="there is no nvpmodel") as caught:
        Controls(str(tmp_path / "guest"), "one", (), str(tmp_path)).set_power_mode("MAXN")
    assert caught.value.kind == "none"


def test_a_mode_that_cannot_be_asked_at_the_end_is_put_back_or_told(jetson: StandIn, tmp_path: Path) -> None:
    made = controls(jetson, tmp_path)
    made.set_power_mode("25W")
    program, status = jetson.root / "usr/sbin/nvpmodel", jetson.root / "var/lib/nvpmodel/status"
    script = program.read_text()
    program.write_text("#!/bin/sh\nexit 1\n")
    noted = status.read_text()
    status.unlink()
    [said] = made.restore()
    assert "nvpmodel -m 0 was refused" in said
    assert made.has_leftovers, "the next agent tries again"
    program.write_text(script)
    status.write_text(noted)
    assert controls(jetson, tmp_path, "two").repair() == ["nvpmodel was put back from 1 to 0"]
