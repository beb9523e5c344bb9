"""Services of a schema {service_name, slots, intents} as an agent: a field per slot, a scenario and a tool per intent.

An intent that changes something is done after a yes only; one that looks something up goes on with what is offered.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ruche.storage.model.bundle import AgentBundle

_KINDS = (("date", re.compile(r"(?:^|_)dates?(?:_|$)|(?:^|_)day(?:_|$)")),
          ("time", re.compile(r"(?:^|_)times?(?:_|$)")), ("phone", re.compile(r"phone")),
          ("number", re.compile(r"(?:^|_)(?:number_of|amount|price|fare|days|nights|length|balance|rating)(?:_|$)|"
                                r"_(?:amount|price|fare)$")))


_OTHERWISE = ("Do you have anything else?", "What else is there?", "Can you find another one?",
              "Could you search for something different?")
"""How people ask for other results."""


class Intent(NamedTuple):
    """One thing that a service does. Names of fields, not of slots."""

    tool: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    transactional: bool
    description: str
    words: str
    """The name as words: `find events`."""


class Services(NamedTuple):
    """The agent, with what leads back to the schema."""

    bundle: AgentBundle
    field_of: dict[tuple[str, str], str]
    """(service, slot) to field."""
    intents: dict[tuple[str, str], Intent]
    """(service, intent) to what it became."""


def services_of(schemas: list[dict[str, Any]]) -> Services:
    """An agent of these services; slots that several of them describe alike are one field."""
    field_of: dict[tuple[str, str], str] = {}
    fields: dict[str, dict[str, Any]] = {}
    for schema in schemas:
        for slot in schema["slots"]:
            field_of[schema["service_name"], slot["name"]] = _named(fields, schema["service_name"], _field(slot))
    intents = {(schema["service_name"], one["name"]): _intent(schema, one, field_of)
               for schema in schemas for one in schema["intents"]}
    scenarios = [_scenario(intent, [other for (home, _), other in intents.items() if home == service])
                 for (service, _), intent in intents.items()]
    variables = [{"name": f"asked_{name}"[:50], "default": ""} for name in fields]
    bundle = AgentBundle.model_validate({
        "id": "measured", "agent": {"name": "Measured", "timezone": "America/New_York", "scenario_threshold": 0.2},
        "fields": list(fields.values()), "variables": variables, "scenarios": scenarios,
        "tools": [_tool(one) for one in intents.values()]})
    return Services(bundle, field_of, intents)


def _named(fields: dict[str, dict[str, Any]], service: str, part: dict[str, Any]) -> str:
    """Adds a field; one that means something else under the same name carries its service in front."""
    known = fields.get(part["name"])
    if known is not None and known != part:
        part = {**part, "name": f"{_identifier(service)}_{part['name']}"[:50]}
    fields.setdefault(part["name"], part)
    return str(part["name"])


def _identifier(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"n{name}"


def _field(slot: dict[str, Any]) -> dict[str, Any]:
    name = _identifier(slot["name"])[:50]
    values = [str(value) for value in slot.get("possible_values", ()) if str(value).lower() != "dontcare"]
    part: dict[str, Any] = {"name": name, "description": slot.get("description", ""), "scope": "SESSION",
                            "persist": False, "ask": f"What about the {name.replace('_', ' ')}?"}
    if slot.get("is_categorical") and values:
        if {value.lower() for value in values} <= {"true", "false"}:
            return {**part, "type": "boolean"}
        if all(value.isdigit() for value in values):
            return {**part, "type": "number", "minimum": min(map(int, values)), "maximum": max(map(int, values))}
        return {**part, "allowed": values}
    kind = next((kind for kind, pattern in _KINDS if pattern.search(name)), "string")
    return {**part, "type": kind}


def _intent(schema: dict[str, Any], one: dict[str, Any], field_of: dict[tuple[str, str], str]) -> Intent:
    def fields(slots: Any) -> tuple[str, ...]:
        return tuple(field_of[schema["service_name"], slot] for slot in slots
                     if (schema["service_name"], slot) in field_of)

    return Intent(f"{_identifier(schema['service_name'])}_{_identifier(one['name'])}", fields(one["required_slots"]),
                  fields(one.get("optional_slots", {})), bool(one.get("is_transactional")), one["description"],
                  re.sub(r"(?<=[a-z])(?=[A-Z])", " ", one["name"]).lower())


def _tool(one: Intent) -> dict[str, Any]:
    names = (*one.required, *one.optional)
    return {"id": one.tool, "python": f"tools.py:{one.tool}", "description": one.description,
            "policy": "IRREVERSIBLE" if one.transactional else "PURE",
            "parameters": {"type": "object", "properties": {name: {} for name in names},
                           "required": list(one.required)},
            "outputs": {f"asked_{name}"[:50]: f"asked.{name}" for name in names}}


def _scenario(one: Intent, others: list[Intent]) -> dict[str, Any]:
    steps = _steps(one, "", "done" if one.transactional else "offer")
    follow = [other for other in others if other.transactional] if not one.transactional else []
    if not one.transactional:
        changed = " or ".join(f"{name} != {f'asked_{name}'[:50]}" for name in (*one.required, *one.optional))
        edges = [{"to": "call", "when": changed, "priority": 2}] if changed else []
        edges += [{"to": "call", "if": words} for words in _OTHERWISE]
        if len(follow) == 1:
            edges.append({"to": "next_collect", "if": f"Yes, the person agrees and wants to: {follow[0].description}"})
        steps.append({"id": "offer", "ask": "Is that what you are looking for?", "next": edges})
        steps += _steps(follow[0], "next_", "done") if len(follow) == 1 else []
    if one.transactional or len(follow) == 1:
        steps.append({"id": "done", "say": "That is done."})
    return {"id": one.tool, "entry": f"The person wants to: {one.description}", "description": one.description,
            "examples": [one.description, one.words], "steps": steps}


def _steps(one: Intent, prefix: str, after: str) -> list[dict[str, Any]]:
    call: dict[str, Any] = {"id": f"{prefix}call", "tools": [{"tool": one.tool}], "required_action": True,
                            "requires": list(one.required), "next": [{"to": after}]}
    if one.transactional:
        call["confirm"] = "Shall I do it?"
    return [{"id": f"{prefix}collect", "collects": list(one.required), "can_skip": True,
             "next": [{"to": f"{prefix}call"}]}, call]
