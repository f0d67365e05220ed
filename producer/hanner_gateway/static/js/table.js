/** The results of a file: a page of rows at a time, each with its text, its entities highlighted, or its error. */
import { byId, download, element } from "./dom.js";
import { number, t } from "./i18n.js";
import { asCsv, asJsonl } from "./lines.js";
import { inCodePoints } from "./spans.js";
import { labelOf, nameOf, slotOf } from "./types.js";
import { WORDS } from "./words.js";

const ROWS = 25;
const AROUND = 160; // of a long text a row shows its start

/** @typedef {{text: string, entities: import("./spans.js").Entity[], error?: {code: string, message: string}}} Row */

export class Table {
  /** @param {(text: string) => void} onOpen called with the text of a row that someone wants to see in the editor */
  constructor(onOpen) {
    this.onOpen = onOpen;
    this.place = byId("results");
    this.body = byId("results-body");
    this.range = byId("results-range");
    this.rows = [];
    this.page = 0;
    byId("results-previous").addEventListener("click", () => this.turn(-1));
    byId("results-next").addEventListener("click", () => this.turn(1));
    byId("results-jsonl").addEventListener("click", () => this.save("jsonl", "application/x-ndjson", asJsonl));
    byId("results-csv").addEventListener("click", () => this.save("csv", "text/csv;charset=utf-8", asCsv));
  }

  /** @param {Row[]} rows @param {string} name of the file they came from */
  show(rows, name) {
    this.rows = rows;
    this.name = name;
    this.page = 0;
    this.place.hidden = false;
    this.draw();
  }

  hide() {
    this.rows = [];
    this.place.hidden = true;
  }

  turn(by) {
    this.page += by;
    this.draw();
    this.place.querySelector(".table-scroll").scrollTop = 0;
  }

  draw() {
    const from = this.page * ROWS;
    const rows = this.rows.slice(from, from + ROWS);
    this.body.replaceChildren(...rows.map((row, index) => this.row(row, from + index + 1)));
    this.range.textContent = t("pageOf", { from: from + 1, to: from + rows.length, total: this.rows.length });
    byId("results-previous").disabled = this.page === 0;
    byId("results-next").disabled = from + ROWS >= this.rows.length;
  }

  row(row, line) {
    const open = element(
      "button",
      {
        type: "button",
        class: "row-number",
        "aria-label": t("openInEditor", { number: line }),
        title: t("openInEditor", { number: line }),
        on: { click: () => this.onOpen(row.text) },
      },
      number(line),
    );
    return element(
      "tr",
      {},
      element("th", { scope: "row" }, open),
      element("td", { class: "row-text", lang: "zh-CN" }, ...highlighted(row)),
      row.error
        ? element("td", { class: "row-error", title: row.error.message }, t(row.error.code in WORDS.en ? row.error.code : "unexpected"))
        : element("td", { class: "row-count" }, number(row.entities.length)),
    );
  }

  save(kind, type, write) {
    const rows = this.rows.map((row) => ({ ...row, entities: inCodePoints(row.text, row.entities) }));
    download(`${this.name.replace(/\.[^.]*$/, "")}.hanner.${kind}`, type, [...write(rows)]);
  }
}

/** The start of a row's text as nodes, its entities marked. */
function highlighted({ text, entities }) {
  const parts = [];
  let at = 0;
  for (const entity of entities) {
    if (entity.end > AROUND) break;
    if (entity.start > at) parts.push(text.slice(at, entity.start));
    parts.push(
      element(
        "span",
        { class: `entity slot-${slotOf(entity.type)}`, title: nameOf(entity.type), data: { label: labelOf(entity.type) } },
        entity.text,
      ),
    );
    at = entity.end;
  }
  const end = Math.max(at, Math.min(text.length, AROUND));
  parts.push(text.slice(at, end), end < text.length ? "…" : null);
  return parts.filter(Boolean);
}
