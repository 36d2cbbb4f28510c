"""Who made a bundle: an SSH signature over the bytes of ``edgekit.json``, made and verified on hosts. See docs/signing.md.

The manifest lists every other file with its hash, so its bytes stand for all of them. Who may sign is said by the reader's own
``allowed_signers`` file (``ssh-keygen(1)``, ALLOWED SIGNERS), never by anything in the bundle.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import IntegrityError, UsageError
from .integrity import MAX_JSON_BYTES, read_small
from .manifest import MANIFEST, MAX_SIGNATURE_BYTES, SIGNATURE, CheckResult, check_bundle, read_signature
from .paths import kind_of
from .sshsig import Signature, SignatureFacts, parse_signature, ssh_keygen
from .state import write_file

NAMESPACE = "edgekit-bundle"
_IDENTITY = re.compile(r"[A-Za-z0-9._%+=:/@-]{1,256}")  # a principal that an allowed_signers line can hold as it is
_MOST_IDENTITIES = 100  # of one key that are tried
_SIGN_HINT = "edgekit sign BUNDLE --key KEY signs one"


@dataclass(frozen=True)
class Signed:
    """A signature that was just made.

    Attributes:
        path: the signature file.
        manifest_sha256: of the bytes that were signed.
        public_key: ``<type> <base64>``.
        replaced: another signature stood there before.
    """

    path: Path
    manifest_sha256: str
    signature: SignatureFacts
    public_key: str
    replaced: bool

    def signers_line(self, identity: str) -> str:
        """The line by which somebody else accepts bundles signed with this key as ``identity``'s."""
        return f'{identity} namespaces="{NAMESPACE}" {self.public_key}'


@dataclass(frozen=True)
class Verified:
    """A bundle that is intact and signed by ``identity``, as the reader's own list of signers has it."""

    checked: CheckResult
    identity: str
    signature: SignatureFacts

    @property
    def message(self) -> str:
        return f"integrity ok, signed by {self.identity} ({self.signature.key_type} {self.signature.fingerprint})"


# ---------------------------------------------------------------- sign
def sign_bundle(bundle: str | Path, key: str | Path) -> Signed:
    """Sign an intact bundle with an SSH key; a signature that is there already is replaced.

    Args:
        bundle: the folder.
        key: a private key, or the public key of one that ``ssh-agent`` holds. ``ssh-keygen`` asks for a passphrase at the terminal.

    Raises:
        IntegrityError: the bundle is not intact.
        UsageError: there is no such key, or it cannot be used.
        DependencyError: ``ssh-keygen`` is not installed or too old.
        OutputError: the bundle cannot be written.
    """
    key = Path(key).expanduser()
    if kind_of(key, UsageError) != "file":
        raise UsageError(
            f"there is no key {key}", hint="ssh-keygen -t ed25519 makes one; for a key in ssh-agent give its .pub file"
        )
    checked = check_bundle(bundle)
    manifest = _manifest_bytes(checked)
    data = _ssh_sign(manifest, key)
    signature = parse_signature(data, SIGNATURE)
    _require_valid(data, manifest, signature)
    replaced = checked.signature_sha256 is not None
    write_file(checked.path / SIGNATURE, data)
    return Signed(checked.path / SIGNATURE, checked.manifest_sha256, signature.facts, signature.public_key, replaced)


def check_identity(identity: str) -> str:
    """``identity`` as it can stand in a list of signers.

    Raises:
        UsageError: white space, a comma, a quote or a wildcard.
    """
    if not _IDENTITY.fullmatch(identity) or identity.startswith("-"):
        raise UsageError(f"{identity!r} cannot be an identity", hint="one is written like an address: me@example.org")
    return identity


