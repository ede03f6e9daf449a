"""README, CONTRIBUTING and docs: links, paths and module names exist, and every command is one that the program understands."""

import json
import re
import shlex
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from conftest import ROOT, compose_config, png_bytes
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from malaria_exp.config.registry import GROUPS
from malaria_exp.config.run_config import Config

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^()\s]+)\)|<img src=\"([^\"]+)\"")
PATH = re.compile(r"(?<![\w/.-])(?:malaria_exp|hydra_plugins|conf|tests|benchmarks|sweeps)/[\w./*<>-]*")
MODULE = re.compile(r"(?<![\w/.])malaria_exp(?:\.\w+)+")
# What a page shows how to write, and the functions that malaria_exp itself has.
EXAMPLES = {"malaria_exp/components/loss/poly.py", "conf/loss/poly.yaml", "tests/components/loss/test_poly.py"}
API = {"run", "compose", "load_run", "list_components"}

# Commands whose components, files or flags are the reader's own.
OWN = ("my_", "mine", "plugins=", "poly", "sqlite", "--experimental-rerun")
FLAGS = {"-m", "--multirun", "--cfg", "--help", "-h", "--hydra-help"}
COMMAND = r"(?:python run\.py|python -m malaria_exp|malaria-exp)(?= |$)"


def anchors(text):
    """Returns the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    dead = []
    for link in (first or second for first, second in LINK.findall(FENCED.sub("", TEXTS[page]))):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(TEXTS[target])):
            dead.append(link)
    assert not dead


def test_every_page_of_docs_and_every_picture_is_linked():
    linked = {
        (page.parent / (first or second).partition("#")[0]).resolve() for page in PAGES for first, second in LINK.findall(TEXTS[page])
    }
    files = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "images").rglob("*.png")]
    assert not [str(file.relative_to(ROOT)) for file in files if file not in linked]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_paths_exist(page):
    paths = {found.rstrip(".-") for found in PATH.findall(TEXTS[page])} - EXAMPLES
    assert not [path for path in sorted(paths) if not any(ROOT.glob(re.sub(r"<[^>]*>", "*", path).rstrip("/")))]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_modules_exist(page):
    assert not [name for name in sorted(set(MODULE.findall(TEXTS[page]))) if not is_module_or_in_one(name)]


def is_module_or_in_one(name):
    """Tells whether a dotted name is a package, a module, or what a module defines."""
    path = ROOT.joinpath(*name.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        return True
    if path.parent == ROOT / "malaria_exp":
        return path.name in API
    module = path.parent.with_suffix(".py")
    return module.is_file() and bool(re.search(rf"^(?:def |class )?{path.name}\b", module.read_text(encoding="utf-8"), re.MULTILINE))


def commands(text):
    """Yields each command of a page and its words; lines that end in a backslash go on, those after `$ ` show wrong input."""
    text = re.sub(r"\\\n\s*", " ", text)
    for line in (re.sub(r"^[#\s]*(?:- )?(?:TF_CONFIG='[^']*' )?", "", line) for line in text.splitlines()):
        for command in [line] if re.match(COMMAND, line) else re.findall(rf"`({COMMAND}[^`]*)`", line):
            try:
                words = shlex.split(re.sub(rf"^{COMMAND}", "", command), comments=True)
            except ValueError:
                continue
            end = next((place for place, word in enumerate(words) if word in ("&&", "|", "&")), len(words))
            yield command, words[:end]


def single(words):
    """Returns the overrides of a command's first job: of a grid the first value of each."""
    found = []
    for word in words:
        override = OverridesParser.create().parse_override(word)
        grid = override.is_sweep_override()
        found.append(f"{override.get_key_element()}={next(override.sweep_string_iterator())}" if grid else word)
    return found


def checked(overrides):
    """Composes and checks a configuration; what must be given and is not becomes "x"."""
    composed = compose_config(overrides)
    for key in OmegaConf.missing_keys(composed):
        OmegaConf.update(composed, key, "x")
    config = Config.from_plain(OmegaConf.to_container(composed, resolve=True))
    config.check_components(tuple(group for group in GROUPS if group != "dataset"))


def packed(lists):
    """Packs lists of overrides that speak of different groups into one each: composing takes a third of a second.

    Presets speak of any group, so they stay alone.
    """
    packs, alone = [], []
    for overrides in lists:
        groups = {}
        for override in overrides:
            groups.setdefault(re.split(r"[./=@]", override.lstrip("+~"))[0], []).append(override)
        if groups.keys() & {"experiment", "debug"} or any(override.startswith("~") for override in overrides):
            alone.append((overrides, [overrides]))
            continue
        fitting = (pack for pack, _ in packs if all(pack.get(group, own) == own for group, own in groups.items()))
        place = next(fitting, None)
        if place is None:
            packs.append((groups, [overrides]))
        else:
            place.update(groups)
            next(members for pack, members in packs if pack is place).append(overrides)
    return [*(([word for words in pack.values() for word in words], members) for pack, members in packs), *alone]


def test_commands_are_understood():
    pages = [*PAGES, *sorted((ROOT / "sweeps").glob("*.yaml"))]
    known, flags = {}, set()
    for page in pages:
        for command, words in commands(page.read_text(encoding="utf-8")):
            if any(mark in command for mark in OWN) or any(word.endswith("=...") for word in words):
                continue
            flags |= {word for word in words if word.startswith("-")} - FLAGS
            known.setdefault(tuple(single([word for word in words if "=" in word or word.startswith("~")])), f"{page.name}: {command}")
    assert not flags
    assert len(known) > 80
    wrong = []
    for together, members in packed([list(overrides) for overrides in known]):
        try:
            checked(together)
        except Exception:  # noqa: BLE001  Which of them it is, and why, is found by taking each alone.
            for overrides in members:
                try:
                    checked(overrides)
                except Exception as error:  # noqa: BLE001
                    wrong.append(f"{known[tuple(overrides)]}\n    {error}")
    assert not wrong, "\n".join(wrong)


def test_the_tour_of_the_readme_runs(run_task, tiny_cellnet, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    pytest.importorskip("fastapi")
    (section,) = re.findall(r"^## From cells to a service\n(.*?)^## ", TEXTS[ROOT / "README.md"], re.MULTILINE | re.DOTALL)
    train, evaluate, export, serve = (words for _, words in commands(section))
    monkeypatch.chdir(tmp_path)
    (home,) = (word.partition("=")[2] for word in train if word.startswith("hydra.run.dir="))
    # That it trains is seen everywhere else.
    run_task([*(item for item in tiny_cellnet if not item.startswith("trainer.")), *train, "trainer=none"], home)
    run_task([*evaluate, "evaluation.resamples=20"], "outputs/second")
    run_task([*export, "task.cells=20"], "outputs/third")
    service = subprocess.Popen(
        [sys.executable, ROOT / "run.py", *serve, "task.port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        (address,) = next(found for line in service.stdout if (found := re.findall(r"http://[\d.]+:\d+/", line)))
        image = png_bytes(np.full((50, 40, 3), 180, np.uint8))
        body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="one.png"\r\n\r\n' + image + b"\r\n--b--\r\n"
        request = urllib.request.Request(f"{address}predict", body, {"Content-Type": "multipart/form-data; boundary=b"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            (cell,) = json.load(answer)["cells"]
        assert cell["file"] == "one.png" and 0 <= cell["score"] <= 1
        service.send_signal(signal.SIGINT)
        assert service.wait(30) == 0
    finally:
        service.kill()
        service.stdout.close()
