import csv

from malaria_exp.registry import build


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_each_epoch_is_on_the_disk_when_it_is_over(tmp_path):
    logger = build("logger", "csv", {}, tmp_path)
    for epoch in (1, 2, 3):
        logger.epoch({"epoch": epoch, "loss": 1 / epoch, "val_auc": 0.9})
        rows = read(tmp_path / "history.csv")
        assert [int(row["epoch"]) for row in rows] == list(range(1, epoch + 1))
        assert float(rows[-1]["loss"]) == 1 / epoch


def test_columns_stay_those_of_the_first_row(tmp_path):
    logger = build("logger", "csv", {}, tmp_path)
    logger.epoch({"epoch": 1, "loss": 0.5})
    logger.epoch({"loss": 0.25, "epoch": 2, "later": 7})
    logger.epoch({"epoch": 3})
    assert read(tmp_path / "history.csv") == [
        {"epoch": "1", "loss": "0.5"},
        {"epoch": "2", "loss": "0.25"},
        {"epoch": "3", "loss": ""},
    ]
