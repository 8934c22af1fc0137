"""MulT: the short cut of its readout is exact, what decides each readout, and where it drops out."""

import pytest
import torch
import torch.nn.functional as F

from common.backbones.mult_transformer import TransformerEncoderLayer
from xnorm.methods.mult import LAYERS, Mult, MultHead

D = 10


@pytest.fixture
def maps():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3, D, 2, 3, 2, generator=generator).requires_grad_() for _ in range(2)]


def build(readout="official", seed=0):
    torch.manual_seed(seed)
    return MultHead(num_classes=5, d_1=D, d_2=D, readout=readout).eval()


def full_computation(head, x_1, x_2, position):
    """Every position of every sequence, then one of them."""
    z_1, z_2 = head.project(x_1.flatten(2), x_2.flatten(2))
    h_1 = head.trans_1_mem(head.trans_1_with_2(z_1, z_2, z_2))
    h_2 = head.trans_2_mem(head.trans_2_with_1(z_2, z_1, z_1))
    v = torch.cat([h_1[position], h_2[position]], dim=1)
    return head.out_layer(v + head.proj2(F.relu(head.proj1(v))))


@pytest.mark.parametrize(("readout", "position"), [("official", 0), ("last", -1)])
def test_logits_are_those_of_the_full_computation(readout, position, maps):
    head = build(readout)
    torch.testing.assert_close(head(*maps), full_computation(head, *maps, position))


def test_gradients_are_those_of_the_full_computation(maps):
    head, found = build(), []
    for compute in (lambda: head(*maps), lambda: full_computation(head, *maps, 0)):
        head.zero_grad()
        inputs = torch.autograd.grad(compute().square().sum(), [*maps, *head.parameters()])
        found.append(inputs)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def reach(head, maps):
    """Positions of each map that the logits depend on, (2, S)."""
    gradients = torch.autograd.grad(head(*maps).sum(), maps)
    return [(gradient != 0).flatten(2).any(dim=(0, 1)) for gradient in gradients]


def test_official_readout_depends_on_one_corner_alone(maps):
    for positions in reach(build(), maps):
        assert positions.tolist() == [True] + [False] * 11


def test_last_readout_depends_on_all_positions(maps):
    assert all(positions.all() for positions in reach(build("last"), maps))
    assert not torch.allclose(build("last")(*maps), build()(*maps))


def test_one_position_leaves_queries_and_keys_without_any_gradient(maps):
    head = build()
    head(*maps).sum().backward()
    for name, parameter in head.named_parameters():
        if name.endswith("in_proj_weight"):
            queries, keys, values = parameter.grad.chunk(3)
            assert not queries.any()
            assert not keys.any()
            assert values.any()
        else:
            assert parameter.grad.any() or name.endswith("bias")


def test_fixed_sizes_are_the_published_ones():
    head = build()
    encoders = (head.trans_1_with_2, head.trans_2_with_1, head.trans_1_mem, head.trans_2_mem)
    for encoder in encoders:
        layer = encoder.layers[0]
        assert isinstance(layer, TransformerEncoderLayer)
        assert (len(encoder.layers), layer.self_attn.num_heads, layer.fc1.out_features) == (LAYERS, 5, 120)
        rates = (layer.self_attn.dropout, layer.relu_dropout, layer.res_dropout, encoder.embed_dropout)
        assert (*rates, layer.attn_mask) == (0.1, 0.1, 0.1, 0.25, True)
        assert encoder.embed_positions is not None


def test_entries_have_the_published_names():
    names = list(build().state_dict())
    assert len(names) == 264
    assert names[:5] == [
        *("proj_1.weight", "proj_2.weight", "trans_1_with_2.version"),
        *("trans_1_with_2.embed_positions._float_tensor", "trans_1_with_2.layers.0.self_attn.in_proj_weight"),
    ]
    assert names[-2:] == ["out_layer.weight", "out_layer.bias"]


def test_keys_and_values_are_dropped_out_each_on_their_own():
    encoder = build().trans_1_with_2.train()
    seen = []
    encoder.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs))
    z = torch.ones(4, 2, 30)
    encoder(z, z, z)
    _, keys, values = seen[0]
    assert not torch.equal(keys == 0, values == 0)
    assert 0.1 < (keys == 0).float().mean() < 0.4
    encoder.eval()(z, z, z)
    assert torch.equal(*seen[1][1:])


def test_head_drops_nothing_behind_the_transformers(maps):
    head = build().train()
    for encoder in (head.trans_1_with_2, head.trans_2_with_1, head.trans_1_mem, head.trans_2_mem):
        encoder.eval()
    assert torch.equal(head(*maps), head(*maps))
    head.train()
    assert not torch.equal(head(*maps), head(*maps))


def test_features_are_the_last_maps_of_frozen_encoders():
    torch.manual_seed(0)
    model = Mult(num_classes=5, d_1=64, d_2=64, narrow=16).eval()
    clips = [torch.rand(2, channels, 9, 32, 32) for channels in (3, 2)]
    expected = MultHead.forward(model, model.rgb_enc.run(clips[0]), model.flow_enc.run(clips[1]))
    torch.testing.assert_close(model(*clips), expected)
    model(*clips).sum().backward()
    assert all(parameter.grad is None for parameter in model.rgb_enc.parameters())


def test_unknown_readout_is_refused():
    with pytest.raises(ValueError, match="readout 'mean': expected one of official, last"):
        build("mean")
