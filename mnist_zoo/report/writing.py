"""The files of the report: one folder, in which nothing but the report's own files is replaced."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from mnist_zoo.errors import InputError
from mnist_zoo.files import write_atomically
from mnist_zoo.plots.style import FIGURE_DPI
from mnist_zoo.runs import DamagedFile

DEFAULT = "report"  # folder in the first of the folders
FIGURES = "figures"
LARGEST_PLOT = 20 * 1024**2  # bytes of a plot in the folder of a study
MOST_PIXELS = 20_000_000


class Output:
    """The folder of a report. Symbolic links in it are not followed: a run folder of somebody else may contain some.

    Args:
        folders: of the report; it is written to ``report/`` in the first by default.
        out: folder to write to instead, which may be a link.

    Raises:
        InputError: if the folder cannot be written to.
    """

    def __init__(self, folders: list[Path], out: Path | None):
        self.folder = folders[0] / DEFAULT if out is None else out
        self._links_allowed = out is not None
        try:
            if not self._links_allowed:
                self._refuse_link(self.folder)
            self._refuse_link(self.folder / FIGURES)
            (self.folder / FIGURES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot write to {self.folder} ({error.strerror}): choose another folder with --out DIR"
            ) from error
        self._names: set[str] = set()

    def write(self, name: str, content: bytes | str) -> None:
        """Replace a file of the report."""
        self._refuse_link(self.folder / name)
        write_atomically(self.folder / name, content)

    def free_name(self, name: str) -> str:
        """Return a name for a table, numbered from the second table of this name on."""
        number, free = 1, name
        while free in self._names:
            number += 1
            free = f"{name}-{number}"
        self._names.add(free)
        return free

    @staticmethod
    def _refuse_link(path: Path) -> None:
        if path.is_symlink():
            raise InputError(f"{path} is a symbolic link: remove it, or choose another folder with --out DIR")


def png(figure: Figure) -> bytes:
    """Return a plot as PNG. Texts that leave no room for the axes, such as an endless name of a model, overlap them."""
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        figure.savefig(picture, format="png", dpi=FIGURE_DPI, bbox_inches="tight", pad_inches=0.08)
    return picture.getvalue()


def checked_png(path: Path, cure: str) -> bytes:
    """Return the pixels of a PNG file as a new PNG file, without whatever else the file may hold.

    Args:
        path: of the file.
        cure: what to do if it is damaged.

    Raises:
        DamagedFile: if it is not a PNG file of at most `LARGEST_PLOT` bytes, or is a symbolic link.
    """
    if path.is_symlink() or not path.is_file():
        raise DamagedFile(path, "it is not a regular file", cure)
    if path.stat().st_size > LARGEST_PLOT:
        raise DamagedFile(path, f"it is larger than {LARGEST_PLOT // 1024**2} MB", cure)
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DamagedFile(path, f"it has {image.width} x {image.height} pixels", cure)
            copy = io.BytesIO()
            image.convert("RGB").save(copy, format="PNG")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DamagedFile(path, "it is not a PNG image", cure) from error
    return copy.getvalue()
