"use strict";
(() => {
  const box = document.getElementById("viewer-box");
  if (!box) return;
  const COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"];
  const EXTRA = [213, 94, 0, 190]; // found, but not in the truth
  const MISSED = [64, 120, 255, 190]; // in the truth, but not found
  const WIDTH = 816; // of the canvas at least, so that contours are fine
  const find = (name) => document.getElementById(`viewer-${name}`);
  const canvas = find("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const texts = [...document.querySelectorAll("script.scan")];
  const opened = new Map();
  const state = { scan: 0, slice: 0, source: "", hidden: new Set() };
  let shown = 0; // the newest drawing; an older one that ends later is dropped

  /** A mask's text as one byte a pixel; viewer.py says how it is written. */
  const decode = (text, size) => {
    const mask = new Uint8Array(size);
    const bytes = atob(text);
    let [place, inside, value, shift] = [0, 0, 0, 0];
    for (let index = 0; index < bytes.length; index += 1) {
      const byte = bytes.charCodeAt(index);
      value += (byte & 127) * 2 ** shift;
      shift += 7;
      if (byte < 128) {
        if (inside) mask.fill(1, place, place + value);
        place += value;
        [inside, value, shift] = [1 - inside, 0, 0];
      }
    }
    return mask;
  };

  const scanOf = (index) => {
    if (!opened.has(index)) opened.set(index, JSON.parse(texts[index].textContent));
    return opened.get(index);
  };
  const maskOf = (scan, source, label) =>
    decode(scan.masks[source]?.[label]?.[state.slice] ?? "", scan.width * scan.height);

  /** Closed paths along the mask's outline, through the middles of pixels' edges. */
  const outlines = (mask, width, height) => {
    const step = width + 1;
    const next = new Map();
    const put = (from, to) => (next.has(from) ? next.get(from).push(to) : next.set(from, [to]));
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        if (!mask[y * width + x]) continue;
        const corner = y * step + x;
        if (!y || !mask[(y - 1) * width + x]) put(corner, corner + 1);
        if (x === width - 1 || !mask[y * width + x + 1]) put(corner + 1, corner + 1 + step);
        if (y === height - 1 || !mask[(y + 1) * width + x]) put(corner + 1 + step, corner + step);
        if (!x || !mask[y * width + x - 1]) put(corner + step, corner);
      }
    }
    const path = new Path2D();
    while (next.size) {
      const loop = [next.keys().next().value];
      for (;;) {
        const here = loop.at(-1);
        const ends = next.get(here);
        if (!ends) break;
        loop.push(ends.pop());
        if (!ends.length) next.delete(here);
      }
      for (let index = 0; index + 1 < loop.length; index += 1) {
        const [a, b] = [loop[index], loop[index + 1]];
        const x = ((a % step) + (b % step)) / 2;
        const y = (Math.floor(a / step) + Math.floor(b / step)) / 2;
        if (index) path.lineTo(x, y);
        else path.moveTo(x, y);
      }
      path.closePath();
    }
    return path;
  };

  const stroke = (path, colour, dash, zoom, thin = false) => {
    for (const [ink, width] of thin ? [[colour, 1]] : [["rgba(0, 0, 0, 0.65)", 4], [colour, 2]]) {
      pen.strokeStyle = ink;
      pen.lineWidth = width / zoom;
      pen.setLineDash(dash.map((length) => length / zoom));
      pen.stroke(path);
    }
  };

  const errors = (scan, pairs) => {
    const layer = document.createElement("canvas");
    [layer.width, layer.height] = [scan.width, scan.height];
    const ink = layer.getContext("2d");
    const pixels = ink.createImageData(scan.width, scan.height);
    for (const { truth, found } of pairs) {
      for (let place = 0; place < truth.length; place += 1) {
        if (truth[place] !== found[place]) pixels.data.set(found[place] ? EXTRA : MISSED, 4 * place);
      }
    }
    ink.putImageData(pixels, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(layer, 0, 0);
    pen.imageSmoothingEnabled = true;
  };

  const cross = (scan, mark, zoom) => {
    const [x, y] = [(mark.x + 0.5) * scan.scale, (mark.y + 0.5) * scan.scale];
    const path = new Path2D();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      path.moveTo(x + (dx * 4) / zoom, y + (dy * 4) / zoom);
      path.lineTo(x + (dx * 14) / zoom, y + (dy * 14) / zoom);
    }
    stroke(path, "#ffffff", [], zoom);
  };

  const dice = (pairs) =>
    pairs.map(({ label, truth, found }) => {
      let [both, inTruth, inFound] = [0, 0, 0];
      for (let place = 0; place < truth.length; place += 1) {
        both += truth[place] & found[place];
        inTruth += truth[place];
        inFound += found[place];
      }
      const score = inTruth + inFound ? ((2 * both) / (inTruth + inFound)).toFixed(3) : "–";
      return { label, inTruth, inFound, score };
    });

  const report = (scan, pairs) => {
    const slice = scan.slices[state.slice];
    find("place").textContent = `z ${slice.z} (0 to ${scan.depth - 1})`;
    find("name").textContent = slice.name;
    const body = find("numbers").tBodies[0];
    body.replaceChildren();
    for (const { label, inTruth, inFound, score } of dice(pairs)) {
      const row = body.insertRow();
      const whole = scan.dice[state.source]?.[label];
      const cells = [scan.classes[label], inTruth, inFound, score, whole == null ? "–" : whole.toFixed(3)];
      cells.forEach((text, column) => {
        const cell = row.insertCell();
        cell.textContent = text;
        if (column) cell.className = "number";
      });
    }
  };

  const draw = async () => {
    shown += 1;
    const mine = shown;
    const scan = scanOf(state.scan);
    const slice = scan.slices[state.slice];
    const image = new Image();
    image.src = `data:image/webp;base64,${slice.image}`;
    await image.decode();
    if (mine !== shown) return;
    const zoom = Math.max(1, Math.ceil(WIDTH / scan.width));
    [canvas.width, canvas.height] = [scan.width * zoom, Math.round(scan.height * zoom * scan.aspect)];
    pen.setTransform(zoom, 0, 0, zoom * scan.aspect, 0, 0);
    pen.drawImage(image, 0, 0, scan.width, scan.height);
    const labels = scan.classes.map((_, label) => label);
    const pairs = labels.map((label) => ({
      label,
      truth: maskOf(scan, "truth", label),
      found: maskOf(scan, state.source, label),
    }));
    const open = pairs.filter(({ label }) => !state.hidden.has(label));
    const thin = find("errors").checked; // thick lines would hide the errors along them
    if (thin) errors(scan, open);
    for (const { label, truth, found } of open) {
      const colour = COLOURS[label % COLOURS.length];
      if (find("truth").checked) stroke(outlines(truth, scan.width, scan.height), colour, [], zoom, thin);
      if (find("found").checked) stroke(outlines(found, scan.width, scan.height), colour, [7, 5], zoom, thin);
    }
    for (const mark of scan.marks) if (mark.z === slice.z) cross(scan, mark, zoom);
    report(scan, pairs);
    box.dataset.shown = mine; // what has been drawn, for a test to wait for
  };

  const toSlice = (index) => {
    state.slice = Math.min(Math.max(index, 0), scanOf(state.scan).slices.length - 1);
    find("slice").value = state.slice;
    draw();
  };

  /** The slice with the most that is wrong: where a reader wants to look first. */
  const worst = (scan) => {
    const size = scan.width * scan.height;
    const wrong = scan.slices.map((_, slice) =>
      scan.classes.reduce((sum, _name, label) => {
        const truth = decode(scan.masks.truth?.[label]?.[slice] ?? "", size);
        const found = decode(scan.masks[state.source]?.[label]?.[slice] ?? "", size);
        return sum + truth.reduce((count, value, place) => count + (value !== found[place]), 0);
      }, 0),
    );
    return wrong.indexOf(Math.max(...wrong));
  };

  const toScan = (index, z) => {
    state.scan = (index + texts.length) % texts.length;
    const scan = scanOf(state.scan);
    find("scan").value = state.scan;
    const sources = Object.keys(scan.masks).filter((name) => name !== "truth");
    find("source").replaceChildren(...sources.map((name) => new Option(name)));
    if (!sources.includes(state.source)) state.source = sources[0] ?? "";
    find("source").value = state.source;
    const slider = find("slice");
    slider.max = scan.slices.length - 1;
    slider.hidden = scan.slices.length < 2;
    const distance = scan.slices.map((slice) => Math.abs(slice.z - z));
    toSlice(z === undefined ? worst(scan) : distance.indexOf(Math.min(...distance)));
  };

  const toSource = (name) => {
    state.source = name;
    find("source").value = name;
    draw();
  };
  const toggleClass = (label) => {
    const tick = box.querySelectorAll(".viewer-class")[label];
    if (tick) tick.click();
  };

  find("scan").addEventListener("change", (event) => toScan(Number(event.target.value)));
  find("source").addEventListener("change", (event) => toSource(event.target.value));
  find("slice").addEventListener("input", (event) => toSlice(Number(event.target.value)));
  for (const name of ["truth", "found", "errors"]) find(name).addEventListener("change", draw);
  box.querySelectorAll(".viewer-class").forEach((tick, label) =>
    tick.addEventListener("change", () => {
      if (tick.checked) state.hidden.delete(label);
      else state.hidden.add(label);
      draw();
    }),
  );
  const KEYS = {
    ArrowLeft: () => toSlice(state.slice - 1),
    ArrowRight: () => toSlice(state.slice + 1),
    ArrowUp: () => toScan(state.scan - 1),
    ArrowDown: () => toScan(state.scan + 1),
    m: () => {
      const names = [...find("source").options].map((option) => option.value);
      toSource(names[(names.indexOf(state.source) + 1) % names.length]);
    },
    t: () => find("truth").click(),
    p: () => find("found").click(),
    e: () => find("errors").click(),
  };
  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = /^[1-9]$/.test(event.key) ? () => toggleClass(Number(event.key) - 1) : KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  canvas.addEventListener("click", () => canvas.focus());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-scan]");
    if (!link) return;
    const index = texts.findIndex((text) => text.dataset.scan === link.dataset.scan);
    toScan(index, "z" in link.dataset ? Number(link.dataset.z) : undefined);
    canvas.focus({ preventScroll: true });
  });

  window.casefold = { decode, state };
  toScan(0);
})();
