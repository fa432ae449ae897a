// ---- plots --------------------------------------------------------------------------------------------------------

const MOST_PANELS = 6;

function labelOf(mark, measure) {
  const [value, low, high] = mark.values?.[measure.key] ?? [];
  const interval = finite([low, high]).length === 2 ? `, 95% interval ${short(low)} to ${short(high)}` : "";
  return `${mark.label}${mark.note ? `, ${mark.note}` : ""}: ${measure.label} ${short(value)}${interval}`;
}
function isAbove(mark, key, reference) {
  const [, low] = mark.values[key];
  return low !== null && low !== undefined && reference !== null && reference !== undefined && low > reference;
}
function valueIn(mark, measure) { return mark.values?.[measure.key]?.[0] ?? null; }

// Points with intervals, one line for each label; those without a value say why.
function drawStrip(svg, width, panel, marks, measure) {
  const reference = panel.references[measure.key];
  const groups = new Map();
  for (const mark of marks) groups.set(mark.label, [...(groups.get(mark.label) ?? []), mark]);
  const best = (group) => Math.max(-Infinity, ...finite(group.map((mark) => valueIn(mark, measure))));
  const order = [...groups].sort((a, b) => best(b[1]) - best(a[1]) || a[0].localeCompare(b[0]));
  const heights = order.map(([, group]) => Math.max(22, 8 * group.length + 8));
  const left = Math.min(190, width * 0.4);
  const box = { left, right: width - 12, top: 18, bottom: 18 + heights.reduce((a, b) => a + b, 0) };
  const x = scaleOf([reference, ...marks.flatMap((mark) => mark.values?.[measure.key] ?? [])], [box.left, box.right], { most: width > 400 ? 6 : 4 });
  axes(svg, box, x, null, { x: measure.label });
  if (reference !== null && reference !== undefined) {
    add(svg, "path", { class: "reference", d: `M${x(reference)} ${box.top - 4}V${box.bottom}` });
    add(svg, "text", { class: "tick", x: x(reference), y: box.top - 7, "text-anchor": "middle" }, "random");
  }
  let top = box.top;
  order.forEach(([label, group], i) => {
    const middle = top + heights[i] / 2;
    fitting(svg, { class: group[0].baseline ? "label baseline" : "label", x: left - 10, y: middle + 4, "text-anchor": "end" }, label, left - 12);
    group.forEach((mark, j) => {
      const y = middle + (j - (group.length - 1) / 2) * 8;
      const [value, low, high] = mark.values?.[measure.key] ?? [];
      if (value === null || value === undefined) {
        if (j === 0) add(svg, "text", { class: "tick missing", x: box.left + 6, y: middle + 4 }, mark.note || "not measured");
        return;
      }
      const point = add(svg, "g", { class: mark.baseline ? "mark baseline" : "mark", "data-tip": labelOf(mark, measure) });
      if (finite([low, high]).length === 2) add(point, "path", { class: "interval", d: `M${x(low)} ${y}H${x(high)}` });
      add(point, "path", { class: isAbove(mark, measure.key, reference) ? "above" : "level", d: (mark.other ? DIAMOND : SHAPES[0])(4), transform: `translate(${x(value)} ${y})` });
    });
    top += heights[i];
  });
  return box.bottom + 40;
}

