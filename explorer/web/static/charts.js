// Draws what /api/series says; the figures themselves are behind the link below each chart.
"use strict";
const whole = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 100000, 1000000];
const brief = (tick) => Math.abs(tick) >= 1e5 || (tick !== 0 && Math.abs(tick) < 1e-3) ? tick.toExponential(1) : String(+tick.toPrecision(6));
async function draw(place) {
  const answer = await fetch(place.dataset.source);
  if (!answer.ok) return;
  const { columns } = await answer.json();
  const names = JSON.parse(place.dataset.columns);
  if (!columns.x.length) { place.textContent = "Nothing to draw yet."; return; }
  const ink = getComputedStyle(document.body).color;
  const strokes = ["#2f8fd8", "#d9822b", "#4caf6d"];
  const axis = { stroke: ink, grid: { stroke: "#8885" }, ticks: { stroke: "#8885" } };
  const series = [{ label: "height" }].concat(names.map((name, i) => ({
    label: place.dataset.unit ? `${name} (${place.dataset.unit})` : name, stroke: strokes[i % strokes.length], width: 2, points: { size: 5 },
  })));
  const size = () => ({ width: Math.max(280, place.clientWidth), height: 240 });
  const chart = new uPlot({ ...size(), series, scales: { x: { time: false } }, axes: [{ ...axis, incrs: whole }, { ...axis, size: 80, values: (_, ticks) => ticks.map(brief) }] },
    [columns.x, ...names.map((name) => columns[name])], place);
  addEventListener("resize", () => chart.setSize(size()));
}
document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll(".chart")) draw(place);
});
