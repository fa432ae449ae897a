"use strict";
const tables = [...document.querySelectorAll(".files")];
const rows = tables.flatMap(table => [...table.tBodies[0].rows]);
const files = tables[0].tBodies[0].rows.length;
const text = document.querySelector("#text");
const status = document.querySelector("#status");
const count = document.querySelector("#count");

// The value of a cell to sort by: a number where there is one, null where nothing was measured.
function value(row, column) {
  const cell = row.cells[column];
  const shown = cell.querySelector("a") ?? cell;  // a name without the reason below it
  if (!cell.classList.contains("number")) return shown.textContent.trim().toLowerCase() || null;
  return cell.dataset.value === undefined ? null : Number(cell.dataset.value);
}

function sortBy(head) {
  const table = head.closest("table");
  const given = [...table.tBodies[0].rows].sort((a, b) => a.dataset.place - b.dataset.place);
  const descending = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const keyed = given.map((row, i) => [value(row, head.cellIndex), i, row]);
  keyed.sort(([a, i], [b, j]) => {
    if (a === null || b === null) return (a === null) - (b === null) || i - j;
    const order = typeof a === "number" ? a - b : a < b ? -1 : a > b ? 1 : 0;
    return (descending ? -order : order) || i - j;
  });
  table.tBodies[0].append(...keyed.map(([, , row]) => row));
}

function filter() {
  const wanted = text.value.trim().toLowerCase();
  let n = 0;
  for (const row of rows) {
    const shown = row.textContent.toLowerCase().includes(wanted) && (!status.value || row.dataset.status === status.value);
    row.hidden = !shown;
    if (row.closest("table") !== tables[0]) continue;
    document.getElementById(row.dataset.file).hidden = !shown;
    n += shown;
  }
  count.textContent = `${n.toLocaleString("en")} of ${files.toLocaleString("en")} files`;
}

function openTarget() {
  const target = document.getElementById(location.hash.slice(1));
  if (!target) return;
  target.open = true;
  target.scrollIntoView();
}

for (const table of tables) {
  [...table.tBodies[0].rows].forEach((row, i) => { row.dataset.place = i; });
  for (const button of table.tHead.querySelectorAll("button")) {
    button.disabled = false;
    button.addEventListener("click", () => sortBy(button.closest("th")));
  }
}
document.querySelector(".tools").hidden = false;
text.addEventListener("input", filter);
status.addEventListener("change", filter);
addEventListener("hashchange", openTarget);
document.addEventListener("click", event => {
  // A link to what the address names already: the browser does nothing, though it may be folded by now.
  const link = event.target.closest('a[href^="#"]');
  if (link && link.hash === location.hash) openTarget();
});
openTarget();
