"""Changes of images, with pixels worked out by hand."""

import pytest
import torch

from tasks.augmentation.image import ImageAugmentation, augment_images, mixing_shares

OFF = {
    "rotate_degrees": 0.0,
    "scale": 0.0,
    "translate": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
    "colour": 0.0,
}


def only(pixels, seed=0, mates=None, **settings):
    """The images after these changes alone."""
    rng = torch.Generator().manual_seed(seed)
    mates = pixels if mates is None else mates
    return augment_images(pixels, mates, ImageAugmentation(**OFF | settings), rng)


def images(*values):
    """(1, 1, H, W)."""
    return torch.tensor([[values]], dtype=torch.float32)


def test_nothing_is_changed_where_all_is_off():
    pixels = torch.rand(5, 3, 6, 7)
    assert torch.equal(only(pixels), pixels)


def test_flips_are_off_by_default_and_mirror_half_of_the_images():
    assert not ImageAugmentation().flip_horizontal
    assert not ImageAugmentation().flip_vertical
    pixels = images([0.0, 0.5], [0.25, 1.0]).expand(1000, -1, -1, -1)
    mirrored = only(pixels, flip_horizontal=True)
    is_mirrored = mirrored[:, 0, 0, 0] == 0.5
    assert mirrored[is_mirrored][0].tolist() == [[[0.5, 0.0], [1.0, 0.25]]]
    assert torch.equal(mirrored[~is_mirrored], pixels[~is_mirrored])
    assert 400 < int(is_mirrored.sum()) < 600
    turned = only(pixels, flip_vertical=True)
    assert {tuple(row.flatten().tolist()) for row in turned} == {
        (0.0, 0.5, 0.25, 1.0),
        (0.25, 1.0, 0.0, 0.5),
    }


def test_what_moves_in_from_outside_is_the_background():
    pixels = torch.full((200, 1, 9, 9), 0.8)
    pixels[:, :, 4, 4] = 0.2
    moved = only(pixels, translate=0.3, rotate_degrees=20.0, scale=0.2)
    assert torch.allclose(moved.amax(dim=(1, 2, 3)), torch.tensor(0.8), atol=0.08)
    assert (moved[:, :, 0, 0] - 0.8).abs().max() < 0.01
    # The dot is elsewhere, at most 0.3 of 9 pixels away.
    places = moved.flatten(1).argmin(dim=1)
    rows, columns = places // 9, places % 9
    assert len(set(places.tolist())) > 10
    assert int((rows - 4).abs().max()) <= 3
    assert int((columns - 4).abs().max()) <= 3


def test_a_crop_is_enlarged_and_shows_no_outside():
    pixels = torch.rand(100, 1, 16, 16)
    ramp = torch.linspace(0, 1, 16).expand(100, 1, 16, 16)
    cropped = only(ramp, crop=0.5)
    widths = cropped[..., -1] - cropped[..., 0]
    assert widths.min() > 0.45
    assert widths.max() <= 1.0
    assert torch.equal(only(pixels, seed=3, crop=0.5), only(pixels, seed=3, crop=0.5))


def test_black_and_white_stay_where_tones_change():
    pixels = images([0.0, 1.0, 0.5], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]).expand(50, -1, -1, -1)
    brighter = only(pixels, brightness=0.5)
    assert (brighter[:, 0, 0, 0] == 0).all()
    assert (brighter[:, 0, 0, 1] == 1).all()
    # 0.5 to the power of e^-0.5 and e^0.5.
    assert (
        0.5**1.6488 <= float(brighter[:, 0, 0, 2].min()) < 0.5 < float(brighter[:, 0, 0, 2].max())
    )
    assert float(brighter[:, 0, 0, 2].max()) <= 0.5**0.6065
    # The border is black, so contrast is measured from there: 0.5 becomes 0.4 to 0.6.
    contrasted = only(pixels, contrast=0.2)
    assert (contrasted[:, 0, 1] == 0).all()
    assert 0.4 <= float(contrasted[:, 0, 0, 2].min()) < float(contrasted[:, 0, 0, 2].max()) <= 0.6


def test_saturation_leaves_grey_alone():
    grey = torch.full((20, 3, 4, 4), 0.3)
    assert torch.allclose(only(grey, colour=1.0), grey, atol=1e-6)
    red = grey.clone()
    red[:, 0] = 0.9
    changed = only(red, colour=0.5)
    assert (changed[:, 0] - changed[:, 1]).std() > 0.01
    assert torch.allclose(changed[:, 0], red[:, 0], atol=1e-5)


def test_noise_and_cutout():
    pixels = torch.full((100, 1, 20, 20), 0.5)
    noisy = only(pixels, noise=0.05)
    assert abs(float((noisy - 0.5).std()) - 0.05) < 0.002
    dark = torch.zeros(100, 1, 20, 20)
    dark[:, :, 1:-1, 1:-1] = 1
    cut = only(dark, cutout=0.5)
    # A square of 10 x 10 of the background's black, which may reach into the black border.
    blank = (dark - cut).sum(dim=(1, 2, 3))
    assert blank.max() == 100
    assert blank.min() >= 81


def test_a_mixture_is_nearer_to_the_image_itself():
    own, mates = torch.zeros(500, 1, 2, 2), torch.ones(500, 1, 2, 2)
    mixed = only(own, mates=mates, mixup=1.0)[:, 0, 0, 0]
    assert mixed.max() <= 0.5
    # The smaller part of a uniform share is 1/4 on average.
    assert abs(float(mixed.mean()) - 0.25) < 0.03


@pytest.mark.parametrize(("alpha", "mean"), [(1.0, 0.25), (2.0, 5 / 16)])
def test_shares_of_mixtures_are_those_of_beta(alpha, mean):
    """E[min(b, 1 - b)]: 1/4 for Beta(1, 1); 5/16 for Beta(2, 2), by integration of 6 b^2 (1 - b)."""
    shares = mixing_shares(100_000, alpha, torch.Generator().manual_seed(0))
    assert abs(float(shares.mean()) - mean) < 0.002
    assert float(shares.min()) >= 0
    assert float(shares.max()) <= 0.5


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 5), (1, 3, 40, 4)])
def test_every_size_stays_finite_and_in_range(shape):
    settings = ImageAugmentation(
        crop=0.2, flip_horizontal=True, flip_vertical=True, noise=0.1, cutout=0.3, mixup=1.0
    )
    for pixels in (torch.rand(shape), torch.zeros(shape), torch.ones(shape)):
        changed = augment_images(pixels, pixels, settings, torch.Generator().manual_seed(0))
        assert changed.shape == shape
        assert changed.isfinite().all()
        assert 0 <= float(changed.min()) <= float(changed.max()) <= 1
