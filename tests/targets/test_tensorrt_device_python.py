"""Building and running through TensorRT's Python package, on a stand-in of it: by number before 8.5, by name from then on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.guest_fixtures import no_process_left, own_lease  # noqa: F401 - fixtures
from support.stand_in_jetson import stand_in_of
from support.tensorrt_bench import PLAN, Bench, dynamic, expected, feed_of

from edgekit.devices.session import WorkerFailedError
from edgekit.operator_times import read_layers
from edgekit.types import Measurement, RunFailure


@pytest.mark.parametrize(("version", "trtexec"), [("8.2.1", False), ("10.3.0", False), ("11.4.1", True)])
def test_a_whole_session(version: str, trtexec: bool, tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of(version, tmp_path / "jetson", trtexec=trtexec, package=True))
    feed = feed_of(bench)
    with bench.session() as session:
        failure, said = bench.prepare(session, precision="int8+fp16", sparsity="enable")
        assert failure is None, failure
        assert said[-1].startswith("engine built")
        opened = bench.open(session, precision="int8+fp16", sparsity="enable")
        assert opened.effective["runs_in"] == "python"
        assert opened.effective["engine"]["builder"] == ("trtexec" if trtexec else "tensorrt (Python)")
        assert opened.fingerprint["compute_capability"] == "8.7"
        got, want = session.infer("one", feed), expected(tmp_path / "model.onnx", feed)
        for name, value in want.items():
            assert got[name].dtype == value.dtype
            np.testing.assert_allclose(got[name], value, rtol=1e-5, atol=1e-6)
        again = session.infer("one", {name: value * 2 for name, value in feed.items()})
        assert not np.array_equal(again[next(iter(want))], got[next(iter(want))])
        measured = session.bench(["one"], {"one": feed}, PLAN)["one"]
        assert isinstance(measured, Measurement)
        assert measured.loop == "agent/1", "this process times it, host memory to host memory"
        layers = session.layers("one", feed)
        assert [(row["name"], row["n"]) for row in layers] == [("/conv/Conv + /relu/Relu", 20), ("/fc/Gemm", 20)]
        times = read_layers(layers, 30)
        assert times is not None
        assert times[0].time_s == pytest.approx(layers[0]["time_s"] / 20), "the profiler had 20 runs of its own"
    [folder] = bench.builds
    if not trtexec:
        head = (folder / "engine.plan").read_bytes().partition(b"\n")[0].decode()
        weak = version.startswith("8")
        assert '"strong": %s' % ("false" if weak else "true") in head
        assert ('"FP16"' in head, '"INT8"' in head) == (weak, weak)
        assert '"TF32"' not in head
        assert '"SPARSE_WEIGHTS"' in head


@pytest.mark.parametrize("version", ["8.2.1", "10.3.0"])
def test_free_shapes(version: str, tmp_path: Path) -> None:
    bench = Bench(
        tmp_path, stand_in_of(version, tmp_path / "jetson", trtexec=False, package=True), dynamic(tmp_path / "model.onnx")
    )
    shapes = {"x": {"min": [1, 3], "opt": [2, 3], "max": [8, 3]}}
    n = np.array([1000], np.int64)
    with bench.session() as session:
        assert bench.prepare(session, shapes=shapes)[0] is None
        bench.open(session, shapes=shapes)
        for length in (2, 8, 1):  # buffers grow, and are used again
            x = np.arange(3 * length, dtype=np.float32).reshape(length, 3)
            got = session.infer("one", {"x": x, "n": n})["y"]
            np.testing.assert_array_equal(got, x + 1000)
        with pytest.raises(WorkerFailedError, match="built for others"):
            session.infer("one", {"x": np.zeros((9, 3), np.float32), "n": n})


@pytest.mark.parametrize(
    ("behaviour", "kind", "words"),
    [
        ({"out_of_memory": True}, "out-of-memory", "OutOfMemory"),
        ({"refused_operators": ["Conv"]}, "error", "parser refuses the model: In node 0"),
    ],
)
def test_a_build_that_fails(behaviour: dict[str, object], kind: str, words: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson", trtexec=False, package=True, behaviour=behaviour))
    with bench.session() as session:
        failure, _ = bench.prepare(session)
    assert failure is not None
    assert words in failure.message
    assert failure.kind == kind


def test_a_gpu_without_memory(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stand_in_of("10.3.0", tmp_path / "jetson", package=True))
    with bench.session() as session:
        bench.prepare(session)
        bench.jetson.behave(cuda_out_of_memory=True)
        opened = bench.open(session)
        assert not isinstance(opened, RunFailure)
        with pytest.raises(WorkerFailedError, match="CUDA is out of memory") as caught:
            session.infer("one", feed_of(bench))
    assert caught.value.failure.kind == "out-of-memory"
