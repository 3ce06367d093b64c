"""Labels that the members doubt."""

from markupsafe import Markup

from casefold.report.content import Content
from casefold.report.table import note, table


def suspects(content: Content) -> Markup:
    """Scans and slices, the most suspect first."""
    held, shown = content.suspects, {packed.scan for packed in content.viewer}
    if held.scans.empty and held.slices.empty:
        return Markup("")
    told = [
        "Where the members are sure, and agree with each other, against the label. `score` is their agreement times",
        "their disagreement with the label; `excess` is how far it stands out among the scans, in robust standard",
        "deviations. A high rank is a reason to look, not a verdict: a hard scan can look the same.",
    ]
    if held.members < 2:
        told.append("With one member there is nobody to agree with: this only says where it is sure of something else.")
    return Markup("").join(
        [
            note(*told),
            table(held.scans, "Scans", shown, first=10),
            table(held.slices, "Slices", shown, first=10),
        ]
    )
