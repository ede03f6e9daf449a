"""What every optimizer shares: the scheduled learning rate, and which weights decay."""

from typing import TYPE_CHECKING, Any

from malaria_exp.training.learning_rate_multiplier import Multiplier

if TYPE_CHECKING:
    import keras

# Weight decay of biases and of a normalization's scale and offset does not regularize; it only distorts them.
NOT_DECAYED = ["bias", "gamma", "beta", "scale"]


def scheduled(learning_rate: float, multiplier: Multiplier) -> "keras.optimizers.schedules.LearningRateSchedule":
    """Returns the Keras schedule step -> learning_rate * multiplier(step)."""
    import keras

    class ScheduledRate(keras.optimizers.schedules.LearningRateSchedule):
        """The optimizer's learning rate times the schedule's multiplier."""

        def __call__(self, step: Any) -> Any:
            return learning_rate * multiplier(step)

        def get_config(self) -> dict[str, Any]:
            return {"learning_rate": learning_rate}

    return ScheduledRate()


def spare_norms_and_biases(optimizer: "keras.optimizers.Optimizer") -> "keras.optimizers.Optimizer":
    """Returns the optimizer, its weight decay kept off biases and normalizations; it must not be built yet."""
    optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer
