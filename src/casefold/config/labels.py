"""Which value of a label map is which class, where a class may be several values and classes may share them."""

from collections.abc import Mapping

Values = Mapping[str, tuple[int, ...]]


def are_exclusive(values: Values) -> bool:
    """Whether no value belongs to two classes."""
    every = [value for own in values.values() for value in set(own)]
    return len(every) == len(set(every))


def written_values(values: Values, written: Mapping[str, int]) -> dict[str, int]:
    """The value that each class is painted with, later classes over earlier ones, so that it reads back as that class.

    It is `written[class]`, else the class's first value that no later class has. Raises ValueError naming a class that
    has none left, or whose written value is another class's.
    """
    names, result = list(values), dict[str, int]()
    for place, name in enumerate(names):
        later = names[place + 1 :]
        free = [value for value in values[name] if not any(value in values[other] for other in later)]
        value = written.get(name, free[0] if free else None)
        if value is None:
            raise ValueError(
                f"class {name} has the values {list(values[name])}, but later classes have them too and are painted "
                "over it; put it after them in `classes`, or give it a value of its own in `written`"
            )
        owners = [other for other in names if value in values[other]]
        rivals = [other for other in owners if other in later or name not in owners]
        rivals += [other for other, taken in result.items() if taken == value]
        if rivals:
            raise ValueError(f"written: {value} for class {name} already says {rivals[0]}; give it a value of its own")
        result[name] = value
    return result
