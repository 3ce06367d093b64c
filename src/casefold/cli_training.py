"""The options that every training verb has, written down once."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Annotated, Any, Literal

import typer

Jobs = Annotated[int | None, typer.Option(help="processes side by side [default: one a core, one with a GPU]")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]


@dataclass(frozen=True)
class Training:
    """How to train: what the options say."""

    jobs: int | None
    device: str
    overrides: Sequence[str]
    members: Sequence[str]
    redo: bool
    workers: int | None
    boards: Sequence[str]
    save_minutes: float
    save_steps: int | None
    dry_run: bool
    time: str | None
    cluster: Literal["here", "slurm", "local"]
    cluster_settings: Sequence[str]


def _collect(
    jobs: Jobs = None,
    device: Device = "auto",
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="train.lr=1e-4, or MEMBER.train.lr=1e-4; repeatable")
    ] = None,
    member: Annotated[list[str] | None, typer.Option("--member", help="only this member; repeatable")] = None,
    redo: Annotated[bool, typer.Option("--redo", help="move earlier runs aside and train again")] = False,
    workers: Annotated[
        int | None, typer.Option(help="data loading processes of each run [default: 0 on a CPU, 2 to 8 with a GPU]")
    ] = None,
    board: Annotated[
        list[str] | None, typer.Option("--board", help="tensorboard or wandb, beside log.csv; repeatable")
    ] = None,
    save_minutes: Annotated[float, typer.Option(help="a checkpoint at least so often, besides each epoch's")] = 10.0,
    save_steps: Annotated[int | None, typer.Option(help="a checkpoint after so many steps")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="train nothing: shapes, one batch by heart, memory, projected hours")
    ] = False,
    time: Annotated[str | None, typer.Option(help="as many epochs as fit: 8h, 90m; schedules included")] = None,
    cluster: Annotated[str, typer.Option(help="here, slurm, or local: submitit on this machine")] = "here",
    cluster_set: Annotated[
        list[str] | None, typer.Option("--cluster-set", help="slurm_partition=gpu, timeout_min=600 ...; repeatable")
    ] = None,
) -> Training:
    if cluster not in ("here", "slurm", "local"):
        raise typer.BadParameter(f"here, slurm or local, not {cluster!r}", param_hint="--cluster")
    unknown = sorted(set(board or ()) - {"tensorboard", "wandb"})
    if unknown:
        raise typer.BadParameter(f"tensorboard or wandb, not {unknown[0]!r}", param_hint="--board")
    where: Any = cluster
    return Training(
        jobs, device, overrides or [], member or [], redo, workers, board or [], save_minutes, save_steps, dry_run,
        time, where, cluster_set or [],
    )  # fmt: skip


def with_training_options(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb with all training options behind its own arguments; it gets them as one, `how`."""
    shared = inspect.signature(_collect, eval_str=True).parameters
    own = [parameter for name, parameter in inspect.signature(verb, eval_str=True).parameters.items() if name != "how"]

    @wraps(verb)
    def command(**words: Any) -> None:
        how = _collect(**{name: words.pop(name) for name in shared})
        verb(**words, how=how)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in [*own, *shared.values()]]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command
