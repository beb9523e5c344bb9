"""Whether values are right, as the author's tools say: asked for every value that nobody has proven yet.

A value that is refused is as unknown as before it was said. Where the tool does not answer the value stays, unproven:
`NAME_verified` is false, and what must not happen then is the author's to say.
"""

from __future__ import annotations

import msgspec

from ruche.engine.brain.bindings import arguments_of
from ruche.engine.brain.identify import Identified
from ruche.engine.brain.invoke import Invoker
from ruche.engine.brain.learn import Knowledge, keep
from ruche.engine.brain.names import names_of
from ruche.engine.brain.parts import CompiledTool
from ruche.engine.brain.supplied import prove, says_right
from ruche.storage.model.turn import ToolCall

REFUSED = "was refused by the tool that verifies it"


async def verify(who: Identified, before: Knowledge, language: str, invoker: Invoker) -> Knowledge:
    """The knowledge after every value that is not proven was looked at, in the author's order of fields."""
    for name, tool in who.agent.verifiers.items():
        value = before.known.get(name)
        if value is not None and not value.verified:
            before = await _looked_at(who, before, name, tool, language, invoker)
    return before


async def _looked_at(who: Identified, before: Knowledge, name: str, tool: CompiledTool, language: str,
                     invoker: Invoker) -> Knowledge:
    arguments, lacking = arguments_of(tool, names_of(who, before, language))
    if lacking:
        return before
    ran = await invoker.invoke(tool.tool, arguments)
    call = ToolCall(name=tool.tool.id, status=ran.status, ms=ran.ms, key=ran.key, arguments=arguments, error=ran.error)
    before = msgspec.structs.replace(before, calls=(*before.calls, call))
    right = says_right(ran.value) if ran.status in ("ok", "cached") else None
    if right is None:
        return before
    return prove(who, before, (name,), tool.tool.id) if right else _refused(who, before, name)


def _refused(who: Identified, before: Knowledge, name: str) -> Knowledge:
    after = keep(who, before, name, who.known.get(name) if name in before.learned else None)
    return msgspec.structs.replace(
        after, rejected={**after.rejected, name: REFUSED},
        learned=tuple(one for one in after.learned if one != name),
        corrected=tuple(one for one in after.corrected if one != name))
