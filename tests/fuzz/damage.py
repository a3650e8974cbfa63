"""Damage to files, from a seed: to their bytes or their meaning, or something else in their place."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Damage = Callable[[random.Random, Path], None]
JUNK: tuple[object, ...] = (None, True, "x", "", 7, -1, 0, 1e308, 10**400, [], {}, [[]], {"a": [None]}, "0.5",
                            float("nan"), float("inf"), "\x1b]0;title\x07\x1b[2J", "<script>alert(1)</script>",
                            "\u202eabc", "a\nb", "../../../etc/passwd", "/dev/zero", "x" * 100_000,
                            "\ud800")  # fmt: skip
TEXTS = (
    "",
    " ",
    "null",
    "[]",
    "7",
    '"x"',
    "{",
    "{}",
    "[" * 100_000,
    '{"a":' * 100_000,
    "\ufeff{}",
    "nan",
    "\x00" * 100,
    "- " * 3000,
    "a: &a [*a]",
    "!!python/object/apply:os.system ['touch hacked']",
    "\x1b[2J",
    "<b>",
    "%",
    "9" * 5000,
)
BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [" + ",".join([f"*{chr(97 + n)}"] * 9) + "]\n" for n in range(12)
)


# -- any file: its bytes -------------------------------------------------------------------------------------------


def flip(rng: random.Random, path: Path) -> None:
    """Flip one bit, or a few."""
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 1, 5])):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(rng: random.Random, path: Path) -> None:
    """Cut the end off, as a crash may do."""
    content = path.read_bytes()
    path.write_bytes(content[: rng.choice([0, 1, len(content) - 1, rng.randrange(len(content))])])


def overwrite(rng: random.Random, path: Path) -> None:
    """Replace a block by zeros or noise, or append one."""
    content = bytearray(path.read_bytes())
    start = rng.choice([0, len(content), rng.randrange(len(content))])
    size = rng.choice([1, 16, 512])
    content[start : start + size] = bytes(size) if rng.random() < 0.5 else rng.randbytes(size)
    path.write_bytes(content)


def noise(rng: random.Random, path: Path) -> None:
    """Replace everything by noise or by a text that is valid elsewhere."""
    path.write_bytes(rng.choice([rng.randbytes(rng.choice([1, 100, 5000])), *(text.encode() for text in TEXTS)]))


def replace(rng: random.Random, path: Path) -> None:
    """Put something else in the file's place: nothing, a folder, a pipe, or a link to nothing, itself or a device."""
    path.unlink()
    kind = rng.choice(
        ["nothing", "nothing", "folder", "full folder", "pipe", "loop", "dangling", "/dev/zero", "/dev/null"]
    )
    if "folder" in kind:
        path.mkdir()
        if kind == "full folder":
            (path / "x").write_text("x")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "nothing":
        path.symlink_to({"loop": path.name, "dangling": "nosuch"}.get(kind, kind))


# -- JSON, YAML and CSV: their meaning -----------------------------------------------------------------------------


def change_json(rng: random.Random, path: Path) -> None:
    """Change or delete one value of a JSON file, at any depth."""
    record = json.loads(path.read_text())
    node, key = rng.choice(list(_places(record)))
    if rng.random() < 0.25:
        del node[key]
    else:
        node[key] = rng.choice(JUNK)
    path.write_text(json.dumps(record, indent=2))


def wrap_json(rng: random.Random, path: Path) -> None:
    """Change a JSON file as a whole: nested deeply, another type, keys twice, other encodings."""
    text = path.read_text()
    texts = [
        f"[{text}]",
        '{"a":' * 50_000 + text + "}" * 50_000,
        text + text,
        text.replace("{", '{"val_acc": 7, "state": 5, "jobs": 3,', 1),
        text.replace('"', "'"),
        text.replace(":", ": " + "9" * 5000 + ", ", 1),
        "\x00" + text,
        "\ufeff" + text,
        text.replace("e", "\udcff", 1),  # invalid UTF-8
    ]
    path.write_bytes(rng.choice([*(one.encode("utf-8", "surrogateescape") for one in texts), text.encode("utf-16")]))


