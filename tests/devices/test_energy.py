"""From a counter file to joules: a real agent, real workers, and a stand-in for RAPL whose counters the test drives."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.guests import Toy
from support.meters import IDLE_W, driven_counters, rapl_tree, write_program

from edgekit.agent import slots
from edgekit.agent.energy import EnergyPlan as AgentPlan
from edgekit.agent.energy import EnergyRun
from edgekit.agent.frames import Frame
from edgekit.agent.meters import ROOT_VARIABLE, Meter, Rail
from edgekit.devices import AgentSession, Opened, local_transport
from edgekit.devices.energy import _Collector, measure_energy, plan_energy
from edgekit.devices.meters import FoundMeter, MeterSetting, find_meter
from edgekit.devices.plan import EnergyPlan, Timeouts
from edgekit.errors import DeviceRunError
from edgekit.measure.energy import MeterFacts

X = np.arange(6, dtype=np.float32).reshape(2, 3)
NET_W = 6.0
PLAN = EnergyPlan(window_s=0.25, settle_s=0.2, warm_up_s=0.05)


def is_working(pid: int) -> bool:
    """Whether a worker is neither stopped nor gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX"
    except OSError:
        return False


def opened(session: AgentSession, toy: Toy, key: str, **options: object) -> Opened:
    session.push(toy.artifact, toy.files)
    found = session.open(key, "toy", toy.runner(**options), toy.files)
    assert isinstance(found, Opened), found
    return found


@pytest.mark.waits
def test_joules_of_a_stand_in_counter(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "stand-in"
    monkeypatch.setenv(ROOT_VARIABLE, str(root))
    seen: list[tuple[int, int, str]] = []
    pids: list[int] = []
    with (
        AgentSession(local_transport(), {"toy": toy.runner()}) as session,
        driven_counters(root, lambda: NET_W * any(map(is_working, pids))),
    ):
        for key, delay in (("fast", 0.002), ("slow", 0.01)):
            pids.append(opened(session, toy, key, delay_s=delay).fingerprint["pid"])
        found = find_meter(session, MeterSetting())
        assert found.facts is not None, found.reason
        assert (found.facts.name, found.facts.source, found.facts.total) == ("rapl", "stand-in", ("package-0", "package-1"))
        keys = ["fast", "slow"]
        results = measure_energy(session, keys, {key: {"x": X} for key in keys}, found, PLAN, lambda *step: seen.append(step))
        np.testing.assert_array_equal(session.infer("slow", {"x": X})["x"], X * 2)
    for key, least_s in (("fast", 0.002), ("slow", 0.01)):
        energy = results[key].estimate
        assert energy is not None, results[key].reason
        assert energy.inference_s >= least_s
        assert energy.net_j is not None
        assert energy.net_j == pytest.approx(NET_W * energy.inference_s, rel=0.2)
        assert energy.gross_j == pytest.approx((IDLE_W + NET_W) * energy.inference_s, rel=0.2)
        assert energy.idle_w == pytest.approx(IDLE_W, rel=0.2)
        assert energy.rails["package-1"].gross_j == pytest.approx(IDLE_W / 2 * energy.inference_s, rel=0.2)
        assert not energy.rails["psys"].in_total
        assert len(energy.gross_of_repeats) == 5
    assert len(seen) == 21
    assert seen[0] == (0, 21, "energy, idle")
    assert {step[2] for step in seen} == {"energy, idle", "energy, load fast", "energy, load slow"}


def test_the_plan_is_longer_than_the_meters_period_and_says_how_long_it_takes() -> None:
    facts = MeterFacts("shelly", "power", {"wall": "device"}, ("wall",), "wall", 1.0, 0.1)
    plan = plan_energy(facts, [0.001, 0.02])
    assert (plan.window_s, plan.settle_s, plan.repeats) == (100.0, 1.0, 5)
    assert plan.takes_s(2) == pytest.approx(21 * 101 + 1.0)
    assert plan_energy(facts, [20.0]).window_s == 200.0


def test_without_a_meter_there_is_a_reason(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "empty"))
    rapl = MeterFacts("rapl", "counter", {"package-0": "package"}, ("package-0",), "packages", 0.001, 1e-6)
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        assert find_meter(session, MeterSetting()) == FoundMeter(None, "no energy meter was found")
        opened(session, toy, "one")
        with pytest.raises(DeviceRunError, match="there is no meter 'rapl'"):
            measure_energy(session, ["one"], {"one": {"x": X}}, FoundMeter(rapl), PLAN)
        np.testing.assert_array_equal(session.infer("one", {"x": X})["x"], X * 2)


class Steady(Meter):
    """A plug that always says 5 W."""

    name = "shelly"

    def __init__(self) -> None:
        super().__init__([Rail("wall", "device")], ["wall"], "whole device at the wall", period_s=0.02, resolution=0.1)

    def read(self) -> dict[str, float]:
        return {"wall": 5.0}


@pytest.mark.waits
def test_a_meter_that_this_machine_reads_and_a_candidate_that_fails(toy: Toy) -> None:
    wall: Any = Steady()
    facts = MeterFacts("shelly", "power", {"wall": "device"}, ("wall",), "wall", 0.02, 0.1, source="host")
    plan = replace(PLAN, window_s=0.5)
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        opened(session, toy, "good", delay_s=0.001)
        opened(session, toy, "bad", delay_s=0.001, at_run="segfault", good_runs=300)
        feeds = {key: {"x": X} for key in ("good", "bad")}
        results = measure_energy(session, ["good", "bad"], feeds, FoundMeter(facts, wall=wall), plan)
    good = results["good"].estimate
    assert good is not None, results["good"].reason
    assert good.load_w == pytest.approx(5.0)
    assert good.net_j is None
    assert "below resolution" in good.net_reason
    assert results["bad"].estimate is None
    assert results["bad"].reason == "it failed while its energy was measured (crash)"


