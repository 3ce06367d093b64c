"""Configs: every fault at once with the nearest word, overrides through the same schema, saved and read back equal."""

from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from casefold import losses
from casefold.config import datasets, experiments, networks
from casefold.config.base import Strict
from casefold.config.load import (
    differing_fields,
    dump,
    load_dataset,
    load_detector,
    load_ensemble,
    load_experiment,
    load_study,
    parse_experiment,
    read_yaml,
    save,
)
from casefold.config.losses import LossConfig
from casefold.config.paths import Paths
from casefold.core import ConfigError
from casefold.data.augment import PATCH_PIPELINES, SLICE_PIPELINES
from casefold.models.slices import OWN_NETS, SMP_ARCHS
from casefold.models.volumes import NETS
from casefold.readers.table import READERS

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.glob("*/*.yaml"))
MEMBERS = [name for name in FILES if name.split("/")[0] not in ("datasets", "detect", "ensembles", "studies")]
SMALL = "kind: seg25d\nname: a\nmodel: {arch: unet, encoder: e}\ntrain: {epochs: 1}\n"
VOLUME = "kind: seg3d\nname: a\ntrain: {epochs: 1}\n"
SET = "reader: nifti\nroot: x\nclasses: [a]\n"


def experiment(root: Path, text: str = SMALL, *overrides: str, name: str = "a") -> Any:
    (root / f"{name}.yaml").write_text(text)
    return load_experiment(root, name, overrides)


def dataset(root: Path, text: str = SET, *overrides: str) -> Any:
    (root / "datasets").mkdir(exist_ok=True)
    (root / "datasets" / "d.yaml").write_text(text)
    return load_dataset(root, "d", overrides)


def faults(root: Path, text: str) -> list[str]:
    """The lines of the one error that loading gives, without the first."""
    with pytest.raises(ConfigError) as caught:
        dataset(root, text) if text.startswith("reader") else experiment(root, text)
    head, *lines = str(caught.value).splitlines()
    assert head.endswith(f".yaml has {len(lines)} fault(s):")
    return [line.removeprefix("  ") for line in lines]


