"""The session that the host holds with a device's agent: a context manager that leaves nothing behind on the device."""

from __future__ import annotations

import array
import contextlib
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, cast

from ..agent.frames import Frame
from ..agent.tensors import TensorError, decode, encode
from ..agent.timing import LOOP
from ..errors import DataError, DeviceRunError, DeviceUnavailableError, IntegrityError, UnknownNameError, UsageError
from ..types import JSON, DeviceFacts, Feed, Measurement, Reading, RunFailure, Runner, Sustained, Turn, WarmUp
from .channel import DEAD_AFTER_S, Channel
from .conditions import conditions_from, reading_from
from .facts import facts_from_probe
from .pace import Pace
from .plan import BenchPlan, EnergyPlan, Opened, SustainPlan, Timeouts
from .text import clean, clean_json
from .transport import Transport, local_transport
from .zipapp import build_zipapp

if TYPE_CHECKING:
    from ..types import Array

__all__ = ["AgentSession", "BenchPlan", "Opened", "Progress", "Timeouts", "WorkerFailedError", "local_transport"]

_TIMEOUTS = Timeouts()
_PLAN = BenchPlan()
_LEASE_POLL_S = 0.5
_MODE_SILENCE_S = 150.0  # nvpmodel switches cores off and on; jetson_clocks runs several times, at most 30 s each
_MARGIN_S = 15.0  # the guardian enforces its time-outs itself; the host waits a little longer for its word
_FAILURE_KINDS = ("crash", "error", "timeout", "out-of-memory", "missing-runtime")

Progress = Callable[[int, int, str], None]  # done, total, what is being done (a step and a key, or a file)


class WorkerFailedError(DeviceRunError):
    """A candidate failed while it was asked for an inference; ``failure`` is its result."""

    def __init__(self, key: str, failure: RunFailure) -> None:
        super().__init__(f"{key} failed on the device", why=f"{failure.kind}: {failure.message}")
        self.failure = failure


