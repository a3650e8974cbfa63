"""What predict reads and what predict and export write: documented image formats, regular files, and nothing lost."""

from __future__ import annotations

import errno
import os
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mnist_zoo import export as export_command
from mnist_zoo import export_model, predict_images
from mnist_zoo import predict as predict_command
from mnist_zoo.errors import InputError, StorageError
from mnist_zoo.inference.digitise import digitise
from mnist_zoo.inference.export import default_name
from mnist_zoo.inference.images import find_images, open_image

ROOT = Path(__file__).parents[1]
OLD_RUN = ROOT / "tests" / "fixtures" / "0.1.0" / "run"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mnist_zoo.inference.export.TIMED", 0.01)


def stroke(mode: str = "L") -> Image.Image:
    """Return a vertical stroke of ink on paper, 40x64 pixels."""
    paper = np.full((64, 40), 255, np.uint8)
    paper[8:48, 16:24] = 0  # on the blocks of 8x8 that JPEG and WebP compress
    return Image.fromarray(paper).convert(mode)


def one_line_error(capsys, main: Callable, arguments: list[str]) -> str:
    """Return the line that a failing command prints, without ``error: ``."""
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capsys.readouterr()
    assert end.value.code == 1 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1
    return err.removeprefix("error: ")


class TestImages:
    @pytest.mark.parametrize(
        ("mode", "name", "why"),
        [
            ("CMYK", "a.jpg", "four inks"),
            ("I;16", "a.png", "16 bits"),
            ("LA", "a.png", "opaque alpha"),
            ("P", "a.png", "palette"),
            ("1", "a.bmp", "black and white"),
            ("RGB", "a.webp", "WebP"),
        ],
    )
    def test_modes_of_the_documented_formats_are_read(self, mode, name, why):
        image = stroke()
        sixteen = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        (sixteen if mode == "I;16" else image.convert(mode)).save(name)
        assert np.abs(digitise(open_image(name)).astype(int) - digitise(stroke())).mean() < 2, why

    def test_the_content_counts_and_not_the_extension(self):
        stroke().save("a.png")
        Path("a.png").rename("a.jpg")
        assert digitise(open_image("a.jpg")).max() == 255

    def test_a_palette_with_transparency_is_read_without_a_warning(self):
        image = stroke("P")
        image.save("a.png", transparency=bytes(range(256)))
        with warnings.catch_warnings(action="error"):
            [one] = predict_images("mlp", ["a.png"])
        assert one.error is None or "blank" in one.error

    @pytest.mark.parametrize("format", ["EPS", "GIF", "TIFF", "PPM", "ICO", "PCX", "TGA", "PDF"])
    def test_other_formats_are_never_opened(self, format):
        stroke("RGB").save("a.png", format)
        [one] = predict_images("mlp", ["a.png"])
        assert one.error == "cannot be read as an image (PNG, JPEG, WebP and BMP files are read)"

    @pytest.mark.parametrize("format", ["PNG", "WEBP"])
    def test_an_animation_is_refused(self, format):
        stroke().save("a.png", format, save_all=True, append_images=[stroke().rotate(90, expand=False)])
        [one] = predict_images("mlp", ["a.png"])
        assert one.error == "is animated: save one of its 2 frames as an image"

    @pytest.mark.parametrize("times", [1, 3])  # Pillow warns from its limit on, and raises from twice its limit on
    def test_too_many_pixels_are_refused_before_they_are_decoded(self, monkeypatch, times):
        stroke().save("a.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40 * 64 // times - 1)
        [one] = predict_images("mlp", ["a.png"])
        assert re.fullmatch(r"cannot be read as an image \(more than [\d,]+ pixels: make it smaller\)", one.error or "")

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("pipe", "is not a regular file"),
            ("device", "is not a regular file"),
            ("folder", "is not a regular file"),
            ("-", "is not read from the standard input: give the name of a file"),
            ("loop", "cannot be read as an image (Too many levels of symbolic links)"),
            ("empty", "cannot be read as an image (PNG, JPEG, WebP and BMP files are read)"),
        ],
    )
    def test_what_is_no_image_is_named_at_once(self, kind, message):
        name = {"device": "/dev/zero", "-": "-"}.get(kind, "x.png")
        make = {"pipe": lambda: os.mkfifo(name), "folder": lambda: os.mkdir(name), "empty": Path(name).touch}
        make.get(kind, lambda: os.symlink(name, name) if kind == "loop" else None)()
        [one] = predict_images("mlp", [name])
        assert one.error == message

    def test_pipes_in_folders_and_patterns_are_reported_and_folders_skipped(self):
        os.makedirs("in/folder.png")
        os.mkfifo("in/pipe.png")
        stroke().save("in/a.png")
        for arguments in (["in"], ["in/*.png"]):
            found = find_images(arguments)
            assert found == ["in/a.png", "in/pipe.png"]
            assert [p.error for p in predict_images("mlp", found)] == [None, "is not a regular file"]

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (np.zeros((28, 28), np.uint16), "more than 8 bits a pixel"),
            (np.zeros((28, 28), np.float32), "more than 8 bits a pixel"),
            (np.zeros((28, 28, 4), np.uint8), "has transparent parts"),
        ],
    )
    def test_raw_images_are_not_changed_silently(self, image, message):
        [one] = predict_images("mlp", [Image.fromarray(image)], raw=True)
        assert message in (one.error or "")

    def test_images_are_taken_from_an_iterator_batch_by_batch(self, monkeypatch):
        monkeypatch.setattr("mnist_zoo.inference.predict.BATCH_SIZE", 4)
        taken = (np.asarray(stroke()) for _ in range(10))
        assert [p.image for p in predict_images("mlp", taken)] == [f"image {number}" for number in range(10)]

    def test_names_of_files_cannot_control_the_terminal(self, capsys):
        name = "a\x1b[31m\udcff.png"
        Path(name).write_bytes(b"")
        with pytest.raises(SystemExit):
            predict_command.main(["mlp", name, "--csv", "out.csv"])
        out, err = capsys.readouterr()
        assert r"a\x1b[31m\udcff.png" in out and r"error: a\x1b[31m\udcff.png cannot be read" in err
        assert r"\udcff.png" in Path("out.csv").read_text()


