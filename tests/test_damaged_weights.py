"""Damaged and hostile weights: every changed bit is noticed or changes nothing, and memory stays bounded."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mnist_zoo import LitClassifier, create_model, export_model, predict_images
from mnist_zoo.errors import InputError, ZooError
from mnist_zoo.models import register_model, registry
from mnist_zoo.models.pretrained import build_trained
from mnist_zoo.runs import RunFolder
from mnist_zoo.training.resume import newest_checkpoint
from mnist_zoo.weights import FOLDER, Description, pack, read_archive, read_weights

ROOT = Path(__file__).parents[1]
OLD = ROOT / "tests" / "fixtures" / "0.1.0"
MLP = Description({"name": "mlp"}, 10, 1, (1, 28, 28), "mnist", 0.13, 0.31, tuple("0123456789"), {})


def values_net(num_classes: int, in_chans: int, width: int = 4) -> torch.nn.Module:
    """A plug-in's network whose constructor computes with the values of tensors, which the meta device has not."""
    rates = [rate.item() for rate in torch.linspace(0, 0.5, 2)]
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(rates[1]), torch.nn.Linear(in_chans * 784, width))
    return flat.append(torch.nn.Linear(width, num_classes))


def content_of(value: Any) -> Any:
    """Return nested values with tensors as their dtype, shape and bytes, to be compared."""
    if isinstance(value, torch.Tensor):
        return value.dtype, tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return [(key, content_of(item)) for key, item in value.items()]
    return [content_of(item) for item in value] if isinstance(value, (list, tuple)) else repr(value)


def flipped(content: bytes, bit: int) -> bytes:
    """Return a file's content with one bit changed."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def data_of(content: bytes) -> list[int]:
    """Return the positions of the bytes in an archive's records; all others are its structure."""
    positions: list[int] = []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for record in archive.infolist():
            lengths = struct.unpack("<HH", content[record.header_offset + 26 : record.header_offset + 30])
            start = record.header_offset + 30 + sum(lengths)
            positions += range(start, start + record.file_size)
    return positions


