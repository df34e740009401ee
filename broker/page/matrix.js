"use strict";
// The page is whole without this: it adds a panel instead of the list of evidence, sorting and filters.
// Texts are only ever moved as nodes that the page already holds, never written as markup.
const $ = (query, from = document) => from.querySelector(query);
const all = (query, from = document) => [...from.querySelectorAll(query)];
const panel = $("#panel");
const narrow = matchMedia("(max-width: 760px)");
let pinned = null;
let shown = null;
let still = false; // the panel has just gone from under the mouse: what lies there was not pointed at

document.documentElement.classList.add("js");

function evidence(link) {
  return document.getElementById(link.hash.slice(1));
}

function place(link) {
  panel.style.maxHeight = "";
  if (narrow.matches) return;
  const at = link.getBoundingClientRect();
  const left = Math.min(Math.max(12, at.left + at.width / 2 - panel.offsetWidth / 2), innerWidth - panel.offsetWidth - 12);
  const room = { below: innerHeight - at.bottom - 20, above: at.top - 20 };
  const below = panel.offsetHeight <= room.below || room.below >= room.above;
  panel.style.maxHeight = `${Math.min(panel.offsetHeight, below ? room.below : room.above)}px`;
  panel.style.left = `${left}px`;
  panel.style.top = below ? `${at.bottom + 8}px` : `${at.top - panel.offsetHeight - 8}px`;
}

function show(link, glance) {
  const copy = evidence(link).cloneNode(true);
  copy.removeAttribute("id");
  $(".body", panel).replaceChildren(copy);
  panel.classList.toggle("glance", glance);
  panel.hidden = false;
  panel.scrollTop = 0;
  if (shown) shown.classList.remove("shown");
  shown = link;
  link.classList.add("shown");
  place(link);
}

function hide(back) {
  panel.hidden = true;
  if (shown) shown.classList.remove("shown");
  if (back && pinned) pinned.focus();
  still = pinned !== null;
  pinned = shown = null;
}

function pin(link) {
  pinned = link;
  show(link, false);
  $(".close", panel).focus();
}

const links = "td a.c, tbody th a";

document.addEventListener("click", (event) => {
  const link = event.target.closest(links);
  if (link) {
    event.preventDefault();
    pinned === link ? hide(true) : pin(link);
  } else if (event.target.closest(".close") || (!panel.hidden && !event.target.closest("#panel"))) {
    hide(Boolean(event.target.closest(".close")));
  }
});

document.addEventListener("pointermove", () => { still = false; });
for (const [came, went] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
  document.addEventListener(came, (event) => {
    const link = event.target.closest?.(links);
    const glances = came === "focusin" ? link?.matches(":focus-visible") : event.pointerType === "mouse" && !still;
    if (link && !pinned && glances && !narrow.matches) show(link, true);
  });
  document.addEventListener(went, (event) => {
    if (!pinned && event.target.closest?.(links)) hide(false);
  });
}

// One stop of the tabulator for each table; arrows move inside.
const visible = (table) => all("tbody tr", table).filter((row) => !row.hidden && !row.matches(".group"));
const stops = (row) => all("a.c, th a", row);

function tabulator(table) {
  const rows = visible(table);
  const now = stops(table).find((link) => link.tabIndex === 0 && !link.closest("tr").hidden);
  for (const link of stops(table)) link.tabIndex = -1;
  const first = now ?? (rows.length ? stops(rows[0])[0] : null);
  if (first) first.tabIndex = 0;
}

function step(link, key) {
  const rows = visible(link.closest("table"));
  const row = rows.indexOf(link.closest("tr"));
  const column = stops(rows[row]).indexOf(link);
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -99], End: [0, 99] };
  const [down, right] = moves[key];
  const next = rows[Math.min(Math.max(0, row + down), rows.length - 1)];
  const cells = stops(next);
  return cells[Math.min(Math.max(0, column + right), cells.length - 1)];
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !panel.hidden) return hide(true);
  const link = event.target.closest?.(links);
  if (!link || !/^(Arrow|Home|End)/.test(event.key) || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  const next = step(link, event.key);
  link.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

const order = ["yes", "partial", "planned", "number", "text", "no", "unknown"];

function sort(table, column) {
  const listed = (a, b) => a.dataset.order - b.dataset.order;
  const heads = all("thead th", table);
  const same = heads[column]?.getAttribute("aria-sort") === "ascending";
  for (const head of heads) head.removeAttribute("aria-sort");
  const back = same || column < 0;
  if (!back) heads[column].setAttribute("aria-sort", "ascending");
  const weight = (row) => order.indexOf(row.children[column].dataset.status);
  const name = (row) => row.children[0].textContent.trim();
  const compare = column ? (a, b) => weight(a) - weight(b) || listed(a, b) : (a, b) => name(a).localeCompare(name(b));
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.matches(".group"));
    rows.sort(back ? listed : compare);
    body.append(...rows);
  }
}

for (const table of all("table")) {
  all("thead button", table).forEach((button, column) => button.addEventListener("click", () => sort(table, column)));
}

const controls = $(".controls");
if (controls) {
  const toggle = $(".toggle", controls);
  toggle.addEventListener("click", () => toggle.setAttribute("aria-expanded", toggle.getAttribute("aria-expanded") !== "true"));
}
const archives = $("table.archives");

function fits(row, asked) {
  const text = `${row.textContent} ${row.dataset.words}`.toLowerCase();
  if (!asked.words.every((word) => text.includes(word))) return false;
  if (!asked.layers.includes(row.dataset.layer)) return false;
  if (!asked.statuses.length) return true;
  const cells = all("td", row).filter((cell) => !asked.capability || cell.dataset.capability === asked.capability);
  return cells.some((cell) => asked.statuses.includes(cell.dataset.status));
}

function filter() {
  const form = new FormData(controls);
  const asked = {
    words: String(form.get("words")).toLowerCase().split(/\s+/).filter(Boolean),
    capability: form.get("capability"),
    statuses: form.getAll("status"),
    layers: form.getAll("layer"),
  };
  const rows = all("tbody tr:not(.group)", archives);
  for (const row of rows) row.hidden = !fits(row, asked);
  for (const body of archives.tBodies) $(".group", body).hidden = !visible(body).length;
  $("output", controls).textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} archives`;
  document.body.classList.toggle("words", form.get("written") === "on");
  hide(false);
  tabulator(archives);
}

if (archives) {
  controls.addEventListener("input", filter);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.elements.sort.addEventListener("change", (event) => {
    for (const head of all("thead th", archives)) head.removeAttribute("aria-sort");
    sort(archives, Number(event.target.value));
  });
  filter();
}
all("table").forEach(tabulator);
addEventListener("resize", () => (pinned ? place(pinned) : hide(false)));
addEventListener("scroll", () => (pinned || panel.hidden ? undefined : hide(false)), { passive: true, capture: true });
