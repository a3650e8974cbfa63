"""Where images come from, how they are split, and the batches that training sees."""

import gzip
from itertools import chain, pairwise

import numpy as np
import pytest
import torch
import torchvision

from mnist_zoo import MNISTDataModule, list_datasets, register_dataset
from mnist_zoo.data import Augment, Batches, ImageSet
from mnist_zoo.data.idx import read_idx
from mnist_zoo.data.sources import load
from mnist_zoo.data.split import stratified_split
from mnist_zoo.errors import InputError


def write_idx(path, array):
    """Write an array as IDX: two zero bytes, dtype code, dimensions, big-endian sizes, big-endian data."""
    code = {"u1": 8, "i4": 12}[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    content = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def digits(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10


def write_mnist(folder, suffix="", **replaced):
    for part, count in (("train", 60), ("t10k", 20)):
        images, labels = digits(count, seed=count)
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", replaced.get(f"{part}_images", images))
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", replaced.get(f"{part}_labels", labels))


class TestTorchvisionFiles:
    @pytest.mark.parametrize("suffix", ["", ".gz"])
    @pytest.mark.parametrize(
        ("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")]
    )
    def test_files_on_disk_are_used_as_they_are(self, tmp_path, name, folder, suffix):
        write_mnist(tmp_path / folder / "raw", suffix)
        data = load(name, tmp_path, {})
        for part, count in (("train", 60), ("test", 20)):
            images, labels = digits(count, seed=count)
            assert np.array_equal(getattr(data, f"{part}_images"), images)
            assert np.array_equal(getattr(data, f"{part}_labels"), labels)

    def test_emnist_digits_are_turned_upright(self, tmp_path):
        for part, count in (("train", 60), ("test", 20)):
            images, labels = digits(count)
            write_idx(tmp_path / f"EMNIST/raw/emnist-digits-{part}-images-idx3-ubyte", images)
            write_idx(tmp_path / f"EMNIST/raw/emnist-digits-{part}-labels-idx1-ubyte", labels)
        assert np.array_equal(load("emnist_digits", tmp_path, {}).train_images, digits(60)[0].transpose(0, 2, 1))

    def test_qmnist_is_what_torchvision_reads(self, tmp_path):
        for part, count in (("train", 60), ("test", 20)):
            images, labels = digits(count)
            rows = np.stack([labels, *[np.arange(count)] * 7], axis=1).astype("i4")
            write_idx(tmp_path / f"QMNIST/raw/qmnist-{part}-images-idx3-ubyte", images)
            write_idx(tmp_path / f"QMNIST/raw/qmnist-{part}-labels-idx2-int", rows)
        theirs = torchvision.datasets.QMNIST(tmp_path, what="test")
        ours = load("qmnist", tmp_path, {})
        assert np.array_equal(ours.test_images, theirs.data.numpy())
        assert np.array_equal(ours.test_labels, theirs.targets[:, 0].numpy())

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda b: b[:-100], r"has 46,956 bytes and its header states 47,056"),
            (lambda b: b + b"x", r"has 47,057 bytes and its header states 47,056"),
            (lambda b: b[:7], r"has 7 bytes and its header states"),
            (lambda b: b"<html>not found", "is not an IDX file"),
            (lambda b: b"", "is not an IDX file"),
        ],
    )
    def test_a_damaged_file_is_named_with_both_sizes(self, tmp_path, damage, message):
        write_mnist(tmp_path / "MNIST/raw")
        path = tmp_path / "MNIST/raw/train-images-idx3-ubyte"
        path.write_bytes(damage(path.read_bytes()))
        with pytest.raises(InputError, match=f"train-images-idx3-ubyte {message}"):
            MNISTDataModule("mnist", root=str(tmp_path), fallback="mnist5k").setup()

    def test_a_damaged_gzip_is_named(self, tmp_path):
        write_idx(tmp_path / "x.gz", digits(20)[0])
        (tmp_path / "x.gz").write_bytes((tmp_path / "x.gz").read_bytes()[:-30])
        with pytest.raises(InputError, match=r"x\.gz is damaged"):
            read_idx(tmp_path / "x.gz")

    @pytest.mark.parametrize(
        ("replaced", "message"),
        [
            ({"train_images": np.zeros((60, 32, 32), np.uint8)}, r"images of shape \(32, 32\): 28x28 is expected"),
            ({"train_labels": np.full(60, 10, np.uint8)}, "train label 10 of image 0 .* is outside 0-9"),
            ({"t10k_labels": np.zeros(7, np.uint8)}, "test: 20 images and 7 labels"),
        ],
    )
    def test_files_that_do_not_fit_are_refused(self, tmp_path, replaced, message):
        write_mnist(tmp_path / "MNIST/raw", **replaced)
        with pytest.raises(InputError, match=message):
            load("mnist", tmp_path, {})