def some_bits(content: bytes, count: int, seed: int = 0) -> list[int]:
    """Return numbers of bits, half of them in an archive's records and half in its structure."""
    rng, data = random.Random(seed), data_of(content)
    structure = sorted(set(range(len(content))) - set(data))
    chosen = rng.choices(data, k=count // 2) + rng.choices(structure, k=count - count // 2)
    return [8 * position + rng.randrange(8) for position in chosen]


def small_archive() -> bytes:
    file = io.BytesIO()
    torch.save({"epoch": 3, "state_dict": {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(2).half()}}, file)
    return file.getvalue()


def wrong_reads(content: bytes, bits: list[int], file: Path) -> list[int]:
    """Return the bits after whose change something else is read, as `read_archive` or as Lightning reads it."""
    file.write_bytes(content)
    expected = content_of(read_archive(file))
    wrong = []
    for bit in bits:
        file.write_bytes(flipped(content, bit))
        try:
            found = read_archive(file)
        except InputError:
            continue
        if content_of(found) != expected or content_of(torch.load(file, weights_only=True)) != expected:
            wrong.append(bit)
    return wrong


class TestArchive:
    def test_a_changed_bit_is_noticed_or_changes_nothing(self, tmp_path):
        for content in (small_archive(), (OLD / "lists/checkpoints/last.ckpt").read_bytes()):
            assert wrong_reads(content, some_bits(content, 60), tmp_path / "x.ckpt") == []

    def test_every_bit_of_a_record_in_the_directory(self, tmp_path):
        content = small_archive()
        start = content.rindex(b"PK\x01\x02", 0, content.rindex(b"archive/data/0"))
        assert wrong_reads(content, list(range(8 * start, 8 * (start + 60))), tmp_path / "x.ckpt") == []

    @pytest.mark.slow
    def test_every_bit_of_the_structure_and_one_of_each_other_byte(self, tmp_path):
        content = small_archive()
        data = set(data_of(content))
        bits = [bit for bit in range(8 * len(content)) if bit // 8 not in data or bit % 8 == bit // 8 % 8]
        assert wrong_reads(content, bits, tmp_path / "x.ckpt") == []

    @pytest.mark.slow
    @pytest.mark.parametrize("run", ["lists", "batches"])
    def test_many_bits_of_checkpoints(self, tmp_path, run):
        content = (OLD / run / "checkpoints/last.ckpt").read_bytes()
        assert wrong_reads(content, some_bits(content, 1000), tmp_path / "x.ckpt") == []

    def test_a_changed_bit_of_a_tensor_is_always_noticed(self, tmp_path):
        content = (OLD / "run/checkpoints/best.ckpt").read_bytes()
        for position in random.Random(1).sample(data_of(content), 40):
            (tmp_path / "x.ckpt").write_bytes(flipped(content, 8 * position + 3))
            for read in (read_weights, LitClassifier.load_from_checkpoint):
                with pytest.raises(InputError, match=r"x\.ckpt is damaged or not a checkpoint .*: use another copy"):
                    read(tmp_path / "x.ckpt")

    def test_resuming_takes_the_checkpoint_before_a_damaged_one(self, version_0_1_0):
        folder = RunFolder(version_0_1_0 / "lists")
        assert newest_checkpoint(folder)[0] == folder.last_checkpoint
        content = folder.last_checkpoint.read_bytes()
        bit = 8 * max(data_of(content)[:-200], key=content.__getitem__)
        folder.last_checkpoint.write_bytes(flipped(content, bit))
        with pytest.warns(UserWarning, match="last.ckpt cannot be read; trying the checkpoint before it"):
            assert newest_checkpoint(folder)[0] == folder.previous_checkpoint

    def test_an_archive_without_checksums_is_refused(self, tmp_path):
        torch.serialization.set_crc32_options(False)
        try:
            (tmp_path / "x.ckpt").write_bytes(small_archive())
        finally:
            torch.serialization.set_crc32_options(True)
        with pytest.raises(InputError, match=r"was written without checksums .*write it again"):
            read_archive(tmp_path / "x.ckpt")

    def test_compressed_records_are_refused_before_they_are_read(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(10**8))
        with pytest.raises(InputError, match="a compressed record"):
            read_archive(tmp_path / "bomb.ckpt")

    @pytest.mark.parametrize(
        ("objects", "message"),
        [
            (b"c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "asks to run bytearray: refused"),
            (b"]" * (65 << 20) + b".", "bytes of objects other than tensors"),
            (pickle.dumps(os.system, protocol=2), "asks to run .*: refused"),
        ],
        ids=["bytearray of 2 GB", "many objects", "code"],
    )
    def test_objects_that_take_memory_or_run_code_are_refused(self, tmp_path, objects, message):
        with zipfile.ZipFile(tmp_path / "x.ckpt", "w") as archive:
            archive.writestr("archive/data.pkl", objects)
            archive.writestr("archive/version", "3\n")
        with pytest.raises(InputError, match=message):
            read_archive(tmp_path / "x.ckpt")

    @pytest.mark.parametrize("kind", ["pipe", "folder", "missing", "loop", "device"])
    def test_what_is_no_file_is_refused_at_once(self, tmp_path, kind):
        place = tmp_path / "x.ckpt"
        if kind == "pipe":
            os.mkfifo(place)
        elif kind == "folder":
            place.mkdir()
        elif kind == "loop":
            place.symlink_to(place)
        for read in (read_archive, read_weights):
            with pytest.raises(InputError, match=r"is not a file with|is not a run folder"):
                read(Path("/dev/zero") if kind == "device" else place)


class TestSafetensors:
    @pytest.fixture
    def content(self) -> bytes:
        return pack(create_model("mlp", hidden=[4]).state_dict(), replace(MLP, model={"name": "mlp", "hidden": [4]}))

    @pytest.mark.parametrize("count", [150, pytest.param(2000, marks=pytest.mark.slow)])
    def test_a_changed_bit_is_noticed_or_changes_nothing(self, tmp_path, content, count):
        file = tmp_path / "x.safetensors"
        file.write_bytes(content)
        expected, header = read_weights(file), 8 + int.from_bytes(content[:8], "little")
        rng = random.Random(0)
        for place in [
            *rng.choices(range(header), k=count // 2),
            *rng.choices(range(header, len(content)), k=count // 2),
        ]:
            file.write_bytes(flipped(content, 8 * place + rng.randrange(8)))
            try:
                found = read_weights(file)
            except InputError as error:
                assert "x.safetensors" in str(error) and "\n" not in str(error)
                continue
            assert place < header, "every bit of a tensor is noticed"
            assert content_of(dict(sorted(found.state.items()))) == content_of(dict(sorted(expected.state.items())))
            assert found.description == expected.description

    def test_shipped_files_are_compared_with_their_cards(self, tmp_path, monkeypatch):
        folder = Path(shutil.copytree(FOLDER, tmp_path / "weights"))
        monkeypatch.setattr("mnist_zoo.weights.shipped.FOLDER", folder)
        file = folder / "mlp-mnist.safetensors"
        read_weights("mlp")
        file.write_bytes(flipped(file.read_bytes(), 8 * 100_000))
        with pytest.raises(InputError, match="is not the file that its card describes: install mnist_zoo again"):
            predict_images("mlp", [])
        file.with_suffix(".json").write_text("{")
        with pytest.raises(InputError, match=r"the card of .* cannot be read: install mnist_zoo again"):
            create_model("mlp", pretrained="mnist")

    def test_files_of_0_1_0_without_a_digest_are_read(self, tmp_path, content):
        from safetensors.torch import load, save

        (tmp_path / "old.safetensors").write_bytes(content)
        known = read_weights(tmp_path / "old.safetensors").description
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        (tmp_path / "old.safetensors").write_bytes(save(load(content), {"mnist_zoo": header["mnist_zoo"]}))
        assert read_weights(tmp_path / "old.safetensors").description == known

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "damaged or not"),
            (b"\xff" * 8, "a header of 18,446,744,073,709,551,615 bytes"),
            ((2**40).to_bytes(8, "little") + b"{}", "a header of 1,099,511,627,776 bytes"),
            ((10**6).to_bytes(8, "little") + b"[" * 10**6, "damaged or not"),
            (
                b'\x7f\0\0\0\0\0\0\0{"w":{"dtype":"F32","shape":[1000000000,1000000000],"data_offsets":[0,4]}}',
                "damaged",
            ),
        ],
        ids=["empty", "length", "long header", "nested", "shape"],
    )
    def test_hostile_headers_are_refused(self, tmp_path, content, message):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_weights(tmp_path / "x.safetensors")


class TestDescriptions:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"num_classes": "10"}, "num_classes must be a whole number"),
            ({"num_classes": True, "class_names": ["a"]}, "num_classes must be a whole number"),
            ({"num_classes": 10**9}, "num_classes must be a whole number from 1 to 100,000"),
            ({"in_chans": 0}, "in_chans must be"),
            ({"in_chans": 3}, "image_shape has 1 channels, and in_chans=3"),
            ({"image_shape": [1, 28]}, "not enough values"),
            ({"image_shape": [1, -28, 28]}, "image_shape must be"),
            ({"image_shape": [1, 10**5, 10**5]}, "more than 4,194,304 values an image"),
            ({"class_names": ["a", "b"]}, "2 class_names for num_classes=10"),
            ({"class_names": [1] * 10}, "class_names must be text"),
            ({"data": 5}, "data must be text"),
            ({"mean": "0.1"}, "mean must be a finite number"),
            ({"mean": float("nan")}, "mean must be a finite number"),
            ({"std": float("inf")}, "std must be a finite number"),
            ({"std": 0}, "std=0 must be above 0"),
            ({"std": 10**400}, "too large"),
            ({"filters": {"blur": -1}}, "filters.blur must be a whole number from 0"),
            ({"filters": {"blur": 10**9}}, "filters.blur must be"),
            ({"filters": {"sharpen": 1}}, "filters.sharpen=1 is not a filter"),
            ({"filters": {"width": 0}}, "filters.width must be a whole number from 1 to 1,024"),
            ({"filters": [1]}, "no attribute"),
            ({"model": {"name": 5}}, "the network's name must be text"),
            ({"model": {"name": "mlp", "hidden": [float("nan")]}}, "an option of the network is nan"),
            ({"model": {"name": "mlp", "hidden": [1] * 20_000}}, "too many options"),
            ({"model": {"name": "mlp", "hidden": [[[[[[[[[[1]]]]]]]]]]}}, "too many options"),
            ({"model": {"name": "mlp", "hidden": [10**30]}}, "an option of the network is too large"),
        ],
        ids=str,
    )
    def test_each_field_is_checked(self, tmp_path, fields, message):
        file = tmp_path / "x.safetensors"
        content = pack({}, MLP)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        known = json.loads(header["__metadata__"]["mnist_zoo"]) | fields
        text = json.dumps({"__metadata__": {"mnist_zoo": json.dumps(known)}}).encode()
        file.write_bytes(len(text).to_bytes(8, "little") + text)
        with pytest.raises(InputError, match=message) as error:
            read_weights(file)
        assert "does not describe its network" in str(error.value) and "\n" not in str(error.value)

    @pytest.mark.parametrize("hidden", [[10**9], [10**5, 10**5], [2**62]])
    def test_a_network_larger_than_the_file_is_refused_before_it_takes_memory(self, hidden):
        weights = replace(read_weights("mlp"), description=replace(MLP, model={"name": "mlp", "hidden": hidden}))
        with pytest.raises(InputError, match=r"does not fit mlp|cannot be built"):
            build_trained(weights)

    @pytest.mark.parametrize(
        ("tensor", "message"),
        [
            (torch.zeros(1).expand(10**6, 784), "tensors of 3,136,012,760 bytes in a file that has"),
            (torch.zeros(4).to_sparse(), "is not a tensor of numbers"),
            (torch.zeros(4, device="meta"), "is not a tensor of numbers"),
            ("text", "is not a tensor of numbers"),
        ],
        ids=["expanded", "sparse", "without numbers", "text"],
    )
    def test_tensors_that_are_not_in_the_file_are_refused(self, tmp_path, tensor, message):
        checkpoint = read_archive(OLD / "run/checkpoints/best.ckpt")
        checkpoint["state_dict"]["model.0.weight"] = tensor
        torch.save(checkpoint, tmp_path / "x.ckpt")
        with pytest.raises(InputError, match=message):
            read_weights(tmp_path / "x.ckpt")

    def test_a_network_that_computes_with_values_while_it_is_built_can_be_used(self, tmp_path, monkeypatch):
        monkeypatch.setattr(registry, "_BUILDERS", dict(registry._BUILDERS))
        register_model("values_net")(values_net)
        model = create_model("values_net", width=3)
        known = replace(MLP, model={"name": "values_net", "width": 3})
        (tmp_path / "x.safetensors").write_bytes(pack(model.state_dict(), known))
        images = torch.rand(2, 1, 28, 28)
        assert torch.equal(build_trained(read_weights(tmp_path / "x.safetensors"))(images), model.eval()(images))


