"""A run's folder may be somebody else's, or damaged: what is wrong is said in one message, and nothing is waited for or written."""

import json
import os
import time

import pytest

from malaria_exp.runs import read_files
from malaria_exp.runs.run import Run
from malaria_exp.utils.errors import RunFolderError

BOMB = "a: &a [x]\n" + "".join(
    f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]\n" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
)
PART = {"at": {"fixed": {"accuracy": {"value": 0.5}}}, "ranking": {"auc": {"value": 0.5}}}
METRICS = {"thresholds": {"fixed": {"value": 0.5, "rule": "given", "promise": None, "chance": None}}, "subsets": {"test": PART}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.yaml", BOMB, r"refers to another place of the file \(\*a\)"),
        ("config.yaml", "a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("config.yaml", "a: .nan", "not finite"),
        ("config.yaml", "a: " + "[" * 5000, "nested too deep"),
        ("config.yaml", "a: 1\n" * 300_000, "a run writes at most 1 MB"),
        ("config.yaml", "a: !!set {b}", "holds a set"),
        ("status.json", '{"a": NaN}', "not finite"),
        ("status.json", '{"a": 1e999}', "not finite"),
        ("status.json", '{"a": ' + "[" * 100_000, "nested too deep"),
        ("status.json", "\udcff", "cannot be read"),
        ("status.json", '{"status": "over"}', "status: expected one of"),
        ("status.json", '{"overrides": "seed=1"}', "overrides: expected a list"),
        ("status.json", '{"pid": -1}', "pid: expected a whole number >= 1"),
        ("metrics.json", METRICS | {"thresholds": {"x/../../../evil": 0.5}}, "thresholds: expected"),
        ("metrics.json", METRICS | {"thresholds": {"fixed": {"value": "0.5"}}}, r"thresholds\.fixed\.value: expected a number"),
        ("metrics.json", METRICS | {"subsets": {}}, "it holds none"),
        ("metrics.json", METRICS | {"split": {"never_tested": {"patients": 3}}}, r"lacks split\.never_tested\.largest"),
        ("metrics.json", METRICS | {"subsets": {"../x": PART}}, "subsets: expected"),
        ("metrics.json", METRICS | {"subsets": {"test": {"at": {}, "ranking": {}}}}, r"at\.fixed or ranking\.auc is missing"),
        ("metrics.json", METRICS | {"subsets": {"test": PART | {"ranking": {"auc": {"value": "0.9"}}}}}, r"ranking\.auc\.value: expected"),
        ("metrics.json", METRICS | {"training": {"parameters": "many"}}, r"training\.parameters: expected"),
        ("metrics.json", METRICS | {"subsets": {"test": PART | {"patient_level": 3}}}, r"subsets\.test\.patient_level: expected"),
        ("metrics.json", {"subsets": {"test": PART}}, "lacks thresholds"),
        ("history.csv", ",".join(f"m{i}" for i in range(300)), "at most 200 columns"),
        ("history.csv", "epoch," + "m" * 200, "at most 100 printable"),
        ("history.csv", "epoch,loss\n1," + "1" * 200_000, "field larger"),
        ("predictions.csv", "cell_id,patient,slide,label,score,subset\na,P,S,1,nan,test\n", "line 2: expected a score"),
        ("split.csv", "cell_id,label,patient,slide,field,content,subset\na,parasitized,P,S,F,c,tset\n", "unknown subset 'tset'"),
    ],
)
def test_harm_in_a_file_is_one_message_that_names_it(tmp_path, name, text, message):
    text = text if isinstance(text, str) else json.dumps(text)
    (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    read = {
        "config.yaml": read_files.read_config,
        "status.json": read_files.read_status,
        "metrics.json": read_files.read_metrics,
        "history.csv": lambda folder: read_files.read_history(folder / name),
        "predictions.csv": read_files.read_predictions,
        "split.csv": lambda folder: read_files.read_split(folder / name, "patient_holdout"),
    }[name]
    started = time.process_time()
    with pytest.raises(RunFolderError, match=message) as raised:
        read(tmp_path)
    assert name in str(raised.value)
    assert len(str(raised.value)) < 1000
    assert time.process_time() - started < 10


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_a_files_place_is_not_waited_for(finished_run, tmp_path):
    os.mkfifo(tmp_path / "config.yaml")
    (tmp_path / "status.json").write_bytes((finished_run / "status.json").read_bytes())
    with pytest.raises(RunFolderError, match="is no file"):
        _ = Run(tmp_path).config


def test_what_a_run_writes_is_read_whole(finished_run):
    run = Run(finished_run)
    assert run.metrics == json.loads((finished_run / "metrics.json").read_text())
    assert run.status == json.loads((finished_run / "status.json").read_text())
    assert run.config["optimizer"]["learning_rate"] > 0
