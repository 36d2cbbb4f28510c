"""OpenSSH's detached signatures: what one says of itself, and the program that makes and verifies them.

The format is ``PROTOCOL.sshsig`` of OpenSSH. Only ``ssh-keygen`` (OpenSSH 8.1 or newer) does cryptography here; what is
read in Python is which key a signature names, to show it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from .errors import DependencyError, IntegrityError

BEGIN, END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_LONGEST_KEY_TYPE = 64
VERIFY_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class SignatureFacts:
    """What a signature file says of itself; nothing of it is proved before ``ssh-keygen`` has verified it.

    ``sha256``: of the file's bytes. ``fingerprint``: of the public key in it, as ``ssh-keygen -l`` shows it.
    """

    sha256: str
    key_type: str
    fingerprint: str


@dataclass(frozen=True)
class Signature:
    """A parsed signature: ``public_key`` is ``<type> <base64>``, as it stands in ``.pub`` files."""

    facts: SignatureFacts
    public_key: str
    namespace: str


def parse_signature(data: bytes, name: str) -> Signature:
    """The key and namespace that an armoured signature names.

    Raises:
        IntegrityError: it is not one.
    """
    try:
        fields = _Fields(_unarmoured(data))
        fields.expect(_MAGIC + b"\0\0\0\1")
        key = fields.string()
        namespace = fields.string().decode("ascii")
        key_type = _Fields(key).string().decode("ascii")
        if not key_type.isprintable() or not 0 < len(key_type) <= _LONGEST_KEY_TYPE:
            raise ValueError("its key is of no known type")
    except (ValueError, binascii.Error) as problem:
        raise IntegrityError(f"{name!r} is not an SSH signature", why=str(problem)) from problem
    fingerprint = "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")
    facts = SignatureFacts(hashlib.sha256(data).hexdigest(), key_type, fingerprint)
    return Signature(facts, f"{key_type} {base64.b64encode(key).decode()}", namespace)


def _unarmoured(data: bytes) -> bytes:
    lines = data.decode("ascii").split()
    text = " ".join(lines)
    if not (text.startswith(BEGIN) and text.endswith(END)):
        raise ValueError("it has no armour")
    return base64.b64decode("".join(text.removeprefix(BEGIN).removesuffix(END).split()), validate=True)


class _Fields:
    """SSH's wire format (RFC 4251, section 5): strings with their length before them in four bytes, big-endian."""

    def __init__(self, data: bytes) -> None:
        self.left = data

    def take(self, n: int) -> bytes:
        if len(self.left) < n:
            raise ValueError("it is cut short")
        taken, self.left = self.left[:n], self.left[n:]
        return taken

    def expect(self, data: bytes) -> None:
        if self.take(len(data)) != data:
            raise ValueError("it is of another format")

    def string(self) -> bytes:
        return self.take(int.from_bytes(self.take(4), "big"))


@dataclass(frozen=True)
class Answer:
    """How ``ssh-keygen`` ended: ``ok``, what it printed on stdout, and the line of stderr that says most."""

    ok: bool
    stdout: str
    said: str


def ssh_keygen(arguments: Sequence[str], *, stdin: bytes | None = None) -> Answer:
    """Runs ``ssh-keygen``. With ``stdin`` it is given these bytes and a minute; without it has the user's terminal and may ask.

    Raises:
        DependencyError: it is not installed, too old, or does not end.
    """
    try:
        done = subprocess.run(
            ["ssh-keygen", *arguments],
            input=stdin,
            capture_output=True,
            timeout=None if stdin is None else VERIFY_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as problem:
        raise DependencyError(
            "ssh-keygen is not installed",
            why="signatures are made and verified with it",
            hint="install the OpenSSH client, 8.1 or newer",
        ) from problem
    except subprocess.TimeoutExpired as problem:
        raise DependencyError(f"ssh-keygen did not answer in {VERIFY_TIMEOUT_S:.0f} s") from problem
    stderr = done.stderr.decode(errors="replace")
    if "unknown option" in stderr or "illegal option" in stderr:
        raise DependencyError("this ssh-keygen cannot sign", why=_most(stderr), hint="OpenSSH 8.1 or newer is needed")
    return Answer(done.returncode == 0, done.stdout.decode(errors="replace"), _most(stderr))


def _most(stderr: str) -> str:
    """The first line that is not the same after every failure, nor of the frame of "@" around a warning."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    empty = ("Could not verify signature", "Signing ", "No principal matched", "@")
    telling = [line for line in lines if not line.startswith(empty)]
    return (telling or lines or [""])[0][:300]
