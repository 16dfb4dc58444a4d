"""The command line: a command, and words after it that are overrides of conf/."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig, OmegaConf

from harness import config
from harness.errors import HarnessError, unknown

if TYPE_CHECKING:
    from harness.cache import Stage
    from harness.figures import Inputs
    from harness.records import Record
    from harness.tables import Row, Section

USAGE = """usage: python -m harness COMMAND [overrides]

  run    [overrides]                     measure a cell, or a sweep with -m (nothing else: the demonstration)
  table  [overrides] [format=markdown|csv|latex] [significance=true] [cost=true] [per_query=true]
                                         the results table of what was measured; with paired tests over queries, with
                                         bytes and seconds; or the score of each query, as CSV
  check  [overrides]                     measured against expected values (results/expected); exit code 1 if any fails
  train  [objective=contrastive|ste_muvera|ste_smve] [train_data=...] [alpha=...] [train.trainable=head|all]
                                         train a model whose vectors survive the projections
  geometry [overrides]                   how token vectors lie, what the projections see of it, and how well each
                                         first stage follows MaxSim; a sweep with -m
  geometry compare a=MODEL b=MODEL [dataset=...|suite=...]
                                         two models side by side
  plot   [what=depth|spectrum|cosines|buckets|overlap|agreement|budget] [overrides]
                                         figures (SVG and PNG) of what was measured
  report [output=FILE.html] [overrides]  one page of all of it, which needs nothing else: table, tests, costs, figures
  status [overrides]                     of a run or sweep (-m): which cells are done, running, failed or missing, and
                                         what time is left
  reproduce RECORD.json [overrides]      measure a record's cell again and compare; exit code 1 if it is different
  cache  ls|verify|prune [older=DAYS] [delete=true]
                                         what cache_dir holds; what of it is damaged (exit code 1); what may go, which
                                         is deleted only with delete=true
  bench  [what=rerank|muvera|smve|search|encode|grid|scale] [overrides]
                                         time the inner loops against peers and the machine's limit
  ls     models|datasets|methods|suites|centers|objectives|train_data|experiments

examples:
  python -m harness run
  python -m harness run model=lateon_reg method=smve
  python -m harness run -m model=lateon,lateon_reg center=none,corpus method=plaid,muvera,smve
  python -m harness run model.path=my/colbert dataset.path=my/beir-folder method=muvera
  python -m harness table suite=beir3 significance=true
  python -m harness run --help           (all options)
"""

FLAGS = ("-m", "--multirun")
log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code, 2 for bad input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "run": run,
        "table": table,
        "check": check,
        "train": train,
        "geometry": geometry,
        "plot": plot,
        "report": report,
        "status": status,
        "reproduce": reproduce,
        "cache": cache,
        "bench": bench,
        "ls": ls,
    }
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            sys.stdout.write(USAGE)
            return 0 if words else 2
        if words[0] not in commands:
            raise unknown("command", words[0], commands)
        return commands[words[0]](words[1:])
    except HarnessError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except BrokenPipeError:  # `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def run(words: Sequence[str]) -> int:
    """Measure what the overrides describe, then print its table."""
    flags, overrides = _split(words)
    if _is_for_hydra(flags, overrides):
        return 0

    def check(options: DictConfig) -> None:
        from harness.plan import results_dir  # torch and PyLate take seconds to import

        _writable("results_dir", results_dir(options.results_dir))

    cells, failures = _cells(flags, overrides, check)
    from harness.run import run_cells

    failures.extend(run_cells(cells))  # all at once: what they have in common is computed once
    return _say_failures(failures) if failures else _print_table(overrides, only_measured=True)


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The flags that ask for a sweep, and the overrides, with their short forms written out."""
    flags = [word for word in words if word in FLAGS]
    return flags, config.expand([word for word in words if word not in flags])


def _is_for_hydra(flags: Sequence[str], overrides: Sequence[str]) -> bool:
    """Whether it is --help, --cfg job or --info, which Hydra then answers."""
    if not any(word.startswith("-") for word in overrides):
        return False
    _hydra([*flags, *overrides], lambda _: None)
    return True


