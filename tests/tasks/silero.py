"""Speech activity: silero-vad on spoken sentences, chunk by chunk; the metric is the area under the ROC curve (AUC) of speech
against no speech.

One feed is one chunk: ``input``: float32, 1 x 576, in [-1, 1], which is 32 ms at 16 kHz after the last 4 ms of the chunk before;
``state``: float32, 2 x 1 x 128, which the chunk before returned; ``sr``: int64 without axes, 16000. The scores carry the state from
call to call, so that errors add up as they do in use; the states of the calibration feeds are those of the float model.

Speech is made by Flite (scripts/fetch_models has it; Node.js 20 or newer runs it): sentences of our own, in four voices, between
pauses. A chunk is speech where the clean recording is loud. To it comes the faint noise of a room alone ("clean"), pink noise
("noisy") or chords ("music"). Every sentence is in one set only.

Deploy with ``--calib tests/tasks/silero.py:calibration --eval tests/tasks/silero.py:evaluate``.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from task_common import MODELS, Feed, Predict

Signal = npt.NDArray[np.float64]

SHAPE = {"input": (1, 576), "state": (2, 1, 128), "sr": ()}
VARIANTS = ("silero_vad_op18_ifless.onnx", "silero_vad.onnx", "silero_vad_16k_op15.onnx")  # one network, three exports
RATE_HZ, CHUNK, CONTEXT = 16_000, 512, 64
N_CALIBRATION, N_EVALUATION, N_THIRD = 3, 9, 15  # sentences, of about 120 chunks each
CALIBRATION_STEP = 4  # every fourth chunk: neighbours hardly differ
VOICES = ("slt", "rms", "awb", "kal16")
CONDITIONS = ("clean", "noisy", "music")
SPEECH_DB = -32.0  # a chunk is speech if it is louder than this, against the loudest of its sentence
SENTENCES = (
    "The ferry leaves at seven, unless the wind turns before then.",
    "Please put the small boxes on the left and the heavy ones below.",
    "Nobody had told the gardener that the gate was locked.",
    "She counted the windows twice, and found one more each time.",
    "A cup of tea costs less here than a glass of water does there.",
    "We measured the room again, and the carpet was still too long.",
    "Turn right after the bridge, then ask for the old post office.",
    "His letter arrived on Monday, but the answer was already on its way.",
    "The battery lasts for nine days if you switch off the display.",
    "They painted the boat green, because blue was sold out.",
    "Most of the snow had gone by the time the train reached the valley.",
    "Could you read the last three numbers once more, a little slower?",
    "The baker opens early, and on Sundays the queue is longer than the street.",
    "An owl lives in the tower, or so the children say.",
    "Fold the paper in half, turn it over, and fold it again.",
    "If the light is red, wait; if it flashes, call us.",
    "The museum keeps a clock that has been wrong for eighty years.",
    "My brother plays the cello, badly, but with great patience.",
    "Rain is expected in the north, with some sun towards evening.",
    "There were no chairs left, so we sat on the stairs and listened.",
    "The recipe asks for two eggs, a lemon, and rather a lot of butter.",
    "Every bridge over this river was built by the same family.",
    "He forgot the word, described it with both hands, and laughed.",
    "The second door leads to the kitchen, the third one to the yard.",
    "A fox crossed the field, stopped, and looked straight at us.",
    "Keep the receipt; without it the shop will not take the shoes back.",
    "In winter the lake is silent, except when the ice begins to sing.",
)


@dataclass(frozen=True)
class Clip:
    """One sentence as the microphone hears it: chunks x (context + chunk) samples, whether each chunk is speech, the condition."""

    chunks: npt.NDArray[np.float32]
    is_speech: npt.NDArray[np.bool_]
    condition: str


def model() -> Path:
    """The export that most runtimes take: one If, over the sampling rate. A path to nothing where Flite has not been fetched."""
    return variant(VARIANTS[0])


def variant(file: str) -> Path:
    """Another export of the same network: ``VARIANTS``."""
    return MODELS / "silero-vad" / file if _flite().exists() else _flite()


def calibration() -> Iterator[Feed]:
    """The feeds for ``--calib``: about 90 chunks of three sentences, with the states that the float model has there."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model()), providers=["CPUExecutionProvider"])
    for clip in clips(0, N_CALIBRATION):
        state = no_state()
        for index, chunk in enumerate(clip.chunks):
            feed = feed_of(chunk, state)
            if index % CALIBRATION_STEP == 0:
                yield feed
            (state,) = session.run(["stateN"], feed)


