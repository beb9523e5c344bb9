"""Checks the parts that stand alone: the agent's head, fields, languages, and tools with their Python sources."""

from __future__ import annotations

import ast
import re
import warnings
import zoneinfo
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ruche.engine.authoring.document import Path
from ruche.engine.authoring.languages import is_language
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem, suggest
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.plugins.enforcers.automaton import Automaton
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.agent import JudgeUse, ModelUse
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.field import InterlocutorField, Variable
from ruche.storage.model.tool import Tool

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"})
Functions = dict[str, ast.FunctionDef | ast.AsyncFunctionDef]


def check_parts(bundle: AgentBundle, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    yield from _check_agent(bundle, origins)
    yield from _check_generator(bundle.agent.models, origins, vocabulary)
    tools = {tool.id: tool for tool in bundle.tools}
    for index, field in enumerate(bundle.fields):
        yield from _check_field(("fields", index), field, tools, origins)
    for index, template in enumerate(bundle.templates):
        if template.language is not None and not is_language(template.language):
            yield _language(("templates", index, "language"), template.language, origins)
    for index, variable in enumerate(bundle.variables):
        yield from _check_variable(("variables", index), variable, tools, origins)
    functions: dict[str, Functions] = {}
    for name, source in bundle.sources.items():
        problem = _read_source(name, source, functions)
        if problem is not None:
            yield problem
    for index, tool in enumerate(bundle.tools):
        found = list(_check_tool(("tools", index), tool, bundle, functions, origins, vocabulary))
        yield from found or _refused_by_gateway(("tools", index), tool, bundle, origins)


def _check_agent(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    agent = bundle.agent
    if not _is_zone(agent.timezone):
        yield origins.problem(("agent", "timezone"), "E311", f"{agent.timezone} is not a time zone",
                              suggest(agent.timezone, zoneinfo.available_timezones(), "for example Europe/Paris"))
    if not agent.languages:
        yield origins.problem(("agent", "languages"), "E312", "the agent speaks no language", "write languages: [en]")
    for index, code in enumerate(agent.languages):
        if not is_language(code):
            yield _language(("agent", "languages", index), code, origins)
    yield from _check_key(("agent", "models", "api_key"), agent.models.api_key, origins)
    yield from _check_others(bundle, origins)


def _check_key(place: Path, key: str | None, origins: Origins) -> Iterator[Problem]:
    if key is not None and not _VARIABLE.fullmatch(key):
        yield origins.problem(place, "E320", "api_key names an environment variable",
                              "write for example OPENAI_API_KEY, and never the key itself")


def _check_others(bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    """The judge's endpoint and those that stand in."""
    models, place = bundle.agent.models, ("agent", "models")
    others: list[tuple[Path, str, JudgeUse]] = [((*place, "fallbacks", index), "a fallback", one)
                                                for index, one in enumerate(models.fallbacks)]
    if models.judge is not None:
        others.append(((*place, "judge"), "the judge", models.judge))
    for where, noun, one in others:
        yield from _check_key((*where, "api_key"), one.api_key, origins)
        for key in ("url", "model"):
            if not getattr(one, key) and not getattr(models, key):
                yield origins.problem(where, "E323", f"{noun} needs {key}", f"write {key}: ...")
        if one.url and not _is_address(one.url):
            yield origins.problem((*where, "url"), "E323", f"{one.url} is not an address",
                                  "write for example http://127.0.0.1:8080/v1")


def _check_generator(use: ModelUse, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    place: Path = ("agent", "models", "generator")
    if use.generator == "openai":
        for key in ("url", "model"):
            if not getattr(use, key):
                yield origins.problem(place, "E323", f"the generator openai needs {key}", f"write {key}: ...")
        if use.url and not _is_address(use.url):
            yield origins.problem((*place[:-1], "url"), "E323", f"{use.url} is not an address",
                                  "write for example http://127.0.0.1:8080/v1")
    elif use.generator != "composer":
        known = vocabulary.installed.generators()
        fault = vocabulary.installed.generator_fault(use.generator)
        if fault and use.generator not in known:
            yield origins.problem(place, "E322", f"there is no generator {use.generator}",
                                  suggest(use.generator, known))
        elif fault:
            said, _, instead = fault.partition("; ")
            yield origins.problem(place, "E322", said, instead)


def _is_zone(name: str) -> bool:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _language(place: Path, code: str, origins: Origins) -> Problem:
    return origins.problem(place, "E312", f"{code} is not a language code", "write two letters, as en or pt-BR")


def _check_field(place: Path, field: InterlocutorField, tools: dict[str, Tool],
                 origins: Origins) -> Iterator[Problem]:
    tool = tools.get(field.verify or "")
    if tool is not None and tool.policy not in ("PURE", "IDEMPOTENT"):
        yield origins.problem((*place, "verify"), "E324",
                              f"{tool.id} is {tool.policy}, and a value is verified unasked",
                              "take a tool that is PURE or IDEMPOTENT")
    if not field.encrypted:
        yield origins.problem((*place, "encrypted"), "E327",
                              "encrypted: false has no meaning, every value is encrypted", "leave it out")
    if field.pattern is not None:
        try:
            Automaton(field.pattern)
        except ConfigurationError as error:
            said, _, instead = error.message.partition("; ")
            yield origins.problem((*place, "pattern"), "E313", f"pattern cannot be used: {said}",
                                  instead or "escape signs that are meant literally with \\")
    if field.minimum is not None and field.maximum is not None and field.minimum > field.maximum:
        yield origins.problem((*place, "minimum"), "E318",
                              f"minimum {field.minimum:g} is above maximum {field.maximum:g}", "swap them")


def _check_variable(place: Path, variable: Variable, tools: dict[str, Tool], origins: Origins) -> Iterator[Problem]:
    if variable.tool is None and variable.default is None:
        yield origins.problem((*place, "name"), "E325", f"nothing gives the variable {variable.name} a value",
                              "write tool: ..., default: ..., or both")
    tool = tools.get(variable.tool or "")
    if tool is not None and tool.policy not in ("PURE", "IDEMPOTENT"):
        yield origins.problem((*place, "tool"), "E324",
                              f"{tool.id} is {tool.policy}, and a variable is fetched unasked",
                              "call the tool in a rule or a step, or take one that is PURE or IDEMPOTENT")


def _read_source(name: str, source: str, functions: dict[str, Functions]) -> Problem | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source, name)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        lines = source.splitlines()
        return Problem(name, line, getattr(error, "offset", None) or 1, "E309",
                       f"this is not Python: {getattr(error, 'msg', error)}", "mend the source",
                       lines[line - 1] if line <= len(lines) else "")
    functions[name] = {node.name: node for node in tree.body
                       if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return None


def _check_tool(place: Path, tool: Tool, bundle: AgentBundle, functions: dict[str, Functions], origins: Origins,
                vocabulary: Vocabulary) -> Iterator[Problem]:
    if (tool.python is None) == (tool.http is None):
        yield origins.problem((*place, "id"), "E314", f"tool {tool.id} needs either python or http",
                              "write python: tools.py:function, or http: https://...")
    if tool.python is not None:
        yield from _check_python((*place, "python"), tool, tool.python, bundle, functions, origins)
    if tool.http is not None and not _is_address(tool.http):
        yield origins.problem((*place, "http"), "E314", f"{tool.http} is not an address", "write https://host/path")
    for name, value in tool.headers.items():
        if name.lower() in _SECRET_HEADERS and "${" not in value:
            yield origins.problem((*place, "headers", name), "E320", f"the header {name} holds a secret in clear",
                                  "write ${NAME} and set RUCHE_SECRET_NAME where the engine runs")
    yield from _check_parameters(place, tool, origins, vocabulary)
    if tool.policy == "COMPENSATABLE" and tool.compensation is None:
        yield origins.problem((*place, "policy"), "E319", f"tool {tool.id} does not say what undoes it",
                              "write compensation: with a tool")
    if tool.compensation is not None and tool.compensation not in vocabulary.tools:
        yield origins.problem((*place, "compensation"), "E302", f"there is no tool {tool.compensation}",
                              suggest(tool.compensation, vocabulary.tools))


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _refused_by_gateway(place: Path, tool: Tool, bundle: AgentBundle, origins: Origins) -> Iterator[Problem]:
    """What runs tools has the last word on whether it can."""
    from ruche.plugins.tools.schema import check_tool

    try:
        check_tool(bundle, tool)
    except ConfigurationError as error:
        said, _, instead = error.message.removeprefix(f"tool {tool.id}: ").partition("; ")
        yield origins.problem((*place, "id"), "E321", f"tool {tool.id} cannot be called: {said}", instead)


def _check_python(place: Path, tool: Tool, written: str, bundle: AgentBundle, functions: dict[str, Functions],
                  origins: Origins) -> Iterator[Problem]:
    file, _, name = written.partition(":")
    if file not in bundle.sources:
        yield origins.problem(place, "E308", f"there is no file {file} in the folder",
                              suggest(file, bundle.sources, "write file.py:function"))
    elif file in functions:
        function = functions[file].get(name)
        if function is None:
            yield origins.problem(place, "E308", f"{file} has no function {name or '(none named)'}",
                                  suggest(name, functions[file], "write file.py:function"), offset=len(file) + 1)
            return
        yield from _check_call(place, tool, name, function.args, origins)


def _check_call(place: Path, tool: Tool, name: str, takes: ast.arguments, origins: Origins) -> Iterator[Problem]:
    """The tool's parameters against what its function takes, both ways."""
    taken = {argument.arg for argument in (*takes.args, *takes.kwonlyargs)}
    declared = tool.parameters.get("properties")
    given: dict[str, tuple[str, ...]] = {
        parameter: ("parameters", "properties", parameter)
        for parameter in (declared if isinstance(declared, dict) else {})}
    given = {**{parameter: ("arguments", parameter) for parameter in tool.arguments}, **given}
    for parameter, where in given.items():
        if takes.kwarg is None and parameter not in taken:
            yield origins.problem((*place[:-1], *where), "E308", f"{name} does not take {parameter}",
                                  suggest(parameter, taken), at_key=True)
    required = tool.parameters.get("required")
    never = _needed(takes) - given.keys() - set(required if isinstance(required, list) else ()) - {"context"}
    for parameter in sorted(never):
        yield origins.problem(place, "E308", f"{name} needs {parameter}, which the tool is never given",
                              f"write {parameter}: under parameters: properties:, or give it a default")


def _needed(takes: ast.arguments) -> set[str]:
    """The parameters of a function that have no default."""
    plain = [argument.arg for argument in (*takes.posonlyargs, *takes.args)]
    named = {argument.arg for argument, default in zip(takes.kwonlyargs, takes.kw_defaults, strict=True)
             if default is None}
    return set(plain[:len(plain) - len(takes.defaults)]) | named


def _check_parameters(place: Path, tool: Tool, origins: Origins, vocabulary: Vocabulary) -> Iterator[Problem]:
    here = (*place, "parameters")
    refusal = _schema_refusal(tool.parameters)
    if refusal is not None:
        yield origins.problem(here, "E315", f"parameters is not a JSON Schema of type object: {refusal}",
                              "write type: object, properties: ..., required: [...]")
        return
    declared = tool.parameters.get("properties") or {}
    for name in tool.arguments:
        if declared and name not in declared:
            yield origins.problem((*place, "arguments", name), "E315", f"{tool.id} has no parameter {name}",
                                  suggest(name, declared), at_key=True)
    for index, name in enumerate(tool.parameters.get("required") or ()):
        if name not in tool.arguments and name not in vocabulary.known:
            yield origins.problem((*here, "required", index), "E301", f"nothing gives {tool.id} its {name}",
                                  suggest(name, vocabulary.known, f"write arguments: {{{name}: ...}}"))


def _schema_refusal(schema: dict[str, Any]) -> str | None:
    if not schema:
        return None
    if schema.get("type") != "object":
        return "type is not object"
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return str(error.message)
    return None
