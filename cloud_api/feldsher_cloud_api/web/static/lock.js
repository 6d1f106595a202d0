// Locking for somebody else: what is typed on this page goes along, and comes back with its owner. Never passwords.
const form = document.getElementById("lock");
const kept = () => [...document.querySelectorAll("main form")].flatMap((f, n) =>
  [...f.elements].filter((e) => e.name && !["hidden", "password", "file", "submit", "button"].includes(e.type))
    .map((e) => [n, e.name, e.type, e.value, e.checked ?? false]));

form.addEventListener("submit", () => {
  form.elements.path.value = location.pathname;
  form.elements.fields.value = JSON.stringify(kept());
});

const body = new URLSearchParams({ csrf: form.elements.csrf.value, path: location.pathname });
if (new URLSearchParams(location.search).has("back")) {
  const answer = await fetch("/api/draft", { method: "POST", body });
  if (answer.status === 200) {
    const forms = [...document.querySelectorAll("main form")];
    for (const [n, name, type, value, checked] of await answer.json()) {
      for (const e of forms[n]?.querySelectorAll(`[name="${CSS.escape(name)}"]`) ?? []) {
        if (type !== "radio" && type !== "checkbox") e.value = value;
        else if (e.value === value) e.checked = checked;
      }
    }
  }
}
