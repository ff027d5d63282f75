"""The other parts of the page, as a person would use them."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Open = Callable[..., Any]


def written(page: Any, column: int = 0) -> str:
    """What a column has written, once it has ended."""
    place = page.locator(".written").nth(column)
    place.locator(".number", has_text="tokens").wait_for(timeout=60_000)
    return "".join(place.locator("token-text .token").all_inner_texts())


def open_write(open_page: Open, **settings: str) -> Any:
    page = open_page("write")
    page.wait_for_selector("write-part option[value=linux]", state="attached")
    page.get_by_role("slider", name="Length").fill(settings.pop("length", "100"))
    for label, value in settings.items():
        page.get_by_role("slider", name=label.replace("_", "-"), exact=True).fill(value)
    return page


def test_a_writer_writes_and_shows_what_else_it_might_have(open_page: Open) -> None:
    page = open_write(open_page)
    page.get_by_role("button", name="Write", exact=True).click()
    text = written(page)
    assert len(text) == 100
    page.locator("write-part token-text").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    detail = page.locator(".written .detail")
    assert "had a probability of" in detail.inner_text()
    assert detail.locator(".bars tr").count() == 5
    page.locator("write-part token-text .token").nth(7).hover()
    assert page.locator("write-part token-text .picked").inner_text() == text[7]
    # What a screen reader gets.
    assert page.locator("write-part token-text p").text_content() == f"ROMEO:{text}"


def test_a_more_daring_text_and_the_same_again(open_page: Open) -> None:
    page = open_write(open_page, Temperature="0")
    page.get_by_role("button", name="Write", exact=True).click()
    timid = written(page)
    page.get_by_role("slider", name="Temperature").fill("1.3")
    page.get_by_role("button", name="Write", exact=True).click()
    page.wait_for_timeout(300)
    daring = written(page)
    assert daring != timid
    page.get_by_role("button", name="Write", exact=True).click()
    page.wait_for_timeout(300)
    assert written(page) == daring  # the seed is the same


def test_two_writers_side_by_side(open_page: Open) -> None:
    page = open_write(open_page)
    page.get_by_label("Beside it").select_option("bible")
    page.get_by_role("button", name="Write", exact=True).click()
    assert written(page, 0) != written(page, 1)
    assert page.locator(".written h2").all_inner_texts() == ["shakespeare", "bible"]


@pytest.mark.parametrize("pair", [("RNN", "LSTM"), ("RNN", "GRU"), ("GRU", "LSTM")])
def test_two_cells_of_one_size_write_side_by_side(open_page: Open, pair: tuple[str, str]) -> None:
    page = open_write(open_page)
    page.get_by_role("button", name=f"shakespeare: {pair[0]} beside {pair[1]}").click()
    assert written(page, 0) != written(page, 1)
    names = [f"shakespeare-{cell.lower()}" for cell in pair]
    assert page.locator(".written h2").all_inner_texts() == names
    texts = page.locator(".written token-text").all_inner_texts()
    assert all(text.lstrip().startswith("ROMEO:") for text in texts)


def test_an_ngram_beside_the_network(open_page: Open) -> None:
    page = open_write(open_page)
    page.get_by_label("Beside it").select_option("n-gram")
    counted = "ROMEO: abcabcabcabc" * 5
    page.set_input_files(
        ".ngram input[type=file]",
        {"name": "abc.txt", "mimeType": "text/plain", "buffer": counted.encode()},
    )
    page.get_by_text("95").wait_for()
    page.get_by_role("slider", name="Temperature, right").fill("0")
    page.get_by_role("button", name="Write", exact=True).click()
    assert written(page, 1).startswith(" abcabcabcabc")


def test_writing_can_be_stopped(open_page: Open) -> None:
    page = open_write(open_page, length="2000")
    page.get_by_role("button", name="Write", exact=True).click()
    page.locator("write-part token-text .token").nth(20).wait_for()
    page.get_by_role("button", name="Stop").click()
    page.wait_for_timeout(300)
    stopped = page.locator("write-part token-text .token").count()
    page.wait_for_timeout(500)
    assert page.locator("write-part token-text .token").count() == stopped < 2000
    assert page.locator(".error").count() == 0


def test_the_unit_that_follows_quotes(open_page: Open) -> None:
    page = open_page("cells")
    page.locator(".ranked tbody tr").first.wait_for()
    rows = page.locator(".ranked tbody tr").all_inner_texts()
    best, chance = (float(row.split("\t")[-1].split()[0]) for row in (rows[0], rows[-1]))
    assert best > 0.95 > chance > 0.5
    assert "above what the best unit reaches by chance" in page.locator("cells-part").inner_text()
    colours = page.locator("cells-part .cell").evaluate_all(
        "spans => spans.map((span) => span.style.background)"
    )
    assert len(set(colours)) > 10
    page.locator(".ranked button").nth(2).click()
    assert (
        page.locator(".cells h2").first.inner_text()
        == page.locator(".ranked button").nth(2).inner_text()
    )


def test_any_unit_of_a_text_of_ones_own(open_page: Open) -> None:
    page = open_page("cells")
    page.locator(".ranked tbody tr").first.wait_for()
    page.locator("cells-part textarea").fill('He said "no" and went. ' * 12)
    page.get_by_role("button", name="Search").click()
    page.get_by_label("Any unit").fill("300")  # what is typed while a text is read stays
    page.get_by_role("button", name="Show", exact=True).click()  # waits until it is read
    page.get_by_role("heading", name="layer 1 unit 300").wait_for()
    assert page.locator("cells-part .cell").count() == 276
    page.get_by_label("Any unit").fill("layer 1 unit 7")
    page.get_by_role("button", name="Show", exact=True).click()
    page.get_by_role("heading", name="layer 1 unit 7").wait_for()
    page.get_by_role("button", name="Show all units").click()
    tiles = page.locator("canvas.tiles")
    tiles.wait_for()
    page.get_by_role("button", name="Read them again").wait_for()
    tiles.click(position={"x": 30, "y": 3})
    page.get_by_role("heading", name="layer 1 unit 0").wait_for()


def test_a_search_is_stepped_through(open_page: Open) -> None:
    page = open_page("beam")
    page.click('beam-part img[alt^="A beagle"]')
    page.locator(".tree .node.best").first.wait_for()
    steps = int(page.locator(".stepper .number").inner_text().split()[-1])
    assert steps > 5
    words = page.locator(".tree .node.best text").all_text_contents()
    assert words[-1] == "end"
    assert "Done" in page.locator(".told").inner_text()
    page.get_by_role("slider", name="Step").fill("1")
    assert page.locator(".tree .node").count() == 6  # twice the beam
    assert page.locator(".tree .node.kept").count() == 3
    page.get_by_role("button", name="On").click()
    assert page.locator(".stepper .number").inner_text() == f"step 2 of {steps}"
    assert "Kept: “" in page.locator(".told").inner_text()
    page.locator(".tree .node.cut").last.hover()
    assert "was cut" in page.locator(".tree-detail").inner_text()
    page.get_by_text("As a table").locator("visible=true").click()
    assert page.locator("beam-part tbody tr").count() >= 9
    page.get_by_role("button", name="Play").click()
    page.get_by_text("step 4 of").wait_for()


def gates_of(page: Any) -> list[list[float]]:
    """The numbers in the table of the steps, a row for each."""
    page.get_by_text("As a table").locator("visible=true").click()
    return [
        [float(cell) for cell in row.locator("td").all_inner_texts()]
        for row in page.locator("steps-part tbody tr").all()
    ]


def check_lstm(rows: list[list[float]]) -> None:
    """Check that each row follows from the one before it, to the two decimals that are shown."""
    for (*_, before, _), (i, f, o, g, c, h) in pairwise(rows):
        assert math.isclose(c, f * before + i * g, abs_tol=0.05)
        assert math.isclose(h, o * math.tanh(c), abs_tol=0.02)


def test_a_cell_is_unrolled(open_page: Open) -> None:
    page = open_page("steps")
    page.locator(".unrolled .step").first.wait_for()
    assert page.locator(".unrolled .step").count() == len("ROMEO:\nO, she doth teach")
    page.get_by_label("Unit, 0 to 1023").fill("300")
    page.get_by_role("heading", name="layer 1 unit 300 of shakespeare").wait_for()
    check_lstm(gates_of(page))
    page.locator(".unrolled .step").nth(3).hover()
    assert page.locator(".tree-detail b").first.inner_text() == "E"


def test_the_captioners_own_cells_are_unrolled_for_the_caption_on_screen(open_page: Open) -> None:
    page = open_page()
    page.click('describe-part img[alt^="A beagle"]')
    page.wait_for_selector(".captions[aria-busy=false] .word")
    words = page.locator(".captions .word:not(.end)").all_inner_texts()
    page.get_by_role("link", name="Steps").click()
    page.get_by_role("heading", name="speaking unit 0 of captioner").wait_for()
    assert page.locator(".unrolled .token").all_text_contents() == ["start", *words]
    above = page.locator(".unrolled .next").all_text_contents()
    assert [text.split()[0] for text in above] == [*words, "end"]
    page.get_by_label("Unit, 0 to 1023").fill("1000")
    page.get_by_role("heading", name="speaking unit 488 of captioner").wait_for()
    check_lstm(gates_of(page))
    page.get_by_label("Caption", exact=True).fill("a pizza")
    page.get_by_role("button", name="Unroll").click()
    page.locator(".unrolled .token", has_text="pizza").wait_for()
    assert page.locator(".unrolled .step").count() == 3
    # Another caption of the list is followed.
    page.get_by_role("link", name="Describe").click()
    page.locator(".nbest button").nth(1).click()
    other = page.locator(".captions .word:not(.end)").all_inner_texts()
    page.get_by_role("link", name="Steps").click()
    page.wait_for_function(
        "count => document.querySelectorAll('.unrolled .step').length === count",
        arg=len(other) + 1,
    )
    assert page.locator(".unrolled .token").all_text_contents() == ["start", *other]


def test_a_photograph_for_the_captioners_cells_is_chosen_there(open_page: Open) -> None:
    page = open_page("steps")
    page.locator(".unrolled .step").first.wait_for()
    page.locator("steps-part select").select_option("captioner")
    page.get_by_text("beside a photograph: choose one").wait_for()
    page.click('steps-part img[alt^="A beagle"]')
    page.get_by_role("heading", name="looking unit 0 of captioner").wait_for()
    assert "dog" in page.get_by_label("Caption", exact=True).input_value()


def test_the_status_names_the_models_and_the_last_requests(open_page: Open) -> None:
    page = open_page("steps")
    page.locator(".unrolled .step").first.wait_for()
    page.get_by_role("link", name="Status").click()
    models = page.get_by_role("region", name="Models")
    models.wait_for()
    assert "describes photographs" in models.inner_text()
    assert "LSTM, 2 layers of 512" in models.inner_text()
    latest = page.get_by_role("region", name="Last requests").inner_text()
    assert "activations" in latest
    assert "ms" in latest
