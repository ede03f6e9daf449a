"""What people who know Keras, timm, Lightning, PyTorch or Hydra type at first (newcomers.txt), and whether the answer helps."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import ConfigCompositionException, MissingConfigException
from omegaconf import OmegaConf

from malaria_exp.config import composition_errors
from malaria_exp.config.app import CONF
from malaria_exp.config.composition_errors import explain, refuse_flags
from malaria_exp.config.run_config import Config
from malaria_exp.utils.errors import ConfigError

LINES = [
    line.split(" -> ") for line in Path(__file__).with_name("newcomers.txt").read_text(encoding="utf-8").splitlines() if " -> " in line
]
# What stands before a hint repeats what was typed, and what stands after it lists everything; neither is a hint.
BEFORE = re.compile(r"^.*?(received .*?[^.]\.(?= |$)|no option '[^']*'\.)")
AFTER = re.compile(r" (Options of|Keys of|Groups and top-level keys:|Allowed keys|See: python|\(\w+: ).*")


@pytest.fixture
def composed(monkeypatch):
    """The default configuration, composed once: composing takes a third of a second."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = compose("config", return_hydra_config=True)
    monkeypatch.setattr(composition_errors, "_defaults", lambda *_: found)
    return found


def answer(line, composed):
    """Returns what the program says to an override: the error Hydra would raise, or the check of the values, in words."""
    if line.startswith("-"):
        with pytest.raises(ConfigError) as caught:
            refuse_flags(shlex.split(line), CONF)
        return str(caught.value).replace(line, "", 1)
    override = OverridesParser.create().parse_override(line)
    key, value = override.key_or_group, override.value()
    try:
        if (CONF / key).is_dir() and not override.is_add():
            for name in value if isinstance(value, list) else [value]:
                if not (CONF / key / f"{name}.yaml").is_file():
                    raise explain(MissingConfigException("", f"{key}/{name}"), [line], CONF)
        elif OmegaConf.select(composed, key) is None and not override.is_add():
            raise explain(ConfigCompositionException(f"Could not override '{key}'"), [line], CONF)
        else:
            values = OmegaConf.to_container(OmegaConf.masked_copy(composed, [name for name in composed if name != "hydra"]))
            plain = OmegaConf.create(values)
            OmegaConf.update(plain, key, value)
            Config.from_plain(OmegaConf.to_container(plain)).check_components()
    except ConfigError as error:
        return str(error)
    return "accepted"


def test_the_answer_names_what_to_type(composed):
    wrong = []
    for line, right in LINES:
        said = answer(line, composed)
        hint = AFTER.sub("", BEFORE.sub("", said))
        # In a key's own section its last word is enough.
        if not re.search(rf"(?<!\w){re.escape(right)}(?!\w)|'{re.escape(right.rpartition('.')[2])}'", hint):
            wrong.append(f"{line} -> {right}: {said[:200]}")
    assert len(LINES) > 200
    assert len(wrong) <= len(LINES) // 20, "\n".join(wrong)
