# %% [markdown]
# # Lesson 4: comparing honestly
#
# "My network has 95.3 %, yours has 95.1 %" may mean nothing. The test images are a sample, and the seed (initial weights, order of the
# images) changes the result. This lesson measures both.

# %%
import checks
import matplotlib.pyplot as plt
import numpy as np

# %% [markdown]
# ## Exercise 1: an interval for an accuracy
#
# If `correct` of `count` test images are correct, the share found is $p$ = correct / count. Wilson's interval says which true
# accuracies are compatible with it. With $n$ = count and $z = 1.96$ (95 %):
#
# $$\frac{p + \frac{z^2}{2n} \pm z\sqrt{\frac{p(1-p)}{n} + \frac{z^2}{4n^2}}}{1 + \frac{z^2}{n}}$$


# %% exercise
def interval(correct, count):
    """Return the lower and the upper bound, 0-1."""
    return ..., ...


# %% solution
def interval(correct, count):
    """Return the lower and the upper bound, 0-1."""
    z, share = 1.96, correct / count
    middle = share + z**2 / (2 * count)
    half = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return (middle - half) / (1 + z**2 / count), (middle + half) / (1 + z**2 / count)


# %%
checks.interval(interval)

# %% [markdown]
# The library prints this interval beside each accuracy. For 950 correct of 1,000 and 9,500 of 10,000:

# %%
from mnist_zoo.runs.interval import wilson_interval

{count: [round(bound, 4) for bound in wilson_interval(round(0.95 * count), count)] for count in (1000, 10000)}

# %% [markdown]
# ## Exercise 2: the same seeds for both
#
# Train both networks with seeds 0, 1, 2, ... A seed that is lucky for one is often lucky for the other, as the images and their order are
# the same. So compare in pairs: the mean of the differences, and its standard error (the standard deviation of the differences, divided by
# the square root of their number).


# %% exercise
def paired_difference(first, second):
    """Return the mean difference of two arrays of accuracies, one entry a seed, and its standard error."""
    return ..., ...


# %% solution
def paired_difference(first, second):
    """Return the mean difference of two arrays of accuracies, one entry a seed, and its standard error."""
    differences = first - second
    return differences.mean(), differences.std(ddof=1) / np.sqrt(len(differences))


# %%
checks.paired_difference(paired_difference)

# %% [markdown]
# ## Real runs
#
# Two MLPs, with and without dropout, three seeds each, two epochs.

# %%
import logging
import warnings

import pytorch_lightning as pl

from mnist_zoo import LitClassifier, MNISTDataModule

logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
warnings.filterwarnings("ignore")
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
accuracies = {}
for dropout in (0.0, 0.5):
    for seed in range(3):
        pl.seed_everything(seed, verbose=False)
        data = MNISTDataModule("mnist5k", seed=seed)
        model = LitClassifier({"name": "mlp", "dropout": dropout}, lr=1e-3)
        trainer = pl.Trainer(max_epochs=2, accelerator="cpu", **quiet)
        trainer.fit(model, datamodule=data)
        [result] = trainer.validate(model, datamodule=data, verbose=False)
        accuracies.setdefault(dropout, []).append(round(result["val_acc"], 4))
accuracies

# %% [markdown]
# How many seeds would you need to be sure? `python -m mnist_zoo.versus` trains until the answer is known.
#
# ## Exercise 3: the best of ten
#
# Ten seeds of one network, all with a true accuracy of 0.95, are tested on 1,000 images each; somebody reports the best of the ten. How
# much too high is the report on average? Simulate 10,000 such reports: `rng.binomial(1000, 0.95)` is the number of correct images of
# one test.

# %% exercise
bias = ...  # the mean of (the best of ten measured accuracies) - 0.95

# %% solution
rng = np.random.default_rng(0)
bias = (rng.binomial(1000, 0.95, size=(10_000, 10)) / 1000).max(axis=1).mean() - 0.95

# %%
checks.selection_bias(bias)

# %% [markdown]
# The more seeds, the higher the best of them, although nothing became better. So report the mean, choose on validation images, and look
# at the test images once.

# %%
rng = np.random.default_rng(1)
seeds = np.arange(1, 31)
best = [(rng.binomial(1000, 0.95, size=(2000, count)) / 1000).max(axis=1).mean() for count in seeds]
plt.plot(seeds, best, label="best of them")
plt.axhline(0.95, color="black", linestyle="--", label="true accuracy")
plt.xlabel("number of seeds")
plt.ylabel("test accuracy")
_ = plt.legend(frameon=False)
