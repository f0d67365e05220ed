/** The results of a file in pages; each row has a text with its highlighted entities, or its error. */
import { byId, download, element } from "./dom.js";
import { number, t } from "./i18n.js";
import { asCsv, asJsonl } from "./result_files.js";
import { inCodePoints, isAdjacent } from "./spans.js";
import { labelOf, nameOf, slotOf } from "./entity_types.js";
import { MESSAGES } from "./messages.js";

const PAGE_ROWS = 25;
const MAX_ROW_CHARACTERS = 160; // a row shows the start of a long text

/**
 * @typedef {{text: string, fields: Record<string, unknown>, entities: import("./spans.js").Entity[], error?: {code: string, message: string}}} Row
 *   one text; `fields` are the other members or columns of its line
 */

export class ResultsTable {
  /** @param {(text: string) => void} onOpen called with the text of a row to open it in the editor */
  constructor(onOpen) {
    this.onOpen = onOpen;
    this.container = byId("results");
    this.body = byId("results-body");
    this.range = byId("results-range");
    this.rows = [];
    this.page = 0;
    byId("results-previous").addEventListener("click", () => this.turn(-1));
    byId("results-next").addEventListener("click", () => this.turn(1));
    byId("results-jsonl").addEventListener("click", () => this.save("jsonl", "application/x-ndjson", asJsonl));
    byId("results-csv").addEventListener("click", () => this.save("csv", "text/csv;charset=utf-8", asCsv));
  }

  /** @param {Row[]} rows @param {string} name of the file */
  show(rows, name) {
    this.rows = rows;
    this.name = name;
    this.page = 0;
    this.container.hidden = false;
    this.draw();
  }

  hide() {
    this.rows = [];
    this.container.hidden = true;
  }

  turn(by) {
    this.page += by;
    this.draw();
    this.container.querySelector(".table-scroll").scrollTop = 0;
  }

  draw() {
    const from = this.page * PAGE_ROWS;
    const rows = this.rows.slice(from, from + PAGE_ROWS);
    this.body.replaceChildren(...rows.map((row, index) => this.row(row, from + index + 1)));
    this.range.textContent = t("pageOf", { from: from + 1, to: from + rows.length, total: this.rows.length });
    byId("results-previous").disabled = this.page === 0;
    byId("results-next").disabled = from + PAGE_ROWS >= this.rows.length;
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
      row.error && !row.text
        ? element("td", { class: "row-message" }, row.error.message)
        : element("td", { class: "row-text", lang: "zh-CN" }, ...highlighted(row)),
      row.error
        ? element("td", { class: "row-error", title: row.error.message }, t(row.error.code in MESSAGES.en ? row.error.code : "unexpected"))
        : element("td", { class: "row-count" }, number(row.entities.length)),
    );
  }

  save(kind, type, write) {
    const rows = this.rows.map((row) => ({ ...row, entities: inCodePoints(row.text, row.entities) }));
    download(`${this.name.replace(/\.[^.]*$/, "")}.hanner.${kind}`, type, [...write(rows)]);
  }
}

/** Return the start of a row's text as nodes, with its entities highlighted. */
function highlighted({ text, entities }) {
  const parts = [];
  let position = 0;
  for (const [index, entity] of entities.entries()) {
    if (entity.end > MAX_ROW_CHARACTERS) break;
    if (entity.start > position) parts.push(text.slice(position, entity.start));
    parts.push(
      element(
        "span",
        { class: `entity slot-${slotOf(entity.type)}${isAdjacent(entities[index - 1], entity) ? " adjacent" : ""}`, title: nameOf(entity.type), data: { label: labelOf(entity.type) } },
        entity.text,
      ),
    );
    position = entity.end;
  }
  const end = Math.max(position, Math.min(text.length, MAX_ROW_CHARACTERS));
  parts.push(text.slice(position, end), end < text.length ? "…" : null);
  return parts.filter(Boolean);
}
