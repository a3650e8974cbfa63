"""The diagram of a network as SVG: a box for each layer with weights, from the image to the logits."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnist_zoo.models.layer_table import Layer

BOX, GAP, PICTURE, TEXT = 46, 18, 64, 470  # pixels: height of a box, space between two, widths of its parts
WIDTH = PICTURE + TEXT + 40
LARGEST, SMALLEST = 36.0, 4.0  # pixels; sides of the squares that stand for maps
# Layers without weights of their own that change each number alone: they are named in the box before them.
JOINED = ("BatchNorm", "ReLU", "ELU", "GELU", "SiLU", "Tanh", "Sigmoid", "Dropout", "Identity")
KINDS = {"Conv": "conv", "Pool": "pool", "Linear": "linear"}  # parts of a layer's class, and the colour of its box
STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1b1f27; }
.quiet { fill: #5a6272; font-size: 12px; }
.ground { fill: #ffffff; } .box { fill: #f5f6f8; stroke: #8a93a3; }
.arrow { stroke: #8a93a3; stroke-width: 1.5; fill: none; }
.conv { fill: #0072b2; } .pool { fill: #009e73; } .linear { fill: #d55e00; } .other { fill: #8a93a3; }
@media (prefers-color-scheme: dark) {
text { fill: #e9ecf1; } .quiet { fill: #a5adbb; } .ground { fill: #14161a; } .box { fill: #1e2127; }
.conv { fill: #56b4e9; } .pool { fill: #2fbf95; } .linear { fill: #f0a35e; }
}
"""


def draw_diagram(title: str, image_shape: tuple[int, int, int], layers: Sequence[Layer]) -> str:
    """Return an SVG of a network, readable on light and on dark pages.

    Each box has the layer's class, kernel, output shape and number of parameters; the square beside it shrinks with
    height and width of the maps. Normalisation, activations and dropout are named in the box of the layer before them.
    Left out are flattening, layers that do not run in evaluation mode, and connections that skip layers.

    Args:
        title: of the diagram.
        image_shape: ``(C, H, W)`` of the input.
        layers: of `mnist_zoo.models.layer_table.list_layers`.
    """
    groups = _groups([layer for layer in layers if layer.shape is not None])
    height = 50 + (1 + len(groups)) * (BOX + GAP)
    words = [f"image {_shape_words(image_shape)}"] + [
        f"{_title(group)}: {_shape_words(group[-1].shape or ())}" for group in groups
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title words">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="words">{escape("; ".join(words))}</desc>',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>',
        f'<text x="20" y="30">{escape(title)}</text>',
        _box(0, "image", "", image_shape, "other", image_shape[1]),
    ]
    for row, group in enumerate(groups, 1):
        shape = group[-1].shape or ()
        count = sum(layer.parameters for layer in group)
        parts.append(_arrow(row))
        details = f"{group[0].name}: {count:,} parameters" if count else group[0].name
        parts.append(_box(row, _title(group), details, shape, _kind(group[0]), image_shape[1]))
    return "\n".join([*parts, "</svg>\n"])


def _groups(layers: Sequence[Layer]) -> list[list[Layer]]:
    """Return the layers of each box."""
    groups: list[list[Layer]] = []
    for layer in layers:
        if groups and layer.kind == "Flatten":
            continue  # its shape would be shown as that of the layer before it
        if groups and any(name in layer.kind for name in JOINED):
            groups[-1].append(layer)
        else:
            groups.append([layer])
    return groups


def _title(group: Sequence[Layer]) -> str:
    """Return the classes of a box's layers, such as ``Conv2d 3x3 + BatchNorm2d + ReLU``."""
    named = [f"{layer.kind} {layer.details}".strip() for layer in group if layer.kind != "Identity"]
    return " + ".join(named or [layer.kind for layer in group[:1]])


def _kind(layer: Layer) -> str:
    return next((colour for part, colour in KINDS.items() if part in layer.kind), "other")


def _shape_words(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _box(row: int, title: str, details: str, shape: Sequence[int], kind: str, image_height: int) -> str:
    """Return a box with its texts, and the square that stands for its maps; for a vector a bar."""
    top = 50 + row * (BOX + GAP)
    if len(shape) == 3:
        height, width = (max(SMALLEST, LARGEST * side / image_height) for side in shape[1:])
        height, width = (side * min(1, LARGEST / max(height, width)) for side in (height, width))
    else:
        height, width = LARGEST, SMALLEST
    left, middle = 20 + PICTURE / 2, top + BOX / 2
    return (
        f'<rect class="box" x="20" y="{top}" width="{PICTURE + TEXT}" height="{BOX}" rx="6"/>'
        f'<rect class="{kind}" x="{left - width / 2:.1f}" y="{middle - height / 2:.1f}" width="{width:.1f}" '
        f'height="{height:.1f}" rx="1"/>'
        f'<text x="{20 + PICTURE}" y="{top + 20}">{escape(title)}</text>'
        f'<text class="quiet" x="{20 + PICTURE}" y="{top + 37}">{escape(details)}</text>'
        f'<text x="{10 + PICTURE + TEXT}" y="{top + 37}" text-anchor="end">{_shape_words(shape)}</text>'
    )


def _arrow(row: int) -> str:
    """Return the arrow that ends at a box."""
    x, end = 20 + PICTURE / 2, 50 + row * (BOX + GAP)
    return f'<path class="arrow" d="M{x} {end - GAP} V{end - 1} m-4 -5 l4 5 l4 -5"/>'
