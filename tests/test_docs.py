"""Every command of README, docs and sweeps is one that the program understands."""

import re
import shlex

import pytest
from conftest import ROOT
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from malaria_exp.config.app import CONF
from malaria_exp.config.registry import GROUPS
from malaria_exp.config.run_config import Config

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "sweeps").glob("*.yaml"))]
# Chosen by hand, or of a component that a page shows how to write.
OWN = ("my_", "mine", "plugins=", "--experimental-rerun")
# Pages that show what is answered to a wrong command.
WRONG = re.compile(r"^\$ ")


def commands(text):
    """Yields the arguments of each `python run.py ...` of a page; lines that end in a backslash go on."""
    text = re.sub(r"\\\n\s*", " ", text)
    for line in (re.sub(r"^[#\s]*(?:- )?", "", line) for line in text.splitlines()):
        if WRONG.match(line):
            continue
        starts = [line] if line.startswith("python run.py") else re.findall(r"`(python run\.py[^`]*)`", line)
        for command in starts:
            try:
                words = shlex.split(command, comments=True)
            except ValueError:
                continue
            end = next((place for place, word in enumerate(words) if word in ("&&", "|", "&")), len(words))
            yield command, words[2:end]


ALL = {command: (page.name, words) for page in PAGES for command, words in commands(page.read_text(encoding="utf-8"))}


def single(words):
    """Returns the overrides of a command's first job: of a grid the first value of each."""
    found = []
    for word in words:
        override = OverridesParser.create().parse_override(word)
        grid = override.is_sweep_override()
        found.append(f"{override.get_key_element()}={next(override.sweep_string_iterator())}" if grid else word)
    return found


@pytest.mark.parametrize("command", sorted(ALL), ids=lambda command: f"{ALL[command][0]}: {command[14:100]}")
def test_a_command_is_understood(command):
    words = ALL[command][1]
    if any(mark in command for mark in OWN) or any(word.endswith("=...") for word in words):
        pytest.skip("speaks of something of the reader's own")
    flags = [word for word in words if word.startswith("-")]
    assert set(flags) <= {"-m", "--multirun", "--cfg", "--help", "-h", "--hydra-help"}, flags
    overrides = single([word for word in words if "=" in word])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = compose("config", overrides=overrides)
    for key in OmegaConf.missing_keys(composed):
        OmegaConf.update(composed, key, "x")
    config = Config.from_plain(OmegaConf.to_container(composed, resolve=True))
    config.check_components(tuple(group for group in GROUPS if group != "dataset"))
