from __future__ import annotations

import base64
import contextlib
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bundles import small_bundle
from support.requirements import missing
from support.signers import ME, OTHER, Keys, make_key, make_keys, require_ssh_keygen

from edgekit.bundle import check_output
from edgekit.devices.inventory import open_device
from edgekit.errors import DependencyError, IntegrityError, OutputError, UsageError
from edgekit.installation import install, install_on_device
from edgekit.manifest import MANIFEST, MAX_SIGNATURE_BYTES, SIGNATURE, check_bundle
from edgekit.signing import NAMESPACE, check_identity, sign_bundle, signature_of, verify_bundle
from edgekit.sshsig import BEGIN, END, parse_signature

require_ssh_keygen()


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def signers(keys: Keys) -> Path:
    return keys.signers("signers", "# whom I trust", keys.line(keys.mine, ME))


@pytest.fixture
def signed(bundle: Path, keys: Keys) -> Path:
    sign_bundle(bundle, keys.mine)
    return bundle


# ---------------------------------------------------------------- signed and verified
def test_a_signed_bundle_says_by_whom(bundle: Path, keys: Keys, signers: Path) -> None:
    before = check_bundle(bundle)
    made = sign_bundle(bundle, keys.mine)
    verified = verify_bundle(bundle, signers)
    assert not made.replaced
    assert verified.identity == ME
    assert verified.signature == made.signature == signature_of(verified.checked)
    listed = subprocess.run(["ssh-keygen", "-lf", str(keys.mine)], capture_output=True, text=True, check=True).stdout
    fingerprint = listed.split()[1]
    assert (made.signature.fingerprint, made.signature.key_type) == (fingerprint, "ssh-ed25519")
    assert verified.checked.manifest_sha256 == before.manifest_sha256 == made.manifest_sha256
    assert verified.checked.n_files == before.n_files + 1
    assert verified.message == f"integrity ok, signed by {ME} (ssh-ed25519 {fingerprint})"
    assert check_bundle(bundle).message.startswith("integrity ok, origin unknown")


def test_the_line_for_the_list_of_signers_is_accepted_as_it_is(signed: Path, keys: Keys) -> None:
    line = sign_bundle(signed, keys.others).signers_line(OTHER)
    assert verify_bundle(signed, keys.signers("line", line)).identity == OTHER


