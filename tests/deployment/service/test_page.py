"""The page in a browser: files go in, results, errors and a CSV come out; by keyboard, in both colors, on a narrow screen."""

import base64
import csv
import io
import re
import zipfile

import numpy as np
import pytest
from chromium import open_chromium, show_in
from fake_model import SHIFT
from PIL import Image
from scipy.stats import beta
from tiny_bundle import PARTS, cell, file_of, score_of

from malaria_exp.deployment.service.app import PAGE
from malaria_exp.evaluation.reports.templates import STYLE

EVIL = "<img src=x onerror=document.title='taken'>.png"
TOKEN = "sesame-sesame-sesame"


def test_it_loads_nothing_from_elsewhere_and_writes_no_html():
    for path in (STYLE, *PAGE.iterdir()):
        text = path.read_text(encoding="utf-8")
        code = re.sub(r"^\s*//.*$", "", text, flags=re.MULTILINE)
        assert not re.findall(r"https?:|@import|url\(|innerHTML|insertAdjacentHTML|document\.write|eval\(", code), path.name
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    # The policy of contents allows no script and no style within the page.
    assert not re.findall(r"<script>|<style|style=|\son\w+=", page)
    used = set(re.findall(r'byId\("([\w-]+)"\)', "".join(path.read_text(encoding="utf-8") for path in PAGE.glob("*.js"))))
    assert used <= set(re.findall(r'id="([\w-]+)"', page))


@pytest.fixture(scope="module")
def downloads(tmp_path_factory):
    """Where the browser puts what is downloaded."""
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def browser(downloads):
    """One Chromium for all tests."""
    driver = open_chromium((1000, 1200), downloads)
    yield driver
    driver.quit()


def _wait(driver, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, 20, poll_frequency=0.02).until(lambda _: condition())


class _Page:
    """The page as its user sees it."""

    def __init__(self, driver, port):
        self.driver = driver
        driver.get(f"http://127.0.0.1:{port}/")

    def one(self, css):
        return self.driver.find_element("css selector", css)

    def rows(self):
        script = "return [...document.querySelectorAll('#rows tr')].map(row => arguments[0].map(part => row.querySelector('.' + part).innerText.trim()))"
        parts = ("file", "number", "predicted", "sure", "looks")
        return [dict(zip(parts, row, strict=True)) for row in self.driver.execute_script(script, parts)]

    def files(self):
        return [row["file"] for row in self.rows()]

    def choose(self, css, value):
        from selenium.webdriver.support.ui import Select

        Select(self.one(css)).select_by_value(value)

    def pictures(self):
        return self.driver.execute_script("return [...document.querySelectorAll('#rows img')].map(image => image.naturalWidth)")

    def add(self, *paths):
        self.one("#files").send_keys("\n".join(map(str, paths)))

    def done(self, text):
        _wait(self.driver, lambda: text in self.one("#status").text)


def _files(folder):
    folder.mkdir()
    paths = [file_of(cell(red), folder / f"cell{red}.png") for red in (40, 200, 130, 100)]
    paths.append(file_of(cell(90, 120, 250), folder / "blue.jpg"))
    paths.append(file_of(cell(220), folder / EVIL))
    (folder / "=notes.txt").write_text("no image")
    return [*paths, folder / "=notes.txt"]


def _together(model, colors):
    """Returns what is said of cells of these colors together."""
    return SHIFT.test(model(np.stack([cell(*color) for color in colors])).ood, PARTS).words


