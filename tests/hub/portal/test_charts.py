"""Pictures that say their numbers in words, and answers that are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hub.portal import charts

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW = START + timedelta(days=30)


def test_a_picture_says_its_numbers_in_words_and_escapes_every_name() -> None:
    drawn = [
        charts.histogram("marks", "Marks <b>", [0, 2] + [0] * 8),
        charts.bars("bars", "Bars", [charts.Bar("<script>alert(1)</script>", 0.5, "50 %")]),
        charts.over_time("time", "Time", [charts.Point(START, 5, "5"), charts.Point(NOW, 9.5, "9,5")]),
    ]

    assert '<desc id="marks-desc">10 to 20 %: 2</desc>' in drawn[0]
    assert "2026-03-02: 5; 2026-04-01: 9,5" in drawn[2]
    for each in drawn:
        assert 'role="img"' in each
        assert "<title" in each
        assert "<script" not in each
        assert "<b>" not in each
        assert "style=" not in each


def test_a_picture_of_one_moment_or_of_no_points_is_drawn_too() -> None:
    assert "<circle" in charts.over_time("one", "One", [charts.Point(START, 0, "0")])
    assert "Nothing." in charts.over_time("none", "None", [])
    assert "Nobody." in charts.histogram("none", "None", [0] * 10)
    assert "Nothing." in charts.bars("none", "None", [])
