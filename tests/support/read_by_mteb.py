"""Reads a folder of results with mteb, in a process of its own, by mteb's checks; prints each main score as JSON."""

import json
import sys
from pathlib import Path

import mteb
from mteb.models.model_meta import ModelMeta
from mteb.results import TaskResult

root, found = Path(sys.argv[1]), {}
for path in root.rglob("model_meta.json"):
    meta = ModelMeta.model_validate_json_resolved(path.read_text())  # refuses unknown fields, and other kinds of values
    folders = [meta.model_name_as_path(), meta.revision, "experiments", meta.experiment_name]
    assert path.parent == root.joinpath("results", *folders), path
for model in mteb.ResultCache(root).load_results(load_experiments="match_name", include_remote=False):
    options = model.model_meta.experiment_kwargs
    for result in model.task_results:
        assert mteb.get_task(result.task_name).metadata.revision == result.dataset_revision
        name = {"NFCorpus": "nfcorpus", "SciFact": "scifact", "ArguAna": "arguana"}[result.task_name]
        assert TaskResult.from_dict(result.to_dict()).validate_and_filter_scores().scores.keys() == {"test"}
        found[f"{options['center']} {options['rerank_depth']} {name}"] = result.get_score()
sys.stdout.write(json.dumps(found))
