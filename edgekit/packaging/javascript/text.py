"""Lines that the READMEs of the packages for JavaScript have in common."""

from __future__ import annotations

from ..readme import tensor_lines
from ..source import PackageSource
from .contract import keys
from .npm import npm_name


def tarball(source: PackageSource) -> str:
    """What ``npm pack`` calls its file."""
    return f"{npm_name(source).lstrip('@').replace('/', '-')}-{source.version}.tgz"


def threads(source: PackageSource) -> str:
    return f"{source.threads} thread{'s' * (source.threads != 1)}"


def tensor_table(source: PackageSource) -> str:
    """Each tensor under its name in the model and in JavaScript."""
    return "\n".join(tensor_lines(source, {f"{role} {name}": key for (role, name), key in keys(source).items()}))


def no_pictures() -> str:
    """Said where no preprocessing was recorded."""
    return (
        "This model was not calibrated with pictures, so this package has no preprocessing: the caller makes the input tensors.\n"
        "It has no tokenizer either; where the inputs are token ids, they must come from the one the model was trained with."
    )


def raw_bits(source: PackageSource) -> str:
    """How tensors are handed over that have no array of their own everywhere."""
    dtypes = {tensor.original.dtype for tensor in source.artifact.io}
    said = []
    if "float16" in dtypes:
        said.append("float16 tensors are their raw 16 bits in a `Uint16Array`.")
    if "bool" in dtypes:
        said.append("bool tensors are bytes of 0 or 1.")
    return " ".join(said)