class TestPredictWrites:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--csv", "/dev/null"], "cannot write /dev/null: it is not a regular file"),
            (["--json", "folder"], "cannot write folder: it is not a regular file"),
            (["--show", "pipe.png"], "cannot write pipe.png: it is not a regular file"),
            (["--show", "a.png"], "cannot write a.png: it is one of the files to read"),
            (["--csv", "link.csv"], "cannot write link.csv: it is one of the files to read"),
            (["--csv", "o", "--json", "./o"], "two outputs cannot be written to one file"),
        ],
    )
    def test_outputs_replace_neither_devices_nor_what_is_read(self, capsys, arguments, message):
        stroke().save("a.png")
        os.mkdir("folder")
        os.mkfifo("pipe.png")
        os.symlink("a.png", "link.csv")
        before = Path("a.png").read_bytes()
        assert message in one_line_error(capsys, predict_command.main, ["mlp", "a.png", *arguments])
        assert Path("a.png").read_bytes() == before

    def test_named_outputs_replace_old_ones(self, capsys):
        stroke().save("a.png")
        for _ in range(2):
            with pytest.raises(SystemExit) as end:
                predict_command.main(["mlp", "a.png", "--csv", "out.csv"])
            assert end.value.code == 0 and capsys.readouterr().err == "wrote out.csv\n"

    def test_without_outputs_they_are_named(self, capsys):
        stroke().save("a.png")
        with pytest.raises(SystemExit):
            predict_command.main(["mlp", "a.png"])
        assert "--show seen.png" in capsys.readouterr().err


class TestExportWrites:
    def test_an_existing_file_is_replaced_with_force_only(self, capsys):
        Path("mlp-mnist.safetensors").write_text("mine")
        for output in ([], ["-o", "mlp-mnist.safetensors"]):
            line = ["mlp", "--format", "safetensors", *output]
            assert "exists: name another file (-o FILE), or replace it (--force" in one_line_error(
                capsys, export_command.main, line
            )
            assert Path("mlp-mnist.safetensors").read_text() == "mine"
        export_command.main([*line, "--force"])
        assert 'load it: mnist_zoo.create_model("mlp", pretrained="mlp-mnist.safetensors")' in capsys.readouterr().out

    @pytest.mark.parametrize("force", [False, True])
    @pytest.mark.parametrize("kind", ["device", "folder", "pipe", "link to a device"])
    def test_what_is_no_regular_file_is_never_replaced(self, kind, force):
        target = Path("/dev/null") if kind == "device" else Path("x")
        if kind == "folder":
            target.mkdir()
        elif kind == "pipe":
            os.mkfifo(target)
        elif kind == "link to a device":
            target.symlink_to("/dev/null")
        with pytest.raises(InputError, match="is not a regular file; choose another name"):
            export_model("mlp", target, format="safetensors", force=force)
        assert Path("/dev/null").is_char_device()

    @pytest.mark.parametrize(
        ("source", "name"),
        [
            ("weights/cnn-mnist.safetensors", "cnn-mnist"),
            ("runs/2026-11-22_cnn/checkpoints/best.ckpt", "2026-11-22_cnn"),
            ("runs/cnn_a/checkpoints/last.ckpt", "cnn_a-last"),
            ("sweeps/s/lr=0.1,model=mlp/checkpoints/best.ckpt", "lr_0.1_model_mlp"),
            ("x/.hidden.ckpt", "hidden"),
            ("x/\x1b[31m.ckpt", "31m"),
            ("x/???.ckpt", "network"),
        ],
    )
    def test_files_are_named_after_the_run(self, source, name):
        assert default_name(Path(source)) == name

    def test_a_run_folder_named_as_dot_has_its_own_name(self, monkeypatch):
        monkeypatch.chdir(OLD_RUN)
        from mnist_zoo.weights import read_weights

        assert default_name(read_weights(".").path) == "run"

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
    def test_a_disk_that_cannot_be_written_leaves_nothing(self, monkeypatch, number):
        def fail(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("mnist_zoo.files.os.replace", fail)
        with pytest.raises(StorageError, match=r"cannot write mlp-mnist\.safetensors") as error:
            export_model("mlp", format="safetensors")
        assert os.strerror(number) in str(error.value) and list(Path().iterdir()) == []

    def test_a_network_that_cannot_be_converted_is_one_line(self, monkeypatch):
        from mnist_zoo.inference import export

        def fail(*_):
            raise RuntimeError("heading:\n  aten::odd: not supported\nmore")

        monkeypatch.setitem(export._FORMATS, "safetensors", fail)
        with pytest.raises(
            export.ExportError, match=r"safetensors: mlp cannot be converted \(aten::odd: not supported\)"
        ):
            export_model("mlp", format="safetensors")


def test_a_png_that_claims_to_be_huge_takes_no_memory():
    stroke().save("a.png")
    content = bytearray(Path("a.png").read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    Path("a.png").write_bytes(content)
    with pytest.raises(InputError, match="more than 89,478,485 pixels: make it smaller"):
        open_image("a.png")
