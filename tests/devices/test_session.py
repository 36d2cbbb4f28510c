"""A whole session with a real agent in a real process."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from support.guests import Toy, is_running, wait_until_gone
from support.requirements import ROOT

from edgekit.agent import timing
from edgekit.devices import AgentSession, BenchPlan, LocalTransport, Opened, Timeouts, local_transport
from edgekit.devices.connection import SETTINGS_S
from edgekit.errors import DataError, DeviceUnavailableError, IntegrityError, UsageError
from edgekit.types import Measurement

X = np.arange(6, dtype=np.float32).reshape(2, 3)
FAST = BenchPlan(rounds=4, round_s=0.02, window_s=0.01, warm_up_max_s=0.5)


def opened(session: AgentSession, toy: Toy, key: str = "one", **options: object) -> Opened:
    found = session.open(key, "toy", toy.runner(**options), toy.files)
    assert isinstance(found, Opened), found
    return found


def test_probe_reads_this_machine(toy: Toy) -> None:
    with AgentSession(local_transport(), {}) as session:
        facts = session.probe()
    assert facts.machine == os.uname().machine
    assert facts.runtimes["numpy"] == np.__version__
    assert facts.cores >= 1
    assert facts.memory_bytes is not None
    assert facts.memory_available_bytes is not None
    assert facts.memory_bytes > facts.memory_available_bytes > 0


def test_inference_and_isolation(toy: Toy) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        found = opened(session, toy, threads=2)
        outputs = session.infer("one", {"x": X, "flag": np.array(True), "empty": np.zeros((0, 4), np.int64)})
        np.testing.assert_array_equal(outputs["x"], X * 2)
        assert outputs["x"].dtype == np.float32
        assert outputs["empty"].shape == (0, 4)
        assert session.layers("one", {"x": X}, runs=3) == [{"name": "double", "n": 4}]
        assert "printed by the runtime" in session.log_text
    assert ".pyz/agent/__init__.py" in found.fingerprint["agent"]
    assert ".pyz/runners/toy/toy_device.py" in found.fingerprint["self"]
    assert found.fingerprint["modules"] == []
    assert found.effective == {"threads": 2}
    assert found.requested == {"threads": 2}
    assert found.peak_memory_bytes is not None
    assert found.peak_memory_bytes > 5e6
    for name in ("pid", "parent"):
        assert not is_running(found.fingerprint[name])


def test_a_runner_closes_in_order_at_the_end(toy: Toy, tmp_path: Path) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        opened(session, toy, farewell=str(tmp_path / "closed"))
    assert (tmp_path / "closed").exists()


def test_bench_interleaves_and_keeps_all_samples(toy: Toy) -> None:
    seen: list[tuple[int, int, str]] = []
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        for key, delay in (("fast", 0.0005), ("slow", 0.002), ("third", 0.001)):
            opened(session, toy, key, delay_s=delay)
        keys = ["fast", "slow", "third"]
        result = session.bench(
            keys, {key: {"x": X} for key in keys}, dataclasses.replace(FAST, rounds=8), lambda *step: seen.append(step)
        )
        orders = session.last_orders
        again = session.bench(keys, {key: {"x": X} for key in keys}, dataclasses.replace(FAST, rounds=8, round_s=0.001))
        assert session.last_orders == orders, "the order comes from the seed"
        np.testing.assert_array_equal(session.infer("slow", {"x": X})["x"], X * 2)
    assert list(result) == keys
    assert len(orders) == 8
    assert all(sorted(order) == keys for order in orders)
    assert len(set(orders)) > 1, "shuffled"
    measured = [result[key] for key in keys]
    for one, least in zip(measured, (0.0005, 0.002, 0.001), strict=True):
        assert isinstance(one, Measurement)
        assert one.loop == "agent/1"
        assert one.mode == "resident"
        assert len(one.rounds) == 8
        assert all(len(samples) >= 3 for samples in one.rounds)
        assert min(one.samples()) >= least
        assert one.warm_up.n >= 3
        assert one.first_inference_s >= least
        assert one.load_s > 0
    assert seen[0] == (0, 3, "warm-up fast")
    assert [step[2] for step in seen[3:]] == [f"round {key}" for order in orders for key in order]
    assert all(isinstance(one, Measurement) for one in again.values())


def test_without_memory_workers_are_reloaded_each_round(toy: Toy) -> None:
    plan = dataclasses.replace(FAST, rounds=2, resident_fraction=0.0, warm_up_max_s=0.05)
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        pids = [opened(session, toy, key).fingerprint["pid"] for key in "ab"]
        result = session.bench(["a", "b"], {"a": {"x": X}, "b": {"x": X + 1}}, plan)
        for pid in pids:
            wait_until_gone(pid)
        np.testing.assert_array_equal(session.infer("a", {"x": X})["x"], X * 2)
    for one in result.values():
        assert isinstance(one, Measurement)
        assert one.mode == "reloaded"
        assert len(one.rounds) == 2


def test_push_sends_only_what_is_missing_and_verifies(toy: Toy, guest_home: Path) -> None:
    toy.add_file("sub/weights.bin", bytes(range(256)) * 40_000)
    steps: list[tuple[int, int, str]] = []
    transport = dataclasses.replace(LocalTransport(), shares_files=False)
    with AgentSession(transport, {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files, lambda *step: steps.append(step))
        assert steps[-1][0] == steps[-1][1] == sum(path.stat().st_size for path in toy.artifact.rglob("*.bin"))
        assert len(steps) >= 4, "in chunks"
        steps.clear()
        session.push(toy.artifact, toy.files, lambda *step: steps.append(step))
        assert steps == []
        opened(session, toy, text="sub/weights.bin")
        read = session.infer("one", {"x": X})["read"]
        assert read.tobytes() == (toy.artifact / "sub/weights.bin").read_bytes()
    assert list((guest_home / "sessions").iterdir()) == []
    assert {path.name for path in (guest_home / "blobs").iterdir()} == set(toy.files.values())
    assert guest_home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("shares_files", [True, False])
def test_a_changed_file_is_refused(toy: Toy, guest_home: Path, shares_files: bool) -> None:
    (toy.artifact / "model.bin").write_bytes(b"Weights")
    transport = dataclasses.replace(LocalTransport(), shares_files=shares_files)
    with AgentSession(transport, {"toy": toy.runner()}) as session:
        with pytest.raises(IntegrityError, match="hashes to"):
            session.push(toy.artifact, toy.files)
        with pytest.raises(IntegrityError, match="push it first"):
            session.open("one", "toy", toy.runner(), toy.files)
    assert list((guest_home / "blobs").iterdir()) == []


def test_an_interrupted_push_resumes(toy: Toy, guest_home: Path) -> None:
    content = bytes(range(256)) * 1000
    toy.add_file("big.bin", content)
    private = guest_home / "blobs"
    private.mkdir(parents=True, mode=0o700)
    (private / f"{toy.files['big.bin']}.part").write_bytes(content[:100_000])
    steps: list[int] = []
    transport = dataclasses.replace(LocalTransport(), shares_files=False)
    with AgentSession(transport, {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files, lambda done, total, text: steps.append(total - done))
        opened(session, toy, text="big.bin")
        assert session.infer("one", {"x": X})["read"].tobytes() == content


def test_the_agent_takes_paths_only_from_a_local_host(toy: Toy) -> None:
    class Remote(LocalTransport):
        def spawn(self, zipapp: Path):  # type: ignore[no-untyped-def]
            import subprocess

            from edgekit.devices.transport import ProcessPipes

            pipe = subprocess.PIPE
            return ProcessPipes(subprocess.Popen([self.python, str(zipapp)], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0))

    from edgekit.errors import DeviceRunError

    with AgentSession(Remote(), {}) as session, pytest.raises(DeviceRunError, match="takes no paths"):
        session.push(toy.artifact, toy.files)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "a/../../b", "a//b", "a\\b", "./a", ""])
def test_a_path_that_leaves_the_folder_is_refused(toy: Toy, name: str) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        runner = dataclasses.replace(toy.runner(), files=())
        with pytest.raises(IntegrityError):
            session.open("one", "toy", runner, {name: toy.files["model.bin"]})


def test_two_sessions_contend_for_the_lease(toy: Toy) -> None:
    with AgentSession(local_transport(), {}) as first, AgentSession(local_transport(), {}) as second:
        with first.lease(purpose="a long measurement"):
            with first.lease():  # nests
                pass
            with (
                pytest.raises(DeviceUnavailableError, match=r"held by .* since \d{4}-.* for a long measurement") as caught,
                second.lease(),
            ):
                pass
            assert caught.value.exit_code == 6
            assert second.probe().cores >= 1, "probing needs no lease"
        with second.lease(), pytest.raises(DeviceUnavailableError), first.lease(wait_s=0.1):
            pass


def test_the_lease_ends_with_its_holder(toy: Toy) -> None:
    with AgentSession(local_transport(), {}) as second:
        with AgentSession(local_transport(), {}) as first:
            held = first.lease()  # kept: what is forgotten lets go by itself
            held.__enter__()
            with pytest.raises(DeviceUnavailableError, match="in use"), second.lease():
                pass
        with second.lease():
            pass


def test_prepare_builds_on_the_device(toy: Toy) -> None:
    steps: list[str] = []
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        runner = toy.runner(text="built/built.txt")
        assert session.prepare("one", "toy", runner, toy.files, lambda done, total, text: steps.append(text)) is None
        opened(session, toy, text="built/built.txt")
        assert session.infer("one", {"x": X})["read"].tobytes() == b"built here"
        failure = session.prepare("two", "toy", toy.runner(at_prepare="raise"), toy.files)
        assert failure is not None
        assert failure.kind == "error"
    assert steps == ["preparing"]


def test_the_same_candidate_may_be_prepared_again(toy: Toy) -> None:
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        for _ in range(3):
            assert session.prepare("one", "toy", toy.runner(), toy.files) is None


def test_mistakes_of_the_caller_are_named(toy: Toy) -> None:
    with pytest.raises(UsageError, match="not open"):
        AgentSession(local_transport(), {}).probe()
    with AgentSession(local_transport(), {"toy": toy.runner()}) as session:
        session.push(toy.artifact, toy.files)
        opened(session, toy)
        with pytest.raises(UsageError, match="open already"):
            opened(session, toy)
        with pytest.raises(UsageError, match="no runner"):
            session.open("two", "other", toy.runner(), toy.files)
        with pytest.raises(UsageError, match="open"):
            session.bench(["nobody"], {"nobody": {"x": X}})
        with pytest.raises(DataError, match="dtype str"):
            session.infer("one", {"x": np.array(["text"])})
        session.close_worker("one")
        opened(session, toy)


def test_the_documentation_has_the_plan_s_figures() -> None:
    plan, text = BenchPlan(), (ROOT / "docs" / "agent-protocol.md").read_text()
    assert f"windows ({plan.window_s:g} s each, at least {plan.window_min_n} inferences)" in text
    assert f"within {plan.steady_tolerance * 100:g} %, at most {plan.warm_up_max_s:g} s; a quarter" in text
    assert f"after {timing.SETTLED_N} inferences" in text
    bursts = f"one burst of {plan.round_s:g} s, at least {plan.round_min_n} and at most {plan.round_max_n} inferences"
    assert f"Rounds ({plan.rounds}): in each, every candidate has {bursts}" in text
    timeouts = Timeouts()
    named = {"connect": timeouts.connect_s, "probe": timeouts.probe_s, "push stall": timeouts.push_stall_s, "load": timeouts.load_s}
    assert ", ".join(f"{name} {seconds:g}" for name, seconds in named.items()) in text
    assert f"{timeouts.round_s:g}, prepare {timeouts.prepare_s:g}" in text
    assert f"may take {SETTINGS_S:g}:" in text
