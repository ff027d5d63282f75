"""Write `docs/captions.md`: what the captioner says of the photographs that the project ships.

    python scripts/gallery.py docs/captions.md

The same captioner writes the same page: captions are drawn with a fixed seed.
"""

import argparse
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from model.captioning.caption import Caption
from model.captioning.captioner import Captioner
from model.files import write_text
from model.reporting.tables import table

ROOT = Path(__file__).parents[1]
EXAMPLES, PAGE = ROOT / "examples", ROOT / "app" / "web" / "photographs"

# The lowest confidence of each part; the page of the service uses the same words for them.
GROUPS = {
    "Good": (0.55, "At a confidence of 0.55 or more a caption is probably a good description."),
    "Fair": (0.35, "From 0.35 to 0.55 it may well be wrong; often something in it is right."),
    "Bad": (0.0, "Below 0.35 it is most likely wrong, and the captioner says so."),
}

DRAWN = PAGE / "taxis.jpg"  # of which captions are drawn
READ = EXAMPLES / "chelsea.jpg"  # whose caption is shown word by word
TEMPERATURE, SEED, DRAWS, TOP = 0.8, 1, 3, 3

# Each part but the gallery, with what stands above its table.
ABOUT_DRAWN = """## Drawn word by word

Not searched for but drawn, each word from the probabilities that the words before it leave: three
captions of the picture at a temperature of {temperature}, with seed {seed} and the two after it,
the likeliest first. They end where `<END>` is drawn. Beside each word is its log-probability, at a
temperature of 1."""
ABOUT_READ = """## One caption, word by word

The best caption of the picture. Its log-probability is the sum of its words' and that of `<END>`;
the second column has the likeliest words at each place, with their probabilities."""


class Photograph(NamedTuple):
    """A photograph that the project ships."""

    path: Path
    shows: str


class Shown(NamedTuple):
    """A photograph and its best caption."""

    photograph: Photograph
    caption: Caption


def main() -> None:
    """Caption the photographs, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="Markdown file to write")
    parser.add_argument("--weights", type=Path, help="a captioner; by default the shipped one")
    arguments = parser.parse_args()
    # One thread: with more, sums are added in another order from run to run.
    captioner = Captioner.load(arguments.weights, "cpu", threads=1)
    parts = [_intro(captioner), *_gallery(captioner, arguments.page)]
    parts += [_drawn(captioner, arguments.page), _read(captioner, arguments.page)]
    write_text(arguments.page, "\n\n".join(parts) + "\n")
    print(f"wrote {arguments.page}")


def photographs() -> list[Photograph]:
    """List the photographs; one that is there twice counts once."""
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \|", (EXAMPLES / "README.md").read_text("utf-8"), re.M)
    found = {file: Photograph(EXAMPLES / file, shows) for file, shows in rows}
    columns = json.loads((PAGE / "credits.json").read_text("utf-8"))["columns"]
    for one in (photograph for column in columns for photograph in column["photographs"]):
        shows = one["alt"][0].lower() + one["alt"][1:]
        found.setdefault(one["file"], Photograph(PAGE / one["file"], shows))
    return list(found.values())


def group_of(confidence: float) -> str:
    """Return the part of the gallery for captions of this confidence."""
    return next(name for name, (least, _) in GROUPS.items() if confidence >= least)


def _intro(captioner: Captioner) -> str:
    return f"""# Captions, as they come

What version {captioner.config.version} of `{captioner.config.name}` says of every photograph that
the project ships, good or bad; it was trained on none of them.
`python scripts/gallery.py docs/captions.md` wrote this page. Credits:
[examples](../examples/README.md), and [the page's](../app/web/photographs/credits.json)."""


def _gallery(captioner: Captioner, page: Path) -> Iterator[str]:
    """Yield a part for each group that has photographs, the most confident caption first."""
    found = photographs()
    captions = captioner.caption([one.path for one in found])
    best = [Shown(one, several[0]) for one, several in zip(found, captions, strict=True)]
    best.sort(key=lambda one: (-_confidence(one.caption), one.photograph.path.name))
    for name, (_, about) in GROUPS.items():
        rows = [
            [
                _picture(one.photograph, page),
                one.photograph.shows,
                one.caption.text,
                f"{one.caption.logprob:.3f}",
                f"{_confidence(one.caption):.2f}",
            ]
            for one in best
            if group_of(_confidence(one.caption)) == name
        ]
        header = ["photograph", "it shows", "caption", "log-probability", "confidence"]
        yield f"## {name}\n\n{about}"
        yield table(header, rows, text=3) if rows else "None of these photographs."


def _drawn(captioner: Captioner, page: Path) -> str:
    captions = captioner.caption(
        DRAWN, temperature=TEMPERATURE, seed=SEED, num_captions=DRAWS, max_length=20
    )
    rows = [
        [
            " ".join(f"{_name(token.token)}&nbsp;{token.logprob:.2f}" for token in one.tokens),
            f"{one.logprob:.3f}",
        ]
        for one in captions
    ]
    about = ABOUT_DRAWN.format(temperature=TEMPERATURE, seed=SEED)
    words = table(["word by word", "log-probability"], rows)
    return "\n\n".join([about, _picture(_shipped(DRAWN), page), words])


def _read(captioner: Captioner, page: Path) -> str:
    caption = captioner.caption(READ, top_logprobs=TOP)[0]
    rows, total = [], 0.0
    for token in caption.tokens:
        total += token.logprob
        likeliest = (f"{_name(t.token)} {math.exp(t.logprob):.2f}" for t in token.top or ())
        numbers = (f"{token.logprob:.3f}", f"{math.exp(token.logprob):.3f}", f"{total:.3f}")
        rows.append([_name(token.token), ", ".join(likeliest), *numbers])
    header = ["word", "likeliest here", "log-probability", "probability", "sum so far"]
    return "\n\n".join([ABOUT_READ, _picture(_shipped(READ), page), table(header, rows, text=2)])


def _shipped(path: Path) -> Photograph:
    return next(one for one in photographs() if one.path == path)


def _confidence(caption: Caption) -> float:
    """Return a caption's confidence; a caption that was cut off has none."""
    return caption.confidence or 0.0


def _picture(photograph: Photograph, page: Path) -> str:
    """Return a thumbnail: the picture itself, shown small."""
    source = Path(os.path.relpath(photograph.path, page.resolve().parent)).as_posix()
    return f'<img src="{source}" width="160" alt="{photograph.shows}">'


def _name(token: str) -> str:
    """Return a token as Markdown shows it."""
    return f"`{token}`" if token.startswith("<") else token


if __name__ == "__main__":
    main()
