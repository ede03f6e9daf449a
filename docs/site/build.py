"""Builds the site into docs/_build/html: the pages of docs/, the API, every component with its keys, and the gallery.

make docs                               # all, strictly: a dead link fails
python docs/site/build.py --no-gallery  # without the runs of the gallery
"""

import argparse
import inspect
import re
import shutil
import sys
from pathlib import Path

from gallery import make_gallery

from malaria_exp.config.registry import GROUPS, component, options
from malaria_exp.config.run_config import COMMON_KEYS
from malaria_exp.config.validation import describe

HERE = Path(__file__).resolve().parent
DOCS, ROOT = HERE.parent, HERE.parent.parent
# Pages outside of docs/, by their name in the site.
OUTSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md", "SECURITY.md": "security.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s]+)\)")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
# What programs are written against: {page: (what it is, modules)}.
API = {
    "malaria_exp": ("The Python API", ["malaria_exp", "malaria_exp.deployment.deployed_run", "malaria_exp.runs.run"]),
    "components": ("Writing components", ["malaria_exp.config.registry", "malaria_exp.config.validation"]),
    "interfaces": (
        "What components are",
        [
            "malaria_exp.training.trainer_interface",
            "malaria_exp.tracking.logger_interface",
            "malaria_exp.evaluation.intervals.interval_interface",
            "malaria_exp.runs.storage_interface",
        ],
    ),
    "data": ("Cells and batches", ["malaria_exp.data.cell_table", "malaria_exp.data.batches"]),
    "evaluation": ("Scores and numbers", ["malaria_exp.evaluation.predictions", "malaria_exp.evaluation.metrics"]),
    "errors": ("Errors", ["malaria_exp.utils.errors"]),
}
# The order of the pages; one that is not here comes last.
CONTENTS = {
    "Start": "getting-started from-notebooks python-api run-folder metrics-json",
    "Data": "data own-cells splits explore synthetic-cells synthetic-worth large-data billion-cells",
    "Training": "training models lenet augmentation augmentation-study sampling callbacks debugging saving several-devices",
    "Evaluation": "evaluation intervals interval-coverage test-subset calibration thresholds views pooling",
    "Patients and labels": "patients subgroups usefulness plan-study fields-of-view audit",
    "Many runs": "grids comparing-runs comparison-tests sweeps sweep-example sweeps-wandb reliability scale cluster-tests many-runs",
    "Tracking": "tracking tracking-costs own-logger",
    "Deployment": "deployment predict foreign-images explain occlusion-maps export bundle serve serve-measured model-card",
    "Project": "adding-a-component measured costs peers",
}
GALLERY = {
    "report.html": "The report of a run",
    "patients.html": "Its patients, cell by cell",
    "fields.html": "Its photographs, slide by slide",
    "data_report.html": "The data report: data, split, every augmentation and a batch",
    "compare.html": "Two runs compared",
    "sweep.html": "A search",
    "predictions.html": "Predictions on new images",
    "explanations.html": "Which places of a cell a score depends on",
    "model_card.html": "A model card with its checklists",
    "service/index.html": "The page of the service, with the answers that it gave for these cells",
}


def main() -> None:
    """Writes the pages and runs Sphinx on them; exits with Sphinx' code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-gallery", action="store_true", help="leaves the gallery's pages as they are, or away")
    parser.add_argument("--to", type=Path, default=DOCS / "_build", help="folder that is written")
    asked = parser.parse_args()
    sys.exit(build(asked.to, gallery=not asked.no_gallery))


def build(to: Path, *, gallery: bool) -> int:
    """Builds the site into `to`/html and returns Sphinx' exit code, which is not 0 if there was a warning."""
    from sphinx.cmd.build import build_main

    source = to / "source"
    kept = source / "extra" / "gallery"
    if gallery:
        shutil.rmtree(kept, ignore_errors=True)
        make_gallery(kept)
    for old in [*(path for path in source.glob("*") if path.name != "extra"), to / "html"]:
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    write_pages(source, has_gallery=kept.is_dir())
    arguments = ["-b", "html", "-c", str(HERE), "-d", str(to / "doctrees"), "--keep-going", "-W", "-q", str(source), str(to / "html")]
    return int(build_main(["-D", f"html_extra_path={source / 'extra'}", *arguments]))


