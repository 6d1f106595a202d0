// Drawing of ECG paper on a canvas. Everything is given in millimetres; `k` is device pixels per millimetre.

import { toPaper } from "./ecg_paper.js";

const INK = {
  paper: "#fffdfc", minor: "#f6d3d0", major: "#e3a09b", trace: "#101418", label: "#101418", hatch: "#5a6470",
  p: "#0b4f9e", qrs: "#6a1b7a", t: "#00695c", beat: "#374151", caliper: "#0044aa", active: "#b45309", demo: "#8a6d1d",
};
const FONT = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
const WAVES = [
  ["p_on", "p_off", INK.p, [1.2, 0.8], "P"],
  ["qrs_on", "qrs_off", INK.qrs, [], "QRS"],
  ["t_on", "t_off", INK.t, [0.3, 0.7], "T"],
];

function line(ctx, x0, y0, x1, y1) {
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
}

function text(ctx, k, words, x, y, mm, colour, align = "left", weight = "600") {
  ctx.font = `${weight} ${mm * k}px ${FONT}`;
  ctx.fillStyle = colour;
  ctx.textAlign = align;
  ctx.save();
  ctx.strokeStyle = "rgba(255, 253, 252, 0.85)"; // a halo, so that a word over a trace stays readable
  ctx.lineWidth = mm * k * 0.22;
  ctx.setLineDash([]);
  ctx.strokeText(words, x * k, y * k);
  ctx.restore();
  ctx.fillText(words, x * k, y * k);
}

function gridLines(ctx, k, paper, step, colour, width) {
  ctx.beginPath();
  const crisp = (mm) => Math.round(mm * k) + (width % 2 ? 0.5 : 0);
  for (let x = 0; x <= paper.width; x += step) line(ctx, crisp(x), 0, crisp(x), paper.height * k);
  for (let y = 0; y <= paper.height; y += step) line(ctx, 0, crisp(y), paper.width * k, crisp(y));
  ctx.strokeStyle = colour;
  ctx.lineWidth = width;
  ctx.stroke();
}

function drawGrid(ctx, k, paper) {
  ctx.fillStyle = INK.paper;
  ctx.fillRect(0, 0, paper.width * k, paper.height * k);
  if (k >= 2.5) gridLines(ctx, k, paper, 1, INK.minor, Math.max(1, Math.round(k * 0.1)));
  gridLines(ctx, k, paper, 5, INK.major, Math.max(1, Math.round(k * 0.16)));
}

function drawPulse(ctx, k, view, { x, base }) {
  ctx.beginPath();
  const top = base - view.gain;
  ctx.moveTo((x - 1) * k, base * k);
  for (const [px, py] of [[x, base], [x, top], [x + 5, top], [x + 5, base], [x + 6, base]]) ctx.lineTo(px * k, py * k);
  ctx.stroke();
}

function drawTrace(ctx, k, view, segment, trace, fs) {
  const first = Math.max(0, Math.floor(segment.t0 * fs));
  const last = Math.min(trace.length, Math.ceil(segment.t1 * fs));
  let pen = false;
  ctx.beginPath();
  for (let i = first; i < last; i += 1) {
    const mv = trace[i];
    if (Number.isNaN(mv)) {
      pen = false;
      continue;
    }
    const { x, y } = toPaper(segment, view, { t: i / fs, mv });
    if (pen) ctx.lineTo(x * k, y * k);
    else ctx.moveTo(x * k, y * k);
    pen = true;
  }
  ctx.stroke();
}

function hatch(ctx, k, x, y, width, height) {
  ctx.save();
  ctx.beginPath();
  ctx.rect(x * k, y * k, width * k, height * k);
  ctx.clip();
  ctx.fillStyle = "rgba(90, 100, 112, 0.12)";
  ctx.fillRect(x * k, y * k, width * k, height * k);
  ctx.beginPath();
  for (let d = -height; d < width; d += 2.5) line(ctx, (x + d) * k, (y + height) * k, (x + d + height) * k, y * k);
  ctx.strokeStyle = "rgba(90, 100, 112, 0.45)";
  ctx.lineWidth = Math.max(1, k * 0.12);
  ctx.stroke();
  ctx.restore();
}

function badSpans(segment, meta) {
  const lead = meta.quality.leads[segment.lead];
  const spans = meta.quality.segments
    .filter((s) => !s.usable && (s.lead === segment.lead || s.lead === "all"))
    .map((s) => ({ t0: s.from / meta.fs, t1: s.to / meta.fs, issues: s.issues }));
  if (lead && !lead.usable) spans.unshift({ t0: segment.t0, t1: segment.t1, issues: lead.issues });
  return spans;
}

function shade(ctx, k, view, segment, meta, words) {
  let told = false;
  for (const span of badSpans(segment, meta)) {
    const t0 = Math.max(span.t0, segment.t0);
    const t1 = Math.min(span.t1, segment.t1);
    if (t1 <= t0) continue;
    const x = toPaper(segment, view, { t: t0, mv: 0 }).x;
    hatch(ctx, k, x, segment.top, (t1 - t0) * view.speed, segment.bottom - segment.top);
    if (told) continue;
    told = true;
    const why = span.issues.map((code) => words.issues[code] ?? code).join(", ");
    text(ctx, k, `${words.unjudged}${why ? `: ${why}` : ""}`, x + 1, segment.bottom - 1.2, 2.6, INK.hatch);
  }
}

