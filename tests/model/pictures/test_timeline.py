"""Which frames are shown at moments that are spread over a clip."""

import pytest

from model.pictures.errors import CostlyPicture, UnreadablePicture
from model.pictures.timeline import Timeline, read_gif, shown_for
from tests.app.clips import animated, cut


@pytest.mark.parametrize(
    ("durations", "count", "expected"),
    [
        ([1, 1, 1, 1], 1, [(0, 1)]),
        ([1, 1, 1, 1], 2, [(1, 1), (3, 1)]),
        ([1, 1, 1, 1], 4, [(0, 1), (1, 1), (2, 1), (3, 1)]),
        ([1, 1, 1, 1], 8, [(0, 2), (1, 2), (2, 2), (3, 2)]),
        ([9, 1], 10, [(0, 9), (1, 1)]),
        ([0.1, 9.8, 0.1], 3, [(1, 3)]),
        ([5], 7, [(0, 1)]),
    ],
)
def test_moments_are_the_middles_of_equal_parts(durations, count, expected):
    assert Timeline(durations).choose(count) == expected


def test_frames_begin_when_those_before_them_end():
    timeline = Timeline([0.1, 0.2, 0.3])
    assert timeline.starts == [0, 0.1, 0.3]
    assert timeline.duration == 0.6


def test_hasty_frames_are_shown_as_browsers_show_them():
    assert [shown_for(seconds) for seconds in (0, 0.01, 0.02, 3)] == [0.1, 0.1, 0.02, 3]


def test_a_gif_of_countless_tiny_blocks_is_refused():
    data = animated(cut(length=2), "GIF")
    comment = b"!\xfe" + b"\1x" * 400_000 + b"\0"
    with pytest.raises(CostlyPicture, match="tiny blocks"):
        read_gif(data[:-1] + comment + b";")
    with pytest.raises(UnreadablePicture, match="cut short"):
        read_gif(data[:-1] + comment[:-1])
