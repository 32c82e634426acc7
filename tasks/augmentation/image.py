"""Images that show the same in another way: turned, moved, enlarged, brighter, noisier, mixed.

Every change is drawn for each image alone and keeps its size. None of them changes what an image
shows, unless the settings allow it: a flip makes other digits, so flips are off. What leaves traces
that no real image has (noise, cut-out squares, two images in one) is off, too.
"""

import math

import torch
from pydantic import Field
from torch import Tensor

from tasks.params import Record

EVEN_BORDER = 0.5
"""Share of the pixels along the border with one colour from which on it is the background's."""


class ImageAugmentation(Record):
    """How far images may be changed; 0 or false turns a change off."""

    rotate_degrees: float = Field(
        default=10.0, ge=0, le=180, description="turned by so many degrees at most, to either side"
    )
    scale: float = Field(
        default=0.1, ge=0, le=0.9, description="enlarged or made smaller by this share at most"
    )
    translate: float = Field(
        default=0.05, ge=0, le=0.9, description="moved by this share of each side at most"
    )
    crop: float = Field(
        default=0.0,
        ge=0,
        le=0.9,
        description="share of each side that is cut off at most; the rest is enlarged to the size",
    )
    flip_horizontal: bool = Field(
        default=False, description="half of the images are mirrored; not for letters and digits"
    )
    flip_vertical: bool = Field(default=False, description="half of the images are upside down")
    brightness: float = Field(
        default=0.1,
        ge=0,
        le=2,
        description="exponent of the pixels: between its inverse and e to the power of this; black"
        " and white stay",
    )
    contrast: float = Field(
        default=0.1,
        ge=0,
        le=0.9,
        description="distances from the background (without one, from the mean) change by this share"
        " at most",
    )
    colour: float = Field(
        default=0.1, ge=0, le=1, description="saturation changes by this share at most"
    )
    noise: float = Field(
        default=0.0, ge=0, le=1, description="standard deviation of noise; 1 is black to white"
    )
    cutout: float = Field(
        default=0.0, ge=0, le=0.9, description="side of a square that is blanked, in shorter sides"
    )
    mixup: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="alpha of the Beta distribution by which another image of the class shines"
        " through, by less than half",
    )
    across_classes: bool = Field(
        default=False, description="mixup takes images of any class; the label stays"
    )


def augment_images(
    pixels: Tensor, mates: Tensor, settings: ImageAugmentation, rng: torch.Generator
) -> Tensor:
    """Each image changed as the settings allow.

    **Source**: mixup: Zhang et al. 2018, arXiv:1710.09412; cutout: DeVries and Taylor 2017,
        arXiv:1708.04552.
    **Differs**: in a mixture the image's own share is the larger one, so that its label is right; a
        square is of the background's colour (without one, the mean's).

    Args:
        pixels: the images.
        mates: images that each may be mixed with.
        settings: see `ImageAugmentation`.
        rng: all randomness comes from it, on the device of the images.

    Shape:
        pixels, mates: (B, C, H, W) float32 in [0, 1], C 1 or 3.
        returns: the same.
    """
    if settings.mixup:
        share = mixing_shares(len(pixels), settings.mixup, rng)[:, None, None, None]
        pixels = torch.lerp(pixels, mates, share)
    background, is_even = _backgrounds(pixels)
    pixels = _flipped(pixels, settings, rng)
    if settings.rotate_degrees or settings.scale or settings.translate or settings.crop:
        pixels = _moved(pixels, background, is_even, settings, rng)
    pixels = _toned(pixels, background, settings, rng)
    if settings.noise:
        pixels = pixels + settings.noise * torch.randn(
            pixels.shape, generator=rng, device=rng.device
        )
    if settings.cutout:
        pixels = _cut_out(pixels, background, settings.cutout, rng)
    return pixels.clamp(0, 1)


def mixing_shares(n: int, alpha: float, rng: torch.Generator) -> Tensor:
    """(n,) shares of the other one, at most 1/2: the smaller part of Beta(alpha, alpha).

    From two Gamma variables by the method of Marsaglia and Tsang, since torch draws neither with an
    rng of its own.

    **Source**: Marsaglia and Tsang 2000, doi:10.1145/358407.358414.
    """
    one, other = (_log_gamma(n, alpha, rng) for _ in range(2))
    share = torch.sigmoid(one - other)
    return torch.minimum(share, 1 - share)


def _log_gamma(n: int, alpha: float, rng: torch.Generator) -> Tensor:
    """(n,) logarithms of Gamma(alpha, 1) variables; logarithms, since small ones round to 0."""
    d = alpha + 1 - 1 / 3
    tries = 16  # of which at least 95 % are accepted each: 1 in 10^20 rows finds none
    z = torch.randn((n, tries), generator=rng, device=rng.device)
    v = (1 + z / math.sqrt(9 * d)).clamp(min=1e-6) ** 3
    u = torch.rand((n, tries + 1), generator=rng, device=rng.device).clamp(min=1e-12)
    accepted = u[:, :tries].log() < 0.5 * z.square() + d * (1 - v + v.log())
    first = accepted.int().argmax(dim=1, keepdim=True)
    drawn = (d * v.gather(1, first)[:, 0]).log()
    return drawn + u[:, tries].log() / alpha


