"""``edgekit sign`` and ``edgekit check --signers``: what they print, and their exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.bundle_attacks import edit
from support.commands import edgekit_forked, invoke
from support.schemas import validator
from support.signers import ME, OTHER, Keys, make_keys, require_ssh_keygen

from edgekit.errors import EdgekitError

require_ssh_keygen()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


def test_from_unsigned_to_verified(bundle: Path, keys: Keys) -> None:
    plain = edgekit_forked("check", bundle)
    assert plain.returncode == 0
    assert "integrity ok, origin unknown\n" in plain.stdout

    signed = edgekit_forked("sign", bundle, "--key", keys.mine, "--identity", ME)
    assert signed.returncode == 0, signed.stderr
    line = signed.stdout.splitlines()[-1]
    assert line.startswith(f'{ME} namespaces="edgekit-bundle" ssh-ed25519 ')
    signers = keys.signers("printed", line)

    unverified = edgekit_forked("check", bundle)
    assert "origin unknown (its signature was not verified)" in unverified.stdout
    verified = edgekit_forked("check", bundle, "--signers", signers, "--identity", ME)
    assert verified.returncode == 0, verified.stderr
    assert f"integrity ok, signed by {ME} (ssh-ed25519 SHA256:" in verified.stdout


def test_a_bundle_cannot_write_a_line_of_its_own(bundle: Path) -> None:
    forged = f"{bundle}: integrity ok, signed by {ME} (ssh-ed25519 SHA256:abc)"
    edit(bundle, lambda m: m.update(edgekit=f"1\n{forged}\n"))
    edit(bundle, lambda m: m["winner"].update(id=f"onnx/{'x' * 300}"))
    shown = edgekit_forked("check", bundle)
    assert shown.returncode == 0, shown.stderr
    assert len(shown.stdout.splitlines()) == 4
    assert not [line for line in shown.stdout.splitlines() if line.startswith(forged)]
    assert max(len(line) for line in shown.stdout.splitlines()[1:]) < 200


def document(*arguments: str | Path) -> dict[str, Any]:
    done = invoke(*arguments, "--json")
    assert done.exit_code == 0, done.exception
    parsed = json.loads(done.stdout)
    assert isinstance(parsed, dict)
    return parsed


def code(*arguments: str | Path) -> int:
    done = invoke(*arguments)
    return done.exception.exit_code if isinstance(done.exception, EdgekitError) else done.exit_code


def test_json(bundle: Path, keys: Keys) -> None:
    before = document("check", bundle)
    assert (before["origin"], before["signature"]) == ("unknown", None)
    signed = document("sign", bundle, "--key", keys.mine, "--identity", ME)
    validator("sign").validate(signed)
    assert signed["replaced"] is False
    after = document("check", bundle)
    assert after["signature"] == {"verified": False, "sha256": signed["signature"]["sha256"]}
    verified = document("check", bundle, "--signers", keys.signers("json", signed["signers_line"]))
    assert verified["origin"] == ME
    assert verified["signature"] == {"verified": True, **signed["signature"]}
    for checked in (before, after, verified):
        validator("check").validate(checked)
    again = document("sign", bundle, "--key", keys.others)
    validator("sign").validate(again)
    assert (again["replaced"], again["signers_line"]) == (True, None)


def test_exit_codes(bundle: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signers = keys.signers("mine-only", keys.line(keys.mine, ME))
    assert code("sign", bundle) == 2
    assert code("sign", bundle, "--key", tmp_path / "none") == 2
    assert code("sign", bundle, "--key", keys.mine, "--identity", "a b") == 2
    assert code("check", bundle, "--identity", ME) == 2
    assert code("check", bundle, "--signers", tmp_path / "none") == 2
    assert code("check", bundle, "--signers", signers) == 8  # not signed
    assert code("sign", bundle, "--key", keys.others) == 0
    assert code("check", bundle, "--signers", signers) == 8  # an unknown signer
    both = keys.signers("both", signers.read_text(), keys.line(keys.others, OTHER))
    assert code("check", bundle, "--signers", both) == 0
    assert code("check", bundle, "--signers", both, "--identity", ME) == 8
    monkeypatch.setenv("PATH", str(tmp_path))  # no ssh-keygen
    assert code("sign", bundle, "--key", keys.mine) == 3
    assert code("check", bundle, "--signers", both) == 3
    assert code("check", bundle) == 0


# ---------------------------------------------------------------- packages
def test_a_package_names_the_signature_of_its_bundle(bundle: Path, keys: Keys, tmp_path: Path) -> None:
    made = document("package", bundle, "--format", "ios", "-o", tmp_path / "unsigned")
    checked = document("check", tmp_path / "unsigned")
    validator("check-package").validate(checked)
    assert checked["bundle"] == {"manifest_sha256": made["bundle_sha256"], "signature": None}
    signed = document("sign", bundle, "--key", keys.mine)
    document("package", bundle, "--format", "ios", "-o", tmp_path / "signed")
    checked = document("check", tmp_path / "signed")
    validator("check-package").validate(checked)
    assert checked["bundle"] == {"manifest_sha256": signed["manifest_sha256"], "signature": signed["signature"]}
    assert checked["n_files"] == sum(path.is_file() for path in (tmp_path / "signed").rglob("*"))
    shown = invoke("check", tmp_path / "signed").stdout
    assert "integrity ok, origin unknown" in shown
    assert signed["signature"]["fingerprint"] in shown
    signers = keys.signers("for-package", keys.line(keys.mine, ME))
    assert code("check", tmp_path / "signed", "--signers", signers) == 2
    (tmp_path / "signed" / "README.md").write_text("changed")
    assert code("check", tmp_path / "signed") == 8


def test_a_bundle_with_a_broken_signature_is_not_packaged(bundle: Path, tmp_path: Path) -> None:
    (bundle / "edgekit.json.sig").write_text("no signature")
    assert code("package", bundle, "--format", "ios", "-o", tmp_path / "out") == 8
    assert not (tmp_path / "out").exists()
