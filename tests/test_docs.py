"""The documents name only files, commands, options and links that exist."""

import re
import shlex
from pathlib import Path

import click
import pytest
import typer
import yaml
from pydantic import TypeAdapter

from app.cli.main import app
from app.main import create_app
from app.settings import Settings
from model.config import DecodingConfig, SamplingConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*.md")),
    *sorted((ROOT / "recipes").rglob("*-card.md")),
    *sorted(path for path in (ROOT / "deploy").rglob("*") if path.is_file()),
]
README_WORDS = 1_100

CODE = re.compile(r"```[^\n]*\n(.*?)```|`([^`]+)`", re.DOTALL)
LINK = re.compile(r'\]\((?!https?:)([^)\s]+)\)|src="(?!https?:)([^"]+)"')
COMMENT = re.compile(r"\s#\s.*$")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

# Paths of the repository begin with one of these; `runs/` and `cache/` are made by commands.
ROOMS = tuple(
    f"{path.name}/"
    for path in ROOT.iterdir()
    if path.is_dir() and not path.name.startswith(".") and path.name not in ("runs", "cache")
)
NAMED = re.compile(r"[\w./-]+")


@pytest.fixture(params=PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def page(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def text(page: Path) -> str:
    """Read a page; a file that is not Markdown is one block of code."""
    text = page.read_text("utf-8")
    return text if page.suffix == ".md" else f"```\n{text}\n```"


def lines_of(text: str) -> list[str]:
    """List lines of code; an inline piece that is broken over two lines is one line."""
    lines: list[str] = []
    for block, inline in CODE.findall(text):
        if inline:
            lines.append(" ".join(inline.split()))
        else:
            lines += re.sub(r"\\\n\s*", " ", block).splitlines()
    return lines


def anchor(heading: str) -> str:
    """Make the anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.lower().replace("`", ""))
    return kept.strip().replace(" ", "-")


def words_of(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # a piece of another language
        return line.split()


def commands_of(text: str, name: str) -> list[list[str]]:
    """List the words after a program's name, up to whatever ends the command."""
    found = []
    for line in lines_of(text):
        for part in re.split(r"&&|\||;|\$\(|\)", COMMENT.sub("", line)):
            words = words_of(part)
            places = [i for i, word in enumerate(words) if word.split("/")[-1] == name]
            # Before it only VARIABLE=value, or torchrun and its options.
            if places and all(
                "=" in w or "torchrun" in w or w[0] == "-" for w in words[: places[0]]
            ):
                found.append(words[places[0] + 1 :])
    return found


def test_the_readme_is_short() -> None:
    words = (ROOT / "README.md").read_text("utf-8").split()
    assert len(words) <= README_WORDS, f"{len(words)} words: move something to docs/"


def test_the_tree_in_the_readme_exists() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    tree = readme.split("## The tree")[1].split("```")[1]
    room = ""
    for indent, name in re.findall(r"^( *)(\w+/)", tree, re.MULTILINE):
        room = room if indent else name
        assert (ROOT / (room + name if indent else name)).is_dir(), name
    packages = {path.parent.name for path in (ROOT / "model").glob("*/__init__.py")}
    assert packages <= {name.rstrip("/") for name in re.findall(r"\w+/", tree)}


def test_every_page_of_the_docs_is_linked_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    for path in (ROOT / "docs").glob("*.md"):
        assert f"(docs/{path.name}" in readme, path.name


def test_links_resolve(page: Path, text: str) -> None:
    for target, image in LINK.findall(text):
        path, _, fragment = (target or image).partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target or image
        if fragment:
            headings = HEADING.findall(linked.read_text("utf-8"))
            assert fragment in map(anchor, headings), target


def test_pictures_of_the_docs_are_used() -> None:
    shown = "".join(page.read_text("utf-8") for page in PAGES)
    for picture in (ROOT / "docs" / "images").iterdir():
        assert picture.name in shown, picture.name


def test_files_that_are_named_exist(text: str) -> None:
    for line in lines_of(text):
        for name in NAMED.findall(line):
            path = name.rstrip(".")
            if path.startswith(ROOMS):
                assert (ROOT / path).exists(), path


def test_make_targets_exist(text: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for words in commands_of(text, "make"):
        for target in words:
            if "=" not in target:
                assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), target


def test_unrolled_commands_and_options_exist(text: str) -> None:
    for words in commands_of(text, "unrolled"):
        check_command(words)


def check_command(words: list[str]) -> None:
    command: click.Command = typer.main.get_command(app)
    path = ["unrolled"]
    rest = list(words)
    while rest and hasattr(command, "commands") and not rest[0].startswith("-"):
        name = rest.pop(0)
        if not re.fullmatch(r"[a-z]+", name):
            return  # `docker build -t unrolled .`
        assert name in command.commands, f"{' '.join(path)} has no command {name!r}"
        command, path = command.commands[name], [*path, name]
    options = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)} | {"--help"}
    for word in rest:
        if word.startswith("--") and word != "--":
            assert word.partition("=")[0] in options, f"{' '.join(path)} has no option {word}"


def test_options_that_are_named_alone_exist(text: str) -> None:
    """An inline `--option` belongs to some command, or to the benchmarks or a script."""
    known = options_of(typer.main.get_command(app))
    known |= {"--suite", "--json", "--compare", "--build-arg", "--gpus", "--check"}
    for line in lines_of(text):
        if re.fullmatch(r"--[a-z][\w-]*( .*)?", line):
            assert line.split()[0] in known, line


def options_of(command: click.Command) -> set[str]:
    own = {opt for p in command.params for opt in (*p.opts, *p.secondary_opts)}
    return own.union(*map(options_of, getattr(command, "commands", {}).values()))


def test_benchmark_suites_exist(text: str) -> None:
    from benchmarks.__main__ import SUITES

    for suite in re.findall(r"--suite ([a-z-]+)", text):
        assert suite in SUITES


def test_settings_exist(text: str) -> None:
    known = {name.upper() for name in Settings.model_fields} | {"CACHE", "DATA", "TEST_DATA"}
    for name in re.findall(r"\bUNROLLED_([A-Z_]*[A-Z])\b", text):
        assert name in known, name


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    for name in Settings.model_fields:
        assert f"| `UNROLLED_{name.upper()}` |" in page, name


def test_every_benchmark_suite_is_documented() -> None:
    from benchmarks.__main__ import SUITES

    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for suite in SUITES:
        assert f"`{suite}`" in page, suite


@pytest.mark.parametrize(
    ("route", "config"), [("caption", DecodingConfig), ("generate-text", SamplingConfig)]
)
def test_bounds_on_the_api_page_are_those_of_the_configuration(route: str, config: type) -> None:
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    section = page.split(f"## `POST /{route}`")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section, re.MULTILINE))
    assert rows
    for name, field in TypeAdapter(config).json_schema()["properties"].items():
        if name in rows and "UNROLLED_" not in rows[name]:
            bounds = {field[key] for key in ("minimum", "maximum") if key in field}
            shown = {float(n.replace(",", "")) for n in re.findall(r"[\d,.]*\d", rows[name])}
            assert bounds <= shown or name == "num_captions", name


def test_the_api_page_lists_the_parameters_of_a_caption() -> None:
    parameters = create_app(Settings()).openapi()["paths"]["/caption"]["post"]["parameters"]
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    section = page.split("## `POST /caption`")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert set(rows) == {one["name"] for one in parameters if one["in"] == "query"}


def test_deployment_files_are_sound_yaml() -> None:
    for path in (ROOT / "deploy").rglob("*.yaml"):
        assert list(yaml.safe_load_all(path.read_text("utf-8"))), path.name