class TestOffline:
    """The mirrors never answer here: downloading is replaced by what an offline machine raises."""

    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch):
        def unreachable(*arguments, **named):
            raise OSError("network is unreachable")

        monkeypatch.setattr("urllib.request.urlopen", unreachable)

    def test_it_says_what_is_missing_and_goes_on_with_the_fallback(self, tmp_path):
        data = MNISTDataModule("mnist", root=str(tmp_path), fallback="mnist5k")
        with pytest.warns(UserWarning, match=r"MNIST is not in .* going on with data=mnist5k, which is not mnist"):
            data.setup()
        assert data.name == "mnist5k" and len(data.images("test")) == 1000

    def test_without_a_fallback_it_stops_with_the_cure(self, tmp_path):
        with pytest.raises(
            InputError, match=r"could not be downloaded .*: put its IDX files there, or .* data.root=DIR"
        ):
            MNISTDataModule("mnist", root=str(tmp_path)).setup()


class TestCsv:
    HEADER = ",".join(["label", *[f"pixel{i}" for i in range(784)]])

    def rows(self, labels):
        return [",".join([str(label), *["7"] * 784]) for label in labels]

    def write(self, path, lines):
        path.write_text("\n".join(lines) + "\n")
        return str(path)

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
        ("lines", "message"),
        [
            (["a,b,c"], "the first line must be label,pixel0"),
            (["label,p0,p1"], "2 pixel columns; 784 .* are expected"),
            ([HEADER, "1" + ",0" * 783], "rows of 784 values under a header of 785"),
            ([HEADER, "1" + ",0" * 784, "1" + ",0" * 783], r"line 3: the number of columns changed from 785 to 784"),
            ([HEADER, "1" + ",0" * 783 + ",x"], r"bad\.csv, line 2: could not convert string 'x'"),
            ([HEADER, "1" + ",0" * 783 + ",256"], "'256'"),
            ([HEADER, "3" + ",0" * 784, "12" + ",0" * 784], r"bad\.csv, line 3: label 12 is outside 0-9"),
            ([HEADER], "there are no rows after the header"),
        ],
    )
    def test_a_bad_file_is_named_with_its_row(self, tmp_path, lines, message):
        path = self.write(tmp_path / "bad.csv", lines)
        with pytest.raises(InputError, match=message):
            load("csv", tmp_path, {"train_csv": path, "test_csv": path})

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(InputError, match=r"there is no file nowhere\.csv"):
            load("csv", tmp_path, {"train_csv": "nowhere.csv"})


