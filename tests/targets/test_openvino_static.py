from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgekit_openvino import convert, vendor
from edgekit_openvino.quantize_static import looks_like_transformer, quantize
from edgekit_openvino.recipes import refinements
from support.onnx_graphs import FLOAT, model, node, value, write
from support.requirements import missing
from support.tasks import task

from edgekit.errors import DataError, MissingExtraError, ModelError
from edgekit.model import load_model
from edgekit.schemes import Float32, Int8Static, Scalar
from edgekit.testing.harness import ListFeeds
from edgekit.testing.models import CASES
from edgekit.types import Array, Candidate, DeviceFacts, Feed, Profile, Site

try:
    vendor.nncf()
except MissingExtraError as problem:
    missing(str(problem))

PROFILE = Profile("test", "generic", "x86_64", ("openvino",))


def case(name: str, tmp_path: Path, n: int = 8) -> tuple[convert.Converted, ListFeeds]:
    made = convert.convert(load_model(CASES[name].write(tmp_path)))
    return made, ListFeeds([CASES[name].feed(1, seed) for seed in range(n)])


def quantized(
    made: convert.Converted, fit: ListFeeds, ignored: tuple[str, ...] = (), **options: Scalar
) -> tuple[Any, Counter[str]]:
    return quantize(made.ir, fit, made.io, ignored=ignored, options=options)


def before(ir: Any, type_name: str) -> list[list[str]]:
    """For each operation of a type: the types of what its inputs come from."""
    return [
        [source.get_node().get_type_name() for source in operation.input_values()]
        for operation in ir.get_ordered_ops()
        if operation.get_type_name() == type_name
    ]


def biases(ir: Any) -> dict[str, Array]:
    """What is added to the result of each convolution, by the name of the addition."""
    found = {}
    for operation in ir.get_ops():
        if operation.get_type_name() == "Add" and any(
            source.get_node().get_type_name() in ("Convolution", "GroupConvolution") for source in operation.input_values()
        ):
            found[operation.get_friendly_name()] = np.array(operation.input_value(1).get_node().get_data())
    return found


# ---------------------------------------------------------------- what is quantized
def test_convolutions_and_products_are_quantized(tmp_path: Path) -> None:
    made, fit = case("conv", tmp_path)
    result, done = quantized(made, fit)
    assert done == {"Convolution": 2, "GroupConvolution": 1, "MatMul": 1}
    assert all(inputs[0] == "FakeQuantize" for inputs in before(result, "Convolution"))
    assert before(made.ir, "FakeQuantize") == [], "the model that was given has changed"


def test_a_final_softmax_stays_float(tmp_path: Path) -> None:
    made, fit = case("conv", tmp_path)
    result, _ = quantized(made, fit)
    assert [inputs[0] for inputs in before(result, "Softmax")] == ["Add"]
    assert [inputs[0] for inputs in before(result, "Result")] == ["Softmax"]


def test_recurrent_layers_stay_float(tmp_path: Path) -> None:
    made, fit = case("lstm", tmp_path)
    result, done = quantized(made, fit)
    (inputs,) = before(result, "LSTMSequence")
    assert "FakeQuantize" not in inputs
    assert done == {"MatMul": 1}


def test_ignored_operations_stay_float(tmp_path: Path) -> None:
    made, fit = case("conv", tmp_path)
    names = tuple(op.get_friendly_name() for op in made.ir.get_ops() if op.get_type_name() == "GroupConvolution")
    _, done = quantized(made, fit, names)
    assert done == {"Convolution": 2, "MatMul": 1}


def test_an_ignored_name_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    made, fit = case("conv", tmp_path)
    with pytest.raises(ModelError, match="no_such_operation"):
        quantized(made, fit, ("no_such_operation",))


def test_a_transformer_is_seen_as_one(tmp_path: Path) -> None:
    made, fit = case("transformer", tmp_path)
    assert looks_like_transformer(made.ir)
    automatic, _ = quantized(made, fit)
    plain, _ = quantized(made, fit, model_type="none")
    assert "FakeQuantize" not in Counter(itertools.chain(*before(automatic, "MVN")))
    assert len(before(automatic, "FakeQuantize")) < len(before(plain, "FakeQuantize")), "residuals were quantized all the same"
    smoothed, unsmoothed = (len(before(quantized(made, fit, smooth_quant=alpha)[0], "Multiply")) for alpha in (0.95, "off"))
    assert smoothed > unsmoothed


