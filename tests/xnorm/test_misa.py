"""MISA: the parts of each modality, the frozen encoders beneath, and where it drops out."""

import warnings

import pytest
import torch
from torch import nn

from xnorm.methods.misa import Misa, MisaHead

D, HIDDEN = 6, 8


@pytest.fixture
def head():
    torch.manual_seed(0)
    return MisaHead(num_classes=5, hidden=HIDDEN, dropout=0.4, d_1=D, d_2=D).eval()


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, D, 2, 3, 2, generator=generator) for _ in range(2)]


@pytest.fixture
def misa():
    torch.manual_seed(0)
    return Misa(num_classes=5, hidden=HIDDEN, d_1=64, d_2=64, narrow=16)


def clips(frames=9, side=32):
    generator = torch.Generator().manual_seed(2)
    return [2 * torch.rand(2, channels, frames, side, side, generator=generator) - 1 for channels in (3, 2)]


def test_entries_have_the_published_names_and_shapes():
    with torch.device("meta"):
        state = MisaHead().state_dict()
    assert state["rnn_11.weight_ih_l0"].shape == (4096, 1024)
    assert state["rnn_12.weight_ih_l0_reverse"].shape == (4096, 2048)
    assert state["project_1.0.weight"].shape == (128, 4096)
    assert state["project_2.2.bias"].shape == (128,)
    assert state["fusion.0.weight"].shape == (256, 512)
    assert state["fusion.3.weight"].shape == (8, 256)
    assert len(state) == 70


def test_parts_are_made_as_described(head, maps):
    output = head(*maps)
    for index, recon in enumerate((head.recon_1, head.recon_2)):
        private, shared = output.private[index], output.shared[index]
        torch.testing.assert_close(output.recon[index], recon(private + shared))
        assert 0 < private.min() <= private.max() < 1
        torch.testing.assert_close(output.orig[index].mean(dim=1), torch.zeros(3), atol=1e-5, rtol=0)  # a LayerNorm
        torch.testing.assert_close(shared, head.shared(output.orig[index]))
    torch.testing.assert_close(output.private[1], head.private_2(output.orig[1]))


def test_tokens_are_fused_in_the_order_private_then_shared(head, maps):
    output = head(*maps)
    tokens = torch.stack([output.private[0], output.private[1], output.shared[0], output.shared[1]])
    fused = torch.cat(list(head.transformer_encoder(tokens)), dim=1)
    torch.testing.assert_close(output.logits, head.fusion(fused))


def test_projection_reads_first_and_second_layer_forwards_then_backwards(head, maps):
    steps = maps[0].flatten(2).permute(2, 0, 1)
    h, (a, _) = head.rnn_11(steps)
    _, (b, _) = head.rnn_12(head.layer_norm_1(h))
    states = torch.cat([a[0], b[0], a[1], b[1]], dim=1)
    torch.testing.assert_close(head(*maps).orig[0], head.project_1(states))
    torch.testing.assert_close(a[0], h[-1, :, :D])


def test_positions_are_read_in_the_order_of_time_height_width(head):
    x = torch.arange(8.0).reshape(1, 1, 2, 2, 2).expand(1, D, 2, 2, 2)
    seen = []
    head.rnn_11.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    head(x, x)
    assert seen[0][:, 0, 0].tolist() == list(range(8))


def test_modalities_reach_only_their_own_parts(head, maps):
    output, changed = head(*maps), head(maps[0] + 1, maps[1])
    for part in ("orig", "private", "shared", "recon"):
        assert not torch.allclose(getattr(output, part)[0], getattr(changed, part)[0])
        assert torch.equal(getattr(output, part)[1], getattr(changed, part)[1])


def test_dropout_stands_in_the_fusion_and_the_transformer_layer_alone(head, maps):
    assert [(name, m.p) for name, m in head.named_modules() if isinstance(m, nn.Dropout) and m.p] == [
        ("fusion.1", 0.4),
        *((f"transformer_encoder.layers.0.{name}", 0.1) for name in ("dropout", "dropout1", "dropout2")),
    ]
    assert head.transformer_encoder.layers[0].self_attn.dropout == 0.1
    head.train()
    one, other = head(*maps), head(*maps)
    assert torch.equal(one.recon[0], other.recon[0])
    assert not torch.equal(one.logits, other.logits)


def test_building_and_running_warns_of_nothing(maps):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MisaHead(num_classes=5, hidden=HIDDEN, d_1=D, d_2=D).eval()(*maps)


def test_encoders_are_frozen_with_their_own_heads(misa):
    encoders = [*misa.rgb_enc.parameters(), *misa.flow_enc.parameters()]
    assert not any(parameter.requires_grad for parameter in encoders)
    assert misa.rgb_enc.logits.conv3d.weight.shape[0] == 400
    misa(*clips()).logits.sum().backward()
    assert all(parameter.grad is None for parameter in encoders)
    trained = [name for name, parameter in misa.named_parameters() if parameter.grad is not None]
    assert "rnn_11.weight_ih_l0" in trained


def test_features_are_the_last_maps(misa):
    misa.eval()
    expected = MisaHead.forward(misa, misa.rgb_enc.run(clips()[0]), misa.flow_enc.run(clips()[1]))
    torch.testing.assert_close(misa(*clips()).logits, expected.logits)


def test_frozen_norms_follow_the_training_batches_unless_told_otherwise():
    for frozen_bn, follows in (("official", True), ("eval", False)):
        torch.manual_seed(0)
        model = Misa(num_classes=5, hidden=HIDDEN, d_1=64, d_2=64, narrow=16, frozen_bn=frozen_bn).train()
        norm = model.rgb_enc.Conv3d_1a_7x7.bn
        before = norm.running_mean.clone()
        model(*clips())
        assert (not torch.equal(norm.running_mean, before)) is follows
        assert norm.training is follows
        assert model.fusion.training
        model.eval().train()
        assert norm.training is follows


def test_unknown_choice_is_refused():
    with pytest.raises(ValueError, match="frozen_bn 'never': expected one of official, eval"):
        Misa(d_1=64, d_2=64, narrow=16, frozen_bn="never")
