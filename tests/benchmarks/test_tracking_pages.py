"""The pages that TensorBoard and MLflow make of what the loggers write, in a real browser; and the program that takes their pictures."""

import importlib.util
import time
from dataclasses import replace

import numpy as np
import pytest
from conftest import ROOT

from malaria_exp.config.registry import build
from malaria_exp.evaluation.plots.style import new_figure, png_bytes
from malaria_exp.tracking.logger_interface import Run

# All text of a page, that of its components' insides too.
TEXT = """
const walk = node => (node.shadowRoot ? walk(node.shadowRoot) : '') +
    [...node.childNodes].map(child => child.nodeType === 3 ? child.textContent : child.nodeType === 1 ? walk(child) : '').join(' ');
return walk(document.body)
"""
PICTURES = """
const walk = node => [...(node.shadowRoot ? walk(node.shadowRoot) : []), ...[...node.children].flatMap(walk),
    ...(node.tagName === 'IMG' && node.naturalWidth > 40 ? [node.naturalWidth] : [])];
return walk(document.body)
"""


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("tracking_pages", ROOT / "benchmarks" / "tracking_pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def driver(pages):
    try:
        with pages.browser() as opened:
            yield opened
    except RuntimeError as error:
        pytest.skip(f"no browser: {error}")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A folder of two runs as TensorBoard's and MLflow's loggers write them."""
    root = tmp_path_factory.mktemp("outputs")
    base = Run(root, "", None, "train", {"seed": 0, "model": {"name": "cellnet"}})
    for number, name in enumerate(("first", "second")):
        run = replace(base, folder=root / name, name=name)
        run.folder.mkdir()
        for logger in (build("logger", "tensorboard", {}), build("logger", "mlflow", {})):
            logger.start(run)
            logger.hparams({"model": "cellnet", "optimizer.learning_rate": 0.25 + number})
            for epoch in (1, 2):
                logger.scalars("epoch", epoch, {"epoch": epoch, "val_auc": 0.5 + 0.1 * epoch})
                logger.figure("val_roc", png_bytes(new_figure(leaky=False, size=(2, 1))), epoch)
                logger.scores("val", np.array([0, 1, 1]), np.array([0.1, 0.9, 0.4]), epoch)
            logger.results({"test/auc": 0.875 + number / 100})
            logger.finish("done", "")
    return root


def wait_for(driver, script, holds, seconds=40):
    """Returns what the script finds once it holds; else what it found last."""
    found = None
    for _ in range(seconds * 2):
        found = driver.execute_script(script)
        if holds(found):
            break
        time.sleep(0.5)
    return found


def open_page(driver, url):
    driver.get("about:blank")
    driver.set_window_size(1500, 1000)
    driver.get(url)


def test_tensorboard_shows_scalars_pictures_and_hparams(driver, pages, outputs):
    with pages.tensorboard_server(outputs) as url:
        open_page(driver, f"{url}#scalars")
        text = wait_for(driver, TEXT, lambda found: "first/tensorboard" in found and "epoch" in found)
        assert "first/tensorboard" in text
        assert "second/tensorboard" in text
        open_page(driver, f"{url}#images")
        assert wait_for(driver, PICTURES, bool)
        open_page(driver, f"{url}#hparams")
        shown = ("optimizer.learning_rate", "test/auc", "first", "second", "0.25", "1.25")
        text = wait_for(driver, TEXT, lambda found: all(part in found for part in shown))
        assert not [part for part in shown if part not in text]
        open_page(driver, f"{url}#pr_curves")
        assert "val_pr_curve" in wait_for(driver, TEXT, lambda found: "val_pr_curve" in found)


def test_mlflow_shows_the_runs(driver, pages, outputs):
    with pages.mlflow_server(outputs / "mlflow") as url:
        open_page(driver, f"{url}#/experiments/1/runs")
        text = wait_for(driver, TEXT, lambda found: "first" in found and "second" in found)
        assert "first" in text
        assert "second" in text


def test_a_picture_is_taken(driver, pages, tmp_path):
    (tmp_path / "page.html").write_text("<h1>cells</h1>")
    pages.take(driver, (tmp_path / "page.html").as_uri(), (600, 400), tmp_path / "page.png", wait=0.1)
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")


def test_a_server_that_does_not_start_says_why(pages):
    import sys

    with (
        pytest.raises(RuntimeError, match="no such store"),
        pages.server([sys.executable, "-c", "raise SystemExit('no such store')"], "", "http://127.0.0.1:9/"),
    ):
        pass
