"""The registry: from a group and a name to the component that a run is assembled from.

A component is a builder function under `@register(group, name)`. Its positional-only parameters are what the runner
hands it (a table, a model's shape ...; see GROUPS), its keyword-only parameters are the keys of its YAML file:

    @register("aug", "dihedral")
    def dihedral(*, p: Probability = 1.0) -> Augmentation:
        '''One line of help, shown by task=list.'''

The built-in components are what the files malaria_exp/components/<group>/*.py register, one a file of its name or a family in one file.
Only these files and modules that the user names in `plugins=[...]` are imported: no import path of a config is ever followed for a component.
"""

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from malaria_exp.config.validation import check, check_keys, describe
from malaria_exp.utils.errors import ConfigError, did_you_mean

# Where the built-in components are: a package a group, in which files that begin with no underscore register options.
PACKAGE = "malaria_exp.components"
COMPONENTS = Path(__file__).parent.parent / "components"
Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Group:
    """A config group: what its components are, what the runner hands their builders, whether a run holds several, or none."""

    help: str
    context: tuple[str, ...] = ()
    many: bool = False
    may_be_empty: bool = False


GROUPS: dict[str, Group] = {
    "task": Group("what the program does", ("app",)),
    "dataset": Group("where the cells come from"),
    "split": Group("which patients train, validate and test", ("table",)),
    "sampling": Group("which of the training cells an epoch's batches hold, and what they weigh", ("labels", "patients")),
    "aug": Group("how training batches are changed, in the order given", many=True),
    "model": Group("the network: images (B, size, size, 3) in [0, 1] to logits (B, 1)"),
    "loss": Group("what training minimizes; class weights come from the training labels", ("labels",)),
    "optimizer": Group("how the gradient changes the weights", ("multiplier",)),
    "schedule": Group("the learning rate over the run, as a multiplier of optimizer.learning_rate", ("length",)),
    "trainer": Group("how the model is trained"),
    "calibration": Group("how scores are made probabilities after training, on validation patients"),
    "ood": Group("how images are found that do not look like the training data"),
    "metric": Group("what is measured on training batches, beside the loss", many=True, may_be_empty=True),
    "threshold": Group("where scores become predictions, chosen on validation patients; tables show the first", many=True),
    "interval": Group("how the confidence intervals over patients are computed"),
    "explanation": Group("how task=explain tells which places of a cell a score depends on", many=True, may_be_empty=True),
    "callback": Group("what happens between training's steps and epochs", ("context",), many=True, may_be_empty=True),
    "logger": Group("where the numbers of a run go while it runs", many=True),
    "storage": Group("where a finished run is copied to"),
}


@dataclass(frozen=True)
class Parameter:
    """A key of a component: its annotation, its default (`inspect.Parameter.empty` if it must be given), its help."""

    annotation: Any
    default: Any
    help: str


@dataclass(frozen=True)
class Component:
    """A registered builder with its keys and its first line of help."""

    group: str
    name: str
    builder: Callable[..., Any]
    parameters: dict[str, Parameter]
    help: str


_components: dict[tuple[str, str], Component] = {}


def register(group: str, name: str) -> Callable[[Builder], Builder]:
    """Registers the builder function below it as option `name` of config group `group`.

    Raises:
        ConfigError: the group does not exist, the name is taken by another function, a keyword has no annotation,
            or the docstring is missing.
    """

    def decorate(builder: Builder) -> Builder:
        if group not in GROUPS:
            raise ConfigError(f"@register('{group}', '{name}'): no such group.{did_you_mean(group, GROUPS)} Groups: {', '.join(GROUPS)}.")
        taken = _components.get((group, name))
        if taken is None and _builtin_modules(group).get(name, builder.__module__) != builder.__module__:
            taken = component(group, name)
        # A reloaded module registers its functions again: that is not a second owner of the name.
        if taken and (taken.builder.__module__, taken.builder.__qualname__) != (builder.__module__, builder.__qualname__):
            raise ConfigError(f"@register('{group}', '{name}') in {builder.__module__}: the name is taken by {taken.builder.__module__}.")
        _components[group, name] = _describe_builder(group, name, builder)
        return builder

    return decorate


def component(group: str, name: str) -> Component:
    """Returns the component, importing its built-in module if need be; an unknown name is a ConfigError."""
    check_group(group)
    if (group, name) not in _components and name in _builtin_modules(group):
        importlib.import_module(_builtin_modules(group)[name])
    if (group, name) not in _components:
        names = options(group)
        raise ConfigError(
            f"{group}: no option '{name}'.{did_you_mean(name, names)} Options of {group}: {', '.join(names)}."
            " An option of your own needs plugins=[your_module]."
        )
    return _components[group, name]


def check_group(group: str) -> None:
    """Raises a ConfigError if there is no such group."""
    if group not in GROUPS:
        raise ConfigError(f"{group}: no such group.{did_you_mean(group, GROUPS)} Groups: {', '.join(GROUPS)}.")


