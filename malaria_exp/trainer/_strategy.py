"""How the work of a step is divided among devices."""

from typing import TYPE_CHECKING, Any

from malaria_exp.batches import Batches
from malaria_exp.trainer._settings import StrategyName

if TYPE_CHECKING:
    import tensorflow as tf


def open_strategy(name: StrategyName) -> "tf.distribute.Strategy":
    """Returns the strategy in whose scope the net is built and trained."""
    import tensorflow as tf

    return tf.distribute.get_strategy()


def distributed(batches: Batches, strategy: "tf.distribute.Strategy", epoch: int = 0) -> Any:
    """Returns the batches from an epoch on, each divided among the strategy's replicas."""
    return batches.dataset(start_epoch=epoch)
