// The worklist asks for its rows every second and names the version it shows; the server answers 204 while nothing has
// changed. What changed in number is announced once.

const rows = document.getElementById("rows");
const said = document.getElementById("worklist-said");

rows.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-Shown-Version"] = document.getElementById("worklist").dataset.version;
});

rows.addEventListener("htmx:afterSwap", () => {
  const count = document.getElementById("worklist-count").textContent;
  if (said.textContent !== count) said.textContent = count;
});

rows.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.status === 401) location.assign("/login");
});