def test_all_faults_are_told_at_once_with_place_and_nearest_word(tmp_path: Path) -> None:
    text = (
        "kind: seg25d\nname: a\naugment: mediun\nmodel: {arch: unetplus, encoder: e, pretraind: true}\n"
        "data: {windw: [0], normalize: {name: percentle}}\ntrain: {epochs: 0, average: {name: ema, decay: 2}}\n"
        "losses: [{name: bce}, {name: dice, weigth: 3}]\n"
    )
    assert sorted(faults(tmp_path, text)) == [
        "augment: allowed: none, light, medium, heavy, flips, zoom, distortion, degraded, scanner, nnunet, resliced, "
        "upright, anatomical (did you mean 'medium'?); came 'mediun'",
        "data.normalize.name: allowed: percentile, zscore, minmax, foreground, window, none "
        "(did you mean 'percentile'?); came 'percentle'",
        "data.windw: unknown word (did you mean 'window'?)",
        "losses.1.weigth: unknown word (did you mean 'weight'?)",
        "model.arch: allowed: unet, unetplusplus, upernet, fpn, manet, linknet, pspnet, deeplabv3plus, segformer, "
        "plain_unet, capsules (did you mean 'unetplusplus'?); came 'unetplus'",
        "model.pretraind: unknown word (did you mean 'pretrained'?)",
        "train.average.decay: Input should be less than 1; came 2",
        "train.epochs: Input should be greater than or equal to 1; came 0",
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("kind: seg25\nname: a\n", ["kind: allowed: cls, seg25d, seg3d (did you mean 'seg25d'?); came 'seg25'"]),
        ("name: a\n", ["kind: is missing"]),
        ("kind: cls\nname: a\nmodel: {}\n", ["train: is missing", "model.encoder: is missing"]),
        (
            SMALL + "data: {normalize: {name: percentile, low: 3}}\n",
            [
                "data.normalize.low: the store keeps the percentiles 0, 0.1, 0.5, 1, 2, 5, 10, 25, 50, 75, 90, 95, 98, "
                "99, 99.5, 99.9, 100; came 3"
            ],
        ),
        (
            SMALL + "losses: [{name: ce}]\n",
            ["the whole: losses[0]: `ce` wants model.activation softmax; sigmoid goes with `bce`"],
        ),
        (
            SMALL + "losses: [{name: bce}, {name: bce, on: presence}]\n",
            ["the whole: losses[1]: there is no presence output; set model.presence_head"],
        ),
        (
            SMALL + "predict: {flips: [x, yz]}\n",
            ["the whole: predict.flips: a slice has no z axis; flip along x, y or xy"],
        ),
        (
            VOLUME + "model: {arch: unet}\n",
            ["the whole: data.patch: whole scans differ in size; give a patch, or train.batch_size 1"],
        ),
        (SMALL.replace("epochs: 1", "epochs: 1, lr: [1]"), ["train.lr: Input should be a valid number"]),
        (
            VOLUME + "model: {arch: unet}\ndata: {patch: [8, 8], zoom: [1, 0.5, half]}\n",
            [
                "data.patch.2: is missing",
                "data.zoom.2: Input should be a valid number, unable to parse string as a number; came 'half'",
            ],
        ),
        (VOLUME + "model: {}\n", ["model.arch: is missing"]),
        (
            VOLUME + "model: {arch: segresnets}\n",
            [
                "model.arch: allowed: unet, attention_unet, residual_unet, dynunet, segresnet, flexible_unet, "
                "swinunetr, unetr, plain_unet, capsules (did you mean 'segresnet'?); came 'segresnets'"
            ],
        ),
        (
            VOLUME + "model: {arch: unet, dropot: 0.1}\n",
            ["model.dropot: unknown word (did you mean 'dropout'?)"],
        ),
        (
            VOLUME + "model: {arch: dynunet, channels: [8, 16, 32], strides: [2, 2], deep_supervision: 2}\n",
            ["model: deep_supervision: of 3 levels, 1 at most lie between output and bottom, not 2"],
        ),
        (
            VOLUME + "model: {arch: segresnet, blocks_down: [1, 1, 1], blocks_up: [1]}\n",
            ["model: 3 blocks_down want 2 blocks_up, not 1"],
        ),
        (
            VOLUME + "model: {arch: segresnet, deep_supervision: 1, dropout: 0.1}\n",
            ["model: dropout: segresnet has none under deep_supervision; take one of the two"],
        ),
        (
            VOLUME + "model: {arch: segresnet, filters: 12}\n",
            ["model: group norm has 8 groups, which do not divide [12] channels; take multiples"],
        ),
        (
            "reader: dicm\nroot: x\nclasses: [a]\n",
            ["reader: allowed: uwmgi, phantom, nifti, dicom, images (did you mean 'dicom'?); came 'dicm'"],
        ),
        (SET.replace("[a]", "[a, b, a]"), ["the whole: classes names ['a'] more than once"]),
        (
            SET + "folds: {kind: grup}",
            ["folds.kind: allowed: case, group, time, given, shares, roots (did you mean 'group'?); came 'grup'"],
        ),
        (
            SET + "folds: {kind: group, file: g.csv}\n",
            ["folds: groups come from `file` and `column`, or from `pattern`; give one of the two"],
        ),
        (
            SET + "spacing_mm: unknow\n",
            [
                "spacing_mm: allowed: from_file, unknown (did you mean 'unknown'?); came 'unknow'",
                "spacing_mm: Input should be a valid tuple; came 'unknow'",
            ],
        ),
        (
            "reader: uwmgi\nroot: x\nclasses: [a]\nspacing_mm: [from_name, 1, 1]\n",
            ["the whole: the file names say nothing of z: spacing_mm[0] must be a number"],
        ),
    ],
)
def test_a_fault_names_its_place(tmp_path: Path, text: str, lines: list[str]) -> None:
    assert faults(tmp_path, text) == lines


def test_a_number_that_yaml_reads_as_text_is_a_number(tmp_path: Path) -> None:
    assert yaml.safe_load("lr: 3e-4") == {"lr": "3e-4"}
    assert experiment(tmp_path, SMALL.replace("epochs: 1", "epochs: 1, lr: 3e-4")).train.lr == 0.0003