def write_pages(source: Path, *, has_gallery: bool) -> None:
    """Writes all pages that Sphinx reads."""
    (source / "extra").mkdir(parents=True, exist_ok=True)
    shutil.copytree(DOCS / "images", source / "images", dirs_exist_ok=True)
    pages = {path.name: path for path in DOCS.glob("*.md")} | {name: ROOT / path for path, name in OUTSIDE.items()}
    for name, path in pages.items():
        (source / name).write_text(for_site(path, pages), encoding="utf-8")
    for group in GROUPS:
        _write(source / "components" / f"{group}.md", group_page(group))
    _write(
        source / "components" / "index.md",
        "# Components\n\n"
        + _toc("", list(GROUPS))
        + "\n".join(f"- [{group}]({group}.md): {item.help}" for group, item in GROUPS.items())
        + "\n",
    )
    for name, (title, modules) in API.items():
        text = "".join(f"## {module}\n\n```{{eval-rst}}\n.. automodule:: {module}\n```\n\n" for module in modules)
        _write(source / "api" / f"{name}.md", f"# {title}\n\n{text}")
    _write(
        source / "api" / "index.md",
        "# API\n\n" + _toc("", list(API)) + "\n".join(f"- [{title}]({name}.md)" for name, (title, _) in API.items()) + "\n",
    )
    if has_gallery:
        missing = [name for name in GALLERY if not (source / "extra" / "gallery" / name).is_file()]
        if missing:
            raise FileNotFoundError(f"gallery: {', '.join(missing)}")
        items = "\n".join(f'<li><a href="gallery/{name}">{title}</a></li>' for name, title in GALLERY.items())
        _write(
            source / "gallery.md",
            f"# Gallery\n\nPages as the program writes them, of tiny runs on synthetic cells. They follow the reader's light or dark.\n\n<ul>\n{items}\n</ul>\n",
        )
    more = ["components/index", "api/index", *(["gallery"] if has_gallery else []), "contributing", "changelog", "security"]
    listed = {name for names in CONTENTS.values() for name in names.split()}
    others = [path.stem for path in sorted(DOCS.glob("*.md")) if path.stem not in listed]
    contents = {caption: names.split() for caption, names in CONTENTS.items()} | ({"More": others} if others else {}) | {"Reference": more}
    with (source / "index.md").open("a", encoding="utf-8") as index:
        index.write("\n" + "".join(_toc(caption, names) for caption, names in contents.items()))


def for_site(path: Path, pages: dict[str, Path]) -> str:
    """Returns a page whose links lead to pages of the site; what the site has not is text, as the clone has it."""
    names = {target.resolve(): name for name, target in pages.items()}

    def link(found: re.Match[str]) -> str:
        picture, text, target = found.groups()
        if re.match(r"https?://|#", target):
            return found[0]
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve()
        if there in names:
            return f"[{text}]({names[there]}{'#' + anchor if anchor else ''})"
        if there.is_relative_to(DOCS / "images"):
            return f"{picture}[{text}]({there.relative_to(DOCS)})"
        return text if text.startswith("`") else f"{text} (`{there.relative_to(ROOT)}`)"

    parts = FENCED.split(path.read_text(encoding="utf-8"))
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def group_page(group: str) -> str:
    """Returns the page of a group: each component with its help, and its keys with types, defaults and help."""
    several = f" Several: `{group}=[first,second]`." if GROUPS[group].many else ""
    lines = [f"# {group}", "", f"{GROUPS[group].help[0].upper()}{GROUPS[group].help[1:]}. Choose with `{group}=name`.{several}", ""]
    for name in options(group):
        found = component(group, name)
        text = (inspect.getdoc(found.builder) or "").partition("\nArgs:")[0].partition("\nRaises:")[0].strip()
        lines += [f"## {name}", "", _escape(text), ""]
        keys = {**found.parameters, **COMMON_KEYS.get(group, {})}
        prefix = f"{group}.{name}" if GROUPS[group].many else group
        for key, parameter in keys.items():
            default = "must be given" if parameter.default is inspect.Parameter.empty else f"default `{parameter.default!r}`"
            about = f" {_escape(parameter.help)}" if parameter.help else ""
            lines.append(f"- **`{prefix}.{key}`**{about} *({_escape(describe(parameter.annotation))}, {default})*")
        lines.append("")
    return "\n".join(lines)


def _escape(text: str) -> str:
    """Returns text in which Markdown finds nothing but code."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([\\*_<>\[\]{}$])", r"\\\1", part) for part in parts)


def _toc(caption: str, names: list[str]) -> str:
    head = f":caption: {caption}\n" if caption else ""
    return "```{toctree}\n:hidden:\n" + head + "\n" + "\n".join(names) + "\n```\n\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
