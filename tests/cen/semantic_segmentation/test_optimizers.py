"""The two optimizers: what they hold, their first steps written out, and that every stage has new ones."""

import itertools
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from cen.semantic_segmentation import final
from cen.semantic_segmentation import train as train_file
from cen.semantic_segmentation.checkpoints import Start
from cen.semantic_segmentation.evaluate import Validation
from cen.semantic_segmentation.model import RefineNet
from cen.semantic_segmentation.optimizers import ENCODER, parameter_groups, stage_optimizers, step
from cen.semantic_segmentation.train import train
from common.metrics.segmentation import SegmentationScores

DECAY = 0.1  # the published 1e-5 times the learning rate is too small to be seen in float32
LR_ENC, LR_DEC, MOMENTUM = 0.05, 0.02, 0.75
NO_SCALING = torch.amp.GradScaler(enabled=False)


class Toy(nn.Module):
    """A parameter of the encoder, one of the decoder, and alpha."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
        self.clf_conv = nn.Parameter(torch.tensor([3.0, -1.0, 0.0]))
        self.alpha = nn.Parameter(torch.tensor([1.0, 1.0, 1.0]))

    def loss(self, slope):
        """A loss whose gradient is `slope` for every parameter."""
        return sum((slope * parameter).sum() for parameter in self.parameters())


def new(model, optim_dec="sgd", decay=DECAY, momentum=MOMENTUM):
    return stage_optimizers(model, (LR_ENC, LR_DEC), (momentum, momentum), (decay, decay), optim_dec)


def steps(optim_dec, slopes, **options):
    """Parameters before and after each of the updates with these gradients."""
    toy = Toy()
    optimizers = new(toy, optim_dec, **options)
    states = [{name: p.detach().double().clone() for name, p in toy.named_parameters()}]
    for slope in slopes:
        step(toy.loss(slope), optimizers, NO_SCALING)
        states.append({name: p.detach().double().clone() for name, p in toy.named_parameters()})
    return states


SLOPES = [torch.tensor([0.5, -0.25, 2.0]), torch.tensor([-1.0, 0.5, 0.125])]


def test_sgd_adds_decay_to_the_gradient_and_momentum_without_damping_or_nesterov():
    states = steps("sgd", SLOPES)
    for name, rate in (("conv1", LR_ENC), ("clf_conv", LR_DEC), ("alpha", LR_DEC)):
        p0 = states[0][name]
        first = SLOPES[0] + DECAY * p0
        p1 = p0 - rate * first
        torch.testing.assert_close(states[1][name], p1, rtol=1e-6, atol=1e-7)
        second = MOMENTUM * first + (SLOPES[1] + DECAY * p1)
        torch.testing.assert_close(states[2][name], p1 - rate * second, rtol=1e-6, atol=1e-7)


def test_adam_adds_decay_to_the_gradient_and_divides_by_its_size_and_a_thousandth():
    small = [torch.tensor([2e-3, -1e-3, 0.5])]
    states = steps("adam", small)
    for name in ("clf_conv", "alpha"):
        p0 = states[0][name]
        first = small[0].double() + DECAY * p0
        torch.testing.assert_close(states[1][name], p0 - LR_DEC * first / (first.abs() + 1e-3), rtol=1e-6, atol=1e-7)


def test_eps_of_adam_is_felt_where_gradients_are_small():
    states = steps("adam", [torch.full((3,), 1e-3)], decay=0.0)
    torch.testing.assert_close(states[0]["alpha"] - states[1]["alpha"], torch.full((3,), LR_DEC / 2).double())


def test_second_step_of_adam_has_the_default_betas():
    states = steps("adam", SLOPES)
    p0, p1 = states[0]["clf_conv"], states[1]["clf_conv"]
    g1, g2 = SLOPES[0] + DECAY * p0, SLOPES[1] + DECAY * p1
    mean = (0.9 * 0.1 * g1 + 0.1 * g2) / (1 - 0.9**2)
    square = (0.999 * 0.001 * g1**2 + 0.001 * g2**2) / (1 - 0.999**2)
    expected = p1 - LR_DEC * mean / (square.sqrt() + 1e-3)
    torch.testing.assert_close(states[2]["clf_conv"], expected, rtol=1e-6, atol=1e-6)


def test_encoder_keeps_sgd_beside_an_adam_decoder():
    sgd, adam = (steps(kind, SLOPES)[2] for kind in ("sgd", "adam"))
    assert torch.equal(sgd["conv1"], adam["conv1"])
    assert not torch.equal(sgd["clf_conv"], adam["clf_conv"])
    found = new(Toy(), "adam")
    assert [type(optimizer) for optimizer in found] == [torch.optim.SGD, torch.optim.Adam]


def test_gradients_of_the_step_before_are_gone():
    plain = steps("sgd", SLOPES, momentum=0.0, decay=0.0)
    torch.testing.assert_close(plain[2]["alpha"], 1 - LR_DEC * (SLOPES[0] + SLOPES[1]).double())


def test_encoder_and_decoder_have_flags_of_their_own():
    found = stage_optimizers(Toy(), (LR_ENC, LR_DEC), (0.1, 0.2), (0.3, 0.4))
    groups = [optimizer.param_groups[0] for optimizer in found]
    assert [(g["lr"], g["momentum"], g["weight_decay"]) for g in groups] == [(LR_ENC, 0.1, 0.3), (LR_DEC, 0.2, 0.4)]


@pytest.mark.parametrize(("enc", "streams", "encoder"), [(50, 1, 159), (50, 2, 265), (101, 2, 520), (152, 2, 775)])
def test_groups_hold_every_parameter_once_and_the_published_number_of_tensors(enc, streams, encoder):
    with torch.device("meta"):
        model = RefineNet(enc, 40, streams, 0.02)
    groups = parameter_groups(model)
    assert [len(group) for group in groups] == [encoder, 89]
    assert {id(p) for p in groups[0]} | {id(p) for p in groups[1]} == {id(p) for p in model.parameters()}


def test_encoder_is_stem_and_layers_and_the_decoder_all_else(narrow):
    model = narrow()
    encoder = {id(parameter) for parameter in parameter_groups(model)[0]}
    names = {name.split(".")[0] for name, parameter in model.named_parameters() if id(parameter) in encoder}
    assert names == {"conv1", "bn1", "layer1", "layer2", "layer3", "layer4"}
    assert not ENCODER.match("alpha")


@pytest.mark.parametrize("optim_dec", ["sgd", "adam"])
def test_decay_acts_on_every_tensor_norms_and_alpha_too(narrow, optim_dec):
    for optimizer in new(narrow(), optim_dec):
        assert [group["weight_decay"] for group in optimizer.param_groups] == [DECAY]


def test_new_optimizers_know_no_momentum():
    toy = Toy()
    first = new(toy)
    step(toy.loss(SLOPES[0]), first, NO_SCALING)
    assert all(optimizer.state for optimizer in first)
    assert not any(optimizer.state for optimizer in new(toy))


class Unread:
    """As many samples and batches as asked for, none of which is ever read."""

    def __init__(self, size):
        self.samples, self.epoch = size, None

    def __len__(self):
        return self.samples

    def of(self, epoch):
        self.epoch = epoch
        return self


def test_training_takes_new_optimizers_with_new_rates_at_every_stage(narrow, flags, run, monkeypatch):
    seen = []

    def one_step(net, batches, optimizers, scaler, objective, settings, run, plan):
        rates = tuple(optimizer.param_groups[0]["lr"] for optimizer in optimizers)
        assert batches.epoch == plan.epoch
        seen.append((plan.stage, rates, any(optimizer.state for optimizer in optimizers)))
        step(sum(parameter.sum() for parameter in net.parameters()), optimizers, scaler)
        return 0.0

    nothing = SegmentationScores(0.0, 0.0, 0.0)
    outputs = {"rgb": nothing, "depth": nothing, "ens": nothing}
    monkeypatch.setattr(train_file, "train_epoch", one_step)
    monkeypatch.setattr(final, "evaluate", lambda *_: Validation(outputs, [0.5, 0.5]))
    stages = ["--num-epoch", "2", "1", "2", "--lr-enc", "3", "2", "1", "--lr-dec", ".3", ".2", ".1"]
    args = flags(*stages, "--val-every", "9")
    train(args, run, narrow(), Unread(2), Unread(1), Start())
    first, second, third = (3, 0.3), (2, 0.2), (1, 0.1)
    assert seen == [
        (0, first, False),
        (0, first, True),
        (1, second, False),
        (2, third, False),
        (2, third, True),
    ]
    assert [line for line in run.printed if line.startswith("Training Stage")] == [
        "Training Stage 0",
        "Training Stage 1",
        "Training Stage 2",
    ]


def test_time_of_a_stage_is_that_of_its_own_epochs(narrow, flags, run, monkeypatch):
    minutes = itertools.count()
    monkeypatch.setattr(train_file, "time", SimpleNamespace(monotonic=lambda: 60.0 * next(minutes)))
    monkeypatch.setattr(train_file, "train_epoch", lambda *_: 0.0)  # each takes a minute
    nothing = SegmentationScores(0.0, 0.0, 0.0)
    validation = Validation({"rgb": nothing, "depth": nothing, "ens": nothing}, [0.5, 0.5])
    monkeypatch.setattr(final, "evaluate", lambda *_: validation)
    stages = ["--num-epoch", "2", "1", "3", "--val-every", "9"]
    train(flags(*stages), run, narrow(), Unread(2), Unread(1), Start())
    assert [line for line in run.printed if "time spent" in line] == [
        "Stage 0 finished, time spent 2.000min",
        "Stage 1 finished, time spent 1.000min",
        "Stage 2 finished, time spent 3.000min",
    ]
