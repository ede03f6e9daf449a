"""What a user may have meant by a key or an option that does not exist: searched in the whole configuration, and in other programs' words."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, get_args

from malaria_exp.config.registry import GROUPS, component, options
from malaria_exp.config.synonyms import KEYS, OPTIONS, plain
from malaria_exp.utils.errors import did_you_mean, nearest

# How alike a misspelling is; the letters of the shortest word that is looked for in another.
TYPO, ALIKE = 0.75, 3


def suggest_key(key: str, siblings: Iterable[str], known: Mapping[str, Any], value: str = "...") -> str:
    """Returns what may have been meant by an unknown key, as a sentence with a space in front, or an empty string.

    Args:
        key: dotted, as it was typed.
        siblings: the keys that may stand in its place.
        known: the whole composed configuration.
        value: what was typed behind the key.
    """
    *parents, last = key.split(".")
    siblings = list(siblings)
    owners = _options_with(parents[0], last) if len(parents) == 1 and parents[0] in GROUPS else []
    if owners and last not in siblings:
        group = parents[0]
        several = f"{group}=[{owners[0]}]" if GROUPS[group].many else f"{group}={owners[0]}"
        return f" '{last}' is a key of {group}={', '.join(owners)}: choose that option too, such as {several} {key}={value}"
    word, hydras = plain(last), parents[:1] == ["hydra"]
    same = word in map(plain, siblings)
    if not same and not (hydras and nearest(last, siblings)) and (meant := _synonym(KEYS, key, last)):
        return _said(meant, value)
    if hydras or same or nearest(last, siblings, TYPO):
        return did_you_mean(last, siblings)
    leaves = list(_leaves(known))
    for number, fits in enumerate(_tests(word)):
        if found := [leaf for leaf in leaves if leaf != key and fits(plain(leaf.rpartition(".")[2]))]:
            return f" Did you mean {_listed(f'{leaf}={value}' for leaf in found)}?"
        if parents and last in GROUPS:
            return _said(f"{last}=[{{}}]" if GROUPS[last].many else f"{last}={{}}", value)
        if found := [choice for choice, name in _all_options() if fits(plain(name))]:
            return f" Did you mean {_listed(found)}?"
        if number == 0 and (meant := _synonym(OPTIONS, last)):
            return _said(meant, value)
    return did_you_mean(last, siblings)


def suggest_option(group: str, option: str, names: Iterable[str]) -> str:
    """Returns what may have been meant by an unknown option of a group, as `suggest_key` does."""
    names = list(names)
    if meant := _synonym(OPTIONS, option):
        return _said(meant)
    if nearest(option, names, TYPO):
        return did_you_mean(option, names)
    word = plain(option)
    for (owner, found), key in _values(group) if group in GROUPS else ():
        if len(word) > ALIKE and (plain(found).startswith(word) or (len(found) > ALIKE and plain(found) in word)):
            return f" '{found}' is a value of {key}: {group}={owner} {key}={found}"
    if others := [choice for choice, name in _all_options() if plain(name) == word]:
        return f" Did you mean {_listed(others)}?"
    if beginning := [name for name in names if len(name) >= ALIKE and word.startswith(plain(name))]:
        return f" Did you mean '{max(beginning, key=len)}'?"
    for fits in _tests(re.sub(r"\d.*", "", word))[1:]:
        if found_names := [name for name in names if fits(plain(name))]:
            return f" Did you mean {_listed(repr(name) for name in found_names)}?"
    beginnings = [
        meant for meant, words in OPTIONS.items() if any(len(known) > ALIKE and word.startswith(known) for known in words.split())
    ]
    if meant := next(iter(beginnings), None) or _synonym(KEYS, option):
        return _said(meant)
    return did_you_mean(option, names)


def suggest_bare_word(word: str) -> str:
    """Returns what may have been meant by a word without a value, such as `train`, as `suggest_key` does."""
    found = [f"task={word}"] if word in options("task") else [choice for choice, name in _all_options() if name == word]
    return f" Did you mean {_listed(found)}?" if found else ""


def suggest_flag(flag: str, value: str, known: Mapping[str, Any]) -> str:
    """Returns what is typed in place of a flag of another program, such as `--lr 1e-3`, as `suggest_key` does.

    Args:
        flag: with its dashes, without a value.
        value: what was typed behind it; "true" for nothing.
        known: the whole composed configuration.
    """
    key = flag.lstrip("-").replace("-", "_")
    if key in GROUPS and not GROUPS[key].many:
        return f" Type {key}={value}" if value in options(key) else suggest_option(key, value, options(key))
    if key in known or key in _leaves(known):
        return f" Type {key}={value}"
    return suggest_key(key, known, known, value)


def _said(meant: str, value: str = "...") -> str:
    """Returns what a table says, as a sentence: with the value that was typed, or the option that was meant by it."""
    if meant[0].isupper():
        return f" {meant}"
    group = re.split(r"[.=]", meant)[0]
    names = [name.strip() for name in value.strip("[]").split(",")]
    if group in GROUPS and meant.startswith(f"{group}=") and all(name in options(group) for name in names):
        # Such as data=nih, where a folder could have been named as well.
        meant = f"{group}=[{','.join(names)}]" if GROUPS[group].many else f"{group}={names[0]}"
    elif meant in (f"{group}={{}}", f"{group}=[{{}}]") and group in GROUPS and value != "...":
        found = suggest_option(group, names[0], options(group))
        if named := re.fullmatch(r" Did you mean '(\w+)'.*\?", found):
            meant = meant.replace("{}", named[1])
        elif found and found.partition("=")[2]:
            return found
    return f" Did you mean {meant.replace('{}', '...' if value in ('true', 'false') else value)}?"


def _tests(word: str) -> list[Callable[[str], bool]]:
    """Returns what a name may have in common with a word, the closest first: all of it, or one stands in the other."""
    if len(word) < ALIKE:
        return [lambda name: name == word]
    return [lambda name: name == word, lambda name: word in name, lambda name: len(name) > ALIKE and name in word]


def _listed(found: Iterable[str]) -> str:
    return " or ".join(list(dict.fromkeys(found))[:3])


def _synonym(table: Mapping[str, str], *words: str) -> str | None:
    return next((meant for word in words for meant, known in table.items() if plain(word) in known.split()), None)


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
