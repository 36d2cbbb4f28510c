"""Static int8 by ``nncf.quantize``, with what it does silently made explicit.

- The model comes from ``openvino.convert_model``: NNCF finds no bias to correct in one that ``Core.read_model`` took from ONNX.
- LSTM, GRU and RNN stay in float: their int8 form cost a text recogniser 8 points.
- Operations that are to stay in float are named, and NNCF checks that each name is there.
- Softmax, LayerNorm and residuals stay in float where the model is a transformer, and SmoothQuant
  (https://arxiv.org/abs/2211.10438) moves the range of its activations into the weights; NNCF must be told that it is one.
- All calibration feeds are used. They are streamed, several times over; each leaves a few numbers a tensor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import vendor
from .quantize_options import SMOOTH_QUANT_OFF, StaticOptions, read_options

if TYPE_CHECKING:
    from edgekit.schemes import Scalar
    from edgekit.types import Array, Feeds, TensorMap

_RECURRENT = frozenset({"LSTMCell", "LSTMSequence", "GRUCell", "GRUSequence", "RNNCell", "RNNSequence", "TensorIterator", "Loop"})
_CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution", "ConvolutionBackpropData", "GroupConvolutionBackpropData"})
_OF_TRANSFORMERS = frozenset({"ScaledDotProductAttention", "MVN"})  # LayerNorm becomes MVN
#: What moves values without computing: int8 passes through.
_MOVES = frozenset({"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Concat", "Split", "VariadicSplit", "StridedSlice", "MaxPool"})
_RANGE_ESTIMATORS = {"minmax": "MINMAX", "mean_no_outliers": "MEAN_NO_OUTLIERS_MINMAX", "percentile": "MEAN_QUANTILE"}


def quantize(
    ir: Any, fit: Feeds, io: tuple[TensorMap, ...], *, ignored: Collection[str], options: Mapping[str, Scalar]
) -> tuple[Any, Counter[str]]:
    """A quantized copy of ``ir`` and how many convolutions and matrix products of each type compute in int8.

    Args:
        ir: an ``openvino.Model`` in full precision.
        fit: calibration feeds under the names of the model; every one is used.
        io: how those names appear in ``ir``.
        ignored: friendly names of operations that stay in float.
        options: see :class:`.quantize_options.StaticOptions`.

    Raises:
        ModelError: NNCF cannot quantize this model, a name is not there, or an option is not known.
    """
    nncf = vendor.nncf()
    chosen = read_options(options)
    is_transformer = chosen.model_type == "transformer" or (chosen.model_type == "auto" and looks_like_transformer(ir))
    recurrent = sorted(_types_of(ir).keys() & _RECURRENT)
    with vendor.quiet(), vendor.as_model_errors("NNCF cannot quantize this model"):
        made = nncf.quantize(
            ir,
            nncf.Dataset(_Inputs(fit, io)),
            preset=None if chosen.preset == "auto" else nncf.QuantizationPreset(chosen.preset),
            subset_size=len(fit),
            fast_bias_correction=chosen.bias_correction != "accurate",
            model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
            ignored_scope=nncf.IgnoredScope(names=sorted(ignored), types=recurrent, validate=True),
            advanced_parameters=_advanced(nncf, chosen),
        )
    return made, quantized_operations(made)


def looks_like_transformer(ir: Any) -> bool:
    """Whether ``ir`` has attention or LayerNorm, and at least as many products with weights as convolutions.

    A convolutional net with one attention layer at its end is better quantized as what it mostly is.
    """
    types = _types_of(ir)
    products = sum(
        any(source.get_node().get_type_name() == "Constant" for source in operation.input_values())
        for operation in ir.get_ops()
        if operation.get_type_name() == "MatMul"
    )
    return bool(types.keys() & _OF_TRANSFORMERS) and products >= sum(types[name] for name in _CONVOLUTIONS)


def quantized_operations(ir: Any) -> Counter[str]:
    """The convolutions and products of ``ir`` that read a quantized activation, by type."""
    counts: Counter[str] = Counter()
    for operation in ir.get_ops():
        name = operation.get_type_name()
        if name in _CONVOLUTIONS or name == "MatMul":
            counts[name] += _is_quantized(operation.input_value(0).get_node())
    return +counts


def _is_quantized(operation: Any) -> bool:
    while operation.get_type_name() in _MOVES:
        operation = operation.input_value(0).get_node()
    return bool(operation.get_type_name() == "FakeQuantize")


def _types_of(ir: Any) -> Counter[str]:
    return Counter(operation.get_type_name() for operation in ir.get_ops())


def _advanced(nncf: Any, options: StaticOptions) -> Any:
    from nncf.quantization.range_estimator import RangeEstimatorParameters, RangeEstimatorParametersSet

    estimator = _RANGE_ESTIMATORS.get(options.range_estimator)
    alpha = -1.0 if options.smooth_quant == SMOOTH_QUANT_OFF else float(options.smooth_quant)
    half_range = {"first_layer": nncf.OverflowFix.FIRST_LAYER, "all": nncf.OverflowFix.ENABLE, "none": nncf.OverflowFix.DISABLE}
    return nncf.AdvancedQuantizationParameters(
        overflow_fix=half_range[options.half_range_weights],
        disable_bias_correction=options.bias_correction == "none",
        activations_range_estimator_params=(
            getattr(RangeEstimatorParametersSet, estimator) if estimator else RangeEstimatorParameters()
        ),
        smooth_quant_alphas=nncf.AdvancedSmoothQuantParameters(matmul=alpha),
    )


class _Inputs:
    """The feeds under the names of the IR; iterated afresh as often as NNCF asks."""

    def __init__(self, feeds: Feeds, io: tuple[TensorMap, ...]) -> None:
        self._feeds = feeds
        self._names = {tensor.original.name: tensor.artifact.name for tensor in io if tensor.role == "input"}

    def __iter__(self) -> Iterator[dict[str, Array]]:
        for feed in self._feeds:
            yield {ours: feed[given] for given, ours in self._names.items()}

    def __len__(self) -> int:
        return len(self._feeds)
