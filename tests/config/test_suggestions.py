"""Other programs' words, and what is typed here instead: every suggestion can be typed."""

import pytest
from conftest import ROOT
from omegaconf import OmegaConf

import malaria_exp
from malaria_exp.config.app import CONF
from malaria_exp.config.registry import GROUPS, component, options
from malaria_exp.config.suggestions import suggest_bare_word
from malaria_exp.config.synonyms import KEYS, OPTIONS, VALUES, plain
from malaria_exp.config.validation import check
from malaria_exp.utils.errors import ConfigError

DEFAULTS = OmegaConf.load(CONF / "config.yaml")


# tests/config/newcomers.txt has many more; these go through Hydra itself.
@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("lr=1", "Did you mean optimizer.learning_rate=1?"),
        ("+lr=1", "Did you mean optimizer.learning_rate=...?"),
        ("data.batch_size=64", "Did you mean 'batch_size'?"),
        ("aug=[flip]", "Did you mean aug=[dihedral]?"),
        ("train", "Did you mean task=train?"),
    ],
)
def test_what_was_meant(override, said):
    with pytest.raises(ConfigError) as caught:
        malaria_exp.compose([override])
    assert said in str(caught.value)


def test_a_word_alone_may_be_a_task_or_an_option():
    assert suggest_bare_word("cutmix") == " Did you mean aug=[cutmix]?"
    assert suggest_bare_word("xyz") == ""


def test_no_word_stands_twice():
    for table in (KEYS, OPTIONS, VALUES):
        words = [word for line in table.values() for word in line.split()]
        assert sorted(words) == sorted(set(words))
        assert [plain(word) for word in words] == words


@pytest.mark.parametrize("meant", [meant for meant in [*KEYS, *OPTIONS] if not meant[0].isupper()])
def test_what_is_suggested_exists(meant):
    parts = dict(part.split("=", 1) for part in meant.split())
    for key, value in parts.items():
        names = set(value.strip("[]").split(",")) - {"...", "{}"}
        group, _, below = key.partition(".")
        if (CONF / key).is_dir():
            assert names <= {path.stem for path in (CONF / key).glob("*.yaml")}
        elif group in GROUPS:
            chosen = [parts[group]] if group in parts and not GROUPS[group].many else options(group)
            last = below.rpartition(".")[2]
            found = [component(group, name).parameters[last] for name in chosen if last in component(group, name).parameters]
            assert found
            if names:
                check(key, OmegaConf.create(f"value: {value}").value, found[0].annotation)
        elif key == "file":
            assert (ROOT / value).is_file()
        else:
            section = OmegaConf.select(DEFAULTS, key.rpartition(".")[0]) if below else DEFAULTS
            assert key.rpartition(".")[2] in section
