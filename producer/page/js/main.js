/** Creates the parts of the page and connects them. */
import { ApiError, extract, limits } from "./api.js";
import { EntityCard } from "./entity_card.js";
import { byId, copy, element } from "./dom.js";
import { Editor } from "./editor.js";
import { EXAMPLES } from "./examples.js";
import { EntityList } from "./entity_list.js";
import { language, number, onLanguage, setLanguage, t, translate } from "./i18n.js";
import { KeyDialog } from "./key_dialog.js";
import { LiveExtraction } from "./live.js";
import { Notice } from "./notice.js";
import { codePoints, inCodePoints } from "./spans.js";
import { linkTo, textOfLink } from "./share.js";
import { forTab, read, write } from "./storage.js";
import { applyTheme, ThemeButton } from "./theme.js";
import { StatusBar } from "./status_bar.js";
import { ResultsTable } from "./results_table.js";
import { FileUpload } from "./upload.js";

const COPIED_MS = 1600;
const TEXT_KEY = "hanner.text";
const ANNOUNCE_DELAY_MS = 900; // a pause in typing before screen readers announce the result

applyTheme();
translate();

const scroller = byId("scroller");
const editor = new Editor(byId("text"), byId("overlay"), scroller);
const card = new EntityCard(byId("card"), editor);
const entityList = new EntityList({
  filter: byId("filter"),
  list: byId("entity-list"),
  summary: byId("summary"),
  sort: byId("sort"),
  more: byId("more"),
  editor,
  card,
});
const live = new LiveExtraction({ extract, onResult: showResult, onState: showState });
const keys = new KeyDialog(() => {
  live.retry();
  statusBar.refresh();
});
const notice = new Notice(byId("notice"), { onRetry: () => live.retry(), onKey: () => keys.ask() });
const cell = (name) => byId(`status-${name}`);
const statusBar = new StatusBar(
  {
    short: cell("short"),
    state: cell("state"),
    queue: cell("queue"),
    batch: cell("batch"),
    latency: cell("latency"),
    result: cell("result"),
    model: cell("model"),
  },
  ({ workers: running }) => {
    const started = running > 0 && workers === 0;
    workers = running;
    if (running !== null && maxCharacters === null) readLimits();
    if (started) live.recovered();
    showState(live.state);
  },
);
const table = new ResultsTable((text) => {
  editor.setText(text);
  scroller.scrollIntoView({ block: "nearest" });
  byId("text").focus({ preventScroll: true });
});
const theme = new ThemeButton(byId("theme"));
const upload = new FileUpload(table, () => keys.ask());
let workers = null; // number of running workers; null while unknown
let mismatch = false;
let badLink = false;
let maxCharacters = null; // the longest text that the server accepts; null while unknown

// the text

editor.addEventListener("change", (event) => {
  mismatch = false;
  badLink = false;
  send(editor.text, event.detail);
  drawText();
});

/** Send a text, unless the server would refuse it because of its length. */
function send(text, options) {
  if (maxCharacters === null || codePoints(text) <= maxCharacters) {
    live.change(text, options);
    return;
  }
  const error = new ApiError("too_long");
  error.values = { limit: maxCharacters };
  live.refuse(text, error);
}

async function readLimits() {
  try {
    maxCharacters = (await limits()).text_characters;
    drawText();
  } catch (error) {
    if (!(error instanceof ApiError)) throw error; // without the limit, the server refuses long texts
  }
}

addEventListener("online", () => live.recovered());

function drawText() {
  const empty = editor.text === "";
  const count = codePoints(editor.text);
  const characters = byId("characters");
  characters.textContent = maxCharacters === null ? t("characters", { count }) : t("charactersOf", { count, limit: maxCharacters });
  characters.classList.toggle("wrong", maxCharacters !== null && count > maxCharacters);
  byId("share").disabled = empty;
  byId("clear").disabled = empty;
  byId("copy").disabled = empty || !editor.answered;
  byId("starters").hidden = !empty;
}

function showResult(entities, text, ms) {
  mismatch = !editor.setEntities(entities, text) && text === editor.text;
  drawText();
  if (ms) statusBar.setResultTime(ms);
  showState(live.state);
  announce();
}

let announceTimer;
function announce() {
  clearTimeout(announceTimer);
  announceTimer = setTimeout(() => {
    byId("spoken").textContent = editor.text.trim() && editor.answered ? entityList.summarise(editor.visible.length, editor.entities.length) : "";
  }, ANNOUNCE_DELAY_MS);
}

function showState({ slow, working, error, retryIn }) {
  scroller.setAttribute("aria-busy", String(working));
  byId("working").hidden = !slow;
  const failed = Boolean(error) || mismatch || (slow && workers === 0);
  if (failed && !editor.answered) editor.removeEntities();
  entityList.setFailed(failed);
  if (error) notice.show(explain(error), retryIn);
  else if (badLink) notice.show({ code: "bad_link" });
  else if (mismatch) notice.show({ code: "mismatch" });
  else if (slow && workers === 0) notice.show({ code: "no_worker" });
  else notice.show(null);
  if (error?.code === "unauthorized" && error !== showState.lastError) {
    showState.lastError = error;
    keys.offer();
  }
}

/** Return the error to show; a timeout without workers has its own message. */
function explain({ code, detail, values }) {
  return code === "timed_out" && workers === 0 ? { code: "timed_out_no_worker" } : { code, detail, values };
}

// the toolbar

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

/** Load an example; its button disappears, so the focus moves to the text. */
function start(text) {
  editor.setText(text);
  byId("text").focus({ preventScroll: true });
}

byId("copy").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  if (!editor.answered) return; // the list is not the result for this text
  const entities = inCodePoints(editor.text, editor.visible);
  const done = await copy(JSON.stringify({ text: editor.text, entities }, null, 2));
  showOn(button, done ? "copied" : "copyFailed", done);
});

byId("share").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const link = await linkTo(editor.text);
  const done = link !== null && (await copy(link));
  if (link === null) showOn(button, "linkTooLong", false);
  else showOn(button, done ? "linkCopied" : "copyFailed", done);
});

/** Show for a moment on a button what it did. */
function showOn(button, key, done) {
  button.textContent = t(key);
  byId("spoken").textContent = button.textContent;
  button.classList.toggle("done", done);
  setTimeout(() => {
    button.textContent = t(button.dataset.t);
    button.classList.remove("done");
  }, COPIED_MS);
}

const minScore = byId("min-score");
minScore.addEventListener("input", () => {
  card.hide();
  editor.setMinScore(minScore.value / 100);
  drawMinScore();
});

function drawMinScore() {
  byId("min-score-value").textContent = `${number(Number(minScore.value))} %`;
  minScore.setAttribute("aria-valuetext", byId("min-score-value").textContent);
}

// the text of a link, and of the page before a reload

async function openLink() {
  try {
    const text = await textOfLink();
    if (text !== null) editor.setText(text);
    return text !== null;
  } catch {
    badLink = true;
    showState(live.state);
    return false;
  }
}

addEventListener("hashchange", openLink);
addEventListener("pagehide", () => write(forTab, TEXT_KEY, editor.text || null));

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
  drawMinScore();
  theme.draw();
  card.hide();
  editor.draw();
  entityList.draw({ force: true });
  statusBar.draw();
  notice.redraw();
  upload.redraw();
  if (table.rows.length) table.draw();
}

onLanguage(drawAll);
drawAll();
if (!(await openLink()) && !editor.text) editor.setText(read(forTab, TEXT_KEY) ?? "");
if (editor.text) send(editor.text);
document.documentElement.dataset.ready = "yes"; // everything above has run; tests wait for this
