"""A team mate's members: their OOF imported as if trained here, their test maps opened for submission."""

from collections.abc import Iterable

from casefold.config.external import External
from casefold.files import hash_file
from casefold.folds import FoldTable
from casefold.oof.external import Outside, open_outside
from casefold.oof.importing import import_oof
from casefold.pipeline.project import Project
from casefold.store import Store
from casefold.train.run import move_aside


def import_step(project: Project, store: Store, table: FoldTable, names: Iterable[str], redo: bool = False) -> None:
    """Import the OOF of those of these members that are external; redo: again, the earlier import moved aside."""
    for name in names:
        config = project.members[name]
        if isinstance(config, External):
            target = project.paths.member(project.ensemble.dataset, name)
            outside = open_outside(config, project.paths.raw(config.root), store.classes)
            if redo:
                move_aside(target)
            import_oof(outside, store, table, target)


def open_tests(project: Project, names: Iterable[str], classes: tuple[str, ...]) -> dict[str, Outside]:
    """Where the test maps of those of these members lie that are external."""
    return {
        name: open_outside(config, project.paths.raw(config.test_root or config.root), classes)
        for name in names
        if isinstance(config := project.members[name], External)
    }


def digests_of_tests(outside: Outside) -> list[str]:
    """Of a member's manifest and test maps."""
    return [hash_file(outside.manifest_path), *(outside.digest(entry) for entry in outside.manifest.test)]
