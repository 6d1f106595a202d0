// Calipers: two points in one piece of a lead, moved by pointer or keys. Pure functions; a state is never changed in
// place. state = {segment, active: "a" | "b", a: {t, mv}, b: {t, mv}} or null when nothing is measured.

/** Milliseconds, millivolts (b minus a) and rate per minute between the two points; bpm is null below 1 ms. */
export function measure(state) {
  const ms = (state.b.t - state.a.t) * 1000;
  return { ms, mv: state.b.mv - state.a.mv, bpm: Math.abs(ms) < 1 ? null : 60000 / Math.abs(ms) };
}

/** Voltage of a trace at the sample nearest to time t, NaN outside the record. */
export function voltageAt(trace, fs, t) {
  const i = Math.round(t * fs);
  return i >= 0 && i < trace.length ? trace[i] : NaN;
}

/** Start at a point: both ends there, the second active. */
export function begin(segment, point) {
  return { segment, active: "b", a: point, b: point };
}

/** The same calipers with the active end at `point`. */
export function moveActive(state, point) {
  return { ...state, [state.active]: point };
}

/** Which end lies within `reach` mm of a place, by paper coordinates {a, b}; null where none does. */
export function grabbed(ends, at, reach) {
  const far = (p) => Math.hypot(p.x - at.x, p.y - at.y);
  const nearest = far(ends.a) < far(ends.b) ? "a" : "b";
  return far(ends[nearest]) <= reach ? nearest : null;
}

/**
 * The state after a key, or undefined where the key means nothing here (the browser keeps it).
 * `context`: {paper, view, fs, traces}. Arrows move the active end by one sample or 0.01 mV (with Shift by 40 ms or
 * 0.1 mV), Enter or Space changes the end, S puts it on the trace, N and P change the lead, Escape clears.
 */
export function afterKey(state, key, shift, context) {
  const start = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Enter", " ", "s", "n", "p"];
  if (state === null) return start.includes(key.length === 1 ? key.toLowerCase() : key) ? opening(context) : undefined;
  switch (key.length === 1 ? key.toLowerCase() : key) {
    case "ArrowLeft": return alongTime(state, shift ? -0.04 : -1 / context.fs, context);
    case "ArrowRight": return alongTime(state, shift ? 0.04 : 1 / context.fs, context);
    case "ArrowUp": return moveActive(state, { ...state[state.active], mv: state[state.active].mv + (shift ? 0.1 : 0.01) });
    case "ArrowDown": return moveActive(state, { ...state[state.active], mv: state[state.active].mv - (shift ? 0.1 : 0.01) });
    case "Enter":
    case " ": return { ...state, active: state.active === "a" ? "b" : "a" };
    case "s": return onTrace(state, context);
    case "n": return toSegment(state, 1, context);
    case "p": return toSegment(state, -1, context);
    case "Escape": return null;
    default: return undefined;
  }
}

function opening(context) {
  const index = Math.max(context.paper.segments.findIndex((s) => s.strip), 0);
  const segment = context.paper.segments[index];
  const span = segment.t1 - segment.t0;
  const state = { segment: index, active: "a", a: { t: segment.t0 + span / 4, mv: 0 }, b: { t: segment.t0 + span / 4 + 0.2, mv: 0 } };
  return onTrace({ ...onTrace(state, context), active: "b" }, context);
}

function alongTime(state, step, context) {
  const { t0, t1 } = context.paper.segments[state.segment];
  const point = state[state.active];
  return moveActive(state, { ...point, t: Math.min(Math.max(point.t + step, t0), t1) });
}

function onTrace(state, context) {
  const point = state[state.active];
  const mv = voltageAt(context.traces.get(context.paper.segments[state.segment].lead), context.fs, point.t);
  return Number.isNaN(mv) ? state : moveActive(state, { t: Math.round(point.t * context.fs) / context.fs, mv });
}

// The other lead shows the same moment where it can; where it shows another, the interval moves into it unchanged.
function toSegment(state, step, context) {
  const { segments } = context.paper;
  const index = (state.segment + step + segments.length) % segments.length;
  const { t0, t1 } = segments[index];
  const first = Math.min(state.a.t, state.b.t);
  const length = Math.abs(state.a.t - state.b.t);
  const within = first >= t0 && first + length <= t1;
  const shift = within ? 0 : t0 + Math.max(0, Math.min((t1 - t0) / 4, t1 - t0 - length)) - first;
  const moved = (p) => ({ t: Math.min(p.t + shift, t1), mv: p.mv });
  return { ...state, segment: index, a: moved(state.a), b: moved(state.b) };
}
