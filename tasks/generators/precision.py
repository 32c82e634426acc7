"""Where networks multiply in bfloat16."""

import torch


def multiplies_in_bfloat16(device: torch.device) -> bool:
    """Whether it is a processor with matrix units for bfloat16."""
    return device.type == "cpu" and bool(torch.cpu.get_capabilities().get("amx_bf16"))


def mixed_precision(device: torch.device) -> torch.autocast:
    """A context in which convolutions and products are of bfloat16 where that is several times faster.

    Those are processors with AMX, and GPUs. Weights and what leaves the context as float32 stay so.
    """
    enabled = multiplies_in_bfloat16(device) or (
        device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    )
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
