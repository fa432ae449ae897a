"use strict";
// ---- choices that hold for the whole page ----------------------------------------------------------------------

const page = JSON.parse(document.getElementById("data").textContent);
const chosen = {};
const selects = [...document.querySelectorAll("[data-facet]")];
const followers = [];

// Whether something is among what is chosen; what has no value of a facet always is.
function fits(facets) {
  return Object.entries(chosen).every(([key, value]) => value === null || facets[key] === undefined || [].concat(facets[key]).includes(value));
}
function follow(run) { followers.push(run); }

function choose() {
  for (const select of selects) chosen[select.dataset.facet] = select.selectedIndex === 0 && !select.hasAttribute("data-exclusive") ? null : select.value;
  for (const run of followers) run();
}

// The choices are in the address, so that a link leads to what one sees.
function remember() {
  const kept = new URLSearchParams(selects.filter((select) => select.selectedIndex > 0).map((select) => [select.dataset.facet, select.value]));
  history.replaceState(null, "", `#${kept}`);
}
function recall() {
  const kept = new URLSearchParams(location.hash.slice(1));
  for (const select of selects) {
    const wanted = kept.get(select.dataset.facet);
    if (wanted !== null && [...select.options].some((option) => option.value === wanted)) select.value = wanted;
  }
}

for (const select of selects) select.addEventListener("change", () => { choose(); remember(); });
document.querySelector(".filters")?.addEventListener("submit", (event) => event.preventDefault());
document.querySelector(".filters")?.addEventListener("reset", () => setTimeout(() => { choose(); remember(); }));
addEventListener("hashchange", () => { if (location.hash.includes("=")) { recall(); choose(); } });

const number = (value) => value.toLocaleString("en");
const plural = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;
// As people read it: three digits that matter, no exponent where it is avoidable.
function short(value) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return number(Math.round(value));
  if (size < 1e-4) return value.toExponential(1);
  return value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
}
