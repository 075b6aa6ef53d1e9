// The editor: it sends the spec as one types, and shows the images or the problems that come back.
const byId = (id) => document.getElementById(id);
const text = byId("text"), lines = document.querySelector(".lines"), bands = document.querySelector(".bands");
const problems = byId("problems"), numbers = byId("numbers"), result = byId("result"), list = byId("completions");
const client = crypto.randomUUID();
let number = 0, waiting = null, request = null, asked = 0, completing = null, bad = new Set();

async function call(name, data, signal) {
  const response = await fetch(name, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(data), signal,
  });
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

// Drawing: only the answer to the newest text is shown.

function later(milliseconds) {
  clearTimeout(waiting);
  byId("state").textContent = "drawing …";
  waiting = setTimeout(draw, milliseconds);
}

async function draw() {
  const mine = ++number, sent = text.value;
  request?.abort();
  request = new AbortController();
  byId("state").textContent = "drawing …";
  try {
    const answer = await call("render", { client, number: mine, text: sent }, request.signal);
    if (mine === number && !answer.stale) show(answer, sent);
  } catch (error) {
    if (mine === number) byId("state").textContent = `no answer: ${error.message}; is the command still running?`;
  }
}

function show(answer, sent) {
  bad = new Set(answer.problems.map((one) => one.line).filter(Boolean));
  const count = answer.problems.length;
  byId("state").textContent = count === 0 ? "up to date" : count === 1 ? "1 problem" : `${count} problems`;
  text.setAttribute("aria-invalid", String(count > 0));
  problems.replaceChildren(...answer.problems.map(({ line, message }) => {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.textContent = line ? `line ${line}: ${message}` : message;
    button.addEventListener("click", () => goTo(line ?? 1));
    item.append(button);
    return item;
  }));
  result.classList.toggle("old", answer.html === null);
  if (answer.html !== null) {
    result.innerHTML = answer.html;
    zoomable(result);
  }
  if (sent === text.value) showNumbers(answer.numbers);
  mark();
}

// Line numbers, and a band behind each line with a problem.

function mark() {
  const count = text.value.split("\n").length;
  lines.replaceChildren(...Array.from({ length: count }, (_, index) => {
    const line = document.createElement(bad.has(index + 1) ? "b" : "span");
    line.textContent = `${index + 1}\n`;
    return line;
  }));
  scroll();
}

function scroll() {
  lines.scrollTop = text.scrollTop;
  const height = parseFloat(getComputedStyle(text).lineHeight), padding = parseFloat(getComputedStyle(text).paddingTop);
  bands.replaceChildren(...[...bad].map((line) => {
    const band = document.createElement("div");
    band.style.top = `${padding + (line - 1) * height - text.scrollTop}px`;
    return band;
  }));
}

function goTo(line) {
  const start = text.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  text.focus();
  text.setSelectionRange(start, start);
}

// Sliders for the numbers of the spec: a slider rewrites its number in the text.

let known = [];

function showNumbers(found) {
  const same = found.length === known.length && found.every((one, index) => one.path === known[index].path);
  if (same) {  // a slider that is being moved stays, with its range
    found.forEach((one, index) => {
      const { input, output } = known[index];
      Object.assign(known[index], { start: one.start, end: one.end });
      if (Number(input.value) !== one.value) {
        input.min = Math.min(input.min, one.value);
        input.max = Math.max(input.max, one.value);
        input.value = one.value;
      }
      output.textContent = brief(one.value);
    });
    return;
  }
  known = found.map((one) => {
    const label = document.createElement("label"), name = document.createElement("span");
    const input = document.createElement("input"), output = document.createElement("output");
    name.textContent = one.path;
    Object.assign(input, { type: "range", min: one.low, max: one.high, step: one.step, value: one.value });
    output.textContent = brief(one.value);
    label.append(name, input, output);
    const entry = { ...one, input, output, label };
    input.addEventListener("input", () => rewrite(entry));
    return entry;
  });
  numbers.replaceChildren(...known.map((one) => one.label));
}

const brief = (value) => String(Number(value.toPrecision(4)));

function rewrite(one) {
  const digits = Math.max(0, Math.round(-Math.log10(one.step)));
  const written = String(Number(Number(one.input.value).toFixed(digits)));
  text.setRangeText(written, one.start, one.end);
  const by = written.length - (one.end - one.start);
  for (const other of known) if (other.start > one.start) { other.start += by; other.end += by; }
  one.end += by;
  one.output.textContent = written;
  later(60);
}

