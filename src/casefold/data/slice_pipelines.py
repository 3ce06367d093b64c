"""The named pipelines for slices, of albumentations' transforms; data/patch_pipelines.py has the same names."""

import os
import warnings
from collections.abc import Callable

from casefold.core import ConfigError, nearest_word

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A
import cv2

Transforms = list[A.BasicTransform | A.BaseCompose]


def _affine(share: float, degrees: float, scale: float, shift: float) -> A.BasicTransform:
    return A.Affine(
        scale=(1 - scale, 1 + scale),
        translate_percent=(-shift, shift),
        rotate=(-degrees, degrees),
        border_mode=cv2.BORDER_CONSTANT,
        p=share,
    )


def _low_resolution(lowest: float, share: float) -> A.BasicTransform:
    ways = {"downscale": cv2.INTER_NEAREST_EXACT, "upscale": cv2.INTER_LINEAR}
    return A.Downscale(scale_range=(lowest, 0.9), interpolation_pair=ways, p=share)


def _light() -> Transforms:
    """Left-right flips, small shifts, scales and turns."""
    return [A.HorizontalFlip(p=0.5), _affine(0.5, 10, 0.1, 0.06)]


def _medium() -> Transforms:
    """The default: light, with some distortion, brightness, contrast and gamma."""
    return [
        A.HorizontalFlip(p=0.5),
        _affine(0.7, 15, 0.15, 0.08),
        A.OneOf([A.GridDistortion(num_steps=5, distort_limit=0.15), A.OpticalDistortion(distort_limit=0.1)], p=0.25),
        A.RandomBrightnessContrast(0.15, 0.15, p=0.5),
        A.RandomGamma((75, 135), p=0.3),
    ]


def _heavy() -> Transforms:
    """A bit of everything."""
    return [
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
        A.RandomRotate90(p=0.5),
        _affine(0.8, 30, 0.25, 0.1),
        A.OneOf([A.GridDistortion(num_steps=5, distort_limit=0.3), A.ElasticTransform(alpha=60, sigma=8)], p=0.3),
        A.RandomBrightnessContrast(0.25, 0.25, p=0.6),
        A.RandomGamma((65, 150), p=0.4),
        A.OneOf([A.GaussNoise(std_range=(0.01, 0.06)), A.GaussianBlur(blur_limit=(3, 5))], p=0.25),
        A.CoarseDropout(num_holes_range=(1, 4), hole_height_range=(0.05, 0.15), hole_width_range=(0.05, 0.15), p=0.2),
    ]


def _flips() -> Transforms:
    """The eight flips and quarter turns, nothing else (CZII 2024, 1st)."""
    return [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5), A.RandomRotate90(p=1.0)]


def _zoom() -> Transforms:
    """Scale 0.5 to 2 and crop, flips, quarter turns, grid distortion (UW-Madison 2022, 1st: UPerNet, mmsegmentation).

    A shift stands for the crop's place, so that one resampling does both.
    """
    return [
        *_flips(),
        A.Affine(
            scale=(0.5, 2.0),
            balanced_scale=True,
            keep_ratio=True,
            translate_percent=(-0.25, 0.25),
            border_mode=cv2.BORDER_CONSTANT,
            p=0.8,
        ),
        A.GridDistortion(p=0.3),
        A.RandomBrightnessContrast(0.2, 0.2, p=0.5),
    ]


def _distortion() -> Transforms:
    """One of elastic, grid and optical distortion, shift, scale and turn (UW-Madison 2022, 1st: 2.5D U-Nets)."""
    bends = [
        A.ElasticTransform(alpha=60, sigma=6, noise_distribution="uniform"),  # theirs is 120, over 640 pixels
        A.GridDistortion(),
        A.OpticalDistortion(distort_limit=0.3),
    ]
    return [
        A.HorizontalFlip(p=0.5),
        A.RandomBrightnessContrast(0.2, 0.2, p=0.5),
        A.OneOf(bends, p=0.3),
        _affine(0.5, 10, 0.2, 0.1),
    ]


def _degraded() -> Transforms:
    """Blur, motion, noise, low resolution and holes, on light."""
    spoils = [
        A.GaussNoise(std_range=(0.02, 0.1)),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.5, 1.5)),
        A.MotionBlur(blur_limit=(3, 7)),
    ]
    return [
        *_light(),
        A.OneOf(spoils, p=0.5),
        _low_resolution(0.4, 0.25),
        A.CoarseDropout(num_holes_range=(2, 6), hole_height_range=(0.05, 0.15), hole_width_range=(0.05, 0.15), p=0.3),
    ]


