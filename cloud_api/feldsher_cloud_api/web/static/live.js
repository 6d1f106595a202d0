// A recording while it runs, as a monitor shows it: every lead a row at 25 mm/s and 10 mm/mV, written from left to right
// and then over itself, with a gap before what is old. Pieces come as server-sent events; the browser asks again by
// itself when the line breaks, and the first sample of each piece says where it belongs.

import { decodePlanes, toMillivolts } from "./ecg_record.js";
import { pixelsPerMm } from "./ecg_screen.js";

const SPEED = 25; // mm/s
const GAIN = 10; // mm/mV
const ROW = 17; // mm
const LABEL = 12; // mm
const MOST_S = 62; // longest recording, with a little room
const GAP_S = 0.35;
const SILENT_MS = 3000;

const root = document.getElementById("live");
const canvas = document.getElementById("live-sheet");
const said = document.getElementById("live-said");
const state = document.getElementById("live-state");
const announce = document.getElementById("live-announce");
const open = document.getElementById("live-open");

let traces = null; // { leads, fs, rows: Float32Array of mV per lead, end }
let ended = false;
let last = Date.now();

function begin(piece) {
  const room = Math.ceil(MOST_S * piece.fs);
  traces = { leads: piece.leads, fs: piece.fs, end: 0, rows: piece.leads.map(() => new Float32Array(room).fill(NaN)) };
}

function take(piece) {
  const anew = !traces || piece.first === 0 || piece.fs !== traces.fs || piece.leads.join() !== traces.leads.join();
  if (anew) begin(piece);
  const bytes = Uint8Array.from(atob(piece.planes), (letter) => letter.charCodeAt(0));
  decodePlanes(bytes, piece.leads.length, piece.n).forEach((row, lead) => {
    const room = traces.rows[lead].length - piece.first;
    if (room > 0) traces.rows[lead].set(toMillivolts(row, piece.uv_per_bit[lead], 0).subarray(0, room), piece.first);
  });
  traces.end = Math.max(traces.end, Math.min(piece.first + piece.n, traces.rows[0].length));
  last = Date.now();
  draw();
  root.dataset.samples = String(traces.end);
  root.dataset.delayMs = String(Date.now() - Math.round(piece.made_us / 1000));
  said.textContent = root.dataset.running.replace("{seconds}", (traces.end / traces.fs).toFixed(1));
}

/** The middle of what is seen of a lead: electrodes have a voltage of their own, and it wanders. */
function middle(row, from, end) {
  let sum = 0;
  let n = 0;
  for (let i = from; i < end; i += 1) {
    if (!Number.isNaN(row[i])) {
      sum += row[i];
      n += 1;
    }
  }
  return n ? sum / n : 0;
}

function line(pen, x, y, toX, toY) {
  pen.moveTo(x, y);
  pen.lineTo(toX, toY);
}

function paper(pen, width, height, mm) {
  pen.fillStyle = "#fffdfc";
  pen.fillRect(0, 0, width, height);
  for (const [step, colour] of [[1, "#fbe6de"], [5, "#eebfae"]]) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let x = 0; x <= width; x += step * mm) line(pen, Math.round(x) + 0.5, 0, Math.round(x) + 0.5, height);
    for (let y = 0; y <= height; y += step * mm) line(pen, 0, Math.round(y) + 0.5, width, Math.round(y) + 0.5);
    pen.stroke();
  }
}

function draw() {
  const ratio = window.devicePixelRatio || 1;
  const mm = pixelsPerMm();
  const width = root.clientWidth - 24;
  const height = (traces ? traces.leads.length : 12) * ROW * mm;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  paper(pen, width, height, mm);
  if (!traces) return;
  const left = LABEL * mm;
  const window_s = (width - left) / (SPEED * mm);
  const now = traces.end / traces.fs;
  const from = Math.max(0, Math.ceil((now - window_s + GAP_S) * traces.fs));
  pen.font = `600 ${3.6 * mm}px system-ui, sans-serif`;
  traces.leads.forEach((name, lead) => {
    const y = (lead + 0.5) * ROW * mm;
    pen.fillStyle = "#222";
    pen.fillText(name, 1.5 * mm, y + 1.2 * mm);
    trace(pen, traces.rows[lead], { from, y, left, window_s, mm });
  });
  const head = left + (now % window_s) * SPEED * mm;
  pen.fillStyle = "#1f5f8b";
  pen.fillRect(head, 0, 2, height);
}

function trace(pen, row, { from, y, left, window_s, mm }) {
  const zero = middle(row, from, traces.end);
  const reach = 1.5 * ROW * mm; // a tall wave crosses its neighbours rather than look smaller than it is
  pen.strokeStyle = "#111";
  pen.lineWidth = 1.3;
  pen.lineJoin = "round";
  pen.beginPath();
  let down = false;
  let before = -1;
  for (let i = from; i < traces.end; i += 1) {
    const at = (i / traces.fs) % window_s;
    if (Number.isNaN(row[i]) || at < before) down = false; // what is lost is not bridged; at the right end, begin anew
    before = at;
    if (Number.isNaN(row[i])) continue;
    const x = left + at * SPEED * mm;
    const up = Math.max(-reach, Math.min(reach, (row[i] - zero) * GAIN * mm));
    if (down) pen.lineTo(x, y - up);
    else pen.moveTo(x, y - up);
    down = true;
  }
  pen.stroke();
}

function tell(standing) {
  if (state.textContent !== standing.words) {
    state.textContent = standing.words;
    announce.textContent = standing.words;
  }
  ended = standing.ended;
  if (standing.report) {
    open.href = `/ecg/${standing.report}`;
    open.hidden = false;
  }
  if (ended) stream.close();
}

const stream = new EventSource(root.dataset.strip);
stream.onmessage = (event) => take(JSON.parse(event.data));
stream.addEventListener("state", (event) => tell(JSON.parse(event.data)));
stream.onerror = () => {
  if (!ended && stream.readyState === EventSource.CLOSED) said.textContent = root.dataset.cut;
};
setInterval(() => {
  if (!ended && traces && Date.now() - last > SILENT_MS) said.textContent = root.dataset.silent;
}, 1000);
addEventListener("resize", draw);
addEventListener("pagehide", () => stream.close());
draw();
