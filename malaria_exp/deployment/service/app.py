"""The service's addresses: predictions, explanations, what is served, signs of life, numbers, and the page."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import FiniteFloat
from starlette.exceptions import HTTPException

from malaria_exp.deployment.deployed_model import DeployedModel
from malaria_exp.deployment.explanations.occlusion import MEANING, draw_map, occlusion_map
from malaria_exp.deployment.service.answers import (
    EXAMPLE,
    USE,
    ErrorAnswer,
    ModelAnswer,
    PredictAnswer,
    State,
    TogetherAnswer,
    cell_answer,
    model_answer,
    predict_answer,
    together_answer,
)
from malaria_exp.deployment.service.cells import cells_of
from malaria_exp.deployment.service.guard import Guard
from malaria_exp.deployment.service.limits import ServiceError, Settings
from malaria_exp.deployment.service.metrics import Metrics
from malaria_exp.deployment.service.uploads import Held, uploads
from malaria_exp.deployment.service.worker import Explain, Found, Worker
from malaria_exp.evaluation.reports.templates import STYLE
from malaria_exp.utils.version import __version__

PAGE = Path(__file__).parent / "page"
KINDS = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
# Images scored in one call for an explanation; cells that come meanwhile wait for one such call.
EXPLAIN_BATCH = 16
STOP_SECONDS = 20.0
# Of which is told whether they look like the training data together.
MOST_CELLS = 1_000_000_000

FILES = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "description": "PNG, JPEG, TIFF, BMP or WebP images of single cells, or zips of them.",
                    }
                },
            }
        }
    },
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": text, "content": {"application/json": {"example": {"error": text}}}}
    for status, text in {
        400: "The request is damaged or has no file.",
        401: "The token is missing or wrong.",
        408: "The request came too slowly.",
        413: "The request is too large.",
        415: "The request is no multipart/form-data.",
        429: "The service is busy; Retry-After says when to try again.",
        503: "No answer in time.",
    }.items()
}


def make_app(model: DeployedModel, digest: str, settings: Settings) -> FastAPI:
    """Returns the service of a model, an ASGI application.

    Args:
        model: is called in one thread.
        digest: SHA-256 of its file.
        settings: how it is run.
    """
    facts, limits, drawer = model.facts, settings.limits, settings.drawer
    metrics, held = Metrics(), Held()
    worker = Worker(model, limits, metrics.batch.observe)
    metrics.waiting.set_function(lambda: worker.waiting)
    metrics.held.set_function(lambda: held.bytes)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        await asyncio.to_thread(worker.stop, STOP_SECONDS)

    # No pages of documentation: FastAPI's load their scripts from other hosts.
    app = FastAPI(
        title="malaria_exp", description=USE, version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan, redirect_slashes=False
    )
    app.add_middleware(Guard, token=settings.token, hosts=settings.hosts, metrics=metrics)
    # Never changes; made once.
    about = model_answer(facts, digest, limits, drawer.meaning if drawer else MEANING)
    make_map: Explain = (lambda _, image: drawer.draw(image)) if drawer else _explain

    @app.post(
        "/predict",
        summary="Scores cells",
        responses={200: {"model": PredictAnswer, "content": {"application/json": {"example": EXAMPLE}}}, **REFUSALS},
        openapi_extra={"requestBody": FILES},
    )
    async def predict(request: Request) -> Response:
        async with uploads(request, held, limits) as files:
            # A zip's directory is read beside the event loop.
            zips = any(file.is_zip for file in files)
            cells = await asyncio.to_thread(cells_of, files, limits) if zips else cells_of(files, limits)
            found = await _unless_gone(request, worker.score(cells))
        answers = [cell_answer(facts, cell.file, one) for cell, one in zip(cells, found, strict=True) if not isinstance(one, bytes)]
        bad = sum(answer["score"] is None for answer in answers)
        metrics.cells.labels("refused").inc(bad)
        metrics.cells.labels("scored").inc(len(answers) - bad)
        metrics.unlike.inc(sum(answer["looks_like_training_data"] is False for answer in answers))
        scores = [one for one in found if not isinstance(one, bytes)]
        return JSONResponse(predict_answer(facts, digest, answers, scores))

    @app.get(
        "/together",
        summary="Tells whether the cells of several requests together look like those of a patient of the training data",
        responses={200: {"model": TogetherAnswer}, 400: REFUSALS[400], 401: REFUSALS[401], 422: {"model": ErrorAnswer}},
    )
    async def of_several(
        count: Annotated[int, Query(ge=1, le=MOST_CELLS, description="Number of scored cells.")],
        log_sums: Annotated[list[FiniteFloat], Query(description="ood_log_sums of the requests, added up.")] = [],  # noqa: B006 - never changed
    ) -> Response:
        return JSONResponse(together_answer(facts, log_sums, count))

    @app.post(
        "/explain",
        summary="Shows which places of a cell its score depends on",
        responses={200: {"content": {"image/png": {}}, "description": "The cell with its map, a PNG."}, **REFUSALS},
        openapi_extra={"requestBody": FILES},
        response_class=Response,
    )
    async def explain(request: Request) -> Response:
        async with uploads(request, held, limits) as files:
            if len(files) != 1 or files[0].is_zip:
                raise ServiceError(400, "One cell is explained at a time: send one image.")
            found = (await _unless_gone(request, worker.score(cells_of(files, limits), make_map)))[0]
        if not isinstance(found, bytes):
            raise ServiceError(400, found.error)
        return Response(found, media_type="image/png")

    @app.get("/model", summary="Tells what is served", responses={200: {"model": ModelAnswer}})
    async def served() -> Response:
        return JSONResponse(about)

    @app.get("/health", summary="Tells whether the service lives", responses={200: {"model": State}, 503: {"model": State}})
    async def health() -> Response:
        return JSONResponse({"status": "ok"} if worker.alive else {"status": "the worker has ended"}, 200 if worker.alive else 503)

    @app.get("/ready", summary="Tells whether a request would be taken now", responses={200: {"model": State}, 503: {"model": State}})
    async def ready() -> Response:
        if not worker.alive or worker.waiting >= limits.waiting:
            return JSONResponse({"status": "busy" if worker.alive else "stopping"}, 503)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", summary="The service's numbers for Prometheus", response_class=Response)
    async def numbers() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    _add_page(app)

    @app.exception_handler(ServiceError)
    async def refuse(_: Request, error: ServiceError) -> Response:
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        if error.status == 408:
            headers["Connection"] = "close"
        return JSONResponse({"error": error.message}, error.status, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def no_such_value(_: Request, error: RequestValidationError) -> Response:
        return JSONResponse({"error": "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())}, 422)

    @app.exception_handler(HTTPException)
    async def no_such_thing(_: Request, error: HTTPException) -> Response:
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)

    return app


def _add_page(app: FastAPI) -> None:
    content = {path.name: (path.read_bytes(), KINDS[path.suffix]) for path in (STYLE, *PAGE.iterdir()) if path.suffix in KINDS}

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return Response(content["index.html"][0], media_type=KINDS[".html"])

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in content:
            raise HTTPException(404)
        return Response(content[name][0], media_type=content[name][1])


def _explain(score: Any, image: np.ndarray) -> bytes:
    return draw_map(image, occlusion_map(score, image, batch_size=EXPLAIN_BATCH))


async def _unless_gone(request: Request, work: Coroutine[Any, Any, list[Found]]) -> list[Found]:
    """Returns the work's result, or gives it up when the client closes the connection."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task, leaving = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ServiceError(400, "The connection was closed before the answer.")
    finally:
        for one in (task, leaving):
            one.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
