"""How well every calibration, fitted on a run's validation patients, holds on its test patients: one table of finished runs.

    python benchmarks/calibration.py 'outputs/multirun-.../*'

Nothing is trained or scored: the scores of predictions.csv are taken back to the model's logits, and each option of the group `calibration`
is fitted anew. The last rows pool the test cells of all runs, as of the folds of a cross-validation.
"""

import argparse
import glob
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from malaria_exp.config.registry import build, options
from malaria_exp.evaluation.calibration import fit_calibration
from malaria_exp.evaluation.calibration_metrics import calibration_metrics
from malaria_exp.evaluation.logit_map import LogitMap
from malaria_exp.evaluation.predictions import sigmoid
from malaria_exp.runs.read_files import read_json, read_predictions
from malaria_exp.runs.saved_model import MODEL_RECORD, read_calibration

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="folders of finished runs, or patterns")
    folders = [Path(found) for pattern in parser.parse_args().runs for found in sorted(glob.glob(pattern))]  # noqa: PTH207 - of any root
    folders = [folder for folder in folders if (folder / "predictions.csv").is_file()]
    print("| run | calibration | slope on test | log loss | ECE |\n|---|---|---|---|---|")
    pooled: dict[str, list[Cells]] = {}
    for folder in folders:
        (logits, labels, _), test = (uncalibrated(folder, subset) for subset in ("val", "test"))
        for name in options("calibration"):
            found = fit_calibration(name, build("calibration", name, {}), logits, labels)
            pooled.setdefault(name, []).append((found.map(test[0]), *test[1:]))
            print(row(folder.name, f"{name} {found.note}".strip(), pooled[name][-1]))
    if len(folders) > 1:
        for name, cells in pooled.items():
            logits, labels, patients = (np.concatenate(columns) for columns in zip(*cells, strict=True))
            print(row(f"all {len(folders)}", name, (logits, labels, patients)))
    return 0


def uncalibrated(folder: Path, subset: str) -> Cells:
    """Returns the logits of the model before calibration, the labels and the patients of a run's subset."""
    cells = read_predictions(folder).select(subset)
    found = read_calibration(read_json(folder / MODEL_RECORD).get("calibration"), MODEL_RECORD).map
    back = LogitMap(found.calibrated, found.logits, 1 / found.slope)
    scores = np.clip(cells.score, 1e-15, 1 - 1e-15)
    return back(np.log(scores) - np.log1p(-scores)), cells.label, cells.patient


def row(run: str, name: str, cells: Cells) -> str:
    """Returns a row of the table, of calibrated logits, labels and patients."""
    logits, labels, patients = cells
    found = calibration_metrics(labels, sigmoid(logits), patients, confidence=0.95)
    slope = found["slope"]
    return f"| {run} | {name} | {slope['value']:.2f} ({slope['low']:.2f} to {slope['high']:.2f}) | {found['log_loss']:.4f} | {found['ece']:.4f} |"


if __name__ == "__main__":
    sys.exit(main())