def _uniform(n: int, most: float, rng: torch.Generator) -> Tensor:
    """(n,) in [-most, most]."""
    return (torch.rand(n, generator=rng, device=rng.device) * 2 - 1) * most


def _backgrounds(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Colours (B, C, 1, 1) behind what images show, and whether (B,) their borders say so.

    Where a border has no such colour, it is the mean of the image.
    """
    border = torch.cat(
        [pixels[:, :, 0], pixels[:, :, -1], pixels[:, :, :, 0], pixels[:, :, :, -1]], dim=2
    )
    # By sorting, since torch has no deterministic median on GPUs.
    middle = (border.shape[2] - 1) // 2
    median = border.sort(dim=2).values[:, :, middle : middle + 1]
    is_even = (border == median).all(dim=1).float().mean(dim=1) >= EVEN_BORDER
    colour = torch.where(is_even[:, None], median[:, :, 0], pixels.mean(dim=(2, 3)))
    return colour[:, :, None, None], is_even


def _flipped(pixels: Tensor, settings: ImageAugmentation, rng: torch.Generator) -> Tensor:
    for is_allowed, dimension in ((settings.flip_horizontal, 3), (settings.flip_vertical, 2)):
        if is_allowed:
            is_turned = torch.rand(len(pixels), generator=rng, device=rng.device) < 0.5
            pixels = torch.where(is_turned[:, None, None, None], pixels.flip(dimension), pixels)
    return pixels


def _moved(
    pixels: Tensor,
    background: Tensor,
    is_even: Tensor,
    settings: ImageAugmentation,
    rng: torch.Generator,
) -> Tensor:
    """Turned, scaled, moved and cropped at once, so that pixels are interpolated once.

    What comes in from outside is the background, or without one the image's reflection.
    """
    # Takes half a second to import.
    from kornia.geometry.transform import get_affine_matrix2d, warp_affine

    n, _, height, width = pixels.shape
    sides = torch.tensor([width, height], device=pixels.device, dtype=pixels.dtype)
    cut = torch.rand(n, generator=rng, device=rng.device) * settings.crop
    scale = (1 + _uniform(n, settings.scale, rng)) / (1 - cut)
    # A window of 1 - cut may lie anywhere within the cut; enlarged, it moves as much more.
    reach = settings.translate + cut / (1 - cut) / 2
    shift = torch.stack([_uniform(n, 1.0, rng), _uniform(n, 1.0, rng)], dim=1)
    matrices = get_affine_matrix2d(
        translations=shift * reach[:, None] * sides,
        center=((sides - 1) / 2).expand(n, 2),
        scale=scale[:, None].expand(n, 2),
        angle=_uniform(n, settings.rotate_degrees, rng),
    )[:, :2]
    size = (height, width)
    moved = torch.empty_like(pixels)
    if bool(is_even.any()):
        colour = background[is_even]
        moved[is_even] = colour + warp_affine(
            pixels[is_even] - colour, matrices[is_even], size, "bicubic", "zeros"
        )
    if not bool(is_even.all()):
        rest = ~is_even
        moved[rest] = warp_affine(pixels[rest], matrices[rest], size, "bicubic", "reflection")
    return moved.clamp(0, 1)


def _toned(
    pixels: Tensor, background: Tensor, settings: ImageAugmentation, rng: torch.Generator
) -> Tensor:
    from kornia.enhance import adjust_gamma, adjust_saturation

    n = len(pixels)
    if settings.contrast:
        factor = (1 + _uniform(n, settings.contrast, rng))[:, None, None, None]
        pixels = (background + (pixels - background) * factor).clamp(0, 1)
    if settings.brightness:
        pixels = adjust_gamma(pixels, _uniform(n, settings.brightness, rng).exp())
    if settings.colour and pixels.shape[1] == 3:
        pixels = adjust_saturation(pixels, 1 + _uniform(n, settings.colour, rng))
    return pixels


def _cut_out(pixels: Tensor, background: Tensor, share: float, rng: torch.Generator) -> Tensor:
    n, _, height, width = pixels.shape
    side = max(1, round(share * min(height, width)))
    inside = []
    for length in (height, width):
        first = torch.rand(n, generator=rng, device=rng.device) * (length - side + 1)
        places = torch.arange(length, device=pixels.device)
        begin = first.long()[:, None]
        inside.append((places >= begin) & (places < begin + side))
    square = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(square, background.expand_as(pixels), pixels)
