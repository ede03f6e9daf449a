"""The gallery of the site: the program's own pages, of tiny runs on synthetic cells that are made now.

    python docs/site/gallery.py FOLDER

Nothing of it is kept in the project. Pictures inside of the pages are made smaller, as WebP.
"""

import argparse
import base64
import http.client
import io
import json
import re
import shutil
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from malaria_exp.config.registry import build
from malaria_exp.main import compose_app

HERE = Path(__file__).parent
TINY = (
    "dataset.infected_patients=16",
    "dataset.healthy_patients=6",
    "dataset.cells_per_patient=20",
    "dataset.cell_size=80",
    "model.image_size=32",
    "model.stem=8",
    "model.widths=[16,32]",
    "batch_size=32",
    "trainer.precision=float32",
    "evaluation.resamples=20",
)
EPOCHS, EPOCHS_OF_A_TRIAL = 6, 2
SWEEP = """\
program: run.py
name: learning_rate
method: grid
metric: {name: epoch/val_auc, goal: maximize}
parameters:
  optimizer.learning_rate: {values: [0.001, 0.004]}
command: ["${env}", "${interpreter}", "-m", "malaria_exp", "${args_no_hyphens}"]
"""
# {page in the gallery: where a run has it}
PAGES = {
    "report.html": "first/report.html",
    "patients.html": "first/patients.html",
    "fields.html": "first/fields.html",
    "data_report.html": "explore/data_report.html",
    "compare.html": "compare/compare.html",
    "sweep.html": "sweep/report.html",
    "predictions.html": "predicted/report.html",
    "explanations.html": "explained/report.html",
    "model_card.html": "first/bundle/model_card.html",
}
CELLS = 12
QUALITY = 75


def main() -> None:
    """Makes the gallery in a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    make_gallery(parser.parse_args().folder)


def make_gallery(folder: Path) -> None:
    """Makes the runs in a temporary folder and writes their pages into this one."""
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary) / "outputs"
        cells = _write_cells(Path(temporary) / "cells")
        (Path(temporary) / "sweep.yaml").write_text(SWEEP, encoding="utf-8")
        _do("first", runs, *TINY, f"trainer.epochs={EPOCHS}")
        _do("second", runs, *TINY, f"trainer.epochs={EPOCHS}", "optimizer.learning_rate=0.0005")
        _do("explore", runs, *TINY, "task=explore", "task.samples=12", "task.others=false", "aug=[dihedral,stain,cutmix]")
        _do("compare", runs, "task=compare", f"runs=[{runs}/first,{runs}/second]")
        _do("sweep", runs, *TINY, f"trainer.epochs={EPOCHS_OF_A_TRIAL}", "task=sweep", f"file={temporary}/sweep.yaml")
        _do("predicted", runs, "task=predict", f"run={runs}/first", f"images={cells}", "task.pictures=4", "task.explain=2")
        few = ("task.errors=2", "task.doubtful=2", "task.random=2", "task.check=1", "task.point=4")
        _do("explained", runs, *TINY, "task=explain", f"run={runs}/first", *few)
        _do("exported", runs, "task=export", f"run={runs}/first", "task.cells=20")
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in PAGES.items():
            (folder / name).write_text(_shrink((runs / path).read_text(encoding="utf-8"), links=set(PAGES)), encoding="utf-8")
        _write_service(folder / "service", runs / "first" / "bundle", sorted(cells.iterdir()))


def _do(name: str, runs: Path, *overrides: str) -> None:
    """Runs a task in this process, as the command line does, in a folder of this name."""
    app = compose_app([*overrides, f"hydra.run.dir={runs / name}"])
    task = app.config.one("task")
    build("task", task.name, task.params, app)


def _write_cells(folder: Path) -> Path:
    """Writes synthetic cells of other patients as files, and one picture that is no cell."""
    table = build(
        "dataset", "synthetic", {"seed": 1, "infected_patients": 2, "healthy_patients": 1, "cells_per_patient": 12, "cell_size": 80}
    )
    folder.mkdir()
    rows = [*np.flatnonzero(table.label == 1)[: CELLS // 2], *np.flatnonzero(table.label == 0)[: CELLS // 2]]
    for number, row in enumerate(rows):
        Image.fromarray(table.source.read(row)).save(folder / f"cell{number:02}.png")
    Image.fromarray(np.tile(np.linspace(0, 255, 80, dtype=np.uint8)[:, None], (80, 1, 3)).reshape(80, 80, 3)).save(
        folder / "not_a_cell.png"
    )
    return folder


def _shrink(page: str, links: set[str]) -> str:
    """Returns a page whose pictures are WebP, and whose links to files of the runs, which are gone, are text."""

    def smaller(found: re.Match[str]) -> str:
        out = io.BytesIO()
        Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB").save(out, "WEBP", quality=QUALITY)
        return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"

    page = re.sub(r"data:image/png;base64,([A-Za-z0-9+/=]+)", smaller, page)
    return re.sub(
        r'<a href="([^"#]+)(?:#[^"]*)?">(.*?)</a>',
        lambda found: found[0] if found[1] in links or "://" in found[1] else found[2],
        page,
        flags=re.DOTALL,
    )


def _write_service(folder: Path, bundle: Path, images: list[Path]) -> None:
    """Writes the service's page with what a service has answered for these images."""
    from malaria_exp.deployment.open_model import open_model
    from malaria_exp.deployment.service.app import PAGE
    from malaria_exp.deployment.service.limits import Limits, Settings
    from malaria_exp.deployment.service.serve import listen, make_server
    from malaria_exp.evaluation.reports.templates import STYLE

    listener = listen("127.0.0.1", 0)
    server = make_server(open_model(bundle, threads=1), Settings(None, None, Limits()))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = listener.getsockname()[1]
    kept = {
        "model": json.loads(_ask(port, "/model")),
        "predict": json.loads(_ask(port, "/predict", images)),
        "images": {path.name: _data_url(path.read_bytes()) for path in images},
        "maps": {path.name: _data_url(_ask(port, "/explain", [path])) for path in images},
    }
    server.should_exit = True
    thread.join(10)
    (folder / "static").mkdir(parents=True)
    for path in (STYLE, *PAGE.glob("*.css"), *PAGE.glob("*.js")):
        shutil.copy(path, folder / "static")
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    (folder / "index.html").write_text(page.replace("</title>", '</title>\n<script src="kept_answers.js"></script>'), encoding="utf-8")
    shutil.copy(HERE / "kept_answers.js", folder)
    (folder / "answers.json").write_text(json.dumps(kept), encoding="utf-8")


def _ask(port: int, address: str, files: list[Path] | None = None) -> bytes:
    """Returns the body of the service's answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    if files is None:
        connection.request("GET", address)
    else:
        edge = uuid.uuid4().hex
        parts = [
            f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'.encode()
            + path.read_bytes()
            + b"\r\n"
            for path in files
        ]
        headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
        connection.request("POST", address, b"".join([*parts, f"--{edge}--\r\n".encode()]), headers)
    answer: Any = connection.getresponse()
    body: bytes = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{address}: {answer.status} {body[:200]!r}")
    return body


def _data_url(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


if __name__ == "__main__":
    main()
