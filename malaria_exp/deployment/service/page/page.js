// The page: adds cells, sends them in small requests, shows what the service says of them. Nothing is loaded from anywhere else.

import { csv, interval, percent } from "./counts.js";
import { filesOfDrop, imagesOf } from "./files.js";
import { ask, form, onTokenNeeded } from "./service.js";
import { Table } from "./table.js";

const FILES = 32, BYTES = 8e6, DRAW_MS = 400;
const byId = id => document.getElementById(id);
const items = [], waiting = [];
let model, working, stopped;
// Added up over the answers, by which the service tells whether all cells together look like the training data.
let sums = [];
const table = new Table(explain);

const say = text => { byId("status").textContent = text; };
const threshold = () => ({ name: byId("threshold").value, value: model.thresholds[byId("threshold").value].value });

async function about() {
  model = await (await ask("model")).json();
  byId("check").hidden = !model.ood;
  table.values = Object.values(model.thresholds).map(one => one.value);
  byId("threshold").replaceChildren(...Object.entries(model.thresholds).map(([name, { value }]) => new Option(`${name} (${Number(value.toPrecision(3))})`, name)));
  const { training_data: training = {}, model: kind } = model.record;
  const facts = {
    "Network": kind?.name,
    "Hash of its file": model.hash,
    ...Object.fromEntries(Object.entries(model.thresholds).map(([name, one]) => [`Threshold ${name}`, `${one.value}: ${one.rule}`])),
    "Foreign images": model.ood ? `${model.ood.name}: ${model.ood.parts.join(", ")}` : "the model cannot tell whether a picture looks like its training data",
    "False warnings": model.ood?.false_warnings == null ? null : `${percent(model.ood.false_warnings)} of cells like those of training`,
    ...Object.fromEntries(Object.entries(training).map(([key, value]) => [`Training data: ${key.replaceAll("_", " ")}`, typeof value === "object" ? JSON.stringify(value) : value])),
  };
  byId("facts").replaceChildren(...Object.entries(facts).filter(([, text]) => text != null).flatMap(([name, text]) => {
    const [term, value] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    value.textContent = text;
    return [term, value];
  }));
}

async function add(files) {
  try {
    model || await about();
    const images = await imagesOf(await files, model.limits);
    if (!images.length) return say("No file there.");
    for (const image of images) waiting.push(image);
    working ??= send().finally(() => { working = null; });
  } catch (error) {
    say(error.message);
  }
}

async function send() {
  stopped = new AbortController();
  byId("together").textContent = "";
  byId("stop").hidden = byId("progress").hidden = false;
  const before = items.length;
  let drawn = 0;
  while (waiting.length && !stopped.signal.aborted) {
    byId("progress").max = items.length - before + waiting.length;
    byId("progress").value = items.length - before;
    say(`${items.length - before} of ${byId("progress").max} files`);
    items.push(...await scored(await batch()));
    if (performance.now() - drawn > DRAW_MS) {
      draw();
      drawn = performance.now();
    }
  }
  waiting.length = 0;
  byId("stop").hidden = byId("progress").hidden = true;
  draw();
  await together();
  const done = items.length - before, bad = items.slice(before).filter(item => item.error !== null).length;
  say(`${stopped.signal.aborted ? "Stopped. " : ""}${done} file${done === 1 ? "" : "s"} done${bad ? `, ${bad} of them could not be used` : ""}.`);
}

// Takes images for one request from those that wait.
async function batch() {
  const taken = [];
  for (let bytes = 0; waiting.length && taken.length < FILES && bytes < BYTES;) {
    const image = waiting.shift();
    try {
      const blob = await image.blob();
      bytes += blob.size;
      taken.push({ ...image, content: blob });
    } catch (error) {
      taken.push({ ...image, failed: error.message });
    }
  }
  return taken;
}

