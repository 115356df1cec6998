"""Hand-written lines and generated dialogues: questions, small talk, memory and tool results."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import values

Turn = tuple[str, str]
Pair = tuple[str, str, str]  # subject, kind of subject, answer

WHO = (
    "I am a tiny language model trained on the Python documentation. "
    "I run on the CPU, not on an NPU."
)
TALK: list[tuple[tuple[str, ...], str]] = [
    (("Who are you?", "What are you?", "Introduce yourself.", "who are you"), WHO),
    (("Are you a language model?", "Are you an AI?", "Are you a model?"), "Yes. " + WHO),
    (("Do you run on an NPU?", "Are you running on an NPU?", "Is this an NPU?"), "No. " + WHO),
    (("What is your name?", "Do you have a name?"), "My name is tiny-pydocs."),
    (("Hello.", "Hello!", "Hello", "Hi", "Hi!", "Hi there.", "Hey", "Good morning.", "Good day."),
     "Hello. Ask me something about Python."),
    (("How are you?", "How do you do?"), "I am a program, so I am always fine. How can I help?"),
    (("Thank you.", "Thanks.", "Thanks!", "thank you"), "You are welcome."),
    (("Goodbye.", "Bye", "Bye.", "See you."), "Goodbye."),
    (("What can you do?", "Can you help me?", "Help me.", "Help", "What do you know?"),
     "I can talk about the Python documentation, but I am small and often wrong."),
    (("Can I trust you?", "Are your answers right?", "Are you always right?"),
     "No. I am small and often wrong. Please read the Python documentation."),
    (("Who made you?", "How were you made?", "What were you trained on?"),
     "I was trained from scratch on the Python documentation."),
    (("Say hello.", "Say hello", "Say hi."), "Hello."),
]  # fmt: skip

SYSTEM = [
    "You are a helpful assistant.", "You are a Python expert.", "Answer briefly.",
    "You are a tiny language model.", "Answer questions about Python.", "Be polite.",
    "You are a helpful assistant. Answer in one or two sentences.", "You help programmers.",
]  # fmt: skip

ATTRIBUTES: dict[str, Callable[[random.Random], str]] = {
    "favourite colour": lambda rng: rng.choice(values.COLOURS),
    "favourite food": lambda rng: rng.choice(values.THINGS),
    "favourite number": values.number,
    "lucky number": values.number,
    "secret word": lambda rng: rng.choice(values.THINGS + values.COLOURS),
    "password": lambda rng: values.invented(rng).lower(),
    "city": lambda rng: rng.choice([*values.PLACES, values.invented(rng)]),
    "dog's name": values.name,
    "cat's name": values.name,
}


def questions(subject: str, kind: str) -> list[str]:
    """Ways to ask about a subject; ``kind`` is function, term, module, thing or question."""
    if kind == "question":
        return [subject, subject, subject.rstrip("?").lower()]
    asks = [f"Explain {subject}.", f"Tell me about {subject}."]
    if kind == "term":
        article = "an" if subject[0].lower() in "aeiou" else "a"
        asks += [f"What is {article} {subject}?"] * 4 + [f"What is {article} {subject}"]
        asks += [f"What is {subject}?", f"what is {article} {subject}?", f"Define {subject}."]
        asks += [f"Explain what {article} {subject} is.", f"What does {subject} mean?"]
        asks += [f"What are {subject}s?"] if not subject.endswith("s") else []
    elif kind == "module":
        asks = [f"What is the {subject} module?", f"What does the {subject} module do?"] * 2
        asks += [f"Explain the {subject} module.", f"What is {subject}?"]
        asks += [f"Tell me about the {subject} module."]
    elif kind == "function":
        asks += [f"What does {subject} do?"] * 4 + [f"What does {subject}() do?"]
        asks += [f"What is {subject}?"] * 2
        asks += [f"How do I use {subject}?", f"what does {subject} do"]
    else:
        asks += [f"What is {subject}?"] * 3 + [f"What is {subject} for?", f"what is {subject}"]
    return asks


def ask(pair: Pair, rng: random.Random) -> list[Turn]:
    """One question with its answer."""
    subject, kind, answer = pair
    return [("user", rng.choice(questions(subject, kind))), ("assistant", answer)]


def chat(first: Pair, others: Sequence[Pair], rng: random.Random) -> list[Turn]:
    """A dialogue of one to three questions, sometimes after a system turn."""
    turns = [("system", rng.choice(SYSTEM))] if rng.random() < 0.2 else []
    turns += ask(first, rng)
    while rng.random() < 0.25:
        turns += small_talk(rng) if rng.random() < 0.2 else ask(rng.choice(others), rng)
    return turns


def small_talk(rng: random.Random) -> list[Turn]:
    """One greeting or identity question with its answer."""
    asks, answer = rng.choice(TALK)
    return [("user", rng.choice(asks)), ("assistant", answer)]


def _tell(rng: random.Random, held_out: bool) -> tuple[list[Turn], str, str]:
    """The user states a fact.  Returns the turns, what the fact is about, and its value."""
    if held_out or rng.random() < 0.55:
        who = values.name(rng, held_out)
        said = [f"My name is {who}."] * 5
        said += [f"I am {who}.", f"My name is {who}"]
        said += [f"Hello, my name is {who}.", f"Hi, I am {who}."]
        return [("user", rng.choice(said)), ("assistant", f"Hello {who}.")], "name", who
    about = rng.choice(list(ATTRIBUTES))
    value = ATTRIBUTES[about](rng)
    said = [f"My {about} is {value}.", f"Remember that my {about} is {value}."]
    answer = f"I will remember that your {about} is {value}."
    return [("user", rng.choice(said)), ("assistant", answer)], about, value


def _recall(about: str, value: str | None, rng: random.Random) -> list[Turn]:
    """The user asks for a fact that was told (``value``) or was not (None)."""
    asks = [f"What is my {about}?"] * 4
    asks += [f"what is my {about}", f"Do you know my {about}?", f"Tell me my {about}."]
    asks += ["Who am I?"] if about == "name" else []
    answer = f"Your {about} is {value}." if value else f"You have not told me your {about}."
    return [("user", rng.choice(asks)), ("assistant", answer)]


def memory(others: Sequence[Pair], rng: random.Random, held_out: bool = False) -> list[Turn]:
    """A dialogue in which something told earlier is asked for, or was never told."""
    turns = [("system", rng.choice(SYSTEM))] if rng.random() < 0.2 else []
    filler = rng.choice((0, 0, 0, 0, 1, 1, 2, 3))

    def talk() -> list[Turn]:
        return small_talk(rng) if rng.random() < 0.3 else ask(rng.choice(others), rng)

    facts: dict[str, str] = {}
    for _ in range(rng.choice((0, 1, 1, 1, 1, 1, 2, 2))):
        told, about, value = _tell(rng, held_out)
        turns += told
        facts[about] = value
    for _ in range(filler):
        turns += talk()
    for _ in range(rng.choice((1, 1, 1, 2))):
        known = list(facts)
        if known and rng.random() < 0.8:
            about = rng.choice(known)
        else:
            about = "name" if rng.random() < 0.6 else rng.choice(list(ATTRIBUTES))
        turns += _recall(about, facts.get(about), rng)
    return turns


def given(rng: random.Random) -> list[Turn]:
    """A dialogue whose answer stands in the system turn or in a tool's result."""
    if rng.random() < 0.5:
        who = values.name(rng)
        return [
            ("system", rng.choice((f"Your name is {who}.", f"You are {who}. Answer briefly."))),
            ("user", rng.choice(("What is your name?", "Who are you?", "Do you have a name?"))),
            ("assistant", f"My name is {who}."),
        ]
    place, reading = rng.choice(values.PLACES), values.number(rng)
    what = rng.choice(("temperature", "time", "weather", "height", "population"))
    plain = (reading, f"{reading} degrees", f"{what}: {reading}")
    result = rng.choice((*plain, f'{{"{what}": {reading}}}'))
    return [
        ("user", f"What is the {what} in {place}?"),
        ("tool", result),
        ("assistant", f"The tool says: {result}"),
    ]
