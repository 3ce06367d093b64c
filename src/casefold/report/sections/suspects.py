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
        "Where the members agree with each other against the label. Suspicion is their agreement times their",
        "disagreement with the label, both by how sure they are. A high rank is a reason to look, not a verdict:",
        "a hard scan can look the same.",
    ]
    if held.members < 2:
        told.append(
            "With one member there is nobody to agree with: this list then only says where it is sure and wrong."
        )
    return Markup("").join(
        [
            note(*told),
            table(held.scans, "Scans", shown, first=10),
            table(held.slices, "Slices", shown, first=10),
        ]
    )