class TestNumbers:
    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_weights_that_are_not_finite_are_refused(self, tmp_path, value):
        state = create_model("mlp").state_dict()
        next(iter(state.values()))[0, 0] = value
        (tmp_path / "x.safetensors").write_bytes(pack(state, MLP))
        uses: tuple[Callable, ...] = (
            lambda: predict_images(tmp_path / "x.safetensors", []),
            lambda: export_model(tmp_path / "x.safetensors", tmp_path / "y.safetensors", format="safetensors"),
            lambda: create_model("mlp", pretrained=tmp_path / "x.safetensors"),
        )
        for use in uses:
            with pytest.raises(InputError, match=r"x\.safetensors holds weights that are NaN or infinite \(.*weight\)"):
                use()

    def test_logits_that_are_not_finite_are_refused(self, tmp_path):
        known = replace(MLP, mean=1e38, std=1e-38)
        (tmp_path / "x.safetensors").write_bytes(pack(create_model("mlp").state_dict(), known))
        with pytest.raises(InputError, match="the output of its network is NaN or infinite"):
            predict_images(tmp_path / "x.safetensors", [np.eye(28, dtype=np.uint8) * 255])
        with pytest.raises(InputError, match="the output of its network is NaN or infinite"):
            export_model(tmp_path / "x.safetensors", tmp_path / "y.safetensors", format="safetensors")

    def test_images_of_a_shape_that_the_network_does_not_take_are_one_line(self, tmp_path):
        known = replace(MLP, image_shape=(1, 20, 20))
        (tmp_path / "x.safetensors").write_bytes(pack(create_model("mlp").state_dict(), known))
        with pytest.raises(InputError, match="its network mlp does not take images of shape 1x20x20") as error:
            predict_images(tmp_path / "x.safetensors", [np.zeros((20, 20), np.uint8)], raw=True)
        assert "\n" not in str(error.value)


