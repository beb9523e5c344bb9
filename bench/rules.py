"""What an agent's rules cost beside the turn itself: its deterministic constraints, and the author's check."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import anyio

from ruche.actors.enforcer import Enforcement
from ruche.engine.authoring.load import load_folder
from ruche.plugins.contracts import Draft
from ruche.plugins.enforcers import ExpressionEnforcer
from ruche.plugins.enforcers.names import draft_names, extract_names
from ruche.plugins.templates import compile_template
from ruche.storage.model.rule import Rule

REPLY = "You get 40 euros back within 3 days, and a voucher of 10 percent for your next order. Sorry for the delay!"
SHAPES = ("reply.amount <= {n}", "amount < {n} + 45 and currency == 'EUR'", "word_count <= 60 + {n}",
          "not contains_promise or percent <= {n}", "len(session.plan) > 0 and profile.age >= {n} - 40")


def enforcement_ms(expressions: int = 50, rounds: int = 200) -> float:
    """CPU of one draft against so many expressions, reading the names in it included: the best of the rounds."""
    enforcer, gate = ExpressionEnforcer(), Enforcement()
    rules = [Rule.model_validate({"id": f"r{n}", "if": "always", "then": "Keep to it.", "hard": True,
                                  "enforce": SHAPES[n % len(SHAPES)].format(n=40 + n)}) for n in range(expressions)]
    checks = [(rule, enforcer.prepare(rule), enforcer) for rule in rules]

    async def judge() -> None:
        names = draft_names(extract_names(REPLY), {"plan": "gold"}, {"age": 44})
        verdicts = await gate.check(Draft(text=REPLY, question="Where is my refund?", names=names), checks)
        if any(verdict.outcome == "error" for verdict in verdicts):
            raise SystemExit(f"an expression is in error: {verdicts}")

    async def run() -> float:
        spent = []
        for _ in range(rounds):
            begun = time.thread_time()
            await judge()
            spent.append(time.thread_time() - begun)
        return 1000 * min(spent)

    return anyio.run(run)


def check_s(write: Callable[[Path, int], None], rules: int = 1000) -> float:
    """CPU of reading and checking an agent folder of so many rules for the first time: nothing of it is known yet."""
    compile_template.cache_clear()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "agent"
        write(folder, rules)
        begun = time.process_time()
        load_folder(folder).require()
        return time.process_time() - begun
