"""The plots that a run draws after every epoch. Training waits for them, so what is the same in all of them is drawn once."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from malaria_exp.evaluation.metrics import Ranking
from malaria_exp.evaluation.plots.results import CROWDED, confusion_matrix, matrix_cells, roc
from malaria_exp.evaluation.plots.style import png_bytes
from malaria_exp.evaluation.thresholds import HALF

DPI = 100
# Higher levels take much more time for slightly smaller files.
COMPRESSION = 1


class EpochPlots:
    """Draws the confusion matrix at .5 and the ROC curve of the validation cells; the same pictures as those of `results`, at 100 dpi.

    Args:
        leaky: stamps LEAKY across them.
    """

    def __init__(self, *, leaky: bool) -> None:
        self.leaky = leaky
        self._matrix: _Redrawn | None = None
        self._rocs: dict[bool, _Redrawn] = {}

    def confusion_matrix(self, labels: np.ndarray, scores: np.ndarray) -> bytes:
        """Returns the PNG of the four counts, see `results.confusion_matrix`."""
        if self._matrix is None:
            figure = confusion_matrix(labels, scores, HALF, leaky=self.leaky)
            (axes,) = figure.axes
            self._matrix = _Redrawn(figure, [*axes.images, *axes.texts])
        (axes,) = self._matrix.figure.axes
        fractions, cells = matrix_cells(labels, scores, HALF)
        axes.images[0].set_data(fractions)
        written = [(content, color) for *contents, color in cells.values() for content in contents]
        for text, (content, color) in zip(axes.texts, written, strict=True):
            text.set(text=content, color=color)
        return self._matrix.png()

    def roc(self, labels: np.ndarray, scores: np.ndarray) -> bytes:
        """Returns the PNG of the curve, see `results.roc`."""
        ranking = Ranking(labels, scores)
        tp, fp = ranking.curve()
        if not (tp[-1] and fp[-1]):
            return png_bytes(roc(labels, scores, leaky=self.leaky))
        auc = float(ranking.auc_and_average_precision()[0])
        crowded = auc > CROWDED
        if crowded not in self._rocs:
            figure = roc(labels, scores, leaky=self.leaky)
            (axes,) = figure.axes
            lines = [view.lines[0] for view in (axes, *axes.child_axes)]
            self._rocs[crowded] = _Redrawn(figure, [*lines, axes.get_legend()])
        drawn = self._rocs[crowded]
        (axes,) = drawn.figure.axes
        for view in (axes, *axes.child_axes):
            view.lines[0].set_data(np.append(0, fp / fp[-1]), np.append(0, tp / tp[-1]))
        if legend := axes.get_legend():
            legend.get_texts()[0].set_text(f"AUC {auc:.3f}")
        return drawn.png()


class _Redrawn:
    """A figure that is drawn again and again while a few of its artists change.

    Args:
        figure: as it is first; the layout stays.
        changing: the artists that are drawn anew each time, in this order; the LEAKY stamp comes after them.
    """

    def __init__(self, figure: Figure, changing: Sequence[Artist | None]) -> None:
        self.figure = figure
        self.changing = [artist for artist in (*changing, *figure.texts) if artist is not None]
        figure.set_dpi(DPI)
        self.canvas = FigureCanvasAgg(figure)
        for artist in self.changing:
            artist.set_animated(True)
        self.canvas.draw()
        # Without the animated artists, which a canvas does not draw by itself.
        self.background = self.canvas.copy_from_bbox(figure.bbox)

    def png(self) -> bytes:
        """Returns the figure as it is now."""
        self.canvas.restore_region(self.background)
        renderer = self.canvas.get_renderer()
        for artist in self.changing:
            artist.draw(renderer)
        out = io.BytesIO()
        Image.fromarray(np.asarray(self.canvas.buffer_rgba())[..., :3]).save(out, "PNG", compress_level=COMPRESSION)
        return out.getvalue()