class TestStartedFromPretrained:
    def test_a_checkpoint_needs_no_other_file(self, tmp_path):
        """The options came from the weights that training started from, and are in the checkpoint."""
        from pytorch_lightning import Trainer

        start = tmp_path / "start.safetensors"
        known = replace(MLP, model={"name": "mlp", "hidden": [7, 5]})
        start.write_bytes(pack(create_model("mlp", hidden=[7, 5]).state_dict(), known))
        classifier = LitClassifier({"name": "mlp", "pretrained": str(start)})
        assert classifier.hparams["model"] == {"name": "mlp", "hidden": [7, 5]}
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        trainer = Trainer(max_epochs=0, accelerator="cpu", default_root_dir=tmp_path, **quiet)
        trainer.strategy.connect(classifier)
        trainer.save_checkpoint(tmp_path / "x.ckpt")
        start.unlink()
        images = torch.rand(2, 1, 28, 28)
        expected = classifier.eval()(images)
        assert torch.equal(LitClassifier.load_from_checkpoint(tmp_path / "x.ckpt").eval()(images), expected)
        assert torch.equal(build_trained(read_weights(tmp_path / "x.ckpt"))(images), expected)


# -- many damaged files, one process ---------------------------------------------------------------------------------


def damages(content: bytes, rng: random.Random, count: int) -> Iterator[bytes]:
    """Yield a file's content changed in several ways: bits, bytes, length, order."""
    for number in range(count):
        place = rng.randrange(len(content))
        changed = bytearray(content)
        match number % 6:
            case 0:
                changed = bytearray(flipped(content, 8 * place + rng.randrange(8)))
            case 1:
                del changed[place:]
            case 2:
                changed[place : place + 50] = rng.randbytes(50)
            case 3:
                del changed[place : place + rng.randrange(1, 500)]
            case 4:
                changed[:200] = rng.randbytes(200)
            case 5:
                changed = bytearray(flipped(flipped(content, 8 * rng.randrange(min(200, len(content)))), 8 * place))
        yield bytes(changed)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
