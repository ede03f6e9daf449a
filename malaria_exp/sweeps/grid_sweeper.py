"""What Hydra calls for -m: makes the jobs of a multirun, runs those that are not done yet, and lets no job's death stop the others."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, open_dict

from malaria_exp.config import plugins
from malaria_exp.config.app import CONF
from malaria_exp.config.composition_errors import explain, from_composing
from malaria_exp.config.validation import Range, check
from malaria_exp.runs.run_folder import STATUS
from malaria_exp.sweeps import multirun_summary
from malaria_exp.sweeps.multirun_record import (
    Record,
    changed_jobs,
    covering,
    earlier_multirun,
    mark_dead,
    mark_interrupted,
    move_aside,
    read_record,
    unfinished,
)
from malaria_exp.sweeps.override_file import read_override_sets
from malaria_exp.utils.atomic_files import write_text
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.redaction import redact_yaml
from malaria_exp.utils.terminal_log import log

OWN_KEYS = ("override_sets", "resume")
# Up to so many jobs are all composed before the first is run; of more, so many that every override is among them at least once.
MOST_COMPOSED = 100


class GridSweeper(BasicSweeper):
    """Hydra's own sweeper with pairs, with resume, and with launchers that may lose workers.

    Args:
        max_batch_size: jobs handed to the launcher at once; None for all.
        params: values to combine, beside those on the command line.
    """

    def __init__(self, max_batch_size: int | None = None, params: Any = None) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the jobs and returns nothing: what became of them stands in their folders."""
        own, others = _split(arguments)
        jobs = self._jobs(others, own.get("override_sets"))
        named = any(item.startswith("hydra.sweep.dir=") for item in self.config.hydra.overrides.hydra)
        folder = Path(str(self.config.hydra.sweep.dir))
        record = Record.of(jobs)
        if own.get("resume"):
            folder = earlier_multirun(folder, record, named=named)
            with open_dict(self.config):
                self.config.hydra.sweep.dir = str(folder)
        elif read_record(folder) is not None:
            raise ConfigError(f"hydra.sweep.dir: '{folder}' holds a multirun already. The same command with resume=true goes on with it.")
        numbered = dict(enumerate(jobs))
        if not own.get("resume"):
            _refuse_taken(folder, numbered)
        self._check_launcher()
        multirun_summary.remember(folder)
        left = unfinished(folder, record) if own.get("resume") else list(numbered)
        self._check(numbered, [number for number in numbered if number not in left], folder, own.get("override_sets"))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            record.write(folder)
            write_text(folder / "multirun.yaml", redact_yaml(OmegaConf.to_yaml(self.config)))
        except OSError as error:
            raise RunFolderError(
                f"The folder '{folder}' cannot be made or written: {error.strerror or error}. Choose another with hydra.sweep.dir=..."
            ) from None
        if own.get("resume"):
            log.info(f"multirun  {len(jobs) - len(left)} of {len(jobs)} jobs in {folder} are done; {len(left)} to do")
        for number in left:
            move_aside(folder, number)
        batch = self.max_batch_size or max(len(left), 1)
        for start in range(0, len(left), batch):
            try:
                self._launch(folder, numbered, left[start : start + batch])
            except KeyboardInterrupt:
                mark_interrupted(folder, left)
                raise
        return []

    def _jobs(self, arguments: list[str], pairs: str | None) -> list[list[str]]:
        """Returns each job's overrides: the product of the values given, each with each entry of the file of pairs."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        # Hydra writes those that all jobs share anew, with a backslash before each brace of an interpolation.
        typed_as = {
            f"{one.get_key_element()}={one.get_value_element_as_str()}": one.input_line for one in overrides if not one.is_sweep_override()
        }
        combined = [[typed_as.get(item, item) for item in job] for batch in self.split_arguments(overrides, None) for job in batch]
        if pairs is None:
            return combined
        entries = read_override_sets(Path(pairs).expanduser())
        typed = {override.get_key_element().lstrip("+~") for override in overrides}
        for entry in entries:
            for override in entry:
                key = override.partition("=")[0].lstrip("+~")
                if key in typed:
                    raise ConfigError(f"{key}: stands in '{pairs}' and on the command line. Leave one of them out.")
        return [[*job, *entry] for entry in entries for job in combined]

    def _check_launcher(self) -> None:
        """Refuses a number of jobs at a time that joblib would refuse in the middle of the multirun."""
        jobs = self.config.hydra.launcher.get("n_jobs", 1)
        check("hydra.launcher.n_jobs", jobs, Annotated[int, Range(low=-1)], hint="(n_jobs: jobs at a time; -1 for one a core.)")
        if jobs == 0:
            raise ConfigError("hydra.launcher.n_jobs: expected a whole number >= 1, or -1 for one a core; received 0.")

    def _check(self, jobs: dict[int, list[str]], done: Sequence[int], folder: Path, pairs: str | None) -> None:
        """Composes jobs before the first is run; of those that are done, says which would be composed otherwise today."""
        finished = set(done)
        for number in (number for number in jobs if number not in finished):
            # Options of the user's own modules have to be known.
            plugins.load(jobs[number])
        looked_at = covering(jobs, MOST_COMPOSED)
        composed = {}
        for number in looked_at:
            try:
                composed[number] = self.hydra_context.config_loader.load_sweep_config(self.config, jobs[number])
            except Exception as error:
                if pairs is None or not from_composing(error):
                    raise
                # The command line, of which the message would speak otherwise, does not show what the file says.
                raise ConfigError(f"override_sets: '{pairs}', job {number}: {explain(error, jobs[number], CONF)}") from None
        if changed := changed_jobs(folder, {number: _own(composed[number]) for number in looked_at if number in finished}):
            shown = ", ".join(map(str, changed[:10]))
            more = " ..." if len(changed) > 10 or len(looked_at) < len(jobs) else ""
            log.warning(
                f"multirun  the configuration was edited since: job{'s' if len(changed) > 1 else ''} {shown}{more} ran with other values"
                " than the jobs to come"
            )

    def _launch(self, folder: Path, jobs: dict[int, list[str]], numbers: list[int]) -> None:
        """Hands jobs to the launcher. If workers die under it, those that were running are run once more, each alone."""
        try:
            self._hand_over(folder, jobs, numbers)
        except Exception as error:
            waiting = [number for number in numbers if not (folder / str(number) / STATUS).exists()]
            suspects = mark_dead(folder, numbers)
            if not suspects:
                raise
            reason = " ".join(str(error).split())[:200]
            log.warning(
                f"multirun  workers died ({type(error).__name__}: {reason}); jobs {', '.join(map(str, suspects))} are run once more, alone"
            )
            for number in suspects:
                move_aside(folder, number)
                try:
                    self._hand_over(folder, jobs, [number])
                except Exception as again:  # noqa: BLE001 - whatever the launcher calls a dead worker
                    log.warning(f"multirun  job {number} died again: {' '.join(str(again).split())[:200]}")
                mark_dead(folder, [number])
            if waiting:
                self._launch(folder, jobs, waiting)
        mark_dead(folder, numbers)

    def _hand_over(self, folder: Path, jobs: dict[int, list[str]], numbers: list[int]) -> None:
        # Each job's configuration is composed anew, with another name for the multirun's folder if it goes on with an earlier one, and
        # on another machine perhaps with another environment and working folder. The job's folder has its number, also where jobs
        # before it are done.
        place = f"hydra.sweep.dir={_quoted(str(folder.absolute()))}"
        if numbers:
            self.launcher.launch([[*jobs[number], place, f"hydra.sweep.subdir={number}"] for number in numbers], initial_job_idx=numbers[0])


def _refuse_taken(folder: Path, numbers: Iterable[int]) -> None:
    """Raises a RunFolderError if a job's folder holds something that is not this multirun's."""
    for path in (folder / str(number) for number in numbers):
        if path.is_dir() and any(path.iterdir()):
            raise RunFolderError(
                f"hydra.sweep.dir: '{path}' already holds files; a multirun never writes over another's jobs. Choose a new folder."
            )


def _split(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Returns the values of the keys that speak of the multirun itself, and the other arguments."""
    own: dict[str, Any] = {}
    others = []
    for argument in arguments:
        key = argument.partition("=")[0]
        if key not in OWN_KEYS:
            others.append(argument)
            continue
        override = OverridesParser.create().parse_override(argument)
        if override.is_sweep_override():
            raise ConfigError(f"{key}: one for the whole multirun, received {argument}.")
        own[key] = override.value()
    if not isinstance(own.get("resume", False), bool):
        raise ConfigError(f"resume: expected true or false, received {own['resume']!r}.")
    pairs = own.get("override_sets")
    if pairs is not None and not isinstance(pairs, str):
        own["override_sets"] = str(getattr(pairs, "text", pairs))
    return own, others


def _quoted(text: str) -> str:
    """Returns text as Hydra's grammar quotes it; backslashes count only before a quote."""
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"


def _own(composed: DictConfig) -> dict[str, Any]:
    """Returns the run's part of a composed configuration as plain values."""
    keys = [str(key) for key in composed if key != "hydra"]
    plain = OmegaConf.to_container(OmegaConf.masked_copy(composed, keys), resolve=True)
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}
