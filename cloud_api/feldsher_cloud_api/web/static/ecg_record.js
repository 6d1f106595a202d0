// The record behind an ECG page: its samples as the server sends them, in microvolts.
//
// The bytes are four planes (least significant first) of zigzag-coded differences, lead-major: the inner layout of the
// archive's own codec (signal/feldsher_signal/codec.py), so nothing is rescaled on the way to the eye.

export const MISSING = -2147483648;

/** Decode `bytes` into one Int32Array per lead; throws where the length does not fit. */
export function decodePlanes(bytes, leads, n) {
  const total = leads * n;
  if (bytes.length !== total * 4) {
    throw new RangeError(`samples: ${bytes.length} bytes where ${leads} leads of ${n} samples need ${total * 4}`);
  }
  const rows = [];
  for (let lead = 0; lead < leads; lead += 1) {
    const row = new Int32Array(n);
    let value = 0;
    for (let i = 0, at = lead * n; i < n; i += 1, at += 1) {
      const zigzag =
        bytes[at] | (bytes[total + at] << 8) | (bytes[2 * total + at] << 16) | (bytes[3 * total + at] << 24);
      value = (value + ((zigzag >>> 1) ^ -(zigzag & 1))) | 0;
      row[i] = value;
    }
    rows.push(row);
  }
  return rows;
}

/** Millivolts of one lead, NaN where a sample is missing. */
export function toMillivolts(row, uvPerBit, baseline) {
  const out = new Float32Array(row.length);
  for (let i = 0; i < row.length; i += 1) {
    out[i] = row[i] === MISSING ? NaN : ((row[i] - baseline) * uvPerBit) / 1000;
  }
  return out;
}

/** Fetch and decode the samples that `meta` describes: a Map of lead name to Float32Array of mV. */
export async function loadTraces(meta, url) {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error(`samples: the server answered ${response.status}`);
  const rows = decodePlanes(new Uint8Array(await response.arrayBuffer()), meta.leads.length, meta.n);
  return new Map(
    meta.leads.map((name, i) => [name, toMillivolts(rows[i], meta.uv_per_bit[i], meta.baseline[i] ?? 0)]),
  );
}
