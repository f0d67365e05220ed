/** Text files parsed as `hanner extract` parses them, and results formatted as files. Pure functions. */

/** Why a file cannot be used; `key` is a key of messages.js. */
export class FileError extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/**
 * Return the texts of a file: each line of a .txt; of a .jsonl the string, or the object's `text`, of each line. A blank line
 * is an empty text. A line that cannot be read has an error.
 * @param {string} name
 * @param {ArrayBuffer} bytes
 * @returns {{text: string, fields: Record<string, unknown>, error?: {code: string, message: string}}[]} at least one;
 *   `fields` are the other fields of a .jsonl line
 */
export function parseTexts(name, bytes) {
  const kind = /\.(txt|jsonl)$/i.exec(name)?.[1].toLowerCase();
  if (!kind) throw new FileError("wrongKind", { name });
  let content;
  try {
    content = new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes); // removes a byte order mark
  } catch {
    throw new FileError("notUtf8", { name });
  }
  const lines = content.split("\n");
  if (lines[lines.length - 1] === "") lines.pop();
  const ended = lines.map((line) => line.replace(/\r+$/, ""));
  const texts = ended.map(kind === "txt" ? (text) => ({ text, fields: {} }) : jsonText);
  const bad = texts.findIndex(({ error }) => error);
  if (bad >= 0 && texts.every(({ text, error }) => error || !text)) throw new FileError("badLine", { name, line: bad + 1 });
  if (!texts.length) throw new FileError("emptyFile", { name });
  return texts;
}

/** Return the encoding that a byte order mark names; UTF-8 without one. */
function encodingOf(bytes) {
  const [first, second] = new Uint8Array(bytes);
  if (first === 0xff && second === 0xfe) return "utf-16le";
  return first === 0xfe && second === 0xff ? "utf-16be" : "utf-8";
}

function jsonText(line) {
  if (!line.trim()) return { text: "", fields: {} };
  try {
    const value = JSON.parse(line);
    const { text, ...fields } = typeof value === "string" ? { text: value } : value;
    if (typeof text === "string") return { text, fields };
  } catch {
    // not JSON, or null
  }
  return { text: line, fields: {}, error: { code: "invalid_text", message: "neither a JSON string nor an object with text" } };
}

/**
 * Return the texts without errors as a file for the gateway, which reads each exactly as it is here.
 * @param {{text: string, error?: object}[]} texts
 */
export const asUpload = (texts) =>
  new File(
    texts.filter(({ error }) => !error).map(({ text }) => `${JSON.stringify({ text })}\n`),
    "texts.jsonl",
    { type: "application/x-ndjson" },
  );

/** Yield one line of JSON per text: {"text", "entities"} or {"text", "error"}, and the other fields of its line; offsets in code points. */
export function* asJsonl(rows) {
  for (const { text, fields, entities, error } of rows) {
    yield `${JSON.stringify(error ? { ...fields, text, error } : { ...fields, text, entities })}\n`;
  }
}

const CSV_COLUMNS = ["line", "entity", "type", "start", "end", "score", "error", "text"];

/**
 * Yield one line per entity, and one per text without entities; the last columns are the other fields of the upload.
 * Starts with a byte order mark, which Excel needs.
 */
export function* asCsv(rows) {
  const names = [...new Set(rows.flatMap(({ fields }) => Object.keys(fields)))];
  const header = [...CSV_COLUMNS, ...names.map((name) => (CSV_COLUMNS.includes(name) ? `input_${name}` : name))];
  yield `\ufeff${header.map(cell).join(",")}\r\n`;
  let line = 0;
  for (const { text, fields, entities, error } of rows) {
    line++;
    const others = names.map((name) => plain(fields[name]));
    const found = entities.length ? entities : [{}];
    for (const entity of found) {
      const { text: words = "", type = "", start = "", end = "", score = "" } = entity;
      yield `${[line, words, type, start, end, score, error?.code ?? "", text, ...others].map(cell).join(",")}\r\n`;
    }
  }
}

/** Return a field as text; objects and lists as JSON. */
const plain = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : (value ?? ""));

/** Return a CSV cell. A value that a spreadsheet would run as a formula gets a leading apostrophe. */
function cell(value) {
  const content = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(content) ? `"${content.replaceAll('"', '""')}"` : content;
}
