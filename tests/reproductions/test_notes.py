from reproductions.report.blocks import Table, Text
from reproductions.report.notes import short

HEADER = ("row", "data", "margin", "ours", "verdict")
WHY = "another paper's method; no command here"


def table(*verdicts, margin="0.5"):
    return Table(HEADER, tuple((f"row {i}", "toy", margin, "–", verdict) for i, verdict in enumerate(verdicts)))


def test_what_every_line_says_stands_once_above_and_an_empty_column_is_left_out():
    above, shown = short(table("MATCH", "LOWER", "MATCH"))
    assert above == Text("In every line: margin 0.5.")
    assert shown == Table(
        ("row", "data", "verdict"), tuple((f"row {i}", "toy", v) for i, v in enumerate(("MATCH", "LOWER", "MATCH")))
    )


def test_columns_to_keep_stay_whatever_they_hold():
    _, shown = short(table("MATCH", "LOWER", "MATCH"), keep=("ours",))
    assert shown.header == ("row", "data", "ours", "verdict")


def test_repeated_sentence_becomes_a_mark_and_stands_once_below():
    _, shown, below = short(table(f"NOT RUN ({WHY})", f"NOT RUN ({WHY})", "NOT RUN (no run found)"))
    assert [row[-1] for row in shown.rows] == ["NOT RUN [a]", "NOT RUN [a]", "NOT RUN (no run found)"]
    assert below == Text(f"[a] {WHY}.")


def test_reason_behind_a_colon_is_marked_too_and_single_sentences_stay():
    reason = "19 golden cases of 12 components pass"
    verdicts = (f"COMPONENT PARITY ONLY: {reason}", f"COMPONENT PARITY ONLY: {reason}", f"NOT RUN ({WHY})")
    _, shown, below = short(table(*verdicts))
    assert [row[-1] for row in shown.rows] == ["COMPONENT PARITY ONLY [a]"] * 2 + [f"NOT RUN ({WHY})"]
    assert below == Text(f"[a] {reason}.")


def test_verdict_of_every_line_keeps_its_reason():
    above, _ = short(table(*[f"NOT RUN: {WHY}"] * 3))
    assert above == Text(f"In every line: margin 0.5; verdict NOT RUN ({WHY}).")


def test_two_lines_keep_their_columns_and_names_are_never_marks():
    given = Table(("row", "data"), (("a row with quite a long name", "toy"),) * 2)
    assert short(given) == [given]
    assert short(table("MATCH", "MATCH"))[0].header == ("row", "data", "margin", "verdict")
