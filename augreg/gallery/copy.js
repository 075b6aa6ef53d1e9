// Buttons that copy the code beside them.
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
  button.hidden = false;
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
