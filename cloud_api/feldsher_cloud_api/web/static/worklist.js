// The worklist asks for its rows every second and names the version it shows; the server answers 204 while nothing has
// changed. What changed in number is announced once. A list that can no longer be trusted to be new says so.

const IDLE_MS = 25 * 60 * 1000; // then asking stops, so that a session left alone ends (the server's limit is 30 minutes)
const rows = document.getElementById("rows");
const said = document.getElementById("worklist-said");
const stale = document.getElementById("worklist-stale");
let touched = Date.now();

for (const sign of ["pointerdown", "pointermove", "keydown", "wheel"]) {
  addEventListener(sign, () => { touched = Date.now(); }, { passive: true });
}

rows.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-Shown-Version"] = document.getElementById("worklist").dataset.version;
  if (Date.now() - touched <= IDLE_MS) return;
  event.preventDefault();
  stale.hidden = false;
});

rows.addEventListener("htmx:afterSwap", () => {
  const count = Array.from(document.querySelectorAll("[data-said]"), (e) => e.textContent.trim()).join(". ");
  if (said.textContent !== count) said.textContent = count;
});

rows.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.xhr.status === 401) location.assign("/login?reason=expired");
  stale.hidden = event.detail.successful === true;
});