def test_the_word_on_is_a_key(tmp_path: Path) -> None:
    assert yaml.safe_load("on: maps") == {True: "maps"}
    text = SMALL.replace("encoder: e", "encoder: e, presence_head: any") + "losses: [{name: dice, on: maps}"
    config = experiment(tmp_path, text + ", {name: bce, on: presence}]\n", "losses=[{on: maps, name: bce}]")
    assert [(loss.name, loss.on) for loss in config.losses] == [("bce", "maps")]
    config = experiment(tmp_path, text + ", {name: bce, on: presence}]\n", "model.pretrained=no")
    assert [loss.on for loss in config.losses] == ["maps", "presence"] and config.model.pretrained is False


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml, line 4: \['epochs'\] stands twice"):
        experiment(tmp_path, SMALL.replace("epochs: 1", "epochs: 1, epochs: 2"))
    with pytest.raises(ConfigError, match=r"a\.yaml, line 1: \['name'\] stands twice"):
        experiment(tmp_path, SMALL + "name: b\n")


def test_what_is_no_mapping_or_no_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="should be a mapping of keys to values, but is list"):
        experiment(tmp_path, "- a\n")
    with pytest.raises(ConfigError, match=r"a\.yaml is not YAML"):
        experiment(tmp_path, "a: [\n")
    with pytest.raises(ConfigError, match=r"no config .*aa\.yaml \(did you mean 'a'\?\); .* holds \['a'\]"):
        load_experiment(tmp_path, "aa")


def test_overrides_go_through_the_same_schema(tmp_path: Path) -> None:
    config = experiment(
        tmp_path, SMALL, "train.lr=1e-4", "data.window=[-2, 0, 2]", "train.average.name=none", "predict.flips=[x]"
    )
    assert (config.train.lr, config.data.window, config.train.average.name) == (0.0001, (-2, 0, 2), "none")
    assert (config.train.epochs, config.predict.flips) == (1, ("x",))
    assert dataset(tmp_path, SET, "spacing_mm=unknown").spacing_mm == "unknown"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.lr", "--set takes name=value, for instance train.lr=1e-4, not 'train.lr'"),
        ("train.lr=[1", r"--set train\.lr=\[1: '\[1' is not YAML"),
        ("train.l=1", r"train\.l: unknown word \(did you mean 'lr'\?\)"),
        ("train.epochs=0", r"train\.epochs: Input should be greater than or equal to 1; came 0"),
        ("train.epochs.x=1", r"--set train\.epochs\.x=1: 'epochs' holds a plain value, so nothing stands below it"),
        ("name=b", "`name: b` should be the file's own name, 'a'"),
    ],
)
def test_an_override_that_does_not_fit_is_refused(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        experiment(tmp_path, SMALL, override)


def test_the_files_name_is_the_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"b\.yaml: `name: a` should be the file's own name, 'b'"):
        experiment(tmp_path, SMALL, name="b")
    (tmp_path / "ensembles").mkdir()
    (tmp_path / "ensembles" / "e.yaml").write_text("name: f\ndataset: d\nmembers: [x/m]\n")
    with pytest.raises(ConfigError, match=r"e\.yaml: `name: f` should be the file's own name, 'e'"):
        load_ensemble(tmp_path, "e")


def test_an_ensemble_names_its_members_once_and_its_gate_among_them(tmp_path: Path) -> None:
    (tmp_path / "ensembles").mkdir()
    path = tmp_path / "ensembles" / "e.yaml"
    path.write_text("name: e\ndataset: d\nmembers: [x/m, y/m]\n")
    with pytest.raises(ConfigError, match=r"members: a name stands twice in \['m', 'm'\]"):
        load_ensemble(tmp_path, "e")
    path.write_text("name: e\ndataset: d\nmembers: [x/m]\ngate: {members: [n]}\n")
    with pytest.raises(ConfigError, match=r"gate\.members: 'n' is not among the members \['m'\]"):
        load_ensemble(tmp_path, "e")


