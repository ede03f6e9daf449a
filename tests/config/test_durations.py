"""A length of training means the same whatever unit it is given in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malaria_exp.config.durations import RunLength

LENGTH = RunLength(epochs=10, steps_per_epoch=40, batch_size=32)
lengths = st.builds(RunLength, st.integers(1, 50), st.integers(1, 200), st.integers(1, 256))


@pytest.mark.parametrize(
    ("duration", "steps"),
    [
        ("0%", 0),
        ("10%", 40),
        ("100%", 400),
        ("2.5 epochs", 100),
        ("1 epoch", 40),
        ("1epoch", 40),
        ("7 steps", 7),
        ("1 step", 1),
        ("320 examples", 10),
        ("1 example", 0),
        ("  12 steps ", 12),
        ("9999 epochs", 400),
    ],
)
def test_in_steps(duration, steps):
    assert LENGTH.in_steps(duration) == steps


@given(lengths, st.integers(0, 50))
def test_units_agree(length, epochs):
    steps = epochs * length.steps_per_epoch
    assert (
        length.in_steps(f"{epochs} epochs") == length.in_steps(f"{steps} steps") == length.in_steps(f"{steps * length.batch_size} examples")
    )


@given(lengths, st.floats(0, 1e6), st.sampled_from(["%", "steps", "epochs", "examples"]))
def test_never_longer_than_the_run(length, value, unit):
    assert 0 <= length.in_steps(f"{value:.4f} {unit}") <= length.steps
    assert length.in_steps("100%") == length.steps


@pytest.mark.parametrize("bad", ["", "10", "ten steps", "10 minutes", "-1 steps", "1e3 steps", "10 % of it"])
def test_anything_else_is_refused(bad):
    with pytest.raises(ValueError, match="length with its unit"):
        LENGTH.in_steps(bad)


@given(st.integers(1, 30), st.integers(0, 20), st.integers(1, 50), st.integers(1, 50))
def test_later_epochs_may_be_shorter(epochs, whole, steps, later):
    length = RunLength(epochs, steps, 16, whole, later)
    of_each = [length.steps_in(epoch) for epoch in range(epochs)]
    assert of_each == [steps] * min(whole, epochs) + [later] * max(epochs - whole, 0)
    assert length.steps == sum(of_each) == length.in_steps("100%") == length.in_steps(f"{epochs} epochs")
    for epoch in range(epochs):
        before = length.steps_before(epoch)
        assert before == sum(of_each[:epoch]) == length.unbounded_steps(f"{epoch} epochs")
        assert length.epochs_at(before) == pytest.approx(epoch)
        assert length.steps_at(epoch + 0.5) == pytest.approx(before + of_each[epoch] / 2)
        rest = length.part(epoch, epochs - epoch)
        assert [rest.steps_in(one) for one in range(rest.epochs)] == of_each[epoch:]
