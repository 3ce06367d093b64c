"""Read, override and dump configs; every fault of a file is reported at once, with the place and the nearest word."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from casefold.config.base import Dataset, Strict
from casefold.config.datasets import DatasetConfig
from casefold.config.detectors import Detect
from casefold.config.ensembles import Ensemble
from casefold.config.experiments import Experiment, ExperimentConfig, MemberConfig, as_plain
from casefold.config.external import External, Manifest
from casefold.config.studies import Study
from casefold.core import ConfigError, nearest_word
from casefold.files import write_text

Config = TypeVar("Config")
Named = TypeVar("Named", bound=Experiment | External | Ensemble | Detect | Study)
SCHEMA_VERSION = 1
BOOL = "tag:yaml.org,2002:bool"


class _Loader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys and reads the word `on` as true; this one refuses and doesn't."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if not (tag == BOOL and first in "oO")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {str(key) for key in keys if keys.count(key) > 1}
        if twice:
            raise ConfigError(f"{node.start_mark.name}, line {node.start_mark.line + 1}: {sorted(twice)} stands twice")
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """One YAML file in UTF-8 as plain data; raises ConfigError where it can't be read or a key stands twice."""
    try:
        with path.open("rb") as stream:
            content = yaml.load(stream, _Loader)
    except FileNotFoundError as e:
        known = sorted(other.stem for other in path.parent.glob("*.yaml"))
        hint = nearest_word(path.stem, known)
        raise ConfigError(f"no config {path}{hint}; {path.parent} holds {known or 'no configs'}") from e
    except OSError as e:
        raise ConfigError(f"{path} can't be read: {e.strerror}") from e
    except yaml.YAMLError as e:
        raise ConfigError(f"{path} is not YAML in UTF-8: {e}") from e
    if not isinstance(content, dict):
        raise ConfigError(f"{path} should be a mapping of keys to values, but is {type(content).__name__}")
    return content


def load_dataset(configs: Path, name: str, overrides: Sequence[str] = ()) -> Dataset:
    """The data set `configs/datasets/<name>.yaml`."""
    return _load(configs / "datasets" / f"{name}.yaml", TypeAdapter(DatasetConfig), overrides)


