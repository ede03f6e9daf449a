"""The site: it builds strictly, and its gallery's pages, which the program writes, are right for all who read them."""

import functools
import http.server
import os
import re
import subprocess
import sys
import threading

import pytest
from chromium import open_chromium, show_in, violations
from conftest import ROOT

SITE = ROOT / "docs" / "site"
GALLERY = (
    "report.html",
    "patients.html",
    "fields.html",
    "data_report.html",
    "compare.html",
    "sweep.html",
    "predictions.html",
    "explanations.html",
    "model_card.html",
    "service/index.html",
)
PAGES = ("index.html", "evaluation.html", "components/aug.html", "api/malaria_exp.html", "gallery.html")


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """The folder of the built site."""
    for package in ("sphinx", "furo", "myst_parser", "optuna", "fastapi", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package)
    to = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(SITE / "build.py"), "--to", str(to)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return to / "html"


@pytest.fixture(scope="module")
def address(html):
    """The address of the site: scripts that are modules do not load from files."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(html))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all tests."""
    driver = open_chromium((1280, 900))
    yield driver
    driver.quit()


def test_a_dead_link_fails(tmp_path):
    pytest.importorskip("furo")
    (tmp_path / "extra").mkdir()
    (tmp_path / "index.md").write_text("# A page\n\n[dead](nowhere.md)\n")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "-q",
        "-c",
        str(SITE),
        "-D",
        f"html_extra_path={tmp_path / 'extra'}",
        str(tmp_path),
        str(tmp_path / "html"),
    ]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "nowhere.md" in done.stderr


@pytest.mark.long
def test_every_component_stands_in_it_with_its_keys(html):
    from malaria_exp.config.registry import GROUPS, options

    for group in GROUPS:
        text = (html / "components" / f"{group}.html").read_text(encoding="utf-8")
        assert not [name for name in options(group) if f">{name}<" not in text], group
    # The search knows them.
    assert "mahalanobis" in (html / "searchindex.js").read_text(encoding="utf-8")


@pytest.mark.long
def test_no_page_of_the_gallery_loads_or_leads_elsewhere(html):
    for name in GALLERY[:-1]:
        text = (html / "gallery" / name).read_text(encoding="utf-8")
        leads = set(re.findall(r'(?:href|src)="([^"#]+)', text)) - set(GALLERY)
        assert not [target for target in leads if not target.startswith(("data:", "https://"))], name
        assert len(text) < 4e6, name


@pytest.mark.long
@pytest.mark.parametrize("name", GALLERY)
def test_the_programs_pages_are_accessible_and_fit_a_phone(browser, address, name):
    for scheme, width in (("light", 1280), ("dark", 420)):
        show_in(browser, scheme, width)
        browser.get(f"{address}/gallery/{name}")
        if name.startswith("service"):
            _wait_for_cells(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width, (scheme, width)
        assert violations(browser) == [], (scheme, width)
    # Paper is white in the dark too.
    show_in(browser, "dark", 800, media="print")
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    # A browser asks a host once for its icon.
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert [message for message in severe if "favicon.ico" not in message] == []


@pytest.mark.long
@pytest.mark.parametrize("name", PAGES)
def test_pages_of_the_site_fit_a_phone(browser, address, name):
    show_in(browser, "light", 420)
    browser.get(f"{address}/{name}")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 420


def _wait_for_cells(browser):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 20).until(lambda driver: "files done" in driver.find_element("id", "status").text)
