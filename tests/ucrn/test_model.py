"""UCRN's network: sizes of the published one, where it drops out, and what each part does and leaves alone."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from tests.support.ucrn_runs import LENGTHS, WIDTHS, inputs_of, random_clips, small_model
from ucrn.model import UCRN

MOSI, MOSEI = (300, 5, 20), (300, 74, 35)


@pytest.mark.parametrize(
    ("widths", "lengths", "active", "entries", "parameters"),
    [
        pytest.param(MOSI, (50, 375, 500), "lav", 270, 687_386, id="MOSI unaligned"),
        pytest.param(MOSI, (50, 50, 50), "lav", 270, 686_611, id="MOSI aligned"),
        pytest.param(MOSEI, (50, 500, 500), "lav", 270, 690_031, id="MOSEI unaligned"),
        pytest.param(MOSEI, (50, 50, 50), "lav", 270, 689_131, id="MOSEI aligned"),
        pytest.param(MOSEI, (50, 500, 500), "la", 205, 352_861, id="two modalities"),
        pytest.param(MOSEI, (50, 500, 500), "v", 140, 127_291, id="one modality"),
    ],
)
def test_entries_and_parameters_are_as_many_as_published(widths, lengths, active, entries, parameters):
    model = UCRN(widths, lengths, active)
    assert len(model.state_dict()) == entries
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_entries_come_in_the_published_order():
    names = list(small_model().state_dict())
    assert names[:6] == [f"{kind}_{m}.weight" for kind in ("proj", "temp_proj") for m in "lav"]
    assert names[6:8] == ["l_refine.version", "l_refine.layers.0.self_attn.in_proj_weight"]
    parts = list(dict.fromkeys(name.split(".")[0] for name in names[6:]))
    per_modality = [f"{m}_{part}" for m in "lav" for part in ("refine", "quality")]
    assert parts == [*per_modality, "cross_modal_fusion", "proj1", "proj2", "out_layer"]


RATES = {
    "attn_dropout": 0.01,
    "attn_dropout_a": 0.02,
    "attn_dropout_v": 0.03,
    "relu_dropout": 0.04,
    "res_dropout": 0.05,
    "out_dropout": 0.06,
    "embed_dropout": 0.07,
}


@pytest.fixture
def dropped(monkeypatch):
    """(shape, rate) of all that is dropped out, in order; ("attention", rate) for the fused kernel."""
    seen, dropout, attention = [], F.dropout, F.scaled_dot_product_attention

    def recorded(x, p, training=True):
        if training:
            seen.append((tuple(x.shape), p))
        return dropout(x, p, training)

    def attended(q, k, v, mask=None, dropout_p=0.0, is_causal=False):
        if dropout_p:
            seen.append(("attention", dropout_p))
        return attention(q, k, v, mask, dropout_p, is_causal)

    monkeypatch.setattr(F, "dropout", recorded)
    monkeypatch.setattr(F, "scaled_dot_product_attention", attended)
    return seen


def encoder_dropouts(steps, width, attention):
    x = (steps, 2, width)
    return [(x, 0.07), attention, (x, 0.05), ((steps, 2, 4 * width), 0.04), (x, 0.05)]


@pytest.mark.parametrize("steps", [1, 2])
def test_dropouts_are_those_of_the_complete_published_list(dropped, steps):
    model = small_model(temp_proj=steps, **RATES)
    model(*inputs_of(random_clips(2)))
    crossmodal = ((2, 3, 1, 1), 0.01) if steps == 1 else ("attention", 0.01)
    assert dropped == [
        ((2, 6, 4), 0.07),  # the raw text; audio and vision have no counterpart
        *encoder_dropouts(6, 30, ("attention", 0.01)),
        *encoder_dropouts(9, 30, ("attention", 0.02)),
        *encoder_dropouts(8, 30, ("attention", 0.03)),
        *encoder_dropouts(steps, 90, crossmodal),
        ((2, 90), 0.06),
    ]
    dropped.clear()
    model.eval()(*inputs_of(random_clips(2)))
    assert all(rate == 0 for _, rate in dropped)


def test_text_that_is_not_in_use_is_not_dropped_out(dropped):
    small_model("av", **RATES)(*inputs_of(random_clips(2)))
    assert dropped[0] == ((9, 2, 30), 0.07)


def test_raw_text_dropout_is_element_wise_and_reaches_no_other_modality():
    clips = random_clips(4)
    model = small_model(embed_dropout=0.5, without=["urm"])
    first, second = (model.refine(*inputs_of(clips)) for _ in range(2))
    assert not torch.equal(first[0], second[0])
    assert all(map(torch.equal, first[1:], second[1:]))


def test_head_drops_out_behind_its_relu_and_keeps_the_sum():
    model = small_model(out_dropout=1.0)
    output = model(*inputs_of(random_clips()))
    expected = model.out_layer(output.fused + model.proj2.bias)
    torch.testing.assert_close(output.prediction, expected)


def test_prediction_is_the_residual_head_of_the_fused_vector():
    model = small_model().eval()
    output = model(*inputs_of(random_clips()))
    z = output.fused
    hidden = (z @ model.proj1.weight.T + model.proj1.bias).clamp(min=0)
    y = z + hidden @ model.proj2.weight.T + model.proj2.bias
    torch.testing.assert_close(output.prediction, y @ model.out_layer.weight.T + model.out_layer.bias)
    assert output.prediction.shape == (8, 1)


@pytest.mark.parametrize("steps", [1, 3])
def test_refined_features_are_sums_over_time_before_the_gate(steps):
    model, clips = small_model(temp_proj=steps), random_clips()
    refined = model.refine(*inputs_of(clips))
    for modality, x, h in zip("lav", inputs_of(clips), refined, strict=True):
        projected = x @ getattr(model, f"proj_{modality}").weight[:, :, 0].T
        sequence = getattr(model, f"{modality}_refine")(projected.transpose(0, 1))
        weight = getattr(model, f"temp_proj_{modality}").weight
        for k in range(steps):
            expected = sum(weight[k, t, 0] * sequence[t] for t in range(len(sequence)))
            torch.testing.assert_close(h[k], expected)
    gated = [getattr(model, f"{m}_quality")(h) for m, h in zip("lav", refined, strict=True)]
    torch.testing.assert_close(model(*inputs_of(clips)).fused, model.cross_modal_fusion(gated))


def test_without_temporal_projection_the_last_refined_step_is_taken():
    model, clips = small_model(temp_proj=0), random_clips()
    assert not any("temp_proj" in name for name in model.state_dict())
    output = model(*inputs_of(clips))
    assert [tuple(h.shape) for h in output.refined] == [(1, 8, 30)] * 3
    sequence = model.l_refine((clips.text @ model.proj_l.weight[:, :, 0].T).transpose(0, 1))
    torch.testing.assert_close(output.refined[0][0], sequence[-1])


def test_features_of_the_networks_own_width_are_not_projected():
    clips = random_clips(widths=(30, 5, 6))
    model = small_model(widths=(30, 5, 6))
    before = model(*inputs_of(clips)).prediction
    torch.nn.init.zeros_(model.proj_l.weight)
    assert torch.equal(model(*inputs_of(clips)).prediction, before)
    before.sum().backward()
    assert model.proj_l.weight.grad is None
    assert model.proj_a.weight.grad is not None


@pytest.mark.parametrize("active", ["l", "a", "v", "la", "lv", "av"])
def test_modalities_out_of_use_change_nothing_and_get_no_gradient(active):
    model, clips = small_model(active), random_clips()
    output = model(*inputs_of(clips))
    assert output.fused.shape == (8, 30 * len(active))
    assert len(output.refined) == len(active)
    noisy = [x if m in active else torch.randn_like(x) for m, x in zip("lav", inputs_of(clips), strict=True)]
    assert torch.equal(model(*noisy).prediction, output.prediction)
    output.prediction.abs().sum().backward()
    unused = {f"{kind}_{m}.weight" for kind in ("proj", "temp_proj") for m in "lav" if m not in active}
    assert {name for name, p in model.named_parameters() if p.grad is None} == unused


def test_every_active_modality_moves_the_prediction():
    model, clips = small_model(), random_clips()
    before = model(*inputs_of(clips)).prediction
    for index in range(3):
        changed = list(inputs_of(clips))
        changed[index] = torch.randn_like(changed[index])
        assert not torch.allclose(model(*changed).prediction, before)


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ("urm", {"l_refine", "a_refine", "v_refine"}),
        ("sqil", {"l_quality", "a_quality", "v_quality"}),
        ("crm", {"cross_modal_fusion"}),
    ],
)
def test_part_left_out_has_no_entries_and_the_rest_stays(part, names):
    whole, rest = ({name.split(".")[0] for name in small_model(without=w).state_dict()} for w in ([], [part]))
    assert whole - rest == names
    assert rest < whole


def test_without_crossmodal_refinement_the_gated_features_are_side_by_side():
    model, clips = small_model(temp_proj=2, without=["crm"]), random_clips()
    output = model(*inputs_of(clips))
    gated = [getattr(model, f"{m}_quality")(h)[1] for m, h in zip("lav", output.refined, strict=True)]
    torch.testing.assert_close(output.fused, torch.cat(gated, dim=1))
    bare = small_model(temp_proj=2, without=["crm", "sqil"])(*inputs_of(clips))
    torch.testing.assert_close(bare.fused, torch.cat([h[1] for h in bare.refined], dim=1))


def test_without_unimodal_refinement_features_are_linear_in_the_input():
    model, one, other = small_model(without=["urm"]), random_clips(seed=1), random_clips(seed=2)
    both = [x + 2 * y for x, y in zip(inputs_of(one), inputs_of(other), strict=True)]
    refined = [model.refine(*x) for x in (inputs_of(one), inputs_of(other), both)]
    for first, second, sum_of_both in zip(*refined, strict=True):
        torch.testing.assert_close(sum_of_both, first + 2 * second, rtol=1e-4, atol=1e-5)


def test_gates_are_those_of_the_refined_features():
    model, clips = small_model(), random_clips()
    gates = model.gates(model.refine(*inputs_of(clips)))
    assert gates.shape == (3, 8, 30)
    assert ((gates > 0) & (gates < 1)).all()
    output = model(*inputs_of(clips))
    torch.testing.assert_close(gates[1], model.a_quality.gate(output.refined[1]))


def shuffled_in_time(model, clips):
    """Predictions, and those with the audio's steps in another order, under equal weights of all steps."""
    torch.nn.init.constant_(model.temp_proj_a.weight, 0.1)
    with torch.no_grad():
        reversed_in_time = (clips.text, clips.audio.flip(1), clips.vision)
        return model(*inputs_of(clips)).prediction, model(*reversed_in_time).prediction


