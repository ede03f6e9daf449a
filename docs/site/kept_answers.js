// In the gallery no service runs. This stands before the page's own script: it answers with what a service has said of a few cells, and adds them.
"use strict";
{
  const real = window.fetch;
  const kept = real("answers.json").then(response => response.json());
  const unknown = file => ({ file, score: null, predicted: null, looks_like_training_data: null, why_not: [], error: "in this gallery no service runs" });
  window.fetch = async (address, options = {}) => {
    const answers = await kept, names = options.body?.getAll("files").map(file => file.name);
    if (address === "model") return Response.json(answers.model);
    if (address === "explain") return real(answers.maps[names[0]]);
    const known = Object.fromEntries(answers.predict.cells.map(cell => [cell.file, cell]));
    return Response.json({ ...answers.predict, cells: names.map(name => known[name] ?? unknown(name)) });
  };
  window.addEventListener("load", async () => {
    const data = new DataTransfer();
    for (const [name, source] of Object.entries((await kept).images)) data.items.add(new File([await (await real(source)).blob()], name, { type: "image/png" }));
    const input = document.getElementById("files");
    input.files = data.files;
    input.dispatchEvent(new Event("change"));
  });
}