class AgentSession:
    """A connected agent.

    Args:
        transport: the way to the device.
        runners: by target name; their code goes into the agent's zipapp.
        timeouts: how long to wait for what.
        become: what the agent puts before its fixed list of privileged commands; empty: it runs none.
    """

    def __init__(
        self,
        transport: Transport,
        runners: Mapping[str, Runner],
        *,
        timeouts: Timeouts = _TIMEOUTS,
        become: Sequence[str] = (),
    ) -> None:
        self.repaired: tuple[str, ...] = ()  # what the agent has put back that a broken-off session had left changed
        self.last_orders: tuple[tuple[str, ...], ...] = ()  # the order of candidates in each round of the last bench
        self._transport = transport
        self._runners = dict(runners)
        self._timeouts = timeouts
        self._become = list(become)
        self._pace = Pace()
        self._channel: Channel | None = None
        self._opened: dict[str, Opened] = {}
        self._lease_depth = 0

    # ------------------------------------------------------------ life
    def __enter__(self) -> AgentSession:
        """Start the agent.

        Raises:
            DeviceUnavailableError: it does not start or does not speak this protocol.
        """
        channel = Channel(self._transport.spawn(build_zipapp(self._runners)), self._transport.address)
        try:
            nonce = channel.banner(self._timeouts.connect_s)
            hello: dict[str, Any] = {"nonce": nonce, "become": self._become}
            if not self._transport.shares_files:  # a pulled cable says nothing; on one machine the end of a process does
                channel.beat()
                hello["silence_s"] = DEAD_AFTER_S
            answer = channel.request("hello", hello, silence_s=self._timeouts.connect_s)
        except BaseException:
            channel.close(wait_s=1.0)
            raise
        self.repaired = tuple(clean(line, 400) for line in list(answer.fields.get("repaired") or [])[:100])
        self._channel = channel
        return self

    def __exit__(self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        channel, self._channel = self._channel, None
        if channel is None:
            return
        try:
            if kind is None and channel.usable:
                with contextlib.suppress(DeviceUnavailableError):
                    channel.request("bye", {}, silence_s=self._timeouts.connect_s)
        finally:
            channel.close()

    @property
    def log_text(self) -> str:
        """The last part of what the agent, the runners and their runtimes printed, cleaned."""
        return self._live.log_text

    @property
    def sent_bytes(self) -> int:
        """Bytes sent to the agent so far, frame headers included; not the agent itself."""
        return self._live.sent_bytes

    @property
    def _live(self) -> Channel:
        if self._channel is None:
            raise UsageError("the agent session is not open", hint="use it in a with block")
        return self._channel

    # ------------------------------------------------------------ facts and files
    def probe(self) -> DeviceFacts:
        """What the device is, read anew."""
        answer = self._live.request("probe", {}, silence_s=self._timeouts.probe_s)
        return facts_from_probe(answer.fields.get("facts"))

    def push(self, folder: Path, files: Mapping[str, str], progress: Progress | None = None) -> None:
        """Bring files to the device's store; what is there already is not sent again, what was begun is resumed.

        Args:
            folder: where the files lie on this machine.
            files: ``{path relative to folder: sha256}``.

        Raises:
            IntegrityError: a file is missing here or does not have its hash.
            DeviceRunError: the device cannot store it.
        """
        sources = {sha256: folder / relpath for relpath, sha256 in files.items()}
        try:
            sizes = {sha256: path.stat().st_size for sha256, path in sources.items()}
        except OSError as problem:
            raise IntegrityError(f"{problem.filename} is missing", why=problem.strerror or "", hint="build it again") from problem
        answer = self._live.request("need", {"sizes": sizes}, silence_s=self._timeouts.push_stall_s + _MARGIN_S)
        total = sum(sizes.values())
        done = total
        missing: dict[str, int] = {sha256: int(have) for sha256, have in answer.fields["missing"].items() if sha256 in sizes}
        done -= sum(sizes[sha256] - have for sha256, have in missing.items())
        for sha256, have in missing.items():
            done = self._put(sha256, sources[sha256], sizes[sha256], have, (done, total), progress)

    def _put(self, sha256: str, path: Path, size: int, have: int, so_far: tuple[int, int], progress: Progress | None) -> int:
        """Send one file from byte ``have`` on; returns how many bytes are done in all."""
        done, total = so_far
        stall_s = self._timeouts.push_stall_s
        if self._transport.shares_files:
            request = {"sha256": sha256, "path": str(path.resolve())}
            self._live.request("put", request, silence_s=stall_s + size / 50e6)  # hashing takes its time
            done += size - have
        else:
            with path.open("rb") as stream:
                stream.seek(have)
                while True:
                    chunk = stream.read(self._pace.chunk_bytes)
                    fields = {"sha256": sha256, "offset": have, "size": size}
                    began = time.monotonic()
                    complete = self._live.request("put", fields, chunk, silence_s=stall_s + size / 50e6).fields["complete"]
                    self._pace.took(len(chunk), time.monotonic() - began)
                    have += len(chunk)
                    done += len(chunk)
                    if progress is not None:
                        progress(done, total, path.name)
                    if complete:
                        return done
                    if not chunk:
                        raise IntegrityError(f"{path} became shorter while it was sent", hint="build it again")
        if progress is not None:
            progress(done, total, path.name)
        return done

    def request(self, op: str, fields: Mapping[str, Any], *, size_bytes: int = 0) -> Mapping[str, Any]:
        """An operation on the device's files that has a module of its own here; its answer as it came.

        Args:
            size_bytes: what the device has to read and write for it.

        Raises:
            DeviceRunError, IntegrityError: the agent refused.
        """
        silence_s = self._timeouts.push_stall_s + size_bytes / 10e6 + _MARGIN_S
        return self._live.request(op, fields, silence_s=silence_s).fields

    # ------------------------------------------------------------ the lease
    @contextlib.contextmanager
    def lease(
        self, *, wait_s: float | None = None, purpose: str = "edgekit", on_wait: Callable[[str], None] | None = None
    ) -> Iterator[None]:
        """Hold the device alone. Nests; ``infer``, ``bench`` and ``prepare`` take it themselves when it is not held.

        Args:
            wait_s: how long to wait for it; ``None`` means not at all.
            on_wait: told once who holds it, when it has to be waited for.

        Raises:
            DeviceUnavailableError: somebody else holds it; says who and since when.
        """
        if self._lease_depth == 0:
            self._take_lease(wait_s or 0.0, purpose, on_wait)
        self._lease_depth += 1
        try:
            yield
        finally:
            self._lease_depth -= 1
            if self._lease_depth == 0 and self._channel is not None and self._channel.usable:
                self._channel.request("lease", {"hold": False}, silence_s=self._timeouts.connect_s)

    def _take_lease(self, wait_s: float, purpose: str, on_wait: Callable[[str], None] | None) -> None:
        give_up = time.monotonic() + wait_s
        while True:
            try:
                self._live.request("lease", {"hold": True, "purpose": purpose}, silence_s=self._timeouts.connect_s)
            except DeviceUnavailableError as busy:
                if not self._live.usable or time.monotonic() >= give_up:
                    raise
                if on_wait is not None:
                    on_wait(f"waiting: {busy.what}" + (f", {busy.why}" if busy.why else ""))
                    on_wait = None
                time.sleep(_LEASE_POLL_S)
            else:
                return

    @contextlib.contextmanager
    def governor(self, name: str | None) -> Iterator[None]:
        """The governor ``name`` on all CPUs of the device while the block runs; ``None`` changes nothing. Holds the lease.

        The agent puts back what was set before at every end: of the block, of the connection, and, when it is killed itself, at
        the next connect.

        Raises:
            UnknownNameError: the device has no such governor.
            DeviceRunError: it has none at all, or may not be told; nothing has been changed then.
        """
        if name is None:
            yield
            return
        with self._setting("governor", {"name": name}, lambda refused: self._governor_refused(name, refused)):
            yield

    @contextlib.contextmanager
    def power_mode(self, name: str | None) -> Iterator[None]:
        """The power mode ``name`` of a Jetson while the block runs, as :meth:`governor` does; ``None`` changes nothing.

        Raises:
            UnknownNameError: the device has no such mode.
            DeviceRunError: it has none at all, may not be told, or would have to be restarted; nothing has been changed then.
        """
        if name is None:
            yield
            return
        with self._setting("power-mode", {"name": name}, lambda refused: self._mode_refused(name, refused)):
            yield

    @contextlib.contextmanager
    def locked_clocks(self, wanted: bool) -> Iterator[None]:
        """A Jetson's clocks locked at their highest while the block runs, as :meth:`governor` does; False changes nothing.

        Raises:
            DeviceRunError: it has no jetson_clocks, or may not run it; nothing has been changed then.
        """
        if not wanted:
            yield
            return
        with self._setting("lock-clocks", {}, self._lock_refused):
            yield

    @contextlib.contextmanager
    def _setting(
        self, op: str, fields: Mapping[str, Any], refusal: Callable[[Mapping[str, Any]], DeviceRunError | UnknownNameError]
    ) -> Iterator[None]:
        """What ``op`` sets, while the block runs; all that was set is put back together at the end of the first such block."""
        with self.lease():
            answer = self._live.request(op, fields, silence_s=_MODE_SILENCE_S)
            if "refused" in answer.fields:
                raise refusal(answer.fields["refused"])
            try:
                yield
            except BaseException:
                if self._channel is not None and self._channel.usable:
                    with contextlib.suppress(DeviceRunError, DeviceUnavailableError):  # the first problem is the one to tell
                        self._put_back()
                raise
            self._put_back()

    def _lock_refused(self, refused: Mapping[str, Any]) -> DeviceRunError:
        hint = "leave --lock-clocks out"
        if refused.get("kind") == "denied":
            hint = 'let the user there run jetson_clocks by sudo, and give this device become = ["sudo", "-n"]; or ' + hint
        why = clean(refused.get("message"), 400)
        return DeviceRunError(f"the clocks of {self._transport.address} cannot be locked", why=why, hint=hint)

    def _mode_refused(self, name: str, refused: Mapping[str, Any]) -> DeviceRunError | UnknownNameError:
        kind, why = refused.get("kind"), clean(refused.get("message"), 400)
        if kind == "unknown":
            return UnknownNameError("power mode", name, [clean(known, 40) for known in list(refused.get("available") or [])[:64]])
        hint = "leave --power-mode out"
        if kind == "denied":
            hint = 'let the user there run nvpmodel by sudo, and give this device become = ["sudo", "-n"]; or ' + hint
        elif kind == "restart":
            hint = "set it by hand and restart the device, then deploy without --power-mode"
        return DeviceRunError(f"the power mode of {self._transport.address} cannot be set to {name}", why=why, hint=hint)

    def _put_back(self) -> None:
        answer = self._live.request("governor", {"name": None}, silence_s=_MODE_SILENCE_S)
        problems = [clean(line, 400) for line in list(answer.fields.get("problems") or [])[:10]]
        if problems:
            raise DeviceRunError(
                f"what was set on {self._transport.address} could not be put back",
                why="; ".join(problems),
                hint="the agent tries again at the next connect",
            )

    def _governor_refused(self, name: str, refused: Mapping[str, Any]) -> DeviceRunError | UnknownNameError:
        kind, why = refused.get("kind"), clean(refused.get("message"), 400)
        if kind == "unknown":
            return UnknownNameError("governor", name, [clean(known, 40) for known in list(refused.get("available") or [])[:32]])
        hint = "leave --governor out"
        if kind == "denied":
            hint = 'let the user there run tee on that file by sudo, and give this device become = ["sudo", "-n"]; or ' + hint
        return DeviceRunError(f"the governor of {self._transport.address} cannot be set to {name}", why=why, hint=hint)

    # ------------------------------------------------------------ candidates
    def _candidate(self, key: str, target: str, runner: Runner, files: Mapping[str, str]) -> dict[str, Any]:
        if target not in self._runners:
            raise UsageError(f"no runner of target {target!r} was given to this session")
        names = runner.files or tuple(files)
        missing = [name for name in names if name not in files]
        if missing:
            raise UsageError(f"the runner of {key} names a file that its artifact does not have", why=", ".join(missing))
        chosen = {name: files[name] for name in names}
        return {"key": key, "target": target, "entry": runner.entry, "files": chosen, "options": dict(runner.options)}

    def prepare(
        self, key: str, target: str, runner: Runner, files: Mapping[str, str], progress: Progress | None = None
    ) -> RunFailure | None:
        """Let the runner build on the device what must be built there; ``open`` of the same key finds its files as well.

        Raises:
            DeviceRunError: this runner has nothing to prepare.
        """
        request = {**self._candidate(key, target, runner, files), "timeout_s": self._timeouts.prepare_s}

        def on_event(event: Frame) -> None:
            if progress is not None:
                progress(0, 0, clean(event.fields.get("message"), 200))

        with self.lease():
            answer = self._live.request("prepare", request, silence_s=self._timeouts.prepare_s + _MARGIN_S, on_event=on_event)
        return _failure(answer.fields)

    def open(self, key: str, target: str, runner: Runner, files: Mapping[str, str]) -> Opened | RunFailure:
        """Load a candidate in a worker of its own. Its files must have been pushed.

        Args:
            key: a name for it in this session.
            files: ``{relative path: sha256}``; the runner gets those in ``runner.files``, or all when that is empty.

        Raises:
            IntegrityError: a file is not on the device, or its path leaves the folder.
        """
        if key in self._opened:
            raise UsageError(f"{key} is open already")
        request = {**self._candidate(key, target, runner, files), "timeout_s": self._timeouts.load_s}
        answer = self._live.request("open", request, silence_s=self._timeouts.load_s + _MARGIN_S)
        failure = _failure(answer.fields)
        if failure is not None:
            self._opened[key] = Opened(key, math.nan, None, dict(runner.options), {}, None)
            return failure
        self._opened[key] = opened = _opened(key, runner, answer)
        return opened

    def infer(self, key: str, feed: Feed) -> dict[str, Array]:
        """One inference.

        Returns:
            The runner's outputs by name.

        Raises:
            WorkerFailedError: the candidate failed; ``failure`` says how.
            DataError: the feed holds a dtype that cannot be sent.
        """
        answer = self._infer(key, feed, {})
        try:
            return decode(answer.fields.get("tensors"), answer.payload)
        except TensorError as problem:
            raise DeviceRunError(f"the outputs of {key} cannot be read", why=str(problem)) from problem

    def layers(self, key: str, feed: Feed, *, runs: int = 20) -> JSON:
        """What the runner tells of its layers after ``runs`` inferences; ``None`` when it does not know them.

        Raises:
            WorkerFailedError: the candidate failed.
        """
        answer = self._infer(key, feed, {"layers_of_runs": runs})
        try:
            return clean_json(json.loads(answer.payload))
        except (ValueError, RecursionError) as problem:
            raise DeviceRunError(f"the layers of {key} cannot be read", why=str(problem)) from problem

    def _infer(self, key: str, feed: Feed, fields: Mapping[str, Any]) -> Frame:
        entries, payload = _encode_feed(key, feed)
        timeouts = self._timeouts
        request = {"key": key, "tensors": entries, "timeout_s": timeouts.round_s, "load_timeout_s": timeouts.load_s, **fields}
        with self.lease():
            answer = self._live.request("infer", request, payload, silence_s=timeouts.load_s + timeouts.round_s + _MARGIN_S)
        failure = _failure(answer.fields)
        if failure is not None:
            raise WorkerFailedError(key, failure)
        return answer

    def bench(
        self, keys: Sequence[str], feeds: Mapping[str, Feed], plan: BenchPlan = _PLAN, progress: Progress | None = None
    ) -> dict[str, Measurement | RunFailure]:  # fmt: skip
        """Measure opened candidates side by side. A candidate that fails drops out; the others go on.

        Args:
            feeds: one feed a key; equal ones are sent once.

        Returns:
            A result for every key, in the order of ``keys``. All samples are kept, in seconds.
        """
        unknown = [key for key in keys if key not in self._opened]
        if unknown or len(set(keys)) != len(keys):
            raise UsageError("bench needs different candidates that are open", why=", ".join(unknown) or "one is named twice")
        table, feed_of, payload = _feed_table(keys, feeds)
        timeouts = self._timeouts
        wire_plan = {**asdict(plan), "load_timeout_s": timeouts.load_s, "round_timeout_s": timeouts.round_s}
        rounds: dict[str, list[tuple[float, ...]]] = {key: [] for key in keys}
        readings: dict[str, list[Reading]] = {key: [] for key in keys}

        def on_event(event: Frame) -> None:
            if event.op == "sample" and event.fields.get("key") in rounds:
                rounds[event.fields["key"]].append(_samples(event.payload))
                readings[event.fields["key"]].append(reading_from(event.fields.get("conditions")))
            elif event.op == "progress" and progress is not None:
                fields = event.fields
                progress(int(fields["done"]), int(fields["total"]), clean(f"{fields.get('step')} {fields.get('key')}"))

        with self.lease():
            answer = self._live.request(
                "bench", {"keys": list(keys), "feeds": table, "feed_of": feed_of, "plan": wire_plan}, payload,
                silence_s=2 * timeouts.load_s + 2 * timeouts.round_s + _MARGIN_S, on_event=on_event,
            )  # fmt: skip
        self.last_orders = tuple(tuple(order) for order in answer.fields["orders"])
        return {key: self._bench_result(key, rounds[key], readings[key], answer.fields) for key in keys}

    def _bench_result(
        self, key: str, rounds: list[tuple[float, ...]], readings: list[Reading], fields: Mapping[str, Any]
    ) -> Measurement | RunFailure:
        if key in fields["failures"]:
            failure = _failure({"failure": fields["failures"][key]})
            assert failure is not None
            return failure
        measured = fields["measured"][key]
        requested = self._opened[key].requested
        effective: dict[str, Any] = {**clean_json(measured.get("effective") or {}), "cpus": clean_json(fields.get("cpus") or [])}
        effective |= clean_json(measured.get("details") or {})
        warm_up = measured["warm_up"]
        return Measurement(
            loop=clean(measured.get("loop") or LOOP, 40),
            rounds=tuple(rounds),
            warm_up=WarmUp(
                n=int(warm_up["n"]),
                elapsed_s=float(warm_up["elapsed_s"]),
                steady=None if warm_up["steady"] is None else bool(warm_up["steady"]),
            ),
            load_s=float(measured["load_s"]),
            first_inference_s=float(measured["first_inference_s"]),
            peak_memory_bytes=measured["peak_memory_bytes"],
            mode="reloaded" if fields["mode"] == "reloaded" else "resident",
            requested=requested,
            effective=effective,
            threads=int(effective.get("threads") or requested.get("threads") or 1),
            conditions=conditions_from(fields.get("sensors"), readings),
        )

    def sustain(
        self, keys: Sequence[str], feeds: Mapping[str, Feed], plan: SustainPlan, progress: Progress | None = None
    ) -> dict[str, Sustained | RunFailure]:
        """Let opened candidates run in turn for ``plan.duration_s``. One that fails drops out; the others go on.

        Returns:
            A result for every key, in the order of ``keys``.
        """
        table, feed_of, payload = _feed_table(keys, feeds)
        timeouts = self._timeouts
        wire_plan = {**asdict(_PLAN), "load_timeout_s": timeouts.load_s, "round_timeout_s": timeouts.round_s}
        turns: dict[str, list[Turn]] = {key: [] for key in keys}
        readings: dict[str, list[Reading]] = {key: [] for key in keys}

        def on_event(event: Frame) -> None:
            fields = event.fields
            if event.op == "sample" and fields.get("key") in turns:
                turns[fields["key"]].append(_turn(event))
                readings[fields["key"]].append(reading_from(fields.get("conditions")))
            elif event.op == "progress" and progress is not None:
                progress(int(fields["done"]), int(fields["total"]), clean(f"{fields.get('step')} {fields.get('key')}"))

        with self.lease():
            answer = self._live.request(
                "sustain",
                {"keys": list(keys), "feeds": table, "feed_of": feed_of, "plan": wire_plan, "sustain": asdict(plan)}, payload,
                silence_s=2 * timeouts.load_s + 2 * timeouts.round_s + plan.turn_s + _MARGIN_S, on_event=on_event,
            )  # fmt: skip
        fields = answer.fields
        failures = {key: _failure({"failure": fields["failures"].get(key)}) for key in keys}
        return {
            key: failures[key]
            or Sustained(tuple(turns[key]), float(fields["elapsed_s"]), conditions_from(fields.get("sensors"), readings[key]))
            for key in keys
        }

    def meters(self) -> Mapping[str, Any]:
        """What the agent says of the energy meters there, as it came: :mod:`edgekit.devices.meters` reads it."""
        return self._live.request("meters", {}, silence_s=self._timeouts.probe_s).fields

    def energy(
        self, keys: Sequence[str], feeds: Mapping[str, Feed], meter: str | None, plan: EnergyPlan, on_event: Callable[[Frame], None]
    ) -> dict[str, RunFailure]:
        """Let opened candidates work in turn, with idling between them, while a meter is read.

        Args:
            meter: the name of one of the agent's; None when this machine reads one.
            on_event: gets a "progress" before each window and a "sample" after it, as :mod:`edgekit.agent.energy` sends them.

        Returns:
            What failed, by key.

        Raises:
            DeviceRunError: the meter cannot be read.
        """
        table, feed_of, payload = _feed_table(keys, feeds)
        timeouts = self._timeouts
        wire_plan = {**asdict(plan), "load_timeout_s": timeouts.load_s, "round_timeout_s": timeouts.round_s}
        with self.lease():
            answer = self._live.request(
                "energy", {"keys": list(keys), "feeds": table, "feed_of": feed_of, "meter": meter, "plan": wire_plan}, payload,
                silence_s=2 * timeouts.load_s + 2 * timeouts.round_s + plan.window_s + plan.settle_s + _MARGIN_S, on_event=on_event,
            )  # fmt: skip
        failures = {key: _failure({"failure": answer.fields["failures"].get(key)}) for key in keys}
        return {key: failure for key, failure in failures.items() if failure is not None}

    def close_worker(self, key: str) -> None:
        """End a candidate's worker and forget it; nothing when the agent is gone or interrupted, which ends them all."""
        self._opened.pop(key, None)
        if self._channel is not None and self._channel.usable:
            self._channel.request("close", {"key": key}, silence_s=self._timeouts.connect_s)


# ---------------------------------------------------------------- answers
def _failure(fields: Mapping[str, Any]) -> RunFailure | None:
    failure = fields.get("failure")
    if failure is None:
        return None
    kind = failure.get("kind") if failure.get("kind") in _FAILURE_KINDS else "error"
    return RunFailure(
        cast("Literal['crash', 'error', 'timeout', 'out-of-memory', 'missing-runtime']", kind), clean(failure.get("message"), 2500)
    )


def _opened(key: str, runner: Runner, answer: Frame) -> Opened:
    fields = answer.fields
    return Opened(
        key=key,
        load_s=float(fields["load_s"]),
        fingerprint=clean_json(fields["fingerprint"]),
        requested=dict(runner.options),
        effective=clean_json(fields["effective"]),
        peak_memory_bytes=fields["peak_memory_bytes"],
    )


def _feed_table(keys: Sequence[str], feeds: Mapping[str, Feed]) -> tuple[list[Any], list[int], bytes]:
    """Each different feed once, which of them each key takes, and their bytes."""
    index_of: dict[tuple[str, bytes], int] = {}
    feed_of = []
    for key in keys:
        entries, payload = _encode_feed(key, feeds[key])
        feed_of.append(index_of.setdefault((json.dumps(entries), payload), len(index_of)))
    table = [[json.loads(entries), len(payload)] for entries, payload in index_of]
    return table, feed_of, b"".join(payload for _, payload in index_of)


def _encode_feed(key: str, feed: Feed) -> tuple[list[dict[str, Any]], bytes]:
    try:
        return encode(feed)
    except TensorError as problem:
        raise DataError(f"the input of {key} cannot be sent to a device", why=str(problem)) from problem


def _turn(event: Frame) -> Turn:
    fields = event.fields
    try:
        cycle, at_s, n = int(fields["cycle"]), float(fields["at_s"]), int(fields["count"])
    except (KeyError, TypeError, ValueError) as problem:
        raise DeviceRunError("the agent sent a turn that cannot be read", why=f"{type(problem).__name__}: {problem}") from problem
    return Turn(cycle, at_s, n, _samples(event.payload))


def _samples(payload: bytes | bytearray) -> tuple[float, ...]:
    samples = array.array("d")
    if len(payload) % samples.itemsize:
        raise DeviceRunError("the agent sent samples that cannot be read")
    samples.frombytes(bytes(payload))
    if sys.byteorder == "big":
        samples.byteswap()
    if not samples or not all(math.isfinite(sample) and sample >= 0 for sample in samples):
        raise DeviceRunError("the agent sent samples that are no times")
    return tuple(samples)
