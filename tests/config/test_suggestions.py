"""What the program says to words of other programs and to keys of options that were not chosen; every suggestion can be typed."""

import pytest

import malaria_exp
from malaria_exp.config.registry import GROUPS, options
from malaria_exp.config.suggestions import OPTION_SYNONYMS, SYNONYMS, plain
from malaria_exp.utils.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("lr=1", "Did you mean optimizer.learning_rate=...?"),
        ("+lr=1", "Did you mean optimizer.learning_rate=...?"),
        ("trainer.lr=1", "Did you mean optimizer.learning_rate=...?"),
        ("+optimizer.lr=1", "Did you mean optimizer.learning_rate=...?"),
        ("epochs=3", "Did you mean trainer.epochs=...?"),
        ("gpus=2", "Did you mean trainer.strategy=mirrored?"),
        ("image_size=32", "Did you mean model.image_size=...?"),
        ("resamples=3", "Did you mean evaluation.resamples=...?"),
        ("target=0.9", "Did you mean threshold"),
        ("cutmix=true", "Did you mean aug=[cutmix]?"),
        (
            "dataset.path=x.zip",
            "'path' is a key of dataset=folder, nih, shards: choose that option too, such as dataset=folder dataset.path=...",
        ),
        ("model.weights=imagenet", "'weights' is a key of model=transfer: choose that option too"),
        ("optimizer.beta1=1", "Did you mean 'beta_1'?"),
        ("model=resnet18", "Did you mean 'resnet_functional' or 'resnet_subclassed'?"),
        ("model=resnet50", "model=transfer model.backbone=resnet50"),
        ("model=adam", "Did you mean optimizer=adam?"),
        ("loss=cross_entropy", "Did you mean loss=bce?"),
        ("aug=[flip]", "Did you mean aug=[dihedral]?"),
        ("model=cellnte", "Did you mean 'cellnet'?"),
    ],
)
def test_what_was_meant(override, said):
    with pytest.raises(ConfigError) as caught:
        malaria_exp.compose([override])
    assert said in str(caught.value)


def test_no_word_of_the_table_is_an_option_or_stands_there_twice():
    for table in (SYNONYMS, OPTION_SYNONYMS):
        words = [word for line in table.values() for word in line.split()]
        assert len(set(words)) == len(words)
        assert [plain(word) for word in words] == words


@pytest.mark.parametrize("meant", [*SYNONYMS, *OPTION_SYNONYMS])
def test_what_is_suggested_exists(meant):
    for part in meant.split():
        key, _, value = part.partition("=")
        if key in GROUPS:
            assert {name for name in value.strip("[]").split(",") if name != "..."} <= set(options(key))
    filled = [part.replace("[...]", "null").replace("...", "null").replace("'", "") for part in meant.split()]
    overrides = [part for part in filled if not part.endswith("=null") and "imagenet" not in part]
    keys = [part.partition("=")[0] for part in filled if part.endswith("=null") and part.partition("=")[0] not in GROUPS]
    # A key that did not exist could not be overridden.
    try:
        malaria_exp.compose([*overrides, *(f"{key}=null" for key in keys)])
    except ConfigError as error:
        assert "unknown key" not in str(error)
        assert "no option" not in str(error)
