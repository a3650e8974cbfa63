# %% [markdown]
# # Lesson 2: an MLP, and back-propagation by hand
#
# A multilayer perceptron (MLP) multiplies the pixels by a matrix, adds a bias, sets negative values to 0 (ReLU), and does it again. The
# last numbers are the logits. Here you write the loss and its gradient yourself, and train with them.

# %%
import checks
import matplotlib.pyplot as plt
import torch

from mnist_zoo import MNISTDataModule

data = MNISTDataModule("mnist5k")
images = (data.images("train").float().flatten(1) / 255 - 0.13) / 0.31
labels = data.labels("train")
val_images = (data.images("val").float().flatten(1) / 255 - 0.13) / 0.31
val_labels = data.labels("val")
images.shape

# %% [markdown]
# ## Exercise 1: softmax
#
# Softmax makes probabilities of logits: `exp(logit) / sum of exp(logits)`, for each row. Write it so that a logit of 1,000 works, too.


# %% exercise
def softmax(logits):
    """Return the probabilities (N, K) of logits (N, K)."""
    return ...


# %% solution
def softmax(logits):
    """Return the probabilities (N, K) of logits (N, K)."""
    powers = (logits - logits.max(1, keepdim=True).values).exp()
    return powers / powers.sum(1, keepdim=True)


# %%
checks.softmax(softmax)

# %% [markdown]
# ## Exercise 2: the gradient of the loss
#
# The loss is the cross-entropy: the mean over the images of `-log(probability of the label)`. Its gradient with respect to the logits is
# simple: the probabilities, minus 1 at the label, divided by the number of images.


# %% exercise
def loss_gradient(logits, labels):
    """Return the gradient of the mean cross-entropy, (N, K)."""
    return ...


# %% solution
def loss_gradient(logits, labels):
    """Return the gradient of the mean cross-entropy, (N, K)."""
    gradient = softmax(logits)
    gradient[torch.arange(len(labels)), labels] -= 1
    return gradient / len(labels)


# %%
checks.loss_gradient(loss_gradient)

# %% [markdown]
# ## Exercise 3: back-propagation
#
# The network is `hidden = relu(images @ w1 + b1)`, `logits = hidden @ w2 + b2`. Back-propagation is the chain rule from the end to the
# beginning. If `d` is the gradient with respect to the logits (exercise 2), that of `w2` is `hidden.T @ d`, that of `b2` is the sum of
# `d` over the images, and that of `hidden` is `d @ w2.T`. Then the same for the first layer; ReLU passes the gradient where its
# output is above 0.


# %% exercise
def backward(images, labels, w1, b1, w2, b2):
    """Return the gradients of w1, b1, w2, b2."""
    hidden = (images @ w1 + b1).relu()
    logits = hidden @ w2 + b2
    return ..., ..., ..., ...


# %% solution
def backward(images, labels, w1, b1, w2, b2):
    """Return the gradients of w1, b1, w2, b2."""
    hidden = (images @ w1 + b1).relu()
    logits = hidden @ w2 + b2
    d = loss_gradient(logits, labels)
    d_hidden = (d @ w2.T) * (hidden > 0)
    return images.T @ d_hidden, d_hidden.sum(0), hidden.T @ d, d.sum(0)


# %%
checks.backward(backward)

# %% [markdown]
# ## Training
#
# PyTorch computes the same gradients (`torch.autograd.grad`). If you replace the three lines from `hidden` to `gradients` by
# `gradients = backward(images[batch], labels[batch], *weights)`, the curve stays the same.

# %%
generator = torch.Generator().manual_seed(0)
weights = [torch.randn(784, 64, generator=generator) * 0.05, torch.zeros(64)]
weights += [torch.randn(64, 10, generator=generator) * 0.1, torch.zeros(10)]
accuracies = []
for epoch in range(6):
    for batch in torch.randperm(len(images), generator=generator).split(64):
        for weight in weights:
            weight.requires_grad_()
        hidden = (images[batch] @ weights[0] + weights[1]).relu()
        loss = torch.nn.functional.cross_entropy(hidden @ weights[2] + weights[3], labels[batch])
        gradients = torch.autograd.grad(loss, weights)
        weights = [(weight - 0.1 * gradient).detach() for weight, gradient in zip(weights, gradients)]
    predicted = ((val_images @ weights[0] + weights[1]).relu() @ weights[2] + weights[3]).argmax(1)
    accuracies.append((predicted == val_labels).float().mean().item())
plt.plot(range(1, 7), accuracies, marker="o")
plt.xlabel("epoch")
plt.ylabel("validation accuracy")
round(accuracies[-1], 2)

# %% [markdown]
# The library's network of this kind is `create_model("mlp")`; `python -m mnist_zoo data=mnist5k model=mlp` trains it.
