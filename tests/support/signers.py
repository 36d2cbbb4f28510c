"""SSH keys of a test's own, and lists of signers made of them."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.requirements import missing

ME, OTHER = "me@example.org", "other@example.org"


def require_ssh_keygen() -> None:
    if shutil.which("ssh-keygen") is None:
        missing("ssh-keygen (OpenSSH client) makes and verifies signatures")


@dataclass(frozen=True)
class Keys:
    """Two keys without a passphrase in a folder of their own."""

    folder: Path

    @property
    def mine(self) -> Path:
        return self.folder / "mine"

    @property
    def others(self) -> Path:
        return self.folder / "others"

    def signers(self, name: str, *lines: str) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def line(self, key: Path, identity: str, options: str = "") -> str:
        key_type, encoded = key.with_name(f"{key.name}.pub").read_text().split()[:2]
        return " ".join(part for part in (identity, options, key_type, encoded) if part)


def make_key(path: Path, *, passphrase: str = "", kind: str = "ed25519") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "a test", "-f", str(path)], check=True)
    return path


def make_keys(folder: Path) -> Keys:
    keys = Keys(folder)
    make_key(keys.mine)
    make_key(keys.others)
    return keys
