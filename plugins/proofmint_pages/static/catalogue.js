// The colours follow Airflow's switch, lists are filtered as one types, identifiers are copied, and
// links to Airflow itself leave the frame that this page is shown in. Without it all pages work.
"use strict";

const SCHEMES = ["light", "dark"];

function follow() {
  const chosen = localStorage.getItem("theme");
  if (SCHEMES.includes(chosen)) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

follow();
addEventListener("storage", (event) => event.key === "theme" && follow());

function outside() {
  // Airflow's own document, where this page is shown in a frame of it; null where it is not.
  try {
    return parent !== self && parent.location.origin === location.origin ? parent.document : null;
  } catch {
    return null;
  }
}

function leave(link, event) {
  // The frame's sandbox keeps links from leaving it; one in Airflow's own document may.
  const airflow = outside();
  if (!airflow || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  const twin = airflow.createElement("a");
  twin.href = link.href;
  if (link.dataset.leave === "new") Object.assign(twin, { target: "_blank", rel: "noopener" });
  twin.click();
}

function search(field) {
  const items = [...document.querySelectorAll("[data-search]")];
  const count = document.querySelector("[data-count]");
  const none = document.querySelector("[data-none]");
  const apply = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      item.hidden = !words.every((word) => item.dataset.search.includes(word));
      shown += !item.hidden;
    }
    count.textContent = shown;
    none.hidden = shown > 0 || items.length === 0;
  };
  field.addEventListener("input", apply);
  apply();
}

async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Over plain HTTP there is no clipboard to ask for; the old way needs a selected field.
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.classList.add("done");
  document.querySelector("[data-status]").textContent = "Copied";
  setTimeout(() => button.classList.remove("done"), 1500);
}

function openTriggerForm() {
  // A link with #trigger leads to this page in the DAG's own tab, whose button opens the form.
  const airflow = outside();
  if (!airflow || parent.location.hash !== "#trigger") return;
  const button = airflow.querySelector("[data-testid=trigger-dag-button]");
  if (!button) return;
  parent.history.replaceState(parent.history.state, "", parent.location.pathname);
  button.click();
}

addEventListener("DOMContentLoaded", () => {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-leave]");
    if (link) leave(link, event);
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button);
  });
  const field = document.querySelector("input[type=search]");
  if (field) search(field);
  const links = [...document.querySelectorAll(".sections a")];
  if (links.length) {
    const mark = (id) =>
      links.forEach((link) =>
        link.hash === `#${id}` ? link.setAttribute("aria-current", "true") : link.removeAttribute("aria-current"),
      );
    const seen = new IntersectionObserver(
      (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => mark(entry.target.id)),
      { rootMargin: "-15% 0px -75% 0px" },
    );
    links.forEach((link) => seen.observe(document.querySelector(link.hash)));
  }
  openTriggerForm();
});