def _cells(
    flags: Sequence[str], overrides: Sequence[str], check: Callable[[DictConfig], None]
) -> tuple[list[DictConfig], list[str]]:
    """The configurations of a run or sweep, and one sentence for each that cannot be used."""
    composed = config.composed(overrides)
    _says_sweep(flags, overrides)
    _writable("cache_dir", Path(composed.cache_dir))
    failures: list[str] = []
    cells: list[DictConfig] = []

    def collect(options: DictConfig) -> None:
        try:
            prepared = config.prepare(options)
            check(prepared)
            cells.append(prepared)
        except HarnessError as error:  # of this cell of a sweep: the others go on
            log.error("error: %s", error)
            failures.append(str(error))

    _hydra([*flags, *overrides], collect)
    return cells, failures


def _says_sweep(flags: Sequence[str], overrides: Sequence[str]) -> None:
    """Refuse several values of an option where no sweep was asked for."""
    parsed = config.parse(overrides)
    swept = [override.input_line for override in parsed if override.is_sweep_override()]
    if swept and not flags and "experiment" not in {override.key_or_group for override in parsed}:
        raise HarnessError(f"{swept[0]} names several values, which is a sweep: add -m.")


def _say_failures(failures: Sequence[str]) -> int:
    if len(failures) > 1:  # a single one was just said
        sys.stderr.write(f"{len(failures)} failed:\n" + "".join(f"  {failure}\n" for failure in failures))
    return 1


def table(words: Sequence[str]) -> int:
    """Print the table of what was measured."""
    return _print_table(config.expand(words), only_measured=False)


def _print_table(overrides: Sequence[str], only_measured: bool) -> int:
    from harness import per_query, records, tables
    from harness.plan import results_dir

    options = config.composed(overrides)
    chosen = _chosen(overrides, options)
    results = results_dir(options.results_dir)
    suite, datasets = _datasets(chosen, options)
    found = list(records.read_all(results, datasets))
    tables.check_consistent(found)
    models = _models(chosen["model"], {record.model for record in found})
    rows = tables.rows_of(found, models, chosen["center"], chosen["method"])
    if only_measured:
        measured = {(record.model, record.center, record.method) for record in found}
        rows = [row for row in rows if (row.model, row.center, row.method) in measured]
    if not rows or not found:
        raise _nothing(datasets, results)
    if options.per_query:
        sys.stdout.write(per_query.csv(found, rows, datasets, list(options.depths)))
    elif options.format == "csv":
        _print_csv(options, found, rows, datasets)
    else:
        _print_page(options, found, rows, suite, datasets)
        if only_measured:
            sys.stdout.write(f"Records: {results / 'records'}\n")
    return 0


def _nothing(datasets: Sequence[str], results: Path) -> HarnessError:
    return HarnessError(f"nothing was measured on {', '.join(datasets)} in {results}: use `run` first.")


def _print_csv(options: DictConfig, found: list[Record], rows: list[Row], datasets: list[str]) -> None:
    """The long form, with the columns that were asked for."""
    from harness import comparisons, costs, tables

    depths = list(options.depths)
    long = tables.long_form(found, rows, datasets, depths)
    wide = costs.columns(long, costs.measured(found, rows, datasets), datasets) if options.cost else long
    wide = comparisons.columns(wide, found, rows, datasets, depths) if options.significance else wide
    sys.stdout.write(tables.csv(wide))
    if missing := tables.missing(long):
        sys.stderr.write(f"note: {missing} cells were not measured; means that lack a data set are empty.\n")


def _print_page(options: DictConfig, found: list[Record], rows: list[Row], suite: str, datasets: list[str]) -> None:
    """The table as Markdown or LaTeX, what must be known of it, and the further tables that were asked for."""
    from harness import comparison_tables, comparisons, costs, tables

    depths = list(options.depths)
    long, marks = tables.long_form(found, rows, datasets, depths), None
    sections: list[Section] = []
    tested: list[str] = []
    if options.significance:
        plaid = comparisons.tested(comparisons.to_plaid(rows, depths), found, datasets)
        methods = comparisons.tested(comparisons.between_methods(rows, depths), found, datasets)
        marks, tested = comparison_tables.marks(plaid), [comparison_tables.remark(plaid, datasets)]
        sections += comparison_tables.sections(plaid, methods, datasets)
    if options.cost:
        sections += costs.sections(costs.measured(found, rows, datasets), found, datasets)
    latex = options.format == "latex"
    layout, further, comment = (tables.latex, tables.tabular, "% ") if latex else (tables.markdown, tables.pipes, "")
    first, *others = tables.remarks(long, found, suite, datasets, marks)
    parts = [layout(long, datasets, marks), *(f"{comment}{line}" for line in [first, *tested, *others])]
    for section in sections:
        parts += [f"{comment}{section.caption}", "" if section.lines.empty else further(section.lines)]
        parts += [f"{comment}{line}" for line in section.remarks]
    sys.stdout.write("".join(f"{part}\n\n" for part in parts if part))


