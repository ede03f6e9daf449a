"""What a task is handed, and where the program's own files are."""

from dataclasses import dataclass
from pathlib import Path

from malaria_exp.config.run_config import Config

PACKAGE = Path(__file__).resolve().parent.parent
# conf/ and sweeps/ stand beside the package in a clone, and inside of it where the package was installed from a wheel.
HOME = PACKAGE if (PACKAGE / "conf").is_dir() else PACKAGE.parent
CONF = HOME / "conf"


@dataclass(frozen=True)
class App:
    """What a task is handed.

    Attributes:
        config: the checked configuration.
        config_text: the composed configuration as YAML, as it is saved.
        overrides: what the user typed.
        output_dir: the folder Hydra chose for this job.
    """

    config: Config
    config_text: str
    overrides: list[str]
    output_dir: Path
