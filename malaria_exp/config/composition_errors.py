"""Turns Hydra's and OmegaConf's errors while composing into messages that name what is allowed and what is nearest."""

import itertools
import re
import traceback
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from malaria_exp.config.registry import GROUPS, options
from malaria_exp.config.suggestions import TYPO, suggest_bare_word, suggest_flag, suggest_key, suggest_option
from malaria_exp.utils.errors import ConfigError, did_you_mean, nearest

NOT_A_CHOICE = "Config group override must be"
# Hydra raises these as bare ValueErrors.
BARE_ERRORS = (NOT_A_CHOICE, "Only one of --run, --multirun")


def from_composing(error: Exception) -> bool:
    """Tells whether Hydra or OmegaConf raised the error over what the user asked for."""
    if isinstance(error, HydraException | OmegaConfBaseException) or str(error).startswith(BARE_ERRORS):
        return True
    # Over a key inside of a list OmegaConf fails by itself, such as at int("a").
    raised_in = [Path(frame.filename).parent.name for frame in traceback.extract_tb(error.__traceback__)[-1:]]
    return isinstance(error, ValueError | TypeError) and raised_in == ["omegaconf"]


def explain(error: Exception, arguments: list[str], conf: Path) -> ConfigError:
    """Returns the error for the user.

    Args:
        error: raised by Hydra while it composed, or by OmegaConf; see from_composing.
        arguments: the command line without the program's name.
        conf: the folder of the configuration.
    """
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, option = error.missing_cfg_file.rpartition("/")
        if not group:
            return ConfigError(f"--config-name: no configuration '{option}' in {conf}.{did_you_mean(option, _names(conf))}")
        names = sorted(item for item in error.options or () if item) or _options(group, conf)
        own = " An option of your own needs plugins=[your_module]." if group in GROUPS else ""
        return ConfigError(
            f"{group}: no option '{option}'.{suggest_option(group, option, names)} Options of {group}: {', '.join(names)}.{own}"
        )
    if isinstance(error, OverrideParseException):
        key, _, value = str(error.override).partition("=")
        if value.startswith("~"):
            return ConfigError(
                f"{error.override}: cannot be read: Hydra knows no ~ there. Write {key}=\"'{value}'\" or {key}=$HOME{value[1:]}."
            )
        meant = suggest_bare_word(key)
        return ConfigError(
            f"{error.override}: cannot be read: {text.splitlines()[0]}.{meant} Write key=value; a value with spaces, commas, brackets, '=' or letters such as 'é'"
            " goes into quotes of its own: key='\"a = b\"'."
        )
    match = re.search(r"Could not override '([^']+)'", text)
    if match:
        return _unknown_key(match[1], arguments, conf)
    match = re.match(r"Ambiguous value for argument '([^=]+)=(.*)'", text)
    if match:
        several = "" if match[1] in GROUPS and not GROUPS[match[1]].many else f"; a list is written {match[1]}=[{match[2]}]"
        return ConfigError(
            f"{match[1]}: received several values, {match[1]}={match[2]}. One run for each: add --multirun (-m){several}; text with"
            f" commas goes into quotes: {match[1]}=\"'{match[2]}'\"."
        )
    match = re.match(r"Sweep parameters '([^']*)' requires --multirun", text)
    if match:
        return ConfigError(f"{match[1]}: several values make one run each. Add --multirun: python run.py -m {match[1]}")
    if text.startswith("Only one of --run, --multirun"):
        return ConfigError(
            "--multirun (-m), --cfg, --info, --run: received several of them, expected one. To see a job's configuration, give one value of"
            " each key and no -m: python run.py seed=0 --cfg job"
        )
    if text.startswith((NOT_A_CHOICE, "force-add of config groups", "Multiple values for")):
        return _not_a_choice(text, arguments, conf)
    if re.search("is not an int|literal for int|list index", f"{text} {error.__cause__}"):
        for item in arguments:
            if found := _inside_a_list(item, arguments, conf):
                return found
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return ConfigError(f"{error.full_key}: its value cannot be resolved: {text.splitlines()[0]}.")
    cause = error.__cause__
    detail = str(cause).splitlines()[0] if isinstance(cause, OmegaConfBaseException) else ""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("See https://hydra.cc")]
    return ConfigError(" ".join([*lines, detail]).strip() or type(error).__name__)


def refuse_flags(arguments: list[str], conf: Path) -> None:
    """Raises a ConfigError that says what to type in place of flags that this program does not have, such as `--lr 1e-3`."""
    own = [flag for flag in get_args_parser()._option_string_actions if flag.startswith("-")]
    foreign = []
    for word, following in itertools.zip_longest(arguments, arguments[1:], fillvalue=""):
        flag, sign, value = word.partition("=")
        if not re.match(r"--?[A-Za-z]", flag) or any(known.startswith(flag) for known in own):
            continue
        if not sign and following and not following.startswith("-") and "=" not in following:
            value = following
        foreign.append((f"{flag} {value}".strip(), flag, value or "true"))
    if not foreign:
        return
    defaults = _defaults([], "", conf)
    values = OmegaConf.to_container(defaults, resolve=False) if defaults is not None else {}
    known = {str(key): value for key, value in values.items()} if isinstance(values, dict) else {}
    said = [f"{typed}: not a flag of this program.{suggest_flag(flag, value, known)}" for typed, flag, value in foreign]
    raise ConfigError("\n".join(said) + " Settings are written key=value, without dashes.")


