"""The page of a comparison: what stands in it, and how it behaves in a browser."""

import json
import re
from types import SimpleNamespace

import pytest
from chromium import open_chromium

EVIL = '</td><script>document.title="taken"</script>'


@pytest.fixture
def page(copy_run, run_task, tmp_path):
    """The page of four runs, of which one has no AUC, one ill-willed text."""
    runs = [
        copy_run("first", {"seed": 9}, auc=0.8),
        copy_run("second", {"seed": 10}, auc=0.95),
        copy_run("third", {"seed": 1, "loss.name": EVIL}),
        copy_run("fourth", {"seed": 2}, auc=0.6),
    ]
    metrics = json.loads((runs[2] / "metrics.json").read_text())
    metrics["subsets"]["test"]["ranking"]["auc"] = {"value": None, "low": None, "high": None}
    (runs[2] / "metrics.json").write_text(json.dumps(metrics))
    return run_task(["task=compare", f"runs={json.dumps(list(map(str, runs)))}"], tmp_path / "out" / "comparison") / "compare.html"


def test_it_loads_nothing_escapes_everything_and_is_the_same_again(page, run_task, tmp_path):
    text = page.read_text(encoding="utf-8")
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?:https?:)?//""", text)
    assert not re.findall(r"@import|url\(", text)
    assert text.count("<script>") == 1 and EVIL not in text and "&lt;script&gt;" in text
    assert 'href="../../first/report.html"' in text
    assert all(source.startswith("data:image/png;base64,") for source in re.findall(r'<img src="([^"]*)', text))
    assert (page.parent / "plots" / "runs.png").is_file() and (page.parent / "plots" / "configurations.png").is_file()
    # What all runs share is folded away.
    folded = text.partition("<details>")[2]
    assert re.search(r"<th scope=\"row\">model</th><td>cellnet</td>", folded)
    assert "Same in all runs" in folded
    runs = [str(tmp_path / name) for name in ("first", "second", "third", "fourth")]
    again = run_task(["task=compare", f"runs={json.dumps(runs)}"], tmp_path / "out" / "again") / "compare.html"
    texts = [re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "", one.read_text(encoding="utf-8")) for one in (page, again)]
    assert texts[0] == texts[1]


def test_the_results_come_before_the_settings_and_many_settings_are_a_list_on_paper(copy_run, run_task, tmp_path):
    few, more = (
        {"batch_size": 8},
        {"batch_size": 8, "seed": 4, "model.stem": 8, "optimizer.learning_rate": 0.1, "loss.label_smoothing": 0.2},
    )
    for name, changes, listed in (("few", few, 0), ("more", more, 1)):
        runs = [copy_run(f"{name}-a"), copy_run(f"{name}-b", changes)]
        folder = run_task(["task=compare", f"runs={json.dumps(list(map(str, runs)))}"], tmp_path / f"{name}-out")
        text = (folder / "compare.html").read_text(encoding="utf-8")
        heads = re.findall(
            r'<th scope="col"[^>]*class="(?:number|text)( setting)?"', text.partition('id="runs"')[2].partition("</thead>")[0]
        )
        assert heads == sorted(heads), "settings come last"
        assert len([head for head in heads if head]) == len(changes)
        assert text.count('<div class="paper">') == listed
        assert ("learning_rate: 0.1" in text.partition('<div class="paper">')[2]) == bool(listed)


def test_sorting_and_filtering_in_a_browser(page):
    driver = open_chromium((1400, 1000))
    try:
        driver.get(page.as_uri())
        table = _Table(driver)
        assert table.names() == ["first", "second", "third", "fourth"]
        table.head("test AUC").click()
        assert (table.names(), table.sorting("test AUC")) == (["second", "first", "fourth", "third"], "descending")
        table.head("test AUC").click()
        # A run without the number stays last.
        assert (table.names(), table.sorting("test AUC")) == (["fourth", "first", "second", "third"], "ascending")
        # By keyboard, and as numbers: 10 comes after 9.
        table.head("seed").send_keys("\n")
        assert (table.names(), table.sorting("seed")) == (["third", "fourth", "first", "second"], "ascending")
        assert table.sorting("test AUC") == "none"
        table.head("run").click()
        assert table.names() == ["first", "fourth", "second", "third"]
        table.type("seed=1")
        assert table.names() == ["third"] and table.said() == "1 of 4 runs"
        table.type("FIRST done")
        assert table.names() == ["first"]
        table.type("")
        assert len(table.names()) == 4
        assert driver.title.startswith("Comparison of 4 runs")
        assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []
        driver.find_element("link text", "second").click()
        assert driver.find_element("css selector", "p").text == "a report"
    finally:
        driver.quit()


class _Table(SimpleNamespace):
    """The table of runs in the browser."""

    def __init__(self, driver):
        super().__init__(driver=driver)

    def names(self):
        rows = self.driver.find_elements("css selector", "#runs tbody tr")
        return [row.find_element("css selector", "th").text for row in rows if row.is_displayed()]

    def head(self, text):
        return next(one for one in self.driver.find_elements("css selector", "#runs thead button") if one.text == text)

    def sorting(self, text):
        return self.head(text).find_element("xpath", "..").get_attribute("aria-sort")

    def type(self, text):
        self.driver.execute_script(
            "const box = document.getElementById('filter'); box.value = arguments[0]; box.dispatchEvent(new Event('input'))", text
        )

    def said(self):
        return self.driver.find_element("id", "shown").text
