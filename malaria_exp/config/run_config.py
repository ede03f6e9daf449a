"""The typed configuration of a run, made from what Hydra composed and checked before any work starts.

conf/config.yaml holds the values and says what each is; this module holds the types. Component groups are kept as
choices, a name and its parameters, and are checked against the builders' signatures by the registry.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from malaria_exp.config.registry import GROUPS, Parameter, check_params, component
from malaria_exp.config.run_files import SaveFormat
from malaria_exp.config.suggestions import suggest_key
from malaria_exp.config.validation import Fraction, NonNegative, Pattern, Range, Suggest, check, check_dataclass, check_keys
from malaria_exp.utils.errors import ConfigError

Engine = Literal["local", "wandb"]
Resize = Literal["pad", "stretch"]
Views = Literal[1, 2, 4, 8]
ModelInput = Literal["prepared", "raw"]
BatchSize = Annotated[int, Range(low=1, high=1_000_000)]
# Keys that every option of a group has; conf/config.yaml sets them, and no builder is handed them.
COMMON_KEYS: dict[str, dict[str, Parameter]] = {
    "model": {
        "input": Parameter(
            ModelInput,
            "prepared",
            "what the saved model takes: prepared images, float32 (B, image_size, image_size, 3) in [0, 1]; or raw ones, uint8 (B, H, W, 3)"
            " of any size, which it resizes and scales itself as the run did.",
        )
    }
}


@dataclass(frozen=True)
class CacheConfig:
    """Where and how images are decoded once. See conf/config.yaml, `cache`."""

    root: Annotated[str, Pattern(r".*\S.*", "the path of a folder")]
    resize: Resize
    workers: Annotated[int, Range(low=0, high=1024)]
    resident_gb: NonNegative

    @property
    def path(self) -> Path:
        """The cache folder, `~` resolved."""
        return Path(self.root).expanduser()


@dataclass(frozen=True)
class EvaluationConfig:
    """How a run is judged. See conf/config.yaml, `evaluation`."""

    test: bool
    resamples: Annotated[int, Range(low=10, high=100_000)]
    confidence: Fraction
    batch_size: BatchSize
    worst: Annotated[int, Range(low=0, high=1000)]
    views: Views
    subgroups: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Choice:
    """One chosen component: `path` is where its parameters stand in the config."""

    group: str
    name: str
    params: dict[str, Any]
    path: str


@dataclass(frozen=True)
class Config:
    """Everything a run is made from."""

    seed: Annotated[int, Range(low=0, below=2**32)]
    batch_size: BatchSize
    run: str | None
    images: str | list[str] | None
    runs: list[str] | str
    file: str | None
    engine: Engine
    override_sets: str | None
    resume: bool
    init_from: str | None
    save_as: list[SaveFormat]
    limit_cells: Annotated[int, Range(low=2)] | None
    allow_leak: bool
    plugins: list[str]
    cache: CacheConfig
    evaluation: EvaluationConfig
    model_input: ModelInput = "prepared"
    choices: dict[str, list[Choice]] = field(default_factory=dict)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Config":
        """Checks plain values (no OmegaConf containers) against the schema; a wrong one is a ConfigError."""
        keys = {item.name for item in dataclasses.fields(cls)} - NOT_KEYS
        check_keys("", values, {*keys, *GROUPS}, suggest=lambda key, allowed: suggest_key(key, allowed, values))
        settings = {key: value for key, value in values.items() if key not in GROUPS}
        for key in keys - set(settings):
            raise ConfigError(f"{key}: missing from the configuration; conf/config.yaml sets it.")
        checked = check_dataclass("", settings, _Settings)
        choices = {group: _read_choices(group, values.get(group)) for group in GROUPS}
        model_input = choices["model"][0].params.pop("input", COMMON_KEYS["model"]["input"].default)
        check("model.input", model_input, ModelInput, hint=f"(input: {COMMON_KEYS['model']['input'].help})")
        return cls(**{key: getattr(checked, key) for key in keys}, model_input=model_input, choices=choices)

    def __repr__(self) -> str:
        chosen = {group: "+".join(choice.name for choice in choices) or "none" for group, choices in self.choices.items()}
        return f"Config({', '.join(f'{group}={names}' for group, names in chosen.items())}, seed={self.seed})"

    def one(self, group: str) -> Choice:
        """Returns the choice of a group that holds one component."""
        return self.choices[group][0]

    def check_components(self, groups: tuple[str, ...] = tuple(GROUPS)) -> None:
        """Checks every chosen component's name and parameters against its builder; raises ConfigError."""
        for group in groups:
            for choice in self.choices[group]:
                own = component(group, choice.name).parameters
                allowed = {**own, **COMMON_KEYS.get(group, {})}
                hint = f"See: python run.py task=list task.show={group}/{choice.name}"
                for key in choice.params.keys() - allowed.keys():
                    # Hydra itself refuses such a key on the command line, so a preset for other options is where most come from.
                    hint += f" If a preset (experiment=..., debug=...) sets it: ~{choice.path}.{key} takes it out."
                check_keys(choice.path, choice.params, allowed, hint=hint, suggest=_suggest(choice.path))
                for key in set(own) & set(COMMON_KEYS.get(group, {})):
                    raise ConfigError(
                        f"{choice.path}.{key}: every {group} has a key of this name; give '{choice.name}' another name for its own."
                    )
                check_params(group, choice.name, choice.params, choice.path)


# What is read from the groups' sections.
NOT_KEYS = {"model_input", "choices"}
_Settings = dataclasses.make_dataclass(
    "_Settings", [(item.name, item.type) for item in dataclasses.fields(Config) if item.name not in NOT_KEYS], frozen=True
)


def _suggest(path: str) -> Suggest:
    return lambda key, allowed: suggest_key(f"{path}.{key}", allowed, {})


def _read_choices(group: str, node: Any) -> list[Choice]:
    if GROUPS[group].many:
        if node is None and GROUPS[group].may_be_empty:
            return []
        if not isinstance(node, Mapping):
            raise ConfigError(
                f"{group}: expected options of the group, received {node!r}. Choose with {group}=name or {group}=[first,second]."
            )
        choices = []
        for name, params in node.items():
            component(group, name)
            if params is not None and not isinstance(params, Mapping):
                raise ConfigError(f"{group}.{name}: expected the option's parameters, received {params!r}.")
            choices.append(Choice(group, name, dict(params or {}), f"{group}.{name}"))
        return choices
    if not isinstance(node, Mapping) or not isinstance(node.get("name"), str):
        raise ConfigError(
            f"{group}: expected an option of the group (a section with `name:`), received {node!r}. Choose with {group}=name."
        )
    component(group, node["name"])
    return [Choice(group, node["name"], {key: value for key, value in node.items() if key != "name"}, group)]
