"""Whether a tool is written down right, and whether arguments fit it (security item 33)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import jsonschema
from jsonschema.protocols import Validator
from referencing import Registry

from ruche.plugins.enforcers.automaton import Automaton
from ruche.plugins.errors import ConfigurationError
from ruche.plugins.tools.http import check_address
from ruche.storage.model.bundle import AgentBundle
from ruche.storage.model.tool import Tool


def check_tool(bundle: AgentBundle, tool: Tool) -> None:
    """Raises ConfigurationError when the tool cannot be called: no function, no address, a schema that is none."""
    check_kind(tool)
    if tool.python is not None:
        _check_function(bundle, tool)
    else:
        check_address(tool)
    validator(tool)


def check_kind(tool: Tool) -> None:
    """Raises ConfigurationError unless the tool is either a Python function or an HTTP endpoint."""
    if (tool.python is None) == (tool.http is None):
        raise ConfigurationError(f"tool {tool.id}: write either python: file.py:function or http: https://host/path")


def validator(tool: Tool) -> Validator:
    """What checks arguments. Linear-time patterns, no references out of the schema. Raises ConfigurationError."""
    schema = {"type": "object", **tool.parameters}
    try:
        _Schema.check_schema(schema)
        _compile_patterns(schema, tool)
    except jsonschema.SchemaError as error:
        raise ConfigurationError(f"tool {tool.id}: parameters are no JSON Schema: {error.message}") from None
    made: Validator = _Schema(schema, registry=Registry())
    return made


def problem(checker: Validator, arguments: dict[str, Any]) -> str | None:
    """What is wrong with the arguments, without quoting their values; None when they fit."""
    try:
        error = next(checker.iter_errors(arguments), None)
    except Exception as failed:
        return f"the tool's schema cannot be applied ({type(failed).__name__})"
    if error is None:
        return None
    where = ".".join(map(str, error.absolute_path)) or "arguments"
    if error.validator == "required":
        return f"{where}: {error.message}"
    return f"{where}: does not satisfy {error.validator} {error.validator_value!r}"[:300]


def split_reference(reference: str) -> tuple[str, str]:
    """`file.py:function` in its two parts."""
    file, _, function = reference.partition(":")
    return file, function


def _check_function(bundle: AgentBundle, tool: Tool) -> None:
    file, function = split_reference(tool.python or "")
    if file not in bundle.sources:
        raise ConfigurationError(f"tool {tool.id}: there is no file {file}; known: "
                                 f"{', '.join(sorted(bundle.sources)) or 'none'}")
    try:
        tree = ast.parse(bundle.sources[file], file)
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"tool {tool.id}: {file}: {error}") from None
    found = sorted(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    if function not in found:
        raise ConfigurationError(f"tool {tool.id}: {file} has no function {function}; "
                                 f"it has {', '.join(found) or 'none'}")


def _compile_patterns(part: Any, tool: Tool) -> None:
    """Refuse, before the first call, a pattern that does not run in linear time."""
    if isinstance(part, dict):
        if isinstance(part.get("pattern"), str):
            _pattern(part["pattern"])
        if "patternProperties" in part and isinstance(part["patternProperties"], dict):
            raise ConfigurationError(f"tool {tool.id}: patternProperties is not supported; name the properties")
        for value in part.values():
            _compile_patterns(value, tool)
    elif isinstance(part, list):
        for value in part:
            _compile_patterns(value, tool)


_PATTERNS: dict[str, Automaton] = {}


def _pattern(text: str) -> Automaton:
    found = _PATTERNS.get(text)
    if found is None:
        if len(_PATTERNS) > 1_000:
            _PATTERNS.clear()
        found = _PATTERNS[text] = Automaton(text)
    return found


def _match(checker: Validator, pattern: str, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and (len(instance) > 32_768 or _pattern(pattern).search(instance) is None):
        yield jsonschema.ValidationError("does not match the pattern")


_Schema: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]
    jsonschema.Draft202012Validator, {"pattern": _match})
