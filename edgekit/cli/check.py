"""``edgekit check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .common import common_options, examples, print_json

if TYPE_CHECKING:
    from ..manifest import CheckResult
    from ..signing import Verified


@click.command(
    epilog=examples(
        "edgekit check model-onnx-edgekit/",
        "edgekit check --json /opt/models/ocr/current",
        "edgekit check model-onnx-edgekit/ --signers ~/.ssh/allowed_signers",
        "edgekit check digits-android/",
        "edgekit check model.onnx --target jetson",
    )
)
@click.argument("path", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--signers",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="Require a signature by a key in this list, which is yours and not the bundle's (docs/signing.md).",
)
@click.option("--identity", metavar="NAME", help="With --signers: require that it is NAME's, as the list calls its owner.")
@click.option(
    "--target", metavar="NAME", help="Check a model against the rules of this target's runtime: a plugin, a profile or its alias."
)
@common_options
def check(path: Path, signers: Path | None, identity: str | None, target: str | None, as_json: bool) -> None:
    """Verify PATH, a bundle or a package: every listed file is there with its size and hash, and nothing else is.

    Without --signers this proves that nothing was damaged, not who made it. The exit code is 8 when anything differs, and when a
    signature that --signers requires is missing, wrong or somebody else's.

    With --target, PATH is a model, and the rules of that target's runtime are checked on it, without building or sending
    anything: what the runtime refuses, and what it would silently compute differently. The exit code is 4 when it would.
    """
    from ..errors import UsageError
    from .check_model import show_findings
    from .check_package import is_package, show_package

    asks_who = signers is not None or identity is not None
    if target is not None:
        if asks_who:
            raise UsageError("--target is for models, --signers and --identity are for bundles")
        show_findings(path, target, as_json=as_json)
    elif is_package(path):
        show_package(path, asks_who=asks_who, as_json=as_json)
    else:
        _show_bundle(path, signers, identity, as_json=as_json)


def _show_bundle(bundle: Path, signers: Path | None, identity: str | None, *, as_json: bool) -> None:
    from ..errors import IntegrityError, UsageError
    from ..paths import kind_of
    from ..report.text import brief, clean, size

    if bundle.suffix in (".onnx", ".pt2") and kind_of(bundle, IntegrityError) == "file":
        raise UsageError(f"{bundle.name} is a model, not a bundle", hint=f"edgekit check {bundle} --target jetson, for example")
    result, verified = _checked(bundle, signers, identity)
    winner = result.bundle.winner
    if as_json:
        print_json(
            {
                "schema": "edgekit.check/1",
                "path": str(bundle),
                "integrity": "ok",
                "origin": result.origin if verified is None else verified.identity,
                "signature": _signature(result, verified),
                "manifest_sha256": result.manifest_sha256,
                "n_files": result.n_files,
                "size_bytes": result.size_bytes,
                "winner": None if winner is None else {"id": winner.id, "provisional": winner.provisional},
            }
        )
        return
    click.echo(f"{clean(bundle)}: {clean((verified or result).message)}")
    click.echo(f"  {result.n_files} files, {size(result.size_bytes)}, made by edgekit {brief(result.bundle.edgekit)}")
    if winner is not None:
        click.echo(
            f"  {brief(winner.id)}{' (provisional)' if winner.provisional else ''} for {brief(result.bundle.report.profile)}"
        )
    click.echo(f"  sha256 of edgekit.json: {result.manifest_sha256}")


def _checked(bundle: Path, signers: Path | None, identity: str | None) -> tuple[CheckResult, Verified | None]:
    from ..bundle import check_bundle
    from ..errors import UsageError
    from ..signing import verify_bundle

    if signers is None:
        if identity is not None:
            raise UsageError("--identity needs --signers", why="only a list of signers says which key is whose")
        return check_bundle(bundle), None
    verified = verify_bundle(bundle, signers, identity=identity)
    return verified.checked, verified


def _signature(result: CheckResult, verified: Verified | None) -> dict[str, object] | None:
    """What ``--json`` says of a signature; of one that was not verified nothing but that it is there."""
    if result.signature_sha256 is None:
        return None
    found = {"verified": verified is not None, "sha256": result.signature_sha256}
    if verified is None:
        return found
    return {**found, "key_type": verified.signature.key_type, "fingerprint": verified.signature.fingerprint}
