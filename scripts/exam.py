"""Caption the exam's photographs, none of which was trained on, and count right main nouns.

    python scripts/exam.py weights/captioner --folder pexels=photographs --folder scikit-image=data

`exam.json` says what each photograph shows, and which nouns a person would accept as what it is
about; this was written before any of them was captioned. A caption is right if it says one of
`nouns` and none of `unless`. Where "man" would be true of a dozen photographs, the accepted nouns
are those of what the man does. Photographs come from `examples/`, and from the packages
scikit-image, scikit-learn and matplotlib where these are installed; `--folder` names other places.
"""

import argparse
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, Self

from model.captioning.captioner import Captioner
from model.reporting.tables import table

EXAM = Path(__file__).with_name("exam.json")

_EXAMPLES = Path(__file__).parents[1] / "examples"

# Where packages keep their pictures.
_PACKAGES = {
    "scikit-image": ("skimage", "data"),
    "scikit-learn": ("sklearn", "datasets/images"),
    "matplotlib": ("matplotlib", "mpl-data/sample_data"),
}


class Question(NamedTuple):
    """A photograph of the exam.

    Attributes:
        source, file: where it comes from, and its name there.
        nouns: words or phrases, any of which makes a caption right.
        unless: and any of these makes it wrong.
    """

    source: str
    file: str
    nouns: frozenset[str]
    unless: frozenset[str]

    @classmethod
    def read_all(cls, path: Path = EXAM) -> list[Self]:
        """Read the questions of an exam."""
        exam = json.loads(path.read_text("utf-8"))
        return [
            cls(source, file, frozenset(entry["nouns"]), frozenset(entry.get("unless", ())))
            for source, entries in exam.items()
            for file, entry in entries.items()
        ]

    def is_right(self, caption: str) -> bool:
        """Return whether a caption says what the photograph is about."""
        words = f" {' '.join(re.findall('[a-z]+', caption.lower()))} "
        said, wrong = (
            any(f" {phrase} " in words for phrase in phrases)
            for phrases in (self.nouns, self.unless)
        )
        return said and not wrong


def find_folders(given: dict[str, Path]) -> dict[str, Path]:
    """Return the folders of the sources that are here; those that are given come first."""
    folders = {"examples": _EXAMPLES}
    for source, (package, inside) in _PACKAGES.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            folders[source] = Path(spec.origin).parent / inside
    return folders | given


def main() -> None:
    """Take the exam, and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path, help="captioner")
    parser.add_argument(
        "--folder",
        action="append",
        default=[],
        metavar="SOURCE=FOLDER",
        help="where the photographs of a source of exam.json are; may be repeated",
    )
    parser.add_argument("--beam-size", type=int, help="default: the bundle's")
    arguments = parser.parse_args()

    questions = Question.read_all()
    sources = {question.source for question in questions}
    given = {}
    for option in arguments.folder:
        source, _, folder = option.partition("=")
        if source not in sources or not folder or not Path(folder).is_dir():
            parser.error(
                f"--folder {option}: give SOURCE=FOLDER, with a folder that exists and a source "
                f"out of {', '.join(sorted(sources))}"
            )
        given[source] = Path(folder)
    folders = find_folders(given)

    captioner = Captioner.load(arguments.bundle, "cpu")
    asked = [question for question in questions if question.source in folders]
    rows, right = [], 0
    for question in asked:
        picture = folders[question.source] / question.file
        caption = captioner.caption(picture, beam_size=arguments.beam_size)[0]
        confidence = "-" if caption.confidence is None else f"{caption.confidence:.0%}"
        is_right = question.is_right(caption.text)
        right += is_right
        rows.append([f"`{question.file}`", caption.text, confidence, "yes" if is_right else "no"])
    print(table(["photograph", "caption", "confidence", "main noun"], rows, text=4))
    print(f"\n{right} of {len(asked)} main nouns are right ({right / len(asked):.0%}).")
    for source in sorted(sources - folders.keys()):
        print(f"Left out: {source}, whose folder --folder {source}=FOLDER would give.")


if __name__ == "__main__":
    main()
