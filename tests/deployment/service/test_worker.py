"""The worker: whose cell comes when, and in what batches."""

import asyncio
import threading

import numpy as np
import pytest
from conftest import png_bytes
from tiny_bundle import cell, score_of

from malaria_exp.deployment.service import worker as module
from malaria_exp.deployment.service.cells import Cell
from malaria_exp.deployment.service.limits import Limits, ServiceError
from malaria_exp.deployment.service.worker import Worker

NORMAL = Limits()


def cells(*reds):
    return [Cell(f"{red}.png", lambda red=red: png_bytes(cell(red))) for red in reds]


class _Watched:
    """A model that notes the red of all cells, batch by batch, and begins only when it is told."""

    def __init__(self, model):
        self.facts, self.model, self.batches, self.begin = model.facts, model, [], threading.Event()

    def __call__(self, images):
        self.begin.wait(20) if images.any() else None
        self.batches.append(images[:, 0, 0, 0].tolist())
        return self.model(images)


@pytest.fixture
def run(model, monkeypatch):
    """run(coroutine function of a worker and its model, limits) -> what it returns; batches are not cut short by the clock."""
    monkeypatch.setattr(module, "GATHER_SECONDS", 60)

    def start(main, limits=NORMAL):
        watched = _Watched(model)
        worker = Worker(watched, limits)
        worker.start()
        watched.batches.clear()
        try:
            return asyncio.run(main(worker, watched))
        finally:
            watched.begin.set()
            worker.stop(10)
            assert not worker.alive and not worker.waiting

    return start


async def _soon(*coroutines):
    """Starts coroutines, one after the other, and returns their tasks."""
    tasks = []
    for coroutine in coroutines:
        tasks.append(asyncio.ensure_future(coroutine))
        await asyncio.sleep(0.05)
    return tasks


def test_requests_take_turns_and_share_batches(run, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 4)

    async def main(worker, model):
        tasks = await _soon(
            worker.score(cells(1)), worker.score(cells(*range(10, 19))), worker.score(cells(30)), worker.score(cells(40, 41))
        )
        model.begin.set()
        return await asyncio.gather(*tasks), model.batches

    found, batches = run(main)
    # The first was taken at once and alone; then one of each in turn, so that the large request does not hold up the small ones.
    assert batches == [[1], [10, 30, 40, 11], [41, 12, 13, 14], [15, 16, 17, 18]]
    assert [one.score for one in found[1]] == pytest.approx([score_of(red) for red in range(10, 19)], abs=1e-5)


def test_what_is_given_up_is_not_scored(run, monkeypatch):
    monkeypatch.setattr(module, "BATCH", 2)

    async def main(worker, model):
        first, second = await _soon(worker.score(cells(1)), worker.score(cells(*range(10, 20))))
        second.cancel()
        await asyncio.sleep(0)
        assert worker.waiting == 0
        model.begin.set()
        await first
        await worker.score(cells(3))
        return model.batches

    assert run(main) == [[1], [3]]


def test_a_full_queue_refuses_whole_requests(run):
    async def main(worker, model):
        (first,) = await _soon(worker.score(cells(1)))
        (second,) = await _soon(worker.score(cells(2, 3)))
        with pytest.raises(ServiceError) as refused:
            await worker.score(cells(4, 5))
        assert refused.value.status == 429 and refused.value.retry_after >= 1
        (third,) = await _soon(worker.score(cells(4)))
        model.begin.set()
        return [len(found) for found in await asyncio.gather(first, second, third)]

    assert run(main, Limits(waiting=3)) == [1, 2, 1]


def test_cells_that_come_during_an_explanation_do_not_wait_for_its_end(run):
    async def main(worker, model):
        model.begin.set()
        started, order = threading.Event(), []

        def explain(score, image):
            started.set()
            for _ in range(200):
                score(np.stack([image]))
                if "scored" in order:
                    break
            order.append("explained")
            return b"map"

        def noted(task):
            order.append("scored")

        first = asyncio.ensure_future(worker.score(cells(1), explain))
        again = asyncio.ensure_future(worker.score(cells(2), explain))
        while not started.is_set():
            await asyncio.sleep(0.001)
        scored = asyncio.ensure_future(worker.score(cells(3)))
        scored.add_done_callback(noted)
        assert await asyncio.gather(first, again) == [[b"map"], [b"map"]]
        await scored
        return order

    assert run(main)[:2] == ["scored", "explained"]


def test_whatever_a_file_does_the_worker_lives_on(run):
    def breaks():
        raise MemoryError

    async def main(worker, model):
        model.begin.set()
        with pytest.raises(ServiceError, match="failed"):
            await worker.score([*cells(1), Cell("x", breaks), *cells(2)])
        return await worker.score(cells(100))

    assert run(main)[0].score == pytest.approx(score_of(100), abs=1e-5)
