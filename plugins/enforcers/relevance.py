"""Whether a reply is about what was asked: `{use: relevance}`, by the likeness of the two sentences' vectors.

A weak sign, good for soft rules: a short right answer may share nothing with its question. Replies that refuse, ask,
pass on or say that nothing fits are not judged. Specification section 7; the figures are in docs/authoring.md.
"""

from __future__ import annotations

from ruche.plugins.contracts import Draft, Verdict
from ruche.plugins.enforcers.options import read_options
from ruche.plugins.errors import ConfigurationError
from ruche.storage.model.rule import Rule

_PASS = Verdict(outcome="pass")


class RelevanceEnforcer:
    """Options: `least`, a cosine from -1 to 1; the embedder's own measure where it is left out."""

    name = "relevance"
    monotone = False
    needs_likeness = True

    def prepare(self, rule: Rule) -> float | None:
        least = read_options(rule, ("least",), empty=True).get("least")
        if least is None:
            return None
        if isinstance(least, bool) or not isinstance(least, int | float) or not -1 <= least <= 1:
            raise ConfigurationError(f"rule {rule.id}: least is a number from -1 to 1; leave it out for the embedder's "
                                     "own")
        return float(least)

    def check(self, draft: Draft, rule: Rule, prepared: float | None) -> Verdict:
        if not draft.whole or not draft.answers:
            return Verdict(outcome="not_applicable", reason="the reply does not answer")
        if draft.likeness is None:
            return Verdict(outcome="error", reason="the likeness of question and reply is not known")
        value, usual = draft.likeness
        least = usual if prepared is None else prepared
        if least is None:
            return Verdict(outcome="not_applicable", reason="this embedder has no measure of its own; write least")
        if value >= least:
            return _PASS
        return Verdict(outcome="fail", reason=f"has little to do with what was asked ({value:g}, at least {least:g})")
