"""What a user may have meant by a key or an option that does not exist: searched in the whole configuration, and in the field's own words."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from malaria_exp.config.registry import GROUPS, component, options
from malaria_exp.utils.errors import did_you_mean, nearest

# The words of other programs, without their underscores, and what is typed here.
SYNONYMS = {
    "optimizer.learning_rate=...": "lr baselr initlr maxlr",
    "trainer.epochs=...": "epoch epochs nepochs numepochs maxepochs",
    "batch_size=...": "bs batch batchsize trainbatchsize",
    "optimizer.weight_decay=...": "wd decay l2",
    "optimizer.clip_norm=...": "clip gradclip gradientclip clipgrad maxgradnorm gradientclipval",
    "trainer.strategy=mirrored": "gpus gpu ngpus numgpus devices device accelerator ddp distributed",
    "trainer.precision=...": "amp fp16 bf16 half mixedprecision dtype",
    "trainer.accumulate=...": "accumulatesteps gradaccum accumulategradbatches gradientaccumulationsteps",
    "model.image_size=...": "imgsize imagesize inputsize resolution imgsz size",
    "model=...": "arch architecture network net",
    "model=transfer model.weights=imagenet": "pretrained imagenet",
    "optimizer=...": "optim opt",
    "loss=...": "criterion lossfn objective",
    "schedule=...": "scheduler lrscheduler lrschedule",
    "schedule.warmup='10%'": "warmupsteps warmupepochs",
    "aug=[...]": "augment augmentation augmentations transform",
    "callback=[...]": "callbacks",
    "metric=[...]": "metrics",
    "logger=[...]": "loggers logging",
    "dataset=folder dataset.path=...": "data datadir dataroot datapath imagedir",
    "split.test=...": "testsize testsplit",
    "split.val=...": "valsize validsize validationsplit",
    "split=patient_kfold split.k=...": "folds nfolds nsplits kfold cv",
    "cache.workers=...": "workers numworkers nworkers njobs",
    "seed=...": "randomseed randomstate rngseed",
    "hydra.run.dir=...": "out output outputdir outdir savedir logdir resultsdir",
    "init_from=...": "ckpt checkpoint checkpointpath pretrainedweights loadfrom",
    "callback=[nan_guard,early_stopping] callback.early_stopping.patience=...": "patience earlystopping earlystop",
    "threshold.fixed.value=...": "cutoff",
}
OPTION_SYNONYMS = {
    "loss=bce": "crossentropy binarycrossentropy binaryce ce bcewithlogits",
    "loss=weighted_bce": "weighted classweights balanced",
    "aug=[dihedral]": "flip hflip vflip flips rotate rotation rot90 horizontalflip randomflip",
    "aug=[color]": "colorjitter jitter brightness contrast hue saturation",
    "aug=[erasing]": "cutout randomerasing coarsedropout",
    "aug=[resized_crop]": "crop randomcrop randomresizedcrop zoom",
    "schedule=triangular": "onecycle 1cycle linear",
    "split=patient_kfold": "kfold crossvalidation cv groupkfold stratified",
    "split=patient_holdout": "random holdout",
    "logger=[console,csv,tensorboard]": "tb",
    "metric=[sensitivity]": "recall tpr",
    "metric=[ppv]": "precision",
    "dataset=nih": "malaria cellimages lister",
}
TYPO, ALIKE = 0.75, 3


def plain(word: str) -> str:
    """Returns a word in lower case without underscores, hyphens and dots."""
    return re.sub(r"[_.\-\s]", "", word.lower())


def suggest_key(key: str, siblings: Iterable[str], known: Mapping[str, Any]) -> str:
    """Returns what may have been meant by an unknown key, as a sentence with a space in front, or an empty string.

    Args:
        key: dotted, as it was typed.
        siblings: the keys that may stand in its place.
        known: the whole composed configuration.
    """
    *parents, last = key.split(".")
    siblings = list(siblings)
    if parents[:1] == ["hydra"]:
        return did_you_mean(last, siblings)
    owners = _options_with(parents[0], last) if len(parents) == 1 and parents[0] in GROUPS else []
    if owners and last not in siblings:
        group = parents[0]
        several = f"{group}=[{owners[0]}]" if GROUPS[group].many else f"{group}={owners[0]}"
        return f" '{last}' is a key of {group}={', '.join(owners)}: choose that option too, such as {several} {key}=..."
    if nearest(last, siblings, TYPO):
        return did_you_mean(last, siblings)
    if meant := _synonym(SYNONYMS, last):
        return f" Did you mean {meant}?"
    leaves = list(_leaves(known))
    word = plain(last)
    for fits in _tests(word):
        if found := [leaf for leaf in leaves if leaf != key and fits(plain(leaf.rpartition(".")[2]))]:
            return f" Did you mean {_listed(f'{leaf}=...' for leaf in found)}?"
        if found := [choice for choice, name in _all_options() if fits(plain(name))]:
            return f" Did you mean {_listed(found)}?"
    return did_you_mean(last, siblings)


def suggest_option(group: str, option: str, names: Iterable[str]) -> str:
    """Returns what may have been meant by an unknown option of a group, as `suggest_key` does."""
    names = list(names)
    if nearest(option, names, TYPO):
        return did_you_mean(option, names)
    if meant := _synonym(OPTION_SYNONYMS, option):
        return f" Did you mean {meant}?"
    for found, key in _values(group) if group in GROUPS else ():
        if len(plain(option)) > ALIKE and plain(found[1]).startswith(plain(option)):
            return f" '{found[1]}' is a value of {key}: {group}={found[0]} {key}={found[1]}"
    if others := [choice for choice, name in _all_options() if plain(name) == plain(option)]:
        return f" Did you mean {_listed(others)}?"
    word = re.sub(r"\d.*", "", plain(option))
    for fits in _tests(word)[1:]:
        if found_names := [name for name in names if fits(plain(name))]:
            return f" Did you mean {_listed(repr(name) for name in found_names)}?"
    return did_you_mean(option, names)


def _tests(word: str) -> list[Callable[[str], bool]]:
    """Returns what a name may have in common with a word, the closest first: all of it, or one stands in the other."""
    if len(word) < ALIKE:
        return [lambda name: name == word]
    return [lambda name: name == word, lambda name: word in name, lambda name: len(name) > ALIKE and name in word]


def _listed(found: Iterable[str]) -> str:
    return " or ".join(list(dict.fromkeys(found))[:3])


def _synonym(table: Mapping[str, str], word: str) -> str | None:
    return next((meant for meant, words in table.items() if plain(word) in words.split()), None)


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif key != "name":
            yield f"{prefix}{key}"


@cache
def _all_options() -> list[tuple[str, str]]:
    """Returns (how it is chosen, name) of every option but the tasks."""
    return [
        (f"{group}=[{name}]" if GROUPS[group].many else f"{group}={name}", name)
        for group in GROUPS
        if group != "task"
        for name in options(group)
    ]


def _options_with(group: str, key: str) -> list[str]:
    return [name for name in options(group) if key in component(group, name).parameters]


def _values(group: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Yields ((option, word), key) of every word that a key of a group's options allows."""
    for name in options(group):
        for key, parameter in component(group, name).parameters.items():
            for word in get_args(parameter.annotation):
                if isinstance(word, str):
                    yield (name, word), f"{group}.{key}"
