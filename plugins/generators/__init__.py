"""What makes text of a plan: the template composer, OpenAI-compatible endpoints, and a chain of them."""

from __future__ import annotations

from ruche.plugins.generators.chain import Chain
from ruche.plugins.generators.composer import Composer
from ruche.plugins.generators.openai import OpenAICompatible

__all__ = ["Chain", "Composer", "OpenAICompatible"]
