"""The Hausdorff distance against hand values, brute force, SciPy and MONAI, by every short cut it takes."""

import math

import numpy as np
import pytest
import torch
from monai.metrics import compute_hausdorff_distance
from pairs import STEPS, Step, brute_force, by_transforms, cube, kinds, random_masks, voxels
from scipy import ndimage
from scipy.spatial.distance import directed_hausdorff

from casefold import metrics
from casefold.core import DataError
from casefold.metrics import TruthDistances, farthest

KINDS = sorted(kinds(0))


def test_hausdorff_of_two_voxels() -> None:
    a, b = voxels((4, 5, 6), (0, 0, 0)), voxels((4, 5, 6), (1, 2, 2))
    assert metrics.hausdorff_voxels(a, b) == 3.0  # sqrt(1 + 4 + 4)
    assert metrics.hausdorff_mm(a, b, (6.0, 1.5, 2.0)) == pytest.approx(math.sqrt(6**2 + 3**2 + 4**2), abs=1e-12)
    assert metrics.hausdorff_voxels(a, a) == 0.0


def test_hausdorff_of_slices_takes_a_step_of_two_lengths() -> None:
    a, b = voxels((5, 6), (0, 0)), voxels((5, 6), (4, 3))
    assert metrics.hausdorff_voxels(a, b, (1.0, 1.0)) == 5.0
    assert metrics.hausdorff_voxels(a, b, (0.5, 2.0)) == pytest.approx(math.sqrt(2**2 + 6**2), abs=1e-12)


def test_hausdorff_takes_the_larger_direction_and_inner_voxels_into_account() -> None:
    whole, shell = np.ones((7, 7, 7), bool), np.ones((7, 7, 7), bool)
    shell[1:-1, 1:-1, 1:-1] = False
    assert metrics.hausdorff_voxels(whole, shell) == 3.0  # from the cube's centre, which is no surface voxel
    assert metrics.hausdorff_voxels(shell, whole) == 3.0


def test_surface_points_give_another_distance_where_one_mask_holds_the_others_surface() -> None:
    whole, shell, pierced = (np.ones((7, 7, 7), bool) for _ in range(3))
    shell[1:-1, 1:-1, 1:-1], pierced[3, 3, 3] = False, False
    assert metrics.hausdorff_voxels(whole, shell, points="surface") == 0.0  # the shell is both surfaces
    assert metrics.hausdorff_voxels(whole, pierced) == 1.0  # from the hole to its wall
    assert (
        metrics.hausdorff_voxels(whole, pierced, points="surface") == 2.0
    )  # from the wall, 3 - 1 deep, to the outside
    spacing = (2.0, 3.0, 4.0)
    assert metrics.hausdorff_mm(whole, pierced, spacing) == 2.0
    assert metrics.hausdorff_mm(whole, pierced, spacing, "surface") == 6.0  # the walls to left and right: 3 slices up


def test_the_surface_is_what_erosion_takes_away() -> None:
    solid = cube(3, 1)
    assert metrics.surface(solid).sum() == 3**3 - 1
    assert not metrics.surface(solid)[2, 2, 2]
    assert metrics.surface(np.ones((3, 3), bool)).tolist() == [[True, True, True], [True, False, True], [True] * 3]
    assert not metrics.surface(np.zeros((2, 3), bool)).any()
    for one, other in kinds(1).values():
        for mask in (one, other, np.asfortranarray(one), other[3], other[:, ::2]):
            np.testing.assert_array_equal(metrics.surface(mask), mask & ~ndimage.binary_erosion(mask))


def test_hausdorff_of_empty_masks() -> None:
    empty, full = np.zeros((2, 2, 2), bool), np.ones((2, 2, 2), bool)
    assert metrics.hausdorff_voxels(empty, empty) == 0.0
    assert metrics.hausdorff_voxels(empty, full) == math.inf
    assert metrics.hausdorff_voxels(full, empty) == math.inf
    assert metrics.hausdorff_voxels(full, empty, points="surface") == math.inf
    with pytest.raises(DataError, match="needs spacing_mm, which this scan lacks; use hausdorff_voxels"):
        metrics.hausdorff_mm(full, full, None)


