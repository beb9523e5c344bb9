"""Made-up conversations in the form that the suite `memory` reads: friends who talk over months, and questions.

Every episode is a short exchange with the question that one or two of its utterances answer; chatter stands between
them. Nothing here is taken from a data set.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

PAIRS = (("Nora", "Felix"), ("Ines", "Jakob"), ("Ruth", "Milan"), ("Salma", "Oskar"))
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October")


class Episode(NamedTuple):
    """`turns` go from A to B and back. `evidence` are places in them, `question` names A or B."""

    turns: tuple[str, ...]
    evidence: tuple[int, ...]
    question: str
    category: int


EPISODES = (
    Episode(("How is the allotment coming along?", "Slowly! The slugs ate every single lettuce, so I put copper tape "
             "around the beds.", "Copper? Does that help?"), (1,), "What does B use against slugs?", 4),
    Episode(("I finally signed up for that evening class.", "Oh, which one?", "Bookbinding, every Tuesday in the old "
             "print shop."), (2,), "What is A learning in the evenings?", 4),
    Episode(("Guess who called me last night? My cousin Pavel.", "The one in Trieste?", "He sold the flat there and is "
             "moving to Ljubljana in autumn."), (2,), "Where is A's cousin going to live?", 1),
    Episode(("You look tired.", "We got a puppy yesterday, she barked until four.", "Oh no. What is she called?",
             "Pumpkin. My daughter chose."), (3,), "What is the name of B's dog?", 1),
    Episode(("Did the interview go well?", "I think so, they want me to start on the first as a paramedic trainer.",
             "Congratulations!"), (1,), "What is B's new job?", 4),
    Episode(("My knee is bad again.", "From running?", "From the marathon in the rain two weeks ago, yes."), (2,),
            "How did A hurt the knee?", 4),
    Episode(("What are you reading these days?", "A history of lighthouses. I cannot put it down.",
             "That sounds like you."), (1,), "What kind of book does B enjoy?", 4),
    Episode(("I tried your lentil recipe.", "And?", "The kids asked for more, I only left out the coriander because it "
             "tastes like soap to me."), (2,), "Which herb can A not stand?", 4),
    Episode(("When is the big day?", "We moved the wedding to the second Saturday of next month, at my aunt's farm."),
            (1,), "When does B get married?", 2),
    Episode(("The car is gone.", "Stolen?", "No, I traded it in last Friday for a cargo bike."), (2,),
            "When did A get rid of the car?", 2),
    Episode(("I have been thinking about what you said.", "About the guitar?", "Yes, I dug it out of the attic and "
             "bought new strings this morning."), (2,), "Which instrument did A take up again?", 1),
    Episode(("Any plans for the long weekend?", "Three days of hiking around the reservoir with my brother Anton.",
             "Lovely."), (1,), "With whom did B go hiking?", 4),
    Episode(("The doctor says no more coffee.", "Poor you. What do you drink now?", "Chicory, and I hate it."), (2,),
            "What does A drink instead of coffee?", 1),
    Episode(("Our boiler gave up.", "In this cold?", "The plumber comes tomorrow; until then we sleep in the living "
             "room by the stove."), (0, 2), "Why did A's family sleep in the living room?", 1),
    Episode(("How was the pottery fair?", "I sold eleven bowls and one very ugly teapot."), (1,),
            "How many bowls did B sell?", 4),
    Episode(("My mother had her operation.", "Is she well?", "She came home on Monday and already bosses everybody "
             "around."), (2,), "When did A's mother leave the hospital?", 2),
    Episode(("You changed your hair!", "I cut it all off for a charity that makes wigs."), (1,),
            "Why did B cut the hair?", 4),
    Episode(("Do you still sing?", "In a choir at the harbour church, we rehearse sea shanties on Thursdays."), (1,),
            "What does B's choir sing?", 4),
    Episode(("I lost my wallet on the tram.", "Did somebody hand it in?", "A student found it; only the library card "
             "was missing."), (2,), "What was missing from A's wallet?", 4),
    Episode(("The twins start school in September.", "Already! Are they in one class?", "No, we asked for separate "
             "ones."), (0, 2), "How will A's twins be taught?", 3),
    Episode(("What happened to your fence?", "The storm took it on Sunday night, together with the neighbour's "
             "trampoline."), (1,), "When was B's fence destroyed?", 2),
    Episode(("I am learning to swim.", "At your age? Brave.", "I was always afraid of deep water, ever since the "
             "ferry."), (0, 2), "What was A scared of?", 4),
    Episode(("Are you coming to the quiz?", "I cannot, I volunteer at the food bank every Wednesday."), (1,),
            "Where does B help out?", 4),
    Episode(("We painted the kitchen.", "Which colour?", "A green called moss, my wife wanted yellow."), (2,),
            "What colour is A's kitchen?", 4),
    Episode(("I got a letter from the tax office.", "Trouble?", "A refund of three hundred, for once."), (2,),
            "How much money did A get back?", 4),
    Episode(("How is the thesis?", "Handed in an hour ago! It was about the migration of eels."), (1,),
            "What did B write about at university?", 4),
    Episode(("Is your father still sailing?", "He gave the boat to the scouts last spring, his back hurts too much."),
            (1,), "Who has the boat of B's father now?", 4),
    Episode(("I saw your old boss at the market.", "What does she do now?", "She opened a cheese stall with her son."),
            (2,), "What does B's former boss do?", 3),
    Episode(("Let us meet in the park.", "Better indoors, I am allergic to birch pollen."), (1,),
            "What makes B sneeze?", 4),
    Episode(("The train stood still for two hours.", "Again? What was it?", "A swan on the tracks near the bridge."),
            (2,), "Why was A's train late?", 4),
)

CHATTER = ("Ha, that is so true.", "Anyway, how have you been?", "I know what you mean.", "Thanks for asking!",
           "That made me laugh.", "Let us talk again soon.", "Really? Tell me more.",
           "The weather has been awful here.", "I should go and cook something.", "Say hello to everybody.",
           "Oh, before I forget: call me on the weekend.",
           "That is wonderful news.", "I was just thinking of you.", "You always know what to say.",
           "It has been such a long week.", "We must do that more often.")


def write_set(folder: Path, seed: int = 7, episodes: int = 30) -> Path:
    """`conversations.jsonl` and `questions.jsonl`; every pair of friends has `episodes` of the episodes."""
    source = random.Random(seed)
    conversations, questions = [], []
    for number, pair in enumerate(PAIRS):
        conversation, asked = _conversation(source, number, pair, source.sample(EPISODES, episodes))
        conversations.append(conversation)
        questions += asked
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "conversations.jsonl", conversations)
    _write(folder / "questions.jsonl", questions)
    return folder


def _conversation(source: random.Random, number: int, pair: tuple[str, str],
                  chosen: list[Episode]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    sessions, questions = [], []
    for place in range(0, len(chosen), 3):
        day, month = source.randint(1, 28), MONTHS[place // 3 % len(MONTHS)]
        turns: list[dict[str, str]] = []
        for episode in chosen[place:place + 3]:
            a, b = source.sample(pair, 2)
            for _ in range(source.randint(1, 4)):
                one, other = source.sample(pair, 2)
                _say(turns, len(sessions) + 1, one, _wordy(source, source.choice(CHATTER), other))
            ids = [_say(turns, len(sessions) + 1, (a, b)[step % 2], _wordy(source, text, (b, a)[step % 2]))
                   for step, text in enumerate(episode.turns)]
            question = episode.question.replace("A's", f"{a}'s").replace("B's", f"{b}'s")
            words = [{"A": a, "B": b}.get(word, word) for word in question.split(" ")]
            questions.append({"conversation": number, "question": " ".join(words).replace(" A?", f" {a}?"),
                              "evidence": [ids[step] for step in episode.evidence], "category": episode.category})
        sessions.append({"id": len(sessions) + 1, "time": f"{source.randint(1, 11)}:{source.randint(10, 59)} pm on "
                         f"{day} {month}, 2025", "turns": turns})
    return {"id": number, "sessions": sessions}, questions


def _wordy(source: random.Random, text: str, other: str) -> str:
    """A text among what people say besides."""
    before = source.choice(("", f"Hey {other}! ", f"{source.choice(CHATTER)} ", f"Wow, {other}, good to hear you. "))
    after = source.choice(("", f" {source.choice(CHATTER)}", f" How about you, {other}?"))
    return before + text + after


def _say(turns: list[dict[str, str]], session: int, speaker: str, text: str) -> str:
    name = f"D{session}:{len(turns) + 1}"
    turns.append({"id": name, "speaker": speaker, "text": text})
    return name


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
