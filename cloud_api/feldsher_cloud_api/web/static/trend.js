// Blood pressure and pulse over time. The page gives `#trend-data`: {at: [unix s], corrected, systolic, diastolic, pulse, limits, words}.
// `limits` ({systolic: [low, high], diastolic: [low, high]}) draws a target band; without limits there is none.

const box = document.getElementById("trend");
const data = JSON.parse(document.getElementById("trend-data").textContent);
const locale = data.language === "en" ? "en-GB" : data.language; // English pages write days and hours as the catalogue does
const INK = { systolic: "#8f1313", diastolic: "#0b4a75", pulse: "#3f5a2a" };

function series(key, dash, shape) {
  return {
    label: data.words[key], stroke: INK[key], width: 2, dash, scale: key === "pulse" ? "bpm" : "mmHg",
    points: { show: true, size: shape, fill: key === "diastolic" ? "#fff" : INK[key] }, spanGaps: true,
  };
}

function band(plot) {
  if (!data.limits) return;
  const { ctx, bbox } = plot;
  for (const [key, fill] of [["systolic", "rgba(143, 19, 19, 0.10)"], ["diastolic", "rgba(11, 74, 117, 0.10)"]]) {
    if (!data.limits[key]) continue;
    const [low, high] = data.limits[key].map((v) => plot.valToPos(v, "mmHg", true));
    ctx.fillStyle = fill;
    ctx.fillRect(bbox.left, high, bbox.width, low - high);
  }
}

function moment(seconds) {
  return new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short", timeZone: data.zone }).format(seconds * 1000);
}

const size = () => ({ width: box.clientWidth, height: box.clientWidth < 480 ? 200 : 260 });
const axis = { stroke: "#4a5763", grid: { stroke: "#dfe5ea", width: 1 }, ticks: { stroke: "#c5cdd5" } };
const options = {
  ...size(),
  tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), data.zone),
  fmtDate: () => (date) => {
    const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" }).format(date);
    const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" }).format(date);
    return time === "00:00" ? day : `${day}\n${time}`;
  },
  scales: { x: { time: true }, mmHg: { range: (_, low, high) => [Math.min(50, low - 5), Math.max(180, high + 5)] }, bpm: { range: (_, low, high) => [Math.min(40, low - 5), Math.max(150, high + 5)] } },
  axes: [
    { ...axis, space: 70 },
    { ...axis, scale: "mmHg", label: data.words.mmhg, labelSize: 22, size: 44 },
    { ...axis, scale: "bpm", side: 1, label: data.words.bpm, labelSize: 22, size: 44, grid: { show: false } },
  ],
  series: [{ label: data.words.time, value: (_, v, __, i) => (v === null ? "–" : moment(v) + (data.corrected[i] ? ` (${data.words.corrected})` : "")) }, series("systolic", [], 7), series("diastolic", [6, 3], 7), series("pulse", [2, 3], 5)],
  hooks: { drawClear: [band] },
};

const plot = new window.uPlot(options, [data.at, data.systolic, data.diastolic, data.pulse], box);
new ResizeObserver(() => plot.setSize(size())).observe(box);