@pytest.mark.parametrize("step", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, math.nan, 1.0)])
def test_a_step_that_does_not_fit_is_refused(step: Step) -> None:
    full = np.ones((2, 2, 2), bool)
    with pytest.raises(DataError, match="should be 3 positive lengths, one an axis of the masks, not"):
        metrics.hausdorff_voxels(full, full, step)


@pytest.mark.parametrize("seed", range(20))
def test_hausdorff_equals_brute_force_and_scipy(seed: int) -> None:
    a, b = random_masks(seed, (5, 7, 6))
    a[0, 0, 0], b[4, 6, 5] = True, True
    for step in ((1.0, 1.0, 1.0), (3.0, 1.5, 0.7), (1 / 5, 1 / 7, 1 / 6)):
        ours = metrics.hausdorff_voxels(a, b, step)
        points = np.argwhere(a) * step, np.argwhere(b) * step
        scipys = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
        assert ours == pytest.approx(brute_force(a, b, step), abs=1e-9)
        assert ours == pytest.approx(scipys, abs=1e-9)
        assert ours == metrics.hausdorff_voxels(b, a, step)


@pytest.mark.parametrize("seed", range(2))
def test_hausdorff_of_surfaces_equals_scipy_and_monai(seed: int) -> None:
    for one, other in kinds(seed).values():
        for step in STEPS[:2]:
            ours = metrics.hausdorff_voxels(one, other, step, "surface")
            points = [np.argwhere(mask & ~ndimage.binary_erosion(mask)) * step for mask in (one, other)]
            scipys = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
            assert ours == pytest.approx(scipys, rel=1e-12)
            batch = [torch.from_numpy(mask)[None, None] for mask in (one, other)]
            monais = float(compute_hausdorff_distance(*batch, include_background=True, spacing=list(step)))
            assert ours == pytest.approx(monais, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
def test_every_short_cut_is_exact(kind: str, step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    no_shells, no_rounds = {"LOOKUPS": 0}, {"HANDFUL": 0, "SHRINK": 0.0, "ROUNDS": 1}
    settings: tuple[dict[str, float], ...] = (
        {},  # as it is
        {"NEAR": 0.0, "LOOKUPS": 10**9},  # by shells as far as they reach
        no_shells | {"HANDFUL": 10**6},  # farthest first to the end
        no_shells | no_rounds | {"FEW": 16, "MANY": 64, "SAMPLE": 4},  # by blocks
        no_shells | no_rounds | {"FEW": 10**6, "MANY": 10**7},  # the tree for nearly all
    )
    for seed in range(2):
        one, other = kinds(seed)[kind]
        wanted = by_transforms(one, other, step)
        for setting in settings:
            with monkeypatch.context() as patch:
                for name, value in setting.items():
                    patch.setattr(farthest, name, value)
                assert metrics.hausdorff_voxels(one, other, step) == pytest.approx(wanted, rel=1e-12)
                assert metrics.hausdorff_voxels(other, one, step) == pytest.approx(wanted, rel=1e-12)


def test_the_order_in_memory_and_the_place_in_the_array_do_not_matter() -> None:
    for one, other in kinds(2).values():
        wanted = metrics.hausdorff_voxels(one, other)
        assert metrics.hausdorff_voxels(np.asfortranarray(one), other.T.copy().T) == wanted
        assert metrics.hausdorff_voxels(*(np.pad(mask, ((3, 1), (0, 2), (5, 0))) for mask in (one, other))) == wanted


def test_one_truth_against_many_masks_gives_the_same_distances() -> None:
    truth = kinds(0)["moved"][0]
    empty = np.zeros_like(truth)
    for step in STEPS:
        distances = TruthDistances(truth, step)
        for one, other in kinds(0).values():
            for mask in (one, other):
                assert distances.to(mask) == metrics.hausdorff_voxels(truth, mask, step)
        assert (distances.to(empty), distances.to(truth)) == (math.inf, 0.0)
    assert (TruthDistances(empty).to(empty), TruthDistances(empty).to(truth)) == (0.0, math.inf)
    with pytest.raises(DataError, match="should lie on one grid"):
        TruthDistances(truth).to(truth[1:])
