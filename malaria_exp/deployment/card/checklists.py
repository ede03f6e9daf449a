"""Reporting checklists, each item answered from the record, or left for the author."""

from collections.abc import Mapping
from dataclasses import dataclass

from malaria_exp.deployment.card.facts import Fact

ANSWERED, IN_PART, AUTHOR = "answered", "in part", "for the author"


@dataclass(frozen=True)
class Item:
    """An item of a checklist.

    Attributes:
        number: as in the checklist, "15b".
        section: of the checklist.
        text: what it asks for, in short and in other words.
        facts: names of the facts that answer it; those that a record lacks are left out.
        author: what the author has to say beside them, and where to look; empty if the facts are all of the answer.
    """

    number: str
    section: str
    text: str
    facts: tuple[str, ...] = ()
    author: str = ""


@dataclass(frozen=True)
class Checklist:
    """A checklist: its name, where it was published, and its items."""

    name: str
    source: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Answer:
    """An item with what the record says.

    Attributes:
        item: of the checklist.
        said: what answers it; empty if the record says nothing.
        author: what is left for the author; empty if nothing is.
    """

    item: Item
    said: tuple[Fact, ...]
    author: str

    @property
    def state(self) -> str:
        """One of ANSWERED, IN_PART, AUTHOR."""
        return AUTHOR if not self.said else IN_PART if self.author else ANSWERED


def answer(checklist: Checklist, known: Mapping[str, Fact]) -> list[Answer]:
    """Answers every item from the facts that a record holds."""
    answers = []
    for item in checklist.items:
        said = tuple(known[name] for name in item.facts if name in known)
        answers.append(Answer(item, said, item.author or ("" if said else "This record does not say.")))
    return answers