def load_experiment(configs: Path, member: str, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment `configs/<member>.yaml`; its `name:` must be the file's name."""
    return _check_name(_load(path := configs / f"{member}.yaml", TypeAdapter(ExperimentConfig), overrides), path)


def load_member_config(configs: Path, member: str, overrides: Sequence[str] = ()) -> Experiment | External:
    """An experiment, or a member that a team mate made."""
    return _check_name(_load(path := configs / f"{member}.yaml", TypeAdapter(MemberConfig), overrides), path)


def load_detector(configs: Path, name: str, overrides: Sequence[str] = ()) -> Detect:
    """The detector `configs/detect/<name>.yaml`; its `name:` must be the file's name."""
    return _check_name(_load(path := configs / "detect" / f"{name}.yaml", TypeAdapter(Detect), overrides), path)


def load_ensemble(configs: Path, name: str, overrides: Sequence[str] = ()) -> Ensemble:
    """The ensemble `configs/ensembles/<name>.yaml`; its `name:` must be the file's name."""
    return _check_name(_load(path := configs / "ensembles" / f"{name}.yaml", TypeAdapter(Ensemble), overrides), path)


def load_study(path: Path) -> Study:
    """The study of that file; its `name:` must be the file's name."""
    return _check_name(_load(path, TypeAdapter(Study), ()), path)


def read_manifest(path: Path) -> Manifest:
    """The manifest of a team mate's member; raises ConfigError naming every fault, or a key that stands twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice = {key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1}
        if twice:
            raise ConfigError(f"{path}: {sorted(twice)} stands twice")
        return dict(pairs)

    try:
        content = json.loads(path.read_bytes(), object_pairs_hook=once)
    except (OSError, ValueError) as e:
        raise ConfigError(f"{path} can't be read as JSON ({e}); it says what the files beside it are") from e
    if not isinstance(content, dict):
        raise ConfigError(f"{path} should be a mapping of keys to values, but is {type(content).__name__}")
    return _validate(content, TypeAdapter(Manifest), path)


def parse_experiment(content: dict[str, Any], origin: Path) -> Experiment:
    """An experiment as saved with a run or a recipe (`schema: 1` in front)."""
    return _validate_saved(content, TypeAdapter(ExperimentConfig), origin)


def parse_detector(content: dict[str, Any], origin: Path) -> Detect:
    """A detector as saved with a run or a bundle (`schema: 1` in front)."""
    return _validate_saved(content, TypeAdapter(Detect), origin)


def parse_dataset(content: dict[str, Any], origin: Path) -> Dataset:
    """A data set as saved with a bundle (`schema: 1` in front)."""
    return _validate_saved(content, TypeAdapter(DatasetConfig), origin)


def dump(config: Strict) -> dict[str, Any]:
    """A config with every value spelled out and the schema's version in front."""
    return {"schema": SCHEMA_VERSION, **as_plain(config)}


def save(config: Strict, path: Path) -> None:
    """Write a config as YAML, every value spelled out."""
    write_text(path, yaml.safe_dump(dump(config), sort_keys=False, allow_unicode=True))


def differing_fields(old: Any, new: Any, prefix: str = "") -> list[str]:
    """The dotted names of the fields in which two dumped configs differ, each as `name: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        names: Iterable[str] = dict.fromkeys([*old, *new])
        return [line for name in names for line in differing_fields(old.get(name), new.get(name), f"{prefix}{name}.")]
    return [] if old == new else [f"{prefix.rstrip('.')}: {old} -> {new}"]


def _load(path: Path, adapter: TypeAdapter[Config], overrides: Sequence[str]) -> Config:
    content = read_yaml(path)
    for override in overrides:
        _override(content, override)
    return _validate(content, adapter, path)


def _override(content: dict[str, Any], override: str) -> None:
    name, sign, value = override.partition("=")
    if not sign:
        raise ConfigError(f"--set takes name=value, for instance train.lr=1e-4, not {override!r}")
    *parents, last = name.split(".")
    place = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {override}: {parent!r} holds a plain value, so nothing stands below it")
    try:
        place[last] = yaml.load(value, _Loader)
    except yaml.YAMLError as e:
        raise ConfigError(f"--set {override}: {value!r} is not YAML") from e


def _check_name(config: Named, path: Path) -> Named:
    if config.name != path.stem:
        raise ConfigError(f"{path}: `name: {config.name}` should be the file's own name, {path.stem!r}")
    return config


def _validate_saved(content: dict[str, Any], adapter: TypeAdapter[Config], origin: Path) -> Config:
    version = content.pop("schema", None)
    if version != SCHEMA_VERSION:
        raise ConfigError(f"{origin} has schema {version!r}; this casefold reads schema {SCHEMA_VERSION}")
    return _validate(content, adapter, origin)


def _validate(content: dict[str, Any], adapter: TypeAdapter[Config], origin: Path) -> Config:
    try:
        return adapter.validate_python(content)
    except ValidationError as e:
        lines = [_explain(fault, content) for fault in e.errors(include_url=False)]
        raise ConfigError(f"{origin} has {len(lines)} fault(s):\n" + "\n".join(f"  {line}" for line in lines)) from e


def _explain(fault: Any, content: dict[str, Any]) -> str:
    place = _place(fault, content)
    where = ".".join(place) or "the whole"
    if fault["type"] == "extra_forbidden":
        hint = nearest_word(place[-1], sorted(_known_words() - {place[-1]}))
        return f"{where}: unknown word{hint}"
    if fault["type"] in ("missing", "union_tag_not_found"):
        return f"{where}: is missing"
    came = fault.get("input")
    message = fault["msg"].removeprefix("Value error, ")
    hint = ""
    if fault["type"] in ("literal_error", "union_tag_invalid"):
        expected = str(fault.get("ctx", {}).get("expected") or fault.get("ctx", {}).get("expected_tags"))
        words = [word.strip(" '") for word in expected.replace(" or ", ", ").split(",")]
        tag = str(fault.get("ctx", {}).get("tag", came))
        came, hint = tag, nearest_word(tag, words)
        message = f"allowed: {', '.join(words)}"
    return f"{where}: {message}{hint}" if isinstance(came, dict | list) else f"{where}: {message}{hint}; came {came!r}"


def _place(fault: Any, content: dict[str, Any]) -> list[str]:
    """Where the file holds a fault; pydantic puts the chosen alternatives (`seg25d`, `percentile`) between the keys."""
    place: list[str] = []
    value: Any = content
    for part in fault["loc"]:
        if part in (value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()):
            place.append(str(part))
            value = value[part]
    if fault["type"] == "missing":
        place.append(str(fault["loc"][-1]))
    if fault["type"].startswith("union_tag"):
        place.append(fault["ctx"]["discriminator"].strip("'"))
    return place


def _known_words() -> set[str]:
    words: set[str] = set()
    waiting: list[type[BaseModel]] = [Strict]
    while waiting:
        model = waiting.pop()
        words.update(field.alias or name for name, field in model.model_fields.items())
        waiting.extend(model.__subclasses__())
    return words
