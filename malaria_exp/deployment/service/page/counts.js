// What is counted over the cells, and the CSV.

const LANCZOS = [76.18009172947146, -86.50532032941677, 24.01409824083091, -1.231739572450155, 1.208650973866179e-3, -5.395239384953e-6];

function logGamma(x) {
  const sum = LANCZOS.reduce((sum, part, place) => sum + part / (x + 1 + place), 1.000000000190015);
  return (x + 0.5) * Math.log(x + 5.5) - x - 5.5 + Math.log(2.5066282746310005 * sum / x);
}

// The regularized incomplete beta function, by its continued fraction (https://dlmf.nist.gov/8.17#v, by Lentz's method).
function beta(x, a, b) {
  if (x > (a + 1) / (a + b + 2)) return 1 - beta(1 - x, b, a);
  let c = 1, d = 1 / (1 - (a + b) * x / (a + 1)), fraction = d;
  for (let m = 1; m < 2000; m++) {
    const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)), odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    for (const part of [even, odd]) {
      d = 1 / (1 + part * d);
      c = 1 + part / c;
      fraction *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-12) break;
  }
  return fraction * Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x)) / a;
}

function betaInverse(probability, a, b) {
  let low = 0, high = 1;
  while (high - low > 1e-9) {
    const middle = (low + high) / 2;
    if (beta(middle, a, b) < probability) low = middle; else high = middle;
  }
  return high;
}

// The exact 95 % interval of a fraction (Clopper and Pearson 1934, https://doi.org/10.1093/biomet/26.4.404).
export function interval(hits, cells) {
  return [hits ? betaInverse(0.025, hits, cells - hits + 1) : 0, hits < cells ? betaInverse(0.975, hits + 1, cells - hits) : 1];
}

export const percent = (value, digits = 1) => `${(100 * value).toFixed(digits)}\u00a0%`;

// The probability of the class that is predicted, and a word for it.
export function sureness(item, value) {
  const probability = item.score >= value ? item.score : 1 - item.score;
  return { probability, word: probability >= 0.95 ? "high" : probability >= 0.8 ? "medium" : "low" };
}

// No text is a formula for a spreadsheet.
function field(value) {
  let text = value === null || value === undefined ? "" : String(value);
  if (typeof value === "string" && /^'*[=+\-@\t\r]./s.test(text) && !Number.isFinite(Number(text))) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// The columns of predictions.csv.
export function csv(items, thresholds) {
  const names = Object.keys(thresholds);
  const head = ["file", "score", ...names.map(name => `predicted_${name}`), "looks_like_training_data", "why_not", "error"];
  const lines = items.map(item => [
    item.file, item.score, ...names.map(name => item.predicted?.[name]),
    { true: "yes", false: "no" }[item.looks_like_training_data], item.why_not.join("; "), item.error,
  ]);
  return [head, ...lines].map(line => line.map(field).join(",")).join("\n") + "\n";
}
