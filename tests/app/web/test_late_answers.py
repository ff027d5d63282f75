"""An answer that comes late never replaces what has been typed or chosen meanwhile."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow

Open = Callable[..., Any]


def hold(page: Any, address: str) -> Callable[[], None]:
    """Hold back the next requests to an address, until the function that is returned is called."""
    held: list[Any] = []
    released = False

    def handle(route: Any) -> None:
        if released:
            route.continue_()
        else:
            held.append(route)

    page.route(address, handle)

    def release() -> None:
        nonlocal released
        for _ in range(500):
            if held:
                break
            page.wait_for_timeout(20)
        assert held, "nothing was asked"
        released = True
        for route in held:
            route.continue_()

    return release


def described(page: Any, example: str) -> None:
    page.click(f'describe-part img[alt^="{example}"]')
    page.wait_for_selector(".captions[aria-busy=false] .word")


def test_a_prompt_that_is_typed_before_the_writers_are_known(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector(".thumbnails")
    release = hold(page, "**/models")
    page.get_by_role("link", name="Write").click()
    page.get_by_label("Prompt").fill("JULIET:")
    release()
    page.wait_for_selector("write-part option[value=linux]", state="attached")
    assert page.get_by_label("Prompt").input_value() == "JULIET:"


def test_a_description_that_is_begun_while_another_one_is_scored(open_page: Open) -> None:
    page = open_page()
    described(page, "A beagle")
    field = page.get_by_label("Your description")
    release = hold(page, "**/score")
    field.fill("a dog")
    page.get_by_role("button", name="Score").click()
    field.fill("a cat on")
    page.get_by_role("slider", name="Captions", exact=True).fill("2")  # loses neither
    page.wait_for_selector(".nbest:not(:has(li:nth-child(3)))")
    release()
    page.locator(".scored").wait_for()
    assert field.input_value() == "a cat on"
    page.get_by_role("button", name="Score").click()
    page.locator(".scored").nth(1).wait_for()
    assert field.input_value() == ""


def test_a_score_is_not_shown_beside_another_photograph(open_page: Open) -> None:
    page = open_page()
    described(page, "A beagle")
    release = hold(page, "**/score")
    page.get_by_label("Your description").fill("a dog")
    page.get_by_role("button", name="Score").click()
    page.locator(".again img[alt*=pizza i]").first.click()
    page.locator("figcaption", has_text="pizza.jpg").wait_for()
    page.wait_for_selector(".captions[aria-busy=false] .word")
    with page.expect_response("**/score"):
        release()
    page.wait_for_timeout(300)
    assert page.locator(".scored").count() == 0


def test_the_photograph_that_was_chosen_last(open_page: Open) -> None:
    page = open_page()
    page.wait_for_selector(".thumbnails")
    release = hold(page, "**/web/photographs/dog.jpg")
    page.click('describe-part img[alt^="A beagle"]')
    described(page, "A surfer")
    with page.expect_response("**/dog.jpg"):
        release()
    page.wait_for_timeout(300)
    assert page.locator("figcaption").inner_text() == "surfing.jpg"


def test_a_text_to_count_that_is_given_while_the_writer_writes_one(open_page: Open) -> None:
    page = open_page("write")
    page.wait_for_selector("write-part option[value=linux]", state="attached")
    page.get_by_label("Beside it").select_option("n-gram")
    release = hold(page, "**/generate-text")
    page.get_by_role("button", name="Let the writer write").click()
    content = {"name": "abc.txt", "mimeType": "text/plain", "buffer": b"abcde" * 19}
    page.set_input_files(".ngram input[type=file]", content)
    page.get_by_text("95").wait_for()
    release()
    page.wait_for_timeout(300)
    assert page.locator(".ngram b").inner_text() == "95"


def test_what_is_written_keeps_the_name_of_its_writer(open_page: Open) -> None:
    page = open_page("write")
    page.wait_for_selector("write-part option[value=linux]", state="attached")
    page.get_by_role("slider", name="Length").fill("50")
    assert page.locator(".written h2").inner_text() == "shakespeare"
    page.get_by_role("button", name="Write", exact=True).click()
    page.locator(".written .number", has_text="tokens in").wait_for()
    page.get_by_label("Writer").select_option("linux")
    page.wait_for_timeout(100)
    assert page.locator(".written h2").inner_text() == "shakespeare"
    page.get_by_role("button", name="Write", exact=True).click()
    page.locator(".written h2", has_text="linux").wait_for()


def test_a_second_writer_is_taken_away_while_it_writes(open_page: Open) -> None:
    page = open_page("write")
    page.wait_for_selector("write-part option[value=linux]", state="attached")
    page.get_by_role("slider", name="Length").fill("2000")
    page.get_by_label("Beside it").select_option("linux")
    page.get_by_role("button", name="Write", exact=True).click()
    page.locator(".written").nth(1).locator(".token").nth(5).wait_for()
    page.get_by_label("Beside it").select_option("")
    page.locator(".written .number", has_text="tokens in").wait_for()
    assert page.locator(".written").count() == 1
    assert page.locator(".error").count() == 0


def test_the_unit_that_was_chosen_last(open_page: Open) -> None:
    page = open_page("cells")
    page.locator(".ranked tbody tr").first.wait_for()
    page.get_by_label("Any unit").fill("301")
    release = hold(page, "**/activations")
    page.get_by_role("button", name="Show", exact=True).click()
    second = page.locator(".ranked button").nth(1)
    second.click()
    with page.expect_response("**/activations"):
        release()
    page.wait_for_timeout(300)
    assert page.locator(".cells h2").first.inner_text() == second.inner_text()


def test_what_could_not_be_described_is_described_once_the_service_is_ready(
    open_page: Open,
) -> None:
    page = open_page()
    page.expected = lambda text: "503" in text
    page.wait_for_selector(".thumbnails")
    loading = {"error": {"code": "not_ready", "message": "the models are still loading"}}

    def refuse(route: Any) -> None:
        route.fulfill(status=503, json=loading)

    page.route("**/health/ready", refuse)
    page.route("**/caption?*", refuse)
    page.get_by_text("is loading its models").wait_for()
    page.click('describe-part img[alt^="A beagle"]')
    page.get_by_role("alert").wait_for()
    page.unroute("**/caption?*")
    page.unroute("**/health/ready")
    page.wait_for_selector(".captions[aria-busy=false] .word")
    assert page.get_by_role("alert").count() == 0
