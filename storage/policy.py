"""What may be done with each collection, registered before it is used; violations are refused, counted and kept."""

from __future__ import annotations

from collections import Counter, deque
from typing import ClassVar, Final, Literal, NamedTuple

from ruche.storage.errors import RucheError
from ruche.storage.fields import Protection, Stored, declared

Role = Literal["reader", "auditor", "keeper"]
"""`reader` and `auditor` read what their policy lists; `keeper` is the store itself."""

_REMEMBERED: Final = 10


class PolicyViolation(RucheError):
    """Stored data was asked for in a way that its policy does not allow."""

    code: ClassVar[str] = "POLICY_VIOLATION"
    status: ClassVar[int] = 403


class Policy(NamedTuple):
    """Rules for one collection. `must` lists fields with the protection they need, beyond what the model declares."""

    model: type[Stored]
    roles: frozenset[Role] = frozenset({"reader", "auditor", "keeper"})
    must: tuple[tuple[str, Protection], ...] = ()


class Policies:
    """The register. A model without a policy cannot be reached."""

    def __init__(self) -> None:
        self._by_model: dict[type[Stored], Policy] = {}
        self._violations: Counter[str] = Counter()
        self._recent: deque[str] = deque(maxlen=_REMEMBERED)

    def register(self, policy: Policy) -> None:
        """Raises TypeError when the model does not protect a field as the policy demands."""
        protections = {field.name: field.protection for field in declared(policy.model)}
        for name, needed in policy.must:
            if protections.get(name) is not needed:
                raise TypeError(f"{policy.model.__name__}.{name} must be {needed.value}")
        self._by_model[policy.model] = policy

    def allow(self, model: type[Stored], role: Role) -> Policy:
        """The model's policy. Raises PolicyViolation when there is none, or it does not know the role."""
        policy = self._by_model.get(model)
        if policy is None:
            raise self.violation(f"{model.__name__} has no policy; register one before using it")
        if role not in policy.roles:
            raise self.violation(f"role {role} may not read {model.table}")
        return policy

    def violation(self, why: str) -> PolicyViolation:
        """Count a violation and give the error to raise; `why` names fields and tables, never values."""
        self._violations[why] += 1
        self._recent.append(why)
        return PolicyViolation(why)

    @property
    def violations(self) -> int:
        return sum(self._violations.values())

    @property
    def recent(self) -> tuple[str, ...]:
        return tuple(self._recent)
