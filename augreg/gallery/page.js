// The page works without this script, which adds the filter, the chips and the copy buttons.
"use strict";

const filter = document.getElementById("filter");
const chips = [...document.querySelectorAll(".chip")];
const cards = [...document.querySelectorAll(".card")];
const sections = [...document.querySelectorAll(".group")];
const transforms = document.getElementById("transforms");
let kind = "";

for (const element of document.querySelectorAll(".search, .chips, .copy")) element.hidden = false;

function update() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of cards) {
    const text = card.dataset.text.toLowerCase();
    card.hidden = Boolean(kind && card.dataset.kind !== kind) || !words.every((word) => text.includes(word));
    shown += card.hidden ? 0 : 1;
  }
  for (const section of sections) section.hidden = !section.querySelector(".card:not([hidden])");
  for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.kind === kind));
  document.getElementById("nothing").hidden = shown > 0;
  document.getElementById("count").textContent =
    shown === cards.length ? `${shown} steps.` : `${shown} of ${cards.length} shown.`;
}

// Scroll to the filtered cards.
function reveal() {
  const bar = document.querySelector(".bar").offsetHeight;
  const box = transforms.getBoundingClientRect();
  window.scrollTo({ top: box.top + window.scrollY - bar });
}

filter.addEventListener("input", () => { update(); reveal(); });
for (const chip of chips) chip.addEventListener("click", () => { kind = chip.dataset.kind; update(); reveal(); });
document.getElementById("clear").addEventListener("click", () => { clear(); filter.focus(); });

function clear() {
  filter.value = "";
  kind = "";
  update();
}

document.addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    filter.focus();
  } else if (event.key === "Escape" && event.target === filter) {
    clear();
    filter.blur();
  }
});

// A page that is opened from a file may have no clipboard access; execCommand is the fallback.
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "offscreen";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

for (const button of document.querySelectorAll(".copy")) {
  const code = button.parentElement.querySelector("code");
  button.addEventListener("click", async () => {
    const done = await copied(code.textContent);
    button.focus({ preventScroll: true });
    if (!done) window.getSelection().selectAllChildren(code);
    button.textContent = done ? "copied" : "press Ctrl+C";
    button.classList.toggle("done", done);
    clearTimeout(button.timer);
    button.timer = setTimeout(() => { button.textContent = "copy"; button.classList.remove("done"); }, 2000);
  });
}

update();
