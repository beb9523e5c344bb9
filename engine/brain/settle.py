"""After scenarios moved: which are complete, which rest for another, and which return. Two never ask at once."""

from __future__ import annotations

import msgspec

from ruche.engine.brain.names import Names
from ruche.engine.brain.walk import Known, Standing, asks_freely, missing, unfinished, waits
from ruche.storage.model.turn import ScenarioMove

_STATUS = {"CANCEL": "cancelled", "PAUSE": "paused", "COMPLETE": "completed"}


def ended(standing: Standing, action: str, why: str) -> Standing:
    """The scenario cancelled, completed or resting."""
    instance = msgspec.structs.replace(standing.instance, status=_STATUS[action], asked=())
    return msgspec.structs.replace(standing, instance=instance, actions=(*standing.actions, (action, why)))


def settled(standings: tuple[Standing, ...], known: Known, names: Names, turn: int,
            failed: frozenset[str] = frozenset()) -> tuple[Standing, ...]:
    """Complete what is done, let others rest while a new one asks, and return to one that rested when none does."""
    done = [_completed(one, known, names, failed) for one in standings]
    asking = [one for one in done if one.instance.status == "active" and _asks(one, known, names)]
    if len(asking) > 1:
        newest = next((one for one in asking if one.entered or one.returned), asking[0])
        done = [ended(one, "PAUSE", f"rests while {newest.scenario.id} asks") if one in asking and one is not newest
                else one for one in done]
    elif not asking and any(action in ("COMPLETE", "CANCEL") for one in done for action, _ in one.actions):
        done = _resumed(done, turn)
    return tuple(done)


def _completed(standing: Standing, known: Known, names: Names, failed: frozenset[str]) -> Standing:
    step = standing.step if standing.instance.step else None
    if step is None or standing.instance.status != "active" or not step.spec.terminal or step.key in failed:
        return standing
    confirmed = step.confirm is None or bool(standing.instance.confirmed)
    if waits(standing, known, names, confirmed) or unfinished(standing) or standing.instance.back is not None:
        return standing
    return ended(standing, "COMPLETE", "reached its last step")


def _asks(standing: Standing, known: Known, names: Names) -> bool:
    step = standing.step
    if standing.silent:
        return False
    return bool(missing(step, known, names, standing.instance.offered)) or asks_freely(step) or (
        step.confirm is not None and not standing.instance.confirmed)


def _resumed(standings: list[Standing], turn: int) -> list[Standing]:
    """The one that rested last returns, unless it began to rest in this turn."""
    waited_for = {one.instance.within for one in standings if one.actions and one.instance.within
                  and one.instance.status in ("completed", "cancelled")}
    resting = [one for one in standings if one.instance.status == "paused" and not one.actions]
    if not resting or waited_for:
        return standings
    chosen = max(resting, key=lambda one: (one.instance.last_turn, one.scenario.id))
    instance = msgspec.structs.replace(chosen.instance, status="active", last_turn=turn)
    back = msgspec.structs.replace(chosen, instance=instance, returned=True,
                                   actions=(("RESUME", "the digression is over"),))
    return [back if one is chosen else one for one in standings]


def moves_of(standing: Standing) -> list[ScenarioMove]:
    """One move per action; the first of them carries what was considered."""
    considered = tuple(edge for choice in standing.choices for edge in choice.considered)
    moves = []
    for number, (action, why) in enumerate(_reasons(standing).items()):
        reasons = "; ".join(part for part in (why, *(standing.why if number == 0 or not why else ())) if part)
        moves.append(ScenarioMove(id=standing.scenario.id, step=standing.instance.step, action=action,  # type: ignore[arg-type]
                                  skipped=standing.skipped if number == 0 else (), why=reasons,
                                  considered=considered if number == 0 else (),
                                  path=tuple(step.id for step in standing.entered) if number == 0 else ()))
    return moves


def _reasons(standing: Standing) -> dict[str, str]:
    """Each action with the last reason that was given for it."""
    found: dict[str, str] = {}
    for action, why in standing.actions:
        found[action] = why or found.get(action, "")
    return found
