// ---- the panel -----------------------------------------------------------------------------------------------

function list(title, note, rows, isAll = true) {
  if (!rows.length) return;
  const heading = add(byId("panel"), "h3", {}, isAll ? `${title} (${rows.length})` : title);
  add(heading, "span", {}, note);
  const items = add(byId("panel"), "ul", { class: "genes", "data-list": title });
  for (const { node, share, value, negative } of rows) {
    const button = add(add(items, "li"), "button", { type: "button", "data-gene": node.id });
    button.classList.toggle("negative", negative);
    add(button, "span", {}, node.label);
    add(button, "span", { class: "bar" }).style.width = `${100 * share}%`;
    add(button, "span", { class: "value" }, value);
    button.addEventListener("click", () => { goTo(node); byId("panel").focus(); });
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
  byId("said").textContent = selected ? `${selected.label} selected, ${plural(selected.shown, "edge")}` : "";
  if (!selected) {
    add(panel, "p", {}, "Click a gene, or search for one, to see its neighbours. Drag to move, scroll or pinch to zoom.");
    const hubs = nodes.filter((node) => node.shown).sort((a, b) => b.shown - a.shown || a.label.localeCompare(b.label));
    list("Most connected", "edges", hubs.slice(0, 15).map((node) => (
      { node, share: node.shown / hubs[0].shown, value: number(node.shown), negative: false })), false);
    return;
  }
  panel.parentElement.scrollTop = panel.scrollTop = 0;
  const top = add(panel, "div", { class: "top" });
  add(top, "h2", {}, selected.label);
  add(top, "button", { class: "close", type: "button", "aria-label": "Close" }, "×").addEventListener("click", () => { select(null); byId("panel").focus(); });
  if (selected.id !== selected.label) add(panel, "p", {}, selected.id);
  const kind = add(panel, "p");
  add(kind, "span", { class: "dot" }).style.background = selected.colour;
  kind.append([selected.regulator ? "regulator" : "", selected.community === null ? "" : `community ${selected.community}`,
    plural(selected.shown, "edge")].filter(Boolean).join(" · "));
  const found = shownEdges(selected);
  if (!found.length) add(panel, "p", {}, selected.edges.length ? "No edge is this strong: move the slider to the left." : "No edges here.");
  if (!data.directed) return list("Neighbours", "weight", rowsOf(found));
  list("Targets", "weight", rowsOf(found.filter((edge) => edge.mutual || edge.source === selected)));
  list("Regulators", "weight", rowsOf(found.filter((edge) => edge.mutual || edge.target === selected)));
}

// ---- search and filter ---------------------------------------------------------------------------------------

let found = [], active = 0;
function suggest() {
  const wanted = byId("search").value.trim().toLowerCase();
  const score = (text) => (text === wanted ? 0 : text.startsWith(wanted) ? 1 : text.includes(wanted) ? 2 : 3);
  found = !wanted ? [] : nodes.map((node) => [Math.min(score(node.label.toLowerCase()), score(node.id.toLowerCase())), node])
    .filter(([points]) => points < 3).sort((a, b) => a[0] - b[0] || a[1].label.localeCompare(b[1].label)).slice(0, 8).map(([, node]) => node);
  active = 0;
  const box = byId("suggestions");
  box.replaceChildren();
  found.forEach((node, i) => {
    const item = add(box, "li", { role: "option", id: `suggestion-${i}`, "data-gene": node.id });
    add(item, "span", {}, node.label);
    if (node.id !== node.label) add(item, "small", {}, node.id);
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

for (const [kind, text] of Object.entries(kinds)) add(byId("labels"), "option", { value: kind }, text);
byId("labels").addEventListener("change", (event) => { write(event.target.value); draw(); });
byId("weight").max = Math.max(0, levels.length - 1);
byId("weight").disabled = levels.length < 2;
byId("weight").addEventListener("input", (event) => { cut = levels[event.target.value]; update(); });

// ---- legend ----------------------------------------------------------------------------------------

function explain(text, fill) {
  const item = add(byId("legend").querySelector("ul"), "li");
  const icon = add(item, "svg", { width: 28, height: 14, viewBox: "-14 -7 28 14", "aria-hidden": "true" });
  fill(icon);
  item.append(text);
}
function explainEdge(text, isNegative, hasHead = data.directed) {
  explain(text, (icon) => {
    const group = add(icon, "g", { class: isNegative ? "negative" : "" });
    add(group, "path", { class: "line", d: `M-13 0H${hasHead ? 6 : 13}`, "stroke-width": 1.8 });
    if (hasHead) add(group, "path", { class: "head", d: "M13 0L5 4V-4Z" });
  });
}
const plain = nodes[0]?.colour, grouped = Object.keys(data.legend).length > 0;
for (const [text, colour] of Object.entries(data.legend)) explain(text, (icon) => addShape(icon, false, colour, 5));
if (nodes.some((node) => node.regulator)) {
  explain("regulator", (icon) => addShape(icon, true, grouped ? "var(--soft)" : plain, 4.5));
  if (nodes.some((node) => !node.regulator)) explain("other gene", (icon) => addShape(icon, false, grouped ? "var(--soft)" : plain, 5));
}
if (edges.some((edge) => edge.weight > 0 && !edge.mutual)) explainEdge(data.directed ? "regulator to target" : "edge", false);
if (edges.some((edge) => edge.mutual)) explainEdge("the same weight both ways", false, false);
if (edges.some((edge) => edge.weight < 0)) explainEdge("negative weight", true);
add(byId("legend"), "small", {}, "Wider: larger |weight|. Larger: more edges.");
byId("legend").open = !phone.matches;
const share = (part, whole, word) => (part < whole ? `${number(part)} of ` : "") + plural(whole, word);
byId("summary").textContent = [share(nodes.length, data.total.genes, "gene"), share(countOf(edges), data.total.edges, "edge"), data.directed ? "directed" : "undirected"].join(" · ");