def _datasets(chosen: dict[str, list[str]], options: DictConfig) -> tuple[str, list[str]]:
    """A name for the data sets of a table, and their names: those of a sweep are put together."""
    if chosen["dataset"]:
        return "+".join(chosen["dataset"]), chosen["dataset"]
    suites = chosen["suite"] or [options.suite.name]
    names = dict.fromkeys(name for suite in suites for name in config.entry("suite", suite)["datasets"])
    return "+".join(suites), list(names)


def _chosen(overrides: Sequence[str], options: DictConfig) -> dict[str, list[str]]:
    """What the overrides (or the experiment's sweep) name of each group; empty: all, or the default."""
    chosen: dict[str, list[str]] = {group: [] for group in config.GROUPS if group != "experiment"}
    parsed = config.parse(overrides)
    experiments = [
        name for override in parsed if override.key_or_group == "experiment" for name in config.values(override)
    ]
    for name in experiments:
        sweep = (config.entry("experiment", name).get("hydra") or {}).get("sweeper", {}).get("params", {})
        for group in chosen.keys() & sweep.keys():
            chosen[group] = [value.strip() for value in str(sweep[group]).split(",")]
    if experiments and not chosen["suite"]:
        chosen["suite"] = [options.suite.name]
    for override in parsed:
        group = override.key_or_group
        if group in chosen:
            names = [name for name in config.values(override) if name != "null"]
            chosen[group] = [options[group].name] if names == ["local"] else names
    return chosen


def _models(chosen: Sequence[str], recorded: set[str]) -> list[str]:
    """The chosen models and the recorded variants of each, in that order."""
    return [name for model in chosen for name in [model, *sorted(r for r in recorded if r.startswith(f"{model}+"))]]


def check(words: Sequence[str]) -> int:
    """Compare measured with expected values; 0 if none fails."""
    from harness import checks, records
    from harness.plan import results_dir

    options = config.composed(["suite=demo", *words])
    results = results_dir(options.results_dir)
    files = sorted((config.ROOT / "results" / "expected").glob("*.yaml"))
    found = list(records.read_all(results))
    done = [one for path in files for one in checks.check_file(path, found)]
    for one in done:
        sys.stdout.write(f"{one}\n")
    sys.stdout.write(f"\n{checks.summary(done).to_string()}\n")
    bad = {"FAIL", "MISSING"} if options.strict else {"FAIL"}
    return int(any(one.verdict in bad for one in done) or all(one.verdict == "MISSING" for one in done))


def train(words: Sequence[str]) -> int:
    """Train with one objective, or with each of a sweep (-m); says where the result is and how to evaluate it."""
    flags, expanded = _split(words)
    overrides = [word for word in expanded if word != "experiment=demo"]
    if _is_for_hydra(flags, overrides):
        return 0
    cells, failures = _cells(flags, overrides, lambda options: None)
    if len({str(cell.train.output) for cell in cells}) < len(cells) and cells[0].train.output:
        raise HarnessError("train.output is one folder, for a sweep of several runs: leave it out.")
    from harness.training import train as training

    for options in cells:
        plain: Any = OmegaConf.to_container(options)
        try:
            output = training.train(plain)
        except HarnessError as error:
            if len(cells) == 1:
                raise
            log.error("error: %s", error)  # of this run of a sweep: the others go on
            failures.append(str(error))
            continue
        sys.stdout.write(f"{output}\n  python -m harness run {_trained(options, output)}\n")
    return _say_failures(failures) if failures else 0


def _trained(options: DictConfig, output: Path) -> str:
    """The overrides that evaluate a trained model: its head on the backbone that stayed, or all of it."""
    from harness.training.folder import HEAD, MODEL

    if options.train.trainable == "all":
        return f"model.path={output / MODEL}"
    known = options.model.name in config.choices("model")
    words = [f"model={options.model.name}"] if known else []
    words += [f"model.path={options.model.path}"] if options.model.path else []
    return " ".join([*words, f"model.dtype={options.model.dtype}", f"model.head={output / HEAD}"])