def test_without_mask_and_positions_the_order_of_the_steps_has_no_meaning():
    one, other = shuffled_in_time(small_model(attn_mask=False), random_clips())
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", [{"attn_mask": True}, {"attn_mask": False, "positions": True}])
def test_mask_or_positions_give_the_order_a_meaning(options):
    one, other = shuffled_in_time(small_model(**options), random_clips())
    assert not torch.allclose(one, other, rtol=1e-3, atol=1e-4)


def test_mask_is_in_every_encoder_or_in_none():
    for masked in (True, False):
        layers = [part for name, part in small_model(attn_mask=masked).named_modules() if hasattr(part, "attn_mask")]
        assert [layer.attn_mask for layer in layers] == [masked] * 4


def test_positions_add_one_entry_to_every_encoder():
    added = set(small_model(positions=True).state_dict()) - set(small_model().state_dict())
    encoders = ("l_refine", "a_refine", "v_refine", "cross_modal_fusion")
    assert added == {f"{encoder}.embed_positions._float_tensor" for encoder in encoders}


def test_clip_is_predicted_alike_in_any_batch():
    model, clips = small_model().eval(), random_clips()
    together = model(*inputs_of(clips)).prediction
    alone = torch.cat([model(*(x[i : i + 1] for x in inputs_of(clips))).prediction for i in range(len(clips))])
    torch.testing.assert_close(together, alone)


def test_seed_draws_the_weights_and_other_options_leave_them():
    one, other = small_model(seed=3), small_model(seed=3, attn_mask=False, relu_dropout=0.5)
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    assert not torch.equal(one.proj_l.weight, small_model(seed=4).proj_l.weight)


def test_number_of_outputs_and_layers_is_free():
    model = UCRN(WIDTHS, LENGTHS, output_dim=4, layers=0)
    assert model(*inputs_of(random_clips())).prediction.shape == (8, 4)
    assert len(deepcopy(model).cross_modal_fusion.layers) == 0
