"""What is wrong with a field of a request, in words that somebody who does not know the decoder can act on.

Nothing of what was sent is repeated.
"""

from __future__ import annotations

import re

_LENGTH = re.compile(r"Expected `(?P<kind>\w+)` of length (?P<side>>=|<=) (?P<count>\d+)")
_SIZE = re.compile(r"Expected `(?:int|float)` (?P<side>>=|<=|>|<) (?P<limit>-?[\d.]+)")
_KIND = re.compile(r"Expected `(?P<kinds>[\w |]+)`, got `(?P<got>\w+)`")
_UNITS = {"str": ("character", "characters"), "array": ("item", "items"), "object": ("key", "keys")}
_KINDS = {"str": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
          "object": "an object", "null": "null", "datetime": "a time"}
_SIDES = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_OTHERS = (("matching regex", "not in the form that is taken here; /openapi.json has its pattern"),
           ("Invalid enum value", "not one of the words that are taken here; /openapi.json lists them"),
           ("with a timezone", "a time with its zone, such as 2026-11-20T14:05:00Z"),
           ("Invalid RFC3339", "a time such as 2026-11-20T14:05:00Z"),
           ("unknown field", "unknown field"), ("missing required field", "required"))


def worded(reason: str) -> str:
    """The decoder's words in ours."""
    for known, text in _OTHERS:
        if known in reason:
            return text
    if (length := _LENGTH.search(reason)) is not None:
        one, many = _UNITS.get(length["kind"], ("part", "parts"))
        return f"{_SIDES[length['side']]} {int(length['count']):,} {one if length['count'] == '1' else many}"
    if (size := _SIZE.search(reason)) is not None:
        return f"{_SIDES[size['side']]} {size['limit']}"
    if (kind := _KIND.search(reason)) is not None:
        wanted = " or ".join(_KINDS.get(name, name) for name in kind["kinds"].split(" | "))
        return f"{wanted} is wanted here, not {_KINDS.get(kind['got'], kind['got'])}"
    return "not a value that is taken here"