def geometry(words: Sequence[str]) -> int:
    """Measure the geometry of each (model, data set), or put two models side by side."""
    if words[:1] == ["compare"]:
        return _compare_geometries(words[1:])
    flags, overrides = _split(words)
    if _is_for_hydra(flags, overrides):
        return 0
    _says_sweep(flags, overrides)
    named = {override.key_or_group for override in config.parse(overrides)}
    every = {"method": "muvera,smve", "center": "none,corpus,own"}
    overrides += [f"{group}={names}" for group, names in every.items() if group not in named]
    cells, failures = _cells(["-m"], overrides, lambda options: None)
    from harness import diagnosis, geometry_tables

    for path in diagnosis.diagnose_cells(cells, failures):
        found = diagnosis.read(path)
        parts = [geometry_tables.measures(found), geometry_tables.first_stages(found), *geometry_tables.remarks(found)]
        sys.stdout.write("\n\n".join([*parts, f"Record: {path}"]) + "\n\n")
    return _say_failures(failures) if failures else 0


def _compare_geometries(words: Sequence[str]) -> int:
    from harness import geometry_tables
    from harness.plan import results_dir

    models = {word[:1]: word[2:] for word in words if word.startswith(("a=", "b="))}
    if len(set(models.values()) - {""}) < 2:
        raise HarnessError(
            "geometry compare needs two models: a=MODEL b=MODEL, different files' names in results/geometry."
        )
    overrides = [word for word in words if not word.startswith(("a=", "b="))]
    options = config.composed(overrides)
    chosen = _chosen(overrides, options)
    datasets = _datasets(chosen, options)[1] if chosen["dataset"] or chosen["suite"] else []
    results = results_dir(options.results_dir)
    sys.stdout.write(geometry_tables.compare(results, [models["a"], models["b"]], datasets))
    return 0


def plot(words: Sequence[str]) -> int:
    """Draw figures of what was measured, and print their files."""
    overrides = config.expand(words)
    options = config.composed(overrides)
    from harness import figures  # matplotlib is for those who plot

    figures.check(options.what)
    inputs = _inputs(overrides, options)
    folder = Path(options.figures_dir).expanduser() if options.figures_dir else inputs.results / "figures"
    paths, notes = figures.draw(inputs, options.what, folder)
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    return 0


def _inputs(overrides: Sequence[str], options: DictConfig) -> Inputs:
    """What was measured of what the overrides name."""
    from harness import diagnosis, figures, records, tables
    from harness.plan import results_dir

    chosen = _chosen(overrides, options)
    results = results_dir(options.results_dir)
    suite, datasets = _datasets(chosen, options)
    found = list(records.read_all(results, datasets))
    tables.check_consistent(found)
    files = [path for name in datasets for path in sorted(diagnosis.path_of(results, name, "").parent.glob("*.json"))]
    recorded = {record.model for record in found}
    rows = tables.rows_of(found, _models(chosen["model"], recorded), chosen["center"], chosen["method"])
    looked_at = _models(chosen["model"], recorded | {path.stem for path in files})
    geometries = [diagnosis.read(path) for path in files if not looked_at or path.stem in looked_at]
    return figures.Inputs(results, suite, datasets, list(options.depths), rows, found, geometries)


def report(words: Sequence[str]) -> int:
    """Write the page of what was measured, and print its file."""
    overrides = config.expand(words)
    options = config.composed(overrides)
    from harness import records
    from harness import report as pages  # matplotlib, too

    inputs = _inputs(overrides, options)
    if not inputs.rows or not inputs.records:
        raise _nothing(inputs.datasets, inputs.results)
    path = Path(options.output).expanduser() if options.output else inputs.results / "report.html"
    text, notes = pages.page(inputs, list(records.read_all(inputs.results)))
    pages.write(path, text)
    sys.stdout.write(f"{path}\n")
    sys.stderr.write("".join(f"note: {note}\n" for note in notes))
    return 0


def status(words: Sequence[str]) -> int:
    """Say how far a run or a sweep is."""
    flags, overrides = _split(words)
    if _is_for_hydra(flags, overrides):
        return 0
    cells, failures = _cells(flags, overrides, lambda options: None)
    from harness import status as statuses

    if cells:
        sys.stdout.write(statuses.table(statuses.progress(cells)) + "\n")
    return _say_failures(failures) if failures else 0


def reproduce(words: Sequence[str]) -> int:
    """Measure a record's cell again, and compare; 0 if all scores are the same, or nearly."""
    if not words:
        raise HarnessError("reproduce needs a record first, such as results/records/scifact/MODEL/corpus/smve.json.")
    from harness import reproduction, verdict

    then = reproduction.read(Path(words[0]).expanduser())
    configured = reproduction.configuration(then, words[1:])
    _writable("cache_dir", Path(configured.cache_dir))
    found = reproduction.repeat(configured)
    if found is None:
        return 2  # what failed was said
    compared = verdict.compare(then, found.record)
    cached = ", ".join(found.cached)
    source = f"from the cache ({cached}); cache_dir=FOLDER, an empty one, makes them anew" if cached else "made anew"
    sys.stdout.write(f"{verdict.text(compared, source)}\n")
    return int(compared.verdict == verdict.DIFFERENT)


