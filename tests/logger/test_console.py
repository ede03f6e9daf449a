import logging

from malaria_exp.durations import RunLength
from malaria_exp.logs import log
from malaria_exp.registry import build


def test_a_line_an_epoch_even_without_a_terminal(tmp_path):
    lines = []

    class Collect(logging.Handler):
        def emit(self, record):
            lines.append(record.getMessage())

    handler = Collect()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        logger = build("logger", "console", {}, tmp_path)
        logger.start(RunLength(epochs=2, steps_per_epoch=3, batch_size=4))
        for step in range(1, 7):
            logger.step(step, {"loss": 0.5})
        logger.epoch({"epoch": 1, "loss": 0.5, "val_auc": 0.75, "seconds": 1.5})
        logger.finish("done")
    finally:
        log.removeHandler(handler)
    assert lines == ["epoch   1/2  loss 0.5000  val_auc 0.7500  1.5 s"]


def test_finishing_a_logger_that_never_started_is_no_error(tmp_path):
    build("logger", "console", {}, tmp_path).finish("failed")
