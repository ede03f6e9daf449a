import threading

import pytest

from malaria_exp.training import precision


def test_runs_that_start_together_measure_once_and_choose_the_same(tmp_path, monkeypatch):
    measured, both = [], threading.Barrier(2)

    def measure(candidates, compiled, batch):
        measured.append(candidates)
        # Were there no lock, the second one would choose otherwise.
        return {"float32": 1.0, "bfloat16": 0.5 if len(measured) == 1 else 2.0}

    monkeypatch.setattr(precision, "_measure", measure)
    chosen = []

    def choose():
        both.wait()
        chosen.append(precision.choose_precision(lambda: None, lambda: (), identity="a model", root=tmp_path / "cache"))

    threads = [threading.Thread(target=choose) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert chosen == ["bfloat16", "bfloat16"]
    assert len(measured) == 1


@pytest.mark.parametrize("text", ["", "[1]", '{"precision": ["float32"]}', '{"precision": "int8"}', "\0"])
def test_a_damaged_memory_of_a_measurement_is_none(tmp_path, text):
    (tmp_path / "precision-0.json").write_text(text)
    assert precision._remembered(tmp_path / "precision-0.json") is None
