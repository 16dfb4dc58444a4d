"""The last layers of a transformer, fed with the output of the layer below them.

The layers below a cut are frozen while the last ones train, so that each text passes through them only once. A
transformer of Hugging Face is embeddings, a list of layers, and perhaps a norm. Its last layers are the same modules
in a copy that shares their parameters: without the other layers, and with embeddings that pass on what they are given.
Masks and positions are then the model's own.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float
from torch import nn

from harness.system.errors import HarnessError

if TYPE_CHECKING:
    from pylate.models import ColBERT

HIDDEN = "hidden_states"
"""The key, among the features of a batch, of the output of the layer below the cut."""
_ALIKE = 32  # tokens: texts whose lengths differ by less go through together
_UNUSED = "pooler"  # a layer behind the token vectors, which ColBERT does not use


class LastLayers:
    """The last layers of a model's transformer.

    Parameters
    ----------
    model
        PyLate's ColBERT.
    count
        How many layers.

    Raises
    ------
    HarnessError
        If the transformer has no list of layers, or fewer of them.
    """

    def __init__(self, model: ColBERT, count: int) -> None:
        backbone: Any = model[0]
        self._whole = backbone.auto_model
        place = _place_of_layers(self._whole)
        layers: Any = self._whole.get_submodule(place)
        if count > len(layers):
            raise HarnessError(
                f"layers:{count} are more layers than the {len(layers)} of this model: name at most {len(layers)}."
            )
        self._first = layers[len(layers) - count]
        self._above = _copied(self._whole, place, layers[len(layers) - count :])
        self._above.embeddings = _Given()

    def below(self, features: dict[str, torch.Tensor]) -> Float[torch.Tensor, "texts length hidden"]:
        """The output of the layer below the cut, for tokenized texts; the layers above are not computed."""
        hook = self._first.register_forward_pre_hook(_stop)
        try:
            self._whole(input_ids=features["input_ids"], attention_mask=features["attention_mask"])
        except _ReachedCut as reached:
            return reached.hidden
        finally:
            hook.remove()
        raise AssertionError("the transformer did not pass its own layers")

    def above(self, features: dict[str, torch.Tensor]) -> Float[torch.Tensor, "texts length hidden"]:
        """The transformer's output, from `HIDDEN` and ``attention_mask``; zeros behind the longest text of a group.

        On a CPU, texts of about the same length go through together: a passage has about half as many tokens as the
        longest one. On a GPU all go at once, for fewer and larger products; this was not timed against groups.
        """
        hidden, attention = features[HIDDEN], features["attention_mask"]
        places = torch.arange(1, hidden.shape[1] + 1, device=hidden.device)
        lengths = ((attention.bool() | hidden.any(dim=2)) * places).amax(dim=1)  # expansion tokens are not attended to
        order, parts = lengths.argsort(), []
        for rows in order.split(_group_sizes(lengths[order])):
            longest = int(lengths[rows[-1]])
            given = {"inputs_embeds": hidden[rows, :longest], "attention_mask": attention[rows, :longest]}
            parts.append(nn.functional.pad(self._above(**given).last_hidden_state, (0, 0, 0, len(places) - longest)))
        return torch.cat(parts)[order.argsort()]

    def names(self, model: ColBERT) -> list[str]:
        """The names, in the model, of the parameters above the cut, without the head's."""
        above = {id(parameter) for parameter in self._above.parameters()}
        named = model.named_parameters()
        return [name for name, parameter in named if id(parameter) in above and _UNUSED not in name]


def _group_sizes(lengths: torch.Tensor) -> list[int]:
    """How many of the texts with these lengths, the shortest first, go through together."""
    if lengths.device.type == "cuda":
        return [len(lengths)]
    _, sizes = (lengths // _ALIKE).unique_consecutive(return_counts=True)
    found: list[int] = sizes.tolist()
    return found


def placed(
    rows: list[torch.Tensor], mask: Bool[torch.Tensor, "texts length"]
) -> Float[torch.Tensor, "texts length hidden"]:
    """Token vectors of each text at the places where `mask` is true; zeros elsewhere."""
    found = rows[0].new_zeros(*mask.shape, rows[0].shape[1])
    found[mask.to(found.device)] = torch.cat(rows)
    return found


def _place_of_layers(transformer: nn.Module) -> str:
    """The name of the list of layers inside a transformer."""
    count = getattr(transformer.config, "num_hidden_layers", None)
    for name, module in transformer.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return name
    raise HarnessError(
        f"the transformer {type(transformer).__name__} has no list of layers, expected one as in BERT or ModernBERT: "
        "train its head alone, or all its weights."
    )


def _copied(module: nn.Module, place: str, layers: nn.ModuleList) -> Any:
    """A copy of a module that shares all its parts, but has these layers at a place inside it."""
    name, _, rest = place.partition(".")
    made = copy.copy(module)
    made._modules = dict(module._modules)
    made._modules[name] = _copied(module.get_submodule(name), rest, layers) if rest else layers
    return made


class _ReachedCut(Exception):
    """The forward pass has reached the cut, with these vectors."""

    def __init__(self, hidden: torch.Tensor) -> None:
        super().__init__()
        self.hidden = hidden


def _stop(_: nn.Module, inputs: tuple[Any, ...]) -> None:
    """End the forward pass in front of a layer."""
    raise _ReachedCut(inputs[0])


class _Given(nn.Module):
    """Embeddings that were computed before."""

    def forward(self, inputs_embeds: torch.Tensor, **_: Any) -> torch.Tensor:
        """`inputs_embeds` as they are."""
        return inputs_embeds
