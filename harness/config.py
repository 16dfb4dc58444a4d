"""Options: Hydra composes them from conf/, this file checks them and says what is wrong in one sentence.

A run is described by overrides, `group=choice` or `option=value`, comma-separated in a sweep (``-m``). Some short
forms are expanded here, before Hydra sees them:

    (no model, suite, data set or experiment)      experiment=demo
    model.path=FOLDER   without model=             model=local
    dataset.path=FOLDER without dataset=           dataset=local
    train_data.path=FOLDER without train_data=     train_data=local

No word and no file of conf/ may name code to run: of Hydra's own options a word chooses a launcher by its name, and how
it works. What `_target_` may be is listed here (`TARGETS`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from harness import validation
from harness.errors import HarnessError, unknown

ROOT = Path(__file__).resolve().parent.parent
CONF_DIR = ROOT / "conf"
GROUPS = ("model", "dataset", "suite", "center", "method", "objective", "train_data", "experiment")
_UNSAFE = re.compile(r"[^A-Za-z0-9._=,+-]+")
_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=,+-]*")
_LONGEST, _LONGEST_VARIANT = 80, 160
"""Characters of a name, so that a file named by a model, a data set, digests and a shard has at most 255."""
LAUNCHERS = ("basic", "joblib", "ray", "submitit_local", "submitit_slurm")
FLAGS = ("-m", "--multirun", "-h", "--help", "--hydra-help", "--version", "-i", "--info", "-c", "--cfg", "--resolve")
TARGETS = (
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
)
"""All that Hydra may instantiate; the harness itself makes nothing by a name in a configuration."""
COMMANDS = ("setup", "runtime_env", "env_set")
"""Options of Hydra and its launchers that are shell lines, packages to load, or variables that name such."""
_OF_HYDRA = re.compile(r"hydra\.(mode|verbose|run\.dir|sweep\.(dir|subdir)|launcher(\.[A-Za-z][A-Za-z0-9_-]*)+)")


def choices(group: str) -> list[str]:
    """The entries of a group."""
    if not (CONF_DIR / group).is_dir():
        raise HarnessError(f"the options folder {CONF_DIR} is missing: run from a checkout (pip install -e .).")
    return sorted(path.stem for path in (CONF_DIR / group).glob("*.yaml"))


def entry(group: str, name: str) -> dict[str, Any]:
    """One entry of a group, as written."""
    if name not in choices(group):
        raise unknown(group, name, choices(group))
    return dict(yaml.safe_load((CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8")))


def describe(group: str, name: str) -> str:
    """The first comment of an entry that is not Hydra's."""
    lines = (CONF_DIR / group / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    return next((line[1:].strip() for line in lines if line.startswith("#") and "@package" not in line), "")


def expand(overrides: Sequence[str]) -> list[str]:
    """The overrides with the short forms of the module's docstring written out."""
    _refuse_code(overrides)
    words = [quoted(word) for word in overrides]
    keys = {word.lstrip("+~").split("=")[0] for word in words}
    for group in ("model", "dataset", "train_data"):
        if f"{group}.path" in keys and group not in keys:
            words.append(f"{group}=local")
    if not keys & {"model", "model.path", "dataset", "dataset.path", "suite", "experiment"}:
        words.append("experiment=demo")
    return words


def _refuse_code(words: Sequence[str]) -> None:
    """Refuse words by which Hydra would run code or read files that are not the harness's."""
    for word in words:
        key, _, value = word.partition("=")
        name = key.lstrip("+~")
        if word.startswith("-"):
            if key not in FLAGS:
                raise HarnessError(f"unknown option {key}: expected one of {', '.join(FLAGS)}, or overrides.")
        elif re.search(r"_(target|args|partial|recursive|convert)_", word):
            raise HarnessError(f"{word}: an override cannot name code to run; leave it out.")
        elif name == "hydra/launcher":
            for chosen in value.split(","):
                if chosen not in LAUNCHERS:
                    raise unknown("launcher", chosen, LAUNCHERS)
        elif "hydra" in key and (not _OF_HYDRA.fullmatch(name) or "${" in value):
            raise HarnessError(
                f"{word}: of Hydra's own options, expected hydra/launcher=NAME ({', '.join(LAUNCHERS)}), "
                "hydra.launcher.OPTION, hydra.mode, hydra.verbose, hydra.run.dir or hydra.sweep.dir, with plain values."
            )


def _refuse_targets(config: Any) -> None:
    """The same for what the files of conf/ say, with Hydra's own options and those of logging's factories."""
    for key, value in _items(config):
        right = {"_target_": value in TARGETS, "class": str(value).startswith("logging."), "()": False}
        if str(value).startswith("ext://"):
            right[key] = value in ("ext://sys.stdout", "ext://sys.stderr")
        if not right.get(key, True):
            raise HarnessError(f"conf/ names the code {value!r} ({key}), which is none of ours: remove it there.")
        if key in COMMANDS and value:
            raise HarnessError(
                f"the option {key} is {value!r}, and no option may name commands: leave it out (workers have the "
                "environment of the command that starts them)."
            )


def _refuse_launcher(hydra: Any, named: str) -> None:
    """Refuse a launcher that a file of conf/ chose, not a word, and options that would break a line of its script."""
    chosen = hydra["runtime"]["choices"]["hydra/launcher"]
    if chosen != named:
        raise HarnessError(
            f"conf/ chooses the launcher {chosen!r}: expected it as a word, hydra/launcher={chosen}; remove it there."
        )
    for key, value in _items(hydra["launcher"]):
        if not (key + str(value)).isprintable():
            raise HarnessError(f"the launcher's option {ascii(key)} is {ascii(value)}: expected a line of plain text.")


def _items(config: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a configuration, at any depth, with its value."""
    for key, value in config.items() if isinstance(config, dict) else enumerate(config):
        yield str(key), value
        if isinstance(value, (dict, list)):
            yield from _items(value)


def quoted(word: str) -> str:
    """A path with characters that mean something to Hydra, such as blanks or brackets, in quotes."""
    key, _, value = word.partition("=")
    if (
        (key == "output" or key.endswith((".path", ".head", ".output", "_dir")))
        and re.search(r"[^\w./,~+:@%\\-]", value)
        and not value.startswith(("'", '"', "$"))
    ):
        value = '"' + value.replace('"', '\\"') + '"'
    return f"{key}={value}" if "=" in word else word


def parse(overrides: Sequence[str]) -> list[Override]:
    """Hydra's reading of the overrides, with every group's choice looked up."""
    _refuse_code(overrides)
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise HarnessError(
            f"cannot read the overrides {' '.join(overrides)!r} ({_line(error)}): expected words such as method=smve."
        ) from error
    for override in parsed:
        if override.key_or_group in GROUPS:
            for name in values(override):
                if name in ("null", "") and override.key_or_group in ("dataset", "experiment"):
                    continue  # these may be left out
                if name not in choices(override.key_or_group):
                    kind = "data set" if override.key_or_group == "dataset" else override.key_or_group
                    raise unknown(kind, name, choices(override.key_or_group))
                _refuse_targets(entry(override.key_or_group, name))  # of a sweep's every cell
    return parsed


def values(override: Override) -> list[str]:
    """The values of an override: one, or those of a sweep (of a range: its first)."""
    value = override.value()
    if isinstance(value, Glob):
        return list(value.filter(choices(override.key_or_group))) if override.key_or_group in GROUPS else []
    if isinstance(value, RangeSweep):
        return [str(value.start)]
    if override.is_choice_sweep():
        return [str(item) for item in override.sweep_string_iterator()]
    return ["null" if value is None else str(value)]


def composed(overrides: Sequence[str]) -> DictConfig:
    """The configuration of some overrides (of a sweep: of its first cell), checked.

    Raises
    ------
    HarnessError
        For an unknown name, option or value, with the known ones.
    """
    return _composed(overrides)[0]


def launcher_options(overrides: Sequence[str]) -> dict[str, Any]:
    """The options of the launcher that the overrides name, checked; what refers to other options is not looked up."""
    return _composed(overrides)[1]


def _composed(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
    """The checked configuration, and the options of Hydra's launcher."""
    single, launcher = [], "basic"
    for override in parse(overrides):
        if override.key_or_group == "hydra/launcher":
            launcher = values(override)[0]
        if override.is_sweep_override():
            found = values(override)
            if not found:
                raise HarnessError(f"{override.input_line} matches nothing: `python -m harness ls` lists the names.")
            single.append(f"{override.get_key_element()}={found[0]}")
        else:
            single.append(str(override.input_line))
    try:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("config", single, return_hydra_config=True)
            content: Any = OmegaConf.to_container(config, resolve=False)
            _refuse_targets(content)
            _refuse_launcher(content["hydra"], launcher)
            with open_dict(config):
                del config["hydra"]
            return prepare(config), content["hydra"]["launcher"]
    except (HydraException, OmegaConfBaseException) as error:
        raise HarnessError(
            f"cannot use the overrides {' '.join(overrides)!r} ({_line(error)}): `python -m harness ls` lists the "
            "names, conf/ has the options."
        ) from error


def prepare(config: DictConfig) -> DictConfig:
    """Resolve a composed configuration, name what is named by its path, and check all of it."""
    OmegaConf.resolve(config)
    validation.check_paths(config)
    for group in ("model", "dataset"):
        if config[group] is not None and config[group].name is None:
            path = config[group].path
            if not path:
                raise HarnessError(f"{group}=local names no folder: set {group}.path.")
            name = _UNSAFE.sub("-", Path(path).expanduser().resolve().name).strip("-.") or group
            # A folder that has the name of an entry is not that entry.
            config[group].name = f"local-{name}" if name in choices(group) else name
        if config[group] is not None:
            safe_name(group, config[group].name, _LONGEST)
    groups = ("model", "center", "method")
    validation.check(config, {group: entry(group, _choice(group, config[group].name)) for group in groups})
    return config


def _choice(group: str, name: str) -> str:
    """The entry that some options came from: by name, or a method's or centering's own, or ``local``."""
    return name if name in choices(group) else "local" if group == "model" else choices(group)[0]


def variant(group: str, options: dict[str, Any], ignored: Sequence[str] = ()) -> str:
    """The name of a cell's model, centering or method: the entry's own, plus every option that differs from it.

    For instance ``smve+keep=16``: a result of other options can neither hide nor overwrite one of the shipped ones.
    """
    name = safe_name(group, options["name"])
    if name not in choices(group):  # a local model: nothing to differ from but its head
        return name if not options.get("head") else safe_name(group, f"{name}+head={_head_title(options['head'])}")
    shipped = entry(group, name)
    changed = {key: value for key, value in options.items() if key not in ignored and value != shipped.get(key)}
    if changed.get("head"):
        changed["head"] = _head_title(changed["head"])
    return safe_name(group, "+".join([name, *(f"{key}={_plain(value)}" for key, value in sorted(changed.items()))]))


def _head_title(name: str) -> str:
    """A head's file without its ending; its folder where the file is just head.safetensors, as `train` calls it."""
    path = Path(name)
    return path.resolve().parent.name if path.stem == "head" else path.stem


def safe_name(what: str, name: Any, longest: int = _LONGEST_VARIANT) -> str:
    """`name`, if it can be a file's name on any system: no folders, nothing hidden, not too long."""
    if not isinstance(name, str) or not _SAFE_NAME.fullmatch(name) or len(name) > longest:
        raise HarnessError(
            f"the {what} name {str(name)[:longest]!r} cannot be a file name: expected letters, digits and . _ -, at "
            f"most {longest} (set {what}.name)."
        )
    return name


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(map(_plain, value))
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:240]