def test_damaged_weights_are_refused_or_give_the_same_predictions(tmp_path, kind):
    original = OLD / "run/checkpoints/best.ckpt"
    if kind == "safetensors":
        weights = read_weights(original)
        original = tmp_path / "original.safetensors"
        original.write_bytes(pack(weights.state, weights.description))
    images = [np.random.default_rng(0).integers(0, 255, (28, 28), dtype=np.uint8)]
    [expected] = predict_images(original, images, raw=True)
    file, refused = tmp_path / f"x.{kind}", 0
    for content in damages(original.read_bytes(), random.Random(3), 120):
        file.write_bytes(content)
        try:
            [found] = predict_images(file, images, raw=True)
            export_model(file, tmp_path / "out.safetensors", format="safetensors", force=True)
        except ZooError as error:
            refused += 1
            assert "x." in str(error) and "\n" not in str(error), error
        else:
            assert found.probabilities == expected.probabilities
    assert refused > 100


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif"])
def test_damaged_images_are_named_and_the_others_predicted(tmp_path, suffix):
    paper = np.full((60, 40), 255, np.uint8)
    paper[10:50, 18:23] = 0
    Image.fromarray(paper).save(tmp_path / f"a.{suffix}")
    content = (tmp_path / f"a.{suffix}").read_bytes()
    files = []
    for number, changed in enumerate(damages(content, random.Random(5), 60)):
        files.append(tmp_path / f"{number}.{suffix}")
        files[-1].write_bytes(changed)
    predictions = predict_images("mlp", files)
    assert [p.image for p in predictions] == [str(file) for file in files]
    assert all((p.error is None) != (p.label is None) and "\n" not in (p.error or "") for p in predictions)
    assert sum(p.error is not None for p in predictions) >= (60 if suffix == "gif" else 5)
