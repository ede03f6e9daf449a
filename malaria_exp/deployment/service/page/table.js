// The table of cells: sorted, filtered, a page of rows at a time.

import { percent, sureness } from "./counts.js";

const PAGE = 100;
const byId = id => document.getElementById(id);

export class Table {
  constructor(explain) {
    this.explain = explain;
    this.items = [];
    this.sorting = { key: null, down: false };
    this.rows = PAGE;
    for (const button of document.querySelectorAll("[data-sort]")) button.onclick = () => this.sort(button);
    byId("show").onchange = byId("filter").oninput = () => { this.rows = PAGE; this.draw(); };
    byId("more").onclick = () => {
      const first = this.rows;
      this.rows += PAGE;
      this.draw();
      byId("rows").children[first]?.querySelector("button:not([hidden])")?.focus();
    };
  }

  sort(button) {
    const key = button.dataset.sort;
    // Numbers from the highest down first, texts from A.
    this.sorting = { key, down: this.sorting.key === key ? !this.sorting.down : key === "score" || key === "sure" };
    for (const other of document.querySelectorAll("[data-sort]")) {
      other.closest("th").ariaSort = other !== button ? "none" : this.sorting.down ? "descending" : "ascending";
    }
    this.draw();
  }

  // Draws the items at a threshold, {name, value}.
  draw(items = this.items, threshold = this.threshold) {
    Object.assign(this, { items, threshold });
    const words = byId("filter").value.toLowerCase().split(/\s+/), show = byId("show").value;
    const wanted = {
      all: () => true,
      positive: item => item.score !== null && item.score >= threshold.value,
      negative: item => item.score !== null && item.score < threshold.value,
      unlike: item => item.looks_like_training_data === false,
      bad: item => item.error !== null,
    }[show];
    const found = items.filter(item => wanted(item) && words.every(word => item.file.toLowerCase().includes(word)));
    if (this.sorting.key) found.sort((one, other) => this.compare(one, other));
    byId("shown").textContent = `${found.length} of ${items.length} files`;
    byId("rows").replaceChildren(...found.slice(0, this.rows).map(item => this.row(item)));
    const hidden = found.length - this.rows;
    byId("more").hidden = hidden <= 0;
    byId("more").textContent = `Show ${Math.min(hidden, PAGE)} more of ${hidden}`;
  }

  compare(one, other) {
    const value = item => ({
      file: item.file,
      score: item.score,
      predicted: item.score === null ? null : item.predicted[this.threshold.name],
      sure: item.score === null ? null : sureness(item, this.threshold.value).probability,
      looks: item.looks_like_training_data === null ? null : item.looks_like_training_data ? "yes" : "no",
    })[this.sorting.key];
    const [a, b] = [value(one), value(other)];
    // What has no value stays last.
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true });
    return this.sorting.down ? -order : order;
  }

  row(item) {
    const row = byId("row").content.firstElementChild.cloneNode(true), part = name => row.querySelector(`.${name}`);
    part("file").textContent = item.file;
    part("picture").append(item.picture ??= picture(item));
    const button = part("explain").firstElementChild;
    if (item.score === null) {
      part("bar").remove();
      button.remove();
      part("looks").textContent = `Could not be used: ${item.error}`;
      part("looks").classList.add("bad");
      return row;
    }
    const { probability, word } = sureness(item, this.threshold.value), label = item.predicted[this.threshold.name];
    part("number").textContent = item.score.toFixed(3);
    const fill = part("bar").appendChild(document.createElement("i"));
    fill.style.width = `${100 * item.score}%`;
    for (const value of this.values) {
      part("bar").appendChild(document.createElement("b")).style.left = `${100 * Math.min(value, 1)}%`;
    }
    part("predicted").textContent = label;
    part("predicted").classList.toggle("positive", item.score >= this.threshold.value);
    part("sure").textContent = `${word}, ${percent(probability, probability > 0.995 ? 1 : 0)}`;
    const looks = item.looks_like_training_data;
    part("looks").textContent = looks === null ? "not known" : looks ? "yes" : `no: ${item.why_not.join("; ")}`;
    part("looks").classList.toggle("unlike", looks === false);
    row.classList.toggle("foreign", looks === false);
    button.ariaLabel = `Explain ${item.file}`;
    button.onclick = () => this.explain(item);
    return row;
  }
}

function picture(item) {
  const image = new Image(64, 64), none = document.createElement("span");
  none.textContent = "no preview";
  image.alt = `Picture of ${item.file}`;
  image.onerror = () => image.replaceWith(item.picture = none);
  item.blob().then(blob => { image.src = item.url = URL.createObjectURL(blob); }, image.onerror);
  return image;
}