def _unknown_key(key: str, arguments: list[str], conf: Path) -> ConfigError:
    value = next((item for item in arguments if item.lstrip("+~").startswith(f"{key}=")), key)
    found, parents, (name, *rest) = _defaults(arguments, key, conf), [], key.split(".")
    if found is None:
        return ConfigError(f"{key}: unknown key, received {value}.")
    known = OmegaConf.to_container(found, resolve=False)
    typed = value.partition("=")[2] or "..."
    while rest and name in found:
        parents.append(name)
        below = found._get_node(name)
        if not isinstance(below, DictConfig):
            return ConfigError(f"{key}: unknown key, received {value}. {'.'.join(parents)} is a value and has no keys.")
        found, name, *rest = below, *rest
    allowed = sorted(str(item) for item in found if not str(item).startswith("_"))
    values = {str(one): value for one, value in known.items() if one != "hydra"} if isinstance(known, dict) else {}
    misspelled = rest and nearest(name, allowed, TYPO)
    meant = did_you_mean(name, allowed) if misspelled else suggest_key(".".join([*parents, name, *rest]), allowed, values, typed)
    where = f"Keys of {'.'.join(parents)}" if parents else "Groups and top-level keys"
    hint = ""
    if parents and parents == [key.partition(".")[0]] and name in _many_options(parents[0]):
        chosen = ",".join([*allowed, name])
        hint = f" '{name}' is an option of {parents[0]} that was not chosen: {parents[0]}=[{chosen}] {value}"
    elif parents and parents[0] in GROUPS:
        option = parents[1:2] if GROUPS[parents[0]].many else [found.get("name")]
        hint = f" See: python run.py task=list task.show={'/'.join([parents[0], *(str(item) for item in option)])}"
    return ConfigError(f"{key}: unknown key, received {value}.{meant} {where}: {', '.join(allowed)}.{hint}")


def _inside_a_list(argument: str, arguments: list[str], conf: Path) -> ConfigError | None:
    """Returns the error if an override is one of a list's values, which is not there."""
    key = argument.lstrip("+~").partition("=")[0]
    parts = key.split(".")
    composed = _defaults(arguments, key, conf) if len(parts) > 1 and not key.startswith("-") else None
    if composed is None:
        return None
    for place in range(1, len(parts)):
        name, number = ".".join(parts[:place]), parts[place]
        values = OmegaConf.select(composed, name)
        if isinstance(values, ListConfig) and not (number.isdigit() and int(number) < len(values)):
            plain = OmegaConf.to_container(values, resolve=False)
            return ConfigError(
                f"{key}: unknown key, received {argument}. {name} is a list of {len(values)}, numbered from 0. To set all of it: {name}={plain}."
            )
    return None


def _not_a_choice(text: str, arguments: list[str], conf: Path) -> ConfigError:
    """Returns the error for a group that was given something else than options' names, or that was added a second time."""
    for item in OverridesParser.create().parse_overrides([item for item in arguments if "=" in item and not item.startswith("-")]):
        group = item.key_or_group
        if not group:
            return ConfigError(f"{item.input_line}: expected key=value, received no key.")
        if (conf / group).is_dir() and (item.is_add() or item.is_force_add() or not isinstance(item.value(), str | list)):
            several = f" or {group}=[first,second]" if group in GROUPS and GROUPS[group].many else ""
            return ConfigError(
                f"{group}: expected the name of an option, received {item.input_line}. Options of {group}: {', '.join(_options(group, conf))}."
                f" Choose with {group}=name{several}."
            )
    return ConfigError(text)


def _options(group: str, conf: Path) -> list[str]:
    return sorted(options(group)) if group in GROUPS else _names(conf / group)


def _several_values(argument: str) -> bool:
    try:
        return bool(OverridesParser.create().parse_override(argument).is_sweep_override())
    except HydraException:
        return False


def _many_options(group: str) -> dict[str, str]:
    return options(group) if group in GROUPS and GROUPS[group].many else {}


def _names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _defaults(arguments: list[str], without: str, conf: Path) -> DictConfig | None:
    """Composes what the user asked for without the override that failed; without any override if that fails too."""
    kept = [
        item
        for item in arguments
        if not item.startswith("-") and not item.lstrip("+~").startswith(f"{without}=") and not _several_values(item)
    ]
    for overrides in (kept, []):
        GlobalHydra.instance().clear()
        try:
            with initialize_config_dir(str(conf), version_base="1.3"):
                return compose("config", overrides=overrides, return_hydra_config=without.startswith("hydra."))
        except Exception as error:
            if not from_composing(error):
                raise
    return None
