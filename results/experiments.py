"""What the tables say of each experiment: its paper, and how its results differ from the paper's."""

from __future__ import annotations

from typing import NamedTuple


class Experiment(NamedTuple):
    """Title and note of an experiment's table."""

    title: str
    note: str


ZOO = "zoo"  # runs of no experiment: the library's default settings
ZOO_TITLE = "The zoo with the library's defaults"
ZOO_NOTE = (
    "Adam, batch size 64, the epoch chosen on 5,000 validation images; test accuracy on the full test set. A row of "
    "one seed has no interval. The machine was busy with other work, so times do not measure speed. Repeat a row with "
    "`python -m mnist_zoo model=... seed=0` (overrides of each row: [zoo.csv](results/zoo.csv))."
)
ROBUSTNESS_NOTE = (
    "Accuracy (%) under attack: mean over seeds and its 95 % interval. Attacks are on the first 1,000 test images, on "
    "all 10,000 where robustness.csv says so, on pixels from 0 to 1; a number behind a name is epsilon, or the "
    "share of the input that is zeroed. Written from robustness.csv, which has the settings."
)
EXPERIMENTS = {
    "architectures": Experiment(
        "Application of Deep Learning Models on MNIST Dataset (2024)",
        "The paper does not state its learning rate, patience, split and L2 factor; ours are assumptions. It ranks its "
        "six CNNs. Our seeds on the same 10,000 images do not resolve any pair of CNNs, only each CNN from the MLP "
        "(see the report's section on significance). Our MLP stays below the paper's.",
    ),
    "architectures_diagnosis": Experiment(
        "An explanation of two numbers of architectures",
        "Settings that were fitted to the paper's numbers: an L2 factor of 1e-3, and dropout of 0.2 with twenty epochs "
        "for the MLP. That they agree with the paper proves nothing, and they do not count as repetitions.",
    ),
    "keras_cnn": Experiment(
        "A talk on a Keras CNN for digits",
        "The talk's numbers are rounded to whole per cents, and its network is unknown. The one of experiment=dropout "
        "has a higher accuracy. A single convolution of 4 channels without a dense layer (cnn_4) comes closest.",
    ),
    "dropout": Experiment(
        "Deep Learning for MNIST Digit Classification",
        "The paper's training accuracies are running averages of an epoch, with dropout active; ours are of the chosen "
        "epoch, without dropout. Our seeds do not resolve the gain by dropout that it reports.",
    ),
    "dropout_search": Experiment(
        "Deep Learning for MNIST Digit Classification: the search",
        "A search over 18 points on 5,000 images: its best validation accuracy is biased upwards by the choice. One "
        "seed for each point, three at the paper's best point.",
    ),
    "digits_fashion": Experiment(
        "Application of Neural Network in Image (2022)",
        "The thesis reports running training accuracies (99.4 and 91.2 %) as its result. It flips images, which makes "
        "digits harder. Early stopping ended our runs soon (see the epochs below), and they stay below its validation "
        "accuracies; we do not know why. Our runs use bfloat16 (`trainer.precision=bf16-mixed`), in which these "
        "networks train faster.",
    ),
    "digits_fashion_logged": Experiment(
        "Application of Neural Network in Image (2022), as its log shows it",
        "The thesis' log contradicts its text: nothing stopped early, and no augmentation was at work, because the "
        "running training accuracy is above the validation accuracy in every epoch.",
    ),
    "lr_sweep": Experiment(
        "Handwritten Digit Recognition using ResNet-18 (2022), Tables 1-3",
        "The paper's Table 2 is headed LeNet but was measured on torchvision's GoogLeNet; its numbers are compared "
        "with googlenet. The LeNet-5 of its text has no numbers. Many of its differences are within the noise of one "
        "run on 10,000 images. Rows with data.normalize=true are ours of an earlier recipe; the paper's listing scales "
        "images to 0-1 only. Its MLP hardly depends on the learning rate; ours with Adam does, and the paper does "
        "not name its optimizer. Its GoogLeNet and ResNet-18 have a validation accuracy that is percentage points "
        "below their test accuracy, and it does not say why; ours have about the same on both.",
    ),
    "lr_sweep_final": Experiment(
        "Handwritten Digit Recognition using ResNet-18 (2022), Table 4",
        "As lr_sweep. The paper prints losses in per cent. It does not name the device of its training times.",
    ),
    "ensemble": Experiment(
        "An et al. 2020, arXiv 2008.10400",
        "The paper reports up to 99.91 % for ensembles chosen on the test set; ours are chosen on validation.",
    ),
    "masking": Experiment(
        "Ingle & Pawale 2024: feature masking",
        "The paper states neither network nor epsilon. FGSM here is that with epsilon 0.1 on all test images; "
        "robustness.csv has a grid of epsilons.",
    ),
    "robust": Experiment(
        "A network that is trained against attacks",
        "No paper's recipe; the accuracies here are without attack. The table under attack has the others.",
    ),
    "fast99": Experiment(
        "A short training to 99 %",
        "No paper's recipe: chosen on validation, then tested with 20 seeds. The machine was busy with other work, so "
        "the time does not measure speed.",
    ),
}
