"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const svg = byId("network");
const onPhone = matchMedia("(max-width: 760px)").matches;
const still = matchMedia("(prefers-reduced-motion: reduce)");

function add(parent, name, attributes = {}, text = "") {
  const space = parent.namespaceURI === svg.namespaceURI || name === "svg" ? svg.namespaceURI : parent.namespaceURI;
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  parent.append(made);
  return made;
}
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const format = (weight) => String(Number(weight.toPrecision(3))).replace("-", "−");
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

// ---- what is drawn -------------------------------------------------------------------------------------------

const nodes = data.nodes.map((node) => ({ ...node, edges: [] }));
const edges = data.edges.map(([i, j, weight]) => ({ source: nodes[i], target: nodes[j], weight, size: Math.abs(weight) }));
const largest = Math.max(...edges.map((edge) => edge.size));
const levels = [...new Set(edges.map((edge) => edge.size))].sort((a, b) => a - b);
const pairs = new Set(data.edges.map(([i, j]) => `${i},${j}`));
const view = { scale: 1, x: 0, y: 0 };
let cut = levels[0] ?? 0, selected = null, near = new Set(), labelled = [], touched = false;

const isShown = (edge) => edge.size >= cut;
const other = (edge, node) => (edge.source === node ? edge.target : edge.source);
const shownEdges = (node) => node.edges.filter(isShown);

function addShape(parent, isDiamond, colour, radius) {
  const r = radius * 1.25;
  return isDiamond
    ? add(parent, "path", { class: "shape", d: `M0 ${-r}L${r} 0L0 ${r}L${-r} 0Z`, fill: colour })
    : add(parent, "circle", { class: "shape", r: radius, fill: colour });
}

// The strongest edges come last, on top of the others.
for (const edge of [...edges].sort((a, b) => a.size - b.size)) {
  const share = edge.size / largest;
  edge.width = 0.7 + 2.8 * share;
  edge.both = data.directed && pairs.has(`${nodes.indexOf(edge.target)},${nodes.indexOf(edge.source)}`);
  edge.group = add(byId("edges"), "g", {
    class: edge.weight < 0 ? "edge negative" : "edge", opacity: 0.3 + 0.5 * share,
    "data-source": edge.source.name, "data-target": edge.target.name, "data-weight": edge.weight,
  });
  edge.line = add(edge.group, "path", { class: "line", "stroke-width": edge.width });
  edge.head = data.directed ? add(edge.group, "path", { class: "head" }) : null;
  edge.source.edges.push(edge);
  edge.target.edges.push(edge);
}
for (const node of nodes) {
  node.radius = Math.min(15, 4 + 1.25 * Math.sqrt(node.edges.length));
  node.group = add(byId("nodes"), "g", { class: node.regulator ? "node regulator" : "node", "data-gene": node.name });
  node.shape = addShape(node.group, node.regulator, node.colour, node.radius);
  node.text = add(node.group, "text", {}, node.label);
}
for (const node of nodes) node.textWidth = node.text.getComputedTextLength() + 4;

function draw() {
  // Nodes grow slower than the distances between them, so that zooming in takes them apart.
  const grow = clamp(Math.sqrt(view.scale), 0.6, 1.7);
  for (const node of nodes) {
    node.sx = view.x + view.scale * node.x;
    node.sy = view.y + view.scale * node.y;
    node.r = node.radius * grow;
    node.group.setAttribute("transform", `translate(${node.sx} ${node.sy})`);
    node.shape.setAttribute("transform", `scale(${grow})`);
    node.text.setAttribute("y", node.r + 13);
  }
  for (const edge of edges) drawEdge(edge);
  drawLabels();
  svg.dataset.scale = view.scale.toFixed(4);
}

function drawEdge({ source: a, target: b, width, both, line, head }) {
  const dx = b.sx - a.sx, dy = b.sy - a.sy, tip = head ? 4 + 1.8 * width : 0;
  if (Math.hypot(dx, dy) < a.r + b.r + tip) { // nothing fits between two nodes that touch
    line.setAttribute("d", "");
    head?.setAttribute("d", "");
    return;
  }
  // Only edges that run both ways need a bow to be told apart.
  const bow = both ? 0.14 : 0;
  const mx = (a.sx + b.sx) / 2 - bow * dy, my = (a.sy + b.sy) / 2 + bow * dx;
  const towards = (node, far) => {
    const length = Math.hypot(mx - node.sx, my - node.sy);
    return [(mx - node.sx) / length, (my - node.sy) / length].map((part, i) => (i ? node.sy : node.sx) + far * part);
  };
  const [x1, y1] = towards(a, a.r + 1), [x2, y2] = towards(b, b.r + 1.5), [x3, y3] = towards(b, b.r + 1.5 + tip);
  line.setAttribute("d", `M${x1} ${y1}Q${mx} ${my} ${x3} ${y3}`);
  const wx = (y2 - y3) * 0.45, wy = (x3 - x2) * 0.45;
  head?.setAttribute("d", `M${x2} ${y2}L${x3 + wx} ${y3 + wy}L${x3 - wx} ${y3 - wy}Z`);
}