def evaluate(predict: Predict) -> dict[str, Any]:
    """The score for ``--eval``: AUC over the chunks of 9 sentences; slices by what else is heard."""
    return score(predict, clips(N_CALIBRATION, N_EVALUATION))


def third(predict: Predict) -> dict[str, Any]:
    """The score on 15 sentences that edgekit is never given."""
    return score(predict, clips(N_CALIBRATION + N_EVALUATION, N_THIRD))


def score(predict: Predict, heard: Sequence[Clip]) -> dict[str, Any]:
    """AUC with its parts by condition. The predictions are decisions at 0.5: AUC sees the order of the probabilities alone, and
    would miss that all of them have become 0.9."""
    probabilities = [probabilities_of(predict, clip) for clip in heard]
    together, truth = np.concatenate(probabilities), np.concatenate([clip.is_speech for clip in heard])
    conditions = np.concatenate([np.full(len(clip.chunks), clip.condition) for clip in heard])
    shares = placements(together, truth)
    return {
        "name": "AUC",
        "value": float(np.mean(shares)),
        "higher_is_better": True,
        "n": len(together),
        "slices": {
            name: {"value": float(np.mean(placements(together[rows], truth[rows]))), "n": int(np.count_nonzero(rows))}
            for name, rows in ((name, conditions == name) for name in sorted(set(conditions.tolist())))
        },
        "predictions": (together > 0.5).astype(int).tolist(),
        "per_sample": shares.tolist(),
    }


def probabilities_of(predict: Predict, clip: Clip) -> npt.NDArray[np.float32]:
    """Probability of speech for each chunk, the state carried from one to the next."""
    state = no_state()
    found = []
    for chunk in clip.chunks:
        outputs = predict(feed_of(chunk, state))
        found.append(np.float32(np.asarray(outputs["output"]).reshape(())))
        state = np.asarray(outputs["stateN"], np.float32).reshape(2, 1, 128)
    return np.array(found)


def placements(scores: npt.NDArray[np.float32], truth: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """For each sample the share of the other class that lies on the right side of it, ties by half (DeLong et al. 1988).

    The mean over either class is the AUC, and so is the mean over all.
    """
    speech, rest = scores[truth], scores[~truth]
    above = (speech[:, None] > rest[None, :]) + 0.5 * (speech[:, None] == rest[None, :])
    shares = np.empty(len(scores))
    shares[truth], shares[~truth] = above.mean(axis=1), above.mean(axis=0)
    return shares


def feed_of(chunk: npt.NDArray[np.float32], state: npt.NDArray[np.float32]) -> Feed:
    return {"input": chunk[None], "state": state, "sr": np.array(RATE_HZ, np.int64)}


def no_state() -> npt.NDArray[np.float32]:
    return np.zeros((2, 1, 128), np.float32)


# ---------------------------------------------------------------- what is heard
def clips(first: int, count: int) -> list[Clip]:
    """Sentences ``first`` to ``first + count``; conditions and voices take turns."""
    return [clip_of(index) for index in range(first, first + count)]


@cache
def clip_of(index: int) -> Clip:
    rng = np.random.default_rng([11, index])
    spoken = spoken_sentences()[index]
    before, after = (np.zeros(int(seconds * RATE_HZ)) for seconds in rng.uniform(0.5, 1.2, 2))
    clean = np.concatenate([before, spoken * rng.uniform(0.08, 0.3) / np.abs(spoken).max(), after])
    clean = clean[: len(clean) // CHUNK * CHUNK]
    condition = CONDITIONS[index % len(CONDITIONS)]
    heard = clean + added(condition, clean, rng)
    chunks = np.clip(heard, -1, 1).astype(np.float32).reshape(-1, CHUNK)
    context = np.concatenate([np.zeros((1, CONTEXT), np.float32), chunks[:-1, -CONTEXT:]])
    loudness = rms(clean.reshape(-1, CHUNK))
    return Clip(np.hstack([context, chunks]), loudness > loudness.max() * 10 ** (SPEECH_DB / 20), condition)


def added(condition: str, clean: Signal, rng: np.random.Generator) -> Signal:
    """What is heard beside the voice; its level is set against that of the loud half of the sentence."""
    loudness = rms(clean.reshape(-1, CHUNK))
    voice = float(np.median(loudness[loudness > loudness.max() * 0.1]))
    room = rng.normal(0.0, voice * 10 ** (-40 / 20), len(clean))
    if condition == "clean":
        return room
    other, ratio_db = (
        (pink_noise(len(clean), rng), rng.uniform(0, 8)) if condition == "noisy" else (chords(len(clean), rng), rng.uniform(2, 8))
    )
    return room + other * (voice * 10 ** (-ratio_db / 20) / float(rms(other)))


def rms(signal: Signal) -> npt.NDArray[np.float64]:
    """Root mean square along the last axis."""
    return np.asarray(np.sqrt(np.mean(signal**2, axis=-1)))


def pink_noise(length: int, rng: np.random.Generator) -> Signal:
    spectrum = np.fft.rfft(rng.normal(size=length))
    return np.asarray(np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 20.0), length))


