"""What the service takes, and the errors by which it says no."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from malaria_exp.deployment.explanations.draw_one import Drawer

# Bytes of one image file: that of a cell has some ten thousand.
FILE_BYTES = 16_000_000
# Of a request, as uploaded, and of the images in it, unpacked.
REQUEST_BYTES = 32_000_000
UNPACKED_BYTES = 128_000_000
# Of all requests together that are in memory; more have to wait.
HELD_BYTES = 64_000_000
# An image of a cell has some hundred pixels a side. The largest takes about 100 MB while it is decoded.
PIXELS = 4_000_000
# A file in a zip may unpack to so many times its compressed size; images are compressed already, but for BMP and TIFF.
RATIO = 200
LONGEST_NAME = 200


@dataclass(frozen=True)
class Limits:
    """What a request may bring.

    Attributes:
        cells: images in a request.
        waiting: cells of all requests that wait to be scored.
        seconds: from a request's end to its answer.
    """

    cells: int = 2000
    waiting: int = 4000
    seconds: float = 60.0


@dataclass(frozen=True)
class Settings:
    """How the service is run.

    Attributes:
        token: that requests have to bring; None for none.
        hosts: names under which it may be asked for; None for any.
        limits: of requests.
        drawer: how maps of cells are drawn; None: by occlusion, whose many scores other requests need not wait for.
    """

    token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] | None = None
    limits: Limits = Limits()
    drawer: "Drawer | None" = None


class ServiceError(Exception):
    """A request that is refused.

    Attributes:
        status: of HTTP.
        message: for the user.
        retry_after: seconds after which trying again makes sense.
    """

    def __init__(self, status: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after
