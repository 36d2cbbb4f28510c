"""The whole flow to a stand-in Jetson behind a real SSH server: probe, build there, compare, measure, energy, hand over.

Its TensorRT computes on this machine's processor, and what its trtexec tells of time is made up. So what is shown is the flow, and
that everything says "stand-in"; it is no evidence of a GPU's speed.
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support.guest_fixtures import own_lease  # noqa: F401 - a fixture
from support.schemas import validator
from support.small_models import calibration, classifier
from support.ssh_fixtures import client, ssh_home  # noqa: F401 - fixtures
from support.ssh_servers import Client, Server
from support.stand_in_jetson import StandIn, stand_in, stand_in_of

import edgekit
from edgekit.devices import plan
from edgekit.errors import EdgekitError
from edgekit.measure import energy as windows
from edgekit.types import DeployReport
from edgekit.values import to_json

TRTEXEC = "usr/src/tensorrt/bin"


class Lab:
    """A stand-in behind a server of its own, as an entry of the inventory."""

    def __init__(self, folder: Path, jetson: StandIn, running: Server, config: Path, *, root: bool = True) -> None:
        self.folder, self.jetson = folder, jetson
        config.mkdir(exist_ok=True)
        become = f"become = {json.dumps(list(jetson.become))}\n" if root else ""
        entry = f'schema = 1\n[devices.jetty]\naddress = "{running.address}"\npython = "{sys.executable}"\n{become}'
        (config / "devices.toml").write_text(entry)

    def deploy(self, **options: Any) -> DeployReport:
        model, calib = classifier(self.folder / "model.onnx"), calibration(self.folder / "calib.npz", n=40)
        plain: dict[str, Any] = {"target": "jetson", "calib": calib, "budget": "5s", "energy": "off", "output": self.folder / "out"}
        return edgekit.deploy(model, device="jetty", **{**plain, **options})


@pytest.fixture
def config(own_home: Path) -> Path:
    return own_home / "config"


RELEASES = [  # a session on each of the others is in tests/targets/test_tensorrt_device.py
    "8.2.1", pytest.param("8.6.2", marks=pytest.mark.long), "10.3.0", pytest.param("10.16.2", marks=pytest.mark.long), "11.4.1",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("version", RELEASES)
def test_a_deploy_from_probe_to_bundle(version: str, tmp_path: Path, client: Client, config: Path) -> None:  # noqa: F811
    jetson = stand_in_of(version, tmp_path / "jetson", package=True)
    with Server(tmp_path / "server", client, environment=jetson.environment) as server:
        lab = Lab(tmp_path, jetson, server, config)
        report = lab.deploy(precision="fp16", power_mode="1", lock_clocks=True)
    document = json.loads(json.dumps(to_json(report)))
    validator("deploy").validate(document)
    assert report.winner is not None
    assert report.winner.provisional, "a stand-in measures nothing that counts"
    assert report.device is not None
    assert report.device["kind"] == "stand-in"
    row = report.row("tensorrt/float16")
    assert row.quality_measured_on == "device"
    assert row.latency_s is not None
    assert row.agreement is not None
    assert any("no evidence of performance" in text for text in report.warnings)
    assert (tmp_path / "out/edgekit.json").is_file()
    assert not list((tmp_path / "out").rglob("*.plan")), "engines stay where they were built"
    assert (jetson.power_mode, jetson.locked_clocks) == ("0", set()), "put back"
    assert (jetson.root / "run/edgekit-clocks.conf").is_file(), "they were locked"


def test_a_profile_locks_the_clocks_too(tmp_path: Path, client: Client, config: Path) -> None:  # noqa: F811
    jetson = stand_in(tmp_path / "jetson", "6.2")
    with Server(tmp_path / "server", client, environment=jetson.environment) as server:
        Lab(tmp_path, jetson, server, config)
        report = edgekit.profile(classifier(tmp_path / "model.onnx"), target="onnx", device="jetty", energy="off", lock_clocks=True)
    assert report.rows[0].latency_s is not None
    assert (jetson.root / "run/edgekit-clocks.conf").is_file(), "they were locked"
    assert jetson.locked_clocks == set(), "put back"


@pytest.mark.long
def test_energy_in_the_same_run(tmp_path: Path, client: Client, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setattr(windows, "MIN_WINDOW_S", 0.25)
    monkeypatch.setattr(windows, "MIN_SETTLE_S", 0.05)
    jetson = stand_in(tmp_path / "jetson", "6.2", package=True)
    with Server(tmp_path / "server", client, environment=jetson.environment) as server:
        report = Lab(tmp_path, jetson, server, config).deploy(precision="fp16", output=None, energy="winner")
    energy = report.row("tensorrt/float16").energy_j
    assert energy is not None
    assert any("stand-in" in text for text in report.warnings)


def test_without_the_package_trtexec_does_it_all(
    tmp_path: Path, client: Client, config: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    monkeypatch.setattr(plan, "BenchPlan", functools.partial(plan.BenchPlan, rounds=5))  # a program is started for every burst
    jetson = stand_in(tmp_path / "jetson", "6.2")
    environment = {**jetson.environment, "PATH": f"{jetson.root}/{TRTEXEC}:/usr/bin:/bin"}
    with Server(tmp_path / "server", client, environment=environment) as server:
        report = Lab(tmp_path, jetson, server, config).deploy(precision="fp16", output=None)
    row = report.row("tensorrt/float16")
    assert row.loop == "trtexec 10.3"
    assert row.latency_s is not None
    assert 2.1e-3 < row.latency_s.p50 < 2.4e-3
    assert row.trust_reason is not None
    assert "does not tell whether its warm-up became steady" in row.trust_reason or row.trust != "steady"
    [remark] = [text for text in report.warnings if "upper bound" in text]
    assert "tensorrt/float16 by trtexec 10.3" in remark
    assert "onnx/float32 by agent/1" in remark


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"killed": True}, ("was killed while it was building the engine", "dmesg")),
        ({"out_of_memory": True}, ("out-of-memory", "add swap")),
    ],
)
def test_a_build_that_fails_is_that_candidates_result(
    behaviour: dict[str, Any], words: tuple[str, ...], tmp_path: Path, client: Client, config: Path  # noqa: F811
) -> None:  # fmt: skip
    jetson = stand_in(tmp_path / "jetson", "6.2", behaviour=behaviour)
    with (
        Server(tmp_path / "server", client, environment=jetson.environment) as server,
        pytest.raises(EdgekitError) as caught,
    ):
        Lab(tmp_path, jetson, server, config).deploy(precision="fp16", output=None)
    assert caught.value.exit_code == 5
    assert isinstance(caught.value, edgekit.errors.BudgetError)
    assert caught.value.report is not None
    reason = caught.value.report.row("tensorrt/float16").reason
    for word in words:
        assert word in reason


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"target": "raspberry-pi-5"}, 2, ("jetson-orin-nano", "raspberry-pi-5")),
        ({"power_mode": "60W"}, 2, ("power mode '60W'", "25W")),
        ({"lock_clocks": True}, 7, ("cannot be locked", "there is no jetson_clocks", "leave --lock-clocks out")),
    ],
)
def test_mistakes_are_told_before_anything_slow(
    options: dict[str, Any], code: int, words: tuple[str, ...], tmp_path: Path, client: Client, config: Path  # noqa: F811
) -> None:  # fmt: skip
    jetson = stand_in(tmp_path / "jetson", "6.2", jetson_clocks=not options.get("lock_clocks"))
    with (
        Server(tmp_path / "server", client, environment=jetson.environment) as server,
        pytest.raises(EdgekitError) as caught,
    ):
        Lab(tmp_path, jetson, server, config).deploy(output=None, **options)
    assert caught.value.exit_code == code
    for word in words:
        assert word in f"{caught.value.what} {caught.value.why} {caught.value.hint}"


@pytest.mark.parametrize(("tensorrt", "words"), [(None, "nvidia-jetpack"), ("7.1.3", "7.1.3")])
def test_a_board_without_a_tensorrt_that_will_do(
    tensorrt: str | None, words: str, tmp_path: Path, client: Client, config: Path  # noqa: F811
) -> None:  # fmt: skip
    jetson = stand_in(tmp_path / "jetson", "6.2", tensorrt=tensorrt, trtexec=tensorrt is not None)
    if tensorrt is None:
        next((jetson.root / "usr/lib/aarch64-linux-gnu").glob("libnvinfer*")).unlink()
    with (
        Server(tmp_path / "server", client, environment=jetson.environment) as server,
        pytest.raises(EdgekitError) as caught,
    ):
        Lab(tmp_path, jetson, server, config).deploy(precision="fp16", output=None)
    assert caught.value.exit_code == 5
    assert isinstance(caught.value, edgekit.errors.BudgetError)
    assert caught.value.report is not None
    assert words in caught.value.report.row("tensorrt/float16").reason