@pytest.mark.waits
def test_the_end_of_the_session_ends_an_idle_window_at_once(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(rapl_tree(tmp_path / "stand-in")))
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        opened(session, toy, "one")
        found = find_meter(session, MeterSetting())

        def leave(*_: object) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            measure_energy(session, ["one"], {"one": {"x": X}}, found, replace(PLAN, window_s=60.0), leave)
        start = time.monotonic()
        session.__exit__(KeyboardInterrupt, None, None)
        assert time.monotonic() - start < 4
        with pytest.raises(Exception, match="not open"):
            session.probe()


# ---------------------------------------------------------------- hostile agents
FACTS = MeterFacts("ina3221", "power", {"VDD_IN": "module"}, ("VDD_IN",), "module", 0.05, 0.001)


def sample(payload: bytes = b"", **fields: Any) -> Frame:
    return Frame(
        1, "sample", {"key": "one", "inferences": 3, "start_s": 1.0, "end_s": 2.0, "failure": "", **fields}, bytearray(payload)
    )


@pytest.mark.parametrize(
    "event",
    [
        sample(b"\0" * 15), sample(b"\xff" * 16), sample(np.array([2.0, 1.0, 1.0, 1.0]).tobytes()), sample(inferences=0),
        sample(end_s=1.0), sample(end_s="nan"), sample(inferences=None), Frame(1, "sample", {}, bytearray()), sample(start_s=1e300),
        Frame(1, "progress", {"step": "energy"}, bytearray()),
    ],
)  # fmt: skip
def test_samples_that_make_no_sense_are_refused(event: Frame) -> None:
    collector = _Collector(FoundMeter(FACTS), lambda *_: None)
    collector.on_event(event)
    assert collector.problem
    assert collector.windows == []


def test_the_session_goes_on_after_samples_that_make_no_sense(monkeypatch: pytest.MonkeyPatch) -> None:
    def energy(keys: object, feeds: object, meter: object, plan: object, on_event: Callable[[Frame], None]) -> dict[str, object]:
        on_event(sample(b"?"))
        on_event(sample(np.array([1.1, 5.0]).tobytes()))
        return {}

    session: Any = type("Session", (), {"energy": staticmethod(energy)})
    with pytest.raises(DeviceRunError, match="samples that cannot be read: ValueError: 1 bytes"):
        measure_energy(session, ["one"], {}, FoundMeter(FACTS), PLAN)


def test_good_samples_become_a_window() -> None:
    collector = _Collector(FoundMeter(FACTS), None)
    collector.on_event(sample(np.array([1.1, 5.0, 1.2, 6.0]).tobytes(), failure="\x1b[31mred"))
    (window,) = collector.windows
    assert (window.key, window.n, window.failure) == ("one", 3, "red")
    np.testing.assert_array_equal(window.values, [[5.0], [6.0]])


def test_a_meter_that_fails_leaves_the_candidates_running(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tegrastats prints a line for the host's question and one when the run begins, and then no more."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    asked = tmp_path / "asked"
    line = "VDD_IN 5263mW/5263mW"
    write_program(
        tmp_path, "usr/bin/tegrastats", f"echo x >> {asked}\n[ $(wc -l < {asked}) -gt 2 ] && exit 1\necho {line}\nexec sleep 5"
    )
    with AgentSession(local_transport(), {"toy": toy.runner()}, timeouts=Timeouts(round_s=5.0)) as session:
        pid = opened(session, toy, "one").fingerprint["pid"]
        found = find_meter(session, MeterSetting())
        with pytest.raises(DeviceRunError, match="energy failed") as caught:
            measure_energy(session, ["one"], {"one": {"x": X}}, found, PLAN)
        assert "printed no rail" in caught.value.why
        np.testing.assert_array_equal(session.infer("one", {"x": X})["x"], X * 2)
        assert is_working(pid)


def test_without_memory_workers_are_ended_before_the_first_window(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counted:
        def __init__(self, key: str) -> None:
            self.key, self.options, self.worker, self.said = key, {}, None, []

        def load(self, _: float) -> None:
            self.worker = self.worker or self
            self.said.append("loaded")

        def unload(self) -> None:
            self.worker = None
            self.said.append("ended")

        def call(self, *_: object, **__: object) -> Any:
            return None

        def rss_bytes(self) -> int:
            return 600

        pause = resume = lambda self: None

    monkeypatch.setattr(slots, "available_bytes", lambda: 2000)
    one, two, three = (Counted(key) for key in ("one", "two", "three"))
    plan = AgentPlan(0.0, 0.0, 0, 0.0, 0, 1.0, 1.0)
    feeds: Any = {"one": ([], b""), "two": ([], b""), "three": ([], b"")}
    run = EnergyRun([one, two, three], feeds, plan, None, lambda *_: None, lambda _: None)  # type: ignore[list-item]
    run.run()
    assert one.worker is two.worker is three.worker is None
    assert "loaded" in three.said
