import json
import shutil
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import layer_norm
from transformers import BertConfig, BertModel

from common.backbones.bert import BertTextEncoder, encode_texts, load_bert, weights_file
from common.errors import UserError
from common.standins.weights.bert_folder import LAYERS, NAME, WIDTH, word_pieces, write_bert

TEXTS = ["a good movie", "no", "i never liked the story of this film"]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_bert(folder)
    return folder / NAME


@pytest.fixture
def folder(published, tmp_path):
    return shutil.copytree(published, tmp_path / "bert")


@pytest.fixture(scope="module")
def loaded(published):
    return load_bert(published)


def tiny(finetune=False, dropout=0.1):
    config = BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=16,
        hidden_dropout_prob=dropout,
    )
    torch.manual_seed(0)
    return BertTextEncoder(BertModel(config), finetune)


def numbers(batch=2, length=7):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 40, (batch, length), generator=generator)
    return torch.stack([ids, torch.ones_like(ids), torch.zeros_like(ids)], dim=1)


def state(folder):
    return load_file(folder / "model.safetensors")


def save(entries, folder):
    save_file(entries, folder / "model.safetensors", metadata={"format": "pt"})


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_published_names_reach_the_model(published, loaded):
    tokenizer, model = loaded
    own, stored = model.state_dict(), state(published)
    assert len(own) == len(stored)
    assert not model.training
    assert (model.config.hidden_size, model.config.num_hidden_layers) == (WIDTH, LAYERS)
    for name, value in stored.items():
        name = name.removeprefix("bert.").replace("gamma", "weight").replace("beta", "bias")
        torch.testing.assert_close(own[name], value)
    assert tokenizer("a movie").input_ids[::3] == [101, 102]


def test_loading_opens_no_connection_and_leaves_the_global_generator_alone(published, monkeypatch):
    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_bert(published)
    assert torch.equal(torch.rand(1), expected)


def test_heads_and_position_ids_of_published_files_are_left_out(folder, loaded):
    save(state(folder) | {"cls.predictions.bias": torch.zeros(3)}, folder)
    _, model = load_bert(folder)
    save({"bert.embeddings.position_ids": torch.arange(512)[None], **state(folder)}, folder)
    _, again = load_bert(folder)
    for found in (model, again):
        assert all(torch.equal(found.state_dict()[name], value) for name, value in loaded[1].state_dict().items())


def test_folder_with_a_torch_file_and_bare_names_is_read_alike(folder, loaded):
    torch.save(loaded[1].state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert weights_file(folder).name == "pytorch_model.bin"
    _, model = load_bert(folder)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in loaded[1].state_dict().items())


def test_torch_file_cannot_run_anything(folder, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"bert.pooler.dense.bias": Trap()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"pytorch_model.bin: holds 'builtins.open'|pytorch_model.bin: holds '.*open'"):
        load_bert(folder)
    assert not (tmp_path / "sprung").exists()


def test_configuration_cannot_ask_for_code(folder, loaded):
    edit_config(folder, auto_map={"AutoModel": "evil.Model"}, attn_implementation="someone/kernels")
    _, model = load_bert(folder)
    assert type(model) is BertModel
    assert model.config._attn_implementation == loaded[1].config._attn_implementation


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("config.json", "no config.json; expected"),
        ("model.safetensors", "no model.safetensors or pytorch_model.bin; expected"),
    ],
)
def test_missing_file_is_named_with_source_and_stand_in(folder, gone, message):
    (folder / gone).unlink()
    with pytest.raises(UserError, match=message) as caught:
        load_bert(folder)
    assert str(folder) in str(caught.value)
    assert "google-bert/bert-base-uncased" in str(caught.value)
    assert "python -m common.standins weights FOLDER --only bert" in str(caught.value)


def test_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no config\.json"):
        load_bert(tmp_path / "nowhere")


def test_missing_entry_of_the_weights_is_named(folder):
    save({name: value for name, value in state(folder).items() if "pooler" not in name}, folder)
    with pytest.raises(UserError, match=r"model.safetensors: lacks 'pooler.dense.weight' and 1 more"):
        load_bert(folder)


def test_weights_of_another_size_are_refused(folder):
    edit_config(folder, intermediate_size=48)
    with pytest.raises(UserError, match=r"intermediate.dense.bias' is \(64,\), this network's \(48,\)"):
        load_bert(folder)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "config.json: cannot be read as JSON"),
        ("config.json", b"[1]", "config.json: describes a model of type 'list'; expected 'bert'"),
        ("config.json", b'{"model_type": "roberta"}', "config.json: describes a model of type 'roberta'"),
        ("config.json", b'{"hidden_size": "wide"}', "config.json: not a configuration of BERT"),
        ("model.safetensors", b"torn", "model.safetensors: damaged: not a safetensors file"),
        ("tokenizer.json", b"{", "its tokenizer .* cannot be read"),
    ],
)
def test_damaged_file_is_named_in_one_line(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_bert(folder)
    assert "\n" not in str(caught.value)


def test_folder_without_tokenizer_gives_none_and_texts_are_refused(folder):
    (folder / "vocab.txt").unlink()
    tokenizer, model = load_bert(folder)
    assert tokenizer is None
    with pytest.raises(UserError, match=r"no tokenizer; expected tokenizer.json or vocab.txt"):
        encode_texts(BertTextEncoder(model), tokenizer, TEXTS, 8)


def test_tokenizer_of_another_release_is_refused(folder):
    with open(folder / "vocab.txt", "a") as file:
        file.write("further\n")
    with pytest.raises(UserError, match=f"knows {len(word_pieces()) + 1} word pieces, the model {len(word_pieces())}"):
        load_bert(folder)


def test_keys_of_the_encoder_stand_below_model():
    encoder = tiny()
    assert list(encoder.state_dict()) == [f"model.{name}" for name in encoder.model.state_dict()]


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32, torch.float64])
def test_numbers_of_any_dtype_give_berts_last_hidden_states(dtype):
    encoder, text = tiny().eval(), numbers()
    text[0, 1, 4:] = 0
    text[1, 2, 3:] = 1
    with torch.no_grad():
        expected = encoder.model(
            input_ids=text[:, 0], attention_mask=text[:, 1], token_type_ids=text[:, 2]
        ).last_hidden_state
    torch.testing.assert_close(encoder(text.to(dtype)), expected)


