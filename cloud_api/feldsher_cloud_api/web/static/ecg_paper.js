// The geometry of ECG paper, in millimetres: where each piece of each lead lies. Pure functions, no drawing.
//
// Paper speed in mm/s, gain in mm/mV; the grid is 1 mm and 5 mm (IEC 60601-2-25). At 25 mm/s and 10 mm/mV one small
// square is 40 ms by 0.1 mV.

export const MARGIN = 5; // mm of paper above and below the rows
export const PULSE = 10; // mm kept at the left of every row for the 1 mV calibration pulse

const ROWS = {
  "3x4": [
    ["I", "aVR", "V1", "V4"],
    ["II", "aVL", "V2", "V5"],
    ["III", "aVF", "V3", "V6"],
    ["II"],
  ],
  "6x2": [
    ["I", "V1"],
    ["II", "V2"],
    ["III", "V3"],
    ["aVR", "V4"],
    ["aVL", "V5"],
    ["aVF", "V6"],
  ],
};

// Height of one row in mm by gain; multiples of 5 so that every baseline lies on a thick line.
const PITCH = {
  "3x4": { 5: 20, 10: 30, 20: 50 },
  "6x2": { 5: 20, 10: 25, 20: 45 },
  "12x1": { 5: 15, 10: 20, 20: 35 },
};

/** The rows of a layout: lead names from left to right. */
export function rowsOf(layout, leads) {
  const wanted = ROWS[layout];
  if (!wanted || !wanted.flat().every((lead) => leads.includes(lead))) return leads.map((lead) => [lead]);
  return wanted;
}

/** Layouts that a record with these leads can fill. */
export function layoutsFor(leads) {
  return ["3x4", "6x2"].filter((name) => ROWS[name].flat().every((lead) => leads.includes(lead))).concat(["12x1"]);
}

const up5 = (mm) => Math.max(0, Math.ceil(mm / 5) * 5);

/**
 * Lay `view.seconds` of paper from `view.start`. `reach`: {up, down} in mV, how far the first row's traces rise and the
 * last row's fall; paper is added above and below so that nothing is cut off.
 * Returns {width, height, segments, pulses} in mm; a segment holds {lead, row, column, x, width, base, top, bottom,
 * t0, t1, strip}: seconds t0 to t1 of the record, from x, around the baseline `base`; `strip` marks the rhythm strip.
 */
export function layPaper(view, leads, reach) {
  const rows = rowsOf(view.layout, leads);
  const pitch = (PITCH[view.layout] ?? PITCH["12x1"])[view.gain];
  const zero = Math.round((pitch * 0.6) / 5) * 5; // where the zero line lies in a row
  const above = MARGIN + up5(reach.up * view.gain - MARGIN - zero);
  const below = MARGIN + up5(reach.down * view.gain - MARGIN - (pitch - zero));
  const left = PULSE;
  const full = view.seconds * view.speed;
  const segments = [];
  const pulses = [];
  rows.forEach((names, row) => {
    const top = above + row * pitch;
    const base = top + zero;
    const share = view.seconds / names.length;
    pulses.push({ x: 2, base });
    names.forEach((lead, column) => {
      const x = left + (column * full) / names.length;
      const t0 = view.start + column * share;
      segments.push({
        lead, row, column, x, width: full / names.length, base, top, bottom: top + pitch, t0, t1: t0 + share,
        strip: names.length === 1,
      });
    });
  });
  const height = Math.ceil((above + below + rows.length * pitch) / 5) * 5;
  return { width: Math.ceil((left + full) / 5) * 5, height, segments, pulses };
}

/** Paper coordinates (mm) of a time and voltage in a segment. */
export function toPaper(segment, view, point) {
  return { x: segment.x + (point.t - segment.t0) * view.speed, y: segment.base - point.mv * view.gain };
}

/** Time and voltage of paper coordinates, read in one segment. */
export function fromPaper(segment, view, at) {
  return { t: segment.t0 + (at.x - segment.x) / view.speed, mv: (segment.base - at.y) / view.gain };
}

/** Index of the segment that holds a place on the paper; the nearest where none does. */
export function segmentAt(paper, at) {
  let best = 0;
  let least = Infinity;
  paper.segments.forEach((s, i) => {
    const dx = Math.max(s.x - at.x, 0, at.x - s.x - s.width);
    const dy = Math.max(s.top - at.y, 0, at.y - s.bottom);
    const far = dx * dx + dy * dy;
    if (far < least) [best, least] = [i, far];
  });
  return best;
}
