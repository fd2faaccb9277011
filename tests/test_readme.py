"""README is short, its links lead somewhere, its commands are those that are run, and its figures are measured ones."""

import re
import shlex
from pathlib import Path

import pytest

from identity_service.settings.load import load
from identity_service.web.manual.book import FOLDER, anchor_of
from tests.conftest import Shopper

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MOST_WORDS = 900


def test_readme_is_read_in_four_minutes() -> None:
    assert len(README.split()) <= MOST_WORDS


def test_no_line_is_longer_than_a_screen_but_for_commands() -> None:
    assert [line for line in README.splitlines() if len(line) > 150 and not line.startswith(("    ", "<img"))] == []


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)\"", README), ids=lambda link: "".join(link))
def test_every_link_leads_to_a_file_and_its_heading(link: tuple[str, str]) -> None:
    path, _, anchor = "".join(link).partition("#")
    if path.startswith("/id/"):
        return
    assert (ROOT / path).exists()
    if anchor:
        headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(), re.MULTILINE)
        assert anchor in map(anchor_of, headings)


def test_ci_runs_the_test_command_and_nothing_else() -> None:
    commands = [line.strip() for line in README.splitlines() if line.startswith("    python3 -m venv")]
    assert len(commands) == 2
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == commands[1]


def test_what_proves_a_promise_exists() -> None:
    named = re.findall(r"`(?:pytest --long )?(tests/[\w/.]+)`", README)
    assert len(named) >= 6
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_its_figures_are_those_of_the_measurements() -> None:
    measured = (FOLDER / "measurements.md").read_text()
    promises = README[README.index("## What it promises") : README.index("## Read on")]
    figures = re.findall(r"\d[\d,]{3,}", promises)
    assert len(figures) == 4
    assert [figure for figure in figures if figure not in measured] == []


def test_the_tag_and_the_proxys_lines_are_those_of_the_manual() -> None:
    snippet = (FOLDER / "snippet.md").read_text()
    blocks = re.findall(r"(?:^    .*\n)+", README, re.MULTILINE)
    tag, proxy = ([block for block in blocks if mark in block] for mark in ('visitor.js"></script>', "# nginx"))
    assert len(tag) == len(proxy) == 1
    assert tag[0] in snippet
    assert proxy[0] in snippet


def test_the_development_file_is_the_one_the_tour_uses() -> None:
    settings = load("development", {})
    assert settings.shops["demo"].private_keys == ["demo-private-key"]
    assert {name: shop.policy for name, shop in settings.shops.items()} == {"demo": "standard", "other": "standard", "strict": "strict"}


VARYING = re.compile(r"(?<![\w.])(?:D9TXmal_nBNbOR-ObSkWbg|h7IQFyDDhlq77J32o31RzQ|1[dp]\.(?:D9TX|h7IQ))")


def tour() -> list[tuple[list[str], list[str]]]:
    """Each command of the tour as a shell splits it, and the lines printed below it."""
    steps: list[tuple[list[str], list[str]]] = []
    section = README[README.index("## Tour") : README.index("## Put it")].replace("\\\n", " ")
    for line in (line.strip() for line in section.splitlines() if line.startswith("    ")):
        if line.startswith("$ "):
            steps.append((shlex.split(line[2:].replace("$TOKEN", "@TOKEN@")), []))
        else:
            steps[-1][1].append(line)
    return steps


def printed(line: str) -> re.Pattern[str]:
    """What a line of the tour stands for: IDs differ, and … is any text."""
    return re.compile(".*".join(re.escape(VARYING.sub("\0", part)).replace("\0", r"[\w.-]+") for part in line.split("…")))


@pytest.mark.anyio
async def test_the_tour_answers_as_it_is_printed(shopper: Shopper) -> None:
    token = ""
    assert len(tour()) == 4
    for (command, *words), lines in tour():
        assert command == "curl"
        url = next(word for word in words if word.startswith("localhost:8080"))
        header, body = (words[words.index(flag) + 1] for flag in ("-H", "-d"))
        name, _, value = header.partition(": ")
        content = body.replace("@TOKEN@", token)
        answer = await shopper.client.post(url.removeprefix("localhost:8080"), content=content, headers={name: value})
        cookies = [f"set-cookie: {cookie}" for cookie in answer.headers.get_list("set-cookie")]
        told = [*(cookies if "-si" in words else []), answer.text]
        assert len(told) == len(lines)
        for line, text in zip(lines, told, strict=True):
            assert printed(line).fullmatch(text), (line, text)
        token = answer.json().get("token", token)
