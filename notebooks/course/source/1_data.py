# %% [markdown]
# # Lesson 1: data
#
# Before you train a network, look at what it will see. This lesson uses 5,000 real digits that come with the library; nothing is
# downloaded.
#
# The exercises have a cell to complete and a check below it, which prints `correct` or `not yet` with a hint. The solutions are in
# the folder `solutions`.

# %%
import checks
import matplotlib.pyplot as plt
import torch

from mnist_zoo import MNISTDataModule

data = MNISTDataModule("mnist5k")
images, labels = data.images("train"), data.labels("train")
images.shape, images.dtype, labels.shape

# %% [markdown]
# Images are `uint8` of the shape `(N, C, H, W)`: N images, C channels (one, grey), H rows and W columns. 0 is black (the paper) and
# 255 is white (the ink).

# %%
figure, axes = plt.subplots(1, 10, figsize=(10, 1.3))
for digit, axis in enumerate(axes):
    axis.imshow(images[labels == digit][0, 0], cmap="gray")
    axis.set_title(digit)
    axis.axis("off")

# %% [markdown]
# ## Exercise 1: how many of each
#
# If one class has few images, a network can be good on average and bad at that class. Count the training images of each digit.

# %% exercise
counts = ...  # ten whole numbers

# %% solution
counts = torch.bincount(labels, minlength=10)

# %%
checks.class_counts(counts, labels)

# %% [markdown]
# ## Exercise 2: mean and standard deviation
#
# Networks learn faster from numbers around 0 with a standard deviation near 1. So each pixel is scaled: `(brightness - mean) / std`,
# where brightness is 0-1. Mean and standard deviation come from the *training* images only: what we know of the test images must not
# change the training.

# %% exercise
mean, std = ..., ...  # of the brightness (0-1) of all pixels of `images`

# %% solution
brightness = images.float() / 255
mean, std = brightness.mean(), brightness.std()

# %%
checks.brightness((mean, std), images)

# %% [markdown]
# The library does this for you. A batch of the training loader:

# %%
batch, batch_labels = next(iter(data.train_dataloader()))
batch.shape, batch.dtype, round(batch.mean().item(), 2), round(batch.std().item(), 2)

# %% [markdown]
# ## Three splits
#
# The network is fitted on *train*. Choices (which epoch, which learning rate, which network) are made on *validation*. *Test* is
# looked at once, at the end. The split is stratified: each class has the same share in both parts.

# %%
{split: counts for split, counts in data.class_counts.items()}

# %% [markdown]
# ## Exercise 3: a classifier without a network
#
# The mean image of a class is what its digits have in common. Classify an image by the nearest mean image (the smallest sum of squared
# differences of the pixels). Whatever you train later must be better than this.


# %% exercise
def predict(train_images, train_labels, images):
    """Return the predicted label of each image, int64 (N,)."""
    return ...


# %% solution
def predict(train_images, train_labels, images):
    """Return the predicted label of each image, int64 (N,)."""
    means = torch.stack([train_images[train_labels == digit].float().mean(0).flatten() for digit in range(10)])
    return torch.cdist(images.float().flatten(1), means).argmin(1)


# %%
checks.nearest_mean(predict)

# %% [markdown]
# With a correct answer, `(predict(images, labels, data.images("val")) == data.labels("val")).float().mean()` is its accuracy on the
# validation images: a little more than 0.8. Which digits does it confuse, and why? Draw the mean images to see it.

# %%
figure, axes = plt.subplots(1, 10, figsize=(10, 1.3))
for digit, axis in enumerate(axes):
    axis.imshow(images[labels == digit].float().mean((0, 1)), cmap="gray")
    axis.axis("off")
