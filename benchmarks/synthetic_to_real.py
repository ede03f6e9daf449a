"""What synthetic cells are worth on real ones: the tables of docs/synthetic-worth.md.

    python benchmarks/synthetic_to_real.py cell_images.zip [alone] [few]

alone   the default model trained on synthetic cells alone, scored on every real cell; four sets of synthetic patients and seeds.
few     a few real patients alone against the same patients plus synthetic cells, tested on all other real patients; three choices of 3 and of
        8 patients. One of 3 and two of 8 validate, that is, choose the best epoch, on both sides; synthetic cells only train. Both sides
        train for the same number of steps, so that the small set is not judged by a short training.

The simulator was fitted to real patients with odd patient numbers. The few patients are such patients; everyone else is tested. The columns
"even numbers" count only the others, to whom nothing was fitted.

Everything is written under outputs/synthetic_to_real/; what is there already is only read. Prints the machine and the tables; both
together take about forty minutes on two cores.
"""

import csv
import json
import statistics
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from malaria_exp.components.dataset.nih import nih
from malaria_exp.components.dataset.synthetic import synthetic
from malaria_exp.data.cell_table import CellTable
from malaria_exp.evaluation.intervals.clustered import ClusteredIntervals
from malaria_exp.utils.machine import machine

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("outputs") / "synthetic_to_real"
SEEDS = 4
SYNTHETIC_ALONE = {"infected_patients": 120, "healthy_patients": 30}
SYNTHETIC_BESIDE = {"infected_patients": 45, "healthy_patients": 10, "seed": 100}
CHOICES = 3
VALIDATING = {3: 1, 8: 2}  # of so many real patients
EPOCHS, BATCH = 10, 128
FEWEST = 15  # parasitized cells of a patient who may be one of the few
CLASS_FOLDERS = ("Uninfected", "Parasitized")


def main() -> int:
    """Runs what is missing and prints the tables."""
    parts = {"alone": alone, "few": few}
    chosen = sys.argv[2:] or list(parts)
    if len(sys.argv) < 2 or not set(chosen) <= set(parts):
        print(__doc__)
        return 2
    path = Path(sys.argv[1])
    print(machine())
    for name in chosen:
        parts[name](path)
    return 0


def alone(path: Path) -> None:
    """Trains on synthetic cells, scores the real ones, and prints a row a seed."""
    lines, values = [], []
    for seed in range(SEEDS):
        simulated = [*(f"dataset.{key}={value}" for key, value in SYNTHETIC_ALONE.items()), f"dataset.seed={seed}"]
        trained = run(f"alone-{seed}", ["experiment=plain_cellnet", *simulated, f"seed={seed}", f"split.seed={seed}"])
        scored = run(f"alone-{seed}-scored", ["task=evaluate", f"run={trained.folder}", "dataset=nih", f"dataset.path={path}"])
        values.append((scored.auc("external"), scored.auc("external", even=True)))
        cells = [show(trained.auc("test")), *(show(value) for value in values[-1])]
        lines.append(f"| {seed} | " + " | ".join([*cells, *(f"{value:.3f}" for value in scored.rates("external"))]) + " |")
    print(
        "\n| seed | AUC, synthetic test patients | AUC, all real | AUC, real, even numbers | sensitivity | specificity |\n|---|---|---|---|---|---|"
    )
    print("\n".join(lines))
    print(f"mean AUC {mean(value[0] for value, _ in values)} on all real patients, {mean(value[0] for _, value in values)} on even numbers")


