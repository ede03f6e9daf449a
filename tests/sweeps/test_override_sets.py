"""override_sets=pairs.yaml: what is read from the file, and what is refused."""

import pytest

from malaria_exp.sweeps.override_sets import read_override_sets
from malaria_exp.utils.errors import ConfigError


def test_sections_and_lists_are_overrides(tmp_path):
    path = tmp_path / "pairs.yaml"
    path.write_text("- {model: cellnet, optimizer: {learning_rate: 0.01}, aug: [dihedral, mixup]}\n- [model=vit, seed=3]\n")
    assert read_override_sets(path) == [["model=cellnet", "optimizer.learning_rate=0.01", "aug=[dihedral,mixup]"], ["model=vit", "seed=3"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1", "expected a list with an entry for each job"),
        ("[]", "expected a list with an entry for each job"),
        ("- {a: 1}\n- {}", "entry 2: expected a section"),
        ("- [seed]", "entry 1: expected a section"),
        ("- [", "cannot be read"),
    ],
)
def test_what_is_no_list_of_jobs_is_named(tmp_path, text, message):
    path = tmp_path / "pairs.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_override_sets(path)
