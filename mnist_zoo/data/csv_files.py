"""CSV files as Kaggle's Digit Recognizer has them: ``label,pixel0,...,pixel783`` in each row."""

from __future__ import annotations

import gzip
import io
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from mnist_zoo.data.reading import MAX_BYTES, require_file
from mnist_zoo.data.sources import ImageSet, register_dataset
from mnist_zoo.data.split import stratified_split
from mnist_zoo.errors import InputError

COLUMNS = 1 + 28 * 28
DELIMITERS = (",", ";", "\t", None)  # None: spaces
LONGEST_LINE = 100_000  # characters; a row of 785 numbers has a few thousand
ROWS = 500  # that are parsed at once
TEST_SHARE = 7  # without test_csv every seventh row is for testing, MNIST's own share

Line = tuple[int, str]  # its number in the file, counted from 1, and its text


@register_dataset("csv")
def csv_files(root: Path, train_csv: str | None = None, test_csv: str | None = None) -> ImageSet:
    """Return the images of two CSV files. `root` is not used.

    Without `test_csv`, a seventh of the rows (MNIST's own share) is the test set, in a fixed stratified split.

    Raises:
        InputError: if a file is missing or malformed; the message names the file and, where possible, the line.
    """
    if train_csv is None:
        raise InputError("data=csv needs data.train_csv=FILE (and optionally data.test_csv=FILE)")
    images, labels = read_csv(Path(train_csv))
    if test_csv is not None:
        return ImageSet(images, labels, *read_csv(Path(test_csv)))
    train, test = stratified_split(labels, round(len(labels) / TEST_SHARE), seed=0)
    return ImageSet(images[train], labels[train], images[test], labels[test])


