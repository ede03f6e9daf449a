"""The patients of a synthetic dataset: their photographs, and whose labels go wrong."""

import numpy as np

from malaria_exp.components.dataset.drawing.cohort import plan, wrong_labels


def test_photographs_are_counted_through_a_patients_slides_and_stand_in_the_names():
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


def test_a_higher_rate_keeps_the_mistakes_of_a_lower_one_and_patients_do_not_matter_to_each_other():
    number = np.repeat([5001, 5003], 500)
    few, many = wrong_labels(1, number, 0.1), wrong_labels(1, number, 0.3)
    assert (many[few]).all()
    assert np.array_equal(wrong_labels(1, number[number == 5003], 0.3), many[number == 5003])
    assert not np.array_equal(wrong_labels(2, number, 0.3), many)
