"""What of a profile is older than its fields may be kept: pure, so that working it out twice comes to the same."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ruche.storage.model.conversation import FieldValue, Profile

Days = Mapping[str, int]
"""Days that a field is kept, by its name. What is not named is kept."""
_DAY_MS = 86_400_000


def expired(profile: Profile, days: Days, now_ms: int) -> dict[str, int]:
    """Fields that hold something too old, each with the time up to which it goes."""
    limits = {name: now_ms - kept * _DAY_MS for name, kept in days.items() if name in profile.fields}
    return {name: limit for name, limit in limits.items() if trimmed(profile.fields[name], limit)
            is not profile.fields[name]}


def without(profile: Profile, limits: Mapping[str, int]) -> Profile:
    """The profile without what is as old as the limits (ms), or itself when nothing is."""
    kept: dict[str, FieldValue] = {}
    for name, value in profile.fields.items():
        left = trimmed(value, limits[name]) if name in limits else value
        if left is not None:
            kept[name] = left
    same = len(kept) == len(profile.fields) and all(kept[name] is value for name, value in profile.fields.items())
    return profile if same else msgspec.structs.replace(profile, fields=kept, version=profile.version + 1)


def trimmed(value: FieldValue, limit_ms: int) -> FieldValue | None:
    """A value without what is as old as the limit: None when it is itself, else without such earlier values."""
    if value.at_ms <= limit_ms:
        return None
    if all(at_ms > limit_ms for _, at_ms in value.history):
        return value
    return msgspec.structs.replace(value, history=tuple(one for one in value.history if one[1] > limit_ms))
