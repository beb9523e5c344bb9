"""What a plugin author reads first: one small protocol per kind of plugin.

A plugin that hangs, crashes or returns nonsense costs its own result only: the engine gives it a deadline and turns
whatever goes wrong into a typed error. Hard enforcement then fails closed, answer quality fails open.
"""

from __future__ import annotations

from ruche.plugins.contracts.brain import AbsorbingStage, Brain, Effect, EffectOutcome, Stage, TurnInput, TurnOutput
from ruche.plugins.contracts.channel import Channel
from ruche.plugins.contracts.enforcement import Draft, Enforcer, Verdict
from ruche.plugins.contracts.memory import Asked, Memory, Recalled, Recollected
from ruche.plugins.contracts.retrieval import Hit, Hits, ItemKind, Retrieval
from ruche.plugins.contracts.selection import Selection, Selector
from ruche.plugins.contracts.speech import Generated, Generator, Prompt, Reader, Spent
from ruche.plugins.contracts.tools import ToolGateway, ToolResult
from ruche.plugins.contracts.vectors import Embedder, Reranker, Vectors
from ruche.storage.keyring import KeySource

__all__ = [
    "AbsorbingStage", "Asked", "Brain", "Channel", "Draft", "Effect", "EffectOutcome", "Embedder", "Enforcer",
    "Generated", "Generator", "Hit", "Hits", "ItemKind", "KeySource", "Memory", "Prompt", "Reader", "Recalled",
    "Recollected", "Reranker", "Retrieval", "Selection", "Selector", "Spent", "Stage", "ToolGateway", "ToolResult",
    "TurnInput", "TurnOutput", "Vectors", "Verdict",
]
