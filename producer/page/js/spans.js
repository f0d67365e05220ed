/**
 * Pure functions on texts and entities. All positions count UTF-16 units, as JavaScript's strings do, end exclusive.
 * @typedef {{text: string, type: string, start: number, end: number, score: number}} Entity
 */

/**
 * Return the edit from one text to another: `removed` units at `start` are replaced with `inserted`.
 * @param {string} before
 * @param {string} after
 * @param {number} [caret] end of the selection after the edit; decides which of several equal characters is new
 * @returns {{start: number, removed: number, inserted: string}}
 */
export function difference(before, after, caret = after.length) {
  const shorter = Math.min(before.length, after.length);
  // The text after the caret is unchanged: compare it first.
  let tail = 0;
  const maxTail = Math.min(shorter, after.length - Math.min(caret, after.length));
  while (tail < maxTail && before.charCodeAt(before.length - 1 - tail) === after.charCodeAt(after.length - 1 - tail)) {
    tail++;
  }
  let start = 0;
  while (start < shorter - tail && before.charCodeAt(start) === after.charCodeAt(start)) start++;
  while (
    tail < shorter - start &&
    before.charCodeAt(before.length - 1 - tail) === after.charCodeAt(after.length - 1 - tail)
  ) {
    tail++;
  }
  return { start, removed: before.length - tail - start, inserted: after.slice(start, after.length - tail) };
}

/**
 * Return the entities after an edit, until the next result arrives: those before it stay, those after it are shifted, and
 * those it overlaps are removed.
 * @param {Entity[]} entities sorted, not overlapping
 * @param {{start: number, removed: number, inserted: string}} edit
 * @returns {Entity[]}
 */
export function shifted(entities, edit) {
  const by = edit.inserted.length - edit.removed;
  const endOfEdit = edit.start + edit.removed;
  const kept = [];
  for (const entity of entities) {
    if (entity.end <= edit.start) kept.push(entity);
    else if (entity.start >= endOfEdit) {
      kept.push(by === 0 ? entity : { ...entity, start: entity.start + by, end: entity.end + by });
    }
  }
  return kept;
}

/** Return whether an entity follows one of its type without a character between, so that they would look like one. */
export const isAdjacent = (before, entity) => before?.end === entity.start && before.type === entity.type;

/**
 * Return the index of the first entity that ends after `position`; entities.length if no entity does.
 * @param {Entity[]} entities sorted, not overlapping
 * @param {number} position
 */
export function firstEndingAfter(entities, position) {
  let low = 0;
  let high = entities.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (entities[middle].end > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Return the entity at `position`, or undefined.
 * @param {Entity[]} entities sorted, not overlapping
 * @param {number} position
 */
export function entityAt(entities, position) {
  const entity = entities[firstEndingAfter(entities, position)];
  return entity && entity.start <= position ? entity : undefined;
}

/**
 * Return whether every entity matches the text at its offsets. Other results would highlight the wrong words.
 * @param {string} text
 * @param {Entity[]} entities
 */
export function fits(text, entities) {
  let end = 0;
  for (const entity of entities) {
    if (entity.start < end || text.slice(entity.start, entity.end) !== entity.text) return false;
    end = entity.end;
  }
  return true;
}

/** Return the number of code points of a text. */
export function codePoints(text) {
  let count = text.length;
  for (let i = 0; i < text.length - 1; i++) {
    if (isHigh(text.charCodeAt(i)) && isLow(text.charCodeAt(i + 1))) {
      count--;
      i++;
    }
  }
  return count;
}

/**
 * Return the entities with `start` and `end` in code points, the default unit of the API.
 * @param {string} text
 * @param {Entity[]} entities sorted
 */
export function inCodePoints(text, entities) {
  let unit = 0;
  let point = 0;
  const to = (position) => {
    point += codePoints(text.slice(unit, position));
    unit = position;
    return point;
  };
  return entities.map((entity) => ({ ...entity, start: to(entity.start), end: to(entity.end) }));
}

/**
 * Return groups of entities with equal text and type, in the order of their first occurrence.
 * @param {Entity[]} entities sorted
 * @returns {{text: string, type: string, places: Entity[]}[]}
 */
export function grouped(entities) {
  const groups = new Map();
  for (const entity of entities) {
    const key = `${entity.type}\n${entity.text}`;
    const group = groups.get(key);
    if (group) group.places.push(entity);
    else groups.set(key, { text: entity.text, type: entity.type, places: [entity] });
  }
  return [...groups.values()];
}

/** Return the highest score of a group. */
export const bestScore = ({ places }) => Math.max(...places.map((entity) => entity.score));

const ORDERS = {
  position: () => 0, // groups are in the order of their first occurrence
  text: (a, b) => a.text.localeCompare(b.text, "zh-CN"),
  type: (a, b) => (a.type < b.type ? -1 : Number(a.type > b.type)),
  count: (a, b) => b.places.length - a.places.length,
  score: (a, b) => bestScore(b) - bestScore(a),
};

/** Return groups in the order `position`, `text`, `type`, `count` or `score`; equal ones stay in the order of the text. */
export const sorted = (groups, order) => groups.toSorted(ORDERS[order]);

/**
 * Return the number of entities of each type, the most frequent first.
 * @param {Entity[]} entities
 * @returns {Map<string, number>}
 */
export function countsByType(entities) {
  const counts = new Map();
  for (const { type } of entities) counts.set(type, (counts.get(type) ?? 0) + 1);
  return new Map([...counts].sort((a, b) => b[1] - a[1]));
}

const isHigh = (unit) => unit >= 0xd800 && unit < 0xdc00;
const isLow = (unit) => unit >= 0xdc00 && unit < 0xe000;

/**
 * Split a text into pieces of at most `maxLength` units. A piece ends after a line break if there is one, else between two
 * Chinese characters or at a space, and never inside a surrogate pair.
 * @param {string} text
 * @param {number} maxLength
 * @returns {string[]} at least one piece
 */
export function pieces(text, maxLength) {
  const result = [];
  let start = 0;
  while (text.length - start > maxLength) {
    const cut = cutBefore(text, start, start + maxLength);
    result.push(text.slice(start, cut));
    start = cut;
  }
  const lineEnd = text.lastIndexOf("\n") + 1;
  if (lineEnd > start && lineEnd < text.length) {
    result.push(text.slice(start, lineEnd));
    start = lineEnd;
  }
  result.push(text.slice(start));
  return result;
}

function cutBefore(text, start, end) {
  const line = text.lastIndexOf("\n", end - 1);
  if (line >= start) return line + 1;
  for (let at = end; at > start + (end - start) / 2; at--) {
    if (isSeparable(text.charCodeAt(at)) && isSeparable(text.charCodeAt(at - 1))) return at;
  }
  return isLow(text.charCodeAt(end)) && isHigh(text.charCodeAt(end - 1)) ? end - 1 : end;
}

/** Characters that never join with their neighbours: Chinese characters and the space. */
const isSeparable = (unit) => (unit >= 0x4e00 && unit < 0xa000) || unit === 0x20;
