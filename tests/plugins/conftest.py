"""What the tests of plugins share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers import built_in, draft_names, extract_names, prepare_rule
from ruche.storage.model.rule import Rule

Judge = Callable[..., Verdict]


def rule(enforce: Any, **fields: Any) -> Rule:
    return Rule.model_validate({"id": "r1", "if": "always", "then": "obey", "enforce": enforce, **fields})


@pytest.fixture
def judge() -> Judge:
    """judge(enforce, text, ...): the verdict of a rule on a reply."""

    def judged(enforce: Any, text: str, *, whole: bool = True, session: dict[str, Any] | None = None,
               profile: dict[str, Any] | None = None, language: str = "en", **fields: Any) -> Verdict:
        written = rule(enforce, **fields)
        found = prepare_rule(written, built_in())
        assert found is not None
        enforcer, prepared = found
        names = draft_names(extract_names(text, language), session or {}, profile or {})
        return enforcer.check(Draft(text=text, question="", names=names, whole=whole), written, prepared)

    return judged
