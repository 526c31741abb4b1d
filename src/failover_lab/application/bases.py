"""``bases``: the images that a Dockerfile is built on, and which of them the lab has a stand-in for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from failover_lab.door.answer import Answer
from failover_lab.errors import UserError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

#: Official images in whose place the lab can build one from Debian's packages, in the same layout.
STAND_INS = ("nginx", "httpd", "python")
_OFFICIAL = re.compile(r"(?:(?:index\.)?docker\.io/)?(?:library/)?([a-z0-9]+)(?:[:@].*)?")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::([-+])([^}]*))?\}|(\w+))")
_HEREDOC = re.compile(r"<<-?\s*([\"']?)(\w+)\1")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """The instructions of a Dockerfile: each its name in capitals, and the rest as one line.

    Comments and what stands in here-documents are passed over.
    """
    directive = re.match(r"(?:\s*#[^\n]*\n)*?\s*#\s*escape\s*=\s*(\S)", text, re.IGNORECASE)
    escape = directive[1] if directive else "\\"
    lines = iter(text.splitlines())
    for line in lines:
        whole = line.strip()
        if not whole or whole.startswith("#"):
            continue
        while whole.endswith(escape):
            more = next(lines, "").strip()
            whole = whole[:-1] + ("" if more.startswith("#") else f" {more}")
            if more.startswith("#"):
                whole += escape
        for document in _HEREDOC.finditer(whole):
            for inner in lines:
                if inner.strip() == document[2]:
                    break
        name, _, rest = whole.partition(" ")
        yield name.upper(), rest.strip()


def _filled(text: str, arguments: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        known = arguments.get(match[1] or match[4], "")
        if match[2] == "+":
            return match[3] if known else ""
        return known or (match[3] or "" if match[2] == "-" else "")

    return _VARIABLE.sub(value, text)


def bases(text: str, arguments: Mapping[str, str]) -> list[str]:
    """The images that have to be there before a Dockerfile can be built, each once, in order.

    Args:
        text: of the Dockerfile.
        arguments: given to the build.
    """
    known = dict(arguments)
    stages: set[str] = {"scratch"}
    found: dict[str, None] = {}
    begun = 0
    for name, rest in instructions(text):
        words = rest.split()
        if name == "ARG" and not begun:
            for word in words:
                key, _, default = word.partition("=")
                known.setdefault(key, _filled(default.strip("\"'"), known))
        elif name == "FROM":
            words = [word for word in words if not word.startswith("--")]
            image = _filled(words[0].strip("\"'"), known) if words else ""
            if image and image.lower() not in stages:
                found[image] = None
            if len(words) >= 3 and words[1].upper() == "AS":
                stages.add(words[2].lower())
            stages.add(str(begun))
            begun += 1
        elif name in ("COPY", "ADD"):
            sources = (word.removeprefix("--from=") for word in words if word.startswith("--from="))
            found |= {source: None for source in sources if source.lower() not in stages}
    return list(found)


def stand_in(image: str) -> str:
    """The name of what can stand in for an image; empty if nothing can."""
    match = _OFFICIAL.fullmatch(image)
    return match[1] if match and match[1] in STAND_INS else ""


def run(options: argparse.Namespace) -> Answer:
    """Say which images a Dockerfile is built on.

    Raises:
        UserError: it cannot be read.
    """
    try:
        text = options.dockerfile.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {options.dockerfile}: {error}") from error
    names = bases(text, json.loads(options.arguments))
    print("\n".join(names))
    standing_in = {name: stand_in(name) for name in names if stand_in(name)}
    return Answer({"bases": names, "stand_ins": standing_in})


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this subcommand."""
    parser = commands.add_parser("bases", help="say which images a Dockerfile is built on")
    parser.add_argument("dockerfile", type=Path, metavar="DOCKERFILE")
    parser.add_argument("--arguments", default="{}", metavar="JSON", help="of the build, by name")
    parser.set_defaults(run=run)
