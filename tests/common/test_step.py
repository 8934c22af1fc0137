"""One step of training, against the same written out; the model as training calls it; shared statistics."""

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from common.processes import Processes
from common.training.step import clip_and_step, clipped_step, distributed, grad_scaler, share_buffers

CPU = torch.device("cpu")
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2),
}


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))


def losses(model, steps=4):
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        yield 100 * model(torch.randn(6, 4, generator=generator)).square().mean()


def assert_same_weights(one, other):
    for (name, mine), theirs in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


@pytest.mark.parametrize("clip", [0.01, 0.8, 1e6])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_clipped_step_is_the_written_out_one_bit_for_bit(optimizer, clip):
    ours, plain = small_net(), small_net()
    stepped, written = OPTIMIZERS[optimizer](ours.parameters()), OPTIMIZERS[optimizer](plain.parameters())
    for mine, theirs in zip(losses(ours), losses(plain), strict=True):
        norm = clipped_step(mine, stepped, grad_scaler("fp32"), clip)
        written.zero_grad()
        theirs.backward()
        expected = nn.utils.clip_grad_norm_(plain.parameters(), clip)
        written.step()
        assert torch.equal(norm, expected)
        assert_same_weights(ours, plain)


def test_gradients_of_an_earlier_loss_do_not_count():
    ours, plain = small_net(), small_net()
    next(losses(ours)).backward()
    for model in (ours, plain):
        model[1].reset_running_stats()
        clipped_step(next(losses(model)), torch.optim.SGD(model.parameters(), lr=0.1), grad_scaler("fp32"), 1.0)
    assert_same_weights(ours, plain)


def test_gradients_that_were_added_up_are_stepped_on_together():
    ours, plain = small_net(), small_net()
    for loss in losses(ours, 2):
        loss.backward()
    clip_and_step(torch.optim.SGD(ours.parameters(), lr=0.1), grad_scaler("fp32"), 1.0)
    sum(losses(plain, 2)).backward()
    nn.utils.clip_grad_norm_(plain.parameters(), 1.0)
    torch.optim.SGD(plain.parameters(), lr=0.1).step()
    for mine, theirs in zip(ours.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_norm_is_over_all_groups_of_the_optimizer_and_of_no_other_parameter():
    model = small_net()
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.1}, {"params": [model[3].weight], "lr": 0.01}], lr=0.0
    )
    next(losses(model)).backward()
    taken = [model[0].weight, model[0].bias, model[3].weight]
    squares = sum(parameter.grad.square().sum() for parameter in taken)
    untouched = model[3].bias.grad.clone()
    norm = clip_and_step(optimizer, grad_scaler("fp32"), 0.5)
    torch.testing.assert_close(norm, squares.sqrt())
    torch.testing.assert_close(sum(parameter.grad.square().sum() for parameter in taken).sqrt(), torch.tensor(0.5))
    assert torch.equal(model[3].bias.grad, untouched)


def test_two_optimizers_each_clip_their_own_parameters():
    ours, plain = small_net(), small_net()
    pairs = [(torch.optim.SGD(model[0].parameters(), 0.1), torch.optim.Adam(model[3].parameters(), 0.01))
             for model in (ours, plain)]  # fmt: skip
    next(losses(ours)).backward()
    for optimizer in pairs[0]:
        clip_and_step(optimizer, grad_scaler("fp32"), 0.3)
    next(losses(plain)).backward()
    for optimizer, part in zip(pairs[1], (plain[0], plain[3]), strict=True):
        nn.utils.clip_grad_norm_(part.parameters(), 0.3)
        optimizer.step()
    assert_same_weights(ours, plain)


def test_parameters_without_a_gradient_are_left_alone():
    model = small_net()
    unused = nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([*model.parameters(), unused], lr=0.1)
    assert clipped_step(next(losses(model)), optimizer, grad_scaler("fp32"), 1.0) > 0
    assert unused.tolist() == [1.0, 1.0]


def test_norm_stays_on_the_device_as_a_scalar():
    model = small_net()
    norm = clipped_step(next(losses(model)), torch.optim.SGD(model.parameters(), 0.1), grad_scaler("fp32"), 1.0)
    assert isinstance(norm, torch.Tensor)
    assert norm.shape == ()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_scaler_without_fp16_changes_nothing(precision):
    scaler, loss = grad_scaler(precision), torch.tensor(3.0)
    assert not scaler.is_enabled()
    assert scaler.scale(loss) is loss
    assert scaler.state_dict() == {}


@pytest.mark.parametrize(("precision", "asked"), [("fp32", False), ("bf16", False), ("fp16", True)])
def test_scaler_is_asked_for_with_fp16_alone(precision, asked, monkeypatch):
    """Without a CUDA device torch switches every scaler off, so what it is asked for is looked at."""
    found = []
    monkeypatch.setattr(torch.amp, "GradScaler", lambda **options: found.append(options))
    grad_scaler(precision)
    assert found == [{"enabled": asked}]


@pytest.mark.gpu
def test_fp16_steps_like_fp32_and_skips_an_overflow():
    model, plain = small_net().cuda(), small_net().cuda()
    scaler = grad_scaler("fp16")
    assert scaler.is_enabled()
    batch = torch.randn(6, 4, device="cuda")
    for net, one in ((model, scaler), (plain, grad_scaler("fp32"))):
        clipped_step(net(batch).square().mean(), torch.optim.SGD(net.parameters(), 0.1), one, 0.5)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs)
    before = [parameter.clone() for parameter in model.parameters()]
    clipped_step(model(batch).square().mean() * float("inf"), torch.optim.SGD(model.parameters(), 0.1), scaler, 0.5)
    assert all(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_single_process_calls_the_model_itself():
    model = small_net()
    assert distributed(model, CPU, Processes()) is model


def test_compiled_model_shares_the_weights():
    model = small_net()
    net = distributed(model, CPU, Processes(), compiled=True)
    assert net is not model
    assert all(mine is theirs for mine, theirs in zip(net.parameters(), model.parameters(), strict=True))


@pytest.fixture
def group(tmp_path):
    """A group of one process, which is all that DistributedDataParallel needs."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_several_processes_call_the_model_through_one_that_shares_gradients(group):
    model = small_net()
    net = distributed(model, CPU, Processes(0, 2), find_unused_parameters=True, broadcast_buffers=False)
    assert isinstance(net, DistributedDataParallel)
    assert net.module is model
    assert (net.find_unused_parameters, net.broadcast_buffers) == (True, False)
    assert net.device_ids is None


class Twins(Processes):
    """Of two processes, the other has 2 more everywhere."""

    def sum(self, tensor):
        return tensor.add_(tensor + 2)


def test_shared_statistics_are_the_mean_over_the_processes():
    model = small_net()
    model(torch.randn(6, 4))
    mean, count = model[1].running_mean.clone(), model[1].num_batches_tracked.clone()
    share_buffers(model, Twins(world=2))
    torch.testing.assert_close(model[1].running_mean, mean + 1)
    assert torch.equal(model[1].num_batches_tracked, count)  # counts are alike in all processes


def test_statistics_of_a_single_process_stay():
    model = small_net()
    model(torch.randn(6, 4))
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    share_buffers(model, Processes())
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
