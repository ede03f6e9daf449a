import numpy as np

from malaria_exp.data.readers.names import parse_capture
from malaria_exp.evaluation.predictions import Predictions
from malaria_exp.evaluation.subgroups.groupings import MOST_GROUPS, NONE, OTHERS, groupings


def cells_of(names, patients, labels, slides=None):
    n = len(names)
    return Predictions(names, patients, patients if slides is None else slides, labels, np.full(n, 0.5), np.full(n, "test"))


def test_month_and_kind_of_slide_are_in_names_of_the_nih_form_alone():
    assert parse_capture("C47P8thinOriginalOlympusCX21_IMG_20150714_093530_cell_1") == ("2015-07", "thinoriginalolympuscx21")
    assert parse_capture("C100P61ThinF_IMG_20150918_144104_cell_162") == ("2015-09", "thinf")
    assert parse_capture("C5NThinF_IMG_20150609_121955_cell_3").kind == "nthinf"
    assert parse_capture("P3_7") is None


def test_only_groupings_that_divide_the_cells_are_given():
    names = [f"C{i}P{i}ThinF_IMG_2015{6 + i // 2:02}01_000000_cell_{k}" for i in range(4) for k in range(3)]
    patients = np.repeat([f"P{i}" for i in range(4)], 3)
    found = {one.name: one for one in groupings(cells_of(names, patients, [1, 0, 0] * 2 + [0] * 6))}
    assert list(found) == ["infected", "month"]
    assert found["month"].groups == ("2015-06", "2015-07")
    assert found["infected"].of_cell.tolist() == ["infected"] * 6 + ["healthy"] * 6


def test_infected_patients_stand_in_order_of_their_parasites_and_healthy_ones_in_no_group():
    numbers = [0, 1, 5, 6, 61]
    patients = np.repeat([f"P{i}" for i in range(5)], 70)
    labels = np.concatenate([np.arange(70) < number for number in numbers]).astype(int)
    found = next(one for one in groupings(cells_of([f"c{i}" for i in range(350)], patients, labels)) if one.name == "parasites")
    assert found.groups == ("1 to 5", "6 to 20", "over 60")
    assert found.of_cell[::70].tolist() == [NONE, "1 to 5", "1 to 5", "6 to 20", "over 60"]


def test_too_many_groups_become_one_with_all_of_their_cells():
    patients = np.array([f"clinic_{i % 40}/{i}" for i in range(400)])
    found = next(one for one in groupings(cells_of([f"c{i}" for i in range(400)], patients, np.arange(400) % 2)) if one.name == "clinic")
    assert len(found.groups) == MOST_GROUPS
    assert (found.of_cell == OTHERS).sum() == 400 - 10 * (MOST_GROUPS - 1)


def test_columns_of_the_user_come_first_in_the_order_that_a_reader_expects():
    patients = np.repeat([f"P{i}" for i in range(6)], 2)
    ages = np.repeat(["15 to 40", "5 to 14", "over 40"], 4)
    found = groupings(cells_of([f"c{i}" for i in range(12)], patients, [1, 0] * 6), {"age": ages, "site": np.full(12, "north")})
    assert [(one.name, one.groups) for one in found] == [("column:age", ("5 to 14", "15 to 40", "over 40"))]
