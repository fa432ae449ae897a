"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const svg = byId("network");
const phone = matchMedia("(max-width: 760px)");
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
// Three digits, so that columns of numbers line up; whole numbers as they are.
const isWhole = data.edges.every(([, , weight]) => Number.isInteger(weight) && Math.abs(weight) < 1e6);
const format = (weight) => (isWhole ? String(weight) : weight.toPrecision(3)).replaceAll("-", "−");
const number = (count) => count.toLocaleString("en");
const plural = (count, word) => `${number(count)} ${word}${count === 1 ? "" : "s"}`;

// ---- what is drawn -------------------------------------------------------------------------------------------

const nodes = data.nodes.map((node) => ({ ...node, edges: [] }));
// A mutual edge is two opposite ones of the same weight, drawn as one line without a head.
const edges = data.edges.map(([i, j, weight, mutual]) => ({
  source: nodes[i], target: nodes[j], weight, size: Math.abs(weight), mutual: Boolean(mutual),
}));
const countOf = (some) => some.reduce((sum, edge) => sum + (edge.mutual ? 2 : 1), 0);
const largest = Math.max(...edges.map((edge) => edge.size));
// A step of the slider is a weight that occurs, so that steps go by edges, however skewed the weights.
const levels = [...new Set(edges.map((edge) => edge.size))].sort((a, b) => a - b);
const pairs = new Set(data.edges.map(([i, j]) => `${i},${j}`));
const view = { scale: 1, x: 0, y: 0, move: null };
let cut = levels[0] ?? 0, selected = null, near = new Set(), labelled = [], touched = false;

const isShown = (edge) => edge.size >= cut;
const other = (edge, node) => (edge.source === node ? edge.target : edge.source);
const isLit = (node) => !selected || node === selected || near.has(node);
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
    "data-source": edge.source.id, "data-target": edge.target.id, "data-weight": edge.weight,
  });
  edge.line = add(edge.group, "path", { class: "line", "stroke-width": edge.width });
  edge.head = data.directed && !edge.mutual ? add(edge.group, "path", { class: "head" }) : null;
  edge.source.edges.push(edge);
  edge.target.edges.push(edge);
}
for (const node of nodes) {
  node.radius = Math.min(15, 4 + 1.25 * Math.sqrt(node.edges.length));
  node.group = add(byId("nodes"), "g", { class: node.regulator ? "node regulator" : "node", "data-gene": node.id });
  node.shape = addShape(node.group, node.regulator, node.colour, node.radius);
  node.text = add(node.group, "text", {}, node.label);
}
const kinds = { label: "Names", id: "Ids", none: "None" };
if (nodes.every((node) => node.label === node.id)) delete kinds.id;
function write(kind) {
  for (const node of nodes) {
    node.text.textContent = kind === "none" ? "" : node[kind];
    // Bold, as the label of a selected node is: it must fit where the others do.
    node.textWidth = kind === "none" ? 0 : node.text.getComputedTextLength() * 1.05 + 6;
  }
}
write("label");

function draw() {
  // Nodes grow slower than the distances between them, so that zooming in takes them apart.
  const grow = clamp(Math.sqrt(view.scale), 0.45, 1.7);
  for (const node of nodes) {
    node.sx = view.x + view.scale * node.x;
    node.sy = view.y + view.scale * node.y;
    node.r = node.radius * grow;
    node.group.setAttribute("transform", `translate(${node.sx} ${node.sy})`);
    node.shape.setAttribute("transform", `scale(${grow})`);
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
  // A label goes below its node, or else above or beside it, where no other node is and no more important label;
  // else it waits until there is room. Those of the most important nodes may lie on other nodes.
  const bodies = new Boxes(), texts = new Boxes();
  for (const node of nodes) {
    if (!node.isGone && isLit(node)) bodies.add([node.sx - node.r, node.sy - node.r, node.sx + node.r, node.sy + node.r], node);
  }
  labelled.forEach((node, i) => {
    const { sx, sy, r, textWidth: w } = node, beside = r + 3 + w / 2;
    const spots = [[sx, sy + r + 13], [sx, sy - r - 4], [sx + beside, sy + 4], [sx - beside, sy + 4]];
    const box = ([x, y]) => [x - w / 2, y - 11, x + w / 2, y + 4];
    const isInside = ([x]) => x > w / 2 && x < svg.clientWidth - w / 2;
    const free = spots.filter((spot) => isInside(spot) && texts.isFree(box(spot), node));
    const spot = free.find((spot) => bodies.isFree(box(spot), node)) ?? (i < 12 ? free[0] : null) ?? (node === selected ? spots[0] : null);
    node.text.classList.toggle("quiet", !spot);
    const [x, y] = spot ?? spots[0];
    if (spot) texts.add(box(spot), node);
    node.text.setAttribute("x", x - sx);
    node.text.setAttribute("y", y - sy);
  });
}
/** Boxes in a grid of cells, so that each is compared with those around it only. */
class Boxes {
  cells = new Map();
  each(box, visit) {
    for (let i = Math.floor(box[0] / 64); i <= box[2] / 64; i++)
      for (let j = Math.floor(box[1] / 64); j <= box[3] / 64; j++) if (visit(`${i},${j}`)) return true;
    return false;
  }
  add(box, owner) {
    this.each(box, (key) => { if (!this.cells.has(key)) this.cells.set(key, []); this.cells.get(key).push({ box, owner }); });
  }
  isFree(box, owner) {
    return !this.each(box, (key) => (this.cells.get(key) ?? []).some(({ box: b, owner: o }) =>
      o !== owner && box[0] < b[2] && box[2] > b[0] && box[1] < b[3] && box[3] > b[1]));
  }
}

function update() {
  near = new Set(selected ? shownEdges(selected).map((edge) => other(edge, selected)) : []);
  for (const edge of edges) {
    edge.group.classList.toggle("gone", !isShown(edge));
    edge.group.classList.toggle("near", edge.source === selected || edge.target === selected);
  }
  for (const node of nodes) {
    node.shown = countOf(shownEdges(node));
    node.isGone = node.edges.length > 0 && !node.shown && node !== selected;
    node.group.classList.toggle("gone", node.isGone);
    node.group.classList.toggle("selected", node === selected);
    node.group.classList.toggle("near", near.has(node));
    node.text.classList.add("quiet");
  }
  const rank = (node) => (node === selected ? 2e9 : 0) + (near.has(node) ? 1e9 : 0) + (node.regulator ? 0.5 : 0) + node.shown;
  labelled = nodes.filter((node) => !node.isGone && isLit(node));
  labelled.sort((a, b) => rank(b) - rank(a));
  svg.classList.toggle("chosen", selected !== null);
  svg.dataset.selected = selected ? selected.id : "";
  byId("cut").textContent = edges.length ? format(cut) : "–";
  byId("count").textContent = `${number(countOf(edges.filter(isShown)))} of ${plural(data.total.edges, "edge")}`;
  byId("weight").setAttribute("aria-valuetext", `from ${format(cut)}: ${byId("count").textContent}`);
  describe();
  draw();
}
