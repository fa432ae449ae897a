// ---- tables: sorted within each block, filtered, with details ---------------------------------------------------

const tables = [...document.querySelectorAll("table.sortable")];

function valueOf(row, column) {
  if (column === 0) return row.dataset.name.toLowerCase();
  const cell = row.cells[column];  // a row that failed has no such cells
  if (!cell) return null;
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  return cell.classList.contains("number") ? null : cell.textContent.trim().toLowerCase() || null;
}

function rowsOf(body) { return [...body.rows].filter((row) => row.dataset.row !== undefined); }

function sortTable(table, head) {
  const before = head.getAttribute("aria-sort");
  const descending = before ? before === "ascending" : head.dataset.first === "descending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  for (const body of table.tBodies) {
    const keyed = rowsOf(body).sort((a, b) => a.dataset.place - b.dataset.place).map((row, i) => [valueOf(row, head.cellIndex), i, row]);
    keyed.sort(([a, i], [b, j]) => {
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
      return (descending ? -order : order) || i - j;
    });
    for (const [, , row] of keyed) body.append(row, ...(row.detail ? [row.detail] : []));
  }
}

function filterTables() {
  let shown = 0, all = 0, failed = 0;
  for (const table of tables) {
    for (const body of table.tBodies) {
      const isHere = fits(JSON.parse(body.dataset.facets));
      let any = false;
      for (const row of rowsOf(body)) {
        row.hidden = !(isHere && fits(JSON.parse(row.dataset.facets)));
        if (row.detail) row.detail.hidden = row.hidden || row.querySelector(".open").getAttribute("aria-expanded") === "false";
        any ||= !row.hidden;
        all += 1;
        shown += !row.hidden;
        failed += !row.hidden && row.classList.contains("failed");
      }
      body.hidden = !any;
    }
  }
  const said = document.getElementById("shown");
  if (!said) return;
  said.textContent = `${number(shown)} of ${plural(all, "row")} shown${failed ? `, ${number(failed)} of them without a result` : ""}`;
  const choices = selects.map((select) => `${select.labels[0].textContent.toLowerCase()}: ${select.selectedOptions[0].textContent}`);
  html(said, "span", { className: "printed", textContent: `; ${choices.join(", ")}` });  // on paper there are no lists to see it in
}

// The details of a row are made when they are first asked for.
function openRow(table, row, button) {
  if (!row.detail) {
    row.detail = document.createElement("tr");
    row.detail.className = "detail";
    row.detail.id = button.getAttribute("aria-controls");
    const cell = row.detail.insertCell();
    cell.colSpan = table.tHead.rows[0].cells.length;
    const list = cell.appendChild(document.createElement("dl"));
    for (const [name, text] of Object.entries(page.parts[table.id].details[row.dataset.row])) {
      list.appendChild(document.createElement("dt")).textContent = name;
      const value = list.appendChild(document.createElement("dd"));
      if (!text.includes("\n")) value.textContent = text;
      else value.append(copyButton(text), Object.assign(document.createElement("pre"), { textContent: text.trimEnd(), tabIndex: 0 }));
    }
    row.after(row.detail);
  }
  const isOpen = button.getAttribute("aria-expanded") === "true";
  button.setAttribute("aria-expanded", String(!isOpen));
  row.detail.hidden = isOpen;
}

function copyButton(text) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "copy", textContent: "Copy" });
  button.addEventListener("click", async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; }
    catch { getSelection().selectAllChildren(button.nextElementSibling); button.textContent = "Selected"; }
  });
  return button;
}

for (const table of tables) {
  for (const body of table.tBodies) rowsOf(body).forEach((row, i) => { row.dataset.place = i; });
  for (const head of table.tHead.rows[0].cells) head.querySelector("button").addEventListener("click", () => sortTable(table, head));
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button.open");
    if (button) openRow(table, button.closest("tr"), button);
  });
}
follow(filterTables);
