"""What augmentation brings: trains cellnet with each one for three seeds, and writes docs/augmentation-study.md's table and plot.

    python benchmarks/augmentation_study.py cell_images.zip [--runs FOLDER] [--docs docs] [override ...]
    python benchmarks/augmentation_study.py --from FOLDER [--docs docs]      from runs that were made before

Runs the preset `experiment=augmentation_study`, and beside it repeat5 with a fifth of the epochs, which are five times as long, and
albumentations if it is installed; the commands are printed. It takes an hour on two cores. Each seed has its own patients, and all
augmentations of one seed are trained and tested on the same ones. So each is compared with no augmentation of the same seed: the table shows
the difference, with an interval of Student's t over the seeds, which is wide for three of them. A default may be chosen on the validation
patients alone; the test patients are shown for information.
"""

import argparse
import json
import math
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from malaria_exp.evaluation.plots.style import BLUE, GRAY, TEXT, VERMILLION, dress, new_figure, place_legend, save_png
from malaria_exp.utils.atomic_files import write_between

ROOT = Path(__file__).resolve().parent.parent
PRESET = "experiment=augmentation_study"
# Two-sided 95% quantiles of Student's t, by degrees of freedom.
STUDENT = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306, 9: 2.262}
NOTHING = "none"


def main() -> int:
    """Trains, and writes the table and the plot; returns 1 if a run did not end well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", help="the NIH zip, or 'synthetic' for synthetic cells")
    parser.add_argument("--runs", type=Path, help="where the multiruns go; a temporary folder if not given")
    parser.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="folder of multiruns made before; nothing is trained")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    asked, overrides = parser.parse_known_args()
    if bool(asked.archive) == bool(asked.source):
        parser.error("give a zip, or --from a folder of finished runs")
    runs = asked.source or train(asked, overrides)
    found, failed = read(runs)
    if NOTHING not in found:
        print(f"{runs}: no finished run without augmentation to compare with")
        return 1
    rows = compare(found)
    table = describe(rows)
    print(table)
    save_png(draw(rows), asked.docs / "images" / "augmentation_study.png")
    page = asked.docs / "augmentation-study.md"
    write_between(page, "study", table)
    print(f"wrote {page}; the runs are in {runs}")
    return failed


def train(asked: argparse.Namespace, overrides: list[str]) -> Path:
    """Runs the multiruns and returns the folder that holds them; a run that fails does not end the others."""
    data = [] if asked.archive == "synthetic" else ["dataset=nih", f"dataset.path={asked.archive}"]
    runs: Path = asked.runs or Path(tempfile.mkdtemp(prefix="malaria_exp_study_"))
    multiruns = {"preset": [], "repeat5": ["hydra.sweeper.params.aug='[repeat5]'", "trainer.epochs=2"]}
    if find_spec("albumentations"):
        multiruns["albumentations"] = ["hydra.sweeper.params.aug='[albumentations]'"]
    for name, more in multiruns.items():
        command = ["run.py", PRESET, *data, *more, *overrides, f"hydra.sweep.dir={runs / name}"]
        print(f"python {shlex.join(command)}", flush=True)
        subprocess.run([sys.executable, str(ROOT / command[0]), *command[1:]], check=False)
    return runs


def read(runs: Path) -> tuple[dict[str, dict[int, dict[str, float]]], int]:
    """Returns {augmentation: {seed: {"val": AUC, "test": AUC}}} of the finished runs, and 1 if any failed."""
    found: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)
    failed = 0
    for path in sorted(runs.rglob("status.json")):
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["status"] != "done":
            failed = 1
            print(f"{path.parent}: {status['status']}, excluded: {status.get('reason', '')}")
            continue
        given = dict(item.partition("=")[::2] for item in status["overrides"])
        metrics = json.loads((path.parent / "metrics.json").read_text(encoding="utf-8"))
        auc = {subset: metrics["subsets"][subset]["ranking"]["auc"]["value"] for subset in ("val", "test")}
        if None not in auc.values():
            found[re.sub(r"[\[\]\s]", "", given["aug"]).replace(",", " + ")][int(given["seed"])] = auc
    return dict(found), failed


def compare(found: dict[str, dict[int, dict[str, float]]]) -> list[dict[str, Any]]:
    """Returns a row for each augmentation, best on validation first: means, and differences to none over the seeds with intervals."""
    base, rows = found[NOTHING], []
    for name, by_seed in found.items():
        row: dict[str, Any] = {"name": name, "seeds": len(by_seed)}
        for subset in ("val", "test"):
            row[subset] = statistics.mean(auc[subset] for auc in by_seed.values())
            differences = [auc[subset] - base[seed][subset] for seed, auc in by_seed.items() if seed in base]
            row[f"{subset}_gain"] = statistics.mean(differences) if name != NOTHING and differences else None
            row[f"{subset}_half"] = half_interval(differences) if name != NOTHING else None
        rows.append(row)
    return sorted(rows, key=lambda row: -row["val"])


def half_interval(values: list[float]) -> float | None:
    """Returns half of the 95% interval of the mean by Student's t; None for a single value."""
    if len(values) - 1 not in STUDENT:
        return None
    return STUDENT[len(values) - 1] * statistics.stdev(values) / math.sqrt(len(values))


def describe(rows: list[dict[str, Any]]) -> str:
    """Returns the table in Markdown."""
    lines = ["| `aug=` | validation AUC | gain over none | test AUC | gain over none |", "|---|---|---|---|---|"]
    for row in rows:
        gains = [signed(row[f"{subset}_gain"], row[f"{subset}_half"]) for subset in ("val", "test")]
        name = f"[{row['name'].replace(' + ', ',')}]"
        lines.append(f"| `{name}` | {row['val']:.4f} | {gains[0]} | {row['test']:.4f} | {gains[1]} |")
    return "\n".join(lines)


def signed(gain: float | None, half: float | None) -> str:
    """Returns a difference with its interval."""
    if gain is None:
        return ""
    return f"{gain:+.4f}" + ("" if half is None else f" ({gain - half:+.4f} to {gain + half:+.4f})")


def draw(rows: list[dict[str, Any]]) -> Any:
    """Draws the gains with their intervals, best on validation first."""
    shown = [row for row in rows if row["val_gain"] is not None]
    figure = new_figure(leaky=False, size=(7.2, 1.4 + 0.36 * len(shown)))
    axes = figure.add_subplot()
    for subset, color, marker, shift in (("val", BLUE, "o", -0.14), ("test", VERMILLION, "D", 0.14)):
        at = [number + shift for number in range(len(shown))]
        gains = [100 * row[f"{subset}_gain"] for row in shown]
        halves = [100 * (row[f"{subset}_half"] or 0) for row in shown]
        name = {"val": "validation patients", "test": "test patients"}[subset]
        axes.errorbar(gains, at, xerr=halves, fmt=marker, color=color, markersize=5.5, linewidth=1.2, capsize=2.5, label=name)
    axes.axvline(0, color=GRAY, linewidth=1)
    dress(axes, "What augmentation brings (mean of the seeds, 95% interval)", "AUC minus that of no augmentation, in hundredths", "")
    axes.set_yticks(range(len(shown)), [row["name"] for row in shown])
    axes.tick_params(axis="y", labelsize=TEXT)
    axes.invert_yaxis()
    place_legend(axes, loc="best")
    return figure


if __name__ == "__main__":
    sys.exit(main())
