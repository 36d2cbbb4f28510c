"""For which targets, on which profile, a run is: what ``--target`` and ``--device`` mean together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .boards import GENERIC, families
from .errors import DependencyError, UsageError
from .profiles import AUTO, aliases, closest_profile, get_profile, load_profiles, normal_arch, profile_matches, resolve
from .targets import Target, get_target, own_formats, reads
from .types import DeviceFacts, Profile, Site

if TYPE_CHECKING:
    from .devices.inventory import Device
    from .model import Model
    from .request import DeployRequest

Sites = list[tuple[Target, Site]]


def check_names(names: Sequence[str]) -> None:
    """Refuses, before anything is read or contacted, what ``--target`` can mean on no device.

    Raises:
        UnknownNameError, DependencyError: as for :func:`edgekit.profiles.resolve`.
        UsageError: two profiles.
    """
    _named_profile(names)
    named = [name for name in names if name != AUTO]
    if named:
        resolve(named)


def sites_of(request: DeployRequest, model: Model, device: Device, facts: DeviceFacts) -> tuple[Sites, str, tuple[str, ...]]:
    """Each target with where it runs; why nothing is measured (empty when it is); and a warning for what ``auto`` left out.

    With ``--device`` the run's profile is the device's own (its entry's, otherwise the closest to what was probed), also where
    ``--target`` names another of the same family. Without, this machine is the device if it satisfies the profile that is named.

    Raises:
        UsageError: the device is not of the family that ``--target`` names; says both.
        DependencyError: nothing that ``auto`` stands for is installed here and present there.
    """
    named = _named_profile(request.target)
    if request.device is None:
        pairs = resolve(request.target)
        if named is not None and not profile_matches(named, facts):
            sites, unread = _readable([(get_target(name), Site(profile, None)) for name, profile in dict(pairs).items()], model)
            return sites, f"this machine ({facts.machine}) is not a {named.name}, and no --device was given", unread
        profile = pairs[0][1]
    else:
        profile = profile_of_run(named, device, facts)
        pairs = resolve(request.target, device=profile)
    sites, unread = _readable([(get_target(name), Site(profile, facts)) for name in dict(pairs)], model)
    present, left_out = _present(request.target, model, sites, device.name)
    return present, "", (*unread, *left_out)


def _readable(sites: Sites, model: Model) -> tuple[Sites, tuple[str, ...]]:
    """Without the targets that do not build from the model's format.

    Raises:
        UsageError: none does.
    """
    left = [(target, site) for target, site in sites if reads(target, model.format)]
    out = [target.name for target, _ in sites if not reads(target, model.format)]
    if not left:
        raise UsageError(
            f"{', '.join(out)} cannot take a .{model.format} model",
            why="it is in the format of one runtime, and nothing turns it back",
            hint=f"--target {own_formats()[model.format].name}, or give the ONNX that it was made from",
        )
    return left, tuple(f"{name} was left out: it does not take .{model.format} models" for name in out)


def _named_profile(names: Sequence[str]) -> Profile | None:
    """The one profile among ``names``, by its name or an alias."""
    profiles, alias = load_profiles(), aliases()
    named = list(dict.fromkeys(alias.get(name, name) for name in names if alias.get(name, name) in profiles))
    if len(named) > 1:
        raise UsageError(
            f"--target names {named[0]} and {named[1]}",
            why="one run is for one kind of device",
            hint="deploy to one after the other",
        )
    return profiles[named[0]] if named else None


def profile_of_run(named: Profile | None, device: Device, facts: DeviceFacts) -> Profile:
    """The device's own profile, if it is of the family of the one that was ``named`` (by ``--target``, or by a bundle).

    Raises:
        UsageError: it is not; names both.
    """
    own = device_profile(device, facts)
    if named is None:
        return own
    same_processor = normal_arch(named.arch) == normal_arch(facts.machine)
    if same_processor and facts.kind != "real" and own.family in (GENERIC, named.family):
        return named  # a stand-in is never the board itself: it stands for the one that is named, unless it shows another
    if not same_processor or named.family not in {GENERIC, own.family, *families(facts)}:
        raise UsageError(
            f"device {device.name!r} is a {own.name}, not a {named.name}",
            why=f"the one is {own.family}/{normal_arch(facts.machine)}, the other {named.family}/{normal_arch(named.arch)}",
            hint="name the target that fits the device, or --target auto",
        )
    return own


def device_profile(device: Device, facts: DeviceFacts) -> Profile:
    """The profile that stands for a device: the one its entry names, otherwise the closest to what was probed.

    Raises:
        UnknownNameError: there is no such profile.
        UsageError: there is none for such a processor, or its entry names one of another.
    """
    if device.profile is None:
        closest = closest_profile(facts)
        if closest is None:
            bits = f", {facts.address_bits}-bit" if facts.address_bits else ""
            raise UsageError(
                f"no device profile fits device {device.name!r}",
                why=f"it has a processor of {normal_arch(facts.machine)}{bits}",
                hint=f"edgekit devices probe {device.name} shows what it is; `edgekit targets` lists the profiles",
            )
        return closest
    profile = get_profile(device.profile)
    if normal_arch(profile.arch) != normal_arch(facts.machine):
        raise UsageError(
            f"device {device.name!r} is not a {profile.name}, as its entry says",
            why=f"it has a processor of {normal_arch(facts.machine)}, the profile is of {normal_arch(profile.arch)}",
            hint=f"edgekit devices probe {device.name} names the profile that it is closest to",
        )
    return profile


def _present(names: Sequence[str], model: Model, sites: Sites, device: str) -> tuple[Sites, tuple[str, ...]]:
    """Without what ``auto`` stands for and the device refuses altogether: its runtime is not there."""
    if AUTO not in names:
        return sites, ()
    asked = {target for target, _ in resolve([name for name in names if name != AUTO])} if set(names) != {AUTO} else set()
    refusals = {target.name: _refusal(target, model, site) for target, site in sites if target.name not in asked}
    present = [(target, site) for target, site in sites if not refusals.get(target.name)]
    absent = [f"{name}: {why}" for name, why in refusals.items() if why]
    if not present:
        raise DependencyError(
            f"nothing on device {device!r} can run what is built here",
            why="; ".join(absent),
            hint="edgekit devices doctor says what to install there",
        )
    return present, tuple(f"--target auto left out {text}" for text in absent)


def _refusal(target: Target, model: Model, site: Site) -> str:
    """Why nothing of ``target`` is possible on the device although it is elsewhere; empty where something is."""
    anywhere = Site(site.profile, None)
    offered = [each for each in target.candidates(model, anywhere) if target.reject(model, each, anywhere) is None]
    refused = [target.reject(model, each, site) for each in offered]
    first = refused[0] if refused else None
    if first is None or None in refused:
        return ""
    return first.why + (f" ({first.instead})" if first.instead else "")
