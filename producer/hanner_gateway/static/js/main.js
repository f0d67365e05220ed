/** Puts the page together. */
import { extract } from "./api.js";
import { Details } from "./details.js";
import { byId, copy, element } from "./dom.js";
import { Editor } from "./editor.js";
import { EXAMPLES } from "./examples.js";
import { Found } from "./found.js";
import { language, onLanguage, setLanguage, t, translate } from "./i18n.js";
import { KeyDialog } from "./key.js";
import { Live } from "./live.js";
import { Notice } from "./notice.js";
import { codePoints, inCodePoints } from "./spans.js";
import { Strip } from "./strip.js";
import { Table } from "./table.js";
import { Upload } from "./upload.js";

const COPIED_MS = 1600;
const READ_ALOUD_AFTER_MS = 900; // a pause in typing, for screen readers

translate();

const scroller = byId("scroller");
const editor = new Editor(byId("text"), byId("overlay"), scroller);
const details = new Details(byId("card"), editor);
const found = new Found({
  filter: byId("filter"),
  list: byId("found"),
  summary: byId("summary"),
  more: byId("more"),
  editor,
  details,
});
const live = new Live({ ask: extract, onAnswer: answered, onState: showState });
const keys = new KeyDialog(() => {
  live.retry();
  strip.look();
});
const notice = new Notice(byId("notice"), { onRetry: () => live.retry(), onKey: () => keys.ask() });
const cell = (name) => byId(`strip-${name}`);
const strip = new Strip(
  {
    state: cell("state"),
    queue: cell("queue"),
    batch: cell("batch"),
    latency: cell("latency"),
    answer: cell("answer"),
    model: cell("model"),
  },
  ({ workers: running }) => {
    const came = running > 0 && workers === 0;
    workers = running;
    if (came) live.recovered();
    showState(live.state);
  },
);
const table = new Table((text) => {
  editor.setText(text);
  scroller.scrollIntoView({ block: "nearest" });
  byId("text").focus({ preventScroll: true });
});
const upload = new Upload(table, () => keys.ask());
let workers = null; // how many run; null while nobody knows
let wrongAnswer = false;

// the text

editor.addEventListener("change", (event) => {
  wrongAnswer = false;
  live.change(editor.text, event.detail);
  drawText();
});
addEventListener("online", () => live.recovered());

function drawText() {
  const empty = editor.text === "";
  byId("characters").textContent = t("characters", { count: codePoints(editor.text) });
  byId("clear").disabled = empty;
  byId("copy").disabled = empty;
  byId("starters").hidden = !empty;
}

function answered(entities, text, ms) {
  wrongAnswer = !editor.setEntities(entities, text) && text === editor.text;
  if (ms) strip.answered(ms);
  showState(live.state);
  readAloud();
}

let speaking;
function readAloud() {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    byId("spoken").textContent = editor.text.trim() ? found.sentence(editor.shown.length, editor.entities.length) : "";
  }, READ_ALOUD_AFTER_MS);
}

function showState({ slow, working, error, retryIn }) {
  scroller.setAttribute("aria-busy", String(working));
  byId("working").hidden = !slow;
  if (error) notice.show(inContext(error), retryIn);
  else if (wrongAnswer) notice.show({ code: "mismatch" });
  else if (slow && workers === 0) notice.show({ code: "no_worker" });
  else notice.show(null);
  if (error?.code === "unauthorized" && error !== showState.asked) {
    showState.asked = error;
    keys.offer();
  }
}

/** Without a worker, no answer in time has a plain reason. */
function inContext({ code, detail }) {
  return code === "timed_out" && workers === 0 ? { code: "timed_out_no_worker" } : { code, detail };
}

// what stands around it

byId("clear").addEventListener("click", () => {
  editor.setText("");
  byId("text").focus();
});

const examples = byId("examples");
examples.addEventListener("change", () => {
  const example = EXAMPLES[examples.value];
  examples.value = "";
  if (example) editor.setText(example.text);
});

/** Begin with an example; its button goes, so the text has the focus next. */
function start(text) {
  editor.setText(text);
  byId("text").focus({ preventScroll: true });
}

byId("copy").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const entities = inCodePoints(editor.text, editor.entities).filter((entity) => !editor.hidden.has(entity.type));
  const done = await copy(JSON.stringify({ text: editor.text, entities }, null, 2));
  const label = button.querySelector("span");
  label.textContent = t(done ? "copied" : "copyFailed");
  byId("spoken").textContent = label.textContent;
  button.classList.toggle("done", done);
  setTimeout(() => {
    label.textContent = t("copyJson");
    button.classList.remove("done");
  }, COPIED_MS);
});

for (const button of document.querySelectorAll("[data-language]")) {
  button.addEventListener("click", () => setLanguage(button.dataset.language));
}

function drawAll() {
  document.title = t("title");
  for (const button of document.querySelectorAll("[data-language]")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language()));
  }
  examples.replaceChildren(
    element("option", { value: "" }, t("chooseExample")),
    ...EXAMPLES.map(({ name }, index) => element("option", { value: String(index) }, name[language()])),
  );
  byId("starters").replaceChildren(
    ...EXAMPLES.map(({ name, text }) =>
      element(
        "button",
        { type: "button", class: "starter", on: { click: () => start(text) } },
        name[language()],
      ),
    ),
  );
  drawText();
  details.hide();
  editor.draw();
  found.draw({ anew: true });
  strip.draw();
  notice.again();
  upload.again();
  if (table.rows.length) table.draw();
}

onLanguage(drawAll);
drawAll();
if (editor.text) live.change(editor.text);
document.documentElement.dataset.ready = "yes"; // everything above has run
