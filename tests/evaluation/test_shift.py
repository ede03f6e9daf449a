from dataclasses import asdict

import numpy as np
import pytest

from malaria_exp.evaluation.shift import fit_shift, read_shift
from malaria_exp.utils.errors import ConfigError

PARTS = ("color", "sharpness")


def patients(count, seed, *, cells=20, shift=0.0):
    """OOD scores of patients who differ more from one another than a patient's cells do."""
    draw = np.random.default_rng(seed)
    return [np.exp(draw.normal(-0.7, 0.4, 2) + draw.normal(shift, 0.2, (cells, 2)) - (0, shift)) for _ in range(count)]


@pytest.mark.long
@pytest.mark.parametrize("cells", [2, 200])
def test_new_patients_are_foreign_as_often_as_promised_whatever_their_number_of_cells(cells):
    found = [
        fit_shift(patients(60, seed)).test(scores, PARTS).verdict for seed in range(15) for scores in patients(60, 1000 + seed, cells=cells)
    ]
    assert 0.02 < found.count("foreign") / len(found) < 0.07


def test_a_shifted_batch_is_foreign_and_the_words_say_in_what():
    reference = fit_shift(patients(60, 0))
    found = reference.test(patients(1, 1, shift=1.5)[0], PARTS)
    assert found.verdict == "foreign" and found.p_value == pytest.approx(1 / 61)
    assert (
        found.words
        == "As a whole, the 20 cells do not look like a patient's of the training data, least of all in color (p = 0.016, 60 patients compared)."
    )
    assert reference.test(np.full((3, 2), np.nan), PARTS).verdict == "foreign"


def test_few_patients_cannot_tell():
    reference = fit_shift(patients(9, 0))
    assert reference.test(patients(1, 1, shift=4)[0], PARTS).verdict == "cannot tell"
    assert fit_shift(patients(1, 0)).test(patients(1, 1)[0], PARTS).verdict == "cannot tell"


def test_it_is_read_back_as_it_was_and_damage_is_refused():
    good = asdict(fit_shift(patients(20, 0)))
    assert asdict(read_shift(good, "ood.shift", 2)) == good
    for harm in ({"mean": [0.0]}, {"unusual": []}, {"between": [-1.0, 0.0]}, {"mean": ["x", "y"]}, {"module": "os"}):
        with pytest.raises(ConfigError, match=r"ood\.shift"):
            read_shift(good | harm, "ood.shift", 2)
