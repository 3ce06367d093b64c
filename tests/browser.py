"""A report's page in headless Chromium, driven by a script as a reader would.

Wants Chromium (`apt-get install chromium`).
"""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
HEAD = """<script>
window.faults = [];
addEventListener("error", (event) => faults.push(String(event.message)));
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
const complain = console.error;
console.error = (...words) => { faults.push(words.join(" ")); complain(...words); };
</script>"""
BEFORE = """<pre id="told"></pre><script>
(async () => {
  const box = document.getElementById("viewer-box");
  const part = (name) => document.getElementById(`viewer-${name}`);
  const canvas = part("canvas");
  const told = {};
  const drawn = (before) => new Promise((done) => {
    const look = () => (box.dataset.shown !== before ? done() : setTimeout(look, 10));
    look();
  });
  const after = async (act) => {
    const before = box.dataset.shown;
    act();
    await drawn(before);
    return look();
  };
  const look = () => {
    const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    let sum = 0;
    for (let place = 0; place < data.length; place += 13) sum = (sum * 31 + data[place]) % 1000003;
    return {
      pixels: sum,
      place: part("place").textContent,
      scan: part("scan").value,
      source: part("source").value,
      slice: Number(part("slice").value),
      rows: [...part("numbers").tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent)),
    };
  };
  const press = (key) => canvas.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const choose = (name, value, event) => {
    part(name).value = value;
    part(name).dispatchEvent(new Event(event, { bubbles: true }));
  };
  await drawn(undefined);
  told.start = look();
"""
AFTER = """  return told;
})().then(
  (told) => { document.getElementById("told").textContent = JSON.stringify({ ...told, faults }); },
  (fault) => { document.getElementById("told").textContent = JSON.stringify({ failed: String(fault.stack), faults }); },
);
</script></body>"""


def drive(text: str, steps: str, path: Path) -> dict[str, Any]:
    """What a page tells: `told`, which the steps fill in, its `faults`, and the lines of its `console`.

    steps: of an async function in which BEFORE's names are known. path: where the page with them is written.
    """
    path.write_text(
        text.replace("<head>", "<head>" + HEAD).replace("</body>", BEFORE + steps + AFTER), encoding="utf-8"
    )
    browser = next((name for name in BROWSERS if shutil.which(name)), None)
    if browser is None:
        raise FileNotFoundError(f"none of {BROWSERS} is installed, which this test wants: apt-get install chromium")
    words = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    words += [f"--user-data-dir={path.parent / 'profile'}", "--virtual-time-budget=120000", "--dump-dom", path.as_uri()]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True)
    held = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
    assert held is not None, done.stderr
    told = json.loads(html.unescape(held.group(1)))
    assert "failed" not in told, told
    return {**told, "console": [line for line in done.stderr.splitlines() if ":CONSOLE" in line]}
