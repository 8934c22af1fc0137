"""`--use_bert`: BERT's states in the place of the file's word vectors."""

import shutil

import numpy as np
import pytest
import torch

from common.backbones.bert import load_bert
from common.errors import UserError
from common.pickles import load_arrays_pickle, save_arrays_pickle
from common.standins.marker import MARKER
from common.standins.weights.bert_folder import NAME, WIDTH, write_bert
from tests.support.run_folders import facts
from tests.support.ucrn_runs import command, log_lines
from ucrn.data import open_splits
from ucrn.main import main
from ucrn.text_features import bert_features

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_bert(folder)
    return folder / NAME


def with_arrays(folder, **extra):
    """The data's file holds these further arrays in every split, cut to its clips, and no raw_text."""
    path = folder / "mosei_senti_data_noalign.pkl"
    content = load_arrays_pickle(path)
    for split in content.values():
        split.pop("raw_text", None)
        split |= {name: value[: len(split["labels"])] for name, value in extra.items()}
    save_arrays_pickle(content, path)


def features(data, bert, length=50, said_to_be_published=False):
    return bert_features(bert, length, open_splits(data, "mosei_senti", aligned=False), CPU, said_to_be_published)


def states(bert, ids, mask):
    """Last hidden states by the library's own model."""
    _, model = load_bert(bert)
    with torch.inference_mode():
        return model.eval()(torch.tensor(ids), attention_mask=torch.tensor(mask)).last_hidden_state.numpy()


def test_given_tokens_are_encoded(own_data, bert):
    ids = np.random.default_rng(0).integers(104, 150, (24, 7))
    mask = (np.arange(7) < 1 + np.arange(24)[:, None] % 7).astype(np.int64)
    with_arrays(own_data, text_bert=np.stack([ids, mask, np.zeros_like(ids)], axis=1).astype(np.float32))
    found, told = features(own_data, bert)
    assert {name: x.shape for name, x in found.items()} == {
        "train": (24, 7, WIDTH),
        "valid": (12, 7, WIDTH),
        "test": (24, 7, WIDTH),
    }
    np.testing.assert_allclose(found["test"], states(bert, ids, mask), rtol=1e-4, atol=1e-5)
    assert told["standin"] is True
    assert told["published"] is False


def test_raw_text_is_tokenized_to_the_length_asked_for(own_data, bert):
    sentence = "a good movie"
    with_arrays(own_data, raw_text=np.array([sentence, "bad"] * 12))
    found, _ = features(own_data, bert, length=6)
    tokenizer, _ = load_bert(bert)
    ids = tokenizer(sentence)["input_ids"]
    assert found["train"].shape == (24, 6, WIDTH)
    expected = states(bert, [ids], [[1] * len(ids)])[0]
    np.testing.assert_allclose(found["train"][0, : len(ids)], expected, rtol=1e-4, atol=1e-5)
    assert not np.allclose(found["train"][0], found["train"][1])


@pytest.mark.parametrize("said", [False, True])
def test_bert_is_published_by_the_users_word_and_a_stand_in_never(own_data, bert, tmp_path, said):
    with_arrays(own_data, raw_text=np.array(["a good movie", "bad"] * 12))
    elsewhere = shutil.copytree(bert, tmp_path / "bert")
    (elsewhere / MARKER).unlink(missing_ok=True)
    for folder, expected in ((bert, (False, None)), (elsewhere, (True, "user") if said else (False, None))):
        _, told = features(own_data, folder, said_to_be_published=said)
        assert (told["published"], told["published_by"]) == expected


def test_file_without_text_is_named(own_data, bert):
    with_arrays(own_data)
    with pytest.raises(UserError, match=r"mosei_senti_data_noalign\.pkl: train: --use_bert needs text_bert") as caught:
        features(own_data, bert)
    assert "\n" not in str(caught.value)


def test_command_trains_on_the_states(own_data, bert, tmp_path, no_pictures):
    with_arrays(own_data, raw_text=np.array(["a good movie", "bad"] * 12))
    flags = ("--use_bert", "--bert", str(bert), "--bert_length", "6", "--num_epochs", "1")
    main(command(own_data, tmp_path / "run", *flags))
    assert f"unaligned: l 6 x {WIDTH}, a 9 x 74, v 8 x 35; in use: l a v" in log_lines(tmp_path / "run")
    assert facts(tmp_path / "run")["weights"]["file"].endswith("model.safetensors")
