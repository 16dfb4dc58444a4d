"""The folder of an exported first stage: numbers, a description, and the code that reads them.

    encoder.json         what it is: method, options, centering, formulae, model, data, versions, sha256 of the numbers
    arrays.safetensors   ``document_mean`` and ``query_mean`` [dim], where they are subtracted; MUVERA's ``planes``
                         [R, k, dim] and ``projections`` [R, d, dim]; SMVE's ``anchors`` [repetitions, w, dim]
    reader.py            `harness.export.reader`, which needs numpy and safetensors alone

Nothing in it is executed when it is read, but for the reader.
"""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save

from harness.config.options import CenterOptions, MethodOptions
from harness.measure.testbed import Testbed
from harness.methods import registry
from harness.methods.muvera import Muvera
from harness.methods.smve import Smve
from harness.system import provenance
from harness.system.errors import HarnessError
from harness.system.files import replacing, write_text
from harness.vectors.centering import Centering

FORMAT = 1
DESCRIPTION, ARRAYS = "encoder.json", "arrays.safetensors"
READER = Path(__file__).with_name("reader.py")
FORMULAE = {
    "center": "t = x - (share * mean of the text's own x + (1 - share) * mean of its side); with renormalize, t / |t|",
    "muvera": "bucket = sum_j [planes_j . t > 0] 2^j; query: sum, document: mean of projections t over the bucket; an "
    "empty bucket of a document takes the token whose bits are nearest, the first on ties",
    "smve": "each t keeps its `keep` largest products with anchors in each repetition; query: sum, document: mean of "
    "the products that an anchor was kept with",
    "score": "document code . query code",
}
Arrays = dict[str, np.ndarray]


def arrays_of(method: Any, dim: int) -> Arrays:
    """The random numbers of a method.

    Raises
    ------
    HarnessError
        If it is neither MUVERA nor SMVE.
    """
    cpu = torch.device("cpu")
    if isinstance(method, Muvera):
        encoding = method.buckets(dim, cpu)
        planes = encoding.planes.numpy().T.reshape(encoding.repetitions, encoding.bits, dim)
        width, projections = encoding.width, encoding.projections
        each = np.eye(dim, dtype=np.float32)[None].repeat(encoding.repetitions, axis=0)
        return {
            "planes": planes,
            "projections": each if projections is None else projections.numpy().T.reshape(-1, width, dim),
        }
    if isinstance(method, Smve):
        return {"anchors": np.stack([anchors.matrix.T for anchors in method.anchors(dim, cpu).sets])}
    raise HarnessError(
        f"{method.title} cannot be exported: `export` knows muvera and smve, whose codes depend on the text, its "
        "centering and random numbers alone."
    )


def means_of(shift: Centering) -> Arrays:
    """The means that a centering subtracts."""
    means = {"document_mean": shift.documents, "query_mean": shift.queries}
    return {name: mean for name, mean in means.items() if mean is not None}


def description(
    testbed: Testbed, method: MethodOptions, center: CenterOptions, shift: Centering, content: bytes
) -> dict[str, Any]:
    """The content of encoder.json."""
    return {
        "format": FORMAT,
        "method": method.name,
        **{name: value for name, value in method.given.items() if name != "name"},
        "center": {
            "name": center.name,
            "document": shift.document_share,
            "query": shift.share,
            "renormalize": shift.renormalize,
        },
        "query_tokens": center.query_tokens,
        "dim": testbed.docs.dim,
        "formulae": {name: FORMULAE[name] for name in ("center", method.name, "score")},
        "model": {"name": testbed.model_name, **testbed.source.inputs},
        "dataset": {"name": testbed.dataset_name, "sha256": testbed.dataset.sha256},
        "versions": provenance.versions(),
        "sha256": sha256(content).hexdigest(),
    }


def export(testbed: Testbed, method: MethodOptions, center: CenterOptions, folder: Path) -> None:
    """Write the folder; encoder.json comes last, so that a folder with it is complete."""
    if len(method.seeds) > 1:
        raise HarnessError(
            f"method.seeds gives {len(method.seeds)} draws of {method.name}, and `export` writes one: leave "
            "method.seeds out, and set method.seed."
        )
    chosen = registry.make(method.given)
    arrays = arrays_of(chosen, testbed.docs.dim)  # refused before the means are computed
    shift = testbed.centering(center, testbed.query_mean(center))
    content: bytes = save(
        {name: np.ascontiguousarray(values) for name, values in {**arrays, **means_of(shift)}.items()}
    )
    described = json.dumps(description(testbed, method, center, shift, content), indent=2) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION).unlink(missing_ok=True)
    with replacing(folder / ARRAYS) as file:
        file.write(content)
    write_text(folder / READER.name, READER.read_text(encoding="utf-8"))
    write_text(folder / DESCRIPTION, described)
