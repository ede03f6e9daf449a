"""What Hydra calls for -m: makes the jobs of a multirun, runs those that are not done yet, and lets no job's death stop the others."""

from collections.abc import Sequence
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
from malaria_exp.sweeps.job_status import begin_again, mark_dead, mark_interrupted, unfinished
from malaria_exp.sweeps.multirun_record import Record, changed_jobs, covering, find_multirun, read_record
from malaria_exp.sweeps.override_sets import split_arguments, with_override_sets
from malaria_exp.sweeps.sealed_jobs import KEY, SEAL, sealed, sealed_as
from malaria_exp.sweeps.search.arguments import to_overrides
from malaria_exp.utils.atomic_files import write_text
from malaria_exp.utils.errors import ConfigError, RunFolderError
from malaria_exp.utils.redaction import redact_overrides, redact_yaml
from malaria_exp.utils.terminal_log import log

# Up to so many jobs are all composed before the first is run; of more, enough for every override to be among them.
MOST_COMPOSED = 100


class GridSweeper(BasicSweeper):
    """Hydra's own sweeper with override sets, with resume, and with launchers that may lose workers.

    Args:
        max_batch_size: jobs handed to the launcher at once; None for all.
        params: values to combine, beside those on the command line.
    """

    def __init__(self, max_batch_size: int | None = None, params: Any = None) -> None:
        super().__init__(max_batch_size=max_batch_size, params=params)

    def sweep(self, arguments: list[str]) -> Any:
        """Runs the jobs and returns nothing: what became of them stands in their folders."""
        override_sets, resume, others = split_arguments(arguments)
        jobs = self._jobs(others, override_sets)
        if not jobs:
            raise ConfigError(
                f"--multirun: there is no value to run, received {' '.join(redact_overrides(others))}. A range(a,b) ends before b, so a must be smaller."
            )
        if any(item.startswith("hydra.sweep.subdir=") for item in self.config.hydra.overrides.hydra):
            raise ConfigError("hydra.sweep.subdir: a job's folder is always its number. Name the multirun's folder: hydra.sweep.dir=...")
        record = Record.of(jobs)
        folder = self._folder(record, len(jobs), resume=resume)
        self._check_launcher()
        multirun_summary.remember(folder)
        begun = read_record(folder) if resume else None
        jobs = sealed_as(jobs, begun.jobs) if begun else sealed(jobs)
        if any(job[-1:] == [SEAL] for job in jobs):
            log.info(
                f"multirun  the jobs choose among settings, so their test subsets stay sealed ({SEAL}). task=evaluate run=... opens that of the"
                f" chosen one; {KEY}=true opens all"
            )
        left = unfinished(folder, len(jobs)) if resume else list(range(len(jobs)))
        self._check(jobs, set(range(len(jobs))) - set(left), folder, override_sets)
        self._write_record(folder, record.with_jobs(jobs))
        if resume:
            log.info(f"multirun  {len(jobs) - len(left)} of {len(jobs)} jobs in {folder} are done; {len(left)} to do")
        for number in left:
            begin_again(folder, number)
        batch = self.max_batch_size or max(len(left), 1)
        for start in range(0, len(left), batch):
            try:
                self._launch(folder, jobs, left[start : start + batch])
            except KeyboardInterrupt:
                mark_interrupted(folder, left)
                raise
        return []

    def _jobs(self, arguments: list[str], override_sets: str | None) -> list[list[str]]:
        """Returns each job's overrides: the product of the values given, each with each override set."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        # Hydra rewrites the overrides that all jobs share, with a backslash before each brace of an interpolation.
        typed_as = {
            f"{one.get_key_element()}={one.get_value_element_as_str()}": one.input_line for one in overrides if not one.is_sweep_override()
        }
        jobs = [[typed_as.get(item, item) for item in job] for batch in self.split_arguments(overrides, None) for job in batch]
        if override_sets is None:
            return jobs
        return with_override_sets(jobs, override_sets, {one.get_key_element().lstrip("+~") for one in overrides})

    def _folder(self, record: Record, jobs: int, *, resume: bool) -> Path:
        """Returns the multirun's folder: that of the multirun that goes on, or a new one, where no job's folder is taken."""
        folder = Path(str(self.config.hydra.sweep.dir))
        if resume:
            named = any(item.startswith("hydra.sweep.dir=") for item in self.config.hydra.overrides.hydra)
            folder = find_multirun(folder, record, named=named)
            with open_dict(self.config):
                self.config.hydra.sweep.dir = str(folder)
            return folder
        if read_record(folder) is not None:
            raise ConfigError(f"hydra.sweep.dir: '{folder}' holds a multirun already. The same command with resume=true goes on with it.")
        for path in (folder / str(number) for number in range(jobs)):
            if path.is_dir() and any(path.iterdir()):
                raise RunFolderError(
                    f"hydra.sweep.dir: '{path}' already holds files; a multirun never writes over another's jobs. Choose a new folder."
                )
        return folder

    def _check_launcher(self) -> None:
        """Refuses a number of jobs at a time that joblib would refuse in the middle of the multirun."""
        jobs = self.config.hydra.launcher.get("n_jobs", 1)
        check("hydra.launcher.n_jobs", jobs, Annotated[int, Range(low=-1)], hint="(n_jobs: jobs at a time; -1 for one a core.)")
        if jobs == 0:
            raise ConfigError("hydra.launcher.n_jobs: expected a whole number >= 1, or -1 for one a core; received 0.")

    def _check(self, jobs: Sequence[list[str]], done: set[int], folder: Path, override_sets: str | None) -> None:
        """Composes jobs before the first is run; warns if those that are done would be composed differently today."""
        for number, overrides in enumerate(jobs):
            if number not in done:
                # Options of the user's own modules have to be known.
                plugins.load(overrides)
        composed: dict[int, DictConfig] = {}
        for number in covering(dict(enumerate(jobs)), MOST_COMPOSED):
            try:
                composed[number] = self.hydra_context.config_loader.load_sweep_config(self.config, jobs[number])
            except Exception as error:
                if override_sets is None or not from_composing(error):
                    raise
                # The message would speak of the command line, which does not show what the file says.
                raise ConfigError(f"override_sets: '{override_sets}', job {number}: {explain(error, jobs[number], CONF)}") from None
        if changed := changed_jobs(folder, {number: _run_config(composed[number]) for number in composed if number in done}):
            shown = ", ".join(map(str, changed[:10]))
            more = " ..." if len(changed) > 10 or len(composed) < len(jobs) else ""
            log.warning(
                f"multirun  the configuration was edited since: job{'s' if len(changed) > 1 else ''} {shown}{more} ran with other values"
                " than the jobs to come"
            )

    def _write_record(self, folder: Path, record: Record) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            record.write(folder)
            write_text(folder / "multirun.yaml", redact_yaml(OmegaConf.to_yaml(self.config)))
        except OSError as error:
            raise RunFolderError(
                f"The folder '{folder}' cannot be made or written: {error.strerror or error}. Choose another with hydra.sweep.dir=..."
            ) from None

    def _launch(self, folder: Path, jobs: Sequence[list[str]], numbers: list[int]) -> None:
        """Hands jobs to the launcher. If workers die under it, the jobs that were running are run once more, each alone."""
        try:
            self._hand_over(folder, jobs, numbers)
        except Exception as error:
            waiting = [number for number in numbers if not (folder / str(number) / STATUS).exists()]
            suspects = mark_dead(folder, numbers)
            if not suspects:
                raise
            log.warning(
                f"multirun  workers died ({type(error).__name__}: {_short(error)}); jobs {', '.join(map(str, suspects))} are run once more, alone"
            )
            for number in suspects:
                begin_again(folder, number)
                try:
                    self._hand_over(folder, jobs, [number])
                except Exception as again:  # noqa: BLE001 - whatever the launcher calls a dead worker
                    log.warning(f"multirun  job {number} died again: {_short(again)}")
                mark_dead(folder, [number])
            if waiting:
                self._launch(folder, jobs, waiting)
        mark_dead(folder, numbers)

    def _hand_over(self, folder: Path, jobs: Sequence[list[str]], numbers: list[int]) -> None:
        # The launcher composes each job anew, perhaps on another machine and in another working folder; and with resume=true the default
        # name of the multirun's folder would be a new one. A job's folder has the job's number, also where jobs before it are done.
        shared = to_overrides({"hydra.sweep.dir": str(folder.absolute())})
        if overrides := [[*jobs[number], *shared, f"hydra.sweep.subdir={number}"] for number in numbers]:
            self.launcher.launch(overrides, initial_job_idx=numbers[0])


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _run_config(composed: DictConfig) -> dict[str, Any]:
    """Returns a composed configuration without Hydra's part, as plain values."""
    keys = [str(key) for key in composed if key != "hydra"]
    plain = OmegaConf.to_container(OmegaConf.masked_copy(composed, keys), resolve=True)
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}
