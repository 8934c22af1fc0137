"""The fusions against their formulas, MMDL, and MulT."""

import itertools

import pytest
import torch

from dynmm.modality.affect.mult import MulT
from dynmm.modality.networks.blocks import MLP, Identity
from dynmm.modality.networks.fusion import MMDL, Concat, ConcatEarly, LowRankTensorFusion, MultiplicativeInteraction


def test_concat_flattens_and_early_concat_keeps_time():
    parts = [torch.randn(2, 3, 4), torch.randn(2, 3, 5)]
    assert torch.equal(Concat()(parts), torch.cat([parts[0].flatten(1), parts[1].flatten(1)], 1))
    assert torch.equal(ConcatEarly()(parts), torch.cat(parts, 2))


def test_low_rank_fusion_is_a_tensor_product_with_constants():
    fusion = LowRankTensorFusion([2, 3, 1], 4, rank=5)
    parts = [torch.randn(6, dim) for dim in (2, 3, 1)]
    full = torch.einsum("r,raO,rbO,rcO->abcO", fusion.fusion_weights[0], fusion.factor0, fusion.factor1, fusion.factor2)
    ones = [torch.cat([torch.ones(6, 1), part], 1) for part in parts]
    expected = torch.einsum("Ba,Bb,Bc,abcO->BO", *ones, full) + fusion.fusion_bias
    torch.testing.assert_close(fusion(parts), expected, rtol=1e-4, atol=1e-5)


def test_low_rank_fusion_learns_by_default_and_stays_outside_the_state_as_published():
    trained, official = (LowRankTensorFusion([2, 3], 4, 5, trained=flag) for flag in (True, False))
    names = ["factor0", "factor1", "fusion_weights", "fusion_bias"]
    assert [name for name, _ in trained.named_parameters()] == names
    assert list(trained.state_dict()) == names
    assert list(official.parameters()) == []
    assert list(official.state_dict()) == []
    assert [name for name, _ in official.named_buffers()] == names
    parts = [torch.randn(3, 2, requires_grad=True), torch.randn(3, 3)]
    official(parts).sum().backward()
    assert parts[0].grad.abs().sum() > 0


def test_multiplicative_interaction_against_its_sums():
    fusion = MultiplicativeInteraction([3, 2], 4)
    x, y = torch.randn(5, 3), torch.randn(5, 2)
    expected = torch.einsum("bn,bm,nmo->bo", x, y, fusion.W) + x @ fusion.U + y @ fusion.V + fusion.b
    torch.testing.assert_close(fusion([x, y]), expected)
    assert list(fusion.state_dict()) == ["W", "U", "V", "b"]


def test_mmdl_encodes_fuses_and_heads_in_order():
    network = MMDL([MLP(2, 4, 3), Identity()], Concat(), MLP(5, 4, 1))
    inputs = [torch.randn(6, 2), torch.randn(6, 2)]
    encoded = network.encode(inputs)
    assert encoded[1] is inputs[1]
    torch.testing.assert_close(network(inputs), network.head(torch.cat(encoded, 1)))
    assert next(iter(network.state_dict())) == "encoders.0.fc.weight"


def small_mult(padding):
    torch.manual_seed(0)
    return MulT((3, 4, 5), width=10, padding=padding).eval()


def clips(steps):
    return [torch.randn(2, steps, width) for width in (3, 4, 5)]


def test_masked_mult_does_not_depend_on_the_padding_behind_a_clip():
    network, whole = small_mult("masked"), clips(6)
    lengths = torch.tensor([4, 6])
    padded = [x.masked_fill((torch.arange(6) >= lengths[:, None])[:, :, None], 0.0) for x in whole]
    with torch.no_grad():
        together = network(padded, lengths)
        apart = network([x[:1, :4] for x in padded], lengths[:1])
        torch.testing.assert_close(together[:1], apart, rtol=1e-4, atol=1e-6)
        official = small_mult("official")(padded, lengths)
        assert (official[0] - together[0]).abs().max() > 1e-4
        torch.testing.assert_close(official[1], together[1])


def test_mult_attends_from_every_modality_to_every_modality():
    network, inputs = small_mult("official"), clips(4)
    for x in inputs:
        x.requires_grad_()
    network(inputs).sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in inputs)
    for query, key in itertools.product(range(3), repeat=2):
        gradient = network.trans[query][key].layers[0].self_attn.in_proj_weight.grad
        assert gradient.abs().sum() > 0, (query, key)


def test_mult_dropout_rates_are_the_published_ones():
    network = MulT((3, 4, 5), width=10)
    by_key = [[encoder.layers[0].self_attn.dropout for encoder in row] for row in network.trans]
    assert by_key == [[0.0, 0.0, 0.1]] * 3
    assert [memory.layers[0].self_attn.dropout for memory in network.trans_mems] == [0.1] * 3
    assert {memory.embed_dropout for memory in network.trans_mems} == {0.2}
    assert [len(network.trans[0][0].layers), len(network.trans_mems[0].layers)] == [4, 4]
    assert (network.trans[0][0].layers[0].relu_dropout, network.trans[0][0].layers[0].res_dropout) == (0.1, 0.1)


def test_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="maskd"):
        MulT((3, 4), padding="maskd")
