/** Files of texts, read as the gateway reads them, and results written as files. Pure. */

/** Why a file cannot be used; `key` is one of words.js. */
export class FileFault extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/**
 * The texts of a file: of a .txt each line, of a .jsonl a string, or an object's `text`, on each line that is not blank.
 * @param {string} name
 * @param {ArrayBuffer} bytes
 * @returns {string[]} at least one
 */
export function textsOf(name, bytes) {
  const kind = /\.(txt|jsonl)$/i.exec(name)?.[1].toLowerCase();
  if (!kind) throw new FileFault("wrongKind", { name });
  let content;
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(bytes); // leaves out a byte order mark
  } catch {
    throw new FileFault("notUtf8", { name });
  }
  const lines = content.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  const ended = lines.map((line) => line.replace(/\r+$/, ""));
  const texts = kind === "txt" ? ended : jsonTexts(name, ended);
  if (!texts.length) throw new FileFault("emptyFile", { name });
  return texts;
}

function jsonTexts(name, lines) {
  const texts = [];
  lines.forEach((line, index) => {
    if (!line.trim()) return;
    let value;
    try {
      value = JSON.parse(line);
    } catch {
      value = null;
    }
    const text = typeof value === "string" ? value : value?.text;
    if (typeof text !== "string") throw new FileFault("badLine", { name, line: index + 1 });
    texts.push(text);
  });
  return texts;
}

/** One line of JSON for each text: {"text", "entities"} or {"text", "error"}; offsets in code points. */
export function* asJsonl(rows) {
  for (const { text, entities, error } of rows) {
    yield `${JSON.stringify(error ? { text, error } : { text, entities })}\n`;
  }
}

const CSV_HEAD = ["line", "entity", "type", "start", "end", "score", "error", "text"];

/** One line for each entity, and one for each text without any. Starts with a byte order mark, which Excel needs. */
export function* asCsv(rows) {
  yield `\ufeff${CSV_HEAD.join(",")}\r\n`;
  let line = 0;
  for (const { text, entities, error } of rows) {
    line++;
    const found = entities.length ? entities : [{}];
    for (const entity of found) {
      const { text: words = "", type = "", start = "", end = "", score = "" } = entity;
      yield `${[line, words, type, start, end, score, error?.code ?? "", text].map(cell).join(",")}\r\n`;
    }
  }
}

/** A cell of CSV. A spreadsheet would run what starts like a formula, so such a cell gets an apostrophe in front. */
function cell(value) {
  const words = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
}