def change_lines(rng: random.Random, path: Path) -> None:
    """Change a text file by lines and words: YAML and CSV."""
    lines = path.read_text().splitlines(keepends=True)
    number = rng.randrange(len(lines))
    words = rng.choice(
        ["x", "", "null", "nan", "-1", "1e999", "[", "{", "&a *a", "\t", "\x1b[2J", "<script>", "é", '"', ",,,,"]
    )
    line = lines[number]
    separator = rng.choice([sign for sign in ":,=" if sign in line] or ["\n"])
    lines[number] = rng.choice([f"{words}\n", line * 3, words + line, line.replace(separator, separator + words, 1)])
    if rng.random() < 0.2:
        hostile = ["- hydra.callbacks.x._target_=os.getcwd\n"], ["- plugins=[module_of_a_stranger]\n"]
        lines = rng.choice([lines[:number], [BOMB], *([*lines, *more] for more in hostile), ["\r".join(lines)]])
    path.write_text("".join(lines))


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Return every container and key of a JSON value, at any depth."""
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    found = [(node, key) for key in keys]
    for key in keys:
        found += _places(node[key])
    return found


# -- archives, arrays and weights ----------------------------------------------------------------------------------


def change_zip(rng: random.Random, path: Path) -> None:
    """Write an archive again with one entry dropped, cut, changed, renamed or huge, and its CRC right."""
    with zipfile.ZipFile(path) as archive:
        entries = [(info.filename, archive.read(info)) for info in archive.infolist()]
    number = rng.randrange(len(entries))
    name, content = entries[number]
    changed = bytearray(content or b"x")
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    others = [content[: len(content) // 2], bytes(changed), b"", bytes(100_000_000)]
    kinds = [[], [(f"x/{name}", content)], [(name, content)] * 2, *([(name, other)] for other in others)]
    entries[number : number + 1] = rng.choice(kinds)
    kind = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])  # zipfile warns of a name that occurs twice
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(path, "w", kind) as archive,
    ):
        for entry, data in entries:
            archive.writestr(zipfile.ZipInfo(entry), data)


def change_arrays(rng: random.Random, path: Path) -> None:
    """Change one array of predictions.npz: its shape, its type or its values."""
    with np.load(path) as file:
        arrays = dict(file)
    name = rng.choice(list(arrays))
    array = arrays[name]
    arrays[name] = rng.choice([
        array[:0], array[:-1], array[None], array.astype(str), array.astype(complex), np.full_like(array, 255),
        -array.astype(np.int64) - 1, np.full(array.shape, np.nan, np.float32), np.full(array.shape, np.inf),
        array.astype(object), np.array(5), array.ravel(), array.astype(np.float64) + 0.5, np.asfortranarray(array),
    ])  # fmt: skip
    np.savez(path, **arrays)


def change_safetensors(rng: random.Random, path: Path) -> None:
    """Change the header of a safetensors file: its length, or one value of it."""
    content = path.read_bytes()
    size = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + size])
    if rng.random() < 0.3:
        path.write_bytes(
            struct.pack("<Q", rng.choice([0, 1, size - 1, size + 1, 10**9, 2**63, 2**64 - 1])) + content[8:]
        )
        return
    own = json.loads(header["__metadata__"]["mnist_zoo"])
    node, key = rng.choice([*_places(own), *_places(header)])
    node[key] = rng.choice(JUNK[:20])
    if key not in ("__metadata__", "mnist_zoo"):
        header["__metadata__"]["mnist_zoo"] = json.dumps(own)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + size :])


def change_tensors(rng: random.Random, path: Path) -> None:
    """Change the tensors, types or names in a checkpoint; the archive is whole."""
    import torch

    saved = torch.load(path, weights_only=True)
    node, key = rng.choice(_places(saved))
    node[key] = rng.choice([*JUNK[:20], torch.tensor(float("nan")), torch.zeros(2, 3)])
    if rng.random() < 0.3:
        name = rng.choice(list(saved.get("state_dict") or {"x": 0}))
        saved["state_dict"] = saved.get("state_dict") or {}
        saved["state_dict"][name] = torch.full((4, 784), float("nan"))
    torch.save(saved, path)


def change_idx(rng: random.Random, path: Path) -> None:
    """Change the header of an IDX file: its type, number of dimensions or sizes."""
    packed = path.suffix == ".gz"
    content = bytearray(gzip.decompress(path.read_bytes()) if packed else path.read_bytes())
    place = rng.randrange(4 + 4 * content[3])
    content[place] = rng.choice([0, 1, 2, 8, 9, 11, 12, 13, 14, 127, 128, 255])
    path.write_bytes(gzip.compress(bytes(content), mtime=0) if packed else bytes(content))


def bomb(rng: random.Random, path: Path) -> None:
    """Put a gzip file of a gigabyte of zeros in a file's place."""
    part = gzip.compress(bytes(1 << 26), 9, mtime=0)
    path.write_bytes(part * 16)


def change_picture(rng: random.Random, path: Path) -> None:
    """Put another kind of picture or another size in a picture's place."""
    from PIL import Image

    mode = rng.choice(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"])
    kind = "TIFF" if mode in ("CMYK", "F", "I", "I;16") else rng.choice(["PNG", "TIFF", "GIF"])
    picture = io.BytesIO()
    Image.new(mode, rng.choice([(1, 1), (1, 500), (28, 28)])).save(picture, "PNG" if mode == "LA" else kind)
    path.write_bytes(picture.getvalue())


BYTES: tuple[Damage, ...] = (flip, truncate, overwrite, noise, replace)
KINDS: dict[str, tuple[Damage, ...]] = {
    "json": (*BYTES, change_json, change_json, change_json, change_json, wrap_json, wrap_json),
    "lines": (*BYTES, change_lines, change_lines, change_lines),
    "ckpt": (flip, flip, *BYTES, change_zip, change_tensors, change_tensors),
    "npz": (*BYTES, change_zip, change_arrays, change_arrays, change_arrays),
    "safetensors": (*BYTES, change_safetensors, change_safetensors, change_safetensors),
    "png": (*BYTES, change_picture),
    "idx": (*BYTES, change_idx, change_idx),
    "gz": (*BYTES, change_idx, change_idx, bomb),
    "db": BYTES,
}


def damage(rng: random.Random, kind: str, path: Path) -> str:
    """Damage a file of a kind, and return how. The file may stay as it was, if the change has no effect."""
    how = rng.choice(KINDS[kind])
    if path.is_symlink() or path.stat().st_nlink > 1:  # last.ckpt and best.ckpt may be one file: damage only one
        copy = path.with_name(f".{path.name}.copy")
        shutil.copy(path, copy)
        os.replace(copy, path)
    try:
        how(rng, path)
    except (UnicodeEncodeError, ValueError):  # a value that this format cannot hold
        noise(rng, path)
    return how.__name__