function drawLines(svg, width, panel, marks, measure, plot) {
  const box = { left: 46, right: width - 12, top: 30, bottom: 290 };
  const x = scaleOf([0, 1], [box.left, box.right], { margin: 0.0001 });
  const y = scaleOf([panel.references[measure.key], ...marks.flatMap((mark) => mark.points?.map((point) => point[1]) ?? [])], [box.bottom, box.top], { log: true });
  axes(svg, box, x, y, { x: plot.xLabel, y: measure.label });
  const reference = panel.references[measure.key];
  if (reference) {
    add(svg, "path", { class: "reference", d: `M${box.left} ${y(reference)}H${box.right}` });
    add(svg, "text", { class: "tick", x: box.right, y: y(reference) - 5, "text-anchor": "end" }, "random");
  }
  for (const mark of marks) {
    const path = mark.points.map(([a, b], i) => `${i ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    const line = add(svg, "path", { class: "curve", d: path, "data-tip": mark.label + (mark.note ? `, ${mark.note}` : "") });
    paint(line, plot, mark);
  }
  return box.bottom + 40;
}

function drawScatter(svg, width, panel, marks, measure, plot) {
  const known = marks.filter((mark) => mark.x > 0 && valueIn(mark, measure) !== null);
  const box = { left: 46, right: width - 14, top: 30, bottom: 270 };
  const reference = panel.references[measure.key];
  const x = scaleOf(known.map((mark) => mark.x), [box.left, box.right], { log: true, margin: 0.12 });
  const y = scaleOf([reference, ...known.flatMap((mark) => mark.values[measure.key])], [box.bottom, box.top], { margin: 0.07 });
  axes(svg, box, x, y, { x: plot.xLabel, y: measure.label });
  if (reference !== null && reference !== undefined) {
    add(svg, "path", { class: "reference", d: `M${box.left} ${y(reference)}H${box.right}` });
    add(svg, "text", { class: "tick chance", x: box.right, y: y(reference) + 14, "text-anchor": "end" }, "random expectation");
  }
  const taken = reference === null || reference === undefined ? [] : [[box.right - 112, box.right, y(reference) + 14]];
  for (const mark of known) {
    const [value, low, high] = mark.values[measure.key];
    const point = add(svg, "g", { class: "mark", "data-tip": `${labelOf(mark, measure)}; ${short(mark.x)} s` });
    if (finite([low, high]).length === 2) add(point, "path", { class: "interval", d: `M${x(mark.x)} ${y(low)}V${y(high)}` });
    const series = seriesOf(plot, mark);
    paint(add(point, "path", { class: "shape", d: SHAPES[series.place % SHAPES.length](5), transform: `translate(${x(mark.x)} ${y(value)})` }), plot, mark);
    // A label stands beside its point, where no other one does.
    const text = fitting(svg, { class: "label" }, mark.label, 150);
    const length = widthOf(text.firstChild.data), isRight = x(mark.x) + 9 + length < box.right;
    const at = isRight ? x(mark.x) + 9 : x(mark.x) - 9 - length;
    let height = y(value) + 4;
    for (let i = 0; i < 12 && taken.some(([a, b, h]) => a < at + length && b > at && Math.abs(h - height) < 13); i += 1) height = y(value) + 4 + (i % 2 ? -1 : 1) * 7 * (i + 1);
    taken.push([at, at + length, height]);
    text.setAttribute("x", at);
    text.setAttribute("y", Math.min(box.bottom - 2, Math.max(box.top + 8, height)));
  }
  return box.bottom + 40;
}

// A matrix. What is to be told apart by colour is also written where there is room.
function drawHeat(svg, width, panel, _marks, measure) {
  const values = panel.values[measure.key];
  const left = Math.min(170, width * 0.36), longest = Math.max(...panel.columns.map((name) => name.length));
  const head = Math.min(120, 16 + 4.6 * longest);
  const cell = Math.min(56, (width - left - 44) / panel.columns.length), height = Math.min(26, Math.max(17, cell));
  const known = finite(values.flat()).filter((value) => !measure.diverging || value > 0);
  const largest = measure.diverging ? Math.max(0.3, ...known.map((value) => Math.abs(Math.log2(value)))) : Math.max(1e-9, ...known);
  panel.columns.forEach((name, j) => {
    const room = (width - left - (j + 0.5) * cell) / 0.77;  // up to the edge, at this slope
    const text = fitting(svg, { class: "label" }, name, Math.min(head * 1.35, room));
    text.setAttribute("transform", `translate(${left + (j + 0.5) * cell + 2} ${head - 5}) rotate(-40)`);
  });
  panel.rows.forEach((name, i) => {
    fitting(svg, { class: "label", x: left - 8, y: head + (i + 0.5) * height + 4, "text-anchor": "end" }, name, left - 10);
    panel.columns.forEach((other, j) => {
      const value = values[i][j];
      const box = add(svg, "rect", { x: left + j * cell, y: head + i * height, width: cell - 1, height: height - 1, rx: 2, class: "cell" });
      const tipText = `${name}, ${other}: ${measure.label} ${short(value)}`;
      box.dataset.tip = tipText;
      if (value === null) { box.classList.add("none"); return; }
      const strength = measure.diverging ? Math.min(1, Math.abs(value > 0 ? Math.log2(value) : -largest) / largest) : value / largest;
      const end = measure.diverging && value < 1 ? "--less" : "--more";
      box.style.fill = `color-mix(in oklab, var(${end}) ${Math.round(100 * Math.max(0, strength))}%, var(--none))`;
      if (cell >= 34) add(svg, "text", { class: strength > 0.6 ? "value strong" : "value", x: left + (j + 0.5) * cell, y: head + (i + 0.5) * height + 4, "text-anchor": "middle" }, value >= 100 ? String(Math.round(value)) : value < 1 ? value.toFixed(2) : value.toPrecision(2));
    });
  });
  const right = left + panel.columns.length * cell + 3, bottom = head + panel.rows.length * height + 3;
  tree(svg, panel.row_tree, (place, far) => `${right + 34 * far} ${head + (place + 0.5) * height}`);
  tree(svg, panel.column_tree, (place, far) => `${left + (place + 0.5) * cell} ${bottom + 26 * far}`);
  return bottom + (panel.column_tree.length ? 32 : 3);
}
function tree(svg, links, at) {
  for (const link of links) add(svg, "path", { class: "tree", d: "M" + link.map((corner) => at(...corner)).join("L") });
}

// ---- series: the same colour, shape and dashes in all panels of a plot --------------------------------------------

function seriesOf(plot, mark) { return plot.series.get(mark.label); }
function paint(element, plot, mark) {
  const { place, baseline } = seriesOf(plot, mark);
  element.dataset.series = mark.label;
  element.style.setProperty("--series", baseline ? "var(--baseline)" : `var(--c${place % COLOURS})`);
  const dashes = DASHES[baseline ? place % 3 + 1 : Math.floor(place / COLOURS) % DASHES.length];
  if (element.classList.contains("curve") && dashes) element.setAttribute("stroke-dasharray", dashes);
}
function legend(plot, tools) {
  const list = html(tools, "ul", { className: "legend" });
  for (const [label] of plot.series) {
    const button = html(html(list, "li"), "button", { type: "button" });
    button.setAttribute("aria-pressed", "false");
    const svg = add(button, "svg", { width: 26, height: 12, viewBox: "0 0 26 12", "aria-hidden": "true" });
    paint(add(svg, "path", { class: "curve", d: "M1 6H25" }), plot, { label });
    html(button, "span", { textContent: label });
    const figure = tools.closest("figure");
    const light = (on) => {
      figure.classList.toggle("dimmed", on);
      for (const curve of figure.querySelectorAll(".panels .curve")) curve.classList.toggle("lit", on && curve.dataset.series === label);
    };
    button.addEventListener("pointerenter", () => light(true));
    button.addEventListener("pointerleave", () => light(button.getAttribute("aria-pressed") === "true"));
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") === "false";
      for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(on));
      light(on);
    });
  }
}
function explain(plot, tools) {
  const list = html(tools, "ul", { className: "key" });
  const entry = (text, fill) => {
    const item = html(list, "li");
    fill(add(item, "svg", { width: 26, height: 12, viewBox: "-13 -6 26 12", "aria-hidden": "true" }));
    item.append(text);
  };
  entry("95% interval above random", (svg) => { add(svg, "path", { class: "interval", d: "M-12 0H12" }); add(svg, "path", { class: "above", d: SHAPES[0](4) }); });
  entry("random within it, below it, or no interval", (svg) => { add(svg, "path", { class: "interval", d: "M-12 0H12" }); add(svg, "path", { class: "level", d: SHAPES[0](4) }); });
  if (plot.other) entry(plot.other, (svg) => add(svg, "path", { class: "level", d: DIAMOND(4) }));
}

const DRAW = { strip: drawStrip, lines: drawLines, scatter: drawScatter, heat: drawHeat };

function start(figure, plot) {
  const tools = figure.querySelector(".tools"), panels = figure.querySelector(".panels"), more = figure.querySelector(".more");
  const labels = new Map();
  for (const panel of plot.panels) for (const mark of panel.marks) labels.set(mark.label, Boolean(mark.baseline));
  let colours = 0, greys = 0;
  plot.series = new Map([...labels].map(([label, baseline]) => [label, { baseline, place: baseline ? greys++ : colours++ }]));
  let measure = plot.measures[0], shown = MOST_PANELS;
  if (plot.measures.length > 1) {
    const label = html(tools, "label", { textContent: "Show " });
    const select = html(label, "select");
    select.dataset.measure = figure.id;
    for (const one of plot.measures) html(select, "option", { value: one.key, textContent: one.label });
    const help = html(tools, "small", { textContent: measure.help });
    select.addEventListener("change", () => {
      measure = plot.measures.find((one) => one.key === select.value);
      help.textContent = measure.help;
      draw();
    });
  }
  if (plot.kind === "lines") legend(plot, tools);
  if (plot.kind === "strip") explain(plot, tools);
  const button = html(more, "button", { type: "button" });
  button.addEventListener("click", () => { shown = Infinity; draw(); });

  function draw() {
    const found = plot.panels.map((panel) => [panel, panel.marks.filter((mark) => fits(mark.facets ?? {}))])
      .filter(([panel, marks]) => fits(panel.facets) && (marks.length || (panel.values[measure.key] ?? []).length));
    panels.replaceChildren();
    before = panels.clientWidth;
    const cards = found.slice(0, shown).map(() => html(panels, "div", { className: "card" }));
    const width = cards.length ? Math.max(240, Math.floor(cards[0].clientWidth - 26)) : 0;
    for (const [i, [panel, marks]] of found.slice(0, shown).entries()) {
      const card = cards[i];
      const heading = html(card, "h3", { textContent: `${panel.title} ` });
      if (panel.note) html(heading, "small", { textContent: panel.note });
      const svg = add(card, "svg", { width, role: "img", "aria-label": `${measure.label}: ${panel.title}. The numbers are in the table.` });
      const height = Math.ceil(DRAW[plot.kind](svg, width, panel, marks, measure, plot));
      svg.setAttribute("height", height);
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    }
    if (!found.length) html(panels, "p", { className: "soft", textContent: "Nothing to draw of what is chosen." });
    more.hidden = found.length <= shown;
    button.textContent = `Show ${number(found.length - shown)} more`;
  }
  let before = 0;
  follow(draw);
  new ResizeObserver(() => {
    if (panels.clientWidth !== before) draw();
  }).observe(panels);
}

for (const [name, part] of Object.entries(page.parts)) if (part.kind !== "table") start(document.getElementById(name), part);
recall();
choose();
