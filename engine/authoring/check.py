"""The author's check."""
from __future__ import annotations

from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.problem import Problem
from ruche.storage.model.agent import AgentBundle


def check(bundle: AgentBundle, origins: Origins) -> list[Problem]:
    return []
