"""What every optimizer shares: the scheduled learning rate, and which weights decay."""

from typing import TYPE_CHECKING, Any

from malaria_exp.training.learning_rate_multiplier import Multiplier

if TYPE_CHECKING:
    import keras

# Decaying the scale and offset of a normalization, or a bias, regularizes nothing and only pulls them off.
NOT_DECAYED = ["bias", "gamma", "beta", "scale"]


def scheduled(learning_rate: float, factor: Multiplier) -> "keras.optimizers.schedules.LearningRateSchedule":
    """Returns the Keras schedule step -> learning_rate * factor(step)."""
    import keras

    class ScheduledRate(keras.optimizers.schedules.LearningRateSchedule):
        """The optimizer's learning rate times the schedule's factor."""

        def __call__(self, step: Any) -> Any:
            return learning_rate * factor(step)

        def get_config(self) -> dict[str, Any]:
            return {"learning_rate": learning_rate}

    return ScheduledRate()


def spare_norms_and_biases(optimizer: "keras.optimizers.Optimizer") -> "keras.optimizers.Optimizer":
    """Returns the optimizer, its weight decay kept off biases and normalizations; it must not be built yet."""
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer
