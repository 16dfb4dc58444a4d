"""Words of the command line and configuration files name no code.

Each attack is made for real: its payload would make a file, the marker.
"""

from __future__ import annotations

import re
import shutil

import pytest
from attacks import refused
from extras import needs

from harness.config import compose, entries

TO_CODE = {
    "+model._target_=os.mkdir +model.path={marker}": "an override cannot name code to run",
    "method._target_=os.mkdir": "an override cannot name code to run",
    "+method={{_target_:os.mkdir,path:{marker}}}": "an override cannot name code to run",
    "hydra.launcher._target_=os.mkdir": "an override cannot name code to run",
    "hydra.sweeper._target_=os.mkdir": "an override cannot name code to run",
    "+hydra.callbacks.x._target_=os.mkdir +hydra.callbacks.x.path={marker}": "an override cannot name code to run",
    "+hydra.callbacks={{x:{{_target_:os.mkdir,path:{marker}}}}}": "an override cannot name code to run",
    "+hydra/callbacks=evil": "of Hydra's own options, expected hydra/launcher=NAME",
    "+hydra/callbacks@hydra.callbacks.x=evil": "of Hydra's own options",
    "+model@hydra.launcher=demo": "of Hydra's own options",
    "hydra.launcher=evil": "of Hydra's own options",
    "hydra.launcher.x=${{oc.decode:x}}": "of Hydra's own options",
    "hydra/sweeper=evil": "of Hydra's own options",
    "hydra.searchpath=[pkg://evil]": "of Hydra's own options",
    "hydra.searchpath=[file:///tmp]": "of Hydra's own options",
    "hydra.job_logging.formatters.simple.()=os.getcwd": "of Hydra's own options",
    "hydra/job_logging=evil": "of Hydra's own options",
    "hydra.job.env_set.PATH=/tmp": "of Hydra's own options",
    "hydra/launcher=evil": "unknown launcher 'evil'",
    "hydra/launcher=../../evil": "unknown launcher '../../evil'",
    "-m hydra/launcher=basic,evil": "unknown launcher 'evil'",
    "--config-dir={marker}": "unknown option --config-dir",
    "-cd {marker}": "unknown option -cd",
    "--config-path=/tmp": "unknown option --config-path",
    "--config-name=evil --cfg job": "unknown option --config-name",
    "--experimental-rerun={marker}.pickle": "unknown option --experimental-rerun",
    "--exp={marker}.pickle": "unknown option --exp",
    "--cfg job hydra.launcher._target_=os.mkdir": "an override cannot name code to run",
}


@pytest.mark.parametrize("words", TO_CODE)
def test_words_that_name_code_are_refused(words, evil, marker, capsys):
    said = refused(["run", "model=lateon", *words.format(marker=marker).split()], capsys)
    assert TO_CODE[words] in said


@needs("submitit")
@needs("ray")
@pytest.mark.parametrize(
    ("launcher", "word", "text"),
    [
        ("submitit_slurm", "setup=['touch {marker}']", "the option setup is ['touch {marker}'], and no option may"),
        ("submitit_slurm", "+additional_parameters.setup=x", "the option setup is 'x', and no option may"),
        ("submitit_slurm", "partition='a\ntouch {marker}'", "the launcher's option 'partition' is 'a\\ntouch"),
        ("ray", "+ray.init.runtime_env.working_dir={marker}", "the option runtime_env is {{'working_dir'"),
        ("ray", "+ray.remote.runtime_env.pip=[evil]", "the option runtime_env is {{'pip': ['evil']}}"),
    ],
)
def test_words_that_give_launchers_commands_are_refused(launcher, word, text, marker, capsys, tmp_path):
    sign = "+" if word.startswith("+") else ""
    words = [f"hydra/launcher={launcher}", f"{sign}hydra.launcher.{word.lstrip('+').format(marker=marker)}"]
    places = [f"cache_dir={tmp_path / 'c'}", f"results_dir={tmp_path / 'r'}"]
    assert text.format(marker=marker) in refused(["run", "-m", "experiment=demo", *places, *words], capsys)


@pytest.mark.parametrize("command", ["table", "check", "train", "geometry", "plot", "report", "status", "bench"])
def test_every_command_refuses_code(command, marker, capsys):
    assert "cannot name code" in refused(
        [command, f"+hydra.callbacks={{x:{{_target_:os.mkdir,path:{marker}}}}}"], capsys
    )
    assert "cannot name code" in refused(["cache", "ls", "hydra.launcher._target_=os.mkdir"], capsys)


@pytest.mark.parametrize("word", ["hydra/launcher=basic", "hydra.sweep.dir=/tmp/x", "hydra.mode=RUN"])
def test_hydras_harmless_options_stay(word):
    assert "hydra" not in compose.composed(["model=lateon", word])


FOREIGN = r"refers to code the harness does not ship \({}: '{}'\): delete that line"
CONFIGS = {
    "callbacks: {x: {_target_: os.mkdir, path: MARKER}}": FOREIGN.format(r"_target_", r"os\.mkdir"),
    "launcher: {_target_: evil.run}": FOREIGN.format(r"_target_", r"evil\.run"),
    "job_logging: {formatters: {simple: {(): os.getcwd}}}": FOREIGN.format(r"\(\)", r"os\.getcwd"),
    "job_logging: {handlers: {console: {class: evil.Module}}}": FOREIGN.format(r"class", r"evil\.Module"),
    "job_logging: {handlers: {console: {stream: 'ext://os.sep'}}}": FOREIGN.format(r"stream", r"ext://os\.sep"),
    "job: {env_set: {PYTHONPATH: MARKER}}": r"the option env_set is {'PYTHONPATH': .*}, and no option may",
}


@pytest.mark.parametrize("content", CONFIGS)
def test_code_in_a_configuration_file_is_refused(content, evil, marker, tmp_path, monkeypatch, capsys):
    shutil.copytree(entries.CONF_DIR, tmp_path / "conf")
    text = content.replace("MARKER", str(marker))
    (tmp_path / "conf" / "experiment" / "gift.yaml").write_text(f"# @package _global_\nhydra:\n  {text}\n")
    monkeypatch.setattr(entries, "CONF_DIR", tmp_path / "conf")
    for words in (["experiment=gift"], ["-m", "experiment=demo,gift"]):
        said = refused(["run", "model=lateon", *words], capsys)
        assert re.search(CONFIGS[content], said)


@needs("joblib")
def test_a_launcher_in_a_configuration_file_is_refused(tmp_path, monkeypatch, capsys):
    """It would bypass the jobs of `harness.sweep.jobs`, and with options of its own."""
    shutil.copytree(entries.CONF_DIR, tmp_path / "conf")
    gift = "# @package _global_\ndefaults:\n  - override /hydra/launcher: joblib\n"
    (tmp_path / "conf" / "experiment" / "gift.yaml").write_text(gift)
    monkeypatch.setattr(entries, "CONF_DIR", tmp_path / "conf")
    for words in (["experiment=gift"], ["-m", "experiment=gift", "center=none,corpus"]):
        said = refused(["run", "model=lateon", *words], capsys)
        assert "conf/ selects the launcher 'joblib'; launchers are chosen on the command line only" in said