def read_csv(path: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return images uint8 ``(N, 28, 28)`` and labels uint8 ``(N,)``.

    The file may be gzipped, in UTF-8 or UTF-16, with commas, semicolons, tabs or spaces between the values, with
    quotes, with or without a header. Values are integers 0-255, also when they are written as ``7.0``.

    Raises:
        InputError: if the file is missing or malformed; the message names the file and, where possible, the line.
    """
    require_file(path, "name the CSV with data.train_csv=FILE and data.test_csv=FILE")
    try:
        with _open_text(path) as file:
            blocks = list(_blocks(path, _lines(path, file)))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): download or write it again") from error
    if not blocks:
        raise InputError(f"{path}: there are no rows after the header")
    rows = np.concatenate(blocks)
    return rows[:, 1:].reshape(-1, 28, 28), rows[:, 0]


@contextmanager
def _open_text(path: Path) -> Iterator[TextIO]:
    """Open a file, gzipped or not, in the encoding that its first bytes show."""
    with path.open("rb") as raw:
        start = raw.peek(4)
        if start.startswith(b"PK\3\4"):
            raise InputError(f"{path} is a zip archive: unpack it, and name the CSV in it")
        with gzip.GzipFile(fileobj=raw) if start.startswith(b"\x1f\x8b") else raw as plain:
            # Bytes that are invalid in this encoding become escapes, which are no numbers.
            encoding = _encoding(plain.peek(4)[:4])
            with io.TextIOWrapper(plain, encoding, errors="backslashreplace") as file:
                yield file


def _encoding(start: bytes) -> str:
    """Return the encoding of a text from its first bytes. It must start with an ASCII character or a BOM."""
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in start[:2]:
        return "utf-16-be" if start.startswith(b"\0") else "utf-16-le"
    return "utf-8-sig"


def _lines(path: Path, file: TextIO) -> Iterator[Line]:
    """Yield the lines that are not empty."""
    number = 0
    while text := file.readline(LONGEST_LINE):
        number += 1
        if len(text) == LONGEST_LINE:
            raise InputError(f"{path}, line {number}: it has {LONGEST_LINE:,} characters or more: this is not a row")
        if stripped := text.strip():
            # Some characters outside ASCII crash the process in numpy 2.4's parser of integers.
            yield number, stripped if text.isascii() else stripped.encode("ascii", "backslashreplace").decode()


def _blocks(path: Path, lines: Iterator[Line]) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the rows, uint8 ``(M, 785)``, a few hundred at a time."""
    first = next(lines, None)
    if first is None:
        raise InputError(f"{path} is empty")
    text = first[1]
    delimiter = max(DELIMITERS, key=lambda each: len(text.split(each)))
    cells = _cells(text, delimiter)
    _check_first_line(path, cells)
    rest, read = chain([first] if _is_number(cells[0]) else [], lines), 0  # else the first line is a header
    while block := list(islice(rest, ROWS)):
        read += len(block)
        if read * COLUMNS > MAX_BYTES:
            raise InputError(f"{path} has more than {MAX_BYTES // COLUMNS:,} rows: divide it")
        yield _parse(path, block, delimiter)


def _check_first_line(path: Path, cells: Sequence[str]) -> None:
    """Raise InputError unless the first line names or holds a label and 784 pixels."""
    if len(cells) == COLUMNS - 1 and cells[0].lower() != "label":
        raise InputError(
            f"{path} has no labels: 784 columns, where a label and 784 pixels are expected. Kaggle's test.csv is such "
            f"a file, and cannot measure accuracy: without data.test_csv a seventh of data.train_csv is used instead"
        )
    if not _is_number(cells[0]) and cells[0].lower() != "label":
        raise InputError(f"{path}: the first line must be label,pixel0,...: it starts with '{cells[0][:20]}'")
    if len(cells) != COLUMNS:
        raise InputError(f"{path}: {len(cells) - 1} pixel columns; {COLUMNS - 1} (28x28) are expected")


def _parse(path: Path, block: Sequence[Line], delimiter: str | None) -> np.ndarray[Any, Any]:
    """Return some rows as uint8 ``(M, 785)``."""
    values: np.ndarray[Any, Any]
    for dtype in (np.uint8, np.float64):  # integers are parsed faster
        try:
            with warnings.catch_warnings(action="error"):  # numpy warns if it reads 7.5 as 7
                values = np.loadtxt(
                    [text for _, text in block], dtype, comments=None, delimiter=delimiter, quotechar='"', ndmin=2
                )
        except (ValueError, Warning):
            continue
        whole = (values >= 0) & (values <= 255) & (values == np.floor(values))  # false for NaN
        if values.shape == (len(block), COLUMNS) and whole.all() and (values[:, 0] <= 9).all():
            return values.astype(np.uint8)
    raise _problem(path, block, delimiter)


def _problem(path: Path, block: Sequence[Line], delimiter: str | None) -> InputError:
    """Return the error for the first line of a block that cannot be read."""
    for number, text in block:
        cells = _cells(text, delimiter)
        where = f"{path}, line {number}"
        if len(cells) != COLUMNS:
            return InputError(f"{where}: {len(cells)} columns; {COLUMNS} are expected (label and 28x28 pixels)")
        wrong = next((cell for cell in cells if not _is_number(cell)), None)
        if wrong is not None:
            return InputError(f"{where}: '{wrong[:20]}' is not a number")
        bad = next((cell for cell in cells[1:] if float(cell) not in range(256)), None)
        if bad is not None:
            return InputError(f"{where}: '{bad}' is not an integer 0-255 (pixels of 0-1 must be multiplied by 255)")
        if float(cells[0]) not in range(10):
            return InputError(f"{where}: label {cells[0]} is outside 0-9")
    return InputError(f"{path}, lines {block[0][0]}-{block[-1][0]}: they cannot be read as rows of numbers")


def _cells(text: str, delimiter: str | None) -> list[str]:
    """Return the values of a line without spaces and quotes around them."""
    return [cell.strip().strip('"').strip() for cell in text.split(delimiter)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
