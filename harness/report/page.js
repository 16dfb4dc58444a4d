"use strict";
// Everything is in the page already; this folds, sorts and filters it, and keeps the choice in the address.
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const form = document.getElementById("controls");
const table = document.getElementById("main");
const rows = all("tbody[data-model]"); // each with its data sets and commands

function button(name, text, label, click) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = name;
  made.textContent = text;
  if (label) made.setAttribute("aria-label", label);
  made.addEventListener("click", click);
  return made;
}

// Folding

function fold(row, folded) {
  row.classList.toggle("folded", folded);
  row.querySelector(".fold").setAttribute("aria-expanded", String(!folded));
}

for (const row of rows) {
  const first = row.rows[0];
  const name = [".model", ".center", ".method"].map((part) => first.querySelector(part)?.textContent).filter(Boolean);
  const made = button("fold", "", `Data sets and commands of ${name.join(", ")}`, () =>
    fold(row, !row.classList.contains("folded")),
  );
  made.setAttribute("aria-controls", [...row.rows].slice(1).map((below) => below.id).join(" "));
  first.cells[0].prepend(made);
  fold(row, true);
}

const unfold = document.getElementById("unfold");
unfold.addEventListener("click", () => {
  const open = unfold.getAttribute("aria-pressed") !== "true";
  unfold.setAttribute("aria-pressed", String(open));
  unfold.textContent = open ? "Fold all rows" : "Unfold all rows";
  rows.forEach((row) => fold(row, !open));
});

for (const one of all("details:not(.stay)")) one.open = false;
let opened = [];
addEventListener("beforeprint", () => {
  opened = all("details:not(.long, [open])"); // what is long is printed if it was opened by hand
  for (const one of opened) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of opened) one.open = false;
});

for (const code of all(".commands code")) {
  const what = code.parentElement.querySelector("span").textContent;
  const made = button("copy", "Copy", `Copy the command for ${what}`, async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      made.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // no clipboard here: select it, to be copied by hand
    }
  });
  code.after(made);
}

// Sorting and filtering

const inputs = all("input", form);
const groups = [...new Set(inputs.map((input) => input.name))];
const heads = table ? all("thead th", table) : [];
const titles = heads.map((head) => head.textContent.trim());
const original = table ? all("tbody", table) : [];
let sort = ""; // a column's title; "": as in the card
let order = "ascending";

function value(row, column) {
  const cell = row.rows[0].cells[column];
  if (!("number" in cell.dataset)) return cell.textContent.trim();
  return cell.dataset.number === "" ? null : Number(cell.dataset.number);
}

function compare(one, other) {
  if (one === null || other === null) return (one === null) - (other === null);
  const found = typeof one === "number" ? one - other : one.localeCompare(other, "en");
  return order === "descending" ? -found : found;
}

function arrange() {
  const column = titles.indexOf(sort);
  const sorted = [...original];
  if (column >= 0) sorted.sort((one, other) => compare(value(one, column), value(other, column)));
  table?.append(...sorted);
  heads.forEach((head, i) => head.setAttribute("aria-sort", i === column ? order : "none"));
  form.elements.sort.value = sort;
  form.elements.order.value = order;
}

function filter() {
  const chosen = {};
  for (const name of groups) chosen[name] = inputs.filter((one) => one.name === name && one.checked).map((one) => one.value);
  const out = (element, name) => name in chosen && name in element.dataset && !chosen[name].includes(element.dataset[name]);
  for (const row of rows) row.hidden = ["model", "center", "method"].some((name) => out(row, name));
  for (const cell of all("[data-depth]")) cell.hidden = out(cell, "depth");
  const shown = original.filter((row) => !row.hidden).length;
  document.getElementById("count").textContent = `${shown} of ${original.length} rows`;
}

function remember() {
  const words = new URLSearchParams();
  for (const name of groups) {
    const some = inputs.filter((input) => input.name === name);
    const chosen = some.filter((input) => input.checked).map((input) => input.value);
    if (chosen.length < some.length) (chosen.length ? chosen : [""]).forEach((one) => words.append(name, one));
  }
  if (sort) words.append("sort", sort), words.append("order", order);
  history.replaceState(null, "", String(words) ? `#${words}` : location.pathname + location.search);
}

function recall() {
  if (location.hash && !location.hash.includes("=")) return; // a place in the page
  const words = new URLSearchParams(location.hash.slice(1));
  for (const input of inputs) input.checked = !words.has(input.name) || words.getAll(input.name).includes(input.value);
  sort = titles.includes(words.get("sort")) ? words.get("sort") : "";
  order = words.get("order") === "descending" ? "descending" : "ascending";
  arrange();
  filter();
}

function sortBy(title, chosen) {
  const first = heads[titles.indexOf(title)]?.dataset.first || "ascending";
  const other = { ascending: "descending", descending: "ascending" };
  order = chosen || (sort === title ? other[order] : first);
  sort = title;
  arrange();
  remember();
}

heads.forEach((head, i) => head.replaceChildren(button("", titles[i], "", () => sortBy(titles[i]))));
form.elements.sort.append(new Option("as in the card", ""), ...titles.map((title) => new Option(title, title)));
form.elements.sort.addEventListener("change", (event) => sortBy(event.target.value));
form.elements.order.addEventListener("change", (event) => sortBy(sort, event.target.value));
for (const input of inputs) input.addEventListener("change", () => (filter(), remember()));
form.addEventListener("reset", (event) => {
  event.preventDefault();
  for (const input of inputs) input.checked = true;
  sort = "";
  order = "ascending";
  arrange();
  filter();
  remember();
});
addEventListener("hashchange", recall);
arrange();
filter();
recall();
form.hidden = false;