class TestEmbeddedDigits:
    def test_4000_and_1000_real_digits_stratified(self):
        data = MNISTDataModule("mnist5k")
        assert data.class_counts["test"] == [100] * 10
        assert sum(data.class_counts["train"]) + sum(data.class_counts["val"]) == 4000
        assert {min(data.class_counts["val"]), max(data.class_counts["val"])} == {33, 34}
        # Real digits, not noise: the mean brightness and deviation that everybody knows of MNIST.
        assert data.mean == pytest.approx(0.1307, abs=0.002) and data.std == pytest.approx(0.3081, abs=0.002)

    def test_a_damaged_cache_is_made_anew(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        (tmp_path / "mnist_zoo").mkdir()
        (tmp_path / "mnist_zoo/mnist5k.npz").write_bytes(b"cut short")
        assert len(load("mnist5k", tmp_path, {}).train_images) == 4000
        with np.load(tmp_path / "mnist_zoo/mnist5k.npz") as cache:
            assert cache["images"].shape == (5000, 28, 28)


class TestSplit:
    @pytest.mark.parametrize("count", [1, 7, 500, 999])
    def test_each_class_gives_its_share_and_the_sum_is_exact(self, count):
        labels = np.repeat(np.arange(10), [50, 60, 70, 80, 90, 100, 110, 130, 150, 160])
        rest, drawn = stratified_split(labels, count, seed=3)
        assert len(drawn) == count and sorted([*rest, *drawn]) == list(range(1000))
        ideal = np.bincount(labels) * count / 1000
        assert (abs(np.bincount(labels[drawn], minlength=10) - ideal) < 1).all()

    def test_the_seed_decides_alone(self):
        labels = np.arange(100) % 10
        same = [stratified_split(labels, 30, seed=1)[1].tolist() for _ in range(2)]
        assert same[0] == same[1] != stratified_split(labels, 30, seed=2)[1].tolist()

    @pytest.mark.parametrize(("val_size", "expected"), [(1 / 12, 16), (20, 20), (0.25, 48)])
    def test_val_size_is_a_share_or_a_count(self, val_size, expected):
        data = MNISTDataModule("stripes", val_size=val_size)
        assert len(data.labels("val")) == expected and len(data.labels("train")) == 192 - expected

    @pytest.mark.parametrize("val_size", [192, 500, 0, 0.0001, 0.9999, 1.0])
    def test_a_split_that_leaves_nothing_is_refused(self, val_size):
        with pytest.raises(InputError, match=f"val_size={val_size} takes"):
            MNISTDataModule("stripes", val_size=val_size).setup()

    def test_train_fraction_cuts_training_images_only(self):
        whole, part = MNISTDataModule("stripes"), MNISTDataModule("stripes", train_fraction=0.25)
        assert len(part.labels("train")) == 44
        assert torch.equal(whole.images("val"), part.images("val"))
        assert torch.equal(whole.images("test"), part.images("test"))


class TestDataModule:
    def test_training_images_have_mean_0_and_deviation_1(self):
        data = MNISTDataModule("stripes")
        images = torch.cat([x for x, _ in data.train_dataloader()])
        assert images.mean().item() == pytest.approx(0, abs=1e-5) and images.std().item() == pytest.approx(1, abs=1e-4)

    def test_without_normalisation_pixels_lie_in_0_to_1(self):
        images, _ = next(iter(MNISTDataModule("stripes", normalize=False).test_dataloader()))
        assert images.min() >= 0 and 0.5 < images.max() <= 1

    def test_denormalize_gives_the_brightness_back(self):
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

    def test_the_fingerprint_follows_images_and_split(self):
        prints = [
            MNISTDataModule("stripes").fingerprint,
            MNISTDataModule("stripes", split_seed=1).fingerprint,
            MNISTDataModule("stripes", filters={"sharpen": True}).fingerprint,
        ]
        assert prints[0] == MNISTDataModule("stripes", batch_size=7, seed=5).fingerprint
        assert len(set(prints)) == 3

    def test_hyper_parameters_are_plain(self):
        hparams = MNISTDataModule("stripes", root="somewhere", augment={"rotate": 5.0}, train=100).hparams
        assert hparams["root"] == "somewhere" and hparams["augment"] == {"rotate": 5.0}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("mnst",), "unknown data set 'mnst'; did you mean mnist"),
            (("stripes", {"trian": 3}), "unknown option of data set 'stripes' 'trian'; did you mean train"),
        ],
    )
    def test_unknown_names_list_the_known(self, arguments, message):
        name, *options = arguments
        with pytest.raises(InputError, match=message):
            MNISTDataModule(name, **(options[0] if options else {})).setup()

    @pytest.mark.parametrize("setting", [{"batch_size": 0}, {"train_fraction": 0}, {"train_fraction": 1.5}])
    def test_values_out_of_range_are_named(self, setting):
        with pytest.raises(InputError, match=f"{next(iter(setting))}={next(iter(setting.values()))}"):
            MNISTDataModule("stripes", **setting)

    def test_an_own_data_set_of_another_size_and_colour(self, monkeypatch):
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

    def test_images_go_with_their_labels(self):
        for images, labels in self.batches(shuffle=True, scale=1.0):
            assert torch.equal(images[:, 0, 0, 0], labels.float())

    def test_evaluation_keeps_the_order(self):
        assert list(chain(*self.seen(self.batches()))) == list(range(50))

    @pytest.mark.parametrize(
        ("count", "sizes"), [(48, [8] * 6), (50, [8] * 6 + [2]), (49, [8] * 5 + [9]), (1, [1]), (9, [9])]
    )
    def test_a_last_batch_of_one_joins_the_one_before(self, count, sizes):
        batches = self.batches(count)
        assert [len(b) for b in self.seen(batches)] == sizes and len(batches) == len(sizes)

    def test_order_follows_seed_and_epoch_alone(self):
        first, second = self.batches(shuffle=True, seed=4), self.batches(shuffle=True, seed=4)
        epochs = [self.seen(first) for _ in range(3)]
        second.set_epoch(2)
        torch.manual_seed(99)
        assert self.seen(second) == epochs[2]
        assert all(a != b for a, b in pairwise(epochs))
        assert self.seen(self.batches(shuffle=True, seed=5)) != epochs[0]

    def test_augmentation_follows_seed_and_epoch_and_leaves_the_order(self):
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