async function scored(images) {
  const bad = (image, error) => ({ ...image, file: image.name, score: null, predicted: null, looks_like_training_data: null, why_not: [], error });
  const usable = images.filter(image => !image.failed);
  let answers = [], refused = null;
  if (usable.length) {
    try {
      const body = form(usable.map(({ content, name }) => ({ blob: content, name })));
      const said = await (await ask("predict", { method: "POST", body, signal: stopped.signal })).json();
      if (said.cells.length !== usable.length) throw new Error("The service answered for another number of files.");
      answers = said.cells;
      sums = said.ood_log_sums?.map((sum, part) => sum + (sums[part] ?? 0)) ?? sums;
    } catch (error) {
      refused = error.name === "AbortError" ? "stopped" : error.message;
    }
  }
  return images.map(({ content, ...image }) => image.failed || refused ? bad(image, image.failed || refused) : { ...image, ...answers.shift() });
}

function draw() {
  byId("results").hidden = !items.length;
  if (!items.length) return;
  const { value } = threshold(), good = items.filter(item => item.score !== null);
  const unlike = good.filter(item => item.looks_like_training_data === false);
  const counted = byId("leave").checked ? good.filter(item => item.looks_like_training_data !== false) : good;
  const hits = counted.filter(item => item.score >= value).length;
  byId("scored").textContent = good.length;
  byId("positive").textContent = hits;
  byId("unlike").textContent = model.ood ? unlike.length : "not known";
  byId("bad").textContent = items.length - good.length;
  const [low, high] = counted.length ? interval(hits, counted.length) : [];
  byId("fraction").textContent = counted.length
    ? `Parasitemia of these ${counted.length} cells: ${percent(hits / counted.length)} predicted parasitized, 95 % interval ${percent(low)} to ${percent(high)}.`
      + " The interval is that of a sample of this many cells; it does not know the model's errors, nor where the cells come from."
    : "No cell to count.";
  table.draw(items, threshold());
}

// Says of all cells together what no single one shows; nothing where the service cannot be asked.
async function together() {
  const count = items.filter(item => item.score !== null).length;
  if (!sums.length) return;
  try {
    const { verdict, words } = await (await ask(`together?${new URLSearchParams([["count", count], ...sums.map(sum => ["log_sums", sum])])}`)).json();
    byId("together").className = verdict === "foreign" ? "note" : "";
    byId("together").textContent = words;
  } catch { /* The cells have their own answers. */ }
}

async function explain(item) {
  byId("which").textContent = `${item.file}: score ${item.score.toFixed(3)}`;
  byId("before").src = item.url ?? "data:,";
  byId("before").alt = `Picture of ${item.file}`;
  byId("map").removeAttribute("src");
  byId("meaning").textContent = "Computing the map ...";
  byId("explanation").showModal();
  try {
    const response = await ask("explain", { method: "POST", body: form([{ blob: await item.blob(), name: item.file }]) });
    byId("map").src = URL.createObjectURL(await response.blob());
    byId("map").alt = `Map of ${item.file}`;
    byId("meaning").textContent = model.explanation;
  } catch (error) {
    byId("meaning").textContent = error.message;
  }
}

byId("explanation").onclose = () => URL.revokeObjectURL(byId("map").src);
onTokenNeeded(tried => new Promise(done => {
  if (tried) say("That is not its token.");
  byId("access").hidden = false;
  byId("token").focus();
  byId("access").onsubmit = event => {
    event.preventDefault();
    byId("access").hidden = true;
    done(byId("token").value.trim());
    byId("token").value = "";
  };
}));
for (const id of ["files", "folder"]) {
  byId(id).onchange = event => { add([...event.target.files]); event.target.value = ""; };
}
for (const id of ["threshold", "leave"]) byId(id).onchange = draw;
byId("stop").onclick = () => stopped.abort();
byId("clear").onclick = () => {
  for (const item of items) URL.revokeObjectURL(item.url);
  items.length = 0;
  sums = [];
  draw();
  say("Cleared.");
  byId("files").focus();
};
byId("csv").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(items, model.thresholds)], { type: "text/csv" }));
  link.download = "predictions.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};
const drop = byId("drop");
// All of the page takes a drop: one that misses the field would make the browser leave the page.
document.ondragover = event => { event.preventDefault(); drop.classList.add("over"); };
document.ondragleave = event => { if (!event.relatedTarget) drop.classList.remove("over"); };
document.ondrop = event => {
  event.preventDefault();
  drop.classList.remove("over");
  add(filesOfDrop(event.dataTransfer));
};
about().then(() => say(""), error => say(error.message));
