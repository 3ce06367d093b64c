"use strict";
(() => {
  const root = document.documentElement;
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.getElementById("theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
  });

  // The contents stand open beside the page, and closed above it on a phone.
  const contents = document.querySelector("nav details");
  const wide = matchMedia("(min-width: 60rem)");
  const fold = () => { contents.open = wide.matches; };
  wide.addEventListener("change", fold);
  fold();

  const key = (row, column) => {
    const cell = row.cells[column];
    return "sort" in cell.dataset ? cell.dataset.sort : cell.textContent;
  };
  const sort = (head) => {
    const table = head.closest("table");
    const column = head.cellIndex;
    const numbers = head.classList.contains("number");
    const before = head.getAttribute("aria-sort");
    // Numbers start with the largest, words with the first; what is missing stays last.
    const down = before ? before === "ascending" : numbers;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows];
    const folded = rows.filter((row) => row.classList.contains("more")).length;
    rows.sort((first, second) => {
      const [a, b] = [key(first, column), key(second, column)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = numbers ? a - b : a.localeCompare(b, "en", { numeric: true });
      return down ? -order : order;
    });
    rows.forEach((row, place) => row.classList.toggle("more", place >= rows.length - folded));
    table.tBodies[0].append(...rows);
  };
  for (const head of document.querySelectorAll("table:not(.fixed) thead th")) {
    head.querySelector("button").addEventListener("click", () => sort(head));
  }
  for (const button of document.querySelectorAll(".unfold")) {
    button.addEventListener("click", () => button.closest(".table").classList.add("open"));
  }
})();