def test_cells_are_scored_sorted_filtered_and_downloaded(browser, downloads, live, model, tmp_path):
    page = _Page(browser, live()[0])
    page.add(*_files(tmp_path / "cells"))
    page.done("7 files done, 1 of them could not be used.")
    rows = {row["file"]: row for row in page.rows()}
    assert list(rows) == ["cell40.png", "cell200.png", "cell130.png", "cell100.png", "blue.jpg", EVIL, "=notes.txt"]
    assert rows["cell200.png"]["number"] == f"{score_of(200):.3f}"
    assert page.one("#together").text == _together(model, [(40,), (200,), (130,), (100,), (90, 120, 250), (220,)])
    assert rows["cell200.png"] | {"number": ""} == {
        "file": "cell200.png",
        "number": "",
        "predicted": "parasitized",
        "sure": "high, 97\u00a0%",
        "looks": "yes",
    }
    assert (rows["cell130.png"]["predicted"], rows["cell130.png"]["sure"]) == ("parasitized", "low, 52\u00a0%")
    assert rows["cell40.png"]["predicted"] == "uninfected" and rows["blue.jpg"]["looks"] == f"no: {PARTS[0]}"
    assert rows["=notes.txt"]["looks"].startswith("Could not be used: not a PNG") and rows["=notes.txt"]["predicted"] == ""
    assert [page.one(f"#{name}").text for name in ("scored", "positive", "unlike", "bad")] == ["6", "3", "1", "1"]
    # Clopper and Pearson's interval of 3 of 5.
    assert "60.0 % predicted parasitized, 95 % interval 14.7 % to 94.7 %" in page.one("#fraction").text
    script = "import('/static/counts.js').then(module => arguments[2](module.interval(arguments[0], arguments[1])))"
    for hits, cells in ((0, 7), (7, 7), (1, 1), (13, 400), (5000, 10_000), (3, 100_000), (99_990, 100_000)):
        limits = (beta.ppf(0.025, hits, cells - hits + 1) if hits else 0, beta.ppf(0.975, hits + 1, cells - hits) if hits < cells else 1)
        assert browser.execute_async_script(script, hits, cells) == pytest.approx(limits, abs=1e-6)
    page.one("#leave").click()
    assert "of these 6 cells: 50.0 %" in page.one("#fraction").text
    # The picture of a row is the user's own file.
    _wait(browser, lambda: page.pictures() == [20] * 6)

    score = next(one for one in browser.find_elements("css selector", "thead button") if one.text == "Score")
    score.send_keys("\n")
    assert page.files()[:2] == [EVIL, "cell200.png"] and page.files()[-1] == "=notes.txt"
    assert score.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    score.click()
    assert page.files()[0] == "cell40.png" and page.files()[-1] == "=notes.txt"
    page.choose("#show", "unlike")
    assert page.files() == ["blue.jpg"]
    page.choose("#show", "all")
    page.one("#filter").send_keys("cell1")
    assert page.files() == ["cell100.png", "cell130.png"] and page.one("#shown").text == "2 of 7 files"
    # At the other threshold more are predicted parasitized.
    assert page.rows()[0]["predicted"] == "uninfected"
    page.choose("#threshold", "target_sensitivity")
    assert [row["predicted"] for row in page.rows()] == ["uninfected", "parasitized"]

    page.one("#csv").click()
    path = downloads / "predictions.csv"
    _wait(browser, path.exists)
    table = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert list(table[0]) == [
        "file",
        "score",
        "predicted_fixed",
        "predicted_target_sensitivity",
        "looks_like_training_data",
        "why_not",
        "error",
    ]
    assert float(table[1]["score"]) == pytest.approx(score_of(200), abs=1e-5) and table[4]["looks_like_training_data"] == "no"
    assert table[6]["file"] == "'=notes.txt" and table[6]["score"] == "" and "not a PNG" in table[6]["error"]
    assert browser.title == "Malaria cells"
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_a_zip_is_read_in_the_browser_with_its_pictures(browser, live, model, tmp_path):
    path = tmp_path / "cells.zip"
    inner = io.BytesIO()
    zipfile.ZipFile(inner, "w").writestr("x.png", b"x")
    with zipfile.ZipFile(path, "w") as archive:
        for number, red in enumerate(range(0, 250, 2)):
            image = io.BytesIO()
            Image.fromarray(cell(red)).save(image, "PNG")
            archive.writestr(f"folder/{number}.png", image.getvalue(), (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)[number % 2])
        archive.writestr("__MACOSX/._0.png", b"of the system")
        archive.writestr("folder/inner.zip", inner.getvalue())
    page = _Page(browser, live()[0])
    page.add(path)
    page.done("126 files done, 1 of them could not be used.")
    # Of four requests.
    assert page.one("#together").text == _together(model, [(red,) for red in range(0, 250, 2)])
    assert page.one("#together").get_attribute("class") == ""
    rows = page.rows()
    assert len(rows) == 100
    assert [row["number"] for row in rows] == [f"{np.float32(score_of(red)):.3f}" for red in range(0, 200, 2)]
    _wait(browser, lambda: page.pictures() == [20] * 100)
    assert page.one("#more").text == "Show 26 more of 26"
    page.one("#more").send_keys("\n")
    assert len(page.rows()) == 126 and "a zip within a zip" in page.rows()[-1]["looks"]
    # The keyboard goes on at the first new row.
    assert browser.switch_to.active_element.get_attribute("aria-label") == "Explain 100.png"
    page.add(tmp_path / "cells.zip")
    page.done("126 files done")
    page.one("#clear").click()
    assert not page.one("#results").is_displayed()
    # What was cleared is not among them.
    page.add(*(file_of(cell(red, 120, 250), tmp_path / f"blue{red}.png") for red in (80, 90)))
    page.done("2 files done.")
    said = page.one("#together")
    assert said.text == _together(model, [(80, 120, 250), (90, 120, 250)]) and "2 cells do not look like a patient's" in said.text
    assert (said.get_attribute("class"), said.aria_role) == ("note", "status")


