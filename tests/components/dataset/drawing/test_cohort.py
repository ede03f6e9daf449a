"""The people of a synthetic data set: their photographs, and whose labels go wrong."""

import numpy as np
import pytest

from malaria_exp.components.dataset.drawing.cohort import is_healthy, is_second, plan, wrong_labels


def test_photographs_are_counted_through_a_persons_slides_and_stand_in_the_names():
    cells = list(plan(3, 20, 6, 60, 0.5))
    names = {(cell.number, cell.field): set() for cell in cells}
    for cell in cells:
        names[cell.number, cell.field].add(cell.cell_id.partition("_cell_")[0])
    assert all(len(found) == 1 for found in names.values())
    assert len({found.copy().pop() for found in names.values()}) == len(names)
    for number in {cell.number for cell in cells}:
        own = [cell for cell in cells if cell.number == number]
        assert sorted({cell.field for cell in own}) == list(range(max(cell.field for cell in own) + 1))
        assert {cell.slide for cell in own if cell.field == 0} == {0}


def test_healthy_people_and_every_second_person_are_told_by_their_number():
    cells = list(plan(0, 5, 4, 10, 0.5))
    number = np.array([cell.number for cell in cells])
    sick = {cell.number for cell in cells if cell.parasitized}
    assert set(number[~is_healthy(number)].tolist()) == sick
    assert sorted(set(number[is_second(number)].tolist())) == [5003, 5004, 5007, 5008]


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.3, 1.0])
def test_labels_go_wrong_at_the_rate_and_only_among_infected_people(rate):
    number = np.repeat([5001, 5002, 5003, 5004], 2000)
    wrong = wrong_labels(7, number, rate)
    assert not wrong[is_healthy(number)].any()
    assert wrong[~is_healthy(number)].mean() == pytest.approx(rate, abs=0.02)


def test_a_higher_rate_keeps_the_mistakes_of_a_lower_one_and_people_do_not_matter_to_each_other():
    number = np.repeat([5001, 5003], 500)
    few, many = wrong_labels(1, number, 0.1), wrong_labels(1, number, 0.3)
    assert (many[few]).all()
    assert np.array_equal(wrong_labels(1, number[number == 5003], 0.3), many[number == 5003])
    assert not np.array_equal(wrong_labels(2, number, 0.3), many)
