"""Find the optimizer of a call, and check that it trains this net."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import optim
from .._tables import check_count
from .messages import warn

if TYPE_CHECKING:
    from ..optim._base import Optimizer
    from .net import Net


def bound(net: Net, given: str | Optimizer) -> Optimizer:
    """Return an optimizer of this net's parameters, or raise."""
    opt = optim.get(given)
    if not opt.bound:
        opt.bind(net.parameters())
    opt.follow()
    invalid = {p for group in opt.param_groups for p in group["params"]} - set(net.parameters())
    if invalid:
        raise ValueError(f"optimizer: it updates {len(invalid)} parameters that are not this model's; make it from model.parameters()")
    late = _late(net, opt)
    if late:
        names = ", ".join(late[:4]) + (f" and {len(late) - 4} more" if len(late) > 4 else "")
        raise ValueError(
            f"optimizer: it would not train {names}, added or unfrozen after it was made from a list of parameters; "
            "opt.add_param_group({'params': [...]}) adds them, freeze() keeps them as they are, and an optimizer made from "
            "model.parameters() trains whatever is added later"
        )
    return opt


def _late(net: Net, opt: Optimizer) -> list[str]:
    """Return the names of parameters that the optimizer does not update only because it was made before they were added."""
    trained = {p for group in opt.param_groups for p in group["params"]}
    if not any(p.requires_grad and p not in trained for p in net.parameters()):
        return []
    left = {p: name for name, p in net.named_parameters() if p.requires_grad and p not in trained}
    joined = {p for layer in net.modules() if layer._since > opt._since for p in layer.parameters()}
    return [name for p, name in left.items() if p in joined or p._since > opt._since]


def continued(net: Net, given: str | Optimizer | None) -> str | Optimizer:
    """Return the optimizer of a call that continues a training: the one given, or that of the previous call.

    A name continues with the optimizer that an earlier call made from the same name.
    """
    last = net.optimizer
    if isinstance(given, str):
        fresh = optim.get(given)
        return last if last is not None and last.made_by_name and type(last) is type(fresh) else fresh
    if given is not None:
        return given
    if last is None and net._lost_optimizer is not None:
        text = f"optimizer: this model was trained with {net._lost_optimizer}, which its file could not hold; pass optimizer="
        raise ValueError(f"{text} to continue")
    if last is not None and last.lacks_state:
        text = f"this model was saved without the state of its optimizer: {last!r} restarts with empty averages and momentum"
        warn(f"{text}; model.save(path, optimizer=True) keeps them")
        last.lacks_state = False
    return "adam" if last is None else last


def warn_if_frozen(net: Net, opt: Optimizer, what: str) -> None:
    """Warn if the optimizer has nothing to train."""
    if not any(p.requires_grad for group in opt.param_groups for p in group["params"]) and net.parameters():
        warn(f"every parameter that {what} would train is frozen, so none will change; unfreeze() the model, or a part of it")


def batch_size(given: int | None, opt: Optimizer, rows: int) -> int:
    """Return the batch size of a training; the default is 32, or all rows for solvers."""
    if given is None:
        return max(rows, 1) if opt.whole_batches else 32
    check_count("batch_size", given, 1)
    return given
