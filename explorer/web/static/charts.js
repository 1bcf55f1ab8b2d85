// Draws what /api/series says, again whenever the page is told that something changed; the figures themselves are behind
// the link below each chart.
"use strict";
const whole = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000, 1000000];
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const brief = (tick) => tick !== 0 && Math.abs(tick) < 1e-3 ? tick.toExponential(1) : compact.format(tick);
const charts = new Map();
async function columnsOf(place) {
  const answer = await fetch(place.dataset.source);
  const { columns } = answer.ok ? await answer.json() : { columns: { x: [] } };
  return columns.x.length ? [columns.x, ...JSON.parse(place.dataset.columns).map((name) => columns[name])] : null;
}
function begin(place, data) {
  const ink = getComputedStyle(document.body).color;
  const strokes = ["#2f8fd8", "#d9822b", "#4caf6d"];
  const axis = { stroke: ink, grid: { stroke: "#8883", width: 1 }, ticks: { stroke: "#8885", width: 1 } };
  const series = JSON.parse(place.dataset.columns).map((name, i) => ({
    label: place.dataset.unit ? `${name} (${place.dataset.unit})` : name, stroke: strokes[i % strokes.length], width: 2, points: { size: 5 },
  }));
  const size = () => ({ width: Math.max(280, place.clientWidth), height: 240 });
  place.textContent = "";
  const chart = new uPlot({ ...size(), series: [{ label: "height" }, ...series], scales: { x: { time: false } },
    axes: [{ ...axis, incrs: whole }, { ...axis, size: 80, values: (_, ticks) => ticks.map(brief) }] }, data, place);
  addEventListener("resize", () => chart.setSize(size()));
  charts.set(place, chart);
}
async function draw(place) {
  const data = await columnsOf(place);
  if (charts.has(place)) charts.get(place).setData(data || [[]]);
  else if (data) begin(place, data);
  else place.textContent = "Nothing to draw yet.";
}
function drawAll() {
  for (const place of document.querySelectorAll(".chart")) draw(place);
}
document.addEventListener("DOMContentLoaded", drawAll);
document.addEventListener("htmx:after:swap", (event) => { if (event.target.id !== "status") drawAll(); });
