"""``edgekit completion``."""

from __future__ import annotations

import click

from .common import examples

SHELLS = ("bash", "zsh", "fish")


@click.command(
    epilog=examples(
        'eval "$(edgekit completion bash)"        # in ~/.bashrc',
        'eval "$(edgekit completion zsh)"         # in ~/.zshrc',
        "edgekit completion fish > ~/.config/fish/completions/edgekit.fish",
    )
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the completion script of SHELL: commands, options and their values."""
    from click.shell_completion import get_completion_class

    from .main import COMPLETE, cli

    shell_class = get_completion_class(shell)
    assert shell_class is not None
    click.echo(shell_class(cli, {}, "edgekit", COMPLETE).source())
