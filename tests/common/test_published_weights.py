"""Whether weights are the published ones: known by their hash, else by the user's word, a stand-in never."""

import pytest

from common import published_weights
from common.hashing import sha256_of
from common.published_weights import checkpoint_facts, known_name, weights_facts


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"some weights")
    return path


@pytest.fixture
def other(tmp_path):
    path = tmp_path / "other.pth"
    path.write_bytes(b"other weights")
    return path


def make_known(monkeypatch, *files):
    known = {sha256_of(path)[:8]: f"{path.stem} of the authors" for path in files}
    monkeypatch.setattr(published_weights, "KNOWN", known)


def told(facts):
    return facts["published"], facts["published_by"]


def test_hash_tells_the_name_of_a_published_file(file, monkeypatch):
    assert known_name(sha256_of(file)) is None
    make_known(monkeypatch, file)
    assert known_name(sha256_of(file)) == "weights of the authors"


def test_known_hashes_begin_as_torchvisions_file_names_say():
    assert known_name("19c8e357" + "0" * 56) == "ResNet-50 of ImageNet (torchvision)"
    assert all(len(digits) == 8 for digits in published_weights.KNOWN)


@pytest.mark.parametrize("said", [False, True])
def test_unknown_hash_is_published_where_the_user_says_so(file, said):
    facts = weights_facts([file], said_to_be_published=said, standin=False)
    assert told(facts) == ((True, "user") if said else (False, None))
    assert facts["sha256"] == sha256_of(file)
    assert facts["standin"] is False


@pytest.mark.parametrize("said", [False, True])
def test_known_hash_needs_nobodys_word(file, monkeypatch, said):
    make_known(monkeypatch, file)
    assert told(weights_facts([file], said_to_be_published=said, standin=False)) == (True, "hash")


@pytest.mark.parametrize("said", [False, True])
@pytest.mark.parametrize("known", [False, True])
def test_stand_in_is_never_published(file, monkeypatch, said, known):
    if known:
        make_known(monkeypatch, file)
    facts = weights_facts([file], said_to_be_published=said, standin=True)
    assert told(facts) == (False, None)
    assert facts["standin"] is True


@pytest.mark.parametrize(("said", "expected"), [(False, (False, None)), (True, (True, "user"))])
def test_one_unknown_file_among_known_ones_is_not_known_by_hash(file, other, monkeypatch, said, expected):
    make_known(monkeypatch, file)
    facts = weights_facts([file, other], said_to_be_published=said, standin=False)
    assert told(facts) == expected
    assert facts["sha256"] == f"{sha256_of(file)}, {sha256_of(other)}"


def test_file_is_named_relative_to_the_working_folder(file, other, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert weights_facts([file, other], False, False)["file"] == "weights.pth, other.pth"


@pytest.mark.parametrize("said", [False, True])
def test_checkpoint_of_ours_is_not_published_whatever_the_user_says(file, said):
    facts = checkpoint_facts(file, ours=True, said_to_be_published=said)
    assert told(facts) == (False, None)
    assert facts["ours"] is True


@pytest.mark.parametrize(("said", "expected"), [(False, (False, None)), (True, (True, "user"))])
def test_checkpoint_of_others_is_published_where_the_user_says_so(file, said, expected):
    facts = checkpoint_facts(file, ours=False, said_to_be_published=said)
    assert told(facts) == expected
    assert facts["ours"] is False


def test_no_file_is_not_a_published_one():
    assert told(weights_facts([], said_to_be_published=False, standin=False)) == (False, None)