def test_a_drop_an_explanation_and_the_keyboard_alone(browser, live, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    port, server = live(token=TOKEN)
    page = _Page(browser, port)
    # The token is asked for; a wrong one is asked for again.
    _wait(browser, lambda: page.one("#token").is_displayed())
    asks = "const box = document.activeElement; return box.id === 'token' && !box.value && box.checkVisibility()"
    for token in ("wrong", TOKEN):
        _wait(browser, lambda: browser.execute_script(asks))
        browser.switch_to.active_element.send_keys(token + Keys.ENTER)
    _wait(browser, lambda: page.one("#facts dt"))
    browser.execute_script(
        """
        const data = new DataTransfer();
        data.items.add(new File([Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0))], "dropped.png"));
        document.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        """,
        base64.b64encode(file_of(cell(200), tmp_path / "a.png").read_bytes()).decode(),
    )
    page.done("1 file done.")
    # From the first field to the button of the first row by the tab key alone; everything on the way has a name.
    browser.execute_script("document.getElementById('files').focus()")
    names = [browser.switch_to.active_element.accessible_name]
    for _ in range(25):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        active = browser.switch_to.active_element
        names.append(active.accessible_name)
        if active.accessible_name == "Explain dropped.png":
            break
    assert names[-1] == "Explain dropped.png" and all(names) and "Choose a folder" in names and "File name" in names
    browser.switch_to.active_element.send_keys("\n")
    _wait(browser, lambda: page.one("#map").get_attribute("naturalWidth") == "192")
    assert "Orange places speak for parasitized" in page.one("#meaning").text
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not page.one("#explanation").is_displayed()
    assert browser.switch_to.active_element.accessible_name == "Explain dropped.png"
    # On a narrow screen nothing sticks out, in the dark neither.
    show_in(browser, "dark", 420)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 420
    assert browser.execute_script("return getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert page.rows()[0]["looks"] == "yes" and page.one("#rows tr").rect["width"] <= 420
    # A service that is gone is an error of the files, in words.
    server.should_exit = True
    _wait(browser, lambda: not server.started or not server.servers[0].is_serving())
    page.add(tmp_path / "a.png")
    page.done("1 of them could not be used")
    assert "does not answer" in page.rows()[1]["looks"]