def check_params(group: str, name: str, params: Mapping[str, Any], path: str | None = None) -> dict[str, Any]:
    """Returns the parameters checked against the builder's signature, defaults filled in; raises ConfigError.

    Args:
        group: config group.
        name: option of the group.
        params: plain Python values, without `name`.
        path: where they stand in the config; the group's name if not given.
    """
    found = component(group, name)
    path = path or group
    check_keys(path, params, found.parameters, hint=f"See: python run.py task=list task.show={group}/{name}")
    checked = {}
    for key, parameter in found.parameters.items():
        if key in params:
            checked[key] = check(
                f"{path}.{key}", params[key], parameter.annotation, hint=f"({key}: {parameter.help})" if parameter.help else ""
            )
        elif parameter.default is inspect.Parameter.empty:
            raise ConfigError(f"{path}.{key}: missing; expected {describe(parameter.annotation)}. ({key}: {parameter.help})")
        else:
            checked[key] = parameter.default
    return checked


def build(group: str, name: str, params: Mapping[str, Any], *context: Any, path: str | None = None) -> Any:
    """Checks the parameters and returns what the builder makes of them and of the runner's `context`."""
    return component(group, name).builder(*context, **check_params(group, name, params, path))


def early_check(checks: Callable[..., Any]) -> Callable[[Builder], Builder]:
    """Gives a builder of a dataset or split, which are built only once the data is there, what can be checked before any work.

    Args:
        checks: called with the component's parameters as keywords; it raises a UserError if they cannot be used.
    """

    def decorate(builder: Builder) -> Builder:
        builder.early_check = checks  # type: ignore[attr-defined]
        return builder

    return decorate


def check_early(group: str, name: str, params: Mapping[str, Any]) -> None:
    """Checks the parameters, and what the component can say of them before any work; raises a UserError."""
    getattr(component(group, name).builder, "early_check", dict)(**check_params(group, name, params))


def options(group: str) -> dict[str, str]:
    """Returns {name: one line of help} of a group, sorted by name, without importing the components."""
    found = _builtin_help(group) | {name: item.help for (of_group, name), item in _components.items() if of_group == group}
    return dict(sorted(found.items()))


def plugin_components() -> list[Component]:
    """Returns the components that came from outside the package."""
    return [item for item in _components.values() if is_plugin(item)]


def is_plugin(item: Component) -> bool:
    """Tells whether a component came from outside the package."""
    return not item.builder.__module__.startswith(f"{PACKAGE}.")


def _describe_builder(group: str, name: str, builder: Callable[..., Any]) -> Component:
    doc = inspect.getdoc(builder) or ""
    if not doc:
        raise ConfigError(
            f"@register('{group}', '{name}') in {builder.__module__}: the function needs a docstring; its first line is the help."
        )
    helps = _argument_help(doc)
    parameters = {}
    for key, parameter in inspect.signature(builder).parameters.items():
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            continue
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
            raise ConfigError(
                f"@register('{group}', '{name}'): parameter '{key}' must be positional-only (handed by the runner, before '/')"
                " or keyword-only (a key of the YAML file, after '*')."
            )
        if parameter.annotation is inspect.Parameter.empty or isinstance(parameter.annotation, str):
            raise ConfigError(f"@register('{group}', '{name}'): parameter '{key}' needs a type annotation that is not a string.")
        parameters[key] = Parameter(parameter.annotation, parameter.default, helps.get(key, ""))
    return Component(group, name, builder, parameters, doc.splitlines()[0])


def _argument_help(doc: str) -> dict[str, str]:
    """Returns the entries of a Google-style Args section, each as one line."""
    helps: dict[str, str] = {}
    inside, current = False, ""
    for line in doc.splitlines():
        if line and not line.startswith(" "):
            inside = line.strip() == "Args:"
        elif inside and line.startswith("    ") and not line.startswith("     "):
            current, _, text = line.strip().partition(": ")
            helps[current] = text
        elif inside and current and line.strip():
            helps[current] += " " + line.strip()
    return helps


def _builtin_files(group: str) -> list[Path]:
    return sorted((COMPONENTS / group).glob("[!_]*.py"))


@cache
def _builtin_modules(group: str) -> dict[str, str]:
    """Returns {option: the module that registers it}, found by searching the sources: importing them might import TensorFlow."""
    decorator = re.compile(rf'^@register\("{group}", "(\w+)"\)$', re.MULTILINE)
    return {
        name: f"{PACKAGE}.{group}.{path.stem}"
        for path in _builtin_files(group)
        for name in decorator.findall(path.read_text(encoding="utf-8"))
    }


@cache
def _builtin_help(group: str) -> dict[str, str]:
    """Returns {option: the first docstring line of its function}, read from the sources as well."""
    helps: dict[str, str] = {}
    for path in _builtin_files(group):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                decorators = {ast.unparse(decorator) for decorator in node.decorator_list}
                help_line = (ast.get_docstring(node) or "").partition("\n")[0]
                helps |= {name: help_line for name in _builtin_modules(group) if f"register('{group}', '{name}')" in decorators}
    return helps
