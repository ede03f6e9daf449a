import json
import re
import shutil

import numpy as np
import pytest
import yaml
from html_page import Page

from malaria_exp.deployment.card.checklists import AUTHOR, IN_PART
from malaria_exp.deployment.card.claim_2024 import CLAIM
from malaria_exp.deployment.card.facts import FACTS, anonymous, facts
from malaria_exp.deployment.card.record import CardRecord
from malaria_exp.deployment.card.sections import SECTIONS, make_card
from malaria_exp.deployment.card.stard_ai import STARD_AI
from malaria_exp.deployment.card.write_card import MARKDOWN_FILE, PAGE_FILE, STAMP, to_markdown, to_page, write_card
from malaria_exp.utils.errors import RunFolderError


@pytest.fixture(scope="module")
def record(finished_run):
    return CardRecord.read(finished_run)


@pytest.fixture(scope="module")
def texts(finished_run, tmp_path_factory):
    """Markdown and page of the finished run."""
    written = write_card(finished_run, tmp_path_factory.mktemp("card"), license="apache-2.0")
    assert [path.name for path in written] == [MARKDOWN_FILE, PAGE_FILE]
    return [path.read_text() for path in written]


def changed(run, folder, file, change):
    """Copies the small files of a run, one of its JSON files changed by change(content)."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("*.keras", "plots"))
    content = json.loads((folder / file).read_text())
    change(content)
    (folder / file).write_text(json.dumps(content))
    return folder


def test_the_front_matter_has_what_the_hub_asks_for_with_the_values_of_the_record(texts, finished_run):
    front = yaml.safe_load(texts[0].split("---\n")[1])
    assert (front["license"], front["library_name"], front["pipeline_tag"]) == ("apache-2.0", "keras", "image-classification")
    (result,) = front["model-index"][0]["results"]
    assert result["dataset"] == {"type": "synthetic", "name": "synthetic", "split": "test"}
    metrics = json.loads((finished_run / "metrics.json").read_text())["subsets"]["test"]
    values = {one["type"]: one["value"] for one in result["metrics"]}
    assert values["roc_auc"] == pytest.approx(metrics["ranking"]["auc"]["value"], abs=1e-4)
    assert values["recall"] == pytest.approx(metrics["at"]["fixed"]["sensitivity"]["value"], abs=1e-4)
    assert front["metrics"] == list(values)


def test_every_fact_of_a_run_names_files_and_keys_that_are_there(record, finished_run):
    known = facts(record)
    assert set(FACTS) - set(known) == {"external", "pooled"}
    checked = 0
    for fact in known.values():
        for file, keys in re.findall(
            r"^([\w/*]+\.(?:json|yaml|csv|png)(?![a-z]))(?:: ([\w.*, ]+))?", fact.where.replace("; ", "\n"), re.MULTILINE
        ):
            found = sorted(finished_run.glob(file))
            assert found, fact
            content = yaml.safe_load(found[0].read_text()) if keys else None
            for key in filter(None, (keys or "").split(", ")):
                values = [content]
                for name in key.split("."):
                    values = [inner for value in values for inner in (value.values() if name == "*" else [value[name]])]
                assert values, (fact, key)
                checked += 1
    assert checked > 40


@pytest.mark.parametrize(("checklist", "numbers"), [(CLAIM, 44), (STARD_AI, 40)], ids=lambda value: getattr(value, "name", ""))
def test_checklists_have_all_numbers_in_order_and_every_item_is_answered_or_left_for_the_author(checklist, numbers, record):
    found = [int(re.match(r"\d+", item.number)[0]) for item in checklist.items]
    assert sorted(set(found)) == list(range(1, numbers + 1)) and found == sorted(found)
    assert {name for item in checklist.items for name in item.facts} | {name for names in SECTIONS.values() for name in names} <= set(FACTS)
    answers = next(answers for own, answers in make_card(record, license=None).checklists if own is checklist)
    assert all(one.author for one in answers if one.state in (AUTHOR, IN_PART))
    assert all(one.said for one in answers if one.state != AUTHOR)


def test_page_and_markdown_say_the_same_and_name_no_patient_and_no_folder(texts, record, finished_run):
    page = Page(texts[1])
    assert not [value for tag, name, value in page.attributes if name in ("src", "href")]
    for fact in facts(record).values():
        assert all(re.sub(r"\s+", "", fact.text) in re.sub(r"[\s\\]+", "", text) for text in (texts[0], page.text))
    patients = set(np.loadtxt(finished_run / "split.csv", dtype=str, delimiter=",", skiprows=1, usecols=2).tolist())
    for text in texts:
        assert str(finished_run.parent) not in text
        assert not [patient for patient in patients if re.search(rf"\b{patient}\b", text)]


def test_paths_lose_their_folders_and_nothing_else():
    command = "python run.py dataset=nih dataset.path=/home/me/cell_images.zip init_from=~/runs/one 'runs=[../a/b,c/d]' x=1/2 gs://bucket/a"
    assert anonymous(command) == "python run.py dataset=nih dataset.path=cell_images.zip init_from=one 'runs=[b,c/d]' x=1/2 gs://bucket/a"


def test_a_leaky_run_says_so_in_both_forms(finished_run, tmp_path):
    folder = changed(finished_run, tmp_path / "run", "metrics.json", lambda content: content.update(leaky=True))
    card = make_card(CardRecord.read(folder), license=None)
    assert STAMP in to_markdown(card) and "leaky" in card.metadata["tags"] and "unknown" in card.metadata["license"]
    assert 'class="leaky"' in to_page(card)
    assert "it had not seen" not in to_page(card)


def test_what_a_record_lacks_is_left_for_the_author(finished_run, tmp_path):
    def damage(content):
        del content["subset_counts"], content["test_access"]
        content["training"] = {}
        content["subsets"]["test"]["per_patient"] = "none"

    folder = changed(finished_run, tmp_path / "run", "metrics.json", damage)
    card = make_card(CardRecord.read(folder), license=None)
    assert not {"per_patient", "test_access", "selection", "weights"} & facts(CardRecord.read(folder)).keys()
    states = {one.item.number: one.state for one in card.checklists[0][1]}
    assert (states["26"], states["30"], states["38"]) == (AUTHOR, AUTHOR, "answered")
    assert to_page(card) and to_markdown(card)


def test_a_pooled_result_says_nothing_of_the_configuration_of_its_own_folder(finished_run, tmp_path):
    folder = changed(finished_run, tmp_path / "run", "status.json", lambda content: content.update(task="pool"))
    for name in ("provenance.json", "model.json"):
        (folder / name).unlink()
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["training"]
    (folder / "metrics.json").write_text(json.dumps(metrics | {"pooled": {"what": "5 folds", "runs": ["a/0", "a/1"]}, "data_hash": "abc"}))
    card = make_card(CardRecord.read(folder), license=None)
    assert "synthetic" not in to_page(card) and "cellnet" not in to_page(card)
    assert card.title.startswith("5 folds") and "Model" not in card.sections


def test_what_a_record_says_cannot_write_the_page(finished_run, tmp_path):
    evil = "<script>alert(1)</script>|\n## x"
    folder = changed(finished_run, tmp_path / "run", "metrics.json", lambda content: content.update(protocol=evil))
    card = make_card(CardRecord.read(folder), license=None)
    assert "<script>" not in to_page(card)
    assert "<script>" not in to_markdown(card) and "\n## x" not in to_markdown(card)


def test_evaluations_on_other_data_must_be_of_this_run(finished_run, tmp_path):
    def as_external(content):
        content["subsets"] = {"external": content["subsets"]["test"]}

    folder = changed(finished_run, tmp_path / "other lab", "metrics.json", as_external)
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"task": "evaluate"}))
    record = CardRecord.read(finished_run, [folder])
    assert facts(record)["external"].text.startswith("other lab: ")
    assert "another laboratory" not in facts(record)["limits"].text
    metrics = json.loads((folder / "metrics.json").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics | {"split_hash": "another"}))
    with pytest.raises(RunFolderError, match="another run"):
        CardRecord.read(finished_run, [folder])
    with pytest.raises(RunFolderError, match="no finished training run or pooled result"):
        CardRecord.read(folder)


def test_the_task_writes_a_folder_of_its_own(run_task, finished_run, tmp_path):
    folder = run_task(["task=card", f"run={finished_run}"], tmp_path / "card")
    assert {MARKDOWN_FILE, PAGE_FILE, "status.json"} <= {path.name for path in folder.iterdir()}


@pytest.mark.long
def test_a_bundle_holds_its_card(bundle, record):
    text = (bundle / MARKDOWN_FILE).read_text()
    assert facts(record)["weights"].text.split()[1] in text
    assert (bundle / PAGE_FILE).is_file()
