"""Pictures of the pages that tracking tools show of runs, taken in headless Chromium: docs/images/tracking/*.png.

A page that does not show what it should ends the program with what is missing.

    python benchmarks/tracking_pages.py FOLDER [--docs docs] [--tool tensorboard,mlflow]

FOLDER is the folder of runs, such as outputs; TensorBoard serves all below it, MLflow its mlflow/mlflow.db. Takes the package selenium,
Chromium and its driver (Debian: apt-get install chromium chromium-driver), tensorboard, and for the profile the extra
malaria_exp[profile]; for MLflow malaria_exp[mlflow].
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update --disable-sync"
    " --force-device-scale-factor=1 --hide-scrollbars"
)
# All text of a page, that of its components' insides too; and the widths of its pictures.
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
# What a page must show.
SHOWN = {"scalars": ["epoch", "val_auc"], "pr_curves": ["val_pr_curve"], "hparams": ["optimizer.learning_rate", "test/auc"]}
# Name of the picture: what stands behind the address, and the window's size.
TENSORBOARD = {
    "scalars": ("#scalars&tagFilter=epoch%2F(loss%7Cval_loss%7Cval_auc%7Clearning_rate)", (1500, 900)),
    "images": ("#images&tagFilter=augmented_batch%7Cval_roc", (1500, 1000)),
    "histograms": ("#histograms", (1500, 900)),
    "pr_curves": ("#pr_curves", (1500, 800)),
    "graphs": ("#graphs", (1500, 900)),
    "hparams": ("#hparams", (1500, 800)),
    "profile": ("#profile", (1500, 900)),
}
PATIENCE_SECONDS = 90
# For what a page draws after its text is there.
DRAW_SECONDS = 8


def main() -> None:
    """Takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--tool", default="tensorboard,mlflow")
    asked = parser.parse_args()
    pictures = asked.docs / "images" / "tracking"
    pictures.mkdir(parents=True, exist_ok=True)
    tools = asked.tool.split(",")
    with browser() as driver:
        if "tensorboard" in tools:
            with tensorboard_server(asked.folder) as url:
                for name, (page, size) in TENSORBOARD.items():
                    take(driver, f"{url}{page}", size, pictures / f"tensorboard_{name}.png", SHOWN.get(name, ()), images=name == "images")
        if "mlflow" in tools:
            with mlflow_server(asked.folder / "mlflow") as url:
                for name, (page, words) in mlflow_pages(url).items():
                    take(driver, f"{url}{page}", (1600, 950), pictures / f"mlflow_{name}.png", words)


def take(driver: Any, url: str, size: tuple[int, int], path: Path, words: Sequence[str] = (), *, images: bool = False) -> None:
    """Opens a page, waits until it shows the words, and pictures if it must have some, and saves what is to be seen of it.

    Raises:
        RuntimeError: it does not show them.
    """
    driver.set_window_size(*size)
    # A change behind the # alone does not reload the page.
    driver.get("about:blank")
    driver.get(url)
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        text = driver.execute_script(TEXT)
        missing = [word for word in words if word not in text] + (["pictures"] if images and not driver.execute_script(PICTURES) else [])
        if not missing:
            break
        if time.monotonic() > end:
            raise RuntimeError(f"{url} does not show {', '.join(missing)}")
        time.sleep(0.5)
    time.sleep(DRAW_SECONDS)
    driver.save_screenshot(str(path))
    print(f"wrote {path}")


def mlflow_pages(url: str) -> dict[str, tuple[str, list[str]]]:
    """Returns what stands behind a server's address for the table of runs, and for the newest run's metrics; and words they must show."""
    from mlflow import MlflowClient

    client = MlflowClient(url.rstrip("/"))
    experiment = client.get_experiment_by_name("malaria_exp").experiment_id
    run = client.search_runs([experiment], max_results=1)[0].info
    table = f"#/experiments/{experiment}/runs"
    return {"runs": (table, [run.run_name]), "metrics": (f"{table}/{run.run_id}/model-metrics", [run.run_name])}


@contextmanager
def browser() -> Iterator[Any]:
    """Opens a headless Chromium by its driver; a RuntimeError says what is missing."""
    try:
        from selenium import webdriver
    except ImportError:
        raise RuntimeError("the package selenium is not installed") from None
    binary, service = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not binary or not service:
        raise RuntimeError(f"no {'chromium' if not binary else 'chromedriver'} was found")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=service))
        try:
            yield driver
        finally:
            driver.quit()


@contextmanager
def tensorboard_server(folder: Path) -> Iterator[str]:
    """Serves a folder of runs and yields the address."""
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder), "--host=127.0.0.1", f"--port={port}", "--load_fast=false"]
    with server(command, f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/data/plugins_listing") as url:
        yield url


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Serves the store that logger=mlflow writes beside the runs and yields the address."""
    port = free_port()
    store = ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with server([sys.executable, "-m", "mlflow", "server", *store], f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{port}/health") as url:
        yield url


@contextmanager
def server(command: list[str], url: str, alive: str) -> Iterator[str]:
    """Runs a server until the block ends; yields its address once `alive` answers."""
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True) as process:
        try:
            for _ in range(PATIENCE_SECONDS * 2):
                time.sleep(0.5)
                if process.poll() is not None:
                    break
                try:
                    with urllib.request.urlopen(alive, timeout=5):
                        break
                except OSError:
                    continue
            if process.poll() is not None:
                said.seek(0)
                raise RuntimeError(f"{command[2]} did not start: {said.read().decode(errors='replace')[-2000:]}")
            yield url
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def free_port() -> int:
    """Returns the number of a port that nobody uses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        number: int = one.getsockname()[1]
    return number


if __name__ == "__main__":
    main()
