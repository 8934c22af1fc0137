import pytest

from common.errors import UserError
from reproductions.report.rows import TABLES, read_rows


@pytest.fixture
def read(tmp_path):
    def call(text):
        file = tmp_path / "duet.rows"
        file.write_text(text)
        return read_rows(file)

    return call


def test_row_is_read_with_its_flags_and_the_rows_before_it(read):
    rows = read("# comment\n\n first | one voice | duet.main --depth 3\nsecond | both | duet.two --hard | first\n")
    assert list(rows) == ["first", "second"]
    assert (rows["first"].module, rows["first"].flags, rows["first"].after) == ("duet.main", ("--depth", "3"), ())
    assert (rows["second"].shows, rows["second"].after) == ("both", ("first",))
    assert rows["second"].command == "python -m duet.two --hard --row second"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a | b\n", "line 1: found 'a | b', expected `name | what it shows | module flags"),
        ("a | b | \n", "line 1: found"),
        ("a | b | c | d | e\n", "line 1: found"),
        ("a | b | c\na | b | c\n", "line 2: row a stands twice"),
        ("a | b | c | z\n", "row a starts from z, which the file does not have"),
    ],
)
def test_wrong_line_is_named(read, text, message):
    with pytest.raises(UserError, match=r"duet\.rows: .*") as raised:
        read(text)
    assert message in str(raised.value)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.rows: cannot be read"):
        read_rows(tmp_path / "nowhere.rows")


@pytest.mark.parametrize("file", sorted(TABLES.glob("*.rows")), ids=lambda file: file.stem)
def test_rows_of_every_paper_are_whole_and_need_no_quotes(file):
    rows = read_rows(file)
    assert rows
    flags = " ".join(flag for row in rows.values() for flag in row.flags)
    assert not any(character in flags for character in "'\"$`\\*?~{}")
