"""Trains heads for general intents, and what a rule's sentence alone can tell, on sentences with several intents.

    python scripts/train_general.py --data FOLDER [--out storage/index/general.json] [--hold-out 4] [--seed 7]

With --hold-out so many folds are set aside and measured. What is written holds vectors and numbers, no text. Folder:
see bench/suites/many.py. The same folder gives the same file.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.suites.many import Row
from bench.suites.many import read as read_folder
from ruche.plugins.embedders.minilm import MiniLmEmbedder
from ruche.storage.index.background import BACKGROUND
from ruche.storage.index.general import General, Untaught, features, packed, read
from ruche.storage.index.logistic import fit_each
from ruche.storage.index.telling import Overlap, telling_texts
from ruche.storage.index.words import terms

Values = NDArray[np.float64]
GENERAL = "general"
STRENGTH = 60.0
"""Of the heads; chosen on folds that are not held out, as was the number of hashed columns."""

OTHER_WORDS = {
    "affirm": ("the user says yes", "the customer agrees"),
    "deny": ("the user says no", "the customer declines"),
    "dont_know": ("the user does not know", "the customer is not sure"),
    "acknowledge": ("the user acknowledges what was said",),
    "greet": ("the user says hello", "the customer greets us"),
    "end_call": ("the user says goodbye", "the customer wants to end the conversation"),
    "handoff": ("the user wants to speak to a person", "the customer asks for a human agent"),
    "thank": ("the user says thank you", "the customer thanks us"),
    "repeat": ("the user asks to repeat what was said",),
    "cancel_close_leave_freeze": ("the user wants to cancel or close something",),
    "change": ("the user wants to change something",),
    "make_open_apply_setup_get_activate": ("the user wants to open, set up or activate something",),
    "request_info": ("the user asks for information",),
    "how": ("the user asks how to do something",),
    "why": ("the user asks why something happened",),
    "when": ("the user asks when something happens",),
    "how_much": ("the user asks how much something costs",),
    "how_long": ("the user asks how long something takes",),
    "wrong_notworking_notshowing": ("something is wrong or does not work",),
    "lost_stolen": ("something was lost or stolen",),
}
"""How authors may put the same meanings; ours, beside the descriptions of the folder."""


class Matter:
    """Rows of a domain with everything that is computed once: vectors, intents that hold, sentences."""

    def __init__(self, rows: Sequence[Row], intents: dict[str, str], embedder: MiniLmEmbedder) -> None:
        self.names, self.sentences = sorted(intents), [intents[name] for name in sorted(intents)]
        self.texts = [row.text for row in rows]
        self.vectors = embedder.encode(self.texts)
        self.asked = [terms(row.text) for row in rows]
        self.truth = np.array([[name in row.intents for name in self.names] for row in rows])
        self.rows = embedder.encode(self.sentences)
        self.telling = embedder.encode(telling_texts(self.sentences))
        self.background = embedder.encode(BACKGROUND)
        self.seen = np.stack([read(vector, text) for vector, text in zip(self.vectors, self.texts, strict=True)])
        self.unmeant = np.stack([read(vector, text) for vector, text in zip(self.background, BACKGROUND, strict=True)])

    def features(self) -> Values:
        """Messages x rules x features."""
        chance = self.background @ self.telling.T
        overlap = Overlap(self.sentences)
        return np.stack([features(self.rows @ vector, self.telling @ vector, chance.mean(axis=0), chance.std(axis=0),
                                  overlap.shares(asked))
                         for vector, asked in zip(self.vectors, self.asked, strict=True)])


def logistic(rows: Values, truth: Values, penalty: float = 1e-3, steps: int = 30) -> Values:
    """Weights by Newton's method."""
    weights = np.zeros(rows.shape[1])
    for _ in range(steps):
        sure = 1.0 / (1.0 + np.exp(-rows @ weights))
        slope = rows.T @ (sure - truth) / len(rows) + penalty * weights
        bend = (rows * (sure * (1.0 - sure))[:, None]).T @ rows / len(rows) + penalty * np.eye(len(weights))
        weights -= np.linalg.solve(bend, slope)
    return weights


def heads(matter: Matter, kept: NDArray[np.bool_], places: Sequence[int]) -> Values:
    """One head per general intent, beside a background that means none of them."""
    size = int(kept.sum())
    wide = np.concatenate((matter.seen[kept], matter.unmeant)).astype(np.float64)
    truth = np.zeros((len(wide), len(places)), dtype=bool)
    truth[:size] = matter.truth[kept][:, places]
    return fit_each(wide, truth, STRENGTH).weights


def fitted(matter: Matter, kept: NDArray[np.bool_], general: Sequence[str], embedder: MiniLmEmbedder) -> General:
    """All parameters, from the rows that are kept."""
    places = [place for place, name in enumerate(matter.names) if name in general]
    others = [place for place in range(len(matter.names)) if place not in places]
    names = [matter.names[place] for place in places]
    sentences = [(matter.sentences[place], number) for number, place in enumerate(places)]
    sentences += [(text, names.index(name)) for name, texts in OTHER_WORDS.items() if name in names for text in texts]
    rows = matter.features()[kept][:, others]
    transfer = logistic(rows.reshape(-1, rows.shape[2]), matter.truth[kept][:, others].reshape(-1).astype(np.float64))
    return General(embedder.encode([text for text, _ in sentences]),
                   np.array([number for _, number in sentences], dtype=np.intp),
                   heads(matter, kept, places).astype(np.float32), np.round(transfer, 4))


def judged(matter: Matter, asked: NDArray[np.bool_], general: General) -> dict[str, float]:
    """Micro-F1 and exact sets, per cent."""
    rules = Untaught(matter.sentences, matter.rows, matter.telling, matter.background, general)
    fired = np.array([rules.evidence(matter.vectors[row], matter.texts[row], matter.asked[row]) >= 0.0
                      for row in np.flatnonzero(asked)])
    truth = matter.truth[asked]
    return {"n": len(fired), "known_rules": int(rules.known.sum()),
            "micro_f1": round(200.0 * float((fired & truth).sum()) / float(fired.sum() + truth.sum()), 1),
            "exact_set": round(100.0 * float((fired == truth).all(axis=1).mean()), 1)}


def stored(general: General, embedder: MiniLmEmbedder) -> str:
    content: dict[str, Any] = {
        "embedder": embedder.name, "dimensions": embedder.dimensions, "heads": general.heads.tolist(),
        "transfer": general.transfer.tolist(), "anchors": packed(general.anchors), "weights": packed(general.weights)}
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items()) + "\n}\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="write the parameters, fitted on all folds but the held-out ones")
    parser.add_argument("--hold-out", type=int, default=0, help="set so many folds aside and measure on them")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    root = options.data if (options.data / "ontology.json").is_file() else options.data / "data"
    about = json.loads((root / "ontology.json").read_text(encoding="utf-8"))["intents"]
    general = [name for name, one in about.items() if GENERAL in one.get("domain", ())]
    domain = read_folder(options.data)[0]
    order = list(range(len(domain.folds)))
    random.Random(options.seed).shuffle(order)
    embedder = MiniLmEmbedder()
    rows = [(row, fold) for fold, found in enumerate(domain.folds) for row in found]
    matter = Matter([row for row, _ in rows], domain.intents, embedder)
    asked = np.array([fold in order[:options.hold_out] for _, fold in rows])
    found = fitted(matter, ~asked, general, embedder)
    if options.hold_out:
        print(json.dumps({"held out": judged(matter, asked, found)}))
    if options.out:
        options.out.write_text(stored(found, embedder), encoding="utf-8")


if __name__ == "__main__":
    main()