def cache(words: Sequence[str]) -> int:
    """List, verify or prune what is in cache_dir."""
    actions = {"ls": _list_cache, "verify": _verify_cache, "prune": _prune_cache}
    if not words:
        raise HarnessError("cache needs a word: ls, verify or prune.")
    if words[0] not in actions:
        raise unknown("word after cache", words[0], actions)
    options = config.composed(words[1:])
    from harness.cache import stages

    folder = Path(options.cache_dir).expanduser()
    return actions[words[0]](options, folder, stages(folder))


def _list_cache(options: DictConfig, folder: Path, found: list[Stage]) -> int:
    from harness import cache_tables

    if options.format == "latex":
        raise HarnessError("format=latex: `cache ls` knows markdown and csv.")
    text = cache_tables.csv(found) if options.format == "csv" else f"{cache_tables.listing(found)}\n\n{folder}\n"
    sys.stdout.write(text)
    return 0


def _verify_cache(options: DictConfig, folder: Path, found: list[Stage]) -> int:
    from harness import cache as caches

    checked = [stage for stage in found if caches.has_checksums(stage)]
    damaged = [text for stage in checked if (text := caches.damage(stage))]
    sys.stdout.write("".join(f"{text}\n" for text in damaged))
    incomplete = sum(not stage.complete for stage in found)
    sys.stdout.write(
        f"{len(checked)} checked, {len(damaged)} damaged; not checked: {incomplete} incomplete, "
        f"{len(found) - len(checked) - incomplete} without checksums. {folder}\n"
    )
    return int(bool(damaged))


def _prune_cache(options: DictConfig, folder: Path, found: list[Stage]) -> int:
    from harness import cache_tables, pruning

    chosen = pruning.prunable(found, folder, options.older)
    gone = [stage for stage in chosen if pruning.delete(stage)] if options.delete else chosen
    if gone:
        sys.stdout.write(f"{cache_tables.listing(gone)}\n\n")
    what, end = ("deleted", "") if options.delete else ("would be deleted", "; delete=true deletes them")
    sys.stdout.write(f"{len(gone)} {what}, {cache_tables.total(gone)} bytes{end if gone else ''}. {folder}\n")
    return 0


def bench(words: Sequence[str]) -> int:
    """Time the inner loops on one data set, by default the demonstration's."""
    from harness import bench as benchmark

    expanded = config.expand(words)
    if not {word.split("=")[0] for word in expanded} & {"dataset", "suite", "experiment"}:
        expanded.append("suite=demo")  # nobody downloads eight data sets for a benchmark
    return benchmark.run(config.composed(expanded))


def ls(words: Sequence[str]) -> int:
    """List the entries of a group."""
    plurals = [group if group == "train_data" else f"{group}s" for group in config.GROUPS]
    groups = dict(zip(plurals, config.GROUPS, strict=True)) | {group: group for group in config.GROUPS}
    names = list(words) or plurals
    for name in names:
        if name not in groups:
            raise unknown("group", name, plurals)
        if len(names) > 1:
            sys.stdout.write(f"{name}:\n")
        entries = config.choices(groups[name])
        width = max(map(len, entries))
        for entry in entries:
            sys.stdout.write(f"{entry:{width}}  {config.describe(groups[name], entry)}\n")
    return 0


def _hydra(words: Sequence[str], task: object) -> None:
    """Give the words to Hydra, which composes each cell of a sweep and calls `task` with it."""
    decorated = hydra.main(config_path=str(config.CONF_DIR), config_name="config", version_base="1.3")(task)  # type: ignore[arg-type]
    before, sys.argv = sys.argv, ["python -m harness run", *words]
    try:
        decorated()
    finally:
        sys.argv = before


def _writable(option: str, folder: Path) -> None:
    """Find out before any work that a folder cannot be written."""
    try:
        folder.expanduser().mkdir(parents=True, exist_ok=True)
        probe = folder.expanduser() / f".probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise HarnessError(
            f"cannot write to {folder} ({error.strerror}): set {option} to a folder that can be written."
        ) from error