def test_masked_steps_do_not_reach_the_others():
    encoder, text = tiny().eval(), numbers(1)
    text[0, 1, 4:] = 0
    other = text.clone()
    other[0, 0, 4:] = 7
    torch.testing.assert_close(encoder(text)[:, :4], encoder(other)[:, :4])
    assert not torch.allclose(encoder(text)[:, 4:], encoder(other)[:, 4:])


@pytest.mark.parametrize("finetune", [True, False])
def test_gradients_only_where_finetuned(finetune):
    encoder = tiny(finetune)
    assert encoder(numbers()).requires_grad is finetune
    if finetune:
        encoder(numbers()).sum().backward()
        assert encoder.model.embeddings.word_embeddings.weight.grad is not None


def test_finetuned_encoder_computes_no_gradients_under_no_grad():
    with torch.no_grad():
        assert not tiny(finetune=True)(numbers()).requires_grad


def test_dropout_follows_the_mode_though_frozen():
    encoder, text = tiny(dropout=0.5), numbers()
    assert not torch.equal(encoder.train()(text), encoder(text))
    assert torch.equal(encoder.eval()(text), encoder(text))


def test_features_of_texts_do_not_depend_on_their_neighbours(loaded):
    tokenizer, model = loaded
    encoder = BertTextEncoder(model)
    together = encode_texts(encoder, tokenizer, TEXTS, 12)
    assert together.shape == (3, 12, WIDTH)
    assert together.dtype == torch.float32
    for text, features in zip(TEXTS, together, strict=True):
        torch.testing.assert_close(encode_texts(encoder, tokenizer, [text], 12)[0], features)
    torch.testing.assert_close(encode_texts(encoder, tokenizer, TEXTS, 12, batch_size=2), together)


def test_features_end_in_zeros_and_are_berts_before(loaded):
    tokenizer, model = loaded
    features = encode_texts(BertTextEncoder(model), tokenizer, TEXTS, 12)
    assert [int((text != 0).any(dim=-1).sum()) for text in features] == [5, 3, 10]
    with torch.no_grad():
        expected = model(**tokenizer(TEXTS[0], return_tensors="pt")).last_hidden_state
    torch.testing.assert_close(features[:1, :5], expected)
    assert not features[0, 5:].any()


def test_long_texts_are_cut_with_their_end_mark_kept(loaded):
    tokenizer, model = loaded
    cut = encode_texts(BertTextEncoder(model), tokenizer, TEXTS[2:], 6)
    torch.testing.assert_close(cut, encode_texts(BertTextEncoder(model), tokenizer, ["i never liked the"], 6))
    torch.testing.assert_close(cut, layer_norm(cut, (WIDTH,)), atol=1e-3, rtol=1e-3)


def test_encoding_leaves_no_dropout_in_features_and_the_mode_as_it_was(loaded):
    tokenizer, model = loaded
    encoder = BertTextEncoder(model, finetune=True).train()
    features = encode_texts(encoder, tokenizer, TEXTS, 12)
    assert all(module.training for module in encoder.modules())
    assert not features.requires_grad
    encoder.model.eval()
    torch.testing.assert_close(features, encode_texts(encoder, tokenizer, TEXTS, 12))
    assert encoder.training
    assert not model.training


def test_no_texts_give_no_features(loaded):
    tokenizer, model = loaded
    assert encode_texts(BertTextEncoder(model), tokenizer, [], 5).shape == (0, 5, WIDTH)


@pytest.mark.parametrize("length", [1, 513])
def test_length_that_positions_do_not_reach_is_refused(loaded, length):
    tokenizer, model = loaded
    with pytest.raises(UserError, match=f"length {length}: expected 2 to 512"):
        encode_texts(BertTextEncoder(model), tokenizer, TEXTS, length)


def test_stand_in_reads_every_ascii_text_without_unknown_pieces(loaded):
    tokenizer, _ = loaded
    ascii_text = "".join(map(chr, range(32, 127))) + " The movie wasn't GREAT: unbelievable #2 $T$"
    ids = tokenizer(ascii_text).input_ids
    assert tokenizer.unk_token_id == 100
    assert 100 not in ids
    assert tokenizer.tokenize("The Movie") == ["the", "movie"]
    assert [tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.mask_token_id] == [
        *(0, 101, 102, 103)
    ]