function drawLabels() {
  // Labels that would lie on a more important one wait until there is room.
  const taken = [];
  for (const node of labelled) {
    const box = [node.sx - node.textWidth / 2, node.sy + node.r + 2, node.sx + node.textWidth / 2, node.sy + node.r + 17];
    const isFree = !taken.some((t) => box[0] < t[2] && box[2] > t[0] && box[1] < t[3] && box[3] > t[1]);
    if (isFree) taken.push(box);
    node.text.classList.toggle("quiet", !isFree);
  }
}

function update() {
  near = new Set(selected ? shownEdges(selected).map((edge) => other(edge, selected)) : []);
  for (const edge of edges) {
    edge.group.classList.toggle("gone", !isShown(edge));
    edge.group.classList.toggle("near", edge.source === selected || edge.target === selected);
  }
  for (const node of nodes) {
    node.shown = shownEdges(node).length;
    node.isGone = node.edges.length > 0 && !node.shown && node !== selected;
    node.group.classList.toggle("gone", node.isGone);
    node.group.classList.toggle("selected", node === selected);
    node.group.classList.toggle("near", near.has(node));
    node.text.classList.add("quiet");
  }
  const rank = (node) => (node === selected ? 2e9 : 0) + (near.has(node) ? 1e9 : 0) + (node.regulator ? 0.5 : 0) + node.shown;
  labelled = nodes.filter((node) => !node.isGone && (!selected || node === selected || near.has(node)));
  labelled.sort((a, b) => rank(b) - rank(a));
  svg.classList.toggle("chosen", selected !== null);
  svg.dataset.selected = selected ? selected.name : "";
  byId("cut").textContent = edges.length ? format(cut) : "–";
  byId("count").textContent = `${edges.filter(isShown).length} of ${plural(edges.length, "edge")}`;
  describe();
  draw();
}

// ---- the view ------------------------------------------------------------------------------------------------

function moveTo(scale, x, y) {
  const start = { ...view }, began = performance.now();
  const mine = (view.move = {});
  const step = (now) => {
    if (view.move !== mine) return;
    const part = still.matches ? 1 : clamp((now - began) / 350, 0, 1), ease = 1 - (1 - part) ** 3;
    view.scale = start.scale + (scale - start.scale) * ease;
    view.x = start.x + (x - start.x) * ease;
    view.y = start.y + (y - start.y) * ease;
    draw();
    if (part < 1) requestAnimationFrame(step);
  };
  step(began);
}
const centreOn = (scale, x, y) => moveTo(scale, svg.clientWidth / 2 - scale * x, svg.clientHeight / 2 - scale * y);

function fit() {
  const seen = nodes.filter((node) => !node.isGone);
  const [xs, ys] = [seen.map((node) => node.x), seen.map((node) => node.y)];
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const room = onPhone ? 40 : 90;
  const scale = Math.min((svg.clientWidth - room) / (right - left), (svg.clientHeight - room) / (bottom - top));
  centreOn(clamp(scale, 0.02, 2), (left + right) / 2, (top + bottom) / 2);
}
function zoom(factor, x = svg.clientWidth / 2, y = svg.clientHeight / 2) {
  const scale = clamp(view.scale * factor, 0.02, 20);
  pan(0, 0);
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  draw();
}
function pan(dx, dy) {
  touched = true;
  view.move = null;
  view.x += dx;
  view.y += dy;
  draw();
}

function select(node) {
  selected = node;
  update();
  if (node) for (const one of [...near, node]) byId("nodes").append(one.group); // on top of the others
}
function goTo(node) {
  select(node);
  touched = true;
  const far = (axis) => Math.max(30, ...[...near].map((one) => Math.abs(one[axis] - node[axis])));
  const scale = Math.min((svg.clientWidth / 2 - 50) / far("x"), (svg.clientHeight / 2 - 40) / far("y"));
  centreOn(clamp(scale, 0.5, 1.8), node.x, node.y);
}

// ---- the panel -----------------------------------------------------------------------------------------------

