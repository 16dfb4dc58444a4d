"""What conf/ says of each option: its default and the comment beside it, for `--help`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.config import entries

_LINE = re.compile(r"(?P<indent> *)(?P<item>- )?(?P<name>\w+):(?: +(?P<value>[^#\s].*?))?(?: +# ?(?P<comment>.*))?")
_FURTHER = re.compile(r" +# ?(.*)")
_OF_COMMAND = re.compile(r"of `(?P<command>\w+)`: *(?P<text>.*)")


@dataclass
class Option:
    """An option as a file of conf/ has it.

    Attributes
    ----------
    name : dotted, as on the command line
    default : as a word of the command line
    comments : the lines beside and below it
    """

    name: str
    default: str
    comments: list[str]

    def about(self, command: str) -> str:
        """What it means to a command: the lines that begin with "of `command`:", if any do, else all that name none."""
        marked = {line: _OF_COMMAND.fullmatch(line) for line in self.comments}
        own = [found["text"] for found in marked.values() if found and found["command"] == command]
        return " ".join(own or [line for line, found in marked.items() if not found])


def documented() -> dict[str, Option]:
    """Every option of conf/config.yaml but Hydra's, with the groups of its defaults list, by its dotted name."""
    return _read(entries.CONF_DIR / "config.yaml", "")


def documented_local(group: str) -> dict[str, Option]:
    """The options of a group's ``local`` entry."""
    return _read(entries.CONF_DIR / group / "local.yaml", f"{group}.")


def _read(path: Path, prefix: str) -> dict[str, Option]:
    found: dict[str, Option] = {}
    section, last = "", None
    for line in path.read_text(encoding="utf-8").splitlines():
        if line == "hydra:":
            break
        if (further := _FURTHER.fullmatch(line)) and last:
            last.comments.append(further[1].strip())
        if not (parts := _LINE.fullmatch(line)):
            continue
        if not parts["indent"]:
            section = "" if parts["value"] or parts["name"] == "defaults" else f"{parts['name']}."
        if parts["value"]:
            name = prefix + (section if parts["indent"] and not parts["item"] else "") + parts["name"]
            comments = [parts["comment"].strip()] if parts["comment"] else []
            last = found.setdefault(name, Option(name, _default(parts["value"]), comments))
    return found


def _default(value: str) -> str:
    """A value as a word of the command line; of a variable of the environment, its name."""
    variable = re.match(r"\$\{oc\.env:(\w+)", value)
    return f"${variable[1]}" if variable else value.replace(", ", ",")
