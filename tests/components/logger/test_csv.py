import csv

from malaria_exp.config.registry import build


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_epoch_is_on_the_disk_when_it_is_over(run):
    logger = build("logger", "csv", {})
    logger.start(run)
    for epoch in (1, 2, 3):
        logger.scalars("step", epoch, {"loss": 9.0})
        logger.scalars("epoch", epoch, {"epoch": epoch, "loss": 1 / epoch, "val_auc": 0.9})
        rows = read(run.folder / "history.csv")
        assert [int(row["epoch"]) for row in rows] == list(range(1, epoch + 1))
        assert float(rows[-1]["loss"]) == 1 / epoch


def test_columns_stay_those_of_the_first_row(run):
    logger = build("logger", "csv", {})
    logger.start(run)
    logger.scalars("epoch", 1, {"epoch": 1, "loss": 0.5})
    logger.scalars("epoch", 2, {"loss": 0.25, "epoch": 2, "later": 7})
    logger.scalars("epoch", 3, {"epoch": 3})
    assert read(run.folder / "history.csv") == [{"epoch": "1", "loss": "0.5"}, {"epoch": "2", "loss": "0.25"}, {"epoch": "3", "loss": ""}]
