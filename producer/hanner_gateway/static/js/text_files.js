/** Text files parsed as the gateway parses them, and results formatted as files. Pure functions. */

/** Why a file cannot be used; `key` is a key of messages.js. */
export class FileError extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/**
 * Return the texts of a file: each line of a .txt; of a .jsonl the string, or the object's `text`, of each non-blank line.
 * @param {string} name
 * @param {ArrayBuffer} bytes
 * @returns {string[]} at least one text
 */
export function parseTexts(name, bytes) {
  const kind = /\.(txt|jsonl)$/i.exec(name)?.[1].toLowerCase();
  if (!kind) throw new FileError("wrongKind", { name });
  let content;
  try {
    content = new TextDecoder("utf-8", { fatal: true }).decode(bytes); // removes a byte order mark
  } catch {
    throw new FileError("notUtf8", { name });
  }
  const lines = content.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  const ended = lines.map((line) => line.replace(/\r+$/, ""));
  const texts = kind === "txt" ? ended : jsonTexts(name, ended);
  if (!texts.length) throw new FileError("emptyFile", { name });
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
    if (typeof text !== "string") throw new FileError("badLine", { name, line: index + 1 });
    texts.push(text);
  });
  return texts;
}

/** Yield one line of JSON per text: {"text", "entities"} or {"text", "error"}; offsets in code points. */
export function* asJsonl(rows) {
  for (const { text, entities, error } of rows) {
    yield `${JSON.stringify(error ? { text, error } : { text, entities })}\n`;
  }
}

const CSV_COLUMNS = ["line", "entity", "type", "start", "end", "score", "error", "text"];

/** Yield one line per entity, and one per text without entities. Starts with a byte order mark, which Excel needs. */
export function* asCsv(rows) {
  yield `\ufeff${CSV_COLUMNS.join(",")}\r\n`;
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

/** Return a CSV cell. A value that a spreadsheet would run as a formula gets a leading apostrophe. */
function cell(value) {
  const content = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(content) ? `"${content.replaceAll('"', '""')}"` : content;
}
