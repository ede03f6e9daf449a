"""The worker: one thread that decodes and scores the waiting cells of all requests, in small batches and in turn, so that a large request keeps none waiting.

Micro-batches: a batch is what can be decoded within `GATHER_SECONDS`, at most `BATCH` cells. Nothing is waited for: a cell that comes alone is
scored alone, at once.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from malaria_exp.data.cell_table import BadImageError
from malaria_exp.data.decode import decode
from malaria_exp.data.resize import resize
from malaria_exp.deployment.deployed_model import DeployedModel
from malaria_exp.deployment.score_images import ImageScore, image_score
from malaria_exp.deployment.service.cells import Cell
from malaria_exp.deployment.service.limits import PIXELS, Limits, ServiceError
from malaria_exp.utils.terminal_log import log

GATHER_SECONDS = 0.005
BATCH = 32
# Of the mean time that a cell takes, what the latest batch counts.
LATEST = 0.1


# What the worker finds of a cell: its score, or why there is none; of one that is explained what `explain` makes of it.
Found = ImageScore | bytes
# From the model's scores of images and a cell as the model takes it, uint8 (size, size, 3), to an explanation.
Explain = Callable[[Callable[[np.ndarray], np.ndarray], np.ndarray], bytes]


class _Job:
    """The cells of a request, and what has been found of them."""

    def __init__(self, cells: list[Cell], explain: Explain | None) -> None:
        self.waiting = deque(enumerate(cells))
        self.found: list[Any] = [None] * len(cells)
        self.left = len(cells)
        self.explain = explain
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[list[Found]] = self.loop.create_future()

    def note(self, place: int, found: Found) -> None:
        self.found[place] = found
        self.left -= 1
        if not self.left:
            self.tell(lambda: self.future.set_result(self.found))

    def fail(self) -> None:
        self.tell(lambda: self.future.set_exception(ServiceError(500, "The service failed on this request; its log says why.")))

    def tell(self, finish: Callable[[], None]) -> None:
        def told() -> None:
            # A request that was given up has cancelled it.
            if not self.future.done():
                finish()

        # When the server is gone, so is its loop.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(told)


class Worker:
    """Scores cells in a thread of its own.

    Args:
        model: is called in that thread only.
        limits: how many cells may wait.
        on_batch: told the number of cells in each batch.
    """

    def __init__(self, model: DeployedModel, limits: Limits, on_batch: Callable[[int], object] = int) -> None:
        self._model, self._limits, self._on_batch = model, limits, on_batch
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._pace = 0.001
        self._thread = threading.Thread(target=self._run, name="scores", daemon=True)
        self.waiting = 0

    @property
    def alive(self) -> bool:
        """Whether it takes cells."""
        return self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        """Starts the thread; the model is called once before, as the first call of many runtimes is slow."""
        size = self._model.facts.rule.size
        self._model(np.zeros((1, size, size, 3), np.uint8))
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Lets it finish what waits, for so many seconds at most, and ends it."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(seconds)

    async def score(self, cells: list[Cell], explain: Explain | None = None) -> list[Found]:
        """Returns what is found of each cell.

        Args:
            cells: of one request.
            explain: instead of its scores, each cell gets what this makes of the model's scores and the cell as the model takes it.

        Raises:
            ServiceError: too many cells wait already (429), or it took too long (503).
        """
        job = _Job(cells, explain)
        with self._changed:
            if self.waiting + len(cells) > self._limits.waiting:
                seconds = max(1, round(self.waiting * self._pace))
                raise ServiceError(429, f"The service is busy: {self.waiting:,} cells wait. Try again in {seconds} s.", retry_after=seconds)
            self.waiting += len(cells)
            self._jobs.append(job)
            self._changed.notify()
        try:
            async with asyncio.timeout(self._limits.seconds):
                return await job.future
        except TimeoutError:
            raise ServiceError(503, f"No answer within {self._limits.seconds:g} s. Try again, with fewer files.", retry_after=5) from None
        finally:
            # Of a request that was given up, nothing more is scored.
            self._drop(job)

    def _run(self) -> None:
        # For the small products of a resize, threads of BLAS cost more than they bring.
        with threadpool_limits(1, user_api="blas"):
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._jobs or self._stopping)
                    if not self._jobs:
                        return
                self._step()

    def _step(self, *, explaining: bool = False) -> None:
        """Scores a batch of what waits, or explains a cell; while one is explained only scores."""
        start, taken = time.perf_counter(), 0
        batch: list[tuple[_Job, int, np.ndarray]] = []
        while len(batch) < BATCH and (not taken or time.perf_counter() - start < GATHER_SECONDS):
            turn = self._take(explained=not explaining and not batch)
            if turn is None:
                break
            job, place, cell = turn
            taken += 1
            try:
                image = resize(decode(cell.read(), PIXELS), self._model.facts.rule)
            except BadImageError as error:
                job.note(place, ImageScore(error=" ".join(str(error).split())))
            except Exception as error:  # noqa: BLE001 - the worker has to outlive whatever a file does
                self._failed([job], error)
            else:
                if job.explain:
                    self._explain(job, job.explain, place, image)
                    return
                batch.append((job, place, image))
        if batch:
            self._score(batch)
        if taken:
            self._pace += LATEST * ((time.perf_counter() - start) / taken - self._pace)

    def _take(self, *, explained: bool) -> tuple[_Job, int, Cell] | None:
        """Takes the next cell of the request whose turn it is, and puts the request behind the others; None if there is none.

        Args:
            explained: whether it may be one that is to be explained.
        """
        with self._changed:
            for _ in range(len(self._jobs)):
                job = self._jobs.popleft()
                if not job.waiting:
                    continue
                if job.explain and not explained:
                    self._jobs.append(job)
                    continue
                place, cell = job.waiting.popleft()
                self.waiting -= 1
                if job.waiting:
                    self._jobs.append(job)
                return job, place, cell
        return None

    def _score(self, batch: list[tuple[_Job, int, np.ndarray]]) -> None:
        try:
            scores = self._model(np.stack([image for _, _, image in batch]))
        except Exception as error:  # noqa: BLE001 - as above
            self._failed([job for job, _, _ in batch], error)
            return
        self._on_batch(len(batch))
        for (job, place, _), score, ood in zip(batch, scores.score, scores.ood, strict=True):
            if np.isfinite(score):
                job.note(place, image_score(self._model.facts, float(score), ood))
            else:
                job.note(place, ImageScore(error="the model gives no number for it"))

    def _explain(self, job: _Job, explain: Explain, place: int, image: np.ndarray) -> None:
        def score(images: np.ndarray) -> np.ndarray:
            # An explanation takes hundreds of scores; cells that come meanwhile are scored in between.
            self._step(explaining=True)
            return self._model(images).score

        try:
            job.note(place, explain(score, image))
        except Exception as error:  # noqa: BLE001 - as above
            self._failed([job], error)

    def _failed(self, jobs: list[_Job], error: Exception) -> None:
        log.error("A request failed; the lines below belong into a bug report.", exc_info=error)
        for job in jobs:
            self._drop(job)
            job.fail()

    def _drop(self, job: _Job) -> None:
        with self._changed:
            self.waiting -= len(job.waiting)
            job.waiting.clear()