function list(title, note, rows) {
  if (!rows.length) return;
  const heading = add(byId("panel"), "h3", {}, `${title} (${rows.length})`);
  add(heading, "span", {}, note);
  const items = add(byId("panel"), "ul", { class: "genes", "data-list": title });
  for (const { node, share, value, negative } of rows) {
    const button = add(add(items, "li"), "button", { type: "button", "data-gene": node.name });
    button.classList.toggle("negative", negative);
    add(button, "span", {}, node.label);
    add(button, "span", { class: "bar" }).style.width = `${100 * share}%`;
    add(button, "span", { class: "value" }, value);
    button.addEventListener("click", () => goTo(node));
  }
}
function rowsOf(found) {
  found.sort((a, b) => b.size - a.size || other(a, selected).label.localeCompare(other(b, selected).label));
  return found.map((edge) => ({
    node: other(edge, selected), share: edge.size / largest, value: format(edge.weight), negative: edge.weight < 0,
  }));
}
function describe() {
  const panel = byId("panel");
  panel.replaceChildren();
  if (!selected) {
    add(panel, "p", {}, "Click a gene, or search for one, to see its neighbours. Drag to move, scroll or pinch to zoom.");
    const hubs = nodes.filter((node) => node.shown).sort((a, b) => b.shown - a.shown || a.label.localeCompare(b.label));
    list("Most connected", "edges", hubs.slice(0, 15).map((node) => (
      { node, share: node.shown / hubs[0].shown, value: String(node.shown), negative: false })));
    return;
  }
  const top = add(panel, "div", { class: "top" });
  add(top, "h2", {}, selected.label);
  add(top, "button", { class: "close", type: "button", "aria-label": "Close" }, "×").addEventListener("click", () => select(null));
  if (selected.name !== selected.label) add(panel, "p", {}, selected.name);
  const kind = add(panel, "p");
  add(kind, "span", { class: "dot" }).style.background = selected.colour;
  kind.append([selected.regulator ? "regulator" : "", selected.community === null ? "" : `community ${selected.community}`,
    plural(selected.shown, "edge")].filter(Boolean).join(" · "));
  const found = shownEdges(selected);
  if (!found.length) add(panel, "p", {}, selected.edges.length ? "No edge is this strong: move the slider to the left." : "No edges here.");
  if (!data.directed) return list("Neighbours", "weight", rowsOf(found));
  list("Targets", "weight", rowsOf(found.filter((edge) => edge.source === selected)));
  list("Regulators", "weight", rowsOf(found.filter((edge) => edge.target === selected)));
}

// ---- search and filter ---------------------------------------------------------------------------------------

let found = [], active = 0;
function suggest() {
  const wanted = byId("search").value.trim().toLowerCase();
  const score = (text) => (text === wanted ? 0 : text.startsWith(wanted) ? 1 : text.includes(wanted) ? 2 : 3);
  found = !wanted ? [] : nodes.map((node) => [Math.min(score(node.label.toLowerCase()), score(node.name.toLowerCase())), node])
    .filter(([points]) => points < 3).sort((a, b) => a[0] - b[0] || a[1].label.localeCompare(b[1].label)).slice(0, 8).map(([, node]) => node);
  active = 0;
  const box = byId("suggestions");
  box.replaceChildren();
  found.forEach((node, i) => {
    const item = add(box, "li", { role: "option", id: `suggestion-${i}`, "data-gene": node.name });
    add(item, "span", {}, node.label);
    if (node.name !== node.label) add(item, "small", {}, node.name);
    item.addEventListener("pointerdown", (event) => { event.preventDefault(); choose(node); });
  });
  if (wanted && !found.length) add(box, "li", { class: "none" }, "No such gene in this drawing");
  box.hidden = !wanted;
  byId("search").setAttribute("aria-expanded", String(!box.hidden));
  byId("search").setAttribute("aria-invalid", String(Boolean(wanted) && !found.length));
  mark();
}
function mark() {
  [...byId("suggestions").children].forEach((item, i) => item.setAttribute("aria-selected", String(i === active && found.length > 0)));
  byId("search").setAttribute("aria-activedescendant", found.length ? `suggestion-${active}` : "");
}
function choose(node) {
  byId("search").value = node.label;
  byId("suggestions").hidden = true;
  byId("search").setAttribute("aria-expanded", "false");
  goTo(node);
}
byId("search").addEventListener("input", suggest);
byId("search").addEventListener("focus", (event) => { event.target.select(); });
byId("search").addEventListener("blur", () => { byId("suggestions").hidden = true; });
byId("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") { if (byId("suggestions").hidden) suggest(); if (found.length) choose(found[active]); }
  else if (event.key === "Escape") { byId("search").value = ""; suggest(); byId("search").blur(); }
  else if (found.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    active = (active + (event.key === "ArrowDown" ? 1 : found.length - 1)) % found.length;
    mark();
    event.preventDefault();
  }
});

