"""Device profiles: what is known of a kind of board before one is at hand, and the names that ``--target`` takes.

Plugins, profiles and aliases share one namespace. A profile's first target is the one its name alone stands for.
"""

from __future__ import annotations

import functools
import importlib.resources
import platform
import tomllib
from collections.abc import Sequence
from importlib import metadata
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from .boards import GENERIC, families, recognize
from .errors import DependencyError, UnknownNameError, UsageError
from .targets import GROUP, registry
from .types import DeviceFacts, Profile

SCHEMA = 1
AUTO = "auto"
NULL = "null"
_KEYS: dict[str, type | tuple[type, ...]] = {
    "schema": int, "name": str, "aliases": list, "family": str, "arch": str, "targets": list, "memory_bytes": int,
    "bandwidth": (int, float), "peak": dict, "power_modes": list, "rails": list, "runtimes": list, "sources": list,
}  # fmt: skip
_REQUIRED = ("schema", "name", "family", "arch", "targets")
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


@functools.cache
def load_profiles() -> dict[str, Profile]:
    """All profiles by name.

    Raises:
        UsageError: an unreadable file, an unknown key, or one name for two things (profile, alias, plugin or ``auto``).
    """
    return read_profiles(_folder(), plugins=[entry.name for entry in metadata.entry_points(group=GROUP)])


def _folder() -> Traversable:
    """In the wheel ``edgekit/_device_profiles``; a checkout (also an editable install) has it beside the package."""
    packaged = importlib.resources.files("edgekit") / "_device_profiles"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "device_profiles"


def read_profiles(folder: Traversable, *, plugins: Sequence[str]) -> dict[str, Profile]:
    """The profiles of one folder (see :func:`load_profiles`)."""
    if not folder.is_dir():
        raise UsageError("the device profiles are missing from this installation", hint="pip install --force-reinstall edgekit-sdk")
    owners = {AUTO: "a reserved word"} | {name: f"target plugin {name!r}" for name in plugins}
    profiles: dict[str, Profile] = {}
    for file in sorted((f for f in folder.iterdir() if f.name.endswith(".toml")), key=lambda f: f.name):
        profile = parse_profile(file.read_bytes(), file.name)
        for name in (profile.name, *profile.aliases):
            if name in owners:
                raise UsageError(f"the name {name!r} in {file.name} is taken", why=f"it is {owners[name]}")
            owners[name] = f"a name of profile {profile.name!r}"
        profiles[profile.name] = profile
    return profiles


def parse_profile(data: bytes, file_name: str) -> Profile:
    """One profile from TOML; every key is known and of its type.

    Raises:
        UsageError: names the file and the key.
    """
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise UsageError(f"{file_name} is not valid TOML", why=str(problem)) from problem
    for key, value in document.items():
        if key not in _KEYS:
            raise UnknownNameError(f"key in {file_name}", key, list(_KEYS))
        if isinstance(value, bool) or not isinstance(value, _KEYS[key]):
            raise UsageError(f"{key} in {file_name} has the wrong type", why=f"it is {value!r}")
    for key in _REQUIRED:
        if not document.get(key):
            raise UsageError(f"{file_name} has no {key!r}")
    if document["schema"] != SCHEMA:
        raise UsageError(f"{file_name} has schema {document['schema']}", why=f"this edgekit reads schema {SCHEMA}")
    targets = _texts(document, "targets", file_name)
    if {AUTO, NULL} & set(targets) or len(set(targets)) != len(targets):
        raise UsageError(f"targets in {file_name} are not plugins, each once", why=f"they are {', '.join(targets)}")
    figures = ("memory_bytes", "bandwidth", "peak", "power_modes", "rails", "runtimes")
    if any(key in document for key in figures) and not document.get("sources"):
        raise UsageError(f"{file_name} gives figures without sources")
    return Profile(
        name=document["name"],
        family=document["family"],
        arch=document["arch"],
        targets=targets,
        aliases=_texts(document, "aliases", file_name),
        memory_bytes=document.get("memory_bytes"),
        bandwidth_bytes_per_s=float(document["bandwidth"]) if "bandwidth" in document else None,
        peak=_peak(document.get("peak", {}), file_name),
        power_modes=_texts(document, "power_modes", file_name),
        rails=_rails(document.get("rails", []), file_name),
        runtimes=_texts(document, "runtimes", file_name),
        sources=_texts(document, "sources", file_name),
    )


def _texts(document: dict[str, Any], key: str, file_name: str) -> tuple[str, ...]:
    values = document.get(key, [])
    if not all(isinstance(value, str) and value for value in values):
        raise UsageError(f"{key} in {file_name} is not a list of texts", why=f"it is {values!r}")
    return tuple(values)


def _peak(table: dict[str, Any], file_name: str) -> dict[str, float]:
    if not all(type(value) in (int, float) and value > 0 for value in table.values()):
        raise UsageError(f"peak in {file_name} is not a table of operations per second by precision")
    return {precision: float(value) for precision, value in table.items()}


def _rails(rails: list[Any], file_name: str) -> tuple[dict[str, str], ...]:
    if not all(
        isinstance(rail, dict) and set(rail) == {"name", "scope"} and all(isinstance(v, str) for v in rail.values())
        for rail in rails
    ):
        raise UsageError(f"rails in {file_name} are not a list of {{name, scope}}")
    return tuple(dict(rail) for rail in rails)


