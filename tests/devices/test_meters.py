"""Which meter is taken, and plugs that answer over HTTP."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.meters import AGX_ORIN, ORIN_NANO, TEGRASTATS, ina3221_tree, rapl_tree, write_program

from edgekit.agent.meters import MeterError, discover
from edgekit.devices import wall_meters
from edgekit.devices.meters import Described, FoundMeter, MeterSetting, _described, choose, find_meter, parse_meter
from edgekit.errors import DeviceRunError, UnknownNameError, UsageError


# ---------------------------------------------------------------- the setting
@pytest.mark.parametrize(
    ("text", "setting"),
    [
        (None, MeterSetting("auto")),
        ("none", MeterSetting("none")),
        ("rapl", MeterSetting("rapl")),
        ("ina3221:VDD_CPU_CV+VDD_GPU_SOC", MeterSetting("ina3221", ("VDD_CPU_CV", "VDD_GPU_SOC"))),
        ("shelly:http://192.168.1.20", MeterSetting("shelly", url="http://192.168.1.20")),
        ("tasmota:http://plug.local:8080/", MeterSetting("tasmota", url="http://plug.local:8080/")),
        ("shelly:http://[fd00::1]", MeterSetting("shelly", url="http://[fd00::1]")),
    ],
)
def test_settings(text: str | None, setting: MeterSetting) -> None:
    assert parse_meter(text) == setting


@pytest.mark.parametrize(
    "text",
    [
        "shelly", "shelly:192.168.1.20", "shelly:https://x", "shelly:http://u:p@x", "shelly:http://x/rpc/Switch.Toggle?id=0",
        "tasmota:file:///etc/passwd", "rapl:", "rapl:a++b", "rapl:a+a", "auto:VDD_IN", "none:x", "shelly:http://x y",
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_how_it_is_written(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_meter(text)
    assert "write" in caught.value.hint


def test_an_unknown_meter_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="ina3221"):
        parse_meter("ina3222")


# ---------------------------------------------------------------- the choice
def there(root: Path) -> list[Described]:
    return [_described(json.loads(json.dumps(meter.describe()))) for meter in discover(str(root))]


def test_the_first_whose_rails_add_up_to_something_known(tmp_path: Path) -> None:
    rapl_tree(ina3221_tree(tmp_path, ORIN_NANO))
    found = choose(there(tmp_path), MeterSetting())
    assert found.facts is not None
    assert (found.facts.name, found.facts.total, found.facts.scope) == ("ina3221", ("VDD_IN",), "module (VDD_IN)")
    named = choose(there(tmp_path), parse_meter("rapl"))
    assert named.facts is not None
    assert named.facts.ranges_j["package-0"] > 0
    assert choose(there(tmp_path), parse_meter("nvml")) == FoundMeter(None, "no energy meter was found of the kind nvml")


def test_a_board_without_a_total_says_which_rails_there_are(tmp_path: Path) -> None:
    ina3221_tree(tmp_path, AGX_ORIN)
    found = choose(there(tmp_path), MeterSetting())
    assert found.facts is None
    assert "VDD_GPU_SOC, VDD_CPU_CV, VIN_SYS_5V0" in found.reason
    assert "ina3221:VDD_GPU_SOC+VDD_CPU_CV" in found.reason
    named = choose(there(tmp_path), parse_meter("ina3221:VDD_GPU_SOC+VDD_CPU_CV"))
    assert named.facts is not None
    assert (named.facts.total, named.facts.scope) == (("VDD_GPU_SOC", "VDD_CPU_CV"), "VDD_GPU_SOC + VDD_CPU_CV")
    assert "has no rail 'VDD_IN'" in choose(there(tmp_path), parse_meter("ina3221:VDD_IN")).reason
    write_program(
        tmp_path, "usr/bin/tegrastats", f'while :; do echo "{TEGRASTATS["thor, three fields, a minus sign"][0]}"; sleep 0.05; done'
    )
    instead = choose(there(tmp_path), MeterSetting())
    assert instead.facts is not None
    assert (instead.facts.name, instead.facts.scope) == ("tegrastats", "board (VIN)"), (
        "it shows the total that the chip's files lack"
    )


def test_no_meter_and_meters_that_cannot_be_read(tmp_path: Path) -> None:
    assert choose([], MeterSetting()).reason == "no energy meter was found"
    (rapl_tree(tmp_path) / "sys/class/powercap/intel-rapl:1/energy_uj").write_text("?")
    assert choose(there(tmp_path), MeterSetting()).reason.startswith("rapl: ")
    assert choose(there(tmp_path), parse_meter("rapl")).reason.startswith("rapl: ")


class Answering:
    """A session whose agent answers so."""

    def __init__(self, **answer: Any) -> None:
        self.answer = answer

    def meters(self) -> dict[str, Any]:
        return self.answer


def test_a_meter_below_another_root_is_a_stand_in(tmp_path: Path) -> None:
    told = [meter.describe() for meter in discover(str(rapl_tree(tmp_path)))]
    found = find_meter(Answering(meters=told, root=str(tmp_path)), MeterSetting())  # type: ignore[arg-type]
    assert found.facts is not None
    assert found.facts.source == "stand-in"
    real = find_meter(Answering(meters=told, root="/"), MeterSetting())  # type: ignore[arg-type]
    assert real.facts is not None
    assert real.facts.source == "device"
    assert find_meter(Answering(), parse_meter("none")).reason == "the device's meter is set to none"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"name": "sudo"}, {"rails": 5}, {"rails": [{"name": "a"}]}, {"total": ["no-such-rail"]}, {"period_s": -1},
        {"period_s": "nan"}, {"period_s": 1e9}, {"resolution": None}, {"ranges_j": {"package-0": float("inf")}},
        {"total": ["package-0", "package-0"]}, {"rails": [{"name": "a", "scope": "b"}, {"name": "a", "scope": "b"}]},
    ],
)  # fmt: skip
def test_an_agent_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    told = {**discover(str(rapl_tree(tmp_path)))[0].describe(), **change}
    with pytest.raises(DeviceRunError, match="list of meters"):
        find_meter(Answering(meters=[told], root="/"), MeterSetting())  # type: ignore[arg-type]


def test_text_of_the_device_is_cleaned(tmp_path: Path) -> None:
    told = {**discover(str(rapl_tree(tmp_path)))[0].describe(), "reason": "\x1b[31mno\nway"}
    assert find_meter(Answering(meters=[told], root="/"), MeterSetting()).reason == "rapl: no way"  # type: ignore[arg-type]


# ---------------------------------------------------------------- plugs
SHELLY = '{"id":0,"source":"init","output":true,"apower":4.1,"voltage":242.5,"aenergy":{"total":18.015}}'
TASMOTA = '{"StatusSNS":{"Time":"2019-09-06T20:06:19","ENERGY":{"Total":0.003,"Power":26,"Voltage":239}}}'


def test_answers_of_plugs() -> None:
    assert wall_meters.shelly_watts(SHELLY) == 4.1
    assert wall_meters.tasmota_watts(TASMOTA) == 26.0
    assert wall_meters.tasmota_watts(TASMOTA.replace('"Power":26', '"Power":[1.5,2]')) == 3.5


@pytest.mark.parametrize("parse", [wall_meters.shelly_watts, wall_meters.tasmota_watts])
@given(
    text=st.one_of(
        st.text(max_size=80),
        st.sampled_from(
            ["{}", "[]", "5", '{"apower":null}', '{"apower":true}', '{"apower":1e999}', '{"StatusSNS":[]}', "[" * 5000]
        ),
        st.sampled_from(['{"StatusSNS":{"ENERGY":{"Power":"5"}}}', '{"StatusSNS":{"ENERGY":{"Power":[]}}}', '{"apower":NaN}']),
    )
)
def test_anything_else_is_refused(parse: Callable[[str], float], text: str) -> None:
    with pytest.raises(MeterError):
        parse(text)


@contextmanager
def plug(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """A server on this machine: its address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def says(text: str, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return answer


@pytest.mark.parametrize(("kind", "text", "watts"), [("shelly", SHELLY, 4.1), ("tasmota", TASMOTA, 26.0)])
def test_a_plug_is_asked_for_its_power_alone(monkeypatch: pytest.MonkeyPatch, kind: str, text: str, watts: float) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with plug(says(text)) as (url, asked):
        found = find_meter(Answering(), parse_meter(f"{kind}:{url}"))  # type: ignore[arg-type]
        assert found.wall is not None
        assert found.wall.read() == {"wall": watts}
    assert set(asked) == {wall_meters.KINDS[kind][0]}
    assert found.facts is not None
    assert (found.facts.source, found.facts.scope, found.facts.period_s) == ("host", "whole device at the wall", 1.0)


def test_a_plug_that_does_not_measure_redirects_or_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    def reason(answer: Callable[[BaseHTTPRequestHandler], None]) -> str:
        with plug(answer) as (url, asked):
            found = find_meter(Answering(), parse_meter(f"shelly:{url}"))  # type: ignore[arg-type]
            assert len(asked) == 1
            assert found.facts is None
            return found.reason

    monkeypatch.setattr(wall_meters, "_TIMEOUT_S", 0.2)
    assert "gives no apower" in reason(says('{"id":0,"output":true}'))
    assert "302" in reason(says("", 302, Location="http://127.0.0.1:1/elsewhere"))
    assert "401" in reason(says("", 401))
    assert "not JSON" in reason(says("{" + " " * 200_000 + "}"))
    assert "timed out" in reason(lambda handler: time.sleep(0.5))


def test_only_private_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("192.168.1.2", "10.0.0.1", "fd00::1", "fe80::1%eth0", "127.0.0.1", "169.254.1.1"):
        assert wall_meters.is_private(address)
    for address in ("8.8.8.8", "2600::1", "example.org", ""):
        assert not wall_meters.is_private(address)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args: [(0, 0, 0, "", ("93.184.216.34", 0))])
    assert "not an address of a private network" in find_meter(Answering(), parse_meter("shelly:http://plug.example")).reason  # type: ignore[arg-type]
