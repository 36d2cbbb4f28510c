"""all-MiniLM-L6-v2 as an ONNX graph, written node by node from the safetensors that its package ships; no torch.

BERT with 6 layers, 12 heads of 32, GELU by Erf, then mean pooling over the unmasked positions and L2 normalisation (the two stages
that sentence-transformers adds). Source of the architecture: "BERT" (Devlin et al., 2018) and the package's own config.json.

Inputs input_ids, attention_mask, token_type_ids: int64, batch x sequence. Output sentence_embedding: float32, batch x 384, of unit
norm.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Weights = dict[str, npt.NDArray[np.float32]]

OPSET = 17  # the first with LayerNormalization
IR_VERSION = 8


def build(folder: Path, destination: Path) -> None:
    """Writes ``destination``, whole or not at all, from model.safetensors and config.json in ``folder``."""
    config = json.loads((folder / "config.json").read_text())
    model = _Graph(read_safetensors(folder / "model.safetensors"), config).model()
    onnx.checker.check_model(model)
    destination.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=destination.parent, suffix=".tmp")
    with os.fdopen(handle, "wb") as stream:
        stream.write(model.SerializeToString())
    Path(aside).replace(destination)


def read_safetensors(path: Path) -> Weights:
    """The float32 tensors of a safetensors file: 8 bytes of header length, a JSON header, the raw little-endian data."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    weights = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            first, last = entry["data_offsets"]
            weights[name] = np.frombuffer(data[start + first : start + last], "<f4").reshape(entry["shape"])
    return weights


class _Graph:
    """Collects nodes and initializers; every method appends nodes and returns the name of the tensor they end in."""

    def __init__(self, weights: Weights, config: dict[str, int | float]) -> None:
        self.weights = weights
        self.layers = int(config["num_hidden_layers"])
        self.heads = int(config["num_attention_heads"])
        self.hidden = int(config["hidden_size"])
        self.epsilon = float(config["layer_norm_eps"])
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def model(self) -> onnx.ModelProto:
        self.sentence_embedding()
        ids = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in
               ("input_ids", "attention_mask", "token_type_ids")]  # fmt: skip
        embedding = helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["batch", self.hidden])
        graph = helper.make_graph(self.nodes, "all-MiniLM-L6-v2", ids, [embedding], list(self.initializers.values()))
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="edgekit-tests")

    def sentence_embedding(self) -> str:
        x = self.token_embeddings()
        bias = self.attention_bias()
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}."
            attended = self.dense(self.attention(x, bias, prefix + "attention.self."), prefix + "attention.output.dense")
            x = self.layer_norm(self.node("Add", [attended, x]), prefix + "attention.output.LayerNorm")
            inner = self.gelu(self.dense(x, prefix + "intermediate.dense"))
            x = self.layer_norm(self.node("Add", [self.dense(inner, prefix + "output.dense"), x]), prefix + "output.LayerNorm")
        return self.mean_pool_and_normalise(x)

    def token_embeddings(self) -> str:
        words = self.node("Gather", [self.weight("embeddings.word_embeddings.weight"), "input_ids"])
        types = self.node("Gather", [self.weight("embeddings.token_type_embeddings.weight"), "token_type_ids"])
        sequence = self.node("Shape", ["input_ids"], start=1, end=2)
        table = self.weight("embeddings.position_embeddings.weight")
        positions = self.node("Slice", [table, self.ints("zero", [0]), sequence, self.ints("zero", [0])])
        summed = self.node("Add", [self.node("Add", [words, types]), positions])
        return self.layer_norm(summed, "embeddings.LayerNorm")

    def attention_bias(self) -> str:
        """0 where there is a token, -10000 where there is padding; batch x 1 x 1 x sequence."""
        mask = self.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
        masked = self.node("Sub", [self.floats("one", 1.0), mask])
        wide = self.node("Unsqueeze", [masked, self.ints("axes_1_2", [1, 2])])
        return self.node("Mul", [wide, self.floats("minus_10000", -10000.0)])

    def attention(self, x: str, bias: str, prefix: str) -> str:
        query = self.split_heads(self.dense(x, prefix + "query"), [0, 2, 1, 3])
        key = self.split_heads(self.dense(x, prefix + "key"), [0, 2, 3, 1])
        value = self.split_heads(self.dense(x, prefix + "value"), [0, 2, 1, 3])
        scores = self.node("MatMul", [query, key])
        scaled = self.node("Div", [scores, self.floats("root_of_head_size", (self.hidden / self.heads) ** 0.5)])
        weights = self.node("Softmax", [self.node("Add", [scaled, bias])], axis=-1)
        context = self.node("Transpose", [self.node("MatMul", [weights, value])], perm=[0, 2, 1, 3])
        return self.node("Reshape", [context, self.ints("merged_heads", [0, 0, self.hidden])])

    def split_heads(self, x: str, perm: Sequence[int]) -> str:
        split = self.node("Reshape", [x, self.ints("split_heads", [0, 0, self.heads, self.hidden // self.heads])])
        return self.node("Transpose", [split], perm=list(perm))

    def gelu(self, x: str) -> str:
        erf = self.node("Erf", [self.node("Div", [x, self.floats("root_of_2", 2.0**0.5)])])
        product = self.node("Mul", [x, self.node("Add", [erf, self.floats("one", 1.0)])])
        return self.node("Mul", [product, self.floats("half", 0.5)])

    def mean_pool_and_normalise(self, x: str) -> str:
        mask = self.node("Cast", ["attention_mask"], to=TensorProto.FLOAT)
        mask = self.node("Unsqueeze", [mask, self.ints("axis_2", [2])])
        total = self.node("ReduceSum", [self.node("Mul", [x, mask]), self.ints("axis_1", [1])], keepdims=0)
        mean = self.node("Div", [total, self.node("ReduceSum", [mask, self.ints("axis_1", [1])], keepdims=0)])
        norm = self.node("ReduceL2", [mean], axes=[1], keepdims=1)
        return self.node("Div", [mean, norm], output="sentence_embedding")

    def dense(self, x: str, name: str) -> str:
        product = self.node("MatMul", [x, self.weight(name + ".weight", transposed=True)])
        return self.node("Add", [product, self.weight(name + ".bias")])

    def layer_norm(self, x: str, name: str) -> str:
        inputs = [x, self.weight(name + ".weight"), self.weight(name + ".bias")]
        return self.node("LayerNormalization", inputs, axis=-1, epsilon=self.epsilon)

    def weight(self, name: str, *, transposed: bool = False) -> str:
        array = self.weights[name]
        return self.initializer(name, np.ascontiguousarray(array.T) if transposed else array)

    def ints(self, name: str, values: Sequence[int]) -> str:
        return self.initializer(name, np.array(values, np.int64))

    def floats(self, name: str, value: float) -> str:
        return self.initializer(name, np.array(value, np.float32))

    def initializer(self, name: str, array: npt.NDArray[np.generic]) -> str:
        self.initializers.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, inputs: Sequence[str], *, output: str = "", **attributes: Any) -> str:
        output = output or f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=f"{operator}.{len(self.nodes)}", **attributes))
        return output
