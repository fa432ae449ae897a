// ---- what the plots draw with -------------------------------------------------------------------------------------

function add(parent, tag, attributes = {}, text = undefined) {
  const element = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}
function html(parent, tag, properties = {}) { return parent.appendChild(Object.assign(document.createElement(tag), properties)); }

const finite = (values) => values.filter((value) => value !== null && value !== undefined);

// A scale from values to pixels, with round values for its axis.
function scaleOf(values, range, { log = false, margin = 0.04, most = 6 } = {}) {
  const by = log ? Math.log10 : (value) => value;
  const known = finite(values).filter((value) => !log || value > 0).map(by);
  let [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  const more = margin * (high - low) || (log ? 0.3 : Math.abs(high) * 0.1 || 1);
  [low, high] = [low - more, high + more];
  const place = (value) => range[0] + (Math.max(low, log && value <= 0 ? low : by(value)) - low) / (high - low) * (range[1] - range[0]);
  place.ticks = log ? logTicks(low, high, most) : ticks(low, high, most);
  return place;
}
function ticks(low, high, most) {
  const rough = (high - low) / most, size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * size).find((one) => one >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i += 1) found.push([i * step, (i * step).toFixed(digits)]);
  return found;
}
function logTicks(low, high, most) {
  const decades = high - low, steps = decades > most ? [1] : decades > 1.5 ? [1, 3] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(low); power <= high; power += decades > 2 * most ? 2 : 1) {
    for (const n of steps) {
      const value = n * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) found.push([value, value >= 1000 || value < 1e-3 ? value.toExponential(0).replace("e+", "e") : String(Number(value.toPrecision(1)))]);
    }
  }
  return found;
}

function axes(svg, box, x, y, labels) {
  for (const [value, text] of x?.ticks ?? []) {
    add(svg, "path", { class: "grid", d: `M${x(value)} ${box.top}V${box.bottom}` });
    add(svg, "text", { class: "tick", x: x(value), y: box.bottom + 15, "text-anchor": "middle" }, text);
  }
  for (const [value, text] of y?.ticks ?? []) {
    add(svg, "path", { class: "grid", d: `M${box.left} ${y(value)}H${box.right}` });
    add(svg, "text", { class: "tick", x: box.left - 6, y: y(value) + 4, "text-anchor": "end" }, text);
  }
  add(svg, "path", { class: "axis", d: `M${box.left} ${box.bottom}H${box.right}` });
  if (labels.x) add(svg, "text", { class: "axis-label", x: (box.left + box.right) / 2, y: box.bottom + 33, "text-anchor": "middle" }, labels.x);
  if (labels.y) add(svg, "text", { class: "axis-label", x: box.left - 6, y: box.top - 10, "text-anchor": "start" }, labels.y).setAttribute("x", 2);
}

// Shapes of the same weight, so that a series is known by its shape as well as by its colour.
const SHAPES = [
  (r) => `M${-r} 0A${r} ${r} 0 1 0 ${r} 0A${r} ${r} 0 1 0 ${-r} 0Z`,
  (r) => `M${-0.88 * r} ${-0.88 * r}H${0.88 * r}V${0.88 * r}H${-0.88 * r}Z`,
  (r) => `M0 ${-1.25 * r}L${1.1 * r} ${0.8 * r}H${-1.1 * r}Z`,
  (r) => `M0 ${1.25 * r}L${1.1 * r} ${-0.8 * r}H${-1.1 * r}Z`,
];
const DIAMOND = (r) => `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z`;
const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
const COLOURS = 7;

// The width of a text, measured beside the page: within it, each measurement would lay out all that is above it anew.
const ruler = document.createElement("canvas").getContext("2d");
ruler.font = `12px ${getComputedStyle(document.body).fontFamily}`;
const widthOf = (text) => ruler.measureText(text).width;

// A text that fits, the whole of it on demand.
function fitting(svg, attributes, text, width) {
  let cut = text;
  while (cut.length > 3 && widthOf(cut === text ? text : `${cut.trimEnd()}…`) > width) cut = cut.slice(0, -1);
  const element = add(svg, "text", attributes, cut === text ? text : `${cut.trimEnd()}…`);
  if (cut !== text) add(element, "title", {}, text);
  return element;
}

const tip = document.getElementById("tip");
function showTip(event) {
  const target = event.target.closest?.("[data-tip]");
  if (!target) { tip.hidden = true; return; }
  tip.textContent = target.dataset.tip;
  tip.hidden = false;
  const at = target.getBoundingClientRect(), size = tip.getBoundingClientRect();
  const left = Math.min(Math.max(8, at.left + at.width / 2 - size.width / 2), document.documentElement.clientWidth - size.width - 8);
  tip.style.left = `${left + scrollX}px`;
  tip.style.top = `${(at.top - size.height - 8 > 0 ? at.top - size.height - 8 : at.bottom + 8) + scrollY}px`;
}
document.addEventListener("pointerover", showTip);
document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
