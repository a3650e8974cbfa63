"""Tests of networks on corrupted images, on images of no class, and of their probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve
from synthetic_runs import write_runs
from torch import Tensor, nn

from mnist_zoo import MNISTDataModule, evaluate_model
from mnist_zoo.confidence import fit_temperature, softmax
from mnist_zoo.errors import InputError
from mnist_zoo.report.beyond import beyond_sections
from mnist_zoo.report.reading import read_runs
from mnist_zoo.report.testsets import group_by_images
from mnist_zoo.robustness import Images, Settings, Subject
from mnist_zoo.robustness.corrupted import CorruptionSettings
from mnist_zoo.robustness.corruptions import CORRUPTIONS, corrupt
from mnist_zoo.robustness.evaluation import run_test
from mnist_zoo.robustness.ood import auroc, fpr_at, measure_ood, uncertainty
from mnist_zoo.robustness.registry import chosen_tests
from mnist_zoo.robustness.strangers import MADE, strangers
from mnist_zoo.robustness.subject import MeanProbabilities
from mnist_zoo.runs import add_measurement, read_metrics
from mnist_zoo.runs.measured import check_measurement


class Bars(nn.Module):
    """A network for images of `stripes`: the logit of a class is the mean brightness of its bar, times `sharpness`."""

    def __init__(self, sharpness: float = 10.0, shift: int = 0):
        super().__init__()
        self.sharpness, self.shift = sharpness, shift

    def forward(self, pixels: Tensor) -> Tensor:
        rows = pixels.mean(dim=(1, 3)).roll(self.shift, 1)
        return self.sharpness * torch.stack([rows[:, 2 + 2 * c : 4 + 2 * c].mean(1) for c in range(10)], dim=1)


@pytest.fixture(scope="module")
def data():
    return MNISTDataModule("stripes", train=2000, test=400, normalize=False)


def measured(name, outcome):
    """Return the values of an outcome, after the check that its reader makes."""
    record = {
        **{"test": name, "version": 1, "settings": {}, "weights": "", "data": "stripes", "fingerprint": ""},
        **{"images": 1, "values": outcome.values, "arrays": [], "seconds": 0.1, "device": "cpu", "versions": {}},
        "date": "2026-11-28",
    }
    assert check_measurement(f"{name}-1", record) is None
    return outcome.values


# -- corruptions ------------------------------------------------------------------------------------------------------


def test_the_accuracy_of_each_corruption_is_that_on_the_corrupted_images(data):
    outcome = evaluate_model(Bars(), data, on=["corruptions"], seed=3, images=300)["corruptions"]
    values = measured("corruptions", outcome)
    assert values["names"] == [*CORRUPTIONS] and outcome.arrays["correct"].shape == (15, 300)
    pixels, labels = data.images("test")[:300].float() / 255, data.labels("test")[:300]
    for name in ("fog", "translate", "rotate"):
        place = values["names"].index(name)
        corrupted = corrupt(pixels, name, seed=3)
        expected = (Bars()(corrupted).argmax(1) == labels).float().mean().item()
        assert values["accuracy"][place] == pytest.approx(expected) and (expected < 1 or name == "fog")
        assert np.array_equal(outcome.arrays["pictures"][place], (255 * corrupted[:8]).round().byte())
    assert values["mean"] == pytest.approx(np.mean(values["accuracy"]))
    assert values["clean"] == 1 and values["accuracy"][values["names"].index("brightness")] == 1


def test_some_corruptions_are_chosen(data):
    options = {"corruptions": {"names": ["stripe", "fog"]}}
    outcome = evaluate_model(Bars(), data, on=["corruptions"], images=5, options=options)["corruptions"]
    assert outcome.values["names"] == ["stripe", "fog"] and outcome.arrays["pictures"].shape == (2, 5, 1, 28, 28)


@pytest.mark.parametrize(
    ("test", "options", "message"),
    [
        ("corruptions", {"names": ["fogg"]}, "unknown corruption 'fogg'; did you mean fog"),
        ("corruptions", {"names": []}, "must be a list of corruptions"),
        ("corruptions", {"names": "fog"}, "names=fog: it must be a list of corruptions"),
        ("corruptions", {"names": ["fog", "fog"]}, "a corruption is named twice"),
        ("ood", {"sets": ["nois"]}, "unknown kind of images 'nois'; did you mean noise"),
        ("ood", {"sets": "noise"}, "sets=noise: it must be a list"),
        ("ood", {"sets": []}, "it must be a list"),
    ],
)
def test_an_invalid_option_is_one_line(test, options, message):
    with pytest.raises(InputError, match=message):
        chosen_tests([test], {test: options}, {})


# -- images of no class -----------------------------------------------------------------------------------------------


def test_the_auroc_is_scikit_learns():
    rng = np.random.default_rng(0)
    for shift, places in ((0.0, 8), (1.0, 8), (1.0, 1), (-5.0, 0)):  # rounded: many ties
        known, strange = (rng.normal(mean, 1, size).round(places) for mean, size in ((shift, 300), (0, 200)))
        labels, scores = np.r_[np.ones(300), np.zeros(200)], np.r_[known, strange]
        assert auroc(known, strange) == pytest.approx(roc_auc_score(labels, scores))
        false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
        assert fpr_at(known, strange) == pytest.approx(false[np.argmax(true >= 0.95 - 1e-12)])


@pytest.mark.parametrize(
    ("known", "strange", "area", "fpr", "why"),
    [
        ([3, 4], [1, 2], 1.0, 0.0, "apart"),
        ([1, 2], [3, 4], 0.0, 1.0, "the wrong way round"),
        ([1, 1], [1, 1, 1], 0.5, 1.0, "ties count half, and the threshold accepts them"),
        (range(1, 21), [0, 1, 2, 30], 0.725, 0.5, "one of 20 known images may be refused, the lowest"),
    ],
)
def test_the_separation_of_a_few_images(known, strange, area, fpr, why):
    known, strange = np.array(list(known), float), np.array(strange, float)
    assert (auroc(known, strange), fpr_at(known, strange)) == (pytest.approx(area), pytest.approx(fpr)), why


def test_the_scores_of_a_network_and_of_an_ensemble():
    logits = np.random.default_rng(0).normal(size=(3, 50, 4))
    each = softmax(logits.reshape(-1, 4)).reshape(3, 50, 4)
    mean = each.mean(axis=0)
    scores = uncertainty(logits)
    assert scores["max_probability"] == pytest.approx(np.log(mean.max(1) / (1 - mean.max(1))))
    assert scores["energy"] == pytest.approx(np.log(np.exp(logits).sum(axis=2)).mean(axis=0))
    assert scores["entropy"] == pytest.approx(-stats.entropy(mean, axis=1))
    assert scores["disagreement"] == pytest.approx(
        stats.entropy(each, axis=2).mean(axis=0) - stats.entropy(mean, axis=1)
    )
    assert scores["disagreement"].max() < 0
    assert "disagreement" not in uncertainty(logits[:1])
    assert uncertainty(np.repeat(logits[:1], 2, axis=0))["disagreement"] == pytest.approx(np.zeros(50), abs=1e-12)


def test_images_of_no_class_are_made_from_the_known_ones(data):
    pixels = data.images("test")[:100]
    made = strangers(pixels, Images.of(data), [*MADE], seed=1)
    assert [*made] == [*MADE]
    for kind, images in made.items():
        assert images.shape == pixels.shape and images.dtype == torch.uint8, kind
    assert 100 < made["noise"].float().mean() < 155 and made["noise"].float().std() > 60
    assert (made["blank"] == made["blank"][:, :, :1, :1]).all() and len(made["blank"].unique()) > 20
    turned = [
        torch.equal(image, each.rot90(1, (1, 2))) for image, each in zip(made["quarter_turns"], pixels, strict=True)
    ]
    assert 20 < sum(turned) < 80
    back = torch.stack([made["quarter_turns"].rot90(turn, (2, 3)) for turn in (1, -1)])
    assert ((back == pixels).flatten(2).all(dim=2)).any(dim=0).all()
    left, right = made["two_digits"][..., :14], made["two_digits"][..., 14:]
    squeezed = (pixels.float()[..., ::2] + pixels.float()[..., 1::2]) / 2
    for half in (left, right):
        distances = (half.float().unsqueeze(1) - squeezed).abs().amax(dim=(2, 3, 4))
        assert distances.min(dim=1).values.max() <= 0.5 and len(distances.argmin(dim=1).unique()) == 100
    again = strangers(pixels, Images.of(data), ["noise"], seed=1)["noise"]
    assert torch.equal(again, made["noise"])
    assert not torch.equal(strangers(pixels, Images.of(data), ["noise"], seed=2)["noise"], made["noise"])


def test_other_data_sets_are_used_if_they_are_on_disk_and_have_other_classes(tmp_path, monkeypatch, data):
    from mnist_zoo.data import sources

    known = data.images("test")[:30]

    def fashion(root):
        if not (root / "there").exists():
            raise sources.DataUnavailable("no files")
        return sources.ImageSet(*(np.full((40, 28, 28), 7, np.uint8), np.zeros(40, int)) * 2, ("a",))

    monkeypatch.setitem(sources._SOURCES, "fashion_mnist", fashion)
    digits = tuple("0123456789")
    images = Images(known, data.labels("test")[:30], name="csv", class_names=digits, root=tmp_path)
    assert set(strangers(known, images, None, 0)) == {*MADE}
    (tmp_path / "there").touch()
    assert strangers(known, images, None, 0)["fashion_mnist"].shape == (30, 1, 28, 28)
    for kinds, message in (
        (["mnist"], "these are the classes that the network knows from csv"),
        (["kmnist"], "kmnist: .*KMNIST"),
    ):
        with pytest.raises(InputError, match=message):
            strangers(known, images, kinds, 0)
    with pytest.raises(InputError, match="its images have the size 1x28x28, not 1x30x28"):
        strangers(torch.zeros(2, 1, 30, 28, dtype=torch.uint8), images, ["fashion_mnist"], 0)
    with pytest.raises(InputError, match="not square"):
        strangers(torch.zeros(2, 1, 30, 28, dtype=torch.uint8), images, ["quarter_turns"], 0)


def test_damaged_files_of_another_data_set_are_not_passed_over(tmp_path, data):
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"no")
    images = Images(data.images("test")[:5], data.labels("test")[:5], root=tmp_path)
    with pytest.raises(InputError, match="train-images-idx3-ubyte is not an IDX file"):
        strangers(images.test, images, None, 0)


def test_other_data_sets_get_the_filters_of_the_known_images(monkeypatch):
    from mnist_zoo.data import sources

    square = np.zeros((40, 28, 28), np.uint8)
    square[:, 9:19, 9:19] = 255
    monkeypatch.setitem(
        sources._SOURCES, "kmnist", lambda root: sources.ImageSet(*(square, np.zeros(40, int)) * 2, ("a",))
    )
    own = MNISTDataModule("stripes", train=200, test=40, normalize=False, filters={"blur": 2})
    seen = []

    class Watched(Bars):
        def forward(self, pixels):
            seen.append(pixels)
            return super().forward(pixels)

    evaluate_model(Watched(), own, on=["ood"], options={"ood": {"sets": ["kmnist"]}})
    assert 0 < seen[-1][0, 0, 8, 8] < 1, "the edges of the strangers are blurred, too"


def test_the_kinds_of_images_identify_a_measurement(tmp_path, data):
    images = Images(data.images("test")[:30], data.labels("test")[:30], name="mnist5k", root=tmp_path)
    test, settings = chosen_tests(["ood"], {}, {})[0]
    assert test.complete(settings, images).sets == (*MADE,), "the other data sets are not on disk"
    test, settings = chosen_tests(["ood"], {"ood": {"sets": ["noise"]}}, {})[0]
    assert test.complete(settings, images).sets == ("noise",)


def test_a_network_of_bars_knows_noise_and_blank_images(data):
    outcome = evaluate_model(Bars(), data, on=["ood"], options={"ood": {"sets": [*MADE]}})["ood"]
    values = measured("ood", outcome)
    probability = {kind: scores["max_probability"] for kind, scores in values["sets"].items()}
    assert probability["noise"] == {"auroc": 1.0, "fpr95": 0.0} == probability["blank"]
    assert values["images"] == dict.fromkeys(MADE, 400)
    assert "disagreement" not in values["mean"]
    mean = np.mean([each["energy"]["auroc"] for each in values["sets"].values()])
    assert values["mean"]["energy"]["auroc"] == pytest.approx(mean)


def test_members_that_disagree_on_strangers_tell_them(data):
    """Bars are alike in both halves of an image, noise is not."""

    class Half(nn.Module):
        def __init__(self, part: slice):
            super().__init__()
            self.part = part

        def forward(self, pixels: Tensor) -> Tensor:
            return Bars(40.0)(pixels[..., self.part])

    images = Images(data.images("test")[:200], data.labels("test")[:200], name="stripes")
    settings = chosen_tests(["ood"], {"ood": {"sets": ["noise"]}}, {})[0][1]
    areas = []
    for parts in ((slice(14), slice(14)), (slice(14), slice(14, 28))):
        members = tuple(map(Half, parts))
        subject = Subject("halves", MeanProbabilities(members), members)
        scores = measure_ood(subject, images, settings, lambda share: None).values["sets"]["noise"]
        assert set(scores) == {"max_probability", "energy", "entropy", "disagreement"}
        areas.append(scores["disagreement"]["auroc"])
    assert areas[1] > 0.99 and areas[0] < 0.9, "equal members never disagree"


# -- calibration ------------------------------------------------------------------------------------------------------


def test_the_temperature_is_fitted_on_validation_and_lowers_the_error_on_test():
    rng = np.random.default_rng(0)
    bright = rng.integers(0, 256, (6000, 1, 3, 1), dtype=np.uint8)  # each row is a logit
    rows = bright[:, 0, :, 0] / 255

    class Rows(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return 12 * pixels[:, 0, :, 0]  # three times too sure

    probabilities = softmax(4 * rows)
    labels = (probabilities.cumsum(axis=1) > rng.random((6000, 1))).argmax(axis=1)
    parts = torch.from_numpy(bright), torch.from_numpy(labels)
    images = Images(parts[0][:3000], parts[1][:3000], parts[0][3000:], parts[1][3000:])
    chosen, settings = chosen_tests(["calibration"], {}, {})[0]
    outcome = run_test(Subject("rows", Rows()), images, chosen, settings)
    values = measured("calibration", outcome)
    expected = fit_temperature(12 * rows[3000:], labels[3000:])
    assert values["temperature"] == pytest.approx(expected, rel=1e-4) and 2.5 < expected < 3.5
    plain, scaled = values["plain"], values["scaled"]
    assert (
        plain["ece"] > 0.1 > 0.03 > scaled["ece"] and scaled["nll"] < plain["nll"] and scaled["brier"] < plain["brier"]
    )
    assert values["accuracy"][0] == pytest.approx((rows[:3000].argmax(1) == labels[:3000]).mean())
    assert values["accuracy"][0] < values["accuracy"][-1] and values["coverage"][0] == 1
    curve = outcome.arrays["curve"]
    assert curve.shape == (200,) and curve[-1] == pytest.approx(values["accuracy"][0])
    assert values["area"] == pytest.approx(curve.mean(), abs=0.01)


def test_calibration_needs_a_validation_split_and_does_not_measure_it(data):
    with pytest.raises(InputError, match="no validation split"):
        evaluate_model(Bars(), (data.images("test"), data.labels("test")), on=["calibration"])
    with pytest.raises(InputError, match=r"calibration: .* measure it on the test split"):
        chosen_tests(["clean", "calibration"], {}, {"split": "val"})


@pytest.mark.parametrize(
    ("test", "values"),
    [
        ("calibration", {"temperature": 1.0, "plain": {}, "scaled": {}}),
        ("ood", {"sets": {}, "mean": {}, "images": {}}),
        ("ood", {"sets": {"noise": {"energy": {"auroc": 2.0, "fpr95": 0.0}}}, "mean": {}, "images": {}}),
        ("corruptions", {"names": ["fog"], "accuracy": [], "mean": 0.5, "clean": 0.5}),
    ],
)
def test_invalid_values_are_found(test, values):
    record = {
        **{"test": test, "version": 1, "settings": {}, "weights": "", "data": "", "fingerprint": "", "images": 1},
        **{"values": values, "arrays": [], "seconds": 0.1, "device": "cpu", "versions": {}, "date": ""},
    }
    assert (check_measurement(f"{test}-1", record) or "").startswith("values: ")


def test_settings_are_plain_values():
    assert CorruptionSettings.of({"names": ["fog"]}).as_dict()["names"] == ["fog"]
    assert Settings().as_dict() == {"images": None, "split": "test", "seed": 0}


# -- the report -------------------------------------------------------------------------------------------------------


@pytest.fixture
def reported(tmp_path):
    """Return runs of two configurations with two seeds each, of which all but one were measured."""
    folders = sorted(write_runs(tmp_path, 2, 2, images=200, epochs=2).iterdir())
    for number, folder in enumerate(folders[:3]):
        bins = {"confidence": [0.5, 0.9], "accuracy": [0.4, 0.95], "counts": [50, 150], "perfect_ece": 0.01}
        scores = {"nll": 0.2 - 0.01 * number, "brier": 0.1, "ece": 0.05}
        separation = {"auroc": 0.9 + 0.02 * number, "fpr95": 0.2}
        curve = np.linspace(1, 0.9, 200, dtype=np.float32)
        pictures = np.zeros((2, 8, 1, 28, 28), np.uint8)
        found = {
            "corruptions": (
                {"names": ["fog", "shear"], "accuracy": [0.3 + 0.1 * number, 0.9], "mean": 0.6, "clean": 0.99},
                {"names": ["fog", "shear"]},
                {"pictures": pictures},
            ),
            "ood": ({"sets": {"noise": {"energy": separation}}, "mean": {"energy": separation}, "images": {}}, {}, {}),
            "calibration": (
                {
                    **{"temperature": 1.5, "plain": scores | bins, "scaled": scores | bins | {"ece": 0.02}},
                    **{"coverage": [1.0, 0.95], "accuracy": [0.9, 0.96], "area": 0.99},
                },
                {},
                {"curve": curve},
            ),
        }
        for test, (values, settings, arrays) in found.items():
            record = {
                **{"test": test, "version": 1, "settings": settings, "weights": "", "data": ""},
                **{
                    "fingerprint": read_metrics(folder)["data_fingerprint"],
                    "images": 1000,
                    "values": values,
                    "seconds": 1.0,
                    "device": "",
                    "versions": {},
                    "date": "",
                },
            }
            add_measurement(folder, f"{test}-1", record, arrays)
    return tmp_path


def test_the_report_has_a_section_for_each_test(reported):
    table = read_runs([reported]).table
    (runs,), _ = group_by_images(table)
    corruptions, strangers_section, calibrated = beyond_sections(runs)
    assert [each.title for each in (corruptions, strangers_section, calibrated)] == [
        *("Corruptions", "Images of no class", "Calibration")
    ]
    first = corruptions.blocks[0]
    assert first.content["seeds"].tolist() == [1, 2] and first.content["mean"].tolist() == ["60.00", "60.00 ± 0.00"]
    assert first.content["worst"][1] == "fog 35.0, shear 90.0" and first.raw["fog"].tolist() == [0.5, 0.3, 0.4]
    assert [block.name for block in corruptions.blocks] == ["corruptions", "corruptions", "corrupted"]
    row = strangers_section.blocks[0].content.iloc[0]
    assert (row["score"], row["noise"], row["mean FPR95 (%)"]) == ("energy", "0.9400", "20.00")
    row = calibrated.blocks[0].content.iloc[0]
    assert (row["NLL plain"], row["ECE (%) scaled"], row["accuracy at 95 %"]) == ("0.1800", "2.00", "96.00")
    assert [block.name for block in calibrated.blocks] == ["calibration", "temperature", "coverage"]
    assert table["corruptions_acc"].count() == 3 and table["ood_auroc_energy"].max() == pytest.approx(0.94)
    assert table["temperature"].dropna().unique() == [1.5] and table["ece_scaled"].count() == 3


def test_runs_that_were_not_measured_have_no_sections(tmp_path):
    (runs,), _ = group_by_images(read_runs([write_runs(tmp_path, 1, 1, images=50, epochs=1)]).table)
    assert beyond_sections(runs) == []


def test_damaged_arrays_leave_out_their_plots_only(reported):
    for path in reported.glob("*/evaluation.npz"):
        path.write_bytes(b"")
    (runs,), _ = group_by_images(read_runs([reported]).table)
    names = [block.name for section in beyond_sections(runs) for block in section.blocks]
    assert names == ["corruptions", "corruptions", "strangers", "calibration", "temperature"]
