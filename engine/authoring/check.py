"""The author's check: everything about a bundle that can be known to be wrong before anybody talks to it.

It runs on every load; nothing is published that has an error here.
"""

from __future__ import annotations

from ruche.engine.authoring.constraints import check_constraints
from ruche.engine.authoring.graph import check_scenarios
from ruche.engine.authoring.origin import Origins
from ruche.engine.authoring.parts import check_parts
from ruche.engine.authoring.problem import Problem
from ruche.engine.authoring.references import check_references
from ruche.engine.authoring.standing import check_standing
from ruche.engine.authoring.texts import check_texts
from ruche.engine.authoring.vocabulary import Vocabulary
from ruche.plugins.installed import Installed
from ruche.storage.model.bundle import AgentBundle

_CHECKS = (check_parts, check_references, check_texts, check_scenarios, check_constraints, check_standing)


def check(bundle: AgentBundle, origins: Origins | None = None, installed: Installed | None = None) -> list[Problem]:
    """All problems of a bundle by file and line; about 0.3 ms a rule. `origins` gives them their places, `installed`
    is what the agent may name."""
    places = origins or Origins()
    vocabulary = Vocabulary(bundle, installed)
    return sorted(problem for one in _CHECKS for problem in one(bundle, places, vocabulary))