def _scanner() -> Transforms:
    """What differs from one MR scanner to the next: bias field, gamma, contrast, noise, resolution; shapes stay."""
    return [
        A.HorizontalFlip(p=0.5),
        A.Illumination(mode="linear", intensity_range=(0.1, 0.2), p=0.3),
        A.Illumination(mode="gaussian", intensity_range=(0.1, 0.2), sigma_range=(0.4, 1.0), p=0.3),
        A.RandomGamma((60, 160), p=0.5),
        A.RandomBrightnessContrast(0.2, 0.2, p=0.3),
        A.GaussNoise(std_range=(0.01, 0.05), p=0.25),
        _low_resolution(0.5, 0.25),
    ]


def _nnunet() -> Transforms:
    """nnU-Net's default (Isensee 2021): any turn, scale 0.7 to 1.4, noise, blur, brightness, contrast, low resolution,
    gamma on the image and on its negative, flips; turn and scale are drawn together, noise as for a deviation of 0.2.
    """
    negative = [A.InvertImg(p=1.0), A.RandomGamma((70, 150), p=1.0), A.InvertImg(p=1.0)]
    return [
        A.Affine(scale=(0.7, 1.4), keep_ratio=True, rotate=(-180, 180), border_mode=cv2.BORDER_CONSTANT, p=0.36),
        A.GaussNoise(std_range=(0.0, 0.06), p=0.1),
        A.GaussianBlur(blur_limit=0, sigma_limit=(0.5, 1.0), p=0.2),
        A.RandomBrightnessContrast(0.0, 0.25, p=0.15),
        A.MultiplicativeNoise(multiplier=(0.75, 1.25), p=0.15),
        _low_resolution(0.5, 0.25),
        A.Sequential(negative, p=0.1),
        A.RandomGamma((70, 150), p=0.3),
        A.HorizontalFlip(p=0.5),
        A.VerticalFlip(p=0.5),
    ]


def _resliced() -> Transforms:
    """Any turn in the plane and flips; a slice can't be cut anew, so the other planes are for patches."""
    return [A.HorizontalFlip(p=0.5), A.Affine(rotate=(-180, 180), border_mode=cv2.BORDER_CONSTANT, p=0.9)]


def _upright() -> Transforms:
    """Turns, scales and intensities without a flip, for anatomy whose ends are classes."""
    return [
        _affine(0.6, 20, 0.15, 0.06),
        A.RandomBrightnessContrast(0.15, 0.15, p=0.4),
        A.RandomGamma((75, 135), p=0.2),
    ]


def _anatomical() -> Transforms:
    """For brain MR: left-right flips, elastic, turns within 10 degrees; intensities and sizes stay as they are."""
    return [
        A.HorizontalFlip(p=0.5),
        A.Affine(rotate=(-10, 10), border_mode=cv2.BORDER_CONSTANT, p=0.5),
        A.ElasticTransform(alpha=120, sigma=10, p=0.3),
    ]


SLICE_PIPELINES: dict[str, Callable[[], Transforms]] = {
    "none": list,
    "light": _light,
    "medium": _medium,
    "heavy": _heavy,
    "flips": _flips,
    "zoom": _zoom,
    "distortion": _distortion,
    "degraded": _degraded,
    "scanner": _scanner,
    "nnunet": _nnunet,
    "resliced": _resliced,
    "upright": _upright,
    "anatomical": _anatomical,
}


def slice_pipeline(name: str, square: bool = True) -> A.Compose | None:
    """The albumentations pipeline of that name, None for `none`; planes that are not square get no quarter turn.

    Raises ConfigError for an unknown name, and for an argument that albumentations no longer takes: it would only warn,
    and draw something else.
    """
    if name not in SLICE_PIPELINES:
        known = list(SLICE_PIPELINES)
        raise ConfigError(f"no augmentation is called {name}{nearest_word(name, known)}: {', '.join(known)}")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        try:
            steps = SLICE_PIPELINES[name]()
        except (UserWarning, ValueError) as e:
            raise ConfigError(f"augment {name}: albumentations {A.__version__} refuses it: {e}") from e
    steps = [step for step in steps if square or not isinstance(step, A.RandomRotate90)]
    return A.Compose(steps) if steps else None
