"""The adapter: two residual layers between a model's transformer and its head, of the shape of LateOn's own.

    a = gelu(W1 x) + R1 x        from h numbers to 2 h
    b = gelu(W2 a) + R2 a        back to h
    the model's own head then projects b

LateOn has these layers (768-1536-768, both residual) before its projection to 128 numbers. Its activation is not
published with the shapes. GELU is this project's choice: without one, the three layers are one linear map, which the
head is already.

At the start an adapter changes nothing: R1 copies x into the first half of a, R2 copies it back, and W2 is zero. The
second half of a is drawn at random by W1, so that gradients have features to choose from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from pylate.models import ColBERT


def insert(model: ColBERT, seed: int) -> None:
    """Put a new adapter behind the transformer of a model, which gives the same token vectors as before.

    Parameters
    ----------
    seed
        Draws W1.
    """
    from pylate.models import Dense

    head: Any = model[1]
    hidden = int(head.in_features)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [
            Dense(a, b, bias=False, activation_function=torch.nn.GELU(), use_residual=True)
            for a, b in ((hidden, 2 * hidden), (2 * hidden, hidden))
        ]
    up, down = layers
    with torch.no_grad():
        up.linear.weight[:hidden].zero_()
        up.residual.weight.copy_(torch.eye(2 * hidden, hidden))
        down.linear.weight.zero_()
        down.residual.weight.copy_(torch.eye(hidden, 2 * hidden))
    for place, layer in enumerate(layers, start=1):
        model.insert(place, layer.to(head.linear.weight))
