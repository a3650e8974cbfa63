"""Reading the archives that ``torch.save`` writes, so that damage is noticed and no code runs.

``torch.load`` does not compare the checksums (CRC-32) that every archive holds: a flipped bit in a tensor gives other
weights without a word. `check_archive` reads the whole file once and compares them.
"""

from __future__ import annotations

import os
import pickle
import pickletools
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from mnist_zoo.errors import InputError
from mnist_zoo.weights.description import summary

CHUNK = 1 << 20  # bytes read at once
LARGEST_PICKLE = 64 << 20  # bytes of an archive's record of objects; that of a run has a few thousand
FOLDER_MARK = 0x10  # bit of a record's attributes
CURE = "use another copy of the file, or train again"


def check_archive(path: Path) -> None:
    """Read an archive once, and compare its records with their checksums.

    Raises:
        InputError: if a bit of its contents has changed, if it is not an archive that ``torch.save`` wrote, or if it
            was written without checksums.
    """
    if not path.is_file():  # a pipe would wait for ever
        raise InputError(f"{path} is not a file with a checkpoint")
    try:
        with zipfile.ZipFile(path) as archive:
            records = archive.infolist()
            _check_sizes(records, os.path.getsize(path))
            if any(record.file_size for record in records) and not any(record.CRC for record in records):
                raise InputError(
                    f"{path} was written without checksums (torch.serialization.set_crc32_options(False)), so that "
                    f"damage cannot be noticed: write it again with checksums"
                )
            for record in records:
                with archive.open(record) as content:  # the last read compares the checksum
                    while content.read(CHUNK):
                        pass
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except Exception as error:  # zipfile raises errors of many types for damaged files
        raise _damaged(path, error) from error


def _check_sizes(records: list[zipfile.ZipInfo], size: int) -> None:
    """Raise BadZipFile for records that ``torch.save`` never writes: compressed, marked, repeated, overlapping."""
    if any(
        record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size for record in records
    ):
        raise zipfile.BadZipFile("a compressed record")
    if any(r.external_attr & FOLDER_MARK for r in records):  # torch reads it as zeros
        raise zipfile.BadZipFile("a record marked as a folder")
    if sum(r.file_size for r in records) > size or len({r.filename for r in records}) < len(records):
        raise zipfile.BadZipFile("records overlap")
    if not any(record.filename.endswith("/data.pkl") for record in records):
        raise zipfile.BadZipFile("no record data.pkl")


def read_archive(path: Path) -> Any:
    """Return what ``torch.save`` wrote, with tensors on the CPU that stay in the file until they are used.

    Raises:
        InputError: as `check_archive`, or if the file contains code.
    """
    check_archive(path)
    try:
        _check_pickle(path)
        with warnings.catch_warnings(action="ignore"):  # torch warns about pickles of other programs
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        problem = f"asks to run {found[1]}" if found else "asks to run code"
        raise InputError(f"{path} {problem}: refused; a checkpoint may hold tensors, names and numbers only") from error
    except Exception as error:  # torch.load, too
        raise _damaged(path, error) from error


def _check_pickle(path: Path) -> None:
    """Raise UnpicklingError for a pickle that would take memory without end, though torch accepts it."""
    with zipfile.ZipFile(path) as archive:
        for record in archive.infolist():
            if not record.filename.endswith(".pkl"):
                continue
            if record.file_size > LARGEST_PICKLE:
                raise zipfile.BadZipFile(f"{record.file_size:,} bytes of objects other than tensors")
            for operation, argument, _ in pickletools.genops(archive.read(record)):
                if operation.name == "GLOBAL" and str(argument).split()[-1] == "bytearray":  # of any size
                    raise pickle.UnpicklingError("GLOBAL bytearray")


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged or not a checkpoint ({summary(error)}): {CURE}")
