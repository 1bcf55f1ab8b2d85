// Draws what /api/series says; the figures themselves are behind the link below each chart.
"use strict";
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
  const chart = new uPlot({ ...size(), series, scales: { x: { time: false } }, axes: [axis, { ...axis, size: 70 }] },
    [columns.x, ...names.map((name) => columns[name])], place);
  addEventListener("resize", () => chart.setSize(size()));
}
document.addEventListener("DOMContentLoaded", () => {
  for (const place of document.querySelectorAll(".chart")) draw(place);
});
