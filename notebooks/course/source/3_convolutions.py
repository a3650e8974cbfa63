# %% [markdown]
# # Lesson 3: convolutions
#
# An MLP knows nothing of neighbourhood: shuffle the pixels of all images in the same way, and it learns as well as before. A convolution
# looks at small parts of the image, with the same weights everywhere.

# %%
import checks
import matplotlib.pyplot as plt
import torch
from torch import nn

from mnist_zoo import MNISTDataModule, create_model

data = MNISTDataModule("mnist5k")
image = data.images("train")[0, 0].float() / 255
edges = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
figure, axes = plt.subplots(1, 2, figsize=(5, 2.5))
axes[0].imshow(image, cmap="gray")
axes[1].imshow(nn.functional.conv2d(image[None, None], edges[None, None])[0, 0], cmap="gray")
axes[1].set_title("vertical edges")
for axis in axes:
    axis.axis("off")

# %% [markdown]
# ## Exercise 1: write a convolution
#
# Lay the kernel on the image, multiply each weight by the pixel below it, and add up: that is one pixel of the result. Do it wherever
# the kernel fits.

# %% exercise
def convolve(image, kernel):
    """Return the result for an image (H, W) and a kernel (h, w)."""
    return ...

# %% solution
def convolve(image, kernel):
    """Return the result for an image (H, W) and a kernel (h, w)."""
    height, width = (side - part + 1 for side, part in zip(image.shape, kernel.shape, strict=True))
    result = torch.empty(height, width)
    for row in range(height):
        for column in range(width):
            part = image[row : row + kernel.shape[0], column : column + kernel.shape[1]]
            result[row, column] = (part * kernel).sum()
    return result

# %%
checks.convolve(convolve)

# %% [markdown]
# ## Exercise 2: how large is the result
#
# With *padding* the image gets a border of zeros; with *stride* 2 the kernel moves two pixels at a time.

# %% exercise
def output_side(side, kernel, stride, padding):
    """Return the side of the result of a square image and a square kernel."""
    return ...

# %% solution
def output_side(side, kernel, stride, padding):
    """Return the side of the result of a square image and a square kernel."""
    return (side + 2 * padding - kernel) // stride + 1

# %%
checks.output_side(output_side)

# %% [markdown]
# ## Exercise 3: how many parameters
#
# A convolutional layer has one kernel for each pair of an input and an output channel, and one bias for each output channel.

# %% exercise
def convolution_parameters(inputs, outputs, kernel):
    """Return the number of weights and biases."""
    return ...

# %% solution
def convolution_parameters(inputs, outputs, kernel):
    """Return the number of weights and biases."""
    return inputs * outputs * kernel * kernel + outputs

# %%
checks.convolution_parameters(convolution_parameters)

# %% [markdown]
# Compare with the layers of the library's `cnn`: most of its parameters are in the dense layer, most of its operations in the second
# convolution. (`python -m mnist_zoo.describe cnn` prints the same.)

# %%
from mnist_zoo.models.layer_table import list_layers

for layer in list_layers(create_model("cnn"), (1, 28, 28)):
    print(f"{layer.name:12} {layer.kind:10} {layer.parameters:8,} parameters {layer.flops:10,} operations")

# %% [markdown]
# ## Do neighbourhoods matter?
#
# The same two networks on the images, and on images whose pixels are shuffled, all in the same way. The order of the pixels means
# nothing to the MLP, so its two accuracies differ by chance only (one of the 333 validation images is 0.003). Does the convolutional
# network lose more than that? Lesson 4 shows how to find out.

# %%
order = torch.randperm(784, generator=torch.Generator().manual_seed(0))
for name in ("mlp", "cnn_strided"):
    for shuffled in (False, True):
        torch.manual_seed(0)
        network = create_model(name)
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        for epoch in range(2):
            for batch, batch_labels in data.train_dataloader():
                batch = batch.flatten(1)[:, order].view_as(batch) if shuffled else batch
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(batch), batch_labels).backward()
                optimizer.step()
        correct = 0
        network.eval()
        for batch, batch_labels in data.val_dataloader():
            batch = batch.flatten(1)[:, order].view_as(batch) if shuffled else batch
            correct += (network(batch).argmax(1) == batch_labels).sum().item()
        print(f"{name}, {'shuffled' if shuffled else 'as they are'}: {correct / len(data.labels('val')):.3f}")
