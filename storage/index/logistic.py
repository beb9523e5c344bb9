"""Fits linear heads over sentence vectors: one of many (softmax) or each for itself (one against the rest).

Preconditioned L-BFGS from zero with a number of steps that is fixed by the size of the task alone: the same texts give
the same weights. (Liu and Nocedal, 1989; bound on the Hessian: Boehning, 1992.)
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Logits = NDArray[np.floating]
Real = TypeVar("Real", np.float32, np.float64)
Objective = Callable[[Matrix], tuple[float, Matrix]]

STRENGTH = 20.0
"""Inverse of the penalty on squared weights, per sum of losses: 10 to 30 do equally well from 3 to 100 examples."""
MOST_STEPS, LEAST_STEPS, WORK = 12, 3, 8e10
"""Steps of a fit, and the floating-point operations after which a large one stops early."""
WIDE = 2e9
"""Operations of one step above which its products are float32: then they take half the time."""
_KEPT = 8
"""Steps that the curvature is estimated from."""
_CURVATURE = 0.1
"""Mean of p (1 - p) that the preconditioner assumes; a wrong one costs steps, not quality."""


class Fitted(NamedTuple):
    """`weights`: labels x dimensions."""

    weights: Matrix
    steps: int


def fit_one(rows: Logits, labels: NDArray[np.intp], count: int) -> Fitted:
    """Multinomial logistic regression without intercepts: each row has one label of 0 to `count` - 1."""
    places = np.arange(len(rows))

    def gradient(logits: Logits) -> tuple[float, Logits]:
        logits -= logits.max(axis=1, keepdims=True)
        own = logits[places, labels].copy()
        np.exp(logits, out=logits)
        sums = logits.sum(axis=1)
        loss = float((np.log(sums) - own).sum(dtype=np.float64))
        logits /= sums[:, None]
        logits[places, labels] -= 1.0
        return loss, logits

    return _fit(rows, count, gradient)


def fit_each(rows: Logits, owned: NDArray[np.bool_], strength: float = STRENGTH) -> Fitted:
    """Logistic regression of every label for itself; `owned` is rows x labels."""
    def gradient(logits: Logits) -> tuple[float, Logits]:
        target = owned.astype(logits.dtype)
        loss = float((np.logaddexp(0.0, logits) - target * logits).sum(dtype=np.float64))
        return loss, sigmoid(logits) - target

    return _fit(rows, owned.shape[1], gradient, strength)


def sigmoid(values: NDArray[Real]) -> NDArray[Real]:
    """1 / (1 + e^-x), without overflow."""
    result: NDArray[Real] = 0.5 * (1.0 + np.tanh(0.5 * values))
    return result


def logit(share: float) -> float:
    """The inverse of `sigmoid`, between 0 and 1."""
    return math.log(share / (1.0 - share))


def steps_for(rows: int, dimensions: int, labels: int) -> int:
    """How many steps a fit of this size takes; one costs 4 x rows x dimensions x labels operations."""
    return int(min(MOST_STEPS, max(LEAST_STEPS, WORK / max(_cost(rows, dimensions, labels), 1.0))))


def _cost(rows: int, dimensions: int, labels: int) -> float:
    return 4.0 * rows * dimensions * labels


def _fit(rows: Logits, count: int, gradient: Callable[[Logits], tuple[float, Logits]],
         strength: float = STRENGTH) -> Fitted:
    number, dimensions = rows.shape
    penalty = 1.0 / (strength * number)
    factor: Logits = rows.astype(np.float32, copy=False) if _cost(number, dimensions, count) > WIDE else rows

    def objective(weights: Matrix) -> tuple[float, Matrix]:
        loss, slopes = gradient(factor @ weights.T.astype(factor.dtype))
        slope = (slopes.T @ factor).astype(np.float64) / number + penalty * weights
        return loss / number + 0.5 * penalty * float(np.vdot(weights, weights)), slope

    curved = _CURVATURE * (rows.T @ rows).astype(np.float64) / number + penalty * np.eye(dimensions)
    steps = steps_for(number, dimensions, count)
    return Fitted(_descend(objective, np.zeros((count, dimensions)), np.linalg.inv(curved), steps), steps)


def _descend(objective: Objective, weights: Matrix, inverse: Matrix, steps: int) -> Matrix:
    kept: deque[tuple[Matrix, Matrix]] = deque(maxlen=_KEPT)
    loss, slope = objective(weights)
    for _ in range(steps):
        direction = _direction(slope, kept, inverse)
        gain, length = float(np.vdot(slope, direction)), 1.0
        moved, (lower, steeper) = weights - direction, objective(weights - direction)
        while lower > loss - 1e-4 * length * gain and length > 1e-2:
            length *= 0.5
            moved = weights - length * direction
            lower, steeper = objective(moved)
        if not lower < loss:
            break
        change, bend = moved - weights, steeper - slope
        if float(np.vdot(change, bend)) > 0.0:
            kept.append((change, bend))
        weights, loss, slope = moved, lower, steeper
    return weights


def _direction(slope: Matrix, kept: deque[tuple[Matrix, Matrix]], inverse: Matrix) -> Matrix:
    """The two loops of L-BFGS around the preconditioner, scaled by the newest step."""
    direction = slope.copy()
    shares: list[float] = []
    for change, bend in reversed(kept):
        shares.append(float(np.vdot(change, direction) / np.vdot(change, bend)))
        direction -= shares[-1] * bend
    direction = direction @ inverse
    if kept:
        change, bend = kept[-1]
        direction *= float(np.vdot(change, bend) / np.vdot(bend, bend @ inverse))
    for (change, bend), share in zip(kept, reversed(shares), strict=True):
        direction += (share - float(np.vdot(bend, direction) / np.vdot(change, bend))) * change
    return direction
