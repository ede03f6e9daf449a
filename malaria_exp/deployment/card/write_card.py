"""Writing a model card: Markdown with the Hugging Face Hub's front matter, and a page."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import yaml

from malaria_exp.deployment.card.record import CardRecord
from malaria_exp.deployment.card.sections import Card, make_card, tally
from malaria_exp.evaluation.reports.results_files import MARKDOWN
from malaria_exp.evaluation.reports.templates import template
from malaria_exp.utils.atomic_files import write_text

# The Hub shows a repository's README.md as its card.
MARKDOWN_FILE, PAGE_FILE = "README.md", "model_card.html"
FROM = (
    "Everything here was written from the records of the run by a program; each line names the file and keys it comes from. What the records"
    " do not hold is not here."
)
STAMP = "LEAKY: training and evaluation share patients or images. These results say nothing about new patients."
WORDING = "Numbers and sections are the checklist's, the wording is not; submit the original form."
_ESCAPES = str.maketrans(MARKDOWN)


def write_card(run: Path, folder: Path, *, license: str | None = None, evaluations: Sequence[Path] = ()) -> list[Path]:
    """Writes the model card of a run into a folder, as README.md and model_card.html.

    Args:
        run: folder of a finished training run, or of a pooled result.
        folder: that the card is written to.
        license: of the model, an id of https://hf.co/docs/hub/repositories-licenses; None if the author has not said.
        evaluations: folders of task=evaluate of the same run on other data.

    Returns:
        The files written.

    Raises:
        RunFolderError: the run is not finished or damaged, or an evaluation is of something else.
    """
    card = make_card(CardRecord.read(run, evaluations), license=license)
    return [write_text(folder / MARKDOWN_FILE, to_markdown(card)), write_text(folder / PAGE_FILE, to_page(card))]


def to_page(card: Card) -> str:
    """Returns the card as a page that loads nothing."""
    return template("model_card.html.j2").render(
        title=card.title, subtitle=FROM, leaky=card.leaky, card=card, tally=tally, wording=WORDING, stamp=STAMP
    )


def to_markdown(card: Card) -> str:
    """Returns the card as Markdown, behind its front matter."""
    front = yaml.safe_dump(card.metadata, sort_keys=False, allow_unicode=True, width=140)
    parts = [f"---\n{front}---\n", f"# {_escaped(card.title)}\n", f"{FROM}\n"]
    if card.leaky:
        parts.append(f"**{STAMP}**\n")
    for title, lines in card.sections.items():
        parts.append(f"## {title}\n")
        parts += [f"- **{_escaped(line.about)}.** {_escaped(line.fact.text)} ({_escaped(line.fact.where)})" for line in lines]
        parts.append("")
        if title == "Results":
            parts += _table(("Metric", "Threshold", "Value", f"{card.level} interval"), card.results, f"On {card.subset} cells")
    for checklist, answers in card.checklists:
        parts += [f"## {checklist.name}\n", f"{_escaped(checklist.source)}. {WORDING} {tally(answers)}\n"]
        rows = []
        for one in answers:
            said = " ".join(f"{fact.text} ({fact.where})" for fact in one.said)
            rows.append((one.item.number, one.item.section, one.item.text, said, one.author))
        parts += _table(("No.", "Section", "Item", "From the record", "For the author"), rows)
    return "\n".join(parts).rstrip() + "\n"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> list[str]:
    lines = [" | ".join(_escaped(text) for text in row) for row in (heads, *rows)]
    lines.insert(1, " | ".join("---" for _ in heads))
    return [*([f"{caption}:\n"] if caption else []), *(f"| {line} |" for line in lines), ""]


def _escaped(text: str) -> str:
    return text.translate(_ESCAPES)
