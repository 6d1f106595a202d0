// How many CSS pixels this screen shows per millimetre. Browsers assume 96 per inch; the person corrects it once with a
// bank card (85.60 mm wide, ISO/IEC 7810 ID-1) and this browser remembers.

const KEY = "feldsher.css-px-per-mm";
const CARD = 85.6;
const STANDARD = 96 / 25.4;

/** CSS pixels per millimetre of this screen. */
export function pixelsPerMm() {
  const kept = Number(localStorage.getItem(KEY));
  return kept >= 1.5 && kept <= 12 ? kept : STANDARD;
}

/** Wire the calibration dialog; `changed` is called after a new value has been kept. */
export function calibrate(changed) {
  const dialog = document.getElementById("screen");
  const slider = document.getElementById("screen-size");
  const card = document.getElementById("screen-card");
  const show = () => {
    card.style.width = `${CARD * Number(slider.value)}px`;
    card.style.height = `${53.98 * Number(slider.value)}px`;
  };
  document.getElementById("screen-open").addEventListener("click", () => {
    slider.value = String(pixelsPerMm());
    show();
    dialog.showModal();
  });
  slider.addEventListener("input", show);
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "keep") localStorage.setItem(KEY, slider.value);
    if (dialog.returnValue === "standard") localStorage.removeItem(KEY);
    changed();
  });
}
