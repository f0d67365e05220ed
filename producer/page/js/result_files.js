/** The results of a file, formatted as files. Pure functions. */

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
