"""What can be known of cells before any work: their options, folders, files and lengths.

All testbeds of a run are checked before the first model is loaded or data set is read, so that a mistake in the last
cell of a sweep is found in the first second.
"""

from __future__ import annotations

from collections.abc import Iterable

from harness.config.options import RunOptions
from harness.data import loading
from harness.evaluation.ndcg import CUT
from harness.measure.cells import Request
from harness.measure.failing import Failures
from harness.measure.grouping import keys_of
from harness.measure.sources import given_vectors
from harness.methods import registry
from harness.models import places
from harness.models.checkpoint import locate
from harness.models.inspection import refuse_lengths
from harness.system.errors import HarnessError
from harness.vectors import centering

Testbeds = list[tuple[RunOptions, list[Request]]]


def usable(testbeds: Iterable[tuple[RunOptions, list[Request]]], failures: Failures) -> Testbeds:
    """The testbeds and requests that can be measured as far as is known by now; the others are failures."""
    found: Testbeds = []
    for options, requests in testbeds:
        with failures.collect_all(options, requests):
            refuse_inputs(options)
            fit = []
            for request in requests:
                keys = keys_of(options, [request])
                title = keys[0].title if keys else f"{options.title}  {request.method.name}"
                with failures.collect(options.results, keys, title):
                    centering.refuse_unknown(request.center.name)
                    registry.make(request.method.given).refuse(max(*options.depths, CUT) + 1)
                    fit.append(request)
            found += [(options, fit)] if fit else []
    return found


def refuse_inputs(options: RunOptions) -> None:
    """Refuse measures and lengths beyond what there is, and a data set or model on this machine that is not complete.

    Raises
    ------
    HarnessError
        With what is missing, or the limit.
    """
    refuse_cuts(options)
    loading.refuse_gaps(options.dataset, options.data_dir, options.cache)
    model = options.model
    if model.is_given:
        given_vectors(model, options.cache, options.progress)
    elif places.local(model.given, options.models_dir):
        query_length = model.query_length or options.dataset.get("query_length")
        inspection = locate(model.given, options.models_dir).inspection
        refuse_lengths(inspection, model.given["document_length"], query_length)


def refuse_cuts(options: RunOptions) -> None:
    """Refuse a measure that looks at more documents than are ranked.

    Raises
    ------
    HarnessError
        With how many are ranked.
    """
    ranked = max(*options.depths, CUT)
    for measure in options.measures:
        if measure.cut > ranked:
            raise HarnessError(
                f"the measure {measure.name} looks at {measure.cut} documents, and depths={list(options.depths)} ranks "
                f"{ranked}: expected a depth of at least {measure.cut}."
            )
