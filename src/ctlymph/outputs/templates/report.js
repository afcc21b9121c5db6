"use strict";
(() => {
  const table = document.getElementById("nodes");
  if (!table) return;
  const body = table.tBodies[0];
  const cards = document.getElementById("cards");
  const cardOf = (row) => document.getElementById(`node-${row.dataset.node}`);

  const compare = (a, b) => {
    const difference = Number(a) - Number(b);
    return Number.isNaN(difference) ? a.localeCompare(b) : difference;
  };
  const sortBy = (heading) => {
    const descending = heading.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const value = (row) => row.cells[heading.cellIndex].dataset.value;
    const rows = [...body.rows].sort((a, b) => compare(value(a), value(b)) * (descending ? -1 : 1));
    body.append(...rows);
    cards.append(...rows.map(cardOf));
  };
  for (const heading of table.tHead.rows[0].cells) {
    heading.querySelector("button").addEventListener("click", () => sortBy(heading));
  }

  const overlay = document.getElementById("overlay");
  const showOverlay = () => document.body.classList.toggle("without-overlay", !overlay.checked);
  overlay.addEventListener("change", showOverlay);
  document.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "o" || event.ctrlKey || event.metaKey || event.altKey) return;
    overlay.checked = !overlay.checked;
    showOverlay();
  });

  const score = document.getElementById("score");
  const filter = () => {
    const least = score ? Number(score.value) : 0;
    const hidden = new Set();
    for (const row of body.rows) {
      row.hidden = row.dataset.score !== undefined && Number(row.dataset.score) < least;
      cardOf(row).hidden = row.hidden;
      if (row.hidden) hidden.add(row.dataset.node);
    }
    for (const pin of document.querySelectorAll(".pin")) {
      pin.style.display = hidden.has(pin.dataset.node) ? "none" : "";
    }
    const all = body.rows.length;
    if (score) document.getElementById("score-value").value = least.toFixed(2);
    document.getElementById("shown").textContent = hidden.size ? `${all - hidden.size} of ${all} nodes shown` : "";
  };
  if (score) score.addEventListener("input", filter);
  document.querySelector(".controls").hidden = false;
  showOverlay();
  filter();
})();