def _ssh_sign(manifest: bytes, key: Path) -> bytes:
    """The signature's bytes. A file is signed, not a pipe: stdin stays the terminal, where a passphrase is asked for."""
    with tempfile.TemporaryDirectory(prefix="edgekit-sign-") as folder:
        copy = Path(folder) / MANIFEST
        copy.write_bytes(manifest)
        answer = ssh_keygen(["-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(copy)])
        made = copy.with_name(SIGNATURE)
        if not answer.ok or not made.is_file():
            raise UsageError(
                f"{key} cannot sign",
                why=answer.said,
                hint="a passphrase is asked for at a terminal only; elsewhere load the key with ssh-add and give its .pub file",
            )
        return read_small(made, max_bytes=MAX_SIGNATURE_BYTES)


# ---------------------------------------------------------------- verify
def verify_bundle(bundle: str | Path, signers: str | Path, *, identity: str | None = None) -> Verified:
    """Verify a bundle and its signature by the reader's own list of signers.

    Args:
        bundle: the folder.
        signers: an ``allowed_signers`` file, which must lie outside the bundle.
        identity: who must have signed it; anybody on the list unless said.

    Raises:
        IntegrityError: the bundle is not intact, not signed, not signed over these bytes, or not by whom it must be.
        UsageError: there is no such list, or it lies in the bundle; an identity that cannot be one.
        DependencyError: ``ssh-keygen`` is not installed or too old.
    """
    signers = _readers_own(Path(signers).expanduser(), Path(bundle))
    if identity is not None:
        check_identity(identity)
    checked = check_bundle(bundle)
    data = read_signature(checked.path)
    if data is None:
        raise IntegrityError(f"{bundle} is not signed", why=f"it holds no {SIGNATURE}", hint=_SIGN_HINT)
    if hashlib.sha256(data).hexdigest() != checked.signature_sha256:
        raise IntegrityError(f"{SIGNATURE} changed while it was read")
    signature = parse_signature(data, SIGNATURE)
    manifest = _manifest_bytes(checked)
    _require_valid(data, manifest, signature)
    return Verified(checked, _who(data, manifest, signature, signers, identity), signature.facts)


def signature_of(checked: CheckResult) -> SignatureFacts | None:
    """What the signature in a bundle says of itself, unverified; None without one.

    Raises:
        IntegrityError: the file is not a signature of a bundle.
    """
    data = read_signature(checked.path)
    if data is None:
        return None
    signature = parse_signature(data, SIGNATURE)
    _require_namespace(signature)
    return signature.facts


def _readers_own(signers: Path, bundle: Path) -> Path:
    if kind_of(signers, UsageError) != "file":
        raise UsageError(f"there is no list of signers {signers}", hint="docs/signing.md shows one")
    if signers.resolve().is_relative_to(bundle.resolve()):
        raise UsageError(
            f"{signers} lies in the bundle",
            why="who may sign is never said by what is to be verified",
            hint="keep a list of your own, outside",
        )
    return signers


def _manifest_bytes(checked: CheckResult) -> bytes:
    """The bytes of the manifest that was checked, and no others."""
    data = read_small(checked.path / MANIFEST, max_bytes=MAX_JSON_BYTES)
    if hashlib.sha256(data).hexdigest() != checked.manifest_sha256:
        raise IntegrityError(f"{MANIFEST} changed while it was read")
    return data


def _require_valid(data: bytes, manifest: bytes, signature: Signature) -> None:
    """The signature is over these bytes, by the key that it names; whose key that is stays open."""
    _require_namespace(signature)
    with _signature_file(data) as path:
        answer = ssh_keygen(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", str(path)], stdin=manifest)
    if not answer.ok:
        raise IntegrityError(
            f"{SIGNATURE} is no signature of this {MANIFEST}",
            why=answer.said,
            hint="the bundle was changed or replaced after it was signed; sign it again if that was you",
        )


def _require_namespace(signature: Signature) -> None:
    if signature.namespace != NAMESPACE:
        raise IntegrityError(
            f"{SIGNATURE} was not made for a bundle",
            why=f"its namespace is {signature.namespace[:80]!r}, not {NAMESPACE!r}",
            hint=_SIGN_HINT,
        )


def _who(data: bytes, manifest: bytes, signature: Signature, signers: Path, identity: str | None) -> str:
    """The identity under which ``signers`` accepts the key of a signature that is valid in itself.

    Raises:
        IntegrityError: there is none, or not the one asked for.
    """
    shown = f"{signature.facts.key_type} {signature.facts.fingerprint}"
    with _signature_file(data) as path:
        found = ssh_keygen(["-Y", "find-principals", "-s", str(path), "-f", str(signers)], stdin=b"")
        known = re.split(r"[,\n]", found.stdout.strip())[:_MOST_IDENTITIES] if found.ok else []
        tried: Sequence[str] = [name for name in known if name and not name.startswith(("!", "-"))]
        refusal = found.said
        for name in tried if identity is None else [identity]:
            verify = ["-Y", "verify", "-f", str(signers), "-I", name, "-n", NAMESPACE, "-s", str(path)]
            answer = ssh_keygen(verify, stdin=manifest)
            if answer.ok:
                return name
            refusal = answer.said
    if identity is not None and tried:
        raise IntegrityError(
            f"the bundle is not signed by {identity}", why=f"it is signed with {shown}, the key of {', '.join(tried)}"
        )
    raise IntegrityError(
        f"the bundle is signed with a key that {signers} does not accept",
        why=": ".join(part for part in (shown, _without_verdict(refusal)) if part),
        hint="add its owner's line only if you know from its owner that it is right",
    )


def _without_verdict(said: str) -> str:
    return "" if said.startswith(("Could not verify", "No principal")) else said


@contextlib.contextmanager
def _signature_file(data: bytes) -> Iterator[Path]:
    """The signature's bytes that were read, where ``ssh-keygen`` can read them: what lies in the bundle may change meanwhile."""
    with tempfile.NamedTemporaryFile(prefix="edgekit-", suffix=".sig") as file:
        file.write(data)
        file.flush()
        yield Path(file.name)
