"""Engines are built and run on the device: a real agent, the real guest code, and a stand-in Jetson's trtexec.

The times are made up there; what is shown is that every release is given what it understands and is understood itself.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from edgekit_tensorrt.guest_code import CODE
from support.guest_fixtures import no_process_left, own_lease  # noqa: F401 - fixtures
from support.stand_in_jetson import TENSORRT, StandIn, stand_in_of
from support.tensorrt_bench import PLAN, Bench, dynamic, expected, feed_of

from edgekit.devices import AgentSession
from edgekit.devices.plan import EnergyPlan, Timeouts
from edgekit.errors import DeviceRunError, IntegrityError
from edgekit.operator_times import read_layers
from edgekit.testing import guest
from edgekit.types import Measurement, RunFailure, Runner, sha256_file


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.stem)
def test_the_code_is_a_guest(path: Path) -> None:
    assert guest.problems(path, allowed=("tensorrt", "onnxruntime", *(each.stem for each in CODE))) == []


@pytest.mark.parametrize("version", TENSORRT)
def test_a_whole_session_on_every_release(version: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of(version, tmp_path / "jetson"))
    feed = feed_of(bench)
    with bench.session() as session:
        failure, said = bench.prepare(session)
        assert failure is None
        assert said[0].startswith(f"TensorRT {version}, ")
        assert "reading the model" in said
        assert said[-1] == "engine built (0.51 s)"
        opened = bench.open(session)
        assert (opened.fingerprint["version"], opened.fingerprint["builder"]) == (version, "trtexec")
        assert opened.fingerprint["board"] == bench.jetson.release.model
        engine = opened.effective["engine"]
        assert engine["typing"] == ("weak" if version.startswith("8") else "strong")
        assert engine["tf32"] is False
        [name] = bench.specs["outputs"]
        got = session.infer("one", feed)[name["name"]]
        want = expected(tmp_path / "model.onnx", feed)[name["name"]]
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
        measured = session.bench(["one"], {"one": feed}, PLAN)["one"]
        assert isinstance(measured, Measurement)
        assert measured.warm_up.steady is None, "trtexec warms up by itself and does not tell how that went"
        assert measured.loop == "trtexec " + ".".join(version.split(".")[:2])
        assert (measured.effective["data_transfers"], measured.effective["cuda_graph"], measured.effective["spin_wait"]) == (
            True,
            False,
            True,
        )
        assert measured.effective["h2d_s"] == pytest.approx(0.125e-3)
        assert measured.effective["compute_s"] == pytest.approx(2e-3, rel=0.1)
        assert len(measured.rounds) == 2
        assert all(2.1e-3 < sample < 2.4e-3 for sample in measured.samples()), "compute and both transfers"
        layers = session.layers("one", feed)
        assert layers[0]["name"] == '{ForeignNode["/conv/Conv"...(Unnamed Layer* 3) [Shuffle]]}'
        assert layers[0]["n"] == 50
        assert layers[0]["time_s"] == pytest.approx(0.75 * 2e-3 * 50, rel=1e-3)
        times = read_layers(layers, 30)
        assert times is not None
        assert (times[0].time_s, times[0].n) == (pytest.approx(0.75 * 2e-3, rel=1e-3), 1), "trtexec made 50 runs of its own"


def test_what_was_built_is_kept_and_bound_to_everything_it_depends_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson"))
    with bench.session() as session:
        assert "kernels timed earlier are reused" not in bench.prepare(session)[1]
        assert "kernels timed earlier are reused" in bench.prepare(session, "other", precision="int8")[1], "another engine"
    assert len(bench.builds) == 2
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in [*bench.builds, bench.builds[0].parent])
    with bench.session() as session:
        assert bench.prepare(session) == (None, []), "nothing is built anew"
        assert bench.open(session).effective["engine"]["builder"] == "trtexec"
        plan = bench.builds[0] / "engine.plan"
        plan.write_bytes(plan.read_bytes() + b"tampered with")
        again = [bench.prepare(session, key, precision=precision)[1] for key, precision in (("a", "float32"), ("b", "int8"))]
        assert sorted(map(bool, again)) == [False, True], "the one that was tampered with is built anew"
    shutil.rmtree(bench.jetson.root)
    bench.jetson = stand_in_of("10.16.2", tmp_path / "jetson")
    with bench.session() as session:
        assert bench.prepare(session)[1] != [], "another release of TensorRT builds its own"
    assert len(bench.builds) == 3


def test_an_engine_that_came_from_elsewhere_is_never_loaded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson"))
    for name in ("engine.plan", "built/engine.plan", "built/engine.json"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'{"version": "10.3.0"}')
    with bench.session() as session:
        opened = bench.open(session)
        assert isinstance(opened, RunFailure)
        assert "never loaded" in opened.message
        smuggled = {name: sha256_file(tmp_path / name) for name in ("model.onnx", "built/engine.plan", "built/engine.json")}
        session.push(tmp_path, smuggled)
        with pytest.raises(IntegrityError, match="never comes from elsewhere"):
            session.open("two", "tensorrt", Runner(CODE, "device", (), tuple(smuggled), bench.runner().options), smuggled)


def test_scratch_memory_is_bounded_by_what_is_free(tmp_path: Path) -> None:
    from edgekit.agent.memory import available_bytes

    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson"))
    with bench.session() as session:
        bench.prepare(session)
        free = bench.open(session).effective["engine"]["memory_pool_bytes"]
        bench.prepare(session, "asked", memory_pool_bytes=256 << 20)
        assert bench.open(session, "asked", memory_pool_bytes=256 << 20).effective["engine"]["memory_pool_bytes"] == 256 << 20
    assert 0 < free < (available_bytes() or 0)


# ---------------------------------------------------------------- what goes wrong
@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        ({"killed": True}, "error", ("was killed", "signal 9", "dmesg")),
        ({"out_of_memory": True}, "out-of-memory", ("out of memory", "OutOfMemory", "add swap")),
        ({"no_gpu": True}, "error", ("cannot use the GPU", "no CUDA-capable device", "groups video and render")),
        (
            {"refused_operators": ["Softmax", "Gemm", "MatMul", "Conv"]},
            "error",
            ("building the engine", "No importer registered for op"),
        ),
    ],
)
def test_a_build_that_fails_says_what_why_and_what_next(
    behaviour: dict[str, Any], kind: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson", behaviour=behaviour))
    with bench.session() as session:
        failure, _ = bench.prepare(session)
        assert failure is not None
        assert failure.kind == kind
        for word in words:
            assert word in failure.message
        assert bench.builds == []
        bench.jetson.behave()
        assert bench.prepare(session)[0] is None, "the session goes on"


def test_a_build_that_the_kernel_killed_was_out_of_memory(tmp_path: Path) -> None:
    from support.tensorrt_guest import guest_module

    run = guest_module("trtexec_run")
    killed = run.Finished(["trtexec"], -9, "[01/08/2025-01:49:37] [I] Start parsing network model.\n", 1.0, 1)
    problem = run.failure(killed, "building the engine")
    assert isinstance(problem, MemoryError)
    assert "the board is out of memory" in str(problem)


def test_a_build_that_takes_too_long_is_ended_with_everything_it_started(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson", behaviour={"build_s": 600}))
    runners = {"tensorrt": bench.runner()}
    with AgentSession(bench.device.transport, runners, timeouts=Timeouts(prepare_s=4.0)) as session:
        session.push(bench.folder_of_artifact, bench.files)
        failure, said = bench.prepare(session)
        assert failure is not None
        assert failure.kind == "timeout"
        assert "timing kernels" in said
    assert not _running(str(tmp_path / "jetson"))


def _running(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in text:
            found.append(text)
    return found


def test_no_tensorrt_at_all(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson", trtexec=False))
    with bench.session() as session:
        failure, _ = bench.prepare(session)
    assert failure is not None
    assert failure.kind == "missing-runtime"
    assert "nvidia-jetpack" in failure.message


def test_a_release_that_is_not_supported(tmp_path: Path) -> None:
    jetson = StandIn(tmp_path / "jetson", stand_in_of("8.2.1", tmp_path / "other").release, tensorrt="7.1.3")
    bench = Bench(tmp_path, jetson)
    with bench.session() as session:
        failure, _ = bench.prepare(session)
    assert failure is not None
    assert "TensorRT 7.1.3 is too old" in failure.message
    assert "JetPack" in failure.message


def test_an_engine_of_another_release_is_not_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson"))
    with bench.session() as session:
        bench.prepare(session)
        shutil.rmtree(bench.jetson.root)
        stand_in_of("10.16.2", tmp_path / "jetson")
        opened = bench.open(session)
    assert isinstance(opened, RunFailure)
    assert "built by TensorRT 10.3.0 and this is 10.16.2: build it anew" in opened.message


# ---------------------------------------------------------------- shapes, integers, energy
@pytest.mark.parametrize("version", ["8.6.2", "10.3.0"])
def test_free_shapes_and_integers_of_64_bits(version: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of(version, tmp_path / "jetson"), dynamic(tmp_path / "model.onnx"))
    shapes = {"x": {"min": [1, 3], "opt": [2, 3], "max": [8, 3]}}
    with bench.session() as session:
        assert bench.prepare(session, shapes=shapes)[0] is None
        engine = bench.open(session, shapes=shapes).effective["engine"]
        assert "--optShapes=x:2x3" in engine["flags"]
        x, n = np.arange(12, dtype=np.float32).reshape(4, 3), np.array([1000], np.int64)
        np.testing.assert_array_equal(session.infer("one", {"x": x, "n": n})["y"], x + 1000)
        if version.startswith("8"):
            with pytest.raises(DeviceRunError, match="32 bits"):
                session.infer("one", {"x": x, "n": np.array([1 << 40], np.int64)})


def test_floats_of_64_bits_are_handed_over_in_32(tmp_path: Path) -> None:
    """The parser declares such an input as float32, and trtexec reads the file's bytes as that."""
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, [4]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"])], "main", ends[:1], ends[1:])
    path = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson"), path)
    with bench.session() as session:
        assert bench.prepare(session)[0] is None
        bench.open(session)
        got = session.infer("one", {"x": np.array([1.5, -2.0, 0.0, 3.25])})["y"]
    assert got.dtype == np.float64
    np.testing.assert_array_equal(got, [-1.5, 2.0, 0.0, -3.25])


def test_energy_is_read_while_trtexec_works(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson"))
    feed, windows = feed_of(bench), []
    with bench.session() as session:
        bench.prepare(session)
        bench.open(session)
        plan = EnergyPlan(window_s=0.4, settle_s=0.1, repeats=1, warm_up_s=0.1)
        failed = session.energy(
            ["one"], {"one": feed}, "ina3221", plan, lambda event: windows.append(event.fields) if event.op == "sample" else None
        )
    assert failed == {}
    [load] = [window for window in windows if window["key"] == "one"]
    assert load["inferences"] == int(500 / (2.0 + 0.125 + 0.0625))
    assert 0.5 <= load["end_s"] - load["start_s"] < 0.9, "starting trtexec is not part of it"
