"""The viewer: the worst and the best scans, slice by slice; assets/viewer.js moves it."""

import math
from itertools import groupby

from markupsafe import Markup

from casefold.report.content import Content
from casefold.report.figures import COLOURS
from casefold.report.table import note, number
from casefold.report.viewer import Packed

BOX = """
<div id="viewer-box" class="viewer">
<div class="stage"><canvas id="viewer-canvas" tabindex="0" role="img" aria-label="the slice with its contours"></canvas>
<input type="range" id="viewer-slice" min="0" value="0" aria-label="slice">
<div class="place"><span id="viewer-place"></span><span id="viewer-name" class="soft"></span></div></div>
<div class="side"><div class="controls">
<label class="line">scan <select id="viewer-scan">{}</select></label>
<label class="line">found by <select id="viewer-source"></select></label>
<fieldset><legend>classes</legend>{}</fieldset>
<fieldset><legend>shown</legend>
<label><input type="checkbox" id="viewer-truth" checked> truth <span class="stroke"></span></label>
<label><input type="checkbox" id="viewer-found" checked> found <span class="stroke dashed"></span></label>
<label><input type="checkbox" id="viewer-errors"> errors <span class="chip" style="background:#d55e00"></span>too much
<span class="chip" style="background:#4078ff"></span>missed</label></fieldset></div>
<div class="scroll"><table class="fixed" id="viewer-numbers"><thead><tr><th>class</th>
<th class="number">truth <span class="unit">px</span></th><th class="number">found <span class="unit">px</span></th>
<th class="number">Dice, slice</th><th class="number">Dice, scan</th></tr></thead><tbody></tbody></table></div>
<p class="soft keys controls">Keys, once the picture was clicked: <kbd>←</kbd> <kbd>→</kbd> slice, <kbd>↑</kbd>
<kbd>↓</kbd> scan, <kbd>m</kbd> found by, <kbd>1</kbd> to <kbd>9</kbd> class, <kbd>t</kbd> truth, <kbd>p</kbd> found,
<kbd>e</kbd> errors. A white cross marks the voxel behind a Hausdorff distance.</p></div></div>
"""


def viewing(content: Content) -> Markup:
    """The viewer and its scans' data; nothing without scans."""
    if not content.viewer:
        return Markup("")
    names = Markup("").join(
        Markup('<optgroup label="{}">{}</optgroup>').format(
            group,
            Markup("").join(
                Markup('<option value="{}">{}</option>').format(place, _label(packed)) for place, packed in held
            ),
        )
        for group, held in groupby(enumerate(content.viewer), key=lambda pair: pair[1].group)
    )
    ticks = Markup("").join(
        Markup(
            '<label><input type="checkbox" class="viewer-class" checked>'
            '<span class="chip" style="background:{}"></span>{}</label>'
        ).format(COLOURS[index % len(COLOURS)], name)
        for index, name in enumerate(content.classes)
    )
    data = Markup("").join(_data(packed) for packed in content.viewer)
    return Markup("{}{}{}").format(
        note("Only slices with something on them, and a few beside, are kept here."),
        Markup(BOX).format(names, ticks),
        data,
    )


def _label(packed: Packed) -> str:
    return packed.scan if math.isnan(packed.score) else f"{packed.scan} · {number('', packed.score)}"


def _data(packed: Packed) -> Markup:
    """JSON that can't end its script, whatever the names in it."""
    text = packed.text.replace("<", "\\u003c")
    return Markup('<script type="application/json" class="scan" data-scan="{}">{}</script>').format(
        packed.scan, Markup(text)
    )
