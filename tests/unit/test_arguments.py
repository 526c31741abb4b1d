"""A command's own words are its page: the line in the list, and what its help says."""

from __future__ import annotations

import argparse

import pytest

from failover_lab import arguments, cli
from failover_lab.door.answer import Answer


def look(_options: argparse.Namespace) -> Answer:
    """Say which nodes are Ready.

    Prints a line for each. Status 1
    if there is none.

    Raises:
        UserError: nobody answers.
    """
    return Answer()


def named(_options: argparse.Namespace) -> Answer:
    """Look."""
    return Answer()


def page(parser: argparse.ArgumentParser, words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        parser.parse_args([*words, "--help"])
    return " ".join(capsys.readouterr().out.split())


@pytest.fixture
def parser() -> arguments.Parser:
    result = arguments.Parser(prog="lab")
    commands = result.add_subparsers(parser_class=arguments.Parser)
    arguments.command(commands, "look", look)
    arguments.command(commands, "named", named)
    return result


def test_the_first_line_is_in_the_list(parser: arguments.Parser, capsys: pytest.CaptureFixture[str]) -> None:
    said = page(parser, [], capsys)
    assert "look say which nodes are Ready named look" in said
    assert "Prints" not in said


def test_the_rest_is_its_help_without_what_it_raises(
    parser: arguments.Parser, capsys: pytest.CaptureFixture[str]
) -> None:
    said = page(parser, ["look"], capsys)
    assert "Prints a line for each. Status 1 if there is none." in said
    assert "UserError" not in said


def test_what_carries_it_out_is_told(parser: arguments.Parser) -> None:
    assert parser.parse_args(["look"]).run is look


def test_every_command_says_in_one_line_what_it_does() -> None:
    (commands,) = (
        action for action in cli.parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    for choice in commands._choices_actions:
        said = str(choice.help)
        assert said, choice.dest
        assert not said.startswith(("Carry out", "carry out")), choice.dest
        assert "\n" not in said, choice.dest
