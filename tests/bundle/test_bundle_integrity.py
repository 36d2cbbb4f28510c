"""A bundle that was damaged or made by somebody with bad intentions is refused, at once, and leaves nothing behind."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from support.bundle_attacks import ATTACKS, list_anew

from edgekit.bundle import MANIFEST, check_bundle, read_bundle
from edgekit.errors import IntegrityError
from edgekit.types import sha256_file


@pytest.mark.parametrize("attack", list(ATTACKS))
def test_every_attack_is_an_integrity_error_at_once(bundle: Path, attack: str) -> None:
    ATTACKS[attack](bundle)
    around = sorted(p.name for p in bundle.parent.iterdir())
    inside = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*"))
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    with pytest.raises(IntegrityError) as error:
        check_bundle(bundle)
    assert time.process_time() - started_cpu_s < 1.0, "of work; a neighbour's does not count"
    assert time.monotonic() - started_s < 20, "nor does it wait for anything"
    assert len(str(error.value)) < 2000
    assert sorted(p.name for p in bundle.parent.iterdir()) == around
    assert sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*")) == inside


def test_a_wrong_hash_names_the_file_expected_and_found(bundle: Path) -> None:
    expected = sha256_file(bundle / "README.md")
    ATTACKS["flip"](bundle)
    with pytest.raises(IntegrityError) as error:
        check_bundle(bundle)
    assert "README.md" in error.value.what
    assert expected in error.value.why
    assert sha256_file(bundle / "README.md") in error.value.why


@pytest.mark.parametrize("seed", range(3))
def test_any_changed_byte_is_found_or_changes_nothing(bundle: Path, whole_bundle: Path, seed: int) -> None:
    """Random damage anywhere, the manifest included: refused, or read as exactly what was written (white space in the JSON)."""
    rng = np.random.default_rng(seed)
    original = read_bundle(whole_bundle)
    for _ in range(60):
        names = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file())
        name = str(rng.choice([MANIFEST, *names]))
        data = bytearray((bundle / name).read_bytes())
        at = int(rng.integers(len(data)))
        kind = rng.choice(["flip", "cut", "insert"])
        if kind == "flip":
            data[at] ^= 1 << int(rng.integers(8))
        elif kind == "cut":
            del data[at:]
        else:
            data[at:at] = bytes([int(rng.integers(256))])
        (bundle / name).write_bytes(data)
        try:
            result = check_bundle(bundle)
        except IntegrityError:
            pass
        else:
            assert name == MANIFEST
            assert result.bundle == original
        shutil.copyfile(whole_bundle / name, bundle / name)
    check_bundle(bundle)


def test_a_corrected_list_is_only_a_list(bundle: Path) -> None:
    """Whoever rewrites file and list passes the integrity check: that is why the origin is unknown."""
    (bundle / "README.md").write_text("other")
    list_anew(bundle, "README.md")
    assert check_bundle(bundle).origin == "unknown"


def test_what_is_no_bundle_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path(__file__)):
        with pytest.raises(IntegrityError, match="not a bundle"):
            check_bundle(path)
