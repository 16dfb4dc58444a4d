"""Write docs/options.md from the comments of conf/: `python studies/make_options.py`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.config import entries
from harness.system.files import write_text

PAGE = Path(__file__).resolve().parents[1] / "docs" / "options.md"
HEAD = """# Options

Generated from the comments of `conf/` by `python studies/make_options.py`; edit those, not this page.

A word on the command line is `option=value` or `group=entry`; `-m` allows several values. Options of an entry have the
group's name in front: `method.keep=16`, `model.dtype=bfloat16`. An option that a command does not read is refused;
`python -m harness COMMAND --help` lists those that it reads.
"""
EXAMPLES = {
    "model": "lateon",
    "dataset": "scifact",
    "center": "shrunk",
    "objective": "ste_muvera",
    "train_data": "permissive",
}
"""The entry whose values are shown for a group whose entries all have the same options."""
_OWN = ("method", "index")
"""Groups whose entries have options of their own."""
_LINE = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z_][\w-]*): *(?P<value>[^#]*?) *(?:# *(?P<comment>.*))?")


def comments(text: str) -> dict[str, str]:
    """Option (of a section: ``section.option``) -> its comment, from the text of a YAML file.

    A comment stands behind its option and may continue in lines of its own, or stands in full lines before it. A
    continued line that begins with "of `COMMAND`:" is a remark of its own. The first line of a file is about the file.
    """
    found: dict[str, str] = {}
    section = key = before = ""
    for number, line in enumerate(text.splitlines()):
        stripped = line.strip()
        if stripped.startswith("#"):
            words = stripped.lstrip("# ")
            if line.startswith(" ") and key:
                found[key] = f"{found[key]}{'; ' if words.startswith('of `') else ' '}{words}".strip()
            elif number and found:
                before = f"{before} {words}".strip()
        elif match := _LINE.fullmatch(line):
            if not match["indent"]:
                section = match["key"]
            key = f"{section}.{match['key']}" if match["indent"] else match["key"]
            found[key] = match["comment"] or before
            before = ""
    return found


def rows(options: Mapping[str, Any], meanings: Mapping[str, str], prefix: str = "") -> Iterator[str]:
    """A line of a Markdown table for each option; an option of a section has the section's name in front."""
    for name, value in options.items():
        if isinstance(value, dict) and f"{name}.{next(iter(value), '')}" in meanings:
            if meanings.get(name):
                yield f"| `{prefix}{name}` | | {_cell(meanings[name])} |"
            yield from (row for key, inner in value.items() for row in rows({f"{name}.{key}": inner}, meanings, prefix))
        else:
            yield f"| `{prefix}{name}` | `{_plain(value)}` | {_cell(meanings.get(name, ''))} |"


def main_options() -> str:
    """The options of conf/config.yaml, without the groups and without Hydra's options."""
    text = (entries.CONF_DIR / "config.yaml").read_text(encoding="utf-8")
    options = yaml.safe_load(text)
    shown = {name: value for name, value in options.items() if name not in ("defaults", "hydra", "dataset")}
    return _table(rows(shown, comments(text)))


def groups() -> str:
    """The groups with the entry that is chosen by default."""
    text = (entries.CONF_DIR / "config.yaml").read_text(encoding="utf-8")
    chosen = {
        key: value for item in yaml.safe_load(text)["defaults"] if isinstance(item, dict) for key, value in item.items()
    }
    lines = [f"| `{group}` | `{_plain(chosen.get(group))}` | {', '.join(_names(group))} |" for group in entries.GROUPS]
    return "\n".join(["| group | default | entries |", "|---|---|---|", *lines])


def group_options(group: str, name: str) -> str:
    """The options of an entry with their comments; an option without a comment has that of another entry.

    Methods do not share options, nor indexes, so that the comment of another one would be about something else.
    """
    meanings: dict[str, str] = {}
    paths = sorted((entries.CONF_DIR / group).glob("*.yaml"), key=lambda path: (path.stem != name, path.name))
    for path in paths[:1] if group in _OWN else paths:
        for key, comment in comments(path.read_text(encoding="utf-8")).items():
            meanings[key] = meanings.get(key) or comment
    options = {key: value for key, value in entries.entry(group, name).items() if key != "name"}
    return _table(rows(options, meanings, f"{group}."))


def page() -> str:
    """The text of docs/options.md."""
    parts = [HEAD.strip(), "## Groups", groups(), "## Options", main_options()]
    for group, name in EXAMPLES.items():
        parts += [f"## Options of `{group}=`, as in `conf/{group}/{name}.yaml`", group_options(group, name)]
    for name in entries.choices("method"):
        if entries.entry("method", name).keys() - {"name", "seeds"}:  # nothing is drawn where these are all
            parts += [f"## Options of `method={name}`", group_options("method", name)]
    return "\n\n".join([*parts, "## Options of each `index=`", index_options()]) + "\n"


def index_options() -> str:
    """The options of all indexes in one table, each with its index in front."""
    lines = [
        f"| `{name}` {line}"
        for name in entries.choices("index")
        for line in group_options("index", name).splitlines()[_HEADER:]
    ]
    return "\n".join(["| index | option | default | meaning |", "|---|---|---|---|", *lines])


def _names(group: str) -> list[str]:
    return [f"`{name}`" for name in entries.choices(group)]


_HEADER = 2  # lines of a table


def _table(lines: Iterator[str]) -> str:
    return "\n".join(["| option | default | meaning |", "|---|---|---|", *lines])


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{', '.join(map(_plain, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    write_text(PAGE, page())
