"""Which processor to run on, and in which precision."""

import torch

from factortopy.errors import UnavailableError, UnknownNameError

PRECISIONS = {"bf16": torch.bfloat16, "fp32": torch.float32}


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for, else the best there is: CUDA, then MPS, then CPU.

    Raises:
        UnknownNameError: if ``device`` is no device.
        UnavailableError: if it is not in this machine.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device is None:
        return torch.device(next(name for name, there in present.items() if there))
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UnknownNameError("device", str(device), present) from None
    if chosen.type not in present:
        raise UnknownNameError("device", str(device), present)
    missing_card = chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()
    if not present[chosen.type] or missing_card:
        there = ", ".join(name for name, is_there in present.items() if is_there)
        raise UnavailableError(f"device {str(device)!r} is not available here; there is {there}")
    return chosen


def choose_precision(device: torch.device, precision: str | None = None) -> str:
    """``"bf16"`` or ``"fp32"``: the one asked for, else bf16 where the processor computes in it.

    Raises:
        UnknownNameError: if ``precision`` is neither.
    """
    if precision is not None:
        if precision not in PRECISIONS:
            raise UnknownNameError("precision", precision, PRECISIONS)
        return precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and _cpu_has_bf16() else "fp32"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which a network runs in ``precision``."""
    return torch.autocast(device.type, dtype=PRECISIONS[precision], enabled=precision != "fp32")


def _cpu_has_bf16() -> bool:
    # Without these instructions bf16 is emulated and slower than fp32. Older PyTorch cannot tell: fp32.
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