def test_signing_again_replaces_the_signature(signed: Path, keys: Keys, signers: Path) -> None:
    assert sign_bundle(signed, keys.others).replaced
    with pytest.raises(IntegrityError, match="does not accept"):
        verify_bundle(signed, signers)
    assert {path.name for path in signed.iterdir() if path.name.startswith(".")} == set()


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_keys(kind: str, bundle: Path, keys: Keys, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", kind=kind)
    sign_bundle(bundle, key)
    assert verify_bundle(bundle, keys.signers(kind, keys.line(key, ME))).identity == ME


@pytest.mark.parametrize("principals", [f"{OTHER},{ME}", "*@example.org", f"!{OTHER},*@example.org"])
def test_one_line_may_name_many(principals: str, signed: Path, keys: Keys) -> None:
    several = keys.signers("several", keys.line(keys.mine, principals))
    assert verify_bundle(signed, several, identity=ME).identity == ME
    assert verify_bundle(signed, several).identity in principals.split(",")
    with pytest.raises(IntegrityError, match="not signed by who@else"):
        verify_bundle(signed, several, identity="who@else")


def test_who_must_have_signed_it(signed: Path, keys: Keys) -> None:
    both = keys.signers("both", keys.line(keys.others, OTHER), keys.line(keys.mine, ME))
    assert verify_bundle(signed, both, identity=ME).identity == ME
    with pytest.raises(IntegrityError, match=f"not signed by {OTHER}.*the key of {ME}"):
        verify_bundle(signed, both, identity=OTHER)


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize("options", ['valid-before="20200101"', 'namespaces="git"'])
def test_a_line_with_conditions_that_do_not_hold(options: str, signed: Path, keys: Keys) -> None:
    with pytest.raises(IntegrityError, match=r"does not accept.*(expired|not permitted)"):
        verify_bundle(signed, keys.signers("conditions", keys.line(keys.mine, ME, options)))


def test_an_unsigned_bundle_and_an_empty_list(bundle: Path, signed: Path, whole_bundle: Path, keys: Keys, signers: Path) -> None:
    with pytest.raises(IntegrityError, match="is not signed"):
        verify_bundle(whole_bundle, signers)
    with pytest.raises(IntegrityError, match="does not accept"):
        verify_bundle(signed, keys.signers("empty"))


def test_a_manifest_that_changed_after_it_was_signed(signed: Path, signers: Path) -> None:
    (signed / MANIFEST).write_bytes((signed / MANIFEST).read_bytes() + b"\n")  # the same JSON: only the bytes differ
    check_bundle(signed)
    with pytest.raises(IntegrityError, match="no signature of this"):
        verify_bundle(signed, signers)


def test_a_file_that_changed_after_the_manifest_was_signed(signed: Path, signers: Path) -> None:
    (signed / "README.md").write_bytes(b"x" * (signed / "README.md").stat().st_size)
    with pytest.raises(IntegrityError, match=r"README\.md"):
        verify_bundle(signed, signers)


def test_a_signature_made_for_something_else(signed: Path, keys: Keys, signers: Path) -> None:
    (signed / SIGNATURE).unlink()
    command = ["ssh-keygen", "-q", "-Y", "sign", "-f", keys.mine, "-n", "git", signed / MANIFEST]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(IntegrityError, match="namespace is 'git'"):
        verify_bundle(signed, signers)
    with pytest.raises(IntegrityError, match="namespace is 'git'"):
        signature_of(check_bundle(signed))


def test_the_signature_of_another_bundle(signed: Path, keys: Keys, signers: Path, tmp_path: Path) -> None:
    report = small_bundle(tmp_path / "other", tmp_path / "work", drawing="<svg/>")
    shutil.copyfile(signed / SIGNATURE, report / SIGNATURE)
    with pytest.raises(IntegrityError, match="no signature of this"):
        verify_bundle(report, signers)


@pytest.mark.parametrize("data", [b"", b"garbage", f"{BEGIN}\n{END}\n".encode(), f"{BEGIN}\nAAAA\n{END}".encode(), b"\xff" * 100])
def test_what_is_no_signature(data: bytes, signed: Path, signers: Path) -> None:
    (signed / SIGNATURE).write_bytes(data)
    with pytest.raises(IntegrityError, match="not an SSH signature"):
        verify_bundle(signed, signers)


def test_a_signature_cut_short_anywhere(signed: Path) -> None:
    body = base64.b64decode("".join((signed / SIGNATURE).read_text().splitlines()[1:-1]))
    whole = parse_signature((signed / SIGNATURE).read_bytes(), "x")
    for n in range(len(body)):
        text = f"{BEGIN}\n{base64.b64encode(body[:n]).decode()}\n{END}\n".encode()
        with contextlib.suppress(IntegrityError):
            cut = parse_signature(text, "x")
            assert (cut.public_key, cut.namespace) == (whole.public_key, NAMESPACE)


def test_a_signature_that_is_no_plain_small_file(signed: Path, tmp_path: Path) -> None:
    (signed / SIGNATURE).rename(tmp_path / "elsewhere")
    (signed / SIGNATURE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IntegrityError, match="symbolic link"):
        check_bundle(signed)
    (signed / SIGNATURE).unlink()
    (signed / SIGNATURE).write_bytes(b"x" * (MAX_SIGNATURE_BYTES + 1))
    with pytest.raises(IntegrityError, match="never read"):
        check_bundle(signed)


def test_signers_never_come_from_the_bundle(signed: Path, signers: Path, tmp_path: Path) -> None:
    shutil.copyfile(signers, signed / "allowed_signers")
    with pytest.raises(UsageError, match="lies in the bundle"):
        verify_bundle(signed, signed / "allowed_signers")
    (tmp_path / "link").symlink_to(signed / "allowed_signers")
    with pytest.raises(UsageError, match="lies in the bundle"):
        verify_bundle(signed, tmp_path / "link")
    with pytest.raises(IntegrityError, match="'allowed_signers' is not listed"):
        verify_bundle(signed, signers)
    with pytest.raises(UsageError, match="no list of signers"):
        verify_bundle(signed, tmp_path / "none")


def test_a_bundle_that_is_not_intact_is_not_signed(bundle: Path, keys: Keys) -> None:
    (bundle / "extra").write_text("x")
    with pytest.raises(IntegrityError, match="not listed"):
        sign_bundle(bundle, keys.mine)
    assert not (bundle / SIGNATURE).exists()


@pytest.mark.parametrize("identity", ["", "a b", "a,b", 'a"', "*", "!a", "-a", "a\n", "ä", "x" * 300])
def test_what_is_no_identity(identity: str) -> None:
    with pytest.raises(UsageError, match="cannot be an identity"):
        check_identity(identity)


# ---------------------------------------------------------------- keys
def test_keys_that_cannot_sign(bundle: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(UsageError, match="no key"):
        sign_bundle(bundle, tmp_path / "none")
    (tmp_path / "text").write_text("not a key")
    with pytest.raises(UsageError, match="cannot sign"):
        sign_bundle(bundle, tmp_path / "text")
    shutil.copyfile(f"{keys.mine}.pub", tmp_path / "alone.pub")
    with pytest.raises(UsageError, match="No private key found"):
        sign_bundle(bundle, tmp_path / "alone.pub")
    for_all_to_read = Path(shutil.copyfile(keys.mine, tmp_path / "shared"))
    for_all_to_read.chmod(0o644)
    with pytest.raises(UsageError, match=r"Permissions 0644 for .* are too open"):
        sign_bundle(bundle, for_all_to_read)
    assert not (bundle / SIGNATURE).exists()


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if shutil.which("ssh-agent") is None:
        missing("ssh-agent is not installed")
    text = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    found = dict(part.strip().split("=", 1) for part in text.split(";") if "=" in part)
    for name in ("SSH_AUTH_SOCK", "SSH_AGENT_PID"):
        monkeypatch.setenv(name, found[name])
    yield
    subprocess.run(["ssh-agent", "-k"], capture_output=True, check=True)


def test_a_key_that_the_agent_holds(bundle: Path, keys: Keys, signers: Path, tmp_path: Path, agent: None) -> None:
    subprocess.run(["ssh-add", "-q", str(keys.mine)], check=True)
    public = Path(shutil.copyfile(f"{keys.mine}.pub", tmp_path / "mine.pub"))
    sign_bundle(bundle, public)
    assert verify_bundle(bundle, signers).identity == ME


def test_a_passphrase_is_asked_for_at_the_terminal(
    bundle: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSH_AUTH_SOCK", "DISPLAY", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE"):
        monkeypatch.delenv(name, raising=False)
    key = make_key(tmp_path / "key", passphrase="right one")
    with pytest.raises(UsageError, match="passphrase"):
        sign_bundle(bundle, key)  # no terminal here
    said = _at_a_terminal(f"from edgekit.signing import sign_bundle; sign_bundle({str(bundle)!r}, {str(key)!r})", "right one\n")
    assert "passphrase" in said
    assert verify_bundle(bundle, keys.signers("enc", keys.line(key, ME))).identity == ME


def _at_a_terminal(program: str, typed: str) -> str:
    """Runs a Python program whose terminal we are; types when it asks. Returns what it showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])
    shown = b""
    with contextlib.suppress(OSError):  # Linux says EIO when the other side has closed
        while data := os.read(terminal, 4096):
            shown += data
            if b"passphrase" in data:
                os.write(terminal, typed.encode())
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert status == 0, shown.decode()
    return shown.decode()


# ---------------------------------------------------------------- the tool
@pytest.mark.parametrize(
    ("program", "message"),
    [(None, "not installed"), ("echo 'ssh-keygen: illegal option -- Y' >&2; exit 1", "cannot sign.*OpenSSH 8.1")],
)
def test_without_a_tool_that_can_sign(
    program: str | None, message: str, signed: Path, keys: Keys, signers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bin").mkdir()
    if program is not None:
        (tmp_path / "bin" / "ssh-keygen").write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / "bin" / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for run in (lambda: sign_bundle(signed, keys.mine), lambda: verify_bundle(signed, signers)):
        with pytest.raises(DependencyError, match=message):
            run()
    assert check_bundle(signed).signature_sha256 is not None  # needs no tool


# ---------------------------------------------------------------- the rest of a bundle's life
def test_an_install_keeps_the_signature(bundle: Path, keys: Keys, signers: Path, tmp_path: Path) -> None:
    install(bundle, tmp_path / "opt")
    sign_bundle(bundle, keys.mine)
    assert install(bundle, tmp_path / "opt").changed
    assert verify_bundle(tmp_path / "opt" / "current", signers).identity == ME
    assert not install(bundle, tmp_path / "opt").changed


def test_an_agent_installs_the_signature_too(signed: Path, signers: Path, tmp_path: Path) -> None:
    device = open_device(None)
    assert install_on_device(signed, device, str(tmp_path / "opt")).changed
    assert verify_bundle(tmp_path / "opt" / "current", signers).identity == ME
    assert not install_on_device(signed, device, str(tmp_path / "opt")).changed


def test_a_signed_bundle_is_ours_to_replace(signed: Path) -> None:
    assert check_output(signed) == signed
    (signed / "note").write_text("mine")
    with pytest.raises(OutputError, match="note"):
        check_output(signed)