def test_a_convolutional_net_is_no_transformer(tmp_path: Path) -> None:
    assert not looks_like_transformer(case("conv", tmp_path)[0].ir)


# ---------------------------------------------------------------- how
def test_the_bias_of_every_convolution_is_corrected(tmp_path: Path) -> None:
    """In a model that ``Core.read_model`` takes from ONNX, none is, and nobody says so. The fast method leaves depthwise
    convolutions out, and neither lets a bias grow threefold, so these here are about one.
    """
    random = np.random.default_rng(0)
    sizes = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (4, 8, 1, 1)}
    weights = {name: random.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    weights |= {f"b{i}": random.uniform(0.8, 1.2, sizes[f"w{i}"][0]).astype(np.float32) for i in (1, 2, 3)}
    proto = model(
        [
            node("Conv", ["x", "w1", "b1"], ["c1"], "first"),
            node("Relu", ["c1"], ["r1"], "second"),
            node("Conv", ["r1", "w2", "b2"], ["c2"], "third", group=8),
            node("Relu", ["c2"], ["r2"], "fourth"),
            node("Conv", ["r2", "w3", "b3"], ["c3"], "fifth"),
        ],
        [value("x", FLOAT, ["n", 3, 16, 16])],
        [value("c3", FLOAT, ["n", 4, 12, 12])],
        weights,
    )
    made = convert.convert(load_model(write(proto, tmp_path / "model.onnx")))
    fit = ListFeeds([{"x": random.normal(size=(1, 3, 16, 16)).astype(np.float32)} for _ in range(8)])
    plain, fast, accurate = (biases(quantized(made, fit, bias_correction=kind)[0]) for kind in ("none", "fast", "accurate"))
    assert [name for name in sorted(plain) if not np.array_equal(plain[name], fast[name])] == ["c1", "c3"]
    assert [name for name in sorted(plain) if not np.array_equal(plain[name], accurate[name])] == ["c1", "c2", "c3"]


@pytest.mark.parametrize(
    ("option", "value"),
    [("preset", "mixed"), ("range_estimator", "minmax"), ("range_estimator", "percentile"), ("range_estimator", "mean_no_outliers"),
     ("bias_correction", "accurate"), ("half_range_weights", "all"), ("half_range_weights", "none")],
)  # fmt: skip
def test_every_option_changes_something(option: str, value: str, tmp_path: Path) -> None:
    made, fit = case("conv", tmp_path)
    assert constants(quantized(made, fit)[0]) != constants(quantized(made, fit, **{option: value})[0])


def constants(ir: Any) -> list[bytes]:
    return [np.array(op.get_data()).tobytes() for op in ir.get_ordered_ops() if op.get_type_name() == "Constant"]


@pytest.mark.parametrize(
    "options",
    [{"preset": "best"}, {"range_estimator": "MINMAX"}, {"bias_correction": True}, {"smooth_quant": 2.0}, {"smooth_quant": True},
     {"smooth_quant": "on"}, {"range_estimater": "minmax"}],
)  # fmt: skip
def test_wrong_options_are_refused(options: Mapping[str, Scalar], tmp_path: Path) -> None:
    made, fit = case("static_shape", tmp_path)
    with pytest.raises(ModelError, match=next(iter(options))):
        quantized(made, fit, **options)


class _Counting(ListFeeds):
    """Counts what is drawn in each pass."""

    def __init__(self, feeds: list[Feed]) -> None:
        super().__init__(feeds)
        self.passes: list[int] = []

    def __iter__(self) -> Iterator[Feed]:
        self.passes.append(0)
        for feed in super().__iter__():
            self.passes[-1] += 1
            yield feed


def test_every_feed_is_used(tmp_path: Path) -> None:
    made, fit = case("conv", tmp_path, n=11)
    counting = _Counting(list(fit))
    quantized(made, counting)
    assert max(counting.passes) == 11


def test_an_error_of_the_data_stays_what_it_is(tmp_path: Path) -> None:
    class Broken(ListFeeds):
        def __iter__(self) -> Iterator[Feed]:
            raise DataError("the third feed is broken")

    made, fit = case("conv", tmp_path)
    with pytest.raises(DataError, match="third"):
        quantized(made, Broken(list(fit)))


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made, fit = case("transformer", tmp_path)
    capfd.readouterr()
    quantized(made, fit, bias_correction="accurate")
    assert capfd.readouterr() == ("", "")


def test_processes_agree_on_every_byte(tmp_path: Path) -> None:
    script = tmp_path / "quantize.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from edgekit.model import load_model\n"
        "from edgekit.testing.harness import ListFeeds\n"
        "from edgekit.testing.models import CASES\n"
        "from edgekit_openvino import convert\n"
        "from edgekit_openvino.quantize_static import quantize\n"
        "for name in ('conv', 'transformer'):\n"
        "    folder = Path(sys.argv[1]) / name\n"
        "    folder.mkdir(parents=True)\n"
        "    made = convert.convert(load_model(CASES[name].write(folder)))\n"
        "    fit = ListFeeds([CASES[name].feed(1, seed) for seed in range(6)])\n"
        "    options = {'bias_correction': 'accurate', 'preset': 'mixed'}\n"
        "    result, _ = quantize(made.ir, fit, made.io, ignored=[], options=options)\n"
        "    known = {operation.get_friendly_name() for operation in made.ir.get_ops()}\n"
        "    convert.write(result, folder / 'int8.xml', known)\n"
    )
    processes = {}
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "EDGEKIT_HOME": str(tmp_path / f"home{seed}")}
        processes[tmp_path / seed] = subprocess.Popen([sys.executable, str(script), str(tmp_path / seed)], env=environment)
    assert [process.wait() for process in processes.values()] == [0, 0]
    written = [{path.relative_to(out): path.read_bytes() for path in sorted(out.glob("*/int8.*"))} for out in processes]
    assert len(written[0]) == 4
    assert written[0] == written[1]


