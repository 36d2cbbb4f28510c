"""A real SSH server, Python and two runtimes of aarch64, emulated: a deploy, and what is left when it is broken off as root."""

from __future__ import annotations

import itertools
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from support.guests import Toy
from support.tasks import task
from support.tflite import needs_litert, shared_home

import edgekit
from edgekit.contract import to_artifact
from edgekit.devices import AgentSession, BenchPlan, Opened, Timeouts, WorkerFailedError
from edgekit.devices.ssh import ssh_transport
from edgekit.errors import DeviceUnavailableError
from edgekit.profiles import get_profile
from edgekit.schemes import Int8Dynamic, Int8Static
from edgekit.targets import get_target
from edgekit.testing.harness import ListFeeds, load_entry
from edgekit.types import BuildData, Candidate, RunFailure, Runner, Site

from .emulated import GOVERNOR, Emulated, device, network_as_it_was, ssh_home, wait_until  # noqa: F401 - fixtures

X = np.ones((2, 3), np.float32)
PATIENT = Timeouts(connect_s=90.0, probe_s=90.0)  # emulated, beside other tests
DOT_PRODUCT = '''
"""A build for cores with dot products (Armv8.2 and later), and nothing else: sdot v0.4s, v1.16b, v2.16b; ret."""
import ctypes, mmap

CODE = bytes.fromhex("2094824e" "c0035fd6")

def fingerprint():
    return {"runtime": "machine code"}

class Session:
    def __init__(self, files, options):
        self.page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        self.page.write(CODE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.page))
        self.function = ctypes.CFUNCTYPE(None)(address)

    def run(self, feeds):
        self.function()
        return feeds

    def layers(self):
        return []

    def close(self):
        pass
'''


def test_deploy(device: Emulated, tmp_path: Path) -> None:  # noqa: F811
    """Built for what it says it is, judged here, run there: the outputs agree, and its times are called no evidence."""
    needs_litert()
    digits = task("digits")
    report = edgekit.deploy(
        digits.model(), target="onnx,tflite", device=device.address, precision="int8", budget="1s",
        calib=digits.calibration, eval=digits.evaluate, output=tmp_path / "out",
    )  # fmt: skip
    assert report.device is not None
    assert report.device["kind"] == "emulated"
    assert report.winner is not None
    assert report.winner.provisional
    measured = [row for row in report.candidates if row.latency_s is not None]
    assert {(row.target, row.scheme) for row in measured} >= {(target, "int8") for target in ("onnx", "tflite")}
    for row in measured:
        assert row.device_difference is not None
        assert row.device_difference.n >= 16
        assert row.device_difference.value <= row.device_difference.tolerance
    judged = [row for row in measured if row.quality_measured_on is not None]  # of the others the budget was spent
    assert report.winner.id in {row.id for row in judged}
    assert {row.quality_measured_on for row in judged} == {"host"}, "they agreed within the runner's tolerance"
    assert any("no evidence" in text for text in report.warnings), report.warnings
    assert (tmp_path / "out" / "edgekit.json").is_file()
    assert device.agents() == []


