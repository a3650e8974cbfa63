# %% [markdown]
# # Lesson 5: robustness
#
# A network with a high accuracy on clean images can fail on images that look the same to us. This lesson attacks a small network, adds
# noise, and asks whether the network knows when it is wrong.

# %%
import checks
import matplotlib.pyplot as plt
import torch
from torch import nn

from mnist_zoo import MNISTDataModule, create_model

data = MNISTDataModule("mnist5k", normalize=False)  # pixels from 0 to 1
torch.manual_seed(0)
network = create_model("cnn_strided")
optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
for epoch in range(3):
    for batch, batch_labels in data.train_dataloader():
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(batch), batch_labels).backward()
        optimizer.step()
network.eval().requires_grad_(False)
images, labels = data.images("val").float() / 255, data.labels("val")
print(f"validation accuracy: {(network(images).argmax(1) == labels).float().mean():.3f}")

# %% [markdown]
# ## Exercise 1: the fast gradient sign method
#
# Training follows the gradient of the loss with respect to the *weights*, downwards. An attack follows the gradient with respect to the
# *pixels*, upwards: each pixel changes by `epsilon`, in the direction of the sign of its gradient (Goodfellow et al. 2015). The
# result is clipped to 0-1, so that it is an image.


# %% exercise
def fgsm(network, images, labels, epsilon):
    """Return attacked images of the same shape, without gradient."""
    return ...


# %% solution
def fgsm(network, images, labels, epsilon):
    """Return attacked images of the same shape, without gradient."""
    pixels = images.clone().requires_grad_()
    loss = nn.functional.cross_entropy(network(pixels), labels)
    [gradient] = torch.autograd.grad(loss, pixels)
    return (images + epsilon * gradient.sign()).clamp(0, 1)


# %%
checks.fgsm(fgsm)

# %% [markdown]
# The library's attacks are stronger (PGD takes many such steps) and look for signs that a defence only hides the gradient:
# `python -m mnist_zoo.evaluate RUN --on fgsm,pgd`.
#
# ## Exercise 2: noise
#
# An attack knows the network; noise does not. Add normal noise to each pixel.


# %% exercise
def noisy(images, deviation):
    """Return images with normal noise of this standard deviation, clipped to 0-1."""
    return ...


# %% solution
def noisy(images, deviation):
    """Return images with normal noise of this standard deviation, clipped to 0-1."""
    return (images + deviation * torch.randn_like(images)).clamp(0, 1)


# %%
checks.noisy(noisy)

# %% [markdown]
# The accuracy of the network against the size of a random change. Compare it with your attack of the same size: which one is worse?

# %%
generator = torch.Generator().manual_seed(0)
sizes = (0.0, 0.05, 0.1, 0.2, 0.3)
signs = torch.randint(0, 2, images.shape, generator=generator) * 2 - 1
found = [(network((images + size * signs).clamp(0, 1)).argmax(1) == labels).float().mean().item() for size in sizes]
plt.plot(sizes, found, marker="o")
plt.xlabel("change of each pixel, up or down at random")
plt.ylabel("validation accuracy")
plt.ylim(0, 1.02)

# %% [markdown]
# ## Exercise 3: does it know?
#
# A network that says "99 %" should be correct in 99 % of such cases. On average: the mean of the largest probability, minus the
# accuracy. Above 0 the network is overconfident.


# %% exercise
def overconfidence(logits, labels):
    """Return the mean largest probability minus the accuracy, a number."""
    return ...


# %% solution
def overconfidence(logits, labels):
    """Return the mean largest probability minus the accuracy, a number."""
    most, classes = logits.softmax(1).max(1)
    return (most.mean() - (classes == labels).float().mean()).item()


# %%
checks.overconfidence(overconfidence)

# %% [markdown]
# The network on images of no digit at all: noise. It has no class "I do not know": how sure is it?

# %%
noise = torch.rand(500, 1, 28, 28, generator=generator)
sure = network(noise).softmax(1).max(1).values
print(
    f"largest probability on noise, mean: {sure.mean():.2f}; on digits: {network(images).softmax(1).max(1).values.mean():.2f}"
)
