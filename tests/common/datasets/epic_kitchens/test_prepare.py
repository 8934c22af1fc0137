"""The door to preparations gives what the older commands give."""

import pytest

from common.datasets.epic_kitchens.prepare import COLUMNS
from common.datasets.epic_kitchens.reader import read_segments
from common.datasets.epic_kitchens.subset import KITCHENS, PUBLISHED, VERBS
from common.datasets.kitchens.plan import LOOKS
from common.errors import UserError
from common.prepare.__main__ import main
from xnorm import flags, make_csv

HEADER = "narration_id,participant_id,video_id,start_frame,stop_frame,verb,verb_class"
ROWS = ["P01_01_0,P01,P01_01,1,40,take,0", "P01_01_1,P01,P01_01,50,90,put,1", "P08_03_0,P08,P08_03,1,90,cut,7"]


@pytest.fixture
def annotations(tmp_path):
    paths = [tmp_path / "EPIC_100_train.csv", tmp_path / "EPIC_100_validation.csv"]
    for path in paths:
        path.write_text("\n".join([HEADER, *ROWS]) + "\n")
    return [str(path) for path in paths]


def test_both_commands_write_and_print_the_same(annotations, tmp_path, capsys):
    main(["epic_kitchens", *annotations, str(tmp_path / "a"), "--allow-different"])
    new = capsys.readouterr().out
    make_csv.main([*annotations, str(tmp_path / "b"), "--allow-different"])
    assert capsys.readouterr().out.replace(f"{tmp_path}/b", f"{tmp_path}/a") == new
    for split in ("train", "val", "test"):
        assert (tmp_path / f"a/{split}.csv").read_bytes() == (tmp_path / f"b/{split}.csv").read_bytes()
    assert [segment.verb for segment in read_segments(tmp_path / "a/test.csv", len(VERBS))] == [0, 1, 7]


def test_files_that_are_not_the_published_ones_are_refused(annotations, tmp_path):
    with pytest.raises(UserError, match="written, but not the published split"):
        main(["epic_kitchens", *annotations, str(tmp_path / "a")])


def test_verbs_are_the_same_wherever_they_stand():
    assert VERBS == flags.VERBS == tuple(LOOKS)
    assert all((len(file.kitchens), len(file.verbs)) == (len(KITCHENS), len(VERBS)) for file in PUBLISHED.values())


def test_label_is_the_column_that_the_caller_names(tmp_path):
    (tmp_path / "a.csv").write_text(",".join([*COLUMNS[:-1], "noun"]) + "\nP01_01_0,P01,P01_01,1,40,9\n")
    assert read_segments(tmp_path / "a.csv", 10, label="noun")[0].verb == 9
    with pytest.raises(UserError, match=r"a.csv:2: noun 9; expected 0..8 \(9 classes\)"):
        read_segments(tmp_path / "a.csv", 9, label="noun")
    with pytest.raises(UserError, match=r"expected '.*,verb'"):
        read_segments(tmp_path / "a.csv", 10)
