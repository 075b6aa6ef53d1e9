// The filter of the catalogue, which opens the groups with what it finds, and links to a card in a closed group.
const filter = document.getElementById("filter");
const cards = [...document.querySelectorAll(".group .card")];
const groups = [...document.querySelectorAll(".group")];

function update() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of cards) {
    const text = card.dataset.text.toLowerCase();
    card.hidden = !words.every((word) => text.includes(word));
    shown += card.hidden ? 0 : 1;
  }
  for (const group of groups) {
    group.hidden = !group.querySelector(".card:not([hidden])");
    group.open = words.length > 0 && !group.hidden;
  }
  document.getElementById("clear").hidden = words.length === 0;
  document.getElementById("count").textContent =
    words.length === 0 ? `${cards.length} steps.` : `${shown} of ${cards.length} shown.`;
}

function clear() {
  filter.value = "";
  update();
}

// Open what a link leads to.
function unfold() {
  let target = null;
  try {
    target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return;  // not a name that a link of the page has
  }
  if (!target) return;
  for (let part = target; part; part = part.parentElement) if (part instanceof HTMLDetailsElement) part.open = true;
  target.scrollIntoView();
}

filter.parentElement.hidden = false;
filter.addEventListener("input", update);
document.getElementById("clear").addEventListener("click", () => { clear(); filter.focus(); });
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
window.addEventListener("hashchange", unfold);
update();
unfold();
