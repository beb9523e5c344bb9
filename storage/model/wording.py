"""What an agent says by the letter, and the words that it understands."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ruche.storage.model.authored import Authored, Expression, Name


class Template(Authored):
    """Text with placeholders: EXCLUSIVE goes out verbatim, SUGGEST may be reworded, FALLBACK replaces a refused one."""

    id: Name
    text: str = Field(min_length=1)
    mode: Literal["SUGGEST", "EXCLUSIVE", "FALLBACK"] = "SUGGEST"
    when: Expression | None = None
    language: str | None = None


class GlossaryTerm(Authored):
    term: str
    definition: str
    aliases: tuple[str, ...] = ()


class Intent(Authored):
    id: Name
    description: str = ""
    examples: tuple[str, ...] = ()