def chords(length: int, rng: np.random.Generator) -> Signal:
    """A new chord of plucked strings every 0.4 s: three notes with six harmonics each, dying away."""
    step = int(0.4 * RATE_HZ)
    time_s = np.arange(step) / RATE_HZ
    pieces = []
    for _ in range(-(-length // step)):
        root_hz = 110.0 * 2 ** (rng.integers(0, 25) / 12)
        third = 3 + rng.integers(0, 2)
        notes_hz = [root_hz * 2 ** (interval / 12) for interval in (0, third, 7)]
        partials = [np.sin(2 * np.pi * note * k * time_s + rng.uniform(0, 6.28)) / k for note in notes_hz for k in range(1, 7)]
        pieces.append(np.sum(partials, axis=0) * np.exp(-3.0 * time_s))
    return np.concatenate(pieces)[:length]


# ---------------------------------------------------------------- the voice
@cache
def spoken_sentences() -> tuple[Signal, ...]:
    """All sentences as Flite speaks them, -1..1 at 16 kHz; kept beside the models, because speaking them takes ten seconds.

    Raises:
        RuntimeError: Node.js is missing, too old, or Flite failed.
    """
    jobs = [(VOICES[index % len(VOICES)], text) for index, text in enumerate(SENTENCES)]
    recipe = hashlib.sha256(repr(jobs).encode() + _script().read_bytes()).hexdigest()[:8]
    kept = MODELS / "built" / f"speech-{recipe}.npz"
    if not kept.exists():
        content = io.BytesIO()
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            recordings = list(pool.map(speak, *zip(*jobs, strict=True)))
        np.savez_compressed(content, *recordings)
        kept.parent.mkdir(parents=True, exist_ok=True)
        aside = kept.with_suffix(f".{os.getpid()}.tmp")
        aside.write_bytes(content.getvalue())
        aside.replace(kept)
    with np.load(kept, allow_pickle=False) as arrays:
        return tuple(arrays[f"arr_{index}"].astype(np.float64) / 32768 for index in range(len(SENTENCES)))


def speak(voice: str, text: str) -> npt.NDArray[np.int16]:
    node = shutil.which("node")
    if node is None:
        raise RuntimeError("Node.js is not installed; version 20 or newer runs Flite, which speaks the sentences of this task")
    with tempfile.TemporaryDirectory() as folder:
        command = [node, "--no-warnings", str(_script()), str(_flite()), folder, voice, text]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            said = done.stderr.strip()[-500:] or f"exit {done.returncode}"
            raise RuntimeError(f"Flite could not speak (Node.js 20 or newer is needed): {said}")
        return read_wav(Path(folder) / "speech.wav")


def read_wav(path: Path) -> npt.NDArray[np.int16]:
    with wave.open(str(path)) as recording:
        if (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) != (RATE_HZ, 1, 2):
            raise RuntimeError(f"{path.name} is not 16-bit mono at {RATE_HZ} Hz")
        return np.frombuffer(recording.readframes(recording.getnframes()), "<i2")


def _script() -> Path:
    return Path(__file__).with_name("speak.mjs")


def _flite() -> Path:
    return MODELS / "flite" / "flite.wasm"