def aliases() -> dict[str, str]:
    """{alias: profile name}."""
    return {alias: profile.name for profile in load_profiles().values() for alias in profile.aliases}


def get_profile(name: str) -> Profile:
    """The profile with that name or alias.

    Raises:
        UnknownNameError: with the nearest names.
    """
    profiles = load_profiles()
    profile = profiles.get(aliases().get(name, name))
    if profile is None:
        raise UnknownNameError("device profile", name, sorted([*profiles, *aliases()]))
    return profile


def machine_profile(machine: str | None = None) -> Profile:
    """The generic profile of a machine's architecture (``platform.machine()`` of this one unless said).

    Raises:
        UnknownNameError: no profile is that general.
    """
    arch = normal_arch(machine or platform.machine())
    for profile in load_profiles().values():
        if profile.family == GENERIC and profile.arch == arch:
            return profile
    raise UnknownNameError("machine", arch, sorted(p.arch for p in load_profiles().values() if p.family == GENERIC))


def resolve(names: Sequence[str], *, device: Profile | None = None) -> list[tuple[str, Profile]]:
    """What ``--target`` means: (target name, profile), each pair once, in the order of the names.

    A plugin's name stands for itself on the profile of the run; a profile's name or alias for its first target; ``auto`` for all
    targets of the run's profile that are installed here. The run's profile is ``device`` (that of a connected device), else the one
    profile named among ``names``, else this machine's.

    Raises:
        UnknownNameError: over all plugins, profiles and aliases.
        DependencyError: a profile's target is not installed.
    """
    installed, profiles, alias = registry(), load_profiles(), aliases()
    named = [profiles[alias.get(name, name)] for name in names if alias.get(name, name) in profiles]
    of_the_run = device or (named[0] if len({p.name for p in named}) == 1 else machine_profile())
    pairs: list[tuple[str, Profile]] = []
    for name in names:
        if name == AUTO:
            pairs += [(target, of_the_run) for target in _installed_targets(of_the_run)]
        elif name in installed:
            pairs.append((name, of_the_run))
        elif alias.get(name, name) in profiles:
            profile = profiles[alias.get(name, name)]
            pairs.append((_first_target(profile), profile))
        elif name in {target for profile in profiles.values() for target in profile.targets}:
            raise _not_installed(name)
        else:
            raise UnknownNameError("target", name, sorted([AUTO, *installed, *profiles, *alias]))
    return [pair for i, pair in enumerate(pairs) if pair not in pairs[:i]]


def _installed_targets(profile: Profile) -> list[str]:
    found = [target for target in profile.targets if target in registry()]
    if not found:
        raise _not_installed(profile.targets[0], profile)
    return found


def _first_target(profile: Profile) -> str:
    if profile.targets[0] not in registry():
        raise _not_installed(profile.targets[0], profile)
    return profile.targets[0]


def _not_installed(target: str, profile: Profile | None = None) -> DependencyError:
    others = [name for name in (profile.targets if profile else ()) if name in registry()]
    instead = f"; its other targets here: {', '.join(others)}" if others else ""
    return DependencyError(
        f"target {target!r} is not installed",
        why=f"device profile {profile.name!r} stands for it"
        if profile
        else "device profiles list it, but no plugin here provides it",
        hint=f"it comes with its plugin and the extra edgekit-sdk[{target}]; `edgekit targets` lists what is here{instead}",
    )


def normal_arch(machine: str) -> str:
    """One spelling for an architecture: ``arm64`` and ``aarch64`` are one thing."""
    return _ARCHITECTURES.get(machine.lower(), machine.lower())


def family_of(facts: DeviceFacts) -> str:
    """The family that a probed device says it belongs to; ``generic`` where nothing says more."""
    return recognize(facts)[0]


def closest_profile(facts: DeviceFacts) -> Profile | None:
    """The profile that comes closest to a probed device: that of its board or chip, else the generic one of its architecture.

    ``None`` where there is no profile of that architecture. A 32-bit system on a 64-bit kernel has none either: no runtime for the
    kernel's architecture would load there.
    """
    arch = "" if facts.address_bits == 32 else normal_arch(facts.machine)
    name = recognize(facts)[1]
    profiles = load_profiles()
    if name is not None and profiles[name].arch == arch:
        return profiles[name]
    return next((profile for profile in profiles.values() if profile.family == GENERIC and profile.arch == arch), None)


def profile_matches(profile: Profile, facts: DeviceFacts) -> bool:
    """Whether a probed device may stand for ``profile``: same architecture and, unless the profile is generic, same family.

    A device that declares itself emulated or a stand-in is not the real board by definition, so only its architecture is compared.
    """
    if normal_arch(profile.arch) != normal_arch(facts.machine):
        return False
    return profile.family == GENERIC or facts.kind != "real" or profile.family in families(facts)


def require_match(profile: Profile, facts: DeviceFacts, device: str) -> None:
    """Refuses a device that is not of the profile's family (CONTRACTS 2).

    Raises:
        UsageError: names both.
    """
    if not profile_matches(profile, facts):
        raise UsageError(
            f"device {device!r} is not a {profile.name}",
            why=f"it is {family_of(facts)}/{normal_arch(facts.machine)}, the profile is {profile.family}/{profile.arch}",
            hint="name the target that fits the device, or --target auto",
        )
