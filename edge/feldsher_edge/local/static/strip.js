// The live strip: pieces of a running recording, drawn as they come; 25 mm/s would need a true screen, so no grid is shown.
"use strict";

const SECONDS = 6;
const SPAN_UV = 4000;
const strip = document.getElementById("strip");
const state = document.getElementById("strip-state");
let shown = null;

function begin(piece) {
  strip.replaceChildren();
  const rows = piece.leads.map((lead) => {
    const row = document.createElement("div");
    const name = document.createElement("b");
    const word = document.createElement("small");
    const canvas = document.createElement("canvas");
    row.className = "lead";
    name.append(lead, word);
    row.append(name, canvas);
    strip.append(row);
    return { row, word, canvas, values: [] };
  });
  shown = { key: piece.device + piece.leads.join(), fs: piece.fs, rows };
  state.textContent = piece.device;
}

function draw(row, fs) {
  const { canvas, values } = row;
  const scale = window.devicePixelRatio || 1;
  const wide = Math.round(canvas.clientWidth * scale);
  const tall = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== wide || canvas.height !== tall) {
    canvas.width = wide;
    canvas.height = tall;
  }
  const pen = canvas.getContext("2d");
  pen.clearRect(0, 0, wide, tall);
  const there = values.filter((v) => v !== null).sort((a, b) => a - b);
  if (there.length === 0) return;
  const middle = there[there.length >> 1];
  pen.lineWidth = 1.4 * scale;
  pen.strokeStyle = "#10334f";
  pen.beginPath();
  let open = false;
  values.forEach((value, i) => {
    if (value === null) {
      open = false; // what is missing stays a gap
      return;
    }
    const x = (i / (SECONDS * fs)) * wide;
    const y = tall / 2 - ((value - middle) / SPAN_UV) * tall;
    if (open) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    open = true;
  });
  pen.stroke();
}

const source = new EventSource("/strip/stream");
source.addEventListener("piece", (event) => {
  const piece = JSON.parse(event.data);
  if (shown === null || shown.key !== piece.device + piece.leads.join() || piece.first === 0) begin(piece);
  shown.rows.forEach((row, i) => {
    row.values.push(...piece.uv[i]);
    row.values.splice(0, Math.max(0, row.values.length - SECONDS * shown.fs));
    draw(row, shown.fs);
  });
});
source.addEventListener("quality", (event) => {
  if (shown === null) return;
  const words = Object.values(JSON.parse(event.data));
  shown.rows.forEach((row, i) => {
    row.word.textContent = strip.dataset[words[i]] ?? "";
    row.row.classList.toggle("bad", words[i] !== "good");
  });
});
source.addEventListener("away", () => {
  state.textContent = state.dataset.away;
});
