// Images that enlarge: each frame with an image becomes a button, which shows it in a dialog with its whole caption.
"use strict";

const zoom = document.getElementById("zoom");
let enlarged = null;

function zoomable(root) {
  for (const image of root.querySelectorAll(".frame img")) {
    const frame = image.parentElement;
    frame.tabIndex = 0;
    frame.setAttribute("role", "button");
    frame.setAttribute("aria-haspopup", "dialog");
    frame.setAttribute("aria-label", `enlarge ${image.alt}`);
  }
}

function enlarge(frame) {
  enlarged = frame;
  const copy = frame.querySelector("img").cloneNode();
  zoom.querySelector(".large").replaceChildren(copy);
  const caption = frame.parentElement.querySelector("figcaption");
  zoom.querySelector("figcaption").replaceChildren(...[...caption.cloneNode(true).childNodes], copy.alt.split(", ")[0]);
  if (!zoom.open) zoom.showModal();
}

// The enlarged image before or after this one, among those that are on display.
function go(by) {
  if (by === 0) { zoom.close(); return; }
  const frames = [...document.querySelectorAll(".frame[tabindex]")].filter((one) => one.getClientRects().length);
  const next = frames[frames.indexOf(enlarged) + by];
  if (next) enlarge(next);
}

document.addEventListener("click", (event) => {
  const frame = event.target.closest(".frame[tabindex]");
  if (frame) enlarge(frame);
  else if (event.target === zoom) zoom.close();
  else if (event.target.dataset.go) go(Number(event.target.dataset.go));
});
document.addEventListener("keydown", (event) => {
  if (zoom.open && event.key === "ArrowLeft") go(-1);
  else if (zoom.open && event.key === "ArrowRight") go(1);
  else if (!zoom.open && (event.key === "Enter" || event.key === " ") && event.target.matches?.(".frame[tabindex]")) {
    event.preventDefault();
    enlarge(event.target);
  }
});
zoom.addEventListener("close", () => { if (enlarged?.isConnected) enlarged.focus({ preventScroll: true }); });
zoomable(document);
for (const hint of document.querySelectorAll(".hint")) hint.hidden = false;