byId("weight").max = Math.max(0, levels.length - 1);
byId("weight").disabled = levels.length < 2;
byId("weight").addEventListener("input", (event) => { cut = levels[event.target.value]; update(); });

// ---- mouse, fingers, keys ------------------------------------------------------------------------------------

byId("zoom-in").addEventListener("click", () => zoom(1.4));
byId("zoom-out").addEventListener("click", () => zoom(1 / 1.4));
byId("zoom-fit").addEventListener("click", () => { fit(); touched = false; });
svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const box = svg.getBoundingClientRect(), lines = event.deltaMode === 1 ? 16 : 1;
  zoom(Math.exp(-clamp(event.deltaY * lines, -120, 120) * 0.0025), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

const fingers = new Map();
let press = null;
svg.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  svg.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  const group = event.target.closest(".node");
  press = { node: nodes.find((node) => node.group === group) ?? null, x: event.clientX, y: event.clientY, isClick: fingers.size === 1 };
});
svg.addEventListener("pointermove", (event) => {
  const last = fingers.get(event.pointerId);
  if (!last || !press) return;
  const now = [event.clientX, event.clientY], dx = now[0] - last[0], dy = now[1] - last[1];
  if (fingers.size > 1) {
    const [, fixed] = [...fingers].find(([id]) => id !== event.pointerId), box = svg.getBoundingClientRect();
    const apart = (point) => Math.max(1, Math.hypot(point[0] - fixed[0], point[1] - fixed[1]));
    zoom(apart(now) / apart(last), fixed[0] - box.left, fixed[1] - box.top);
  } else {
    const slack = event.pointerType === "touch" ? 8 : 4;
    if (press.isClick && Math.hypot(now[0] - press.x, now[1] - press.y) <= slack) return;
    press.isClick = false;
    if (press.node) { press.node.x += dx / view.scale; press.node.y += dy / view.scale; draw(); }
    else pan(dx, dy);
  }
  fingers.set(event.pointerId, now);
});
for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, (event) => {
  if (fingers.delete(event.pointerId) && end === "pointerup" && press.isClick) select(press.node);
  if (press && fingers.size) press.isClick = false;
});

document.addEventListener("keydown", (event) => {
  if (event.target.closest("input") || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
  if (step && event.target !== svg) return;
  if (step) pan(...step);
  else if (event.key === "+" || event.key === "=") zoom(1.4);
  else if (event.key === "-") zoom(1 / 1.4);
  else if (event.key === "0") { fit(); touched = false; }
  else if (event.key === "/") byId("search").focus();
  else if (event.key === "Escape") select(null);
  else return;
  event.preventDefault();
});

// ---- legend and start ----------------------------------------------------------------------------------------

function explain(text, fill) {
  const item = add(byId("legend").querySelector("ul"), "li");
  const icon = add(item, "svg", { width: 28, height: 14, viewBox: "-14 -7 28 14", "aria-hidden": "true" });
  fill(icon);
  item.append(text);
}
function explainEdge(text, isNegative) {
  explain(text, (icon) => {
    const group = add(icon, "g", { class: isNegative ? "negative" : "" });
    add(group, "path", { class: "line", d: `M-13 0H${data.directed ? 6 : 13}`, "stroke-width": 1.8 });
    if (data.directed) add(group, "path", { class: "head", d: "M13 0L5 4V-4Z" });
  });
}
const plain = nodes[0]?.colour, grouped = Object.keys(data.legend).length > 0;
for (const [text, colour] of Object.entries(data.legend)) explain(text, (icon) => addShape(icon, false, colour, 5));
if (nodes.some((node) => node.regulator)) {
  explain("regulator", (icon) => addShape(icon, true, grouped ? "var(--soft)" : plain, 4.5));
  if (nodes.some((node) => !node.regulator)) explain("other gene", (icon) => addShape(icon, false, grouped ? "var(--soft)" : plain, 5));
}
if (edges.some((edge) => edge.weight > 0)) explainEdge(data.directed ? "regulator to target" : "edge", false);
if (edges.some((edge) => edge.weight < 0)) explainEdge("negative weight", true);
add(byId("legend"), "small", {}, "Wider: larger |weight|. Larger: more edges.");
byId("legend").open = !onPhone;
byId("summary").textContent = [plural(nodes.length, "gene"), plural(edges.length, "edge"), data.directed ? "directed" : "undirected"].join(" · ");

new ResizeObserver(() => { if (!touched) fit(); }).observe(svg);
update();
