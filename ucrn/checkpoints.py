"""Saved models of UCRN: ours, and the whole pickled modules that the published script leaves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from common.checkpoint import ForbiddenGlobalError, load_published, safe_load
from common.errors import UserError
from common.module_pickles import load_module_state
from common.published_weights import checkpoint_facts
from ucrn.model import MODALITIES, UCRN

# Stands in every checkpoint that this script writes, so that none is taken for a published one.
MADE_BY = "multimodal-fusion: ucrn"

# Classes of the published repository whose instances a saved model holds.
PUBLISHED_CLASSES = (
    "src.models.UCRNModel",
    "modules.transformer.TransformerEncoder",
    "modules.transformer.TransformerEncoderLayer",
    "modules.transformer.SQLayer",
    "modules.multihead_attention.MultiheadAttention",
)
FOLDER = Path("pre_trained_models")  # of the working folder, as published


def content(model: UCRN) -> dict[str, Any]:
    """What every checkpoint holds: the weights under the published key names, and who made it."""
    return {"model": model.state_dict(), "made_by": MADE_BY}


def find_saved_model(given: str | None, run_name: str, model_name: str = "UCRN") -> Path:
    """The file of --resume or --pretrain: a path, or a name in pre_trained_models; by default <run>_<MODEL>.pt there.

    Raises UserError if there is none.
    """
    if given and Path(given).is_file():
        return Path(given)
    path = FOLDER / (given or f"{run_name}_{model_name}.pt")
    for candidate in (path, path.with_name(f"{path.name}.pt"), path.with_name(f"{path.stem}_{model_name}.pt")):
        if candidate.is_file():
            return candidate
    raise UserError(
        f"{given or path}: no such saved model; expected a checkpoint of a run folder (checkpoints/best.pt) or a file "
        f"of the published script in {FOLDER}"
    )


def load_model(model: UCRN, path: Path, said_to_be_published: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Load a saved model, ours or published, into the bare network.

    Returns a checkpoint's content ({} for a published one), and what run.json says of the file.
    Raises UserError naming file and entry, and leaves the network as it was, if it does not fit.
    """
    found, ours = _read(path)
    load_published(model, found["model"], path, _hint(found["model"], model))
    return found if ours else {}, checkpoint_facts(path, ours, said_to_be_published)


def _read(path: Path) -> tuple[dict[str, Any], bool]:
    try:
        found = safe_load(path)
    except ForbiddenGlobalError as error:
        if error.name not in PUBLISHED_CLASSES and not error.name.startswith("torch.nn."):
            raise
        return {"model": load_module_state(path, PUBLISHED_CLASSES)}, False
    if isinstance(found, dict) and "model" in found:
        return found, found.get("made_by") == MADE_BY
    return {"model": found}, False


def _hint(state: object, model: UCRN) -> str:
    """What to do about a model that does not fit, as far as its shapes tell."""
    if not isinstance(state, Mapping):
        return ""
    own = model.state_dict()
    state = {name.removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}
    for modality in MODALITIES:
        for projection, what in (("temp_proj", "steps"), ("proj", "features")):
            name = f"{projection}_{modality}.weight"
            if name in state and name in own and state[name].shape[1] != own[name].shape[1]:
                found, wanted = state[name].shape[1], own[name].shape[1]
                return f" (it is for {found} {what} of {modality}, the data have {wanted}: see --aligned and --dataset)"
    return " (another choice of --lonly --aonly --vonly, --nlevels or --temp_proj?)"