# ---------------------------------------------------------------- refinements
def at(*features: str) -> Site:
    facts = DeviceFacts(
        kind="real", system="Linux", machine="x86_64", python="3.11", cpu_model="", cpu_features=features, cores=2,
        memory_bytes=None, memory_available_bytes=None, runtimes={},
    )  # fmt: skip
    return Site(PROFILE, facts)


def test_refinements_fit_the_model(tmp_path: Path) -> None:
    convolutional = load_model(CASES["conv"].write(tmp_path))
    products = load_model(CASES["transformer"].write(tmp_path))
    candidate = Candidate("openvino", Int8Static())
    names = [[next(iter(change)) for change in refinements(model, candidate, Site(PROFILE))] for model in (convolutional, products)]
    assert names == [["range_estimator", "preset", "bias_correction", "bias_correction"], ["range_estimator", "smooth_quant"]]
    assert refinements(products, Candidate("openvino", Float32()), Site(PROFILE)) == []


def test_processors_without_wide_sums_get_narrow_weights(tmp_path: Path) -> None:
    products, candidate = load_model(CASES["transformer"].write(tmp_path)), Candidate("openvino", Int8Static())
    assert refinements(products, candidate, at("avx2"))[0] == {"half_range_weights": "all"}
    assert refinements(products, candidate, at("avx2", "avx_vnni")) == refinements(products, candidate, Site(PROFILE))


def test_refinements_do_not_repeat_what_is_set(tmp_path: Path) -> None:
    products = load_model(CASES["transformer"].write(tmp_path))
    candidate = Candidate("openvino", Int8Static(), build_options={"range_estimator": "minmax"})
    assert refinements(products, candidate, Site(PROFILE)) == [{"smooth_quant": 0.8}]


@pytest.mark.real_model
def test_refinements_help_a_recogniser() -> None:
    """Not one by one, which the search finds out, but what they are there for: the error falls."""
    recogniser = task("recogniser")
    made = convert.convert(load_model(recogniser.model(), shape=recogniser.SHAPE))
    feeds = list(itertools.islice(recogniser.calibration(), 24))
    fit, held_out = ListFeeds(feeds[:12]), feeds[12:]
    exact = outputs(made.ir, held_out)
    refined: dict[str, Scalar] = {"range_estimator": "minmax", "preset": "mixed"}
    default_db, refined_db = (
        sqnr_db(exact, outputs(quantized(made, fit, bias_correction="none", **options)[0], held_out)) for options in ({}, refined)
    )
    assert refined_db > default_db + 1.0, f"{default_db:.1f} dB -> {refined_db:.1f} dB"


def outputs(ir: Any, feeds: list[Feed]) -> Array:
    ov = vendor.openvino()
    compiled = ov.Core().compile_model(ir, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    return np.stack([compiled(dict(feed))[0] for feed in feeds])


def sqnr_db(exact: Array, rounded: Array) -> float:
    return float(10 * np.log10((exact**2).sum() / ((exact - rounded) ** 2).sum()))
