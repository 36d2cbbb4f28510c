"""What is promised of a Jetson without one at hand, against what was found: met, missed or skipped, always with the numbers."""

from __future__ import annotations

from collections.abc import Iterator

from .jetson_records import Beside, Document, ModelResult, Precision
from .lines import MET, MISSED, SKIPPED, Line

TIE_DB = 0.05  # below what one decimal shows


def of_document(document: Document) -> list[Line]:
    return [line for result in document.models for line in of_model(result)]


def of_model(result: ModelResult) -> Iterator[Line]:
    if result.fails:
        yield Line(result.name, "a bundle is built", MISSED, result.fails)
        return
    yield _bundle(result)
    for each in result.precisions:
        yield _gates(result, each)
        yield _rules(result, each)
        yield _parser(result, each)
    if result.beside is None or result.beside.best is None:
        reason = result.beside_reason
        if result.beside is not None:
            reason = "; ".join(f"{each.who}: {each.fails}" for each in result.beside.theirs)
        yield Line(result.name, "int8 beside modelopt", SKIPPED, reason)
        return
    yield _convolutions(result, result.beside)
    yield _additions(result, result.beside)
    yield _closeness(result, result.beside)


def _bundle(result: ModelResult) -> Line:
    complete = result.has_program and len(result.carried) > 1
    program = "with" if result.has_program else "without"
    numbers = f"{len(result.carried)} candidates, {program} deploy-on-device.pyz"
    return Line(result.name, "the bundle carries what may win", MET if complete else MISSED, numbers)


def _gates(result: ModelResult, each: Precision) -> Line:
    promise = f"{each.scheme} holds the gates in the CPU simulation"
    if not each.holds:
        return Line(result.name, promise, MISSED, each.reason or "no reason was given")
    spared = f", {each.kept_float} operators in float" if each.kept_float else ""
    metric = f"{result.metric} {each.metric:.4f} (float {result.metric_float:.4f})" if each.metric is not None else ""
    sqnr = f"{each.sqnr_db:.1f} dB" if each.sqnr_db is not None else "exactly float's"
    agreement = f"agreement {each.agreement:.3f}" if each.agreement is not None else ""
    return Line(result.name, promise, MET, f"{each.id}: {', '.join(filter(None, (metric, agreement, sqnr)))}{spared}")


def _rules(result: ModelResult, each: Precision) -> Line:
    numbers = f"{len(each.rules)} errors, {each.warnings} warnings" + (f": {each.rules[0]}" if each.rules else "")
    return Line(result.name, f"{each.scheme}: the linter finds no error", MISSED if each.rules else MET, numbers)


def _parser(result: ModelResult, each: Precision) -> Line:
    promise = f"{each.scheme}: tensorrt-rtx builds it for SM86"
    if each.parser is None:
        return Line(
            result.name, promise, SKIPPED if "not installed" in each.parser_said else MISSED, each.parser_said or "no answer"
        )
    return Line(result.name, promise, MET if each.parser else MISSED, each.parser_said or "built, and the plan dropped")


def _convolutions(result: ModelResult, found: Beside) -> Line:
    theirs = found.best.convolutions if found.best else 0
    numbers = f"edgekit {found.ours.convolutions}, modelopt {theirs}"
    for who, names in (("edgekit", found.only_ours), ("modelopt", found.only_theirs)):
        if names:
            numbers += f"; only {who}: {', '.join(names[:3])}{' ...' if len(names) > 3 else ''}"
    same = not found.only_ours and not found.only_theirs
    return Line(result.name, "int8 covers the same convolutions as modelopt's", MET if same else MISSED, numbers)


def _additions(result: ModelResult, found: Beside) -> Line:
    numbers = f"{found.additions - len(found.differing)} of {found.additions} alike"
    if found.differing:
        numbers += f"; not {', '.join(found.differing[:3])}{' ...' if len(found.differing) > 3 else ''}"
    return Line(result.name, "residual additions are treated as modelopt's", MISSED if found.differing else MET, numbers)


def _closeness(result: ModelResult, found: Beside) -> Line:
    best = found.best
    assert best is not None
    assert best.sqnr_db is not None
    promise = "int8 is as close to float as modelopt's"
    if found.ours.sqnr_db is None:
        return Line(result.name, promise, MISSED, "edgekit's has no finite SQNR")
    reached = found.ours.sqnr_db >= best.sqnr_db - TIE_DB
    plain = f" ({found.plain.sqnr_db:.2f} dB before refinement)" if found.plain.sqnr_db is not None else ""
    numbers = f"{found.ours.sqnr_db:.2f} dB{plain}, {best.who} {best.sqnr_db:.2f} dB on {found.samples} samples"
    return Line(result.name, promise, MET if reached else MISSED, numbers)
