"""Who wrote a saved model, and what may be said of it."""

import pytest
import torch

from tests.support.ucrn_runs import small_model
from ucrn.checkpoints import MADE_BY, load_model

OURS = {"made_by": MADE_BY}


@pytest.mark.parametrize(
    ("made_by", "said", "by"),
    [({}, False, None), ({}, True, "user"), ({"made_by": "somebody else"}, True, "user"), (OURS, True, None)],
)
def test_saved_model_is_ours_only_where_it_says_so_and_published_only_by_the_users_word(tmp_path, made_by, said, by):
    saved, path = small_model(seed=1), tmp_path / "saved.pt"
    torch.save({"model": saved.state_dict(), "ours": {"epoch": 3}, **made_by}, path)
    content, facts = load_model(small_model(seed=2), path, said)
    assert (facts["published"], facts["published_by"], facts["ours"]) == (by is not None, by, made_by == OURS)
    assert content.get("ours") == ({"epoch": 3} if made_by == OURS else None)  # what training goes on from
