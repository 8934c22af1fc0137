"""What a resumed loop needs, saved and put back: parts in order, lists of parts, random states of all processes."""

import pytest
import torch
from torch import nn

from common.errors import UserError
from common.processes import Processes
from common.training.selection import Best
from common.training.state import TrainState, random_states, set_random_state
from common.training.step import grad_scaler
from tests.support.run_folders import assert_equal

CPU = torch.device("cpu")
SCHEDULES = {
    "plateau": lambda optimizer: torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0),
    "cyclic": lambda optimizer: torch.optim.lr_scheduler.CyclicLR(optimizer, 1e-3, 1e-1, step_size_up=3),
    "steps": lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2),
}


class Part:
    """Remembers, in the list that all parts share, when it was loaded and with what."""

    def __init__(self, name, loaded):
        self.name, self.loaded = name, loaded

    def state_dict(self):
        return {"of": self.name}

    def load_state_dict(self, state):
        self.loaded.append((self.name, state["of"]))


class Rank(Processes):
    """This process among several whose values are all the same."""

    def gather(self, value):
        return [value] * self.world


def loop(schedule_name, epochs, saved=None, stop=None):
    """Training with noise in it; returns its rates, the model's weights and the state."""
    torch.manual_seed(1)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule, best = SCHEDULES[schedule_name](optimizer), Best(higher=False)
    state = TrainState(CPU, Processes(), schedule=schedule, optimizer=optimizer, scaler=grad_scaler("fp32"), best=best)
    if saved is not None:
        model.load_state_dict(saved["model"])
        state.load_state_dict(saved["ours"])
    rates = []
    for epoch in range(state.epoch + 1, epochs + 1):
        optimizer.zero_grad()
        loss = model(torch.randn(8, 3)).square().mean()
        loss.backward()
        optimizer.step()
        schedule.step(*([loss.item()] if schedule_name == "plateau" else []))
        best.update(epoch, loss.item(), model)
        state.epoch = epoch
        rates.append(optimizer.param_groups[0]["lr"])
    return rates, {"model": model.state_dict(), "ours": state.state_dict()}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("stop", [1, 2, 4])
def test_stopped_loop_ends_like_an_uninterrupted_one(schedule, stop, tmp_path):
    rates, whole = loop(schedule, 5)
    before, saved = loop(schedule, stop)
    torch.save(saved, tmp_path / "last.pt")
    torch.randn(100)  # what the new process has drawn before
    after, resumed = loop(schedule, 5, torch.load(tmp_path / "last.pt", weights_only=True))
    assert before + after == rates
    assert_equal({key: dict(value) for key, value in resumed.items()}, {k: dict(v) for k, v in whole.items()}, "state")


def test_fresh_start_changes_nothing():
    loaded = []
    state = TrainState(CPU, Processes(), part=Part("part", loaded))
    before = torch.get_rng_state()
    state.load_state_dict(None)
    assert (state.epoch, loaded) == (0, [])
    assert torch.equal(torch.get_rng_state(), before)


def test_epochs_may_be_counted_from_another_start():
    assert TrainState(CPU, Processes(), start=-1).epoch == -1


def test_parts_are_put_back_in_their_own_order_whatever_the_order_in_the_checkpoint():
    loaded = []
    state = TrainState(CPU, Processes(), b=Part("b", loaded), a=Part("a", loaded))
    saved = state.state_dict()
    state.load_state_dict(dict(reversed(saved.items())))
    assert loaded == [("b", "b"), ("a", "a")]


def test_list_of_parts_is_kept_as_a_list():
    loaded = []
    state = TrainState(CPU, Processes(), optimizers=[Part("first", loaded), Part("second", loaded)])
    saved = state.state_dict()
    assert saved["optimizers"] == [{"of": "first"}, {"of": "second"}]
    state.load_state_dict(saved)
    assert loaded == [("first", "first"), ("second", "second")]


def test_list_of_another_length_is_refused():
    saved = TrainState(CPU, Processes(), optimizers=[Part("first", [])]).state_dict()
    with pytest.raises(ValueError, match="zip"):
        TrainState(CPU, Processes(), optimizers=[Part("first", []), Part("second", [])]).load_state_dict(saved)


def test_part_that_the_checkpoint_lacks_is_named():
    saved = TrainState(CPU, Processes()).state_dict()
    with pytest.raises(UserError, match="lacks 'schedule': another version of this script wrote it"):
        TrainState(CPU, Processes(), schedule=Part("schedule", [])).load_state_dict(saved)


def test_random_state_gives_the_same_draws_again():
    states = random_states(CPU, Processes())
    drawn = torch.rand(3)
    set_random_state(states, Processes())
    assert torch.equal(torch.rand(3), drawn)


def test_states_of_all_processes_are_saved():
    assert len(TrainState(CPU, Rank(rank=1, world=3)).state_dict()["random"]) == 3


@pytest.mark.parametrize(("rank", "world", "taken"), [(0, 1, 0), (1, 2, 1), (2, 4, 0), (3, 4, 1)])
def test_each_process_takes_its_own_state_back_and_of_fewer_one_of_them(rank, world, taken):
    states = []
    for seed in range(2):
        torch.manual_seed(seed)
        states += random_states(CPU, Processes())
    set_random_state(states, Processes(rank, world))
    drawn = torch.rand(3)
    torch.manual_seed(taken)
    assert torch.equal(torch.rand(3), drawn)


@pytest.mark.gpu
def test_state_of_the_device_is_put_back_too():
    device = torch.device("cuda", torch.cuda.current_device())
    states = random_states(device, Processes())
    drawn = torch.rand(3, device=device)
    set_random_state(states, Processes())
    assert torch.equal(torch.rand(3, device=device), drawn)


@pytest.mark.gpu
def test_checkpoint_of_a_cpu_goes_on_on_a_device():
    set_random_state(random_states(CPU, Processes()), Processes())
