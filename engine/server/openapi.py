"""The OpenAPI 3.1 document, made from the route table and the models that the handlers really use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web
from pydantic import BaseModel

from ruche.engine.server.answers import answer
from ruche.engine.server.errors import ErrorBody
from ruche.engine.server.routes import PUBLIC, Route

_WHERE = "#/components/schemas/{name}"


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document for these routes."""
    models = [ErrorBody, *{model: None for route in routes for model in (route.body, route.answer) if model}]
    ours = [model for model in models if not _authored(model)]
    schemas, components = msgspec.json.schema_components(ours, ref_template=_WHERE)
    named: dict[Any, Any] = dict(zip(ours, schemas, strict=True))
    for model in filter(_authored, models):
        named[model] = {"$ref": _WHERE.format(name=model.__name__)}
        whole = model.model_json_schema(by_alias=True, ref_template=_WHERE.replace("name", "model"))
        components |= {**whole.pop("$defs", {}), model.__name__: whole}
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, named)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ruche", "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
    }


def _authored(model: Any) -> bool:
    """True for what authors write, which has schemas of its own."""
    return isinstance(model, type) and issubclass(model, BaseModel)


def _operation(route: Route, named: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary, "operationId": route.handler.__name__ if route.path.startswith("/v1") else
        re.sub(r"\W+", "_", f"get{route.path}").strip("_"),
        "parameters": _parameters(route), "responses": _responses(route, named)}
    if route.body is not None:
        operation["requestBody"] = {"required": True,
                                    "content": {"application/json": {"schema": named[route.body]}}}
    if route.roles:
        operation["security"] = [{"token": []}]
        operation["x-roles"] = sorted(route.roles)
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    in_path = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
               for name in re.findall(r"\{(\w+)\}", route.path)]
    in_query = [{"name": name, "in": "query", "schema": {"type": "integer" if name in ("limit", "after") else
                                                         "string"}} for name in route.query]
    if route.method == "POST" and route.roles:
        in_query.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}})
    return in_path + in_query


def _responses(route: Route, named: dict[Any, Any]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "done"}
    if route.status != 204:
        good["content"] = {route.media: {"schema": named[route.answer] if route.answer else {}}}
    error = {"description": "refused or failed",
             "content": {"application/json": {"schema": named[ErrorBody]}}}
    return {str(route.status): good, "default": error}


def route(routes: Sequence[Route], version: str) -> Route:
    """The route that serves the document of `routes` and of itself."""

    async def openapi(request: web.Request) -> web.Response:
        return answer(made)

    own = Route("GET", "/openapi.json", openapi, "This document", PUBLIC)
    made = document([*routes, own], version)
    return own