def few(path: Path) -> None:
    """Trains on few real patients with and without synthetic cells beside them, and prints a row a choice of patients."""
    table = nih(path=str(path))
    simulated = synthetic(**SYNTHETIC_BESIDE)  # type: ignore[arg-type]
    both = merge(path, table, simulated)
    real, strangers = np.unique(table.patient), np.unique(simulated.patient)
    parasitized = {patient: int(table.label[table.patient == patient].sum()) for patient in real.tolist()}
    eligible = [patient for patient, count in parasitized.items() if count >= FEWEST and not is_even(patient)]
    print(
        "\n| real patients | choice | AUC, they alone | AUC, with synthetic cells | even, alone | even, with synthetic cells |\n|---|---|---|---|---|---|"
    )
    for count, validating in VALIDATING.items():
        rows = []
        for choice in range(CHOICES):
            picked = np.random.default_rng([count, choice]).choice(eligible, count, replace=False).tolist()
            train = int(np.isin(table.patient, picked[validating:]).sum())
            # Whole batches in an epoch, as the framework counts them; a set smaller than a batch is one.
            steps = EPOCHS * ((train + len(simulated)) // BATCH)
            epochs = {"alone": round(steps / max(1, train // BATCH)), "synthetic": EPOCHS}
            found = {}
            for side in ("alone", "synthetic"):
                subset = dict.fromkeys(real.tolist(), "test") | dict.fromkeys(
                    strangers.tolist(), "train" if side == "synthetic" else "excluded"
                )
                subset |= dict.fromkeys(picked[:validating], "val") | dict.fromkeys(picked[validating:], "train")
                manifest = write_split(FOLDER / f"few-{count}-{choice}-{side}.csv", subset)
                data = ["dataset=nih", f"dataset.path={both}", "split=by_manifest", f"split.path={manifest}", "evaluation.resamples=100"]
                found[side] = run(
                    f"few-{count}-{choice}-{side}", ["experiment=plain_cellnet", *data, f"seed={choice}", f"trainer.epochs={epochs[side]}"]
                )
            row = [found[side].auc("test", even=even)[0] for even in (False, True) for side in ("alone", "synthetic")]
            rows.append(row)
            print(f"| {count} | {', '.join(picked)} | " + " | ".join(f"{value:.3f}" for value in row) + " |", flush=True)
        print(f"| {count} | mean | " + " | ".join(mean(column) for column in zip(*rows, strict=True)) + " |", flush=True)


@dataclass(frozen=True)
class Run:
    """A finished run's folder."""

    folder: Path

    def auc(self, subset: str, *, even: bool = False) -> tuple[float, float, float]:
        """Returns AUC and its interval over patients, of all of a subset's patients or of those with even numbers."""
        if not even:
            value = self._subset(subset)["ranking"]["auc"]
        else:
            with (self.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
                rows = [row for row in csv.DictReader(file) if row["subset"] == subset and is_even(row["patient"])]
            columns = (np.array([row[name] for row in rows]) for name in ("label", "score", "patient"))
            labels, scores, patients = columns
            value = ClusteredIntervals()(labels.astype(int), scores.astype(float), patients, {})["ranking"]["auc"]
        return value["value"], value["low"], value["high"]

    def rates(self, subset: str) -> list[float]:
        """Returns sensitivity and specificity at threshold .5."""
        return [self._subset(subset)["at"]["fixed"][name]["value"] for name in ("sensitivity", "specificity")]

    def _subset(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))["subsets"][name]


def run(name: str, overrides: list[str]) -> Run:
    """Runs run.py into outputs/synthetic_to_real/<name>, unless a finished run is there."""
    folder = FOLDER / name
    status = folder / "status.json"
    if not status.is_file() or json.loads(status.read_text(encoding="utf-8"))["status"] != "done":
        print("python run.py " + " ".join(overrides), file=sys.stderr, flush=True)
        subprocess.run([sys.executable, str(ROOT / "run.py"), *overrides, f"hydra.run.dir={folder}"], check=True, stdout=subprocess.DEVNULL)
    return Run(folder)


def is_even(patient: str) -> bool:
    """Tells whether a patient's number is even; to such patients the simulator was not fitted."""
    return int(patient[1:]) % 2 == 0


def merge(path: Path, table: CellTable, simulated: CellTable) -> Path:
    """Writes the real cells' files and the synthetic cells into one zip of the official layout, and returns it."""
    target = FOLDER / "real_and_synthetic.zip"
    if target.is_file():
        return target
    FOLDER.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    wanted = set(table.cell_id.tolist())
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(partial, "w") as archive:
        for entry in source.namelist():
            name = PurePosixPath(entry)
            if name.suffix == ".png" and name.stem in wanted:
                wanted.discard(name.stem)  # some copies hold everything twice
                archive.writestr(f"cell_images/{name.parent.name}/{name.name}", source.read(entry))
        for row, cell_id in enumerate(simulated.cell_id.tolist()):
            with archive.open(f"cell_images/{CLASS_FOLDERS[int(simulated.label[row])]}/{cell_id}.png", "w") as file:
                Image.fromarray(simulated.source.read(row)).save(file, "PNG", compress_level=1)
    partial.replace(target)
    return target


def write_split(path: Path, subset: dict[str, str]) -> Path:
    """Writes the subset of each patient as a CSV."""
    path.write_text("patient,subset\n" + "".join(f"{patient},{name}\n" for patient, name in subset.items()), encoding="utf-8")
    return path


def mean(values: Iterator[float] | tuple[float, ...]) -> str:
    """Returns "mean (smallest to largest)"."""
    found = list(values)
    return f"{statistics.mean(found):.3f} ({min(found):.3f} to {max(found):.3f})"


def show(value: tuple[float, float, float]) -> str:
    """Returns "value (low to high)"."""
    return f"{value[0]:.3f} ({value[1]:.3f} to {value[2]:.3f})"


if __name__ == "__main__":
    sys.exit(main())
