// The ECG viewer: wires the controls of ecg.html to paper, traces and calipers.
//
// The page gives `#ecg-meta` (JSON: fs, n, leads, uv_per_bit, baseline, beats, waves, quality, demo) and `#ecg-words` (JSON
// sentences of the chosen language). Samples come from the address in data-samples.

import { afterKey, begin, grabbed, measure, moveActive } from "./ecg_calipers.js";
import { drawOverlay, drawSheet } from "./ecg_draw.js";
import { fromPaper, layoutsFor, layPaper, rowsOf, segmentAt, toPaper } from "./ecg_paper.js";
import { loadTraces } from "./ecg_record.js";
import { calibrate, pixelsPerMm } from "./ecg_screen.js";

const WINDOW = 10; // seconds on one sheet
const LARGEST = 8192; // device pixels a side: within what every browser gives a canvas
const root = document.getElementById("ecg");
const sheet = document.getElementById("ecg-sheet");
const overlay = document.getElementById("ecg-overlay");
const scroller = document.getElementById("ecg-scroll");
const controls = document.getElementById("ecg-controls");
const readout = document.getElementById("ecg-readout");
const meta = JSON.parse(document.getElementById("ecg-meta").textContent);
const words = JSON.parse(document.getElementById("ecg-words").textContent);
const view = { layout: "12x1", speed: 25, gain: 10, zoom: "1", start: 0, seconds: 10, marks: false, beats: true };

let traces = null;
let paper = null;
let calipers = null;
let held = null;
let announcing = 0;

function cssPerMm() {
  if (view.zoom === "fit") return Math.max(scroller.clientWidth / paper.width, 0.5);
  return pixelsPerMm() * Number(view.zoom);
}

function size(canvas, css) {
  const wanted = window.devicePixelRatio || 1;
  const scale = Math.min(wanted, LARGEST / (paper.width * css), LARGEST / (paper.height * css));
  canvas.width = Math.round(paper.width * css * scale);
  canvas.height = Math.round(paper.height * css * scale);
  canvas.style.width = `${paper.width * css}px`;
  canvas.style.height = `${paper.height * css}px`;
  return css * scale;
}

function furthest(leads, sign) {
  const [first, last] = [view.start, view.start + view.seconds].map((t) => Math.round(t * meta.fs));
  let most = 0;
  for (const lead of leads) {
    for (const mv of traces.get(lead).subarray(first, last)) if (mv * sign > most) most = mv * sign;
  }
  return most;
}

function reach() {
  const rows = rowsOf(view.layout, meta.leads);
  return { up: furthest(rows[0], 1), down: furthest(rows.at(-1), -1) };
}

function redraw() {
  view.seconds = Math.min(WINDOW, meta.n / meta.fs);
  paper = layPaper(view, meta.leads, reach());
  const css = cssPerMm();
  const k = size(sheet, css);
  size(overlay, css);
  drawSheet(sheet.getContext("2d"), k, paper, view, meta, traces, words);
  if (calipers && calipers.segment >= paper.segments.length) calipers = null;
  redrawOverlay();
}

function redrawOverlay() {
  const css = cssPerMm();
  drawOverlay(overlay.getContext("2d"), overlay.width / paper.width, paper, view, calipers, scroller.scrollLeft / css);
  tell();
}

function tell() {
  if (calipers === null) {
    readout.textContent = words.calipers_none;
    return;
  }
  const { ms, mv, bpm } = measure(calipers);
  const lead = paper.segments[calipers.segment].lead;
  const rate = bpm === null ? "–" : bpm.toFixed(0);
  readout.textContent = `${lead}: ${ms.toFixed(0)} ${words.ms} · ${mv.toFixed(2)} ${words.mv} · ${rate} ${words.bpm}`;
  clearTimeout(announcing);
  announcing = setTimeout(() => {
    document.getElementById("ecg-announce").textContent = readout.textContent;
  }, 400);
}

function place(event) {
  const box = overlay.getBoundingClientRect();
  return {
    x: ((event.clientX - box.left) / box.width) * paper.width,
    y: ((event.clientY - box.top) / box.height) * paper.height,
  };
}

function takeHold(event) {
  if (event.button !== 0 || (event.pointerType === "touch" && !controls.elements.touch.checked)) return;
  const at = place(event);
  overlay.setPointerCapture(event.pointerId);
  const reach = event.pointerType === "touch" ? 8 : 3;
  if (calipers !== null) {
    const segment = paper.segments[calipers.segment];
    const ends = { a: toPaper(segment, view, calipers.a), b: toPaper(segment, view, calipers.b) };
    const end = grabbed(ends, at, reach);
    if (end !== null) calipers = { ...calipers, active: end };
    else calipers = null;
  }
  if (calipers === null) {
    const segment = segmentAt(paper, at);
    calipers = begin(segment, fromPaper(paper.segments[segment], view, at));
  }
  held = event.pointerId;
  overlay.focus({ preventScroll: true });
  redrawOverlay();
}

function drag(event) {
  if (held !== event.pointerId) return;
  const segment = paper.segments[calipers.segment];
  const { t, mv } = fromPaper(segment, view, place(event));
  calipers = moveActive(calipers, { t: Math.min(Math.max(t, segment.t0), segment.t1), mv });
  redrawOverlay();
}

function letGo() {
  held = null;
}

function press(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const next = afterKey(calipers, event.key, event.shiftKey, { paper, view, fs: meta.fs, traces });
  if (next === undefined) return;
  event.preventDefault();
  calipers = next;
  redrawOverlay();
}

function readControls() {
  const { layout, speed, gain, zoom, marks, beats, touch, start } = controls.elements;
  Object.assign(view, {
    layout: layout.value, speed: Number(speed.value), gain: Number(gain.value), zoom: zoom.value,
    marks: marks.checked, beats: beats.checked, start: Number(start?.value ?? 0),
  });
  overlay.classList.toggle("measuring", touch.checked);
}

function offerLayouts() {
  const possible = layoutsFor(meta.leads);
  for (const option of [...controls.elements.layout.options]) if (!possible.includes(option.value)) option.remove();
  controls.elements.layout.value = possible[0];
}

function listen() {
  controls.addEventListener("input", () => {
    readControls();
    redraw();
  });
  controls.addEventListener("submit", (event) => event.preventDefault());
  overlay.addEventListener("pointerdown", takeHold);
  overlay.addEventListener("pointermove", drag);
  for (const end of ["pointerup", "pointercancel"]) overlay.addEventListener(end, letGo);
  overlay.addEventListener("keydown", press);
  scroller.addEventListener("scroll", () => requestAnimationFrame(redrawOverlay), { passive: true });
  new ResizeObserver(() => requestAnimationFrame(redraw)).observe(scroller);
  matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`).addEventListener("change", redraw);
  document.getElementById("ecg-clear").addEventListener("click", () => {
    calipers = null;
    redrawOverlay();
  });
  calibrate(redraw);
}

async function open() {
  try {
    traces = await loadTraces(meta, root.dataset.samples);
  } catch (error) {
    document.getElementById("ecg-failed").hidden = false;
    throw error;
  }
  offerLayouts();
  readControls();
  redraw();
  listen();
  root.dataset.ready = "yes";
}

open();
