"""``edgekit sign``."""

from __future__ import annotations

from pathlib import Path

import click

from .common import common_options, examples, print_json


@click.command(
    epilog=examples(
        "edgekit sign model-onnx-edgekit/ --key ~/.ssh/id_ed25519 --identity me@example.org",
        "edgekit sign model-onnx-edgekit/ --key ~/.ssh/id_ed25519.pub    # the key is in ssh-agent",
    )
)
@click.argument("bundle", type=click.Path(path_type=Path, readable=False))
@click.option(
    "--key",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="SSH key to sign with: a private key, or the .pub file of a key that ssh-agent holds.",
)
@click.option(
    "--identity", metavar="NAME", help="Also print the line that others put into their list of signers to accept NAME's bundles."
)
@common_options
def sign(bundle: Path, key: Path, identity: str | None, as_json: bool) -> None:
    """Sign BUNDLE with an SSH key, so that edgekit check --signers can say who made it.

    The signature is over edgekit.json, which lists every other file with its hash, and is written beside it as edgekit.json.sig. A
    bundle that is not intact is not signed; signing again replaces the signature. ssh-keygen asks for a passphrase at the terminal.
    """
    from ..report.text import clean
    from ..signing import check_identity, sign_bundle
    from ..values import to_json

    if identity is not None:
        check_identity(identity)
    signed = sign_bundle(bundle, key)
    line = None if identity is None else signed.signers_line(identity)
    if as_json:
        print_json(
            {
                "schema": "edgekit.sign/1",
                "path": str(bundle),
                "manifest_sha256": signed.manifest_sha256,
                "signature": to_json(signed.signature),
                "replaced": signed.replaced,
                "signers_line": line,
            }
        )
        return
    again = " again, its old signature is replaced" if signed.replaced else ""
    click.echo(f"{clean(bundle)}: signed{again} with {signed.signature.key_type} {signed.signature.fingerprint}")
    click.echo(f"  {clean(signed.path)}")
    click.echo(f"  sha256 of edgekit.json: {signed.manifest_sha256}")
    if line is not None:
        click.echo(f"  for the list of signers of whoever checks it:\n{line}")
