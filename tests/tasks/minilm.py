"""Sentence embeddings: all-MiniLM-L6-v2 on retrieval; the metric is top-1.

The text is what every machine with Python has: docstrings of the standard library. The query is a docstring's first sentence, the
document is the rest; the right answer is the document of the same docstring among the 20 of its group. Pairs are ordered by their
hash, and the three sets are consecutive runs of that order, so no text is in two sets. (Another Python release has a few other
docstrings, hence scores that differ by a point.)

One feed is one text: input_ids, attention_mask, token_type_ids, each int64, 1 x 48 (truncated and padded).

Deploy with ``--calib tests/tasks/minilm.py:calibration --eval tests/tasks/minilm.py:evaluate``.
"""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import minilm_graph
import numpy as np
import numpy.typing as npt
from task_common import MODELS, Feed, Predict, score_document

SHAPE = {"input_ids": (1, 48), "attention_mask": (1, 48), "token_type_ids": (1, 48)}
N_CALIBRATION, N_EVALUATION, N_THIRD = 100, 200, 500
LENGTH = 48
GROUP = 20  # documents that a query has to choose from; README.md says why not more
FOLDERS = (
    ".", "asyncio", "concurrent/futures", "email", "http", "importlib", "json", "logging", "multiprocessing", "unittest", "urllib",
    "xml/dom",
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """One docstring in two parts; ``kind`` and ``name`` are what it documents."""

    query: str
    document: str
    kind: str
    name: str


def model() -> Path:
    """The ONNX graph of the model, built at the first call (90 MB); a path to nothing where the fetched files are not there."""
    folder = MODELS / "minilm"
    recipe = hashlib.sha256(Path(minilm_graph.__file__).read_bytes()).hexdigest()[:8]
    built = MODELS / "built" / f"minilm-{recipe}.onnx"
    if not built.exists() and (folder / "model.safetensors").exists():
        minilm_graph.build(folder, built)
    return built


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: 100 texts, queries and documents in turn, that no score is taken from."""
    for index, pair in enumerate(pairs()[:N_CALIBRATION]):
        yield feed(pair.document if index % 2 else pair.query)


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: top-1 of 200 queries, each among 20 documents; slices by what is documented."""
    return score(predict, pairs()[N_CALIBRATION : N_CALIBRATION + N_EVALUATION])


def third(predict: Predict) -> dict[str, Any]:
    """The score on 500 queries, each among 20 documents, that edgekit is never given."""
    return score(predict, pairs()[N_CALIBRATION + N_EVALUATION :])


def score(predict: Predict, chosen: tuple[Pair, ...]) -> dict[str, Any]:
    def embed(text: str) -> npt.NDArray[np.float32]:
        (embedding,) = predict(feed(text)).values()  # 1 x 384, unit norm
        return np.asarray(embedding, np.float32).reshape(-1)

    found: list[int] = []
    for first in range(0, len(chosen), GROUP):
        group = chosen[first : first + GROUP]
        documents = np.stack([embed(pair.document) for pair in group])
        found += [first + int(np.argmax(documents @ embed(pair.query))) for pair in group]
    hits = [index == truth for truth, index in enumerate(found)]
    return score_document("retrieval top-1", hits, [pair.kind for pair in chosen], found)


def feed(text: str) -> Feed:
    encoded = _tokenizer().encode(text)
    columns = {"input_ids": encoded.ids, "attention_mask": encoded.attention_mask, "token_type_ids": encoded.type_ids}
    return {name: np.array([values], np.int64) for name, values in columns.items()}


@cache
def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(MODELS / "minilm" / "tokenizer.json"))
    tokenizer.enable_truncation(LENGTH)
    tokenizer.enable_padding(length=LENGTH)
    return tokenizer


# ---------------------------------------------------------------- the texts
@cache
def pairs() -> tuple[Pair, ...]:
    """The pairs of all three sets, one for each name: the same method of two classes has two texts that nobody can tell apart.

    Nor are two texts the same to the model, which sees lower case and the first 48 tokens.
    """
    found: dict[str, Pair] = {}
    seen: set[tuple[int, ...]] = set()
    library = Path(sysconfig.get_path("stdlib"))
    for source in sorted(path for folder in FOLDERS for path in (library / folder).glob("*.py")):
        for pair in docstrings(source):
            tokens = {tuple(_tokenizer().encode(text).ids) for text in (pair.query, pair.document)}
            if pair.name not in found and not tokens & seen:
                seen |= tokens
                found[pair.name] = pair
    in_order = sorted(found.values(), key=lambda pair: hashlib.sha256((pair.query + pair.document).encode()).digest())
    wanted = N_CALIBRATION + N_EVALUATION + N_THIRD
    if len(in_order) < wanted:
        raise RuntimeError(f"the standard library in {library} has {len(in_order)} usable docstrings, {wanted} are needed")
    return tuple(in_order[:wanted])


def docstrings(source: Path) -> Iterator[Pair]:
    """The docstrings of a file that have a first sentence and something to say after it."""
    tree = ast.parse(source.read_bytes())
    methods = {item for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for item in node.body}
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        query, end, document = " ".join((ast.get_docstring(node) or "").split()).partition(". ")
        if end and 4 <= len(query.split()) <= 30 and len(document.split()) >= 12:
            kind = "class" if isinstance(node, ast.ClassDef) else "method" if node in methods else "function"
            yield Pair(query, document, kind, node.name.strip("_").lower())