function marksOf(ctx, k, view, segment, meta, named) {
  for (const wave of meta.waves) {
    for (const [on, off, colour, dash, letter] of WAVES) {
      const ends = [wave[on], wave[off]].filter((i) => i !== null && i / meta.fs >= segment.t0 && i / meta.fs < segment.t1);
      ctx.strokeStyle = colour;
      ctx.lineWidth = Math.max(1, k * 0.16);
      ctx.setLineDash(dash.map((d) => d * k));
      ctx.beginPath();
      const xs = ends.map((i) => toPaper(segment, view, { t: i / meta.fs, mv: 0 }).x);
      for (const x of xs) line(ctx, x * k, (segment.top + 4) * k, x * k, (segment.bottom - 1) * k);
      ctx.stroke();
      if (named && xs.length) text(ctx, k, letter, xs.reduce((a, b) => a + b) / xs.length, segment.bottom - (letter === "QRS" ? 3.4 : 1), 2.2, colour, "center");
    }
  }
  ctx.setLineDash([]);
}

function beatsOf(ctx, k, view, segment, meta) {
  for (const beat of meta.beats) {
    const t = beat.r / meta.fs;
    if (t < segment.t0 || t >= segment.t1) continue;
    const { x } = toPaper(segment, view, { t, mv: 0 });
    text(ctx, k, beat.kind, x, segment.top + 3, 2.6, beat.kind === "N" ? INK.beat : INK.qrs, "center", beat.kind === "N" ? "400" : "800");
  }
}

function drawLabels(ctx, k, paper, view, demo, words) {
  for (const s of paper.segments) {
    text(ctx, k, s.lead, s.x + 1, s.base - Math.min(s.base - s.top, 12) + 3, 3.4, INK.label);
    if (s.column > 0) {
      ctx.beginPath();
      ctx.strokeStyle = INK.label;
      ctx.lineWidth = Math.max(1, k * 0.2);
      line(ctx, s.x * k, (s.base - 5) * k, s.x * k, (s.base + 2) * k);
      ctx.stroke();
    }
  }
  text(ctx, k, `${view.speed} ${words.speed}   ${view.gain} ${words.gain}   ${words.filter}`, 2, paper.height - 1.4, 2.6, INK.label, "left", "400");
  if (demo) text(ctx, k, words.demo, paper.width - 2, paper.height - 1.4, 2.8, INK.demo, "right", "800");
}

/** Draw the whole sheet: grid, pulses, shading, marks, traces, labels. `meta`, `traces` and `words` as in ecg.js. */
export function drawSheet(ctx, k, paper, view, meta, traces, words) {
  drawGrid(ctx, k, paper);
  ctx.textBaseline = "alphabetic";
  ctx.lineJoin = "round";
  const wide = paper.segments.some((s) => s.strip);
  for (const segment of paper.segments) {
    shade(ctx, k, view, segment, meta, words);
    if (view.marks) marksOf(ctx, k, view, segment, meta, segment.strip || (!wide && segment.row === 0));
    if (view.beats && (segment.strip ? segment === paper.segments.at(-1) || paper.segments[0].strip && segment.row === 0 : segment.row === 0 && !wide)) {
      beatsOf(ctx, k, view, segment, meta);
    }
  }
  ctx.strokeStyle = INK.trace;
  ctx.lineWidth = Math.max(1.1, k * 0.28);
  for (const pulse of paper.pulses) drawPulse(ctx, k, view, pulse);
  for (const segment of paper.segments) drawTrace(ctx, k, view, segment, traces.get(segment.lead), meta.fs);
  drawLabels(ctx, k, paper, view, meta.demo, words);
}

/** Draw the calipers over the sheet, and lead names at `leftMm` where the sheet has been scrolled past them. */
export function drawOverlay(ctx, k, paper, view, state, leftMm) {
  ctx.clearRect(0, 0, paper.width * k, paper.height * k);
  for (const s of paper.segments) {
    if (leftMm > s.x && leftMm < s.x + s.width - 12) {
      ctx.fillStyle = "rgba(255, 253, 252, 0.9)";
      ctx.fillRect((leftMm + 0.5) * k, (s.base - 12.4) * k, 10 * k, 4.4 * k);
      text(ctx, k, s.lead, leftMm + 1, s.base - 9, 3.4, INK.label);
    }
  }
  if (state === null) return;
  const segment = paper.segments[state.segment];
  for (const end of ["a", "b"]) {
    const { x, y } = toPaper(segment, view, state[end]);
    ctx.strokeStyle = end === state.active ? INK.active : INK.caliper;
    ctx.lineWidth = Math.max(1.2, k * (end === state.active ? 0.32 : 0.22));
    ctx.beginPath();
    line(ctx, x * k, segment.top * k, x * k, segment.bottom * k);
    line(ctx, (x - 4) * k, y * k, (x + 4) * k, y * k);
    ctx.moveTo((x + 0.9) * k, y * k);
    ctx.arc(x * k, y * k, 0.9 * k, 0, 2 * Math.PI);
    ctx.stroke();
    text(ctx, k, end.toUpperCase(), x + 0.8, segment.top + 2.8, 2.6, ctx.strokeStyle);
  }
}
