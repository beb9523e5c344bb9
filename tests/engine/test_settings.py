"""What is refused among the settings is told in plain words, with what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ruche.engine.config import Settings, read_settings
from ruche.engine.refused import every_setting
from ruche.plugins.errors import ConfigurationError

SECRET = "sk-something-secret"
"""What must not be repeated."""


def refused(environment: Mapping[str, str] | None = None, **overrides: Any) -> str:
    with pytest.raises(ConfigurationError) as error:
        read_settings(environment=environment or {}, **overrides)
    return error.value.message


@pytest.mark.parametrize(("given", "told"), [
    ({"server": {"prot": 8701}}, "unknown setting server.prot; did you mean server.port?"),
    ({"port": 8701}, "unknown setting port; did you mean server.port?"),
    ({"prot": 8701}, "unknown setting prot; did you mean server.port?"),
    ({"limits": {"tenants": {"acme": {"wating": 1}}}},
     "unknown setting limits.tenants.acme.wating; did you mean limits.tenants.acme.waiting?"),
    ({"webhooks": {"shop": {"ulr": "x"}}}, "unknown setting webhooks.shop.ulr; did you mean webhooks.shop.url?"),
    ({"log": {"qqqqqq": 1}}, "unknown setting log.qqqqqq; known: file, json_lines, level"),
], ids=lambda part: "" if isinstance(part, str) else ".".join(part))
def test_an_unknown_setting_is_told_with_the_name_that_was_meant(given: dict[str, Any], told: str) -> None:
    assert refused(**given) == told


def test_a_variable_that_sets_something_unknown_is_named() -> None:
    told = refused({"RUCHE_SERVER__PROT": SECRET})
    assert told == "unknown setting server.prot (the variable RUCHE_SERVER__PROT); did you mean server.port?"


@pytest.mark.parametrize(("given", "told"), [
    ({"server": {"port": SECRET}}, "setting server.port: a whole number is wanted here"),
    ({"server": {"port": 99_999}}, "setting server.port: at most 65535 is wanted here"),
    ({"server": {"behind_proxy": SECRET}}, "setting server.behind_proxy: true or false is wanted here"),
    ({"limits": {"turn_seconds": 0}}, "setting limits.turn_seconds: more than 0 is wanted here"),
    ({"models": {"rerank": [SECRET]}},
     "setting models.rerank.0: one of 'memory', 'documents' or 'rules' is wanted here"),
    ({"tools": {"hosts": SECRET}}, "setting tools.hosts: a list is wanted here"),
    ({"log": SECRET}, "setting log: a section with settings below it is wanted here"),
    ({"webhooks": {"shop": {"secret": SECRET}}}, "setting webhooks.shop.url is required"),
], ids=lambda part: "" if isinstance(part, str) else ".".join(part))
def test_a_value_that_does_not_fit_is_told_with_what_is_wanted_and_not_repeated(given: dict[str, Any],
                                                                               told: str) -> None:
    assert refused(**given) == told


@pytest.mark.parametrize("overrides", [{}, {"server": {"port": 1}}])
def test_a_value_where_a_section_belongs_is_told(overrides: dict[str, Any]) -> None:
    environment = {"RUCHE_SERVER": SECRET} if overrides else {"RUCHE_SERVER": SECRET, "RUCHE_SERVER__PORT": "1"}
    assert refused(environment, **overrides) == ("setting server: a section is wanted here, [server] with settings "
                                                 "below it")


def test_a_settings_file_is_refused_in_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "ruche.toml").write_text("[storage]\nkey_sorce = 'env'\n")
    with pytest.raises(ConfigurationError, match=r"did you mean storage\.key_source"):
        read_settings(tmp_path / "ruche.toml", {})


@pytest.mark.parametrize("name", sorted(every_setting(Settings)))
def test_a_setting_whose_last_letter_is_missing_is_recognised(name: str) -> None:
    section, _, leaf = name.rpartition(".")
    given: dict[str, Any] = {leaf[:-1]: "x"}
    for part in reversed(section.split(".") if section else []):
        given = {part: given}
    assert f"did you mean {name}?" in refused(**given)
