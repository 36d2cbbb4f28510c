"""What quantizing any set of a candidate's operators does to the outputs: simulated on held-out data, without building anything."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from .building import tool_versions
from .chance import is_no_chance
from .feed_checks import hash_feed
from .fidelity import Comparison
from .quantize.damage import Contribution, contributions
from .quantize.error_table import remembered
from .quantize.own_errors import own_errors
from .quantize.switches import SwitchedModel
from .quantize.types import RangeMethod
from .types import JSON, BuildData, Feed, NodeId
from .values import to_json

if TYPE_CHECKING:
    import onnx

    from .judging import FloatView
    from .model import Model
    from .quantize.types import Range, Sparable

FEEDS_FOR_ERRORS = 4  # held-out feeds on which single operators are looked at
FEEDS_FOR_METHODS = (8, 32)  # held-out ones, at least and at most, on which range methods are compared: as time allows
USUAL_METHOD: RangeMethod = "mse"  # by expectation the closest; another one must be clearly closer on the feeds at hand
CLEARLY_CLOSER_DB = 0.5
FEEDS_FOR_SETS = (8, 24)  # and on which a set of operators is compared with float
USUAL_SETS = 15  # that are looked at
METHODS_SHARE, SETS_SHARE = 0.3, 0.4  # of the time


class Simulation:
    """One candidate's operators, switched on and off.

    Args:
        seconds: how long all of it should take, roughly: fewer feeds are looked at where a run takes long.
        methods: range methods to choose among. The one whose simulation comes closest to float is taken (``method``), where it is
            so by more than chance. Held-out feeds are few, and one odd among them must not decide: each counts alike, and as many
            of those that the ranges come from are looked at as well. A method has no parameter that could fit them.
        on_method: told each method and how close its simulation came, as SQNR in dB; minus infinity where outputs have none.
    """

    def __init__(
        self,
        model: Model,
        sparable: Sparable,
        data: BuildData | None,
        view: FloatView,
        *,
        seconds: float,
        methods: Sequence[RangeMethod],
        on_method: Callable[[RangeMethod, float], None],
    ) -> None:
        self.nodes = [item.node for item in sparable.items]
        self._model = model
        self._sparable = sparable
        self._data = data
        self._kinds = view.kinds
        self._pairs = list(islice(zip(view.feeds, view.outputs, strict=True), max(*FEEDS_FOR_METHODS, *FEEDS_FOR_SETS)))
        self._seen: dict[frozenset[NodeId], Comparison] = {}
        graph = self._graph()
        comparisons: dict[RangeMethod, Comparison] = {}
        ranges: dict[RangeMethod, Mapping[str, Range]] = {}
        opened: dict[RangeMethod, SwitchedModel] = {}  # at most one: it holds all weights twice
        for method in sorted(methods, key=lambda each: each == USUAL_METHOD):  # what is likeliest to be chosen is open at the end
            opened.clear()
            ranges[method] = self._ranges(method, graph)
            opened[method] = self._open(graph, ranges[method])
            if not comparisons:
                run_s = self._seconds_a_run(opened[method])
                n_feeds = _affordable(METHODS_SHARE * seconds / len(methods), 3 * run_s, FEEDS_FOR_METHODS)
                self._feeds_for_sets = _affordable(SETS_SHARE * seconds / USUAL_SETS, run_s, FEEDS_FOR_SETS)
            comparison = comparisons[method] = self._comparison_of_method(opened[method], n_feeds)
            on_method(method, comparison.usual_db if comparison.signal > 0 else -math.inf)
        self.method = closest({method: comparison.feeds_db for method, comparison in comparisons.items()})
        self._chosen_ranges = ranges[self.method]
        if self.method not in opened:
            opened.clear()
            opened[self.method] = self._open(graph, self._chosen_ranges)
        self._switched = opened[self.method]

    def _open(self, graph: onnx.ModelProto, ranges: Mapping[str, Range]) -> SwitchedModel:
        return SwitchedModel(graph, self._sparable.items, self._sparable.placement, ranges)

    def _comparison_of_method(self, switched: SwitchedModel, n_feeds: int) -> Comparison:
        comparison = self._compare(switched, self.nodes, n_feeds)
        for feed in islice(self._data.fit, n_feeds) if self._data is not None else ():
            comparison.add(switched.run(feed, frozenset()), switched.run(feed, frozenset(self.nodes)))
        return comparison

    def _seconds_a_run(self, switched: SwitchedModel) -> float:
        started = time.monotonic()
        self._compare(switched, self.nodes, 1)
        return time.monotonic() - started

    def of(self, quantized: Collection[NodeId]) -> Comparison:
        """Beside float, with ``quantized`` in low precision and all others in float."""
        key = frozenset(quantized)
        if key not in self._seen:
            self._seen[key] = self._compare(self._switched, key, self._feeds_for_sets)
        return self._seen[key]

    def errors(
        self, seconds: float, on_group: Callable[[int, int], None] | None = None, *, matters: float = math.inf
    ) -> list[Contribution]:
        """Each operator's error at the outputs, largest first, as well as it can be told in ``seconds``.

        ``on_group``, ``matters``: see :func:`edgekit.quantize.damage.contributions`.
        """
        feeds = [feed for feed, _ in self._pairs[:FEEDS_FOR_ERRORS]]
        own = own_errors(self._graph(), self._sparable.items, self._sparable.placement, self._chosen_ranges, feeds)
        with remembered(self._identity(feeds), self._error_of) as error_of:
            return contributions(own, error_of, seconds=seconds, matters=matters, on_group=on_group)

    def _identity(self, feeds: Sequence[Feed]) -> JSON:
        """Everything that an error depends on."""
        return {
            "model": self._model.fingerprint,
            "placement": to_json(self._sparable.placement),
            "rewrites": list(self._sparable.rewrites),
            "items": [to_json(item) for item in self._sparable.items],
            "ranges": {name: [span.low, span.high] for name, span in self._chosen_ranges.items()},
            "kinds": {name: [kind.kind, kind.axis] for name, kind in self._kinds.items()},
            "feeds": [hash_feed(feed) for feed in feeds],
            "tools": tool_versions(),
        }

    def _error_of(self, nodes: Sequence[NodeId]) -> float:
        return output_error(self._compare(self._switched, nodes, FEEDS_FOR_ERRORS))

    def _compare(self, switched: SwitchedModel, quantized: Collection[NodeId], n_feeds: int) -> Comparison:
        comparison, chosen = Comparison(self._kinds), frozenset(quantized)
        for feed, expected in self._pairs[:n_feeds]:
            comparison.add(expected, switched.run(feed, chosen))
        return comparison

    def _graph(self) -> onnx.ModelProto:
        from .quantize.passes import rewritten

        return rewritten(self._model, self._sparable.rewrites)

    def _ranges(self, method: RangeMethod, graph: onnx.ModelProto) -> Mapping[str, Range]:
        from .quantize.emitter import shared_ranges
        from .quantize.placement import planned_tensors
        from .quantize.range_cache import statistics_for
        from .quantize.ranges import ranges_for

        if self._data is None or not self._sparable.calibrated:
            return {}
        statistics = statistics_for(self._model, self._data, self._sparable.calibrated, rewrites=self._sparable.rewrites)
        operators = [item.operator for item in self._sparable.items if not item.dynamic]
        ranges = ranges_for(statistics.tensors, planned_tensors(operators), self._sparable.placement, method)
        return shared_ranges(graph.graph, operators, ranges)


def output_error(comparison: Comparison) -> float:
    """The error energy of the outputs relative to float's; of outputs that are integers (classes, masks), what disagrees."""
    if comparison.is_broken:
        return math.inf
    if comparison.signal > 0:
        return comparison.noise / comparison.signal
    agreement = comparison.agreement()
    return 1 - agreement.value if agreement is not None else 0.0


def _affordable(seconds: float, run_s: float, between: tuple[int, int]) -> int:
    least, most = between
    return max(least, min(most, int(seconds / max(run_s, 1e-6))))


def closest(feeds_db: Mapping[RangeMethod, Sequence[float]]) -> RangeMethod:
    """The method that comes closest to float; the usual one, where none is clearly closer, and by more than chance.

    Args:
        feeds_db: by method, the closeness of each feed, of the same feeds in the same order.
    """
    usual_db = {method: statistics.mean(found) if found else -math.inf for method, found in feeds_db.items()}
    best = max(usual_db, key=lambda method: usual_db[method])
    if USUAL_METHOD not in feeds_db:
        return best
    is_closer = usual_db[best] > usual_db[USUAL_METHOD] + CLEARLY_CLOSER_DB
    return best if is_closer and is_no_chance(feeds_db[USUAL_METHOD], feeds_db[best]) else USUAL_METHOD