// Completion: a list below the cursor, moved through and taken by keyboard or mouse.

let items = [], chosen = 0, from = 0;

async function complete() {
  const mine = ++asked, cursor = text.selectionStart, sent = text.value;
  try {
    const found = await call("complete", { text: sent, cursor });
    if (mine !== asked || text.value !== sent || text.selectionStart !== cursor) return;
    items = found.items;
    from = found.start;
    offer();
  } catch {
    close();
  }
}

function offer() {
  chosen = 0;
  list.hidden = items.length === 0;
  list.replaceChildren(...items.map((item, index) => {
    const option = document.createElement("li"), about = document.createElement("small");
    option.id = `completion-${index}`;
    option.setAttribute("role", "option");
    option.textContent = item.name;
    about.textContent = item.about;
    option.append(about);
    option.addEventListener("pointerdown", (event) => { event.preventDefault(); take(index); });
    return option;
  }));
  const before = text.value.slice(0, text.selectionStart).split("\n"), style = getComputedStyle(text);
  const height = parseFloat(style.lineHeight), pen = document.createElement("canvas").getContext("2d");
  pen.font = style.font;
  const left = text.offsetLeft + before.at(-1).length * pen.measureText("m").width - text.scrollLeft;
  list.style.left = `${Math.max(0, Math.min(left, list.parentElement.clientWidth - list.offsetWidth))}px`;
  list.style.top = `${Math.min(before.length * height - text.scrollTop + 10, text.clientHeight)}px`;
  choose(0);
}

function choose(index) {
  if (list.hidden) { text.removeAttribute("aria-activedescendant"); return; }
  chosen = (index + items.length) % items.length;
  [...list.children].forEach((option, place) => option.setAttribute("aria-selected", String(place === chosen)));
  list.children[chosen].scrollIntoView({ block: "nearest" });
  text.setAttribute("aria-activedescendant", `completion-${chosen}`);
}

function take(index) {
  text.setSelectionRange(from, text.selectionStart);
  const written = items[index].text;
  insert(written);
  if (written.endsWith("}")) text.setSelectionRange(text.selectionStart - 1, text.selectionStart - 1);
  close();
  if (/[-:] \}?$/.test(written)) complete();  // a value or a step comes next
}

function close() {
  asked += 1;
  clearTimeout(completing);
  list.hidden = true;
  text.removeAttribute("aria-activedescendant");
}

// The next line begins as deep as this one, and with a dash in a list; an empty item ends the list.
function newLine(above, line) {
  const [, indent, dash, rest] = line.match(/^( *)(- +|)(.*)$/);
  if (dash && !rest) {
    const owner = above.reverse().find((other) => other.trim() && other.search(/\S/) < indent.length) ?? "";
    text.setSelectionRange(text.selectionStart - line.length, text.selectionStart);
    insert(owner.match(/^ *(- +|)/)[0]);
  } else if (/:\s*$/.test(rest)) insert(`\n${indent}${dash && "  "}  `);
  else insert(`\n${indent}${dash}`);
}

// Typed text, so that it can be undone.
function insert(written) {
  text.focus();
  const done = written ? document.execCommand("insertText", false, written) : document.execCommand("delete");
  if (!done) text.setRangeText(written, text.selectionStart, text.selectionEnd, "end");
}

text.addEventListener("input", (event) => {
  known = [];  // the places of the numbers are others now
  for (const input of numbers.querySelectorAll("input")) input.disabled = true;
  mark();
  later(250);
  if (event.inputType === "insertText" && /[\w/]/.test(event.data ?? "")) {
    clearTimeout(completing);
    completing = setTimeout(complete, 60);
  } else close();
});
text.addEventListener("scroll", scroll);
text.addEventListener("blur", close);
text.addEventListener("click", close);
text.addEventListener("keydown", (event) => {
  if (event.key === " " && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    complete();
  } else if (!list.hidden && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
    event.preventDefault();
    choose(chosen + (event.key === "ArrowDown" ? 1 : -1));
  } else if (!list.hidden && (event.key === "Enter" || event.key === "Tab")) {
    event.preventDefault();
    take(chosen);
  } else if (event.key === "Escape") {
    close();
  } else if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    const above = text.value.slice(0, text.selectionStart).split("\n");
    newLine(above, above.pop());
  }
});
mark();
draw();