def test_roots_are_below_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATA", "STORE", "RUNS", "CONFIGS", "FOLDS"):
        monkeypatch.delenv(f"CASEFOLD_{name}", raising=False)
    monkeypatch.setenv("CASEFOLD_DATA", str(tmp_path))
    paths = Paths.from_environment()
    assert (paths.raw("x"), paths.store, paths.folds) == (tmp_path / "x", Path("store"), Path("folds"))
    assert paths.run("d", "m", "2") == Path("runs/d/members/m/fold2")
    assert paths.run("d", "m", "full") == Path("runs/d/members/m/full")
    with pytest.raises(ConfigError, match="root: /x is absolute; write it below CASEFOLD_DATA and set that"):
        paths.raw("/x")


@pytest.mark.parametrize("member", MEMBERS)
def test_a_saved_config_has_every_value_and_reads_back_equal(member: str, tmp_path: Path) -> None:
    config = load_experiment(CONFIGS, member)
    save(config, tmp_path / "config.yaml")
    plain = read_yaml(tmp_path / "config.yaml")
    assert plain["schema"] == 1
    waiting = [(config, plain)]
    while waiting:
        part, written = waiting.pop()
        assert set(type(part).model_fields) == set(written) - {"schema"}
        for name in type(part).model_fields:
            if isinstance(value := getattr(part, name), Strict):
                waiting.append((value, written[name]))
    assert parse_experiment(plain, tmp_path / "config.yaml") == config


def test_a_saved_config_of_another_schema_is_refused(tmp_path: Path) -> None:
    saved = {**dump(experiment(tmp_path)), "schema": 2}
    with pytest.raises(ConfigError, match=r"config\.yaml has schema 2; this casefold reads schema 1"):
        parse_experiment(saved, Path("config.yaml"))


def test_configs_do_not_change(tmp_path: Path) -> None:
    config = experiment(tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        config.train.lr = 1.0


def test_differing_fields_are_named_with_both_values(tmp_path: Path) -> None:
    old, new = dump(experiment(tmp_path)), dump(experiment(tmp_path, SMALL, "train.lr=1.0", "data.window=[0]"))
    assert sorted(differing_fields(old, new)) == ["data.window: [-1, 0, 1] -> [0]", "train.lr: 0.0003 -> 1.0"]
    assert differing_fields(old, old) == []


@pytest.mark.parametrize("name", FILES)
def test_every_config_that_we_ship_loads(name: str) -> None:
    folder, stem = name.split("/")
    if folder == "datasets":
        assert not Path(load_dataset(CONFIGS, stem).root).is_absolute()
    elif folder in ("ensembles", "studies"):
        whole = load_study(CONFIGS / f"{name}.yaml") if folder == "studies" else load_ensemble(CONFIGS, stem)
        load_dataset(CONFIGS, whole.dataset)
        for member in whole.members:
            load_experiment(CONFIGS, member)
    elif folder == "detect":
        assert load_detector(CONFIGS, stem).kind == "detect"
    else:
        kind = load_experiment(CONFIGS, name).kind  # type: ignore[attr-defined]
        assert folder in (kind, "smoke")


def test_the_words_of_the_schema_are_those_of_the_tables() -> None:
    terms = get_args(get_args(LossConfig)[0])
    assert {word for term in terms for word in get_args(term.model_fields["name"].annotation)} == set(losses.TERMS)
    assert set(get_args(experiments.AugmentName)) == set(SLICE_PIPELINES) == set(PATCH_PIPELINES)
    assert set(get_args(networks.ArchName)) == set(SMP_ARCHS)
    nets = get_args(get_args(networks.Seg3dModel)[0])
    assert {word for net in nets for word in get_args(net.model_fields["arch"].annotation)} == set(NETS)
    own = [get_args(net)[0] for net in get_args(get_args(networks.Seg25dModel)[0])[1:]]
    words = [word for net in own for word in get_args(net.model_fields["arch"].annotation)]
    assert set(words) == set(networks.OWN_ARCHS) == set(OWN_NETS)
    formats = get_args(get_args(datasets.DatasetConfig)[0])
    assert {word for kind in formats for word in get_args(kind.model_fields["reader"].annotation)} == set(READERS)
