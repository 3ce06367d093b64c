"""The named pipelines for patches: steps, each with the share of patches it is for; slice_pipelines.py has the same
names."""

from collections.abc import Callable
from functools import partial

from casefold.core import ConfigError, nearest_word
from casefold.data.patch_steps import (
    Step,
    add,
    bias_field,
    blur,
    contrast,
    flip,
    gamma,
    holes,
    low_resolution,
    multiply,
    noise,
    one_of,
)
from casefold.data.warp import warp

Steps = list[tuple[float, Step]]


def _flip(axes: str) -> Steps:
    return [(0.5, partial(flip, axis=1 + "zyx".index(axis))) for axis in axes]


def _light() -> Steps:
    """Flips along y and x."""
    return _flip("yx")


def _medium() -> Steps:
    """The default: light, turns, scales and intensities."""
    return [
        *_flip("yx"),
        (0.5, partial(warp, degrees=(20, 10, 10), scale=(0.85, 1.15), stretch=True)),
        (0.3, partial(multiply, factors=(0.75, 1.25))),
        (0.3, partial(add, values=(-0.1, 0.1))),
        (0.2, partial(gamma, powers=(0.7, 1.5))),
    ]


def _heavy() -> Steps:
    """Medium, with flips along z, noise and blur."""
    return [
        *_flip("z"),
        *_medium(),
        (0.15, partial(noise, deviation=(0, 0.05))),
        (0.15, partial(blur, sigma_voxels=(0.3, 0.8))),
    ]


def _flips() -> Steps:
    """The eight flips, nothing else (CZII 2024, 1st)."""
    return _flip("zyx")


def _zoom() -> Steps:
    """Scale 0.5 to 2 with another place, flips (UW-Madison 2022, 1st: the scales of its UPerNet, in 3D)."""
    return [
        *_flip("yx"),
        (0.8, partial(warp, scale=(0.5, 2), shift=0.125)),
        (0.5, partial(multiply, factors=(0.8, 1.2))),
    ]


def _distortion() -> Steps:
    """Turns within 15 degrees, one of grid distortion and holes, intensities (UW-Madison 2022, 1st: SegResNets)."""
    bends = (partial(warp, distort=0.3, cells=5), partial(holes, count=(5, 8), share=0.15))
    return [
        *_flip("yx"),
        (0.5, partial(warp, degrees=(15, 15, 15), scale=(0.9, 1.1), stretch=True, shift=0.0625)),
        (0.3, partial(one_of, steps=bends)),
        (0.5, partial(multiply, factors=(0.8, 1.2))),
        (0.5, partial(add, values=(-0.1, 0.1))),
    ]


def _degraded() -> Steps:
    """Blur, noise, low resolution and holes, on light."""
    spoils = (partial(noise, deviation=(0.02, 0.1)), partial(blur, sigma_voxels=(0.5, 1.2)))
    return [
        *_light(),
        (0.5, partial(one_of, steps=spoils)),
        (0.25, partial(low_resolution, zoom=(0.4, 0.9))),
        (0.3, partial(holes, count=(2, 6), share=0.2)),
    ]


def _scanner() -> Steps:
    """What differs from one MR scanner to the next: bias field, gamma, contrast, noise, resolution; shapes stay."""
    return [
        *_flip("x"),
        (0.5, partial(bias_field, strength=0.7)),
        (0.5, partial(gamma, powers=(0.6, 1.6))),
        (0.3, partial(contrast, factors=(0.8, 1.2))),
        (0.25, partial(noise, deviation=(0.01, 0.05))),
        (0.25, partial(low_resolution, zoom=(0.5, 0.9))),
    ]


def _nnunet() -> Steps:
    """nnU-Net's default (Isensee 2021): turns within 30 degrees, scale 0.7 to 1.4, noise, blur, brightness, contrast,
    low resolution, gamma on the image and on its negative, flips; turn and scale are drawn together, noise as for a
    deviation of 0.2.
    """
    return [
        (0.36, partial(warp, degrees=(30, 30, 30), scale=(0.7, 1.4))),
        (0.1, partial(noise, deviation=(0, 0.06))),
        (0.2, partial(blur, sigma_voxels=(0.5, 1))),
        (0.15, partial(multiply, factors=(0.75, 1.25))),
        (0.15, partial(contrast, factors=(0.75, 1.25))),
        (0.25, partial(low_resolution, zoom=(0.5, 1))),
        (0.1, partial(gamma, powers=(0.7, 1.5), negative=True)),
        (0.3, partial(gamma, powers=(0.7, 1.5))),
        *_flip("zyx"),
    ]


def _resliced() -> Steps:
    """The volume cut along any plane, and flips (SenNet 2023, 1st to 4th); for voxels about as long in z as in y, x."""
    return [*_flip("zyx"), (0.9, partial(warp, degrees=None))]


def _upright() -> Steps:
    """Turns, scales and intensities without a flip, for anatomy whose ends are classes (the hippocampus)."""
    return [
        (0.5, partial(warp, degrees=(20, 20, 20), scale=(0.85, 1.15), stretch=True, shift=0.05)),
        (0.3, partial(multiply, factors=(0.75, 1.25))),
        (0.3, partial(add, values=(-0.05, 0.05))),
        (0.15, partial(noise, deviation=(0, 0.03))),
    ]


def _anatomical() -> Steps:
    """For brain MR: left-right flips, elastic, turns within 10 degrees; intensities and sizes stay as they are."""
    return [*_flip("x"), (0.6, partial(warp, degrees=(10, 10, 10), elastic=0.6))]


PATCH_PIPELINES: dict[str, Callable[[], Steps]] = {
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


def patch_pipeline(name: str) -> Steps:
    """The steps of that name, empty for `none`; raises ConfigError for an unknown name."""
    if name not in PATCH_PIPELINES:
        known = list(PATCH_PIPELINES)
        raise ConfigError(f"no augmentation is called {name}{nearest_word(name, known)}: {', '.join(known)}")
    return PATCH_PIPELINES[name]()
