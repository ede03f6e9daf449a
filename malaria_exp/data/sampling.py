"""Which of the training cells an epoch's batches hold: what the options of the group `sampling` build."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from malaria_exp.config.durations import RunLength
from malaria_exp.utils.errors import DataError

# Takes the candidates int64 (n,), places among the training cells; the latest loss of each, float32 (n,), nan of a cell that was not trained
# on yet; how many cells the epoch holds; and its random numbers. Returns how often the epoch holds each candidate, int64 (n,), of that sum.
Choose = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], np.ndarray]


@dataclass(frozen=True, eq=False)
class Sampling:
    """Which of the training cells an epoch holds, and what they weigh.

    Attributes:
        choose: see Choose; None: every cell once.
        weights: of the cells in the loss, float32 (N,), mean 1; None where all weigh the same.
        by_loss: whether `choose` looks at losses. An epoch's cells are then known only when the epoch before is done.
        whole_epochs: how many epochs hold as many cells as there are, before they get shorter; None: all of them.
        whole_steps: batches that those epochs hold at least; of few cells more epochs are whole.
        fraction: of the cells that each later epoch holds.
    """

    choose: Choose | None = None
    weights: np.ndarray | None = None
    by_loss: bool = False
    whole_epochs: int | None = None
    whole_steps: int = 0
    fraction: float = 1.0

    def weighted(self, weights: np.ndarray | None) -> "Sampling":
        """Returns the sampling with what the data says each training cell weighs, float32 (N,), multiplied in; None changes nothing.

        Raises:
            DataError: all weigh nothing.
        """
        if weights is None:
            return self
        product = weights if self.weights is None else self.weights * weights
        if not product.sum() > 0:
            raise DataError("dataset.csv: every training cell has the weight 0; expected at least one above it.")
        return replace(self, weights=(product / product.mean()).astype(np.float32))

    def later_cells(self, cells: int, least: int) -> int:
        """Returns how many of so many cells an epoch after the whole ones holds, at least as many as make a batch."""
        return min(max(int(cells * self.fraction), least), cells)

    def length(self, epochs: int, cells: int, copies: int, batch_size: int) -> RunLength:
        """Returns the length of a run over so many cells, each `copies` times in an epoch."""
        later = self.later_cells(cells, -(-batch_size // copies)) * copies // batch_size
        steps = cells * copies // batch_size
        whole = None if self.whole_epochs is None else max(self.whole_epochs, -(-self.whole_steps // steps))
        return RunLength(epochs, steps, batch_size, whole, later)


UNIFORM = Sampling()


class EpochCells:
    """How often each epoch holds each of some candidates; depends on nothing but (seed, epoch, losses).

    Args:
        sampling: see Sampling.
        candidates: int64 (n,), places among the training cells.
        seed: of the run.
        whole_epochs: see RunLength.
        least: cells that make a batch.
        stream: number of the worker, which draws other numbers than the next.

    Attributes:
        losses: the latest loss of each training cell, float32 (N,), nan before it has one; whoever trains keeps them up to date.
    """

    def __init__(
        self,
        sampling: Sampling,
        candidates: np.ndarray,
        losses: np.ndarray,
        *,
        seed: int,
        whole_epochs: int | None,
        least: int,
        stream: int = 0,
    ) -> None:
        self.sampling, self.candidates, self.losses = sampling, candidates, losses
        self._seed, self._whole_epochs, self._least, self._stream = seed, whole_epochs, least, stream

    def times(self, epoch: int) -> np.ndarray:
        """Returns how often an epoch holds each candidate, int64 (n,)."""
        sampling, total = self.sampling, len(self.candidates)
        whole = self._whole_epochs is None or epoch < self._whole_epochs
        if sampling.choose is None:
            return np.ones(total, np.int64)
        count = total if whole else sampling.later_cells(total, self._least)
        rng = np.random.default_rng([self._seed, int(epoch), self._stream])
        return sampling.choose(self.candidates, self.losses[self.candidates], count, rng)