def test_litert_there_and_here(device: Emulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """The digits net on both processors: int8 to the step, dynamic int8 to rounding, and the same digits read."""
    needs_litert()
    monkeypatch.setenv("EDGEKIT_HOME", str(shared_home()))
    digits = task("digits")
    model, fit = edgekit.load_model(digits.model()), list(digits.calibration())
    images = {digits.INPUT: np.concatenate([image for image, _ in itertools.islice(digits.split("third"), 300)])}
    tflite = get_target("tflite")
    wanted = {
        "int8": Candidate("tflite", Int8Static(), build_options={"interface": "int8"}),
        "dynamic": Candidate("tflite", Int8Dynamic(), build_options={"convolutions": True}),
    }
    there, here = {}, {}
    with AgentSession(ssh_transport(device.address), {}, timeouts=PATIENT) as session:
        site = Site(get_profile("generic-arm64"), session.probe())
    for name, candidate in wanted.items():
        out = tmp_path / name
        out.mkdir()
        artifact = tflite.build(model, candidate, BuildData(ListFeeds(fit), ListFeeds(fit[:8]), "0" * 64), site, out)
        runner, feed = tflite.runner(artifact, site), to_artifact(images, artifact.io)
        here[name] = load_entry(runner).Session({artifact.entry: str(out / artifact.entry)}, dict(runner.options)).run(feed)
        with AgentSession(ssh_transport(device.address), {"tflite": runner}, timeouts=PATIENT) as session:
            session.push(out, artifact.files)
            opened = session.open(name, "tflite", runner, artifact.files)
            assert isinstance(opened, Opened), opened
            assert opened.fingerprint["runtime"] == "ai-edge-litert"
            there[name] = session.infer(name, feed)
    [board], [host] = there["int8"].values(), here["int8"].values()
    assert (board.dtype, board.shape) == (np.int8, (300, 10))
    steps = np.abs(board.astype(int) - host.astype(int))
    print(f"int8: {(steps <= 1).mean():.4%} within one step, {(steps > 0).mean():.2%} differ, at most {steps.max()}")
    assert (steps <= 1).mean() >= 0.999
    assert steps.max() <= 3
    np.testing.assert_array_equal(board.argmax(-1), host.argmax(-1))
    [board], [host] = there["dynamic"].values(), here["dynamic"].values()
    cosine = (board * host).sum(-1) / np.linalg.norm(board, axis=-1) / np.linalg.norm(host, axis=-1)
    print(f"dynamic int8: cosine {cosine.min():.7f}")
    assert cosine.min() >= 0.9999
    np.testing.assert_array_equal(board.argmax(-1), host.argmax(-1))


def test_an_illegal_instruction_is_a_candidates_result(device: Emulated, tmp_path: Path) -> None:  # noqa: F811
    """The same build runs on a Cortex-A76 and dies of SIGILL on a Cortex-A53."""
    code = tmp_path / "dot_product.py"
    code.write_text(DOT_PRODUCT)
    runner = Runner(code=(code,), entry="dot_product", requires=(), files=(), options={})
    for python, works in (("python3", True), ("/usr/local/bin/python3-cortex-a53", False)):
        transport = ssh_transport(device.address, python=python)
        with AgentSession(transport, {"dot": runner}, timeouts=PATIENT) as session:
            assert isinstance(session.open("dot", "dot", runner, {}), Opened)
            if works:
                np.testing.assert_array_equal(session.infer("dot", {"x": X})["x"], X)
                continue
            with pytest.raises(WorkerFailedError) as caught:
                session.infer("dot", {"x": X})
            assert (caught.value.failure.kind, "SIGILL" in caught.value.failure.message) == ("crash", True)
            [failure] = session.bench(["dot"], {"dot": {"x": X}}, BenchPlan(rounds=1)).values()
            assert isinstance(failure, RunFailure)


@pytest.mark.waits
@pytest.mark.parametrize("how", ["cut", "black-hole"])
def test_a_cable_that_is_pulled_in_the_middle_of_a_measurement(device: Emulated, toy: Toy, how: str) -> None:  # noqa: F811
    """As root, with the governor changed: within 15 s no process is left, the lease is free and the governor what it was."""
    assert device.read(GOVERNOR) == "ondemand"
    pulled_at: list[float] = []

    def pull(done: int, total: int, step: str) -> None:
        if done == 1 and step.startswith("round") and not pulled_at:
            assert device.read(GOVERNOR) == "performance"
            assert len(device.agents()) == 2
            device.network(how)
            pulled_at.append(time.monotonic())

    with (  # noqa: PT012
        pytest.raises(DeviceUnavailableError) as caught,
        AgentSession(ssh_transport(device.root_address), {"toy": toy.runner()}, timeouts=PATIENT) as session,
    ):
        session.push(toy.artifact, toy.files)
        assert isinstance(session.open("one", "toy", toy.runner(), toy.files), Opened)
        with session.governor("performance"):
            session.bench(["one"], {"one": {"x": X}}, BenchPlan(rounds=1000, round_s=0.2), pull)
    assert caught.value.exit_code == 6
    left_s = 15.0 - (time.monotonic() - pulled_at[0])
    wait_until(lambda: device.agents() == [] and device.read(GOVERNOR) == "ondemand", left_s, "agents gone, governor put back")
    device.network("pass")
    with AgentSession(ssh_transport(device.root_address), {}, timeouts=PATIENT) as session, session.lease():
        assert session.repaired == ()


def test_a_killed_guardian_is_repaired_at_the_next_connect(device: Emulated, toy: Toy) -> None:  # noqa: F811
    with AgentSession(ssh_transport(device.root_address), {"toy": toy.runner()}, timeouts=PATIENT) as session:
        session.push(toy.artifact, toy.files)
        assert isinstance(session.open("one", "toy", toy.runner(), toy.files), Opened)
        with pytest.raises(DeviceUnavailableError), session.governor("performance"):  # noqa: PT012
            guardian, _ = device.agents()
            os.kill(guardian, signal.SIGKILL)
            session.infer("one", {"x": X})
        wait_until(lambda: device.agents() == [], 10, "the worker is gone as well")
        assert device.read(GOVERNOR) == "performance", "nobody was left to put it back"
    with AgentSession(ssh_transport(device.root_address), {}, timeouts=PATIENT) as session:
        assert any("scaling_governor was put back from performance to ondemand" in line for line in session.repaired)
        assert device.read(GOVERNOR) == "ondemand"
