"""A short sustained run with a real agent."""

from __future__ import annotations

import numpy as np
import pytest
from support.guests import Toy, is_running

from edgekit.devices import AgentSession, Opened, local_transport
from edgekit.devices.plan import SustainPlan
from edgekit.types import RunFailure, Sustained

X = np.ones((2, 3), np.float32)


def test_candidates_take_turns_and_one_that_fails_drops_out(toy: Toy) -> None:
    seen: list[tuple[int, int, str]] = []
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        for key, options in (("fast", {"delay_s": 0.0005}), ("slow", {"delay_s": 0.02}), ("bad", {"at_run": "exit"})):
            session.open(key, "toy", toy.runner(**options), toy.files)
        keys = ["fast", "slow", "bad"]
        plan = SustainPlan(duration_s=1.5, turn_s=0.05, keep_n=10)
        results = session.sustain(keys, {key: {"x": X} for key in keys}, plan, lambda *step: seen.append(step))
        np.testing.assert_array_equal(session.infer("fast", {"x": X})["x"], X * 2)
    assert isinstance(results["bad"], RunFailure)
    fast, slow = results["fast"], results["slow"]
    assert isinstance(fast, Sustained)
    assert isinstance(slow, Sustained)
    for one, least in ((fast, 0.0005), (slow, 0.02)):
        assert one.elapsed_s >= 1.5
        assert [turn.cycle for turn in one.turns] == list(range(len(one.turns)))
        assert len(one.conditions.readings) == len(one.turns) >= 2
        assert all(1 <= len(turn.samples) <= 10 and turn.n >= len(turn.samples) for turn in one.turns)
        assert min(min(turn.samples) for turn in one.turns) >= least
    assert sum(turn.n for turn in fast.turns) > sum(turn.n for turn in slow.turns)
    assert any(len(turn.samples) < turn.n for turn in fast.turns), "only a part is sent"
    assert seen[-1][1] == 1
    assert seen[-1][2].startswith("sustain ")


def test_ctrl_c_ends_it(toy: Toy) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), AgentSession(local_transport(), {"toy": toy.runner()}) as session:  # noqa: PT012
        session.push(toy.artifact, toy.files)
        found = session.open("one", "toy", toy.runner(), toy.files)
        assert isinstance(found, Opened)
        session.sustain(["one"], {"one": {"x": X}}, SustainPlan(600.0), interrupt)
    assert not is_running(found.fingerprint["pid"])
    assert not is_running(found.fingerprint["parent"])


def test_turns_are_shorter_where_there_is_little_time() -> None:
    assert SustainPlan.lasting(600, 3).turn_s == 1.0
    assert SustainPlan.lasting(12, 3).turn_s == pytest.approx(0.1)
    assert SustainPlan.lasting(4, 6).turn_s == 0.05
